// ChainChecker: all that is to be said of the certificates that a server showed: whether they are
// good now, by whose fault they first stop being good, and what the server should send instead.
// It judges by the same rules as the back leg of a proxy.
#ifndef TRESTLE_TLS_CHAIN_CHECKER_H_
#define TRESTLE_TLS_CHAIN_CHECKER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/tls/staple.h"
#include "trestle/tls/tls_info.h"
#include "trestle/tls/trust_store.h"

namespace trestle {

/// Names a part in snake_case: "intermediate".
absl::string_view ChainPartName(ChainPart part);

/// The end of a chain's good days.
struct FutureFailure {
  absl::Time when;  ///< The first second at which verification fails.
  ChainPart part = ChainPart::kLeaf;
  std::string subject;  ///< Whose certificate, or whose revocation list; the leaf's for a staple.
  std::string detail;   ///< "intermediate \"CN=Int\" expires on 2026-01-10".
};

/// Words the end of a certificate, or of its issuer's revocation list.
FutureFailure ExpiryOf(PathEnd end);

/// What a served certificate is there for.
enum class ServedRole : uint8_t {
  kLeaf,
  kIntermediate,  ///< Part of the path that verification takes.
  kRoot,          ///< The trusted root: clients have it, or don't trust it.
  kDuplicate,     ///< Sent before.
  kUnused,        ///< No part of the path.
};

/// Names a role in snake_case: "unused".
absl::string_view ServedRoleName(ServedRole role);

/// A certificate that the path needs and that the server didn't send.
struct MissingCertificate {
  std::string subject;
  /// Somebody has it: it is among the CAs or known intermediates, where other clients don't look.
  bool known = false;
};

/// Names a state in snake_case: "revoked".
absl::string_view StapleStateName(StapleState state);

struct ChainReport {
  /// OK, or the TlsError that a connection would fail with: kCertificateExpired, kNameMismatch or
  /// kCertificateUntrusted.
  absl::Status verdict;
  std::vector<CertificateInfo> served;  ///< As sent.
  std::vector<ServedRole> roles;        ///< Of each of `served`.
  /// The chain that verification takes, leaf to root; as far as it gets, where it gets nowhere.
  std::vector<CertificateInfo> path;
  bool trusted = false;                     ///< The path ends at a trust anchor.
  std::vector<MissingCertificate> missing;  ///< In the order of the path.
  bool out_of_order = false;  ///< What was sent of the path isn't in its order (RFC 5246 7.4.2).
  bool must_staple = false;   ///< The leaf demands a staple (RFC 7633).
  StapleReport staple;
  /// Set where the verdict is OK and not for ever: the first moment at which it no longer is, for
  /// certificates only, and with everything that ends by itself and is made anew every few days:
  /// revocation lists, where they are checked, and the staple, where the leaf demands one.
  std::optional<FutureFailure> first_certificate_failure;
  std::optional<FutureFailure> first_failure;
};

struct ChainCheckerOptions {
  /// Required. Its revocation lists, if it has any, are checked.
  std::shared_ptr<const TrustStore> trust;
  /// PEM text of intermediates that help to tell a forgotten one from an unknown CA. They never
  /// make a chain good.
  std::string known_intermediates_pem;
};

/// Immutable; may be used from several threads.
class ChainChecker {
 public:
  /// Fails with ErrorCode::kConfiguration for missing trust and unreadable intermediates.
  static absl::StatusOr<std::shared_ptr<const ChainChecker>> Create(ChainCheckerOptions options);
  ~ChainChecker();

  /// Judges `served` at `now`; its leaf must be for `name`, a DNS name or an IP address. Costs a
  /// few signature checks: a millisecond or so. Never fails: what can't be judged has a bad
  /// verdict.
  ChainReport Check(const ServedChain& served, absl::string_view name, absl::Time now) const;

 private:
  struct State;

  explicit ChainChecker(std::unique_ptr<const State> state);

  const std::unique_ptr<const State> state_;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CHAIN_CHECKER_H_
