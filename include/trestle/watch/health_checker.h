// HealthChecker: checks backends by schedule, and keeps those that are down away from connections.
// It puts itself between a list of backends and the blocks that use it. For example:
//
//     HealthChecker health(loop, dialer, {}, &observer);
//     auto check = std::make_shared<HealthCheck>();
//     Backends backends = *ParseBackends("192.0.2.1:8080+192.0.2.2:8080");
//     if (absl::Status s = health.Watch(backends, check); !s.ok()) return s;
//     options.backend = backends;  // Its group has those that are not down.
#ifndef TRESTLE_WATCH_HEALTH_CHECKER_H_
#define TRESTLE_WATCH_HEALTH_CHECKER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/backends.h"
#include "trestle/watch/health_check.h"

namespace trestle {

/// What checks and the operator say of a backend.
enum class HealthState : uint8_t {
  kUnchecked,  ///< No check has ended yet. Connections use it.
  kUp,
  kSlowStart,  ///< Up again since a moment: its share of connections grows.
  kDown,       ///< Connections don't use it while another backend of the list is up.
  kDraining,   ///< The operator wants no new connections to it, whatever the checks say.
};

/// Returns a state's name in snake_case: "up".
absl::string_view EnumName(HealthState state);

/// Writes `EnumName(state)`.
std::ostream& operator<<(std::ostream& out, HealthState state);

/// What connections use if all backends of a list are down.
enum class AllDown : uint8_t {
  kTryAll,  ///< All of them: a check may be wrong.
  kFail,    ///< None: they fail at once, with ErrorCode::kNoBackend.
};

/// A checked backend, for pages and metrics.
struct HealthStatus {
  Endpoint endpoint;
  std::string name;  ///< The name that led to the address; empty for a configured address.
  HealthCheckKind kind = HealthCheckKind::kTcp;
  std::string server_name;  ///< That the check verifies; empty without TLS.
  HealthState state = HealthState::kUnchecked;
  absl::Duration state_age;  ///< Since the last change of the state.
  uint64_t checks = 0;
  uint64_t failures = 0;
  uint64_t changes = 0;        ///< Of the state, after the first check.
  absl::Duration took;         ///< By the last check.
  std::optional<Error> error;  ///< Of the last check, if it failed.
};

/// A change of a backend's state.
struct HealthChange {
  const HealthStatus& now;
  HealthState before;

  /// Writes the change as one line: "192.0.2.1:443 is down (was up): …".
  std::string ToString() const;
};

/// Receives changes, on the loop's thread.
class HealthObserver {
 public:
  virtual ~HealthObserver() = default;
  /// Called after each change. Must not call or destroy the HealthChecker.
  virtual void OnHealthChanged(const HealthChange& change) = 0;
};

/// Schedule and thresholds.
struct HealthCheckerOptions {
  /// Time between the ends of two checks of a backend. A tenth of it is added or left out, by
  /// chance, so that proxies and backends don't stay in step.
  absl::Duration interval = absl::Seconds(10);
  /// The longest check.
  absl::Duration timeout = absl::Seconds(3);
  /// Consecutive failures after which a backend is down, and successes after which it is up again.
  /// At least 1. The first check decides alone.
  uint32_t fall = 3;
  uint32_t rise = 2;
  AllDown all_down = AllDown::kTryAll;
  /// For how long a backend that is up again, or drains no longer, has a smaller share of
  /// connections: it grows evenly from a tenth. Zero: it has all of its share at once.
  absl::Duration slow_start = absl::ZeroDuration();
  size_t max_concurrent = 64;
  /// The most backends, each counted once for each different check.
  size_t max_backends = 10'000;
  /// Seed for chance. Use a different value in each process.
  uint64_t seed = 1;
};

/// Checks backends on one loop; all calls come from its thread. The groups that it fills may be
/// read on any thread.
class HealthChecker {
 public:
  /// `scheduler`, `dialer` and `observer` (may be null) must outlive it.
  HealthChecker(Scheduler& scheduler, Dialer& dialer, HealthCheckerOptions options = {},
                HealthObserver* observer = nullptr);
  /// The groups keep the backends that they have.
  ~HealthChecker();
  HealthChecker(const HealthChecker&) = delete;
  HealthChecker& operator=(const HealthChecker&) = delete;

  /// Puts a group of the backends that are not down in place of `backends.group`, or of the
  /// addresses if it has none. Call it after `ResolvedBackends::Follow`. The group follows the
  /// earlier one; a backend is checked as long as a group in use has it. Equal lists with the same
  /// check share a group. The same backend with the same `check` object is checked once for all
  /// lists. Fails with ErrorCode::kConfiguration for invalid options, a check that
  /// `CheckHealthCheck` rejects, an empty list, and too many backends.
  absl::Status Watch(Backends& backends, std::shared_ptr<const HealthCheck> check);

  /// Replaces the set of backends that get no new connections, in all lists, also in those that
  /// come later. Open connections stay. A list of which all are draining is empty, also with
  /// AllDown::kTryAll.
  void SetDraining(std::vector<Endpoint> endpoints);

  /// Takes over changes of the earlier groups now. It does so by itself within a second.
  void Refresh();

  /// Returns all backends of a list, also those that are down: those of the group that `Watch` has
  /// put another one in place of. Of other lists, `BackendsNow`.
  BackendGroup::List AllOf(const Backends& backends) const;

  /// Returns the checked backends, sorted.
  std::vector<HealthStatus> backends() const;

 private:
  class Item;
  struct List;
  struct State;

  absl::Status Check(const Backends& backends, const HealthCheck* check) const;
  void TakeOver(List& list);
  void Publish(const List& list);
  void OnStateChanged(const Item& item);
  void PublishSlowStarts();
  void Tick();
  double Chance();

  Scheduler& scheduler_;
  Dialer& dialer_;
  const HealthCheckerOptions options_;
  HealthObserver* const observer_;
  const std::unique_ptr<State> state_;
};

}  // namespace trestle

#endif  // TRESTLE_WATCH_HEALTH_CHECKER_H_
