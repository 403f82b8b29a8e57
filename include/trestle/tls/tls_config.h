// What a TLS leg may negotiate and whom it trusts. Made once, checked when made, shared by all
// connections and threads. The defaults are the safe choice; what weakens them says `dangerous_`.
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
#include "trestle/tls/trust_store.h"

typedef struct ssl_ctx_st SSL_CTX;
typedef struct x509_store_st X509_STORE;

namespace trestle {

class CompressionCache;

enum class TlsVersion : uint8_t { kTls12, kTls13 };

/// Key exchange groups. X25519MLKEM768 is the post-quantum hybrid.
enum class TlsGroup : uint8_t { kX25519MlKem768, kX25519, kP256 };

/// X25519MLKEM768, then X25519, then P-256.
std::vector<TlsGroup> DefaultGroups();

/// What both sides share. TLS 1.2 is limited to ECDHE with AEAD ciphers; renegotiation,
/// compression and 0-RTT are off.
struct TlsParameters {
  TlsVersion min_version = TlsVersion::kTls12;
  TlsVersion max_version = TlsVersion::kTls13;
  /// In order of preference.
  std::vector<TlsGroup> groups = DefaultGroups();
};

/// Ready-made parameters, named as Mozilla's guidelines do.
enum class TlsPreset : uint8_t {
  kModern,        ///< TLS 1.3 only.
  kIntermediate,  ///< TLS 1.2 and 1.3: the default.
};

TlsParameters ParametersOf(TlsPreset preset);

/// What a server does with a name that no credential is for.
enum class UnknownName : uint8_t {
  kFallback,  ///< Shows the store's fallback credential, as most servers do.
  kRefuse,    ///< Refuses with the alert unrecognized_name (RFC 6066 3).
};

/// What a server does with a client that offers application protocols, but none of its own.
enum class AlpnMismatch : uint8_t {
  kRefuse,        ///< Refuses with no_application_protocol (ErrorCode::kAlpnMismatch).
  kServeWithout,  ///< Serves it without a protocol, as if it had offered none.
};

/// Gets the secrets of connections. Whoever has them reads all that was and will be said.
class KeyLog {
 public:
  virtual ~KeyLog() = default;

  /// Takes one line of an SSLKEYLOGFILE (RFC 9850), without its end. Called on any thread.
  virtual void OnLine(absl::string_view line) const = 0;
};

struct ServerTlsOptions {
  TlsParameters parameters;
  /// Required. May be replaced in while connections are made: tickets and connections survive.
  std::shared_ptr<CertificateStore> certificates;
  UnknownName unknown_name = UnknownName::kFallback;
  /// Application protocols in order of preference (RFC 7301). Empty: the extension is ignored.
  /// A client that doesn't use ALPN is served in any case.
  std::vector<std::string> alpn;
  AlpnMismatch alpn_mismatch = AlpnMismatch::kRefuse;
  /// Answers to ACME challenges (TLS-ALPN-01, RFC 8737): who comes with one gets the answer and
  /// nothing else, or is refused with ErrorCode::kNoCertificate. Null: such clients are like
  /// others.
  std::shared_ptr<AcmeTokens> acme_tokens;
  /// Which clients must show a certificate. Null: none is asked. May be replaced in.
  std::shared_ptr<ClientAuthentication> client_authentication;
  /// Asked about every client certificate that `client_authentication` lets in, also about one
  /// whose session is resumed. Null: nobody is asked.
  std::shared_ptr<const PeerVerifier> client_verifier;
  /// Asked for certificates where `certificates` has none for a name. Null: nobody is asked.
  std::shared_ptr<const CredentialSelector> selector;
  /// What opens encrypted ClientHellos (RFC 9849). `certificates` must have one for each public
  /// name. Null: hellos that come encrypted are read as what is around them, and clients with a
  /// config of this server's would be sent away.
  std::shared_ptr<EchKeys> ech_keys;
  /// How long a handshake waits for an answer of this side's own, such as a signature, before it
  /// fails with ErrorCode::kTimeout.
  absl::Duration answer_timeout = absl::Seconds(5);
  /// KeyUpdates (RFC 8446 4.6.3) that a client may send within a minute, before it is refused with
  /// ErrorCode::kOverLimit: each costs new keys, and an answer if it asks for one. From 1. The
  /// default is far above what limits on keys call for, which is one in hundreds of gigabytes.
  int max_key_updates_per_minute = 60;
  /// What session tickets are sealed with. Null: keys of this config's own, which end with it. One
  /// ring may serve several configs: sessions don't cross from one policy or name to another.
  std::shared_ptr<TicketKeyRing> ticket_keys;
  /// Keeps the sessions of TLS 1.2 clients that know no tickets. Null: they don't resume. One cache
  /// may serve several configs, as a ring may.
  std::shared_ptr<ServerSessionCache> session_cache;
  /// How certificates are compressed for clients that can decompress them (RFC 8879), in order of
  /// preference; each algorithm once. What is made for a credential is kept for the next client.
  std::vector<std::shared_ptr<const CertificateCompressor>> certificate_compressors;
  /// Begins with records that fit into one TCP segment, so that the client can use the first of
  /// them before it has the next; large ones follow after 128 KiB, and small ones again after a
  /// second of silence. Costs a little processor time and bytes at the start of an answer.
  bool dynamic_record_sizing = false;
  /// Answers a client that speaks HTTP/1.1 without TLS with a page of status 400, in clear text.
  /// False: it gets no byte. It is refused with ErrorCode::kNotTls in both cases.
  bool answer_plain_http = false;
  /// For debugging only: makes all connections readable for whoever has it. Null: none.
  std::shared_ptr<const KeyLog> dangerous_key_log;
};

/// Immutable and thread-safe. Holds the one SSL_CTX that lives as long as the process, so that a
/// change of certificates costs no session ticket.
class ServerTlsConfig {
 public:
  /// Fails with ErrorCode::kConfiguration when an option is missing or contradicts another.
  static absl::StatusOr<std::shared_ptr<const ServerTlsConfig>> Create(ServerTlsOptions options);
  ~ServerTlsConfig();

