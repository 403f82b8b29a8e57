// TlsSocket: a non-blocking TCP connection on loopback, with BoringSSL on it or without. The load
// client and the backend are made of it, and share no code with the proxies they measure.
#ifndef TRESTLE_BENCH_PEERS_TLS_SOCKET_H_
#define TRESTLE_BENCH_PEERS_TLS_SOCKET_H_

#include <openssl/base.h>
#include <openssl/ssl.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "trestle/linux/owned_fd.h"

namespace trestle::bench {

/// What a call on a socket came to, beside a number of bytes above 0.
constexpr ssize_t kEnd = 0;
constexpr ssize_t kWait = -1;
constexpr ssize_t kBroken = -2;

/// Listens on a free port of 127.0.0.1. Ends the program where that is not possible.
OwnedFd ListenOnLoopback(uint16_t* port);

/// Finds a port of 127.0.0.1 that nobody listens on at the moment.
uint16_t FreePort();

/// Starts to connect to a port of 127.0.0.1. Not valid where the system refuses.
OwnedFd ConnectToLoopback(uint16_t port);

class TlsSocket final {
 public:
  /// Speaks clear text where `ssl` is null.
  TlsSocket(OwnedFd fd, bssl::UniquePtr<SSL> ssl);

  int fd() const { return fd_.get(); }
  SSL* ssl() const { return ssl_.get(); }

  /// 1 once the handshake is done (at once without TLS), kWait or kBroken.
  ssize_t Handshake();
  ssize_t Read(void* out, size_t bytes);
  ssize_t Write(const void* data, size_t bytes);

  /// Ends the direction towards the peer: close_notify, if TLS, and FIN.
  void EndWrite();

 private:
  ssize_t Settle(int ssl_result);

  OwnedFd fd_;
  bssl::UniquePtr<SSL> ssl_;
};

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_PEERS_TLS_SOCKET_H_
