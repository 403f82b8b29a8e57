#include "lib/linux/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/linux/system_error.h"
#include "trestle/base/error.h"

namespace trestle {

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

OwnedFd OpenTcpSocket(Endpoint::Family family) {
  const int domain = family == Endpoint::Family::kIpv6 ? AF_INET6 : AF_INET;
  OwnedFd fd(socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!fd.valid()) return fd;
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // Otherwise a byte marked as urgent would be missing from the stream (RFC 6093).
  setsockopt(fd.get(), SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
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
      return fail(ErrorCode::kConfiguration, absl::StrCat(name, " is no address of this machine"));
    case EACCES:
      return fail(ErrorCode::kConfiguration, absl::StrCat("no permission to listen on ", name));
    case EAFNOSUPPORT:
      return fail(ErrorCode::kConfiguration,
                  absl::StrCat("cannot listen on ", name, ": IPv6 is switched off"));
    default:
      return fail(ErrorCode::kTransport,
                  absl::StrCat("cannot listen on ", name, ": ", ErrnoText(error)));
  }
}

}  // namespace trestle
