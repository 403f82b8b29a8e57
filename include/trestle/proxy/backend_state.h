// BackendState: whether connections use a backend, and why not. Health checks, the operator, and
// connections that fail write it; choosers, pages and metrics read it.
#ifndef TRESTLE_PROXY_BACKEND_STATE_H_
#define TRESTLE_PROXY_BACKEND_STATE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "trestle/base/error.h"
#include "trestle/base/monotonic_time.h"

namespace trestle {

/// A backend's state in one word. Of several that apply, the last one in this list counts.
enum class BackendCondition : uint8_t {
  kUnchecked,  ///< No health check has ended yet, or there is none. Connections use it.
  kUp,
  kSlowStart,  ///< Back since a moment: its share of connections grows.
  kEjected,    ///< Connections to it fail. Others are used, until one connection succeeds again.
  kDown,       ///< Health checks fail. Connections don't use it while others are fit.
  kDraining,   ///< The operator wants no new connections to it.
};

/// Returns a condition's name in snake_case: "slow_start".
absl::string_view EnumName(BackendCondition condition);

/// Writes `EnumName(condition)`.
std::ostream& operator<<(std::ostream& out, BackendCondition condition);

/// Passive health checking: ejects a failing backend for a while if there are others. A backend is
/// ejected after `after_failures` consecutive failures to connect or to complete its TLS handshake.
/// After the ejection one connection tries it again; another failure ejects it for twice as long.
///
/// No client can have a backend ejected for others. Some handshakes fail after the backend received
/// data of the client: a copied or computed name, a protocol, or a PROXY header. Such a failure
/// counts only for connections that would send the same data. With a PROXY header or a computed
/// name, the data includes the client's address (of IPv6, its /64). Local failures, such as no free
/// port, and clients that leave early do not count.
struct EjectionOptions {
  uint32_t after_failures = 3;  ///< 0: never eject.
  absl::Duration first = absl::Seconds(1);
  absl::Duration longest = absl::Minutes(1);
};

/// A state at one moment, for pages and metrics.
struct BackendStatus {
  BackendCondition condition = BackendCondition::kUnchecked;
  /// What drains it, for operators: "drain file", for example. Empty: nothing.
  std::string drained_by = {};
  uint64_t ejections = 0;             ///< That failures have begun so far, for all connections.
  uint32_t partly = 0;                ///< Client data for which the backend is ejected now.
  absl::Duration ejected_for;         ///< Rest of the ejection; zero: the next connection tries it.
  std::optional<Error> failure = {};  ///< Of the last connection, while the backend is ejected.
};

/// The state of one backend, for all connections that open their back leg in the same way.
/// Thread-safe; the clocks of all threads must agree. Without failures, readers take no lock.
class BackendState {
 public:
  /// The client data that a connection sends to its backends, as text. It is equal for connections
  /// that no backend can distinguish while it opens its leg. Empty: none.
  using Shown = std::string;

  /// How fit a backend is for a connection; a lower one is better.
  enum class Fitness : uint8_t { kFit, kEjected, kDown, kDraining };

  /// The share of connections grows for `slow_start` after the backend was away, evenly from a
  /// tenth. Zero: it has all of it at once. `changes` (may be null) grows with each change that a
  /// connection makes.
  explicit BackendState(absl::Duration slow_start = absl::ZeroDuration(),
                        std::shared_ptr<std::atomic<uint64_t>> changes = nullptr);
  BackendState(const BackendState&) = delete;
  BackendState& operator=(const BackendState&) = delete;

  // ---- For choosers ----

  /// Returns the fitness for a connection that will send `shown`.
  Fitness FitnessFor(const Shown& shown, MonotonicTime now) const ABSL_LOCKS_EXCLUDED(mutex_);

  /// Returns the part of `weight` that the backend has now, at least 1.
  uint32_t ShareOf(uint32_t weight, MonotonicTime now) const;

  /// Returns whether checks and the operator let connections use it.
  bool in_use() const { return !down_ && !draining_; }

  /// Returns whether the operator drains it.
  bool draining() const { return draining_; }

  /// Starts a try of a connection that will send `shown`. A backend whose ejection is over gets
  /// this single try, before other connections use it. One of the next three calls ends the try.
  void Try(const Shown& shown, MonotonicTime now) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Records that the backend failed a connection that sent it `shown`, because of `why`. Ejects it
  /// for such connections after too many failures. If nothing was sent, for example on a failed
  /// connect, `shown` must be empty: the backend is ejected for all.
  void Failed(const Shown& shown, const absl::Status& why, const EjectionOptions& options,
              MonotonicTime now) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Records a success of a connection that sent `shown`, possibly empty: its earlier failures, and
  /// those of connections that sent nothing, are forgotten.
  void Succeeded(const Shown& shown, MonotonicTime now) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Records an unknown result: the next connection may try. Has no effect on a try that has ended.
  void Abandoned(const Shown& shown) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Returns whether any failure is remembered.
  bool failing() const { return failing_; }

  // ---- For health checks, and the operator ----

  /// Sets what checks say. If the backend was down, it starts slowly, and failures of connections
  /// are forgotten.
  void SetChecked(bool up, MonotonicTime now) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Sets what drains the backend, for pages; empty: nothing. Afterwards it starts slowly.
  void SetDraining(std::string by, MonotonicTime now) ABSL_LOCKS_EXCLUDED(mutex_);

  // ---- For pages and metrics ----

  BackendStatus StatusAt(MonotonicTime now) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // The failures of connections that send the same data, since the last success.
  struct Failures {
    uint32_t count = 0;
    absl::Duration ejection;  // Duration of the last ejection; zero: none.
    MonotonicTime ejected_until;
    bool is_tried = false;  // By the single try after an ejection.
  };

  std::array<Failures*, 2> Both(const Shown& shown) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasRoomFor(const Shown& shown, MonotonicTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsEjected(const Shown& shown, MonotonicTime now) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void StartSlowly(MonotonicTime now);
  bool StartsSlowly(MonotonicTime now) const;

  const absl::Duration slow_start_;
  const std::shared_ptr<std::atomic<uint64_t>> changes_;
  std::atomic<bool> checked_ = false;
  std::atomic<bool> down_ = false;
  std::atomic<bool> draining_ = false;
  std::atomic<bool> failing_ = false;            // `failures_` has some.
  std::atomic<int64_t> slow_since_ = INT64_MIN;  // In nanoseconds; the lowest: never.
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<Shown, Failures> failures_ ABSL_GUARDED_BY(mutex_);
  MonotonicTime swept_at_ ABSL_GUARDED_BY(mutex_);
  uint64_t ejections_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<Error> failure_ ABSL_GUARDED_BY(mutex_);
  std::string drained_by_ ABSL_GUARDED_BY(mutex_);
};

/// Returns whether a failure to open a connection is the backend's. Local ones are not: too few
/// descriptors, for example.
bool BlamesBackend(const absl::Status& failure);

}  // namespace trestle

#endif  // TRESTLE_PROXY_BACKEND_STATE_H_
