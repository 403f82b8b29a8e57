// The TLS configuration of a leg. Made and checked once, then shared by all connections and
// threads. The defaults are safe; options that weaken them begin with `dangerous_`.
#ifndef TRESTLE_TLS_TLS_CONFIG_H_
#define TRESTLE_TLS_TLS_CONFIG_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "trestle/base/endpoint.h"
#include "trestle/pki/trust_store.h"
#include "trestle/tls/acme_tokens.h"
#include "trestle/tls/certificate_compressor.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/client_session_cache.h"
#include "trestle/tls/credential_selector.h"
#include "trestle/tls/ech_keys.h"
#include "trestle/tls/peer_verifier.h"
#include "trestle/tls/server_session_cache.h"
#include "trestle/tls/ticket_key_ring.h"

typedef struct ssl_ctx_st SSL_CTX;

namespace trestle {

class CompressionCache;

enum class TlsVersion : uint8_t { kTls12, kTls13 };

/// Key exchange groups. X25519MLKEM768 is the post-quantum hybrid.
enum class TlsGroup : uint8_t { kX25519MlKem768, kX25519, kP256, kP384, kP521 };

/// Returns X25519MLKEM768, X25519, P-256, P-384 and P-521, in this order. The last two are slow and
/// serve peers without the others.
std::vector<TlsGroup> DefaultGroups();

/// Parameters of both sides. TLS 1.2 is limited to ECDHE with AEAD ciphers. Renegotiation,
/// compression and 0-RTT are off.
struct TlsParameters {
  TlsVersion min_version = TlsVersion::kTls12;
  TlsVersion max_version = TlsVersion::kTls13;
  /// In order of preference.
  std::vector<TlsGroup> groups = DefaultGroups();
};

/// Parameter presets, named as in Mozilla's guidelines.
enum class TlsPreset : uint8_t {
  kModern,        ///< TLS 1.3 only.
  kIntermediate,  ///< TLS 1.2 and 1.3: the default.
};

TlsParameters ParametersOf(TlsPreset preset);

/// The server's reaction to a server name that no credential covers.
enum class UnknownName : uint8_t {
  kFallback,  ///< Presents the store's fallback credential, as most servers do.
  kRefuse,    ///< Refuses with the alert unrecognized_name (RFC 6066 3).
};

/// The server's reaction to a client that offers application protocols, but none of its own.
enum class AlpnMismatch : uint8_t {
  kRefuse,        ///< Refuses with no_application_protocol (ErrorCode::kAlpnMismatch).
  kServeWithout,  ///< Continues without a protocol, as if the client had offered none.
};

/// Receives the secrets of connections. A reader of these secrets can decrypt the connections.
class KeyLog {
 public:
  virtual ~KeyLog() = default;

  /// Receives one line of an SSLKEYLOGFILE (RFC 9850), without its end. Any thread may call it.
  virtual void OnLine(absl::string_view line) const = 0;
};

/// Options of servers.
///
/// What can change while connections are open. Each change applies to later handshakes; open
/// connections continue unchanged and keep their config alive.
///   - certificates: CertificateStore::Replace. Session tickets survive.
///   - client_authentication: ClientAuthentication::Replace. Sessions made under other terms are
///     not resumed.
///   - ech_keys: EchKeys::Replace, then EchKeys::CheckPublicNames.
///   - ticket_keys: TicketKeyRing::Replace for rings of FromKeys; other rings refresh by
///     themselves.
///   - session_cache: ServerSessionCache::Clear.
///   - acme_tokens: AcmeTokens::Set and Remove.
///   - All others: make a new ServerTlsConfig for new connections. Give it the same stores,
///     `ticket_keys` and `session_cache`; sessions then resume if `policy()` is equal.
struct ServerTlsOptions {
  TlsParameters parameters;
  /// Required. Its Replace() may be called at any time; open connections and tickets survive.
  std::shared_ptr<CertificateStore> certificates;
  UnknownName unknown_name = UnknownName::kFallback;
  /// Application protocols in order of preference (RFC 7301). Empty: the extension is ignored. A
  /// client without ALPN is always served.
  std::vector<std::string> alpn;
  AlpnMismatch alpn_mismatch = AlpnMismatch::kRefuse;
  /// Answers ACME challenges (TLS-ALPN-01, RFC 8737). A client with a challenge gets its answer and
  /// the connection carries nothing else. Without an answer it is refused with
  /// ErrorCode::kNoCertificate. Null: such clients are treated like others.
  std::shared_ptr<AcmeTokens> acme_tokens;
  /// Requests and verifies client certificates. Null: requests none. Its Replace() may be called at
  /// any time.
  std::shared_ptr<ClientAuthentication> client_authentication;
  /// Verifies every client certificate that `client_authentication` accepts, also for resumed
  /// sessions. Null: none.
  std::shared_ptr<const PeerVerifier> client_verifier;
  /// Finds certificates for names that `certificates` does not cover. Null: none.
  std::shared_ptr<const CredentialSelector> selector;
  /// Decrypts encrypted ClientHellos (RFC 9849). `certificates` must have one for each public name.
  /// Null: the server reads only the outer hello, and clients with a config of this server fail.
  std::shared_ptr<EchKeys> ech_keys;
  /// The longest wait of a handshake for a local answer, such as a signature. Then it fails with
  /// ErrorCode::kTimeout. Does not apply to a HelloHook.
  absl::Duration answer_timeout = absl::Seconds(5);
  /// KeyUpdates (RFC 8446 4.6.3) that a client may send within a minute; more fail with
  /// ErrorCode::kOverLimit. Each costs new keys, and a reply if it requests one. At least 1. Limits
  /// on keys need one update in hundreds of gigabytes, far below the default.
  int max_key_updates_per_minute = 60;
  /// The keys that encrypt session tickets. Null: keys of this config only, which end with it. One
  /// ring may serve several configs: sessions stay within one policy and one name.
  std::shared_ptr<TicketKeyRing> ticket_keys;
  /// Keeps sessions of TLS 1.2 clients without tickets. Null: they don't resume. One cache may
  /// serve several configs, as a ring may.
  std::shared_ptr<ServerSessionCache> session_cache;
  /// Compresses certificates for clients that support it (RFC 8879), in order of preference; each
  /// algorithm once. The result is cached for later clients.
  std::vector<std::shared_ptr<const CertificateCompressor>> certificate_compressors;
  /// Starts with records that fit into one TCP segment, so that the client can use each as it
  /// arrives. Large records follow after 128 KiB; small ones return after a second of silence.
  /// Costs some CPU and bytes at the start of a response.
  bool dynamic_record_sizing = false;
  /// Answers a plaintext HTTP/1.1 client with status 400 in clear text. False: sends no byte. Both
  /// refuse it with ErrorCode::kNotTls.
  bool answer_plain_http = false;
  /// For debugging only: receives the secrets of all connections, which decrypt them. Null: none.
  std::shared_ptr<const KeyLog> dangerous_key_log;
};

/// Immutable and thread-safe. Holds the SSL_CTX of its connections. A change of certificates does
/// not replace it.
class ServerTlsConfig {
 public:
  /// Fails with ErrorCode::kConfiguration if an option is missing or contradicts another.
  static absl::StatusOr<std::shared_ptr<const ServerTlsConfig>> Create(ServerTlsOptions options);
  ~ServerTlsConfig();

