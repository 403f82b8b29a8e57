// In-memory transports for tests: a connected pair with settable capacity, chunking, latency and
// faults, and a Dialer that connects to handlers in the same process.
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
  bool random_chunks = false;         ///< Each read yields 1..chunk_bytes bytes, by the loop's seed.
  absl::Duration latency;             ///< From write to readable.
  std::optional<uint64_t> reset_after_bytes;  ///< Cut as if by RST once so many bytes passed.
};

/// Makes two transports that are each other's peer. `a_to_b` shapes what `first` writes. Endpoints
/// are made up (192.0.2.1:1.., TEST-NET). `loop` must outlive both. The five rules are checked:
/// a breach by the implementation under test (a call after Abort, …) fails a CHECK.
std::pair<std::unique_ptr<Transport>, std::unique_ptr<Transport>> NewMemoryPair(
    Scheduler& loop, const MemoryLink& a_to_b = {}, const MemoryLink& b_to_a = {});

/// A Dialer for tests. Endpoints without a listener refuse.
class MemoryDialer final : public Dialer {
 public:
  /// Gets the far end of each connection that is made.
  using Acceptor = absl::AnyInvocable<void(std::unique_ptr<Transport>)>;

  explicit MemoryDialer(Scheduler& loop) : loop_(loop) {}

  /// Connections to `endpoint` go to `acceptor` after `delay`, over links shaped as given.
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
