// Exchange: one connection of a case, over a real socket: dial, handshake, echo, end.
#ifndef TRESTLE_TESTS_BOGO_EXCHANGE_H_
#define TRESTLE_TESTS_BOGO_EXCHANGE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "tests/bogo/chopped_transport.h"
#include "tests/bogo/flags.h"
#include "tests/bogo/hello_router.h"
#include "tests/bogo/tls_setup.h"
#include "trestle/io/transport.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/tls/tls_stream.h"

namespace trestle::bogo {

/// Runs the loop until each step is done: the runner is the other side and never waits for two.
class Exchange final : private TransportHandler {
 public:
  Exchange(EpollLoop& loop, const Flags& flags, Side side)
      : loop_(loop), flags_(flags), side_(std::move(side)) {}

  /// Connects to the runner and does what the flags say. Returns the failure of the connection, or
  /// what differs from the flags' expectations.
  absl::Status Run(bool is_resume, const Memory& memory);

 private:
  void OnReadable() override { readable_ = true; }
  void OnWritable() override { writable_ = true; }

  void RunUntil(const bool& done);
  absl::Status Connect();
  absl::Status OpenStream();
  absl::Status Handshake();
  absl::Status Converse();
  absl::Status WriteFirst();
  absl::Status WriteManySizes();
  absl::Status Echo();
  absl::Status WriteAll(ByteView data);
  absl::Status ShutDown();
  IoResult Read(MutableByteView out);
  void Close();

  EpollLoop& loop_;
  const Flags flags_;
  Side side_;
  std::unique_ptr<Transport> socket_;
  std::unique_ptr<HelloRouter> router_;
  ChoppedTransport* chopped_ = nullptr;  // Part of `stream_`, if there is one.
  std::unique_ptr<TlsStream> stream_;
  bool readable_ = false;
  bool writable_ = false;
};

}  // namespace trestle::bogo

#endif  // TRESTLE_TESTS_BOGO_EXCHANGE_H_
