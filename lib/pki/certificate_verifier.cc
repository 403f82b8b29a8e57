#include "lib/pki/certificate_verifier.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>

#include <cstddef>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "lib/pki/name_constraints.h"
#include "lib/pki/path_search.h"
#include "lib/pki/pki_internals.h"
#include "lib/pki/trust_anchors.h"
#include "lib/pki/weakness.h"
#include "trestle/base/bytes.h"
#include "trestle/pki/spiffe_id.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

// The most verifications of a complete path, with all signatures and revocation lists.
constexpr int kMaxAttempts = 16;

// The most signature checks that select the paths to verify.
constexpr size_t kMaxSignatureChecks = 64;

// Returns the weakness of `certificate`, apart from its signature's validity; empty if none.
std::string WeaknessOf(const X509* certificate, const ChainRequirements& requirements) {
  if (HasOldSignature(certificate)) return "its signature is made with SHA-1 or older";
  return ShortKeyText(certificate, requirements.min_rsa_bits, requirements.min_ec_bits);
}

// Skips the root: it is trusted by itself.
std::optional<ChainFailure> FindWeakness(const STACK_OF(X509) * verified_chain,
                                         const ChainRequirements& requirements) {
  for (size_t i = 0; i + 1 < sk_X509_num(verified_chain); ++i) {
    X509* certificate = sk_X509_value(verified_chain, i);
    const std::string weakness = WeaknessOf(certificate, requirements);
    if (weakness.empty()) continue;
    return UntrustedCertificate(certificate, "is refused: " + weakness);
  }
  return std::nullopt;
}

std::vector<std::string> UrisOf(const X509* certificate) {
  std::vector<std::string> uris;
  bssl::UniquePtr<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (names == nullptr) return uris;
  for (const GENERAL_NAME* name : names.get()) {
    if (name->type != GEN_URI) continue;
    const ASN1_STRING* text = name->d.uniformResourceIdentifier;
    uris.emplace_back(AsText(
        ByteView(ASN1_STRING_get0_data(text), static_cast<size_t>(ASN1_STRING_length(text)))));
  }
  return uris;
}

// Returns whether a certificate claims to be a CA's, or may sign certificates or revocation lists.
bool MayIssue(X509* certificate) {
  const uint32_t flags = X509_get_extension_flags(certificate);
  const bool has_usages = (flags & EXFLAG_KUSAGE) != 0;
  return (flags & EXFLAG_CA) != 0 ||
         (has_usages &&
          (X509_get_key_usage(certificate) & (X509v3_KU_KEY_CERT_SIGN | X509v3_KU_CRL_SIGN)) != 0);
}

// The trust anchors for one leaf, or why there are none.
struct AnchorsFor {
  const TrustAnchors* anchors = nullptr;
  std::string fault;  // What follows the leaf's subject.
};

// In a store of trust domains, only the leaf's own one may vouch for it (X509-SVID 5.2).
AnchorsFor FindAnchors(const TrustStore& trust, X509* leaf) {
  if (const TrustAnchors* const anchors = PkiInternals::Anchors(trust)) return {anchors, ""};
  const std::vector<std::string> uris = UrisOf(leaf);
  ERR_clear_error();
  if (uris.size() != 1) {
    return {nullptr, absl::StrCat("has ", uris.size(), " URIs, where a SPIFFE ID is the only one")};
  }
  const absl::StatusOr<SpiffeId> id = SpiffeId::Parse(uris.front());
  if (!id.ok()) return {nullptr, "has a URI that is no SPIFFE ID"};
  if (MayIssue(leaf)) {
    return {nullptr, "is a CA's, and so the certificate of no workload"};
  }
  const TrustAnchors* const anchors = PkiInternals::AnchorsOf(trust, id->trust_domain);
  if (anchors != nullptr) return {anchors, ""};
  return {nullptr, absl::StrCat("is of the trust domain \"", id->trust_domain,
                                "\", for which there is no bundle")};
}

std::optional<ChainFailure> FindUnpinned(const STACK_OF(X509) * verified_chain,
                                         const ChainRequirements& requirements) {
  if (requirements.pins.empty()) return std::nullopt;
  for (size_t i = 0; i < sk_X509_num(verified_chain); ++i) {
    const std::array<uint8_t, 32> digest = SpkiSha256(sk_X509_value(verified_chain, i));
    if (absl::c_linear_search(requirements.pins, digest)) return std::nullopt;
  }
  X509* leaf = sk_X509_value(verified_chain, 0);
  const std::array<uint8_t, 32> shown = SpkiSha256(leaf);
  return UntrustedCertificate(
      leaf, absl::StrCat("and its chain have none of the pinned keys; its own is sha256/",
                         absl::Base64Escape(AsText(shown))));
}

