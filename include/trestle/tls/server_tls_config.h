// ServerTlsConfig: how a TLS server serves its clients. Made and checked once, then shared by all
// connections and threads. The defaults are safe; options that weaken them begin with `dangerous_`.
#ifndef TRESTLE_TLS_SERVER_TLS_CONFIG_H_
#define TRESTLE_TLS_SERVER_TLS_CONFIG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trestle/tls/acme_tokens.h"
#include "trestle/tls/certificate_compressor.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/credential_selector.h"
#include "trestle/tls/ech_keys.h"
#include "trestle/tls/key_log.h"
#include "trestle/tls/peer_verifier.h"
#include "trestle/tls/server_session_cache.h"
#include "trestle/tls/ticket_key_ring.h"
#include "trestle/tls/tls_parameters.h"

typedef struct ssl_ctx_st SSL_CTX;

namespace trestle {

class CompressionCache;

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

}  // namespace trestle

#endif  // TRESTLE_TLS_SERVER_TLS_CONFIG_H_
