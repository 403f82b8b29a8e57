// Wire: the remote side of a transport in a benchmark. The benchmark adds and removes bytes itself,
// so that the peer's cost is not measured.
#ifndef TRESTLE_BENCH_SUPPORT_WIRE_H_
#define TRESTLE_BENCH_SUPPORT_WIRE_H_

#include <cstddef>
#include <memory>
#include <string>

#include "bench/support/hot_loop.h"
#include "trestle/base/bytes.h"
#include "trestle/io/dialer.h"
#include "trestle/io/transport.h"

namespace trestle::bench {

/// Copies each byte once per read and once per write, as a system call would.
class Wire final {
 public:
  explicit Wire(HotLoop& loop) : loop_(loop) {}
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  /// Creates the transport's end. Only one may exist at a time; the wire must outlive it.
  std::unique_ptr<Transport> NewEnd();

  /// Makes `bytes` readable. They are not copied, so they must live until they are read.
  void Deliver(ByteView bytes);

  /// Makes the end of the stream readable after all delivered bytes.
  void DeliverEnd();

  /// Returns the bytes that the transport has written.
  std::string& sent() { return sent_; }

  bool end_exists() const { return end_ != nullptr; }

 private:
  class End;

  HotLoop& loop_;
  End* end_ = nullptr;
  ByteView inbound_;
  bool inbound_ended_ = false;
  std::string sent_;
};

/// Dials one wire.
class WireDialer final : public Dialer {
 public:
  WireDialer(HotLoop& loop, Wire& wire) : loop_(loop), wire_(wire) {}

  [[nodiscard]] std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) override;

 private:
  HotLoop& loop_;
  Wire& wire_;
};

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_SUPPORT_WIRE_H_
