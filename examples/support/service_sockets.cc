#include "examples/support/service_sockets.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "examples/support/program.h"

namespace trestle::examples {
namespace {

constexpr int kFirstDescriptor = 3;  // SD_LISTEN_FDS_START
constexpr int kMaxDescriptors = 1024;

absl::string_view Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? absl::string_view() : value;
}

absl::Status Refuse(const std::string& name, absl::string_view why) {
  return FlagError("listen", absl::StrCat("is fd:", name, ", but ", why));
}

}  // namespace

absl::StatusOr<std::vector<OwnedFd>> TakeServiceSockets(const std::string& name) {
  if (Variable("LISTEN_FDS").empty()) {
    return Refuse(name,
                  "the service manager passed no sockets (LISTEN_FDS is not set): a .socket unit "
                  "does, and systemd-socket-activate");
  }
  if (Variable("LISTEN_PID") != absl::StrCat(getpid())) {
    return Refuse(name, "the sockets of LISTEN_FDS are for another process (LISTEN_PID)");
  }
  int count = 0;
  if (!absl::SimpleAtoi(Variable("LISTEN_FDS"), &count) || count < 1 || count > kMaxDescriptors) {
    return Refuse(name, absl::StrCat("LISTEN_FDS is no number from 1 to ", kMaxDescriptors));
  }
  std::vector<std::string> names(static_cast<size_t>(count), "unknown");
  if (const absl::string_view given = Variable("LISTEN_FDNAMES"); !given.empty()) {
    names = absl::StrSplit(given, ':');
  }
  if (names.size() != static_cast<size_t>(count)) {
    return Refuse(name, "LISTEN_FDNAMES has another number of names than LISTEN_FDS of sockets");
  }
  std::vector<OwnedFd> sockets;
  for (int i = 0; i < count; ++i) {
    const int fd = kFirstDescriptor + i;
    if (names[static_cast<size_t>(i)] != name || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) continue;
    sockets.emplace_back(fd);
  }
  if (!sockets.empty()) return sockets;
  return Refuse(name, absl::StrCat("the passed sockets are called ", absl::StrJoin(names, ", "),
                                   "; FileDescriptorName= in a .socket unit names them"));
}

}  // namespace trestle::examples
