// ClientAuthentication: decides which server names request a client certificate, and which
// certificates they accept. `Replace` changes all policies at any time, as in CertificateStore.
#ifndef TRESTLE_TLS_CLIENT_AUTHENTICATION_H_
#define TRESTLE_TLS_CLIENT_AUTHENTICATION_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "trestle/pki/trust_store.h"

namespace trestle {

class ClientAuthRules;

enum class ClientCertificate : uint8_t {
  kNone,      ///< Not requested.
  kOptional,  ///< Requested. Serves clients without one; refuses a bad one.
  kRequired,  ///< Refuses clients without one (ErrorCode::kClientCertificateMissing).
};

/// The certificates that a policy accepts. One match in any list is enough. A name matches its own
/// kind only. All lists empty: every certificate that the trust store verifies.
struct AllowedClients {
  std::vector<std::string> dns_names;  ///< Patterns: "a.test", "*.a.test", "**.a.test".
  std::vector<std::string> uri_names;  ///< Exact, or prefixes that end in "/*".
  std::vector<std::array<uint8_t, 32>> key_sha256;  ///< Digests of SubjectPublicKeyInfos.
};

/// What one set of server names asks of clients.
struct ClientAuthPolicy {
  ClientCertificate certificate = ClientCertificate::kNone;
  /// Required, unless `certificate` is kNone. Policies may share it.
  std::shared_ptr<const TrustStore> trust;
  /// The most intermediates between leaf and trust anchor: 0 to 8.
  int max_intermediates = 4;
  AllowedClients allowed;
};

/// A policy for server names: "a.test", "*.a.test" or "**.a.test".
struct NamedClientAuthPolicy {
  std::string names;
  ClientAuthPolicy policy;
};

/// The policies of a ClientAuthentication.
struct ClientAuthOptions {
  /// For hellos without a server name, and for names that no pattern covers. The client chooses the
  /// server name. If one backend serves names with different policies, make this the strictest. Or
  /// the backend must check the name and identity that the proxy reports.
  ClientAuthPolicy otherwise;
  /// The most specific pattern applies, as for routes and certificates.
  std::vector<NamedClientAuthPolicy> by_name;
};

/// Thread-safe.
class ClientAuthentication {
 public:
  /// Fails with ErrorCode::kConfiguration for a policy that requests certificates without a trust
  /// store or accepts a malformed name. Also fails for a limit out of range, and for a pattern that
  /// is malformed or duplicate.
  static absl::StatusOr<std::shared_ptr<ClientAuthentication>> Create(ClientAuthOptions options);
  ~ClientAuthentication();

  /// Uses `options` for handshakes from now on: all or nothing. May be called at any time; open
  /// connections stay. A session made under other terms (mode, CAs, limits, accepted clients) is
  /// not resumed. If only revocation lists changed it is resumed, unless they or the dates now
  /// reject the certificate.
  absl::Status Replace(ClientAuthOptions options);

  /// Tells whether two server names, or a name and no name, have policies that differ beyond
  /// revocation lists.
  bool differs_by_name() const;

 private:
  friend class TlsInternals;
  friend class TlsReload;

  explicit ClientAuthentication(std::shared_ptr<const ClientAuthRules> rules);

  std::shared_ptr<const ClientAuthRules> current() const;

  // The half of `Replace` that can't fail.
  void Use(std::shared_ptr<const ClientAuthRules> rules);

  mutable absl::Mutex mutex_;
  std::shared_ptr<const ClientAuthRules> current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CLIENT_AUTHENTICATION_H_
