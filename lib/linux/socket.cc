#include "lib/linux/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/linux/system_error.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

// Returns the path in the form of `Endpoint::Unix`.
std::string UnixPath(const sockaddr_storage& storage, socklen_t size) {
  const size_t offset = offsetof(sockaddr_un, sun_path);
  if (size <= offset) return "";
  sockaddr_un local;
  std::memcpy(&local, &storage, sizeof local);
  std::string path(local.sun_path, std::min<size_t>(size - offset, sizeof local.sun_path));
  if (path.front() == '\0') {
    path.front() = '@';
    return path;
  }
  return path.substr(0, path.find('\0'));
}

}  // namespace

SocketAddress::SocketAddress(const Endpoint& endpoint) {
  const ByteView address = endpoint.address();
  if (endpoint.family() == Endpoint::Family::kIpv4) {
    sockaddr_in ipv4 = {};
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(endpoint.port());
    std::memcpy(&ipv4.sin_addr, address.data(), address.size());
    std::memcpy(&storage, &ipv4, size = sizeof ipv4);
  } else if (endpoint.family() == Endpoint::Family::kIpv6) {
    sockaddr_in6 ipv6 = {};
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = htons(endpoint.port());
    std::memcpy(&ipv6.sin6_addr, address.data(), address.size());
    std::memcpy(&storage, &ipv6, size = sizeof ipv6);
  } else if (endpoint.family() == Endpoint::Family::kUnix) {
    sockaddr_un local = {};
    local.sun_family = AF_UNIX;
    const absl::string_view path = endpoint.path().substr(0, sizeof local.sun_path);
    std::memcpy(local.sun_path, path.data(), path.size());
    const bool is_abstract = absl::StartsWith(path, "@");
    if (is_abstract) local.sun_path[0] = '\0';
    std::memcpy(&storage, &local, sizeof local);
    // A path ends with a NUL; the name of an abstract socket ends with the address.
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() +
                                  (is_abstract ? 0 : 1));
  }
}

Endpoint SocketAddress::ToEndpoint() const {
  if (storage.ss_family == AF_INET) {
    sockaddr_in ipv4;
    std::memcpy(&ipv4, &storage, sizeof ipv4);
    const auto* address = reinterpret_cast<const uint8_t*>(&ipv4.sin_addr);
    return Endpoint(ByteView(address, sizeof ipv4.sin_addr), ntohs(ipv4.sin_port));
  }
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 ipv6;
    std::memcpy(&ipv6, &storage, sizeof ipv6);
    const auto* address = reinterpret_cast<const uint8_t*>(&ipv6.sin6_addr);
    return Endpoint(ByteView(address, sizeof ipv6.sin6_addr), ntohs(ipv6.sin6_port));
  }
  if (storage.ss_family == AF_UNIX) return Endpoint::Unix(UnixPath(storage, size));
  return Endpoint();
}

Endpoint LocalEndpoint(int fd) {
  SocketAddress address;
  if (getsockname(fd, address.get(), &address.size) != 0) return Endpoint();
  return address.ToEndpoint();
}

Endpoint PeerEndpoint(int fd) {
  SocketAddress address;
  if (getpeername(fd, address.get(), &address.size) != 0) return Endpoint();
  return address.ToEndpoint();
}

void SetStreamOptions(int fd, bool tcp) {
  const int on = 1;
  if (tcp) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // Otherwise a byte marked as urgent would be missing from the stream (RFC 6093).
  setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
}

OwnedFd OpenStreamSocket(Endpoint::Family family) {
  const bool tcp = family != Endpoint::Family::kUnix;
  const int domain = family == Endpoint::Family::kIpv6 ? AF_INET6 : tcp ? AF_INET : AF_UNIX;
  const int protocol = tcp ? IPPROTO_TCP : 0;
  OwnedFd fd(socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  if (fd.valid()) SetStreamOptions(fd.get(), tcp);
  return fd;
}

void SetKeepalive(int fd, absl::Duration silence) {
  if (silence <= absl::ZeroDuration()) return;
  constexpr int kProbes = 4;
  const auto seconds = [](absl::Duration duration) {
    return static_cast<int>(std::clamp<int64_t>(absl::ToInt64Seconds(duration), 1, 32767));
  };
  const int on = 1;
  const int idle = seconds(silence);
  const int interval = seconds(silence / kProbes);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &kProbes, sizeof kProbes);
}

absl::Status ConnectError(const Endpoint& endpoint, int error) {
  const std::string name = endpoint.ToString();
  const auto fail = [](ErrorCode code, std::string detail) {
    return MakeError(code, Phase::kDial, std::move(detail));
  };
  switch (error) {
    case ECONNREFUSED:
      return fail(ErrorCode::kTransport, absl::StrCat(name, " refused the connection"));
    case ETIMEDOUT:
      return fail(ErrorCode::kTimeout, absl::StrCat(name, " did not answer"));
    case EADDRNOTAVAIL:
      return fail(ErrorCode::kOverLimit,
                  absl::StrCat("cannot connect to ", name, ": no local port or address is free"));
    default:
      if (IsExhaustion(error)) {
        return fail(ErrorCode::kOverLimit,
                    absl::StrCat("cannot connect to ", name, ": ", ErrnoText(error)));
      }
      return fail(ErrorCode::kTransport,
                  absl::StrCat("cannot connect to ", name, ": ", ErrnoText(error)));
  }
}

absl::Status ListenError(const Endpoint& endpoint, int error) {
  const std::string name = endpoint.ToString();
  const auto fail = [](ErrorCode code, std::string detail) {
    return MakeError(code, Phase::kSetUp, std::move(detail));
  };
  switch (error) {
    case EADDRINUSE:
      return fail(ErrorCode::kConfiguration, absl::StrCat(name, " is in use by another program"));
    case EADDRNOTAVAIL:
      return fail(ErrorCode::kConfiguration,
                  absl::StrCat(name, " is not an address of this machine"));
    case EACCES:
      return fail(ErrorCode::kConfiguration, absl::StrCat("no permission to listen on ", name));
    case ENOENT:
    case ENOTDIR:
      return fail(ErrorCode::kConfiguration,
                  absl::StrCat("cannot listen on ", name, ": the directory does not exist"));
    case EAFNOSUPPORT:
      return fail(ErrorCode::kConfiguration,
                  absl::StrCat("cannot listen on ", name, ": IPv6 is switched off"));
    default:
      return fail(ErrorCode::kTransport,
                  absl::StrCat("cannot listen on ", name, ": ", ErrnoText(error)));
  }
}

}  // namespace trestle