  const ServerTlsOptions& options() const { return options_; }

  /// Returns a digest of `alpn` and `alpn_mismatch`. A resumed session must come from the same
  /// policy, the same server name and the same client authentication rules.
  const std::string& policy() const { return policy_; }

 private:
  friend class TlsInternals;

  ServerTlsConfig(ServerTlsOptions options, std::string policy, SSL_CTX* native);

  SSL_CTX* native() const { return native_; }

  // Returns the cached results of the compressors.
  CompressionCache& compressed() const { return *compressed_; }

  const ServerTlsOptions options_;
  const std::string policy_;
  SSL_CTX* const native_;
  const std::unique_ptr<CompressionCache> compressed_;
};

/// Options of clients.
///
/// To change an option while connections are open, make a new ClientTlsConfig for new connections.
/// Open connections keep theirs. The ClientSessionCache may stay: sessions resume if `policy()` is
/// equal.
struct ClientTlsOptions {
  TlsParameters parameters;
  /// Required, unless `dangerous_skip_verify` is set: the CAs that peers must chain to, as PEM
  /// text.
  std::string ca_pem;
  /// Revocation lists (RFC 5280 5), as PEM text. If there are any, each CA of a peer's chain must
  /// have one that is valid now; otherwise the peer is refused.
  std::string crl_pem = "";
  /// Public key pins: the peer's chain must have at least one, in addition to all other checks.
  /// Base64 of the SHA-256 of the SubjectPublicKeyInfo, with or without "sha256/" in front (RFC
  /// 7469 2.4). Add a backup pin of a key that is stored elsewhere, in case the first key is lost.
  /// Empty: any key.
  std::vector<std::string> pins = {};
  /// The shortest keys accepted below the root, in bits. They may be raised, not lowered.
  int min_rsa_bits = 2048;
  int min_ec_bits = 256;
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
};

/// Immutable and thread-safe.
class ClientTlsConfig {
 public:
  /// Fails with ErrorCode::kConfiguration for missing or unreadable CA certificates, malformed
  /// pins, limits that are too low, or contradicting options.
  static absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> Create(ClientTlsOptions options);
  ~ClientTlsConfig();

  const ClientTlsOptions& options() const { return options_; }

  /// Returns the parsed CAs and revocation lists; null if no CA is trusted.
  const TrustStore* trust() const { return trust_.get(); }

  /// Returns the earliest nextUpdate of the revocation lists; InfiniteFuture without any.
  absl::Time crls_end() const { return crls_end_; }

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
  absl::Time crls_end_ = absl::InfiniteFuture();
};

/// The target of one client connection.
struct ClientTlsTarget {
  /// Required: the DNS name that the peer must prove (SAN; the subject's CN is ignored), also sent
  /// as SNI. Or an IP address, which must be in the SAN and is not sent (RFC 6066 3). May be empty
  /// if `verify_name` is set: no SNI is sent then.
  std::string server_name;
  /// Application protocols to offer, in order; empty sends no ALPN. If the peer selects none, the
  /// handshake fails with ErrorCode::kAlpnMismatch.
  std::vector<std::string> alpn;
  /// Accepts a peer without ALPN. A peer that selects a protocol that was not offered is always
  /// refused.
  bool alpn_optional = false;
  /// The name that the peer must prove instead of `server_name`, which is then only sent. A DNS
  /// name, an IP address or a URI (SPIFFE ID). Empty: `server_name`. An empty name never means "no
  /// check".
  std::string verify_name = "";
  /// The endpoint of the connection. Sessions of one endpoint are not offered to another.
  Endpoint endpoint = {};
  /// Keeps sessions for later connections and offers those of earlier ones; may be null. Must
  /// outlive the connection.
  ClientSessionCache* sessions = nullptr;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_TLS_CONFIG_H_
