#include "bench/peers/tls_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/log/check.h"

namespace trestle::bench {
namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

OwnedFd NewSocket() {
  OwnedFd fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (fd.valid()) setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return fd;
}

ssize_t SettleSystemCall(ssize_t result) {
  if (result >= 0) return result;
  return errno == EAGAIN || errno == EINTR ? kWait : kBroken;
}

}  // namespace

OwnedFd ListenOnLoopback(uint16_t* port) {
  OwnedFd fd = NewSocket();
  sockaddr_in address = Loopback(*port);
  socklen_t address_bytes = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  const int on = 1;
  PCHECK(fd.valid());
  PCHECK(setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
  PCHECK(bind(fd.get(), generic, sizeof(address)) == 0);
  PCHECK(listen(fd.get(), 4096) == 0);
  PCHECK(getsockname(fd.get(), generic, &address_bytes) == 0);
  *port = ntohs(address.sin_port);
  return fd;
}

uint16_t FreePort() {
  uint16_t port = 0;
  ListenOnLoopback(&port);
  return port;
}

OwnedFd ConnectToLoopback(uint16_t port) {
  OwnedFd fd = NewSocket();
  const sockaddr_in address = Loopback(port);
  if (!fd.valid()) return fd;
  const int result =
      connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  if (result != 0 && errno != EINPROGRESS) fd.Reset();
  return fd;
}

TlsSocket::TlsSocket(OwnedFd fd, bssl::UniquePtr<SSL> ssl)
    : fd_(std::move(fd)), ssl_(std::move(ssl)) {
  const int on = 1;
  setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (ssl_ != nullptr) SSL_set_fd(ssl_.get(), fd_.get());
}

ssize_t TlsSocket::Settle(int ssl_result) {
  switch (SSL_get_error(ssl_.get(), ssl_result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return kWait;
    case SSL_ERROR_ZERO_RETURN:
      return kEnd;
    default:
      return kBroken;
  }
}

ssize_t TlsSocket::Handshake() {
  if (ssl_ == nullptr) return 1;
  const int result = SSL_do_handshake(ssl_.get());
  return result == 1 ? 1 : std::min(Settle(result), kWait);
}

ssize_t TlsSocket::Read(void* out, size_t bytes) {
  if (ssl_ == nullptr) return SettleSystemCall(recv(fd_.get(), out, bytes, 0));
  const int result = SSL_read(ssl_.get(), out, static_cast<int>(bytes));
  return result > 0 ? result : Settle(result);
}

ssize_t TlsSocket::Write(const void* data, size_t bytes) {
  if (ssl_ == nullptr) return SettleSystemCall(send(fd_.get(), data, bytes, MSG_NOSIGNAL));
  const int result = SSL_write(ssl_.get(), data, static_cast<int>(std::min<size_t>(bytes, 16384)));
  return result > 0 ? result : Settle(result);
}

void TlsSocket::EndWrite() {
  if (ssl_ != nullptr) SSL_shutdown(ssl_.get());
  shutdown(fd_.get(), SHUT_WR);
}

}  // namespace trestle::bench
