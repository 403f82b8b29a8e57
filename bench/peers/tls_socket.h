// TlsSocket: a non-blocking TCP connection on loopback, with or without BoringSSL. The load client
// and the backend use it, and share no code with the proxies.
#ifndef TRESTLE_BENCH_PEERS_TLS_SOCKET_H_
#define TRESTLE_BENCH_PEERS_TLS_SOCKET_H_

#include <openssl/base.h>
#include <openssl/ssl.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "trestle/linux/owned_fd.h"

namespace trestle::bench {

/// Results of a call on a socket other than a number of bytes above 0.
constexpr ssize_t kEnd = 0;
constexpr ssize_t kWait = -1;
constexpr ssize_t kBroken = -2;

/// Listens on a port of 127.0.0.1, on a free one if `*port` is 0. Ends the program on failure.
OwnedFd ListenOnLoopback(uint16_t* port);

/// Returns a port of 127.0.0.1 on which no program listens at the moment.
uint16_t FreePort();

/// Starts to connect to a port of 127.0.0.1. The result is not valid if the system refuses.
OwnedFd ConnectToLoopback(uint16_t port);

class TlsSocket final {
 public:
  /// Uses clear text if `ssl` is null.
  TlsSocket(OwnedFd fd, bssl::UniquePtr<SSL> ssl);

  int fd() const { return fd_.get(); }
  SSL* ssl() const { return ssl_.get(); }

  /// Returns 1 once the handshake is done (at once without TLS), kWait or kBroken.
  ssize_t Handshake();
  ssize_t Read(void* out, size_t bytes);
  ssize_t Write(const void* data, size_t bytes);

  /// Ends the direction towards the peer: close_notify (with TLS) and FIN.
  void EndWrite();

 private:
  ssize_t Settle(int ssl_result);

  OwnedFd fd_;
  bssl::UniquePtr<SSL> ssl_;
};

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_PEERS_TLS_SOCKET_H_
