// ServiceReports: tells the service manager that started this program how it is: ready, reloading,
// stopping, alive. The manager asks for it by NOTIFY_SOCKET and WATCHDOG_USEC.
#ifndef TRESTLE_EXAMPLES_SUPPORT_SERVICE_REPORTS_H_
#define TRESTLE_EXAMPLES_SUPPORT_SERVICE_REPORTS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "examples/support/watchdog.h"
#include "trestle/io/scheduler.h"
#include "trestle/linux/service_notifier.h"

namespace trestle::examples {

/// Failed reports are logged once in a row; the program goes on. For the main thread.
class ServiceReports {
 public:
  /// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. Returns null without the first one. Fails
  /// with a sentence for values that have no meaning.
  static absl::StatusOr<std::unique_ptr<ServiceReports>> FromEnvironment();

  /// The program serves, as `status` says. Starts the watchdog if the manager has one: reports at
  /// half of its time, as long as `main_loop` and all `workers` turn. Destroy this object after
  /// these have stopped.
  void OnServing(const std::string& status, Scheduler& main_loop, std::vector<Scheduler*> workers);

  void OnReloading();
  void OnReloaded();

  /// The program ends within `at_most`.
  void OnStopping(absl::Duration at_most);

 private:
  ServiceReports(std::unique_ptr<ServiceNotifier> manager, absl::Duration watchdog_time);

  void Note(const absl::Status& sent);

  const std::unique_ptr<ServiceNotifier> manager_;
  const absl::Duration watchdog_time_;  // Zero: the manager has no watchdog.
  std::string status_;
  bool stopping_ = false;
  bool last_failed_ = false;
  std::unique_ptr<Watchdog> watchdog_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_SERVICE_REPORTS_H_