// BoringSSL checks DNS names and addresses, but not URIs.
std::optional<ChainFailure> FindWrongUri(const X509* leaf, const ChainRequirements& requirements,
                                         absl::Time now) {
  const PeerName* const name = requirements.name;
  std::vector<std::string> patterns(requirements.uris.begin(), requirements.uris.end());
  if (name != nullptr && !name->uri.empty()) patterns = {name->uri};
  if (patterns.empty()) return std::nullopt;
  for (const std::string& uri : UrisOf(leaf)) {
    const auto covers = [&](const std::string& pattern) {
      return requirements.uris.empty() ? pattern == uri : CoversUri(pattern, uri);
    };
    if (absl::c_any_of(patterns, covers)) return std::nullopt;
  }
  PeerName wanted;
  wanted.uri = absl::StrJoin(patterns, ", ");
  return ExplainVerifyError(X509_V_ERR_HOSTNAME_MISMATCH, leaf, requirements.purpose, &wanted, now);
}

bool SetName(X509_VERIFY_PARAM* param, const PeerName& name) {
  // A subject's common name proves nothing (RFC 9525 6.3).
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  if (!name.ip_address.empty()) {
    return X509_VERIFY_PARAM_set1_ip(
        param, reinterpret_cast<const uint8_t*>(name.ip_address.data()), name.ip_address.size());
  }
  // BoringSSL treats an empty host as "no check".
  if (!name.uri.empty()) return true;
  return !name.dns_name.empty() &&
         X509_VERIFY_PARAM_set1_host(param, name.dns_name.data(), name.dns_name.size());
}

bssl::UniquePtr<STACK_OF(X509)> MakeStack(absl::Span<X509* const> certificates) {
  bssl::UniquePtr<STACK_OF(X509)> stack(sk_X509_new_null());
  for (X509* certificate : certificates) {
    if (stack == nullptr || !bssl::PushToStack(stack.get(), bssl::UpRef(certificate))) {
      return nullptr;
    }
  }
  return stack;
}

ChainFailure InternalFailure() {
  ChainFailure failure;
  failure.error.code = ErrorCode::kInternal;
  failure.error.detail = "the certificate could not be verified for lack of memory";
  failure.verify_error = X509_V_ERR_OUT_OF_MEM;
  return failure;
}

bool IsAboutRevocationList(int verify_error) {
  switch (verify_error) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
      return true;
    default:
      return false;
  }
}

// The errors of X509_verify_cert to ignore in one path.
struct Exceptions {
  /// The index of an anchor that isn't self-signed. Its issuer, and so its revocation list, may be
  /// unknown: it is trusted by itself.
  int issued_anchor = -1;
  /// Found an address constraint: check names once more.
  bool check_names = false;
};

int Overlook(int ok, X509_STORE_CTX* verifier) {
  if (ok == 1) return 1;
  auto& exceptions = *static_cast<Exceptions*>(X509_STORE_CTX_get_app_data(verifier));
  const int verify_error = X509_STORE_CTX_get_error(verifier);
  if (verify_error == X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE) {
    exceptions.check_names = true;
    return 1;
  }
  return IsAboutRevocationList(verify_error) &&
                 X509_STORE_CTX_get_error_depth(verifier) == exceptions.issued_anchor
             ? 1
             : 0;
}

// Verifies single paths: by BoringSSL, then by checks that it lacks.
class PathVerifier {
 public:
  PathVerifier(const ChainRequirements& requirements, absl::Time now)
      : requirements_(requirements), now_(now) {}

  std::optional<ChainFailure> Verify(const PathCandidate& path) const;

 private:
  bool SetUp(X509_STORE_CTX* verifier, bool issued_anchor) const;
  std::optional<ChainFailure> JudgeVerified(const STACK_OF(X509) * verified,
                                            bool check_names) const;
  ChainFailure Explain(X509_STORE_CTX* verifier, const X509* leaf) const;

  const ChainRequirements& requirements_;
  const absl::Time now_;
};

