#include "trestle/linux/udp_sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/linux/socket.h"
#include "lib/linux/system_error.h"
#include "lib/linux/udp_scratch.h"
#include "trestle/base/error.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {
namespace {

void SetOption(int fd, int level, int option, int value) {
  setsockopt(fd, level, option, &value, sizeof value);
}

bool TurnOn(int fd, int level, int option) {
  const int on = 1;
  return setsockopt(fd, level, option, &on, sizeof on) == 0;
}

OwnedFd OpenUdpSocket(Endpoint::Family family) {
  const bool ipv6 = family == Endpoint::Family::kIpv6;
  OwnedFd fd(
      socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP));
  if (!fd.valid()) return fd;
  // QUIC finds the largest datagrams by itself, and must not be fragmented (RFC 9000 14).
  if (ipv6) {
    SetOption(fd.get(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
  } else {
    SetOption(fd.get(), IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  }
  // Kernels before 5.0 don't know it; datagrams then come one by one.
  SetOption(fd.get(), SOL_UDP, UDP_GRO, 1);
  return fd;
}

// As TcpListener: a claim binds without SO_REUSEPORT, so that the system refuses it if another
// program has the port.
bool BindTo(int fd, const Endpoint& local, PortUse port_use) {
  const SocketAddress address(local);
  const bool ipv6 = local.family() == Endpoint::Family::kIpv6;
  const bool claim = port_use == PortUse::kClaim;
  return (!ipv6 || TurnOn(fd, IPPROTO_IPV6, IPV6_V6ONLY)) &&
         (claim || TurnOn(fd, SOL_SOCKET, SO_REUSEPORT)) &&
         bind(fd, address.get(), address.size) == 0 &&
         (!claim || TurnOn(fd, SOL_SOCKET, SO_REUSEPORT));
}

// Returns whether a failure to send concerns one datagram: its size, or its way.
bool IsLossOfOne(int error) {
  switch (error) {
    case EMSGSIZE:
    case EINVAL:
    case EPERM:  // A firewall rule.
    case EACCES:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
      return true;
    default:
      return false;
  }
}

}  // namespace

class UdpSockets::Scratch {
 public:
  UdpScratch messages;
  bool segments = true;  // Until the system refuses them.
};

class UdpSockets::Socket final : public DatagramSocket, private FdWatcher {
 public:
  // The addresses of a socket that is not connected.
  struct Bound {
    Endpoint local;
    bool names_local = false;
  };

  Socket(UdpSockets& sockets, OwnedFd fd, std::unique_ptr<Bound> bound)
      : sockets_(sockets), fd_(std::move(fd)), bound_(std::move(bound)) {}

  ~Socket() override { sockets_.loop_.Unwatch(fd_.get()); }

  absl::Status Watch() { return sockets_.loop_.WatchForInput(fd_.get(), *this); }

  DatagramResult Receive(absl::FunctionRef<void(absl::Span<const Datagram>)> take) override {
    if (std::exchange(may_have_error_, false)) {
      socklen_t size = sizeof error_;
      int error = 0;
      if (getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0) {
        return Fail(0, error);
      }
    }
    UdpScratch& scratch = sockets_.scratch_->messages;
    int messages;
    do {
      messages = scratch.Receive(fd_.get());
    } while (messages < 0 && errno == EINTR);
    if (messages < 0) {
      if (errno == EAGAIN) return {0, IoState::kWouldBlock};
      return Fail(0, errno);
    }
    const absl::Span<const Datagram> datagrams = scratch.Received(
        messages, bound_ == nullptr, bound_ == nullptr ? Endpoint() : bound_->local);
    if (!datagrams.empty()) take(datagrams);
    // With fewer than fit, the queue was empty. What arrives later makes a new event.
    const bool all = messages < static_cast<int>(UdpScratch::kMessages);
    return {datagrams.size(), all ? IoState::kWouldBlock : IoState::kOk};
  }

  DatagramResult Send(absl::Span<const Datagram> batch) override {
    UdpScratch& scratch = sockets_.scratch_->messages;
    bool segments = sockets_.scratch_->segments;
    size_t sent = 0;
    while (sent < batch.size()) {
      scratch.Fill(batch.subspan(sent), segments, bound_ != nullptr,
                   bound_ != nullptr && bound_->names_local);
      const int messages = scratch.Send(fd_.get());
      if (messages > 0) {
        sent += scratch.DatagramsIn(messages);
        continue;
      }
      const int error = errno;
      if (error == EINTR) continue;
      if (error == EAGAIN || error == ENOBUFS) return {sent, IoState::kWouldBlock};
      if (scratch.IsSegmented() && (error == EIO || error == EINVAL || error == EMSGSIZE)) {
        // EIO: the way out can't compute checksums of segments. Otherwise these are too long.
        if (error == EIO) sockets_.scratch_->segments = false;
        segments = false;
        continue;
      }
      if (!IsLossOfOne(error)) return Fail(sent, error);
      sent += scratch.DatagramsIn(1);
    }
    return {sent, IoState::kOk};
  }

  void SetHandler(DatagramHandler* handler) override { handler_ = handler; }

  absl::Status status() const override {
    if (error_ == 0) return absl::OkStatus();
    const ErrorCode code = IsExhaustion(error_) ? ErrorCode::kOverLimit : ErrorCode::kTransport;
    const Endpoint peer = PeerEndpoint(fd_.get());
    return MakeError(
        code, Phase::kRelay,
        absl::StrCat(peer.is_ip() ? peer.ToString() : "a UDP socket", ": ", ErrnoText(error_)));
  }

  Endpoint local_endpoint() const override {
    return bound_ != nullptr ? bound_->local : LocalEndpoint(fd_.get());
  }

 private:
  void OnFdReady(uint32_t events) override {
    if ((events & EPOLLERR) != 0) may_have_error_ = true;
    if ((events & (EPOLLIN | EPOLLERR)) != 0 && handler_ != nullptr) handler_->OnReadable();
  }

  DatagramResult Fail(size_t datagrams, int error) {
    error_ = error;
    return {datagrams, IoState::kFailed};
  }

  UdpSockets& sockets_;
  const OwnedFd fd_;
  int error_ = 0;
  const std::unique_ptr<Bound> bound_;  // Null if connected.
  DatagramHandler* handler_ = nullptr;
  bool may_have_error_ = false;
};

UdpSockets::UdpSockets(EpollLoop& loop) : loop_(loop), scratch_(std::make_unique<Scratch>()) {}

UdpSockets::~UdpSockets() = default;

absl::StatusOr<std::unique_ptr<DatagramSocket>> UdpSockets::Bind(const Endpoint& local,
                                                                 const UdpSocketOptions& options) {
  if (!local.is_ip()) {
    return ConfigurationError(absl::StrCat(local.ToString(), " is no IP:PORT, which UDP needs"));
  }
  OwnedFd fd = OpenUdpSocket(local.family());
  if (!fd.valid() || !BindTo(fd.get(), local, options.port_use)) return ListenError(local, errno);
  SetOption(fd.get(), SOL_SOCKET, SO_RCVBUF, options.buffer_bytes);
  SetOption(fd.get(), SOL_SOCKET, SO_SNDBUF, options.buffer_bytes);
  auto bound = std::make_unique<Socket::Bound>();
  bound->local = LocalEndpoint(fd.get());
  bound->names_local = local.IsUnspecified();
  if (bound->names_local) {
    const bool ipv6 = local.family() == Endpoint::Family::kIpv6;
    const bool turned_on = ipv6 ? TurnOn(fd.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO)
                                : TurnOn(fd.get(), IPPROTO_IP, IP_PKTINFO);
    if (!turned_on) return ListenError(local, errno);
  }
  auto socket = std::make_unique<Socket>(*this, std::move(fd), std::move(bound));
  if (absl::Status status = socket->Watch(); !status.ok()) return status;
  return socket;
}

absl::StatusOr<std::unique_ptr<DatagramSocket>> UdpSockets::Connect(const Endpoint& peer) {
  if (absl::Status status = peer.CheckDialable(); !status.ok()) return status;
  if (!peer.is_ip()) {
    return ConfigurationError(absl::StrCat(peer.ToString(), " is no IP:PORT, which UDP needs"));
  }
  const SocketAddress address(peer);
  OwnedFd fd = OpenUdpSocket(peer.family());
  if (!fd.valid() || connect(fd.get(), address.get(), address.size) != 0) {
    // The system has no local port left.
    return ConnectError(peer, errno == EAGAIN ? EADDRNOTAVAIL : errno);
  }
  auto socket = std::make_unique<Socket>(*this, std::move(fd), nullptr);
  if (absl::Status status = socket->Watch(); !status.ok()) return status;
  return socket;
}

}  // namespace trestle
