// ClientAuthentication: which server names ask clients for a certificate, and whom they let in.
// Replaceable as a whole while connections are made, as CertificateStore is.
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
#include "trestle/tls/trust_store.h"

namespace trestle {

class ClientAuthRules;

enum class ClientCertificate : uint8_t {
  kNone,      ///< Not asked for.
  kOptional,  ///< Asked for. A client without one is served, one with a bad one is refused.
  kRequired,  ///< A client without one is refused (ErrorCode::kClientCertificateMissing).
};

/// Certificates that a policy lets in. One match in any of the lists is enough; a name counts as
/// its own kind only. All lists empty: every certificate that the trust store vouches for.
struct AllowedClients {
  std::vector<std::string> dns_names;  ///< Patterns: "a.test", "*.a.test", "**.a.test".
  std::vector<std::string> uri_names;  ///< Exact; or all that begin so, where it ends in "/*".
  std::vector<std::array<uint8_t, 32>> key_sha256;  ///< Digests of SubjectPublicKeyInfos.
};

struct ClientAuthPolicy {
  ClientCertificate certificate = ClientCertificate::kNone;
  /// Required, unless no certificate is asked for. Names may share it.
  std::shared_ptr<const TrustStore> trust;
  /// Certificates between the client's own and the CA's: 0 to 8.
  int max_intermediates = 4;
  AllowedClients allowed;
};

/// A policy for the server names of a pattern: "a.test", "*.a.test" or "**.a.test".
struct NamedClientAuthPolicy {
  std::string names;
  ClientAuthPolicy policy;
};

struct ClientAuthOptions {
  /// For hellos without a server name, and for the names that nothing below covers. A client picks
  /// the name that it asks for: where one backend serves names of several policies, it must look at
  /// the name and the identity that the proxy tells it, or this must be the strictest of them.
  ClientAuthPolicy otherwise;
  /// The most specific pattern counts, as for routes and certificates.
  std::vector<NamedClientAuthPolicy> by_name;
};

/// Thread-safe.
class ClientAuthentication {
 public:
  /// Fails with ErrorCode::kConfiguration: a policy that asks for certificates without a trust
  /// store or lets in by a malformed name, a limit out of range, a pattern that is malformed or
  /// there twice.
  static absl::StatusOr<std::shared_ptr<ClientAuthentication>> Create(ClientAuthOptions options);
  ~ClientAuthentication();

  /// Uses `options` for handshakes from now on, all or nothing; open connections stay. A session
  /// that was made under other terms (mode, CAs, limits, allowed clients) is not resumed; where
  /// only revocation lists changed it is, unless they or the dates forbid it by then.
  absl::Status Replace(ClientAuthOptions options);

  /// Tells whether at least two server names, or a name and the lack of one, have policies that
  /// differ in more than the revocation lists.
  bool differs_by_name() const;

  /// For the tls floor: what applies now.
  std::shared_ptr<const ClientAuthRules> current() const;

 private:
  explicit ClientAuthentication(std::shared_ptr<const ClientAuthRules> rules);

  mutable absl::Mutex mutex_;
  std::shared_ptr<const ClientAuthRules> current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CLIENT_AUTHENTICATION_H_
