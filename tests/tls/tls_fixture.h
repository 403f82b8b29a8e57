// What the tests of the tls floor share: a PKI, a loop with virtual time, engines joined in memory,
// and a bare BoringSSL peer that can do what no engine does.
#ifndef TRESTLE_TESTS_TLS_TLS_FIXTURE_H_
#define TRESTLE_TESTS_TLS_TLS_FIXTURE_H_

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/pki/pki_fixture.h"
#include "trestle/base/error.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/tls_engine.h"

namespace trestle::testing {

constexpr size_t kAllBytes = static_cast<size_t>(-1);

/// The alert of a failed status, or -1.
int AlertOf(const absl::Status& status);

/// Moves at most `max_bytes` from one queue to another; returns how many.
size_t MoveBytes(ByteQueue& from, ByteQueue& to, size_t max_bytes = kAllBytes);

/// Two engines, joined in memory.
struct EnginePair {
  std::unique_ptr<TlsEngine> client;
  std::unique_ptr<TlsEngine> server;

  /// Runs both handshakes, carrying at most `chunk` bytes at a time, until neither gets on.
  void Handshake(size_t chunk = kAllBytes);

  /// Carries all bytes both ways, once.
  void Carry();
};

/// Reads what there is, until the engine would block or ends; `end` gets its last state.
std::string ReadAll(TlsEngine& engine, IoState* end = nullptr);

/// Writes `text`, which must fit.
void WriteAll(TlsEngine& engine, absl::string_view text);

/// A plain BoringSSL connection whose bytes go through strings.
class RawPeer {
 public:
  /// `context` is taken a reference of.
  RawPeer(SSL_CTX* context, bool is_server);

  SSL* ssl() { return ssl_.get(); }

  /// One step of the handshake; returns SSL_get_error's answer, SSL_ERROR_NONE when done.
  int Handshake();

  /// Carries bytes both ways and shakes hands with `engine` until neither gets on.
  void Handshake(TlsEngine& engine);

  /// Carries what each has queued to the other.
  void Carry(TlsEngine& engine);

  void Write(absl::string_view text);
  /// Reads until the peer would block; `error` gets SSL_get_error's last answer.
  std::string ReadAll(int* error = nullptr);

  /// Takes what the peer wants to send.
  std::string TakeOutput();
  void GiveInput(absl::string_view bytes);

 private:
  bssl::UniquePtr<SSL> ssl_;
};

/// A context for RawPeer that trusts anyone.
bssl::UniquePtr<SSL_CTX> MakeRawContext();

/// Gives a raw server's context a certificate that a Credential might refuse.
void UsePem(SSL_CTX* context, const PemPair& pair);

class TlsTest : public ::testing::Test {
 protected:
  SimulatedLoop loop_;
  TestPki pki_{loop_.Now()};

  std::shared_ptr<CertificateStore> MakeStore(const std::vector<LeafSpec>& leaves);

  /// A server for "a.test", or with the options given (certificates are filled in where missing).
  std::shared_ptr<const ServerTlsConfig> MakeServerConfig(ServerTlsOptions options = {});
  std::shared_ptr<const ClientTlsConfig> MakeClientConfig(ClientTlsOptions options = {});

  std::unique_ptr<TlsEngine> MakeServer(ServerTlsOptions options = {});
  std::unique_ptr<TlsEngine> MakeClient(ClientTlsOptions options = {},
                                        ClientTlsTarget target = {"a.test", {}});
  EnginePair MakePair(ServerTlsOptions server = {}, ClientTlsOptions client = {},
                      ClientTlsTarget target = {"a.test", {}});

  /// A pair that is through with its handshake, with nothing left to carry.
  EnginePair MakeJoinedPair(TlsVersion version = TlsVersion::kTls13);

  /// Parameters that allow `version` only.
  static TlsParameters Only(TlsVersion version);
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_TLS_TLS_FIXTURE_H_
