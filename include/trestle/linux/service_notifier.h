// ServiceNotifier: tells the service manager (systemd, or another one with its protocol) the state
// of this process, as sd_notify(3) does.
#ifndef TRESTLE_LINUX_SERVICE_NOTIFIER_H_
#define TRESTLE_LINUX_SERVICE_NOTIFIER_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {

/// Sends one datagram a call, and never waits. Thread-safe. A call fails with
/// ErrorCode::kTransport if the manager's socket is gone or full; the process may go on.
class ServiceNotifier {
 public:
  /// Takes the value of the environment variable NOTIFY_SOCKET: an absolute path, or the name of
  /// an abstract socket after an "@". Sends nothing yet. Fails with ErrorCode::kConfiguration for
  /// other texts.
  static absl::StatusOr<std::unique_ptr<ServiceNotifier>> Create(absl::string_view address);

  /// The process has started, or has ended a reload. `status` is one line for operators.
  absl::Status Ready(absl::string_view status) const;

  /// A reload begins. Call `Ready` at its end, also if it failed.
  absl::Status Reloading() const;

  /// The process ends within `at_most`. The manager then waits at least so long before it kills.
  absl::Status Stopping(absl::Duration at_most) const;

  /// The process works; for managers with a watchdog.
  absl::Status Alive() const;

 private:
  ServiceNotifier(OwnedFd socket, const Endpoint& manager);

  absl::Status Send(absl::string_view assignments) const;

  const OwnedFd socket_;
  const Endpoint manager_;
};

}  // namespace trestle

#endif  // TRESTLE_LINUX_SERVICE_NOTIFIER_H_
