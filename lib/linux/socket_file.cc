#include "lib/linux/socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "lib/linux/socket.h"
#include "trestle/base/error.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {
namespace {

// A name in `path`'s directory, and no longer than `path`, whose length is limited.
std::string TemporaryPath(const std::string& path) {
  return absl::StrCat(path.substr(0, path.rfind('/') + 1), "~");
}

// Locks the directory of `path` until the result is closed. The result is not valid if another
// process holds the lock or the directory can't be opened; errno has the reason.
OwnedFd LockDirectory(const std::string& path) {
  const std::string directory = path.substr(0, path.rfind('/') + 1);
  OwnedFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.valid() && flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    fd.Reset();
    errno = error;
  }
  return fd;
}

// Returns whether a program listens on `endpoint`, or might.
bool IsListenedOn(const Endpoint& endpoint) {
  const OwnedFd probe = OpenStreamSocket(Endpoint::Family::kUnix);
  const SocketAddress address(endpoint);
  return !probe.valid() || connect(probe.get(), address.get(), address.size) == 0 ||
         errno != ECONNREFUSED;
}

absl::Status Refused(const Endpoint& endpoint, absl::string_view why) {
  return ConfigurationError(absl::StrCat("cannot listen on ", endpoint.ToString(), ": ", why));
}

// Checks the file at the path. Returns OK if it may be replaced.
absl::Status CheckReplaceable(const Endpoint& endpoint, const struct stat& file, PortUse use) {
  if (!S_ISSOCK(file.st_mode)) {
    return Refused(endpoint, "a file that is not a socket exists; nothing was removed");
  }
  if (use == PortUse::kJoin) {
    if (file.st_uid == geteuid()) return absl::OkStatus();
    return Refused(endpoint, "the socket belongs to another user");
  }
  if (IsListenedOn(endpoint)) return ListenError(endpoint, EADDRINUSE);
  return absl::OkStatus();
}

// Returns the errno value of a failure; 0 for success.
int BindAndListen(int socket, const std::string& path, const TcpListenerOptions& options) {
  const SocketAddress address(Endpoint::Unix(path));
  // The file gets the permissions of the socket, less those of the umask. So it is never open to
  // more users than it should be.
  if (fchmod(socket, options.unix_mode) != 0) return errno;
  if (bind(socket, address.get(), address.size) != 0) return errno;
  if (chmod(path.c_str(), options.unix_mode) == 0 && listen(socket, options.backlog) == 0) return 0;
  const int error = errno;
  unlink(path.c_str());
  return error;
}

// Replaces the file at the path with the listening socket, atomically.
int Replace(int socket, const std::string& path, const TcpListenerOptions& options) {
  const std::string temporary = TemporaryPath(path);
  struct stat file;
  const bool left_over = lstat(temporary.c_str(), &file) == 0 && S_ISSOCK(file.st_mode) &&
                         !IsListenedOn(Endpoint::Unix(temporary));
  if (left_over) unlink(temporary.c_str());
  if (const int error = BindAndListen(socket, temporary, options); error != 0) return error;
  if (rename(temporary.c_str(), path.c_str()) == 0) return 0;
  const int error = errno;
  unlink(temporary.c_str());
  return error;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SocketFile>> SocketFile::Listen(int socket, const Endpoint& endpoint,
                                                               const TcpListenerOptions& options) {
  const std::string path(endpoint.path());
  const OwnedFd lock = LockDirectory(path);
  if (!lock.valid()) {
    if (errno != EWOULDBLOCK) return ListenError(endpoint, errno);
    return Refused(endpoint, "another program holds the lock of its directory");
  }
  struct stat file;
  const bool exists = lstat(path.c_str(), &file) == 0;
  if (!exists && errno != ENOENT) return ListenError(endpoint, errno);
  if (exists) {
    absl::Status status = CheckReplaceable(endpoint, file, options.port_use);
    if (!status.ok()) return status;
  }
  const int error = exists ? Replace(socket, path, options) : BindAndListen(socket, path, options);
  if (error != 0) return ListenError(endpoint, error);
  if (lstat(path.c_str(), &file) != 0) return ListenError(endpoint, errno);
  return absl::WrapUnique(new SocketFile(path, file.st_dev, file.st_ino));
}

void SocketFile::Remove() {
  const std::string path = std::exchange(path_, "");
  if (path.empty()) return;
  // Without the lock, a file that remains does no harm: the next claim replaces it.
  const OwnedFd lock = LockDirectory(path);
  struct stat file;
  if (!lock.valid() || lstat(path.c_str(), &file) != 0) return;
  if (file.st_dev == device_ && file.st_ino == inode_) unlink(path.c_str());
}

}  // namespace trestle
