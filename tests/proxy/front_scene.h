// FrontScene: one client that may do anything, in front of a terminator: for tests of what is told
// to the host and to the client when that goes wrong.
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

  /// What the server shows unless told otherwise: a certificate for "app.test".
  static LeafSpec Leaf();

  // ---- before `Start` ----

  /// The client's context, for what it offers and shows.
  SSL_CTX* context() { return context_.get(); }
  void Offer(const std::string& protocol);

  /// Has the server require certificates of the test CA, under the other terms of `policy`.
  void AskForCertificates(ClientAuthPolicy policy = {}, const std::string& crls = "");

  /// Makes the terminator of `tls` and `proxy`, or takes any other block.
  void Start();
  void StartBlock(std::unique_ptr<ProxyBlock> block) { block_ = std::move(block); }

  // ---- the client: always the last connection ----

  void Connect();
  /// Connects, and makes its handshake as far as it gets.
  void Join(const std::string& name = "app.test");
  /// Connects, and sends the first so many bytes of its hello.
  void SayHello(size_t bytes = kAllBytes);
  /// Sends bytes below TLS; connects first if need be.
  void Say(absl::string_view bytes);
  /// Sends bytes within TLS.
  void Send(absl::string_view text);
  /// FIN without close_notify / RST.
  void End();
  void Cut();
  /// A connection whose socket fails with `words`.
  void ConnectByBrokenSocket(const std::string& words);

  /// Carries bytes both ways until nothing moves.
  void Pump();
  RawPeer& peer() { return *peer_; }

  // ---- afterwards ----

  /// Lets everything that failed come to its end.
  void Finish();
  void DestroyBlock() { block_.reset(); }
  ProxyBlock& block() { return *block_; }

  /// Of the connection that closed last.
  const std::optional<Error>& failure() const { return observer.closed.back().error; }

  /// The fatal alert that the client got, or kNoAlert.
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
