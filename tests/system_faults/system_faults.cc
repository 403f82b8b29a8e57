#include "tests/system_faults/system_faults.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <set>

namespace trestle {
namespace {

struct State {
  std::mutex mutex;
  bool active = false;
  Fault fault;
  std::map<std::string, size_t> counts;
  size_t injected = 0;
};

State& TheState() {
  static State& state = *new State;  // Threads may outlive main().
  return state;
}

thread_local int real_calls = 0;

// Counts a call. Returns the error that it must fail with; 0 for none.
int NextError(const char* call) {
  if (real_calls > 0) return 0;
  const RealCalls real;
  State& state = TheState();
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (!state.active) return 0;
  const size_t number = state.counts[call]++;
  const Fault& fault = state.fault;
  const bool fails = fault.call == call && number >= fault.nth && number < fault.nth + fault.times;
  if (!fails) return 0;
  ++state.injected;
  return fault.error;
}

// Returns whether the call fails; if so, sets errno.
bool Fails(const char* call) {
  const int error = NextError(call);
  if (error != 0) errno = error;
  return error != 0;
}

}  // namespace

// Left out:
//   EBADF, EFAULT, ENOTSOCK, EINVAL and the like, unless a system's configuration causes them.
//   EAGAIN of accept4(), recv(), recvmmsg(), splice() and send(): edge-triggered epoll relies on it
//   (epoll(7)), so it must be true. EINTR of connect(): a socket that doesn't block never returns
//   it. epoll_wait() other than EINTR: all are faults of the program, for which the loop aborts.
//   close() fails after it has closed, as on Linux.
const std::map<std::string, std::vector<int>>& ErrorsOfCalls() {
  static const auto& errors = *new std::map<std::string, std::vector<int>>{
      {"accept4",
       {ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, EPROTO, ENETDOWN, ENOPROTOOPT,
        EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, ETIMEDOUT}},
      {"bind", {EACCES, EADDRINUSE, EADDRNOTAVAIL, ELOOP, ENOENT, ENOMEM, ENOTDIR, EROFS}},
      {"chmod", {EACCES, EIO, ELOOP, ENOENT, ENOMEM, ENOTDIR, EPERM, EROFS}},
      {"close", {EINTR, EIO, ENOSPC, EDQUOT}},
      {"connect",
       {EACCES, EPERM, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, ECONNREFUSED, ENETUNREACH,
        ETIMEDOUT, ENOMEM, ENOBUFS, EHOSTUNREACH}},
      {"epoll_create1", {EMFILE, ENFILE, ENOMEM}},
      {"epoll_ctl", {ENOMEM, ENOSPC}},
      {"epoll_wait", {EINTR}},
      {"eventfd", {EMFILE, ENFILE, ENODEV, ENOMEM}},
      {"fchmod", {EIO, EPERM, EROFS}},
      {"fcntl", {EBUSY, EINVAL, EMFILE, ENOMEM, EPERM}},
      {"flock", {EINTR, ENOLCK, EWOULDBLOCK}},
      {"fstat", {ENOMEM, EOVERFLOW}},
      {"getpeername", {ENOBUFS, ENOTCONN}},
      {"getsockname", {ENOBUFS}},
      {"getsockopt", {ENOPROTOOPT, ENOBUFS}},
      {"inotify_add_watch", {EACCES, ENOENT, ENOMEM, ENOSPC, ENOTDIR}},
      {"inotify_init1", {EMFILE, ENFILE, ENOMEM}},
      {"ioctl", {ENOTTY}},
      {"listen", {EADDRINUSE, EOPNOTSUPP}},
      {"lstat", {EACCES, ELOOP, ENOENT, ENOMEM, ENOTDIR, EOVERFLOW}},
      {"open",
       {EACCES, EBUSY, EDQUOT, EINTR, EISDIR, ELOOP, EMFILE, ENFILE, ENODEV, ENOENT, ENOMEM, ENOSPC,
        ENOTDIR, ENXIO, EOVERFLOW, EPERM, EROFS, EWOULDBLOCK}},
      {"opendir", {EACCES, EMFILE, ENFILE, ENOENT, ENOMEM, ENOTDIR}},
      {"pipe2", {EMFILE, ENFILE}},
      {"poll", {EINTR, ENOMEM}},
      {"pthread_create", {EAGAIN, EPERM}},
      {"read", {EINTR, EIO}},
      {"recv", {ECONNREFUSED, ECONNRESET, EHOSTUNREACH, EINTR, ENOBUFS, ENOMEM, ETIMEDOUT}},
      {"recvmmsg", {ECONNREFUSED, EHOSTUNREACH, EINTR, ENOBUFS, ENOMEM}},
      {"rename", {EACCES, EBUSY, EDQUOT, ENOENT, ENOMEM, ENOSPC, EPERM, EROFS}},
      {"send",
       {EACCES, ECONNRESET, EHOSTUNREACH, EINTR, ENETDOWN, ENOBUFS, ENOMEM, EPERM, EPIPE,
        ETIMEDOUT}},
      {"sendmmsg",
       {EAGAIN, ECONNREFUSED, EHOSTUNREACH, EINTR, EIO, EMSGSIZE, ENETUNREACH, ENOBUFS, ENOMEM,
        EPERM}},
      {"sendto", {EACCES, EAGAIN, ECONNREFUSED, EINTR, ENOBUFS, ENOENT, ENOMEM}},
      {"setsockopt", {EINVAL, ENOBUFS, ENOMEM, ENOPROTOOPT, EPERM}},
      {"shutdown", {ENOTCONN, ENOBUFS}},
      {"signalfd", {EMFILE, ENFILE, ENODEV, ENOMEM}},
      {"socket", {EACCES, EAFNOSUPPORT, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT}},
      {"splice", {ECONNRESET, EINTR, EINVAL, ENOMEM, ENOSYS, EPERM, EPIPE, ETIMEDOUT}},
      {"stat", {EACCES, ELOOP, ENOENT, ENOMEM, ENOTDIR, EOVERFLOW}},
      {"unlink", {EACCES, EBUSY, EIO, ENOENT, EPERM, EROFS}},
      {"write", {EDQUOT, EFBIG, EINTR, EIO, ENOSPC, EPERM, EPIPE}},
  };
  return errors;
}

std::ostream& operator<<(std::ostream& out, const Fault& fault) {
  return out << fault.times << " × " << fault.call << "() fails with "
             << strerrorname_np(fault.error) << " (" << strerrordesc_np(fault.error)
             << ") from call " << fault.nth << " on";
}

InjectedFault::InjectedFault(const Fault& fault) {
  State& state = TheState();
  const RealCalls real;
  const std::lock_guard<std::mutex> lock(state.mutex);
  state.fault = fault;
  state.counts.clear();
  state.injected = 0;
  state.active = true;
}

InjectedFault::~InjectedFault() {
  State& state = TheState();
  const std::lock_guard<std::mutex> lock(state.mutex);
  state.active = false;
}

size_t InjectedFault::Injected() {
  State& state = TheState();
  const std::lock_guard<std::mutex> lock(state.mutex);
  return state.injected;
}

std::map<std::string, size_t> CountCalls(absl::FunctionRef<void()> calls) {
  const InjectedFault none{Fault()};
  calls();
  State& state = TheState();
  const std::lock_guard<std::mutex> lock(state.mutex);
  return state.counts;
}

RealCalls::RealCalls() { ++real_calls; }
RealCalls::~RealCalls() { --real_calls; }

size_t ForEachFault(const std::map<std::string, size_t>& counts, size_t max_places,
                    absl::FunctionRef<void(const Fault&)> run) {
  size_t faults = 0;
  for (const auto& [call, count] : counts) {
    const auto errors = ErrorsOfCalls().find(call);
    if (errors == ErrorsOfCalls().end()) continue;
    std::set<size_t> places;
    for (size_t i = 0; i < std::min(count, max_places); ++i) {
      places.insert(count <= max_places ? i : i * (count - 1) / (max_places - 1));
    }
    for (const int error : errors->second) {
      for (const size_t place : places) {
        for (const size_t times : {1, 3}) {
          run({call, error, place, times});
          ++faults;
        }
      }
    }
  }
  return faults;
}

size_t OpenDescriptors() {
  const RealCalls real;
  DIR* const folder = opendir("/proc/self/fd");
  size_t count = 0;
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

}  // namespace trestle

// A function that the linker calls instead of the C library's; --wrap names both.
#define TRESTLE_WRAP(result, name, parameters, arguments) \
  result __real_##name parameters;                        \
  result __wrap_##name parameters {                       \
    if (trestle::Fails(#name)) return -1;                 \
    return __real_##name arguments;                       \
  }

extern "C" {

TRESTLE_WRAP(int, accept4, (int fd, sockaddr* from, socklen_t* size, int flags),
             (fd, from, size, flags))
TRESTLE_WRAP(int, bind, (int fd, const sockaddr* to, socklen_t size), (fd, to, size))
TRESTLE_WRAP(int, chmod, (const char* path, mode_t mode), (path, mode))
TRESTLE_WRAP(int, connect, (int fd, const sockaddr* to, socklen_t size), (fd, to, size))
TRESTLE_WRAP(int, epoll_create1, (int flags), (flags))
TRESTLE_WRAP(int, epoll_wait, (int epoll, epoll_event* events, int most, int wait),
             (epoll, events, most, wait))
TRESTLE_WRAP(int, eventfd, (unsigned count, int flags), (count, flags))
TRESTLE_WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode))
TRESTLE_WRAP(int, flock, (int fd, int operation), (fd, operation))
TRESTLE_WRAP(int, fstat, (int fd, struct stat* info), (fd, info))
TRESTLE_WRAP(int, getpeername, (int fd, sockaddr* peer, socklen_t* size), (fd, peer, size))
TRESTLE_WRAP(int, getsockname, (int fd, sockaddr* local, socklen_t* size), (fd, local, size))
TRESTLE_WRAP(int, getsockopt, (int fd, int level, int name, void* value, socklen_t* size),
             (fd, level, name, value, size))
TRESTLE_WRAP(int, inotify_add_watch, (int fd, const char* path, uint32_t mask), (fd, path, mask))
TRESTLE_WRAP(int, inotify_init1, (int flags), (flags))
TRESTLE_WRAP(int, listen, (int fd, int backlog), (fd, backlog))
TRESTLE_WRAP(int, lstat, (const char* path, struct stat* info), (path, info))
TRESTLE_WRAP(int, pipe2, (int* ends, int flags), (ends, flags))
TRESTLE_WRAP(int, poll, (pollfd * fds, nfds_t count, int wait), (fds, count, wait))
TRESTLE_WRAP(ssize_t, read, (int fd, void* to, size_t size), (fd, to, size))
TRESTLE_WRAP(ssize_t, recv, (int fd, void* to, size_t size, int flags), (fd, to, size, flags))
TRESTLE_WRAP(int, recvmmsg, (int fd, mmsghdr* messages, unsigned most, int flags, timespec* wait),
             (fd, messages, most, flags, wait))
TRESTLE_WRAP(int, rename, (const char* from, const char* to), (from, to))
TRESTLE_WRAP(ssize_t, send, (int fd, const void* from, size_t size, int flags),
             (fd, from, size, flags))
TRESTLE_WRAP(int, sendmmsg, (int fd, mmsghdr* messages, unsigned count, int flags),
             (fd, messages, count, flags))
TRESTLE_WRAP(ssize_t, sendto,
             (int fd, const void* from, size_t size, int flags, const sockaddr* to,
              socklen_t bytes),
             (fd, from, size, flags, to, bytes))
TRESTLE_WRAP(int, setsockopt, (int fd, int level, int name, const void* value, socklen_t size),
             (fd, level, name, value, size))
TRESTLE_WRAP(int, shutdown, (int fd, int how), (fd, how))
TRESTLE_WRAP(int, signalfd, (int fd, const sigset_t* mask, int flags), (fd, mask, flags))
TRESTLE_WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
TRESTLE_WRAP(ssize_t, splice,
             (int in, off_t* in_at, int out, off_t* out_at, size_t size, unsigned flags),
             (in, in_at, out, out_at, size, flags))
TRESTLE_WRAP(int, stat, (const char* path, struct stat* info), (path, info))
TRESTLE_WRAP(int, unlink, (const char* path), (path))
TRESTLE_WRAP(ssize_t, write, (int fd, const void* from, size_t size), (fd, from, size))

// Only EPOLL_CTL_ADD needs memory.
int __real_epoll_ctl(int epoll, int op, int fd, epoll_event* event);
int __wrap_epoll_ctl(int epoll, int op, int fd, epoll_event* event) {
  if (op == EPOLL_CTL_ADD && trestle::Fails("epoll_ctl")) return -1;
  return __real_epoll_ctl(epoll, op, fd, event);
}

int __real_close(int fd);
int __wrap_close(int fd) {
  const bool fails = trestle::Fails("close");
  const int error = errno;
  const int result = __real_close(fd);
  if (!fails) return result;
  errno = error;
  return -1;
}

DIR* __real_opendir(const char* path);
DIR* __wrap_opendir(const char* path) {
  return trestle::Fails("opendir") ? nullptr : __real_opendir(path);
}

int __real_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*main)(void*),
                          void* argument);
int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*main)(void*),
                          void* argument) {
  const int error = trestle::NextError("pthread_create");
  return error != 0 ? error : __real_pthread_create(thread, attributes, main, argument);
}

// The third argument of these is optional; the library gives none, an int or a pointer.
int __real_open(const char* path, int flags, ...);
int __wrap_open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return trestle::Fails("open") ? -1 : __real_open(path, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...) {
  va_list rest;
  va_start(rest, command);
  const bool has_argument = command != F_GETFL && command != F_GETFD;
  const int argument = has_argument ? va_arg(rest, int) : 0;
  va_end(rest);
  return trestle::Fails("fcntl") ? -1 : __real_fcntl(fd, command, argument);
}

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  return trestle::Fails("ioctl") ? -1 : __real_ioctl(fd, request, argument);
}

}  // extern "C"
