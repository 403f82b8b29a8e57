// The common parts of the linux edge's tests: running a loop until a condition holds, and raw
// sockets on loopback as peers.
#ifndef TRESTLE_TESTS_LINUX_LOOPBACK_H_
#define TRESTLE_TESTS_LINUX_LOOPBACK_H_

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "lib/linux/socket.h"
#include "tests/support/counting_handler.h"
#include "trestle/base/error.h"
#include "trestle/io/transport.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/owned_fd.h"
#include "trestle/linux/tcp_transport.h"

namespace trestle {

/// Runs `loop` until `done` holds. Returns false if that takes far too long.
inline bool TurnUntil(EpollLoop& loop, absl::FunctionRef<bool()> done) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!done()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    loop.RunTurn(absl::Milliseconds(20));
  }
  return true;
}

/// Handles everything that is due: events of bytes that loopback has delivered, posted calls.
inline void Settle(EpollLoop& loop) {
  for (int i = 0; i < 3; ++i) loop.RunTurn(absl::ZeroDuration());
}

inline std::optional<ErrorCode> CodeOf(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  return error.has_value() ? std::make_optional(error->code) : std::nullopt;
}

inline std::string DetailOf(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  return error.has_value() ? error->detail : "";
}

inline Endpoint Loopback(uint16_t port = 0) {
  Endpoint endpoint = *Endpoint::Parse("127.0.0.1:0");
  return Endpoint(endpoint.address(), port);
}

/// Returns whether this machine has ::1. If not, tests expect the typed error instead.
inline bool HasIpv6Loopback() {
  std::ifstream interfaces("/proc/net/if_inet6");
  std::string address;
  while (interfaces >> address) {
    if (address == "00000000000000000000000000000001") return true;
    std::getline(interfaces, address);
  }
  return false;
}

inline int SocketOption(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  EXPECT_EQ(getsockopt(fd, level, name, &value, &size), 0) << errno;
  return value;
}

inline void SetBlocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK); }

/// Opens a raw listening socket on loopback.
inline OwnedFd RawListener(int backlog = 16, const Endpoint& endpoint = Loopback()) {
  OwnedFd fd = OpenStreamSocket(endpoint.family());
  const SocketAddress address(endpoint);
  EXPECT_EQ(bind(fd.get(), address.get(), address.size), 0) << errno;
  EXPECT_EQ(listen(fd.get(), backlog), 0);
  SetBlocking(fd.get());
  return fd;
}

/// Returns a raw blocking socket connected to `endpoint`; not valid if that fails.
inline OwnedFd RawClient(const Endpoint& endpoint) {
  OwnedFd fd = OpenStreamSocket(endpoint.family());
  SetBlocking(fd.get());
  const SocketAddress address(endpoint);
  if (connect(fd.get(), address.get(), address.size) != 0) fd.Reset();
  return fd;
}

/// Sends all of `bytes` on a blocking socket.
inline void RawSend(int fd, absl::string_view bytes, int flags = 0) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), flags | MSG_NOSIGNAL);
    ASSERT_GT(sent, 0);
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

/// Closes a socket with a RST.
inline void RawReset(OwnedFd& fd) {
  const linger no_linger = {1, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &no_linger, sizeof no_linger);
  fd.Reset();
}

using testing::CountingHandler;

/// Reads once into a buffer of `size` bytes.
inline std::string ReadOnce(Transport& from, IoState* state, size_t size = 65536) {
  std::string bytes(size, '\0');
  const IoResult result =
      from.Read(MutableByteView(reinterpret_cast<uint8_t*>(&bytes[0]), bytes.size()));
  *state = result.state;
  bytes.resize(result.bytes);
  return bytes;
}

/// Uses up all descriptors of the process, and releases them at the end.
class DescriptorFamine {
 public:
  DescriptorFamine() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit low = {64, before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    while (true) {
      OwnedFd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (!fd.valid()) break;
      taken_.push_back(std::move(fd));
    }
  }
  ~DescriptorFamine() { setrlimit(RLIMIT_NOFILE, &before_); }

  /// Releases `count` descriptors now.
  void Release(size_t count) { taken_.resize(taken_.size() - count); }

 private:
  rlimit before_ = {};
  std::vector<OwnedFd> taken_;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_LINUX_LOOPBACK_H_
