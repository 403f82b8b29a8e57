// In-memory transports for tests: a connected pair with settable capacity, chunking, latency and
// faults, and a Dialer that connects to handlers in the same process. They behave as TCP sockets
// do, also after a close, a truncated end or an abort.
#ifndef TRESTLE_TESTING_MEMORY_TRANSPORT_H_
#define TRESTLE_TESTING_MEMORY_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"

namespace trestle::testing {

/// The behaviour of one direction of a pair; by default that of a fast socket.
struct MemoryLink {
  size_t capacity_bytes = 64 * 1024;  ///< Most bytes in flight; a full link answers kWouldBlock.
  size_t chunk_bytes = 0;             ///< Most bytes that a single read returns; 0: no limit.
  bool random_chunks = false;         ///< Each read returns 1..chunk_bytes bytes, by `seed`.
  uint64_t seed = 1;                  ///< A simulation passes `loop.random()()`.
  absl::Duration latency;             ///< Time from a write until its bytes are readable.
  /// Aborts both directions, as by RST, once so many bytes were written. Those bytes still arrive.
  /// 0 aborts a connection that carried no byte.
  std::optional<uint64_t> reset_after_bytes;
  /// Delivers so many bytes, then no byte, end or reset any more, like a peer whose machine is off.
  /// Further writes wait for ever.
  std::optional<uint64_t> stall_after_bytes;
  /// Ends the direction, as by FIN, after so many bytes. Bytes written after that are lost.
  std::optional<uint64_t> end_after_bytes;
};

/// Makes two transports that are each other's peer. `a_to_b` shapes the direction of the first
/// one's writes. Endpoints are fixed (192.0.2.1:1 and :2, TEST-NET). `loop` must outlive both.
///
/// A transport's peer sees:
///   - ShutdownWrite(kClean): all bytes, then kEndOfStream. It can go on writing.
///   - ShutdownWrite(kTruncated), which answers kWouldBlock until all bytes have arrived: all
///     bytes, then kFailed with ErrorCode::kTruncated. As on TCP, it ends both directions: after
///     kOk, reads on the calling side fail too (kCancelled), and its unread bytes are lost.
///   - Abort(): kFailed with kTruncated; bytes not read by then are lost.
///   - Destruction, as by close(2): all bytes, then kEndOfStream; but as after Abort() if
///     the destroyed side left bytes unread. Writing to a destroyed peer works once, then fails.
///
/// Code that violates the contract of Transport fails a CHECK: `Write` after `ShutdownWrite`, and
/// empty reads or writes. After `Abort`, all calls but `status`, `info`, `SetHandler` and `Abort`
/// do.
std::pair<std::unique_ptr<Transport>, std::unique_ptr<Transport>> NewMemoryPair(
    Scheduler& loop, const MemoryLink& a_to_b = {}, const MemoryLink& b_to_a = {});

/// A Dialer for tests. Connections to an endpoint without a listener are refused.
class MemoryDialer final : public Dialer {
 public:
  /// Receives the listener's end of each new connection, from the loop.
  using Acceptor = absl::AnyInvocable<void(std::unique_ptr<Transport>)>;

  /// `loop` must outlive the dialer, its dials and its transports.
  explicit MemoryDialer(Scheduler& loop) : loop_(loop) {}

  /// Passes connections to `endpoint` to `acceptor` after `delay`, over the given links. Replaces
  /// the setting for `endpoint`; attempts under way keep the old one.
  void Listen(const Endpoint& endpoint, Acceptor acceptor, absl::Duration delay = {},
              const MemoryLink& to_listener = {}, const MemoryLink& to_dialer = {});

  /// Makes connections to `endpoint` fail with `status` after `delay`. With InfiniteDuration they
  /// get no answer.
  void Refuse(const Endpoint& endpoint, absl::Status status, absl::Duration delay = {});

  [[nodiscard]] std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) override;

  /// Returns the number of calls of `Connect` so far.
  size_t dials() const { return dials_; }

 private:
  struct Target;

  Scheduler& loop_;
  size_t dials_ = 0;
  absl::flat_hash_map<Endpoint, std::shared_ptr<Target>> targets_;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTING_MEMORY_TRANSPORT_H_