std::optional<ChainFailure> PathVerifier::Verify(const PathCandidate& path) const {
  const absl::Span<X509* const> all(path.certificates);
  const size_t below_anchor = all.size() - (path.anchored ? 1 : 0);
  const bssl::UniquePtr<STACK_OF(X509)> untrusted = MakeStack(all.first(below_anchor));
  const bssl::UniquePtr<STACK_OF(X509)> trusted = MakeStack(all.subspan(below_anchor));
  const bssl::UniquePtr<X509_STORE_CTX> verifier(X509_STORE_CTX_new());
  Exceptions exceptions;
  const bool issued_anchor = path.anchored && !IsSelfSigned(all.back());
  if (issued_anchor) exceptions.issued_anchor = static_cast<int>(all.size()) - 1;
  if (untrusted == nullptr || trusted == nullptr || verifier == nullptr ||
      !X509_STORE_CTX_init(verifier.get(), PkiInternals::Native(*requirements_.trust), all.front(),
                           untrusted.get()) ||
      !X509_STORE_CTX_set_app_data(verifier.get(), &exceptions) ||
      !SetUp(verifier.get(), issued_anchor)) {
    ERR_clear_error();
    return InternalFailure();
  }
  X509_STORE_CTX_set0_trusted_stack(verifier.get(), trusted.get());
  X509_STORE_CTX_set_verify_cb(verifier.get(), Overlook);
  const bool valid = X509_verify_cert(verifier.get()) == 1;
  ERR_clear_error();
  if (!valid) return Explain(verifier.get(), all.front());
  return JudgeVerified(X509_STORE_CTX_get0_chain(verifier.get()), exceptions.check_names);
}

bool PathVerifier::SetUp(X509_STORE_CTX* verifier, bool issued_anchor) const {
  const char* const purpose =
      requirements_.purpose == ChainPurpose::kServer ? "ssl_server" : "ssl_client";
  if (!X509_STORE_CTX_set_default(verifier, purpose)) return false;
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(verifier);
  X509_VERIFY_PARAM_set_depth(param, requirements_.max_intermediates);
  X509_VERIFY_PARAM_set_time_posix(param, absl::ToUnixSeconds(now_));
  unsigned long flags = issued_anchor ? X509_V_FLAG_PARTIAL_CHAIN : 0;
  if (requirements_.check_crls) flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
  X509_VERIFY_PARAM_set_flags(param, flags);
  return requirements_.name == nullptr || SetName(param, *requirements_.name);
}

std::optional<ChainFailure> PathVerifier::JudgeVerified(const STACK_OF(X509) * verified,
                                                        bool check_names) const {
  if (check_names) {
    if (const auto violation = FindNameConstraintViolation(verified)) {
      return ExplainVerifyError(violation->verify_error, violation->certificate,
                                requirements_.purpose, requirements_.name, now_);
    }
  }
  std::optional<ChainFailure> failure = FindWeakness(verified, requirements_);
  if (!failure.has_value()) failure = FindUnpinned(verified, requirements_);
  if (failure.has_value()) return failure;
  return FindWrongUri(sk_X509_value(verified, 0), requirements_, now_);
}

ChainFailure PathVerifier::Explain(X509_STORE_CTX* verifier, const X509* leaf) const {
  int verify_error = X509_STORE_CTX_get_error(verifier);
  if (verify_error == X509_V_OK) verify_error = X509_V_ERR_UNSPECIFIED;
  const X509* at_fault = X509_STORE_CTX_get_current_cert(verifier);
  if (at_fault == nullptr) at_fault = leaf;
  if (IsAboutIssuer(verify_error) &&
      X509_STORE_CTX_get_error_depth(verifier) > requirements_.max_intermediates) {
    ChainFailure too_long = UntrustedCertificate(
        at_fault, absl::StrCat("is one intermediate too many: at most ",
                               requirements_.max_intermediates, " may lead to a CA"));
    too_long.verify_error = X509_V_ERR_CERT_CHAIN_TOO_LONG;
    return too_long;
  }
  return ExplainVerifyError(verify_error, at_fault, requirements_.purpose, requirements_.name,
                            now_);
}

// Tries the candidates in turn, and keeps the most specific failure.
class ChainJudge {
 public:
  ChainJudge(const CertificateChain& chain, const TrustAnchors& anchors,
             const ChainRequirements& requirements, absl::Time now)
      : search_(chain, anchors, requirements.max_intermediates, now),
        verifier_(requirements, now) {}

  ChainVerdict Judge();

 private:
  // The specificity of a path's failure, in rising order.
  enum class Meaning : uint8_t { kNothing, kNoAnchor, kNotSigned, kFault, kVerified };

  bool TryInDates(const PathCandidate& path);
  bool TryAny(const PathCandidate& path);
  bool SignaturesHold(const PathCandidate& path);
  void Note(const PathCandidate& path, Meaning meaning, std::optional<ChainFailure> failure);

  PathSearch search_;
  const PathVerifier verifier_;
  absl::flat_hash_map<std::pair<X509*, X509*>, bool> signatures_;  // Of the first by the second.
  int attempts_ = 0;
  bool gave_up_ = false;
  Meaning meaning_ = Meaning::kNothing;
  ChainVerdict verdict_;
};

