// FrontScene: a client with arbitrary behaviour and a terminator, for tests of the errors that the
// host and the client get.
#ifndef TRESTLE_TESTS_PROXY_FRONT_SCENE_H_
#define TRESTLE_TESTS_PROXY_FRONT_SCENE_H_

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/server_tls_config.h"

namespace trestle::testing {

constexpr int kNoAlert = -1;

class FrontScene {
 public:
  FrontScene();
  ~FrontScene();

  /// Returns the server's default certificate, for "app.test".
  static LeafSpec Leaf();

  // ---- before `Start` ----

  /// Returns the client's context, which sets its offers and its certificate.
  SSL_CTX* context() { return context_.get(); }
  void Offer(const std::string& protocol);

  /// Makes the server require certificates of the test CA, with the other settings of `policy`.
  void AskForCertificates(ClientAuthPolicy policy = {}, const std::string& crls = "");

  /// Creates the terminator from `tls` and `proxy`, or uses another block.
  void Start();
  void StartBlock(std::unique_ptr<ProxyBlock> block) { block_ = std::move(block); }

  // ---- the client: always the last connection ----

  void Connect();
  /// Connects, and continues the handshake as far as possible.
  void Join(const std::string& name = "app.test");
  /// Connects, and sends the first `bytes` bytes of its hello.
  void SayHello(size_t bytes = kAllBytes);
  /// Sends bytes below TLS; connects first if needed.
  void Say(absl::string_view bytes);
  /// Sends bytes within TLS.
  void Send(absl::string_view text);
  /// Ends with a FIN without close_notify, or with a RST.
  void End();
  void Cut();
  /// Connects with a socket that fails with `words`.
  void ConnectByBrokenSocket(const std::string& words);

  /// Carries bytes in both directions until none are left.
  void Pump();
  RawPeer& peer() { return *peer_; }

  // ---- afterwards ----

  /// Waits until every failed connection has ended.
  void Finish();
  void DestroyBlock() { block_.reset(); }
  ProxyBlock& block() { return *block_; }

  /// Returns the error of the connection that closed last.
  const std::optional<Error>& failure() const { return observer.closed.back().error; }

  /// Returns the fatal alert that the client received, or kNoAlert.
  int alert() const { return alert_; }

  SimulatedLoop loop;
  TestPki pki{loop.Now()};
  MemoryDialer dialer{loop};
  TestBackend backend{loop, dialer, 1};
  RecordingObserver observer;
  ServerTlsOptions tls;
  TlsTerminatorOptions proxy;
  ConnectionLimits limits;

 private:
  bool Receive();

  const bssl::UniquePtr<SSL_CTX> context_;
  std::unique_ptr<ProxyBlock> block_;
  std::vector<std::unique_ptr<Transport>> earlier_;  // Still open.
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<RawPeer> peer_;
  bool speaks_tls_ = false;
  bool ended_ = false;
  int alert_ = kNoAlert;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_PROXY_FRONT_SCENE_H_
