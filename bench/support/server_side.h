// ServerSide: the server's side of handshakes at each layer, and of bare BoringSSL. All are
// measured in turns with one client.
#ifndef TRESTLE_BENCH_SUPPORT_SERVER_SIDE_H_
#define TRESTLE_BENCH_SUPPORT_SERVER_SIDE_H_

#include <openssl/base.h>
#include <openssl/ssl.h>

#include <memory>

#include "bench/support/hot_loop.h"
#include "bench/support/measure.h"
#include "trestle/base/bytes.h"
#include "trestle/tls/server_tls_config.h"

namespace trestle::bench {

/// A server under measurement. Its cost is the cost of its functions.
class ServerSide {
 public:
  virtual ~ServerSide() = default;
  virtual void Start() = 0;
  virtual void Receive(ByteView bytes) = 0;
  /// Sends one byte, after the tickets.
  virtual void Answer() = 0;
  virtual ByteView sent() = 0;
  virtual void ClearSent() = 0;
  /// `close_notify` is the client's, for servers that wait for it.
  virtual void End(ByteView close_notify) = 0;
};

enum class Layer { kEngine, kStream, kTerminator };

std::unique_ptr<ServerSide> NewBareServer(SSL_CTX* context);
std::unique_ptr<ServerSide> NewServer(Layer layer, std::shared_ptr<const ServerTlsConfig> config,
                                      HotLoop& loop);

/// Makes one handshake, and measures the server's part of it. If `session` is not null, resumes it
/// and replaces it with the new one.
Stopwatch MakeHandshake(ServerSide& server, SSL_CTX* client_context,
                        bssl::UniquePtr<SSL_SESSION>* session);

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_SUPPORT_SERVER_SIDE_H_
