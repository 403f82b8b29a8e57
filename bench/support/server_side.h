// ServerSide: the server's side of handshakes at each layer, and bare BoringSSL's, to be measured
// in turns with one client.
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

/// What a handshake is measured with. Its own cost is that of its functions.
class ServerSide {
 public:
  virtual ~ServerSide() = default;
  virtual void Start() = 0;
  virtual void Receive(ByteView bytes) = 0;
  /// Sends one byte, in front of which the tickets leave.
  virtual void Answer() = 0;
  virtual ByteView sent() = 0;
  virtual void ClearSent() = 0;
  /// `close_notify` is the client's, for who wants to see one.
  virtual void End(ByteView close_notify) = 0;
};

enum class Layer { kEngine, kStream, kTerminator };

std::unique_ptr<ServerSide> NewBareServer(SSL_CTX* context);
std::unique_ptr<ServerSide> NewServer(Layer layer, std::shared_ptr<const ServerTlsConfig> config,
                                      HotLoop& loop);

/// Makes one handshake, and measures the server's part of it. If `session` is not null, resumes it
/// and puts the new one there.
Stopwatch MakeHandshake(ServerSide& server, SSL_CTX* client_context,
                        bssl::UniquePtr<SSL_SESSION>* session);

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_SUPPORT_SERVER_SIDE_H_
