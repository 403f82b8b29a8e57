#include "trestle/linux/tcp_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cstring>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/linux/socket.h"
#include "lib/linux/socket_file.h"
#include "lib/linux/system_error.h"
#include "trestle/base/error.h"
#include "trestle/linux/tcp_transport.h"

namespace trestle {
namespace {

bool SetOption(int fd, int level, int option) {
  const int on = 1;
  return setsockopt(fd, level, option, &on, sizeof on) == 0;
}

// Returns -1 on failure.
int GetOption(int fd, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

// Drops segments for a socket that arrive with a lower TTL (GTSM, RFC 5082); 0 drops none. On a
// listening socket this affects only SYNs, which clients retransmit; pending handshakes complete.
// Needs no privilege, unlike a socket filter on some kernels.
void SetMinTtl(int fd, Endpoint::Family family, int ttl) {
  if (family == Endpoint::Family::kIpv6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &ttl, sizeof ttl);
  } else {
    setsockopt(fd, IPPROTO_IP, IP_MINTTL, &ttl, sizeof ttl);
  }
}

// Returns whether accept(2) failed because of the connection that it took off the queue.
bool IsConnectionError(int error) {
  switch (error) {
    case ECONNABORTED:
    case EINTR:
    case EPERM:  // A firewall rule.
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

// Makes `socket` listen; false on failure, with the reason in errno.
bool ListenOn(int socket, const Endpoint& endpoint, const TcpListenerOptions& options) {
  SetKeepalive(socket, options.keepalive);
  const SocketAddress address(endpoint);
  const bool ipv6 = endpoint.family() == Endpoint::Family::kIpv6;
  const bool claim = options.port_use == PortUse::kClaim;
  // A claim binds and listens without SO_REUSEPORT. The system then refuses it if any program
  // listens, and refuses others. Only then the address is opened for joining. SO_REUSEADDR is for
  // connections in TIME_WAIT, which must not prevent a restart.
  return SetOption(socket, SOL_SOCKET, SO_REUSEADDR) &&
         (!ipv6 || SetOption(socket, IPPROTO_IPV6, IPV6_V6ONLY)) &&
         (claim || SetOption(socket, SOL_SOCKET, SO_REUSEPORT)) &&
         bind(socket, address.get(), address.size) == 0 && listen(socket, options.backlog) == 0 &&
         (!claim || SetOption(socket, SOL_SOCKET, SO_REUSEPORT));
}

// The same for an abstract Unix-domain socket.
bool ListenOnName(int socket, const Endpoint& endpoint, const TcpListenerOptions& options) {
  const SocketAddress address(endpoint);
  return bind(socket, address.get(), address.size) == 0 && listen(socket, options.backlog) == 0;
}

// Returns the addresses of all interfaces, with `port`; empty if the system reports none.
std::vector<Endpoint> InterfaceAddresses(Endpoint::Family family, uint16_t port) {
  std::vector<Endpoint> found;
  ifaddrs* interfaces = nullptr;
  if (getifaddrs(&interfaces) != 0) return found;
  for (const ifaddrs* i = interfaces; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr == nullptr) continue;
    SocketAddress address;
    const bool ipv4 = i->ifa_addr->sa_family == AF_INET;
    if (!ipv4 && i->ifa_addr->sa_family != AF_INET6) continue;
    address.size = ipv4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    std::memcpy(&address.storage, i->ifa_addr, address.size);
    const Endpoint endpoint = address.ToEndpoint();
    if (endpoint.family() == family) found.emplace_back(endpoint.address(), port);
  }
  freeifaddrs(interfaces);
  return found;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TcpListener>> TcpListener::Create(
    FdLoop& loop, const Endpoint& endpoint, Callback on_connection,
    const TcpListenerOptions& options) {
  if (!endpoint.is_ip() && endpoint.path().empty()) {
    return ConfigurationError("there is no address to listen on");
  }
  OwnedFd socket = OpenStreamSocket(endpoint.family());
  if (!socket.valid()) return ListenError(endpoint, errno);
  std::unique_ptr<SocketFile> file;
  if (absl::StartsWith(endpoint.path(), "/")) {
    auto listening = SocketFile::Listen(socket.get(), endpoint, options);
    if (!listening.ok()) return listening.status();
    file = *std::move(listening);
  } else {
    const bool listens = endpoint.is_ip() ? ListenOn(socket.get(), endpoint, options)
                                          : ListenOnName(socket.get(), endpoint, options);
    if (!listens) return ListenError(endpoint, errno);
  }
  const Endpoint local = endpoint.is_ip() ? LocalEndpoint(socket.get()) : endpoint;
  auto listener = absl::WrapUnique(
      new TcpListener(loop, std::move(socket), local, std::move(on_connection), options));
  listener->file_ = std::move(file);
  return Start(std::move(listener));
}

absl::StatusOr<std::unique_ptr<TcpListener>> TcpListener::Adopt(FdLoop& loop, OwnedFd socket,
                                                                Callback on_connection,
                                                                const TcpListenerOptions& options) {
  const Endpoint local = LocalEndpoint(socket.get());
  const bool listens = GetOption(socket.get(), SO_TYPE) == SOCK_STREAM &&
                       GetOption(socket.get(), SO_ACCEPTCONN) == 1;
  if (!listens || local.family() == Endpoint::Family::kNone) {
    return ConfigurationError(
        absl::StrCat("descriptor ", socket.get(), " is no listening socket of TCP or Unix domain"));
  }
  if (fcntl(socket.get(), F_SETFL, O_NONBLOCK) != 0 ||
      fcntl(socket.get(), F_SETFD, FD_CLOEXEC) != 0) {
    return SystemError("cannot set up a listening socket", errno);
  }
  SetStreamOptions(socket.get(), local.is_ip());
  SetKeepalive(socket.get(), options.keepalive);
  auto listener = absl::WrapUnique(
      new TcpListener(loop, std::move(socket), local, std::move(on_connection), options));
  listener->adopted_ = true;
  return Start(std::move(listener));
}

absl::StatusOr<std::unique_ptr<TcpListener>> TcpListener::Share(FdLoop& loop,
                                                                const TcpListener& other,
                                                                Callback on_connection,
                                                                const TcpListenerOptions& options) {
  OwnedFd socket(fcntl(other.socket_.get(), F_DUPFD_CLOEXEC, 0));
  if (!socket.valid()) return SystemError("cannot share a listening socket", errno);
  auto listener = absl::WrapUnique(
      new TcpListener(loop, std::move(socket), other.local_, std::move(on_connection), options));
  listener->adopted_ = other.adopted_;
  return Start(std::move(listener));
}

absl::StatusOr<std::unique_ptr<TcpListener>> TcpListener::Start(
    std::unique_ptr<TcpListener> listener) {
  const absl::Status watched = listener->loop_.Watch(listener->socket_.get(), *listener);
  if (!watched.ok()) return watched;
  listener->loop_.Await(listener->socket_.get(), EPOLLIN);
  return listener;
}

TcpListener::TcpListener(FdLoop& loop, OwnedFd socket, const Endpoint& local,
                         Callback on_connection, const TcpListenerOptions& options)
    : loop_(loop),
      socket_(std::move(socket)),
      options_(options),
      local_(local),
      on_connection_(std::move(on_connection)) {}

TcpListener::~TcpListener() {
  if (destroyed_ != nullptr) *destroyed_ = true;
  Stop();
}

std::vector<Endpoint> TcpListener::AddressesOf(const Endpoint& endpoint) {
  std::vector<Endpoint> addresses = {endpoint};
  if (!endpoint.IsUnspecified()) return addresses;
  const std::vector<Endpoint> others = InterfaceAddresses(endpoint.family(), endpoint.port());
  addresses.insert(addresses.end(), others.begin(), others.end());
  return addresses;
}

void TcpListener::Retire(absl::AnyInvocable<void()> done) {
  retired_ = std::move(done);
  file_.reset();
  if (adopted_) {
    Stop();
    retirement_ = loop_.RunAfter(absl::ZeroDuration(), [this] { FinishRetiring(); });
    return;
  }
  // No packet starts with more than 255, and those of clients mostly with 64 or 128.
  if (socket_.valid() && local_.is_ip()) SetMinTtl(socket_.get(), local_.family(), 255);
  retirement_ = loop_.RunAfter(options_.retire_time, [this] { FinishRetiring(); });
}

void TcpListener::FinishRetiring() {
  // More than the system's queue can hold, so that this ends even if new ones arrive.
  if (socket_.valid() && !Accept(options_.backlog + options_.accept_batch).has_value()) return;
  Stop();
  // The call may destroy the listener.
  absl::AnyInvocable<void()> retired = std::exchange(retired_, nullptr);
  retired();
}

void TcpListener::Stop() {
  again_.reset();
  retirement_.reset();
  file_.reset();
  if (!socket_.valid()) return;
  loop_.Unwatch(socket_.get());
  socket_.Reset();
}

void TcpListener::OnFdReady(uint32_t /*events*/) {
  if (again_ == nullptr) AcceptBatch();
}

void TcpListener::AcceptBatch() {
  const std::optional<Accepting> accepting = Accept(options_.accept_batch);
  if (!accepting.has_value()) return;
  if (*accepting == Accepting::kIsDone && socket_.valid()) loop_.Await(socket_.get(), EPOLLIN);
  // The report is consumed, so the rest of the queue must be remembered here.
  if (*accepting == Accepting::kGoesOn) AcceptAgainAfter(absl::ZeroDuration());
  if (*accepting == Accepting::kMustWait) AcceptAgainAfter(options_.retry_delay);
}

// Empty if the listener was destroyed meanwhile.
std::optional<TcpListener::Accepting> TcpListener::Accept(int at_most) {
  bool destroyed = false;
  destroyed_ = &destroyed;
  // On the stack, because the call may destroy the listener.
  Callback on_connection = std::move(on_connection_);
  Accepting accepting = Accepting::kGoesOn;
  for (int i = 0; i < at_most && accepting == Accepting::kGoesOn; ++i) {
    accepting = AcceptOne(on_connection);
    if (destroyed) return std::nullopt;
  }
  destroyed_ = nullptr;
  on_connection_ = std::move(on_connection);
  return accepting;
}

TcpListener::Accepting TcpListener::AcceptOne(Callback& on_connection) {
  if (!socket_.valid()) return Accepting::kIsDone;
  SocketAddress peer;
  OwnedFd socket(accept4(socket_.get(), peer.get(), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket.valid() && errno == EAGAIN) return Accepting::kIsDone;
  if (!socket.valid() && IsConnectionError(errno)) return Accepting::kGoesOn;
  std::unique_ptr<Transport> connection;
  absl::Status failure;
  if (!socket.valid()) {
    failure = SystemError("cannot accept a connection", errno);
  } else {
    // It is inherited.
    if (retirement_ != nullptr && local_.is_ip()) SetMinTtl(socket.get(), local_.family(), 0);
    const Endpoint local = local_.IsUnspecified() ? LocalEndpoint(socket.get()) : local_;
    // A client may give its Unix-domain socket any name, so the name tells nothing.
    const Endpoint from = local_.is_ip() ? peer.ToEndpoint() : Endpoint::Unix("");
    auto created = TcpTransport::Create(loop_, std::move(socket), local, from);
    failure = created.status();
    if (created.ok()) connection = *std::move(created);
  }
  if (!failure.ok()) {
    ++failures_;
    if (on_failure_) on_failure_(failure);
    return Accepting::kMustWait;
  }
  ++accepted_;
  on_connection(std::move(connection));
  return Accepting::kGoesOn;
}

void TcpListener::AcceptAgainAfter(absl::Duration delay) {
  again_ = loop_.RunAfter(delay, [this] {
    again_.reset();
    AcceptBatch();
  });
}

}  // namespace trestle
