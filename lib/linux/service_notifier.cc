#include "trestle/linux/service_notifier.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>

#include <cstdint>
#include <string>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "lib/linux/socket.h"
#include "lib/linux/system_error.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

// sockaddr_un::sun_path, less the NUL behind a path.
constexpr size_t kMaxAddressBytes = 107;

// The manager compares it with its own clock (CLOCK_MONOTONIC).
int64_t MonotonicMicroseconds() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::ToInt64Microseconds(absl::DurationFromTimespec(now));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServiceNotifier>> ServiceNotifier::Create(
    absl::string_view address) {
  const bool known = absl::StartsWith(address, "/") || absl::StartsWith(address, "@");
  if (!known || address.size() < 2 || address.size() > kMaxAddressBytes) {
    return ConfigurationError(
        "the service manager's address is neither an absolute path nor an abstract socket's name");
  }
  OwnedFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return SystemError("cannot open a socket for the service manager", errno);
  return absl::WrapUnique(new ServiceNotifier(std::move(socket), Endpoint::Unix(address)));
}

ServiceNotifier::ServiceNotifier(OwnedFd socket, const Endpoint& manager)
    : socket_(std::move(socket)), manager_(manager) {}

absl::Status ServiceNotifier::Ready(absl::string_view status) const {
  return Send(absl::StrCat("READY=1\nSTATUS=", absl::StrReplaceAll(status, {{"\n", " "}})));
}

absl::Status ServiceNotifier::Reloading() const {
  return Send(absl::StrCat("RELOADING=1\nMONOTONIC_USEC=", MonotonicMicroseconds()));
}

absl::Status ServiceNotifier::Stopping(absl::Duration at_most) const {
  return Send(absl::StrCat("STOPPING=1\nEXTEND_TIMEOUT_USEC=", absl::ToInt64Microseconds(at_most)));
}

absl::Status ServiceNotifier::Alive() const { return Send("WATCHDOG=1"); }

absl::Status ServiceNotifier::Send(absl::string_view assignments) const {
  const SocketAddress address(manager_);
  const ssize_t sent = sendto(socket_.get(), assignments.data(), assignments.size(), MSG_NOSIGNAL,
                              address.get(), address.size);
  if (sent >= 0) return absl::OkStatus();
  return SystemError("cannot reach the service manager", errno);
}

}  // namespace trestle