ChainVerdict ChainJudge::Judge() {
  search_.Visit(PathSearch::Dates::kValid,
                [this](const PathCandidate& path) { return TryInDates(path); });
  if (meaning_ < Meaning::kFault) {
    search_.Visit(PathSearch::Dates::kAny,
                  [this](const PathCandidate& path) { return TryAny(path); });
  }
  ERR_clear_error();
  if (meaning_ == Meaning::kNothing) verdict_.failure = InternalFailure();
  if (verdict_.failure.has_value() && (gave_up_ || search_.gave_up())) {
    verdict_.failure->error.detail += "; there are more paths to a CA than are tried";
  }
  return std::move(verdict_);
}

// Verifies the first candidate at once: it is nearly always the right one.
bool ChainJudge::TryInDates(const PathCandidate& path) {
  if (attempts_ > 0 && !SignaturesHold(path)) return gave_up_;
  if (attempts_ == kMaxAttempts) return gave_up_ = true;
  ++attempts_;
  std::optional<ChainFailure> failure = verifier_.Verify(path);
  // Other paths have the same leaf, so the same names.
  const bool final_word = !failure.has_value() || failure->error.code == ErrorCode::kNameMismatch;
  const Meaning meaning = !failure.has_value()   ? Meaning::kVerified
                          : final_word           ? Meaning::kFault
                          : SignaturesHold(path) ? Meaning::kFault
                                                 : Meaning::kNotSigned;
  Note(path, meaning, std::move(failure));
  return final_word;
}

// No path within its dates is valid: explains the failure by the best other path.
bool ChainJudge::TryAny(const PathCandidate& path) {
  const Meaning meaning = !path.anchored         ? Meaning::kNoAnchor
                          : SignaturesHold(path) ? Meaning::kFault
                                                 : Meaning::kNotSigned;
  if (meaning > meaning_) {
    std::optional<ChainFailure> failure = verifier_.Verify(path);
    Note(path, failure.has_value() ? meaning : Meaning::kVerified, std::move(failure));
  }
  return meaning_ >= Meaning::kFault || gave_up_;
}

bool ChainJudge::SignaturesHold(const PathCandidate& path) {
  // From the anchor down: a forged certificate costs one check under a trusted key.
  for (size_t i = path.certificates.size() - 1; i > 0; --i) {
    X509* const subject = path.certificates[i - 1];
    X509* const issuer = path.certificates[i];
    const auto [known, is_new] = signatures_.try_emplace({subject, issuer}, false);
    if (is_new) {
      if (signatures_.size() > kMaxSignatureChecks) {
        gave_up_ = true;
        return false;
      }
      EVP_PKEY* const key = X509_get0_pubkey(issuer);
      known->second = key != nullptr && X509_verify(subject, key) == 1;
    }
    if (!known->second) return false;
  }
  return true;
}

void ChainJudge::Note(const PathCandidate& path, Meaning meaning,
                      std::optional<ChainFailure> failure) {
  if (meaning <= meaning_) return;
  meaning_ = meaning;
  verdict_.failure = std::move(failure);
  verdict_.anchored = path.anchored;
  verdict_.path.clear();
  for (X509* certificate : path.certificates) verdict_.path.push_back(bssl::UpRef(certificate));
}

}  // namespace

ChainVerdict VerifyChain(const CertificateChain& chain, const ChainRequirements& requirements,
                         absl::Time now) {
  ChainVerdict verdict;
  if (chain.empty()) {
    verdict.failure = InternalFailure();
    return verdict;
  }
  X509* const leaf = chain.front().get();
  const AnchorsFor found = FindAnchors(*requirements.trust, leaf);
  if (found.anchors != nullptr) {
    return ChainJudge(chain, *found.anchors, requirements, now).Judge();
  }
  verdict.failure = UntrustedCertificate(leaf, found.fault);
  verdict.path.push_back(bssl::UpRef(leaf));
  return verdict;
}

PathEnd EndOfPath(const CertificateChain& path, bool anchored) {
  size_t first = 0;
  absl::Time when = absl::InfiniteFuture();
  for (size_t i = 0; i < path.size(); ++i) {
    int64_t seconds = 0;
    const bool readable = ASN1_TIME_to_posix(X509_get0_notAfter(path[i].get()), &seconds) == 1;
    const absl::Time end = readable ? absl::FromUnixSeconds(seconds) : absl::InfinitePast();
    if (end >= when) continue;
    first = i;
    when = end;
  }
  const ChainPart part = first == 0                             ? ChainPart::kLeaf
                         : anchored && first + 1 == path.size() ? ChainPart::kRoot
                                                                : ChainPart::kIntermediate;
  return {when, part, NameText(X509_get_subject_name(path[first].get()))};
}

}  // namespace trestle
