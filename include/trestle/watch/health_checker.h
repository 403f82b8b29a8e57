// HealthChecker: gives backends the states that all threads share, and checks them by schedule. It
// puts itself between a list of backends and the blocks that use it. For example:
//
//     HealthChecker health(loop, dialer, {}, &observer);
//     auto check = std::make_shared<HealthCheck>();
//     Backends backends = *ParseBackends("192.0.2.1:8080+192.0.2.2:8080");
//     if (absl::Status s = health.Watch(backends, check); !s.ok()) return s;
//     options.backend = backends;  // Its group has their states.
#ifndef TRESTLE_WATCH_HEALTH_CHECKER_H_
#define TRESTLE_WATCH_HEALTH_CHECKER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/backend_state.h"
#include "trestle/proxy/backends.h"
#include "trestle/watch/health_check.h"

namespace trestle {

/// A backend, for pages and metrics.
struct HealthStatus {
  Endpoint endpoint;
  std::string name;  ///< The name that led to the address; empty for a configured address.
  HealthCheckKind kind = HealthCheckKind::kTcp;
  std::string server_name;   ///< That the check verifies; empty without TLS.
  BackendStatus state;       ///< What checks, connections and the operator say together.
  absl::Duration state_age;  ///< Since the last change of the condition, within a second.
  uint64_t checks = 0;
  uint64_t failures = 0;
  uint64_t changes = 0;        ///< Between up and down by checks, after the first one.
  absl::Duration took;         ///< By the last check.
  std::optional<Error> error;  ///< Of the last check, if it failed.

  /// Returns what led to the condition: "http: the backend answered …", "connections: connection
  /// refused", "drain file".
  std::string Reason() const;
};

/// A change of a backend's condition.
struct HealthChange {
  const HealthStatus& now;
  BackendCondition before;

  /// Writes the change as one line: "192.0.2.1:443 is down (was up): …".
  std::string ToString() const;
};

/// Receives changes, on the loop's thread.
class HealthObserver {
 public:
  virtual ~HealthObserver() = default;
  /// Called after each change, for those that connections make within a second. Must not call or
  /// destroy the HealthChecker.
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
  /// For how long a backend that was down, ejected or draining has a smaller share of connections.
  /// It grows evenly from a tenth. Zero: the backend has all of it at once.
  absl::Duration slow_start = absl::ZeroDuration();
  size_t max_concurrent = 64;
  /// The most checked backends, each counted once for each different check. Those of
  /// HealthCheckKind::kNone are not counted: they cost memory only.
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

  /// Puts a group in place of `backends.group`, or of the addresses if it has none. It has the same
  /// backends, with their states. Call it after `ResolvedBackends::Follow`. The group follows the
  /// earlier one; a backend is checked as long as a group in use has it. Equal lists with the same
  /// check share a group. The same backend with the same `check` object has one state and is
  /// checked once for all lists. So share the object among legs that are opened in the same way
  /// only.
  ///
  /// Fails with ErrorCode::kConfiguration for invalid options, a check that `CheckHealthCheck`
  /// rejects, an empty list, and too many backends.
  absl::Status Watch(Backends& backends, std::shared_ptr<const HealthCheck> check);

  /// Replaces the backends that `by` drains: a short word for operators, such as "drain file". They
  /// get no new connections, in all lists, also in those that come later. A backend drains while
  /// any word is for it. Open connections stay.
  void SetDraining(const std::string& by, const std::vector<Endpoint>& endpoints);

  /// Takes over changes of the earlier groups now. It does so by itself within a second.
  void Refresh();

  /// Returns the backends with this address: one for each name and check.
  std::vector<HealthStatus> Find(const Endpoint& endpoint) const;

  /// Returns the number of backends, each counted once for each name and check.
  size_t size() const;

  /// Returns the first `most` backends, sorted by address and name.
  std::vector<HealthStatus> backends(size_t most = 10'000) const;

 private:
  class Item;
  struct List;
  struct State;

  absl::Status Check(const Backends& backends, const HealthCheck* check) const;
  void TakeOver(List& list);
  std::string DrainedBy(const std::string& endpoint) const;
  void TellChanges();
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
