#include "trestle/linux/private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/linux/system_error.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

// Without O_NONBLOCK, opening a FIFO would wait for its reader.
constexpr int kFlags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
constexpr mode_t kOwnerOnly = 0600;
constexpr mode_t kOthers = 0077;

absl::Status Refuse(absl::string_view verb, const std::string& path, absl::string_view why) {
  return ConfigurationError(absl::StrCat("cannot ", verb, " ", path, ": ", why));
}

// Returns the reason for rejecting the file; empty if it is usable.
std::string WhyNotPrivate(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return ErrnoText(errno);
  if (!S_ISREG(info.st_mode)) return "it is not a regular file";
  if (info.st_uid != geteuid()) return "it belongs to another user";
  if (info.st_nlink > 1) return "it has further hard links";
  if ((info.st_mode & kOthers) == 0) return "";
  return absl::StrFormat("others have access to it (mode %04o); change that to 0600",
                         info.st_mode & 07777);
}

std::string OpenErrorText(int error) {
  switch (error) {
    case ELOOP:
      return "it is a symlink";
    case ENXIO:
      return "it is not a regular file";
    default:
      return ErrnoText(error);
  }
}

}  // namespace

absl::StatusOr<OwnedFd> OpenPrivateFile(const std::string& path) {
  OwnedFd fd(open(path.c_str(), kFlags | O_APPEND, kOwnerOnly));
  if (!fd.valid()) return Refuse("open", path, OpenErrorText(errno));
  if (const std::string why = WhyNotPrivate(fd.get()); !why.empty()) {
    return Refuse("open", path, why);
  }
  return fd;
}

absl::StatusOr<OwnedFd> CreatePrivateFile(const std::string& path) {
  OwnedFd fd(open(path.c_str(), kFlags | O_EXCL, kOwnerOnly));
  if (fd.valid()) return fd;
  return Refuse(
      "create", path,
      errno == EEXIST ? "it exists already, and nothing is overwritten" : ErrnoText(errno));
}

}  // namespace trestle
