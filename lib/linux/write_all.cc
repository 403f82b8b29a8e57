#include "lib/linux/write_all.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace trestle {
namespace {

// Waits until `fd` accepts bytes or has failed, and returns 0; else returns an errno value.
int WaitUntilWritable(int fd, int give_up) {
  pollfd both[] = {{fd, POLLOUT, 0}, {give_up, POLLIN, 0}};
  while (poll(both, 2, -1) < 0) {
    if (errno != EINTR && errno != EAGAIN) return errno;
  }
  return both[0].revents != 0 ? 0 : ECANCELED;
}

bool IsRegularFile(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

}  // namespace

int WriteAll(int fd, absl::string_view bytes, int give_up, size_t* written) {
  *written = 0;
  const bool regular = IsRegularFile(fd);
  while (*written < bytes.size()) {
    size_t piece = bytes.size() - *written;
    if (!regular) {
      // A writable pipe accepts this many bytes at once, even if it would block for more.
      piece = std::min<size_t>(piece, PIPE_BUF);
      if (const int error = WaitUntilWritable(fd, give_up); error != 0) return error;
    }
    const ssize_t done = write(fd, bytes.data() + *written, piece);
    if (done < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (done < 0) return errno;
    *written += static_cast<size_t>(done);
  }
  return 0;
}

}  // namespace trestle
