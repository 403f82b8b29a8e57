// The backend of all proxies: a small HTTP/1.1 server, with and without TLS, in its own process.
#ifndef TRESTLE_BENCH_PEERS_BACKEND_H_
#define TRESTLE_BENCH_PEERS_BACKEND_H_

#include <openssl/base.h>
#include <sys/types.h>

#include <cstdint>

#include "trestle/linux/owned_fd.h"

namespace trestle::bench {

/// Serves two listening sockets in this process, for ever; see Backend for the requests.
[[noreturn]] void ServeBackend(OwnedFd clear, OwnedFd tls, SSL_CTX* context);

/// Answers "GET /N" with N bytes, and "POST /N" with N bytes after it has read the body.
class Backend final {
 public:
  /// Starts the process. It ends with this process or with this object.
  explicit Backend(SSL_CTX* tls);
  ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  uint16_t clear_port() const { return clear_port_; }
  uint16_t tls_port() const { return tls_port_; }

 private:
  uint16_t clear_port_ = 0;
  uint16_t tls_port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_PEERS_BACKEND_H_