  const ServerTlsOptions& options() const { return options_; }
  SSL_CTX* native() const { return native_; }

  /// A digest of all that a resumed session must have in common with the one it came from, beside
  /// the server name and the client policy for it. Sessions of another policy are not resumed.
  const std::string& policy() const { return policy_; }

  /// For the tls floor: what compressors made so far.
  CompressionCache& compressed() const { return *compressed_; }

 private:
  ServerTlsConfig(ServerTlsOptions options, std::string policy, SSL_CTX* native);

  const ServerTlsOptions options_;
  const std::string policy_;
  SSL_CTX* const native_;
  const std::unique_ptr<CompressionCache> compressed_;
};

struct ClientTlsOptions {
  TlsParameters parameters;
  /// Required, unless nothing is verified: the roots that peers must chain to, as PEM text.
  std::string ca_pem;
  /// Revocation lists, as PEM text. If there are any, each CA of a peer's chain must have one that
  /// is valid at the time (RFC 5280 5): without one, nobody knows who was revoked.
  std::string crl_pem = "";
  /// Keys of which a peer's chain must have one, in addition to all else: base64 of the SHA-256 of
  /// the SubjectPublicKeyInfo, with or without "sha256/" in front (RFC 7469 2.4). Name a backup: a
  /// key that is kept elsewhere, for the day on which the first one is lost. Empty: any key.
  std::vector<std::string> pins = {};
  /// Shorter keys are refused below the root. May be raised, not lowered.
  int min_rsa_bits = 2048;
  int min_ec_bits = 256;
  /// Offers signature algorithms and ciphers of this key type only: a server that has certificates
  /// of several types then presents that one, or fails the handshake. Empty: any type.
  std::optional<KeyType> peer_key_type = std::nullopt;
  /// Accepts any certificate, for any name. Everything that TLS protects against is let in.
  bool dangerous_skip_verify = false;
  /// Shown to servers that ask for a certificate. Null: they are shown none.
  std::shared_ptr<const Credential> credential;
  /// Asks the server for a stapled OCSP response, for `TlsEngine::served_chain`. It isn't judged.
  bool request_staple = false;
  /// Asked about every server that passed all other checks, also about one whose session is
  /// resumed, and also where nothing else is verified. Null: nobody is asked.
  std::shared_ptr<const PeerVerifier> verifier = nullptr;
};

/// Immutable and thread-safe.
class ClientTlsConfig {
 public:
  /// Fails with ErrorCode::kConfiguration: no or unreadable CA certificates, malformed pins, limits
  /// that are too low, contradicting options.
  static absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> Create(ClientTlsOptions options);
  ~ClientTlsConfig();

  const ClientTlsOptions& options() const { return options_; }
  SSL_CTX* native() const { return native_; }

  /// The roots, parsed.
  X509_STORE* roots() const;

  /// When the first of the revocation lists runs out; never, without any.
  absl::Time crls_end() const { return crls_end_; }

  /// The pins, read.
  absl::Span<const std::array<uint8_t, 32>> pins() const { return pins_; }

  /// A digest of all that a verdict on a server, and what is negotiated with it, depends on, beside
  /// the target. Sessions of another policy are not resumed.
  const std::string& policy() const { return policy_; }

 private:
  using Pins = std::vector<std::array<uint8_t, 32>>;

  ClientTlsConfig(ClientTlsOptions options, Pins pins, SSL_CTX* native,
                  std::shared_ptr<const TrustStore> trust);

  const ClientTlsOptions options_;
  const Pins pins_;
  const std::string policy_;
  SSL_CTX* const native_;
  const std::shared_ptr<const TrustStore> trust_;
  absl::Time crls_end_ = absl::InfiniteFuture();
};

/// What one client connection asks for.
struct ClientTlsTarget {
  /// Required: the DNS name that the peer must prove (SAN; the subject's CN is ignored), also sent
  /// as SNI; or an IP address, which must be in the SAN and is not sent (RFC 6066 3). May be empty
  /// where `verify_name` isn't: no SNI is sent then.
  std::string server_name;
  /// Application protocols to offer, in order; empty sends no ALPN. If the peer picks none of them
  /// the handshake fails with ErrorCode::kAlpnMismatch.
  std::vector<std::string> alpn;
  /// Accepts a peer that leaves ALPN out. One that chooses what was not offered is refused anyway.
  bool alpn_optional = false;
  /// What the peer must prove in place of `server_name`, which is then only sent: a DNS name, an IP
  /// address or a URI (SPIFFE ID). Empty: `server_name`. An empty name never means "no check".
  std::string verify_name = "";
  /// Where the connection leads. Sessions of one endpoint are not offered to another.
  Endpoint endpoint = {};
  /// Remembers sessions for later connections and offers those of earlier ones; may be null. Must
  /// outlive the connection.
  ClientSessionCache* sessions = nullptr;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_TLS_CONFIG_H_
