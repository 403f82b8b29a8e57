// ClientTlsConfig: how a TLS client verifies servers. Made and checked once, then shared by all
// connections and threads. The defaults are safe; options that weaken them begin with `dangerous_`.
#ifndef TRESTLE_TLS_CLIENT_TLS_CONFIG_H_
#define TRESTLE_TLS_CLIENT_TLS_CONFIG_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "trestle/pki/trust_store.h"
#include "trestle/tls/credential.h"
#include "trestle/tls/peer_verifier.h"
#include "trestle/tls/tls_parameters.h"

typedef struct ssl_ctx_st SSL_CTX;

namespace trestle {

/// Options of clients.
///
/// To change an option while connections are open, make a new ClientTlsConfig for new connections.
/// Open connections keep theirs. The ClientSessionCache may stay: sessions resume if `policy()` is
/// equal.
struct ClientTlsOptions {
  TlsParameters parameters;
  /// Required, unless `trust_domains` or `dangerous_skip_verify` is set: the CAs that peers must
  /// chain to, as PEM text.
  std::string ca_pem;
  /// Revocation lists (RFC 5280 5), as PEM text. If there are any, each CA of a peer's chain must
  /// have one that is valid now; otherwise the peer is refused.
  std::string crl_pem = "";
  /// Public key pins: the peer's chain must have at least one, in addition to all other checks.
  /// Base64 of the SHA-256 of the SubjectPublicKeyInfo, with or without "sha256/" in front (RFC
  /// 7469 2.4). Add a backup pin of a key that is stored elsewhere, in case the first key is lost.
  /// Empty: any key.
  std::vector<std::string> pins = {};
  /// Offers only signature algorithms and ciphers of this key type. A server with certificates of
  /// several types presents that one, or fails the handshake. Empty: any type.
  std::optional<KeyType> peer_key_type = std::nullopt;
  /// Disables authentication: accepts any certificate for any name, so an attacker can intercept
  /// the connection.
  bool dangerous_skip_verify = false;
  /// Presented to servers that request a certificate. Null: presents none.
  std::shared_ptr<const Credential> credential;
  /// Requests a stapled OCSP response for `TlsEngine::served_chain`. The response is not verified.
  bool request_staple = false;
  /// Verifies every server that passed all other checks, also for resumed sessions and if no other
  /// check applies. Null: none.
  std::shared_ptr<const PeerVerifier> verifier = nullptr;
  /// Instead of `ca_pem`, for SPIFFE: the CAs of each trust domain, as in
  /// TrustStore::CreateForTrustDomains.
  std::vector<TrustDomainCas> trust_domains = {};
  /// The URIs that peers may have, instead of the name of a ClientTlsTarget, which is then only
  /// sent. Exact, or prefixes that end in "/*": spiffe://example.org/billing/*. Empty: the name
  /// counts.
  std::vector<std::string> peer_uris = {};
};

/// Immutable and thread-safe.
class ClientTlsConfig {
 public:
  /// Fails with ErrorCode::kConfiguration for missing or unreadable CA certificates, malformed
  /// pins or URIs, limits that are too low, or contradicting options.
  static absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> Create(ClientTlsOptions options);
  ~ClientTlsConfig();

  const ClientTlsOptions& options() const { return options_; }

  /// Returns the parsed CAs and revocation lists; null if no CA is trusted.
  const std::shared_ptr<const TrustStore>& trust() const { return trust_; }

  /// Returns the parsed pins.
  absl::Span<const std::array<uint8_t, 32>> pins() const { return pins_; }

  /// Returns a digest of all options that verification and negotiation depend on. Sessions of
  /// another policy are not resumed.
  const std::string& policy() const { return policy_; }

 private:
  friend class TlsInternals;
  using Pins = std::vector<std::array<uint8_t, 32>>;

  ClientTlsConfig(ClientTlsOptions options, Pins pins, SSL_CTX* native,
                  std::shared_ptr<const TrustStore> trust);

  SSL_CTX* native() const { return native_; }

  const ClientTlsOptions options_;
  const Pins pins_;
  const std::string policy_;
  SSL_CTX* const native_;
  const std::shared_ptr<const TrustStore> trust_;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CLIENT_TLS_CONFIG_H_
