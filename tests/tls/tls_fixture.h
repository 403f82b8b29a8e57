// The common parts of the tls floor's tests: a PKI, a loop with virtual time, and engines joined in
// memory. A BoringSSL peer can do things that no engine does.
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

/// Returns the alert of a failed status, or -1.
int AlertOf(const absl::Status& status);

/// Moves at most `max_bytes` from one queue to another; returns the number of bytes.
size_t MoveBytes(ByteQueue& from, ByteQueue& to, size_t max_bytes = kAllBytes);

/// Two engines, joined in memory.
struct EnginePair {
  std::unique_ptr<TlsEngine> client;
  std::unique_ptr<TlsEngine> server;

  /// Runs both handshakes until neither advances; carries at most `chunk` bytes at a time.
  void Handshake(size_t chunk = kAllBytes);

  /// Carries all bytes in both directions, once.
  void Carry();
};

/// Reads until the engine would block or ends; `end` receives its last state.
std::string ReadAll(TlsEngine& engine, IoState* end = nullptr);

/// Writes `text`, which must fit.
void WriteAll(TlsEngine& engine, absl::string_view text);

/// A connection of BoringSSL alone whose bytes pass through strings.
class RawPeer {
 public:
  /// Takes a reference of `context`.
  RawPeer(SSL_CTX* context, bool is_server);

  SSL* ssl() { return ssl_.get(); }

  /// Makes one step of the handshake; returns SSL_get_error's result, SSL_ERROR_NONE when complete.
  int Handshake();

  /// Runs the handshake with `engine`, and carries bytes in both directions, until neither
  /// advances.
  void Handshake(TlsEngine& engine);

  /// Carries the queued bytes of each side to the other.
  void Carry(TlsEngine& engine);

  void Write(absl::string_view text);
  /// Reads until the peer would block; `error` receives SSL_get_error's last result.
  std::string ReadAll(int* error = nullptr);

  /// Takes the peer's output.
  std::string TakeOutput();
  void GiveInput(absl::string_view bytes);

 private:
  bssl::UniquePtr<SSL> ssl_;
};

/// Creates a context for RawPeer that trusts every peer.
bssl::UniquePtr<SSL_CTX> MakeRawContext();

/// Sets a certificate, which a Credential might reject, in the context of a server.
void UsePem(SSL_CTX* context, const PemPair& pair);

class TlsTest : public ::testing::Test {
 protected:
  SimulatedLoop loop_;
  TestPki pki_{loop_.Now()};

  std::shared_ptr<CertificateStore> MakeStore(const std::vector<LeafSpec>& leaves);

  /// Creates a server for "a.test", or with the given options (with certificates if they have
  /// none).
  std::shared_ptr<const ServerTlsConfig> MakeServerConfig(ServerTlsOptions options = {});
  std::shared_ptr<const ClientTlsConfig> MakeClientConfig(ClientTlsOptions options = {});

  std::unique_ptr<TlsEngine> MakeServer(ServerTlsOptions options = {});
  std::unique_ptr<TlsEngine> MakeClient(ClientTlsOptions options = {},
                                        ClientTlsTarget target = {"a.test", {}});
  EnginePair MakePair(ServerTlsOptions server = {}, ClientTlsOptions client = {},
                      ClientTlsTarget target = {"a.test", {}});

  /// Returns a pair with a complete handshake and no bytes to carry.
  EnginePair MakeJoinedPair(TlsVersion version = TlsVersion::kTls13);

  /// Parameters that allow `version` only.
  static TlsParameters Only(TlsVersion version);
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_TLS_TLS_FIXTURE_H_
