// ChainChecker: reports on the certificates that a server presented. It says whether they are valid
// now, which one expires first, and which ones the server should send instead. Uses the rules of a
// proxy's back leg.
#ifndef TRESTLE_PKI_CHAIN_CHECKER_H_
#define TRESTLE_PKI_CHAIN_CHECKER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/pki/certificate_info.h"
#include "trestle/pki/finding.h"
#include "trestle/pki/staple.h"
#include "trestle/pki/trust_store.h"

namespace trestle {

/// Returns the name of a part in snake_case: "intermediate".
absl::string_view EnumName(ChainPart part);

/// The end of a chain's validity.
struct FutureFailure {
  absl::Time when;  ///< The first second at which verification fails.
  ChainPart part = ChainPart::kLeaf;
  std::string subject;  ///< Of the certificate or the list's issuer; the leaf for a staple.
  std::string detail;   ///< "intermediate \"CN=Int\" expires on 2026-01-10".
};

/// Describes the end of a certificate or of its issuer's revocation list.
FutureFailure ExpiryOf(PathEnd end);

/// The role of a certificate that the server sent.
enum class ServedRole : uint8_t {
  kLeaf,
  kIntermediate,  ///< Part of the verified path.
  kRoot,          ///< The trusted root. Clients that trust it have it already.
  kDuplicate,     ///< A copy of an earlier one.
  kUnused,        ///< Not part of the path.
};

/// Returns the name of a role in snake_case: "unused".
absl::string_view EnumName(ServedRole role);

/// A certificate that the path needs and the server did not send.
struct MissingCertificate {
  std::string subject;
  /// It is among the CAs or the known intermediates. Other clients may lack it.
  bool known = false;
};

/// Returns the name of a state in snake_case: "revoked".
absl::string_view EnumName(StapleState state);

/// The verdict about one chain, and its forecast.
struct ChainReport {
  /// OK, or the Error of a connection: kCertificateExpired, kNameMismatch or
  /// kCertificateUntrusted.
  absl::Status verdict;
  std::vector<CertificateInfo> served;  ///< As sent.
  std::vector<ServedRole> roles;        ///< One for each of `served`.
  /// The path that verification uses, leaf to root. Incomplete if no path reaches a root.
  std::vector<CertificateInfo> path;
  bool trusted = false;                     ///< The path ends at a trust anchor.
  std::vector<MissingCertificate> missing;  ///< In the order of the path.
  bool out_of_order = false;  ///< What was sent of the path isn't in its order (RFC 5246 7.4.2).
  bool must_staple = false;   ///< The leaf demands a staple (RFC 7633).
  std::string renewal_id;     ///< Of the leaf, as `RenewalIdOf` returns it; empty if it has none.
  StapleReport staple;
  std::vector<Finding> findings;  ///< As `FindingsOfChain` returns them for the served chain.
  /// The first moment at which an OK verdict ends; empty for other verdicts.
  /// `first_certificate_failure` covers certificates only. `first_failure` also covers documents
  /// that are renewed every few days: revocation lists, if checked, and the staple, if the leaf
  /// requires one.
  std::optional<FutureFailure> first_certificate_failure;
  std::optional<FutureFailure> first_failure;
};

/// What a ChainChecker trusts, and how strict it is.
struct ChainCheckerOptions {
  /// Required. Checks its revocation lists if it has any.
  std::shared_ptr<const TrustStore> trust;
  /// PEM text of intermediates, to distinguish a missing one from an unknown CA. They never make a
  /// chain valid.
  std::string known_intermediates_pem;
  /// A collection of public roots, for `ChainFindingOptions`; null for none.
  std::shared_ptr<const TrustStore> public_roots = nullptr;
  /// Roots that peers drop, likewise; null for none.
  std::shared_ptr<const TrustStore> dropped_roots = nullptr;
  /// The URIs that leaves may have instead of a name, as in ClientTlsOptions; empty: none.
  std::vector<std::string> peer_uris = {};
};

/// Immutable; may be used from several threads.
class ChainChecker {
 public:
  /// Fails with ErrorCode::kConfiguration if `trust` is null or the intermediates are unreadable.
  static absl::StatusOr<std::shared_ptr<const ChainChecker>> Create(ChainCheckerOptions options);
  ~ChainChecker();

  /// Checks `served` at `now` for `name`, a DNS name, an IP address or a URI. Ignores `name` with
  /// ChainCheckerOptions::peer_uris. Takes about a millisecond,
  /// for a few signature checks. Never fails: input that can't be verified gets a bad verdict.
  ChainReport Check(const ServedChain& served, absl::string_view name, absl::Time now) const;

 private:
  struct State;

  explicit ChainChecker(std::unique_ptr<const State> state);

  const std::unique_ptr<const State> state_;
};

}  // namespace trestle

#endif  // TRESTLE_PKI_CHAIN_CHECKER_H_
