// In-memory transports for tests: a connected pair with settable capacity, chunking, latency and
// faults, and a Dialer that connects to handlers in the same process. They behave as TCP sockets
// do, down to what a peer sees after a close, a cut or an abort.
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

/// How one direction of a pair behaves; by default like a fast socket.
struct MemoryLink {
  size_t capacity_bytes = 64 * 1024;  ///< In flight at most; a full link answers kWouldBlock.
  size_t chunk_bytes = 0;             ///< Most bytes a single read yields; 0: no limit.
  bool random_chunks = false;         ///< Each read yields 1..chunk_bytes bytes, by `seed`.
  uint64_t seed = 1;                  ///< A simulation passes on its own: `loop.random()()`.
  absl::Duration latency;             ///< From write to readable.
  /// Cuts both directions as if by RST once so many bytes were written. Those bytes still arrive;
  /// 0 cuts a connection that carried nothing.
  std::optional<uint64_t> reset_after_bytes;
  /// Delivers so many bytes and then nothing more, be it bytes, an end or a reset: a peer whose
  /// machine is gone. Its writes wait for ever.
  std::optional<uint64_t> stall_after_bytes;
  /// Ends the direction, as if by FIN, after so many bytes; what is written after that is lost.
  std::optional<uint64_t> end_after_bytes;
};

/// Makes two transports that are each other's peer. `a_to_b` shapes what `first` writes. Endpoints
/// are made up (192.0.2.1:1 and :2, TEST-NET). `loop` must outlive both.
///
/// What the peer of a transport sees:
///   - ShutdownWrite(kClean): all bytes, then kEndOfStream. It can go on writing.
///   - ShutdownWrite(kTruncated), which answers kWouldBlock until all bytes have arrived: all
///     bytes, then kFailed with ErrorCode::kTruncated. As on TCP the cut ends both directions:
///     after kOk, reads on the cutting side fail too (kCancelled), and unread bytes are gone.
///   - Abort(): kFailed with kTruncated; bytes that it had not read are gone.
///   - Destruction, as by close(2): all bytes, then kEndOfStream; but as after Abort() if
///     the destroyed side left bytes unread. Writing to a destroyed peer works once, then fails.
///
/// A breach of the contract by the code under test fails a CHECK: any call but `status`, `info`,
/// `SetHandler` or a second `Abort` after `Abort`, `Write` after `ShutdownWrite`, and empty reads
/// or writes.
std::pair<std::unique_ptr<Transport>, std::unique_ptr<Transport>> NewMemoryPair(
    Scheduler& loop, const MemoryLink& a_to_b = {}, const MemoryLink& b_to_a = {});

/// A Dialer for tests. Endpoints without a listener refuse.
class MemoryDialer final : public Dialer {
 public:
  /// Gets the far end of each connection that is made, from the loop.
  using Acceptor = absl::AnyInvocable<void(std::unique_ptr<Transport>)>;

  /// `loop` must outlive the dialer and all that it made.
  explicit MemoryDialer(Scheduler& loop) : loop_(loop) {}

  /// Connections to `endpoint` go to `acceptor` after `delay`, over links shaped as given. Replaces
  /// what was set for `endpoint` before; attempts under way keep the old setting.
  void Listen(const Endpoint& endpoint, Acceptor acceptor, absl::Duration delay = {},
              const MemoryLink& to_listener = {}, const MemoryLink& to_dialer = {});

  /// Connections to `endpoint` fail with `status` after `delay`; never answer for InfiniteDuration.
  void Refuse(const Endpoint& endpoint, absl::Status status, absl::Duration delay = {});

  [[nodiscard]] std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) override;

  /// Counts the calls of `Connect` so far.
  size_t dials() const { return dials_; }

 private:
  struct Target;

  Scheduler& loop_;
  size_t dials_ = 0;
  absl::flat_hash_map<Endpoint, std::shared_ptr<Target>> targets_;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTING_MEMORY_TRANSPORT_H_
