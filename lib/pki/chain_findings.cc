#include "trestle/pki/chain_findings.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/pki/certificate_verifier.h"
#include "lib/pki/weakness.h"
#include "lib/pki/x509_certificate.h"
#include "trestle/base/bytes.h"

namespace trestle {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);

// From a day on, public CAs may issue for so many days (CA/Browser Forum ballot SC-081v3, and
// SC-031 for the first).
struct LifetimeRule {
  absl::CivilDay since;
  int days;
};
constexpr std::array<LifetimeRule, 4> kLifetimeRules = {{{absl::CivilDay(2029, 3, 15), 47},
                                                         {absl::CivilDay(2027, 3, 15), 100},
                                                         {absl::CivilDay(2026, 3, 15), 200},
                                                         {absl::CivilDay(2020, 9, 1), 398}}};

std::string SubjectText(const X509* certificate) {
  return absl::StrCat("\"", NameText(X509_get_subject_name(certificate)), "\"");
}

std::string DayText(absl::CivilDay day) { return absl::FormatCivilTime(day); }

bool IsSelfIssued(const X509* certificate) {
  return X509_NAME_cmp(X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) == 0;
}

// A path to a root of the same name proves nothing without the signatures.
bool SignaturesHold(const CertificateChain& path) {
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    EVP_PKEY* const key = X509_get0_pubkey(path[i + 1].get());
    const bool holds = key != nullptr && X509_verify(path[i].get(), key) == 1;
    ERR_clear_error();
    if (!holds) return false;
  }
  return true;
}

// Returns the path of a chain to one of `roots`; empty if there is none.
CertificateChain PathTo(const TrustStore* roots, const CertificateChain& chain, ChainUse use,
                        absl::Time now) {
  if (roots == nullptr) return {};
  ChainRequirements requirements;
  requirements.trust = roots;
  requirements.purpose = use == ChainUse::kServer ? ChainPurpose::kServer : ChainPurpose::kClient;
  ChainVerdict verdict = VerifyChain(chain, requirements, now);
  const bool leads =
      verdict.anchored && (!verdict.failure.has_value() || SignaturesHold(verdict.path));
  return leads ? std::move(verdict.path) : CertificateChain();
}

void Add(std::vector<Finding>& findings, Severity severity, absl::string_view code,
         std::string text, std::string advice) {
  findings.push_back({severity, std::string(code), std::move(text), std::move(advice)});
}

void JudgeLifetime(const X509* leaf, std::vector<Finding>& findings) {
  const CertificateInfo info = DescribeCertificate(leaf);
  // Both ends count (RFC 5280 4.1.2.5), and a part of a day counts as one.
  const absl::Duration lifetime = info.not_after - info.not_before + absl::Seconds(1);
  const absl::CivilDay issued = absl::ToCivilDay(info.not_before, absl::UTCTimeZone());
  for (const LifetimeRule& rule : kLifetimeRules) {
    if (issued < rule.since) continue;
    if (lifetime <= rule.days * kDay) return;
    return Add(findings, Severity::kWarning, "lifetime_over_policy",
               absl::StrCat("the certificate ", SubjectText(leaf), " is valid for ",
                            absl::ToInt64Hours(absl::Ceil(lifetime, kDay)) / 24,
                            " days, and public CAs may issue for at most ", rule.days,
                            " days since ", DayText(rule.since), ": some clients refuse it"),
               absl::StrCat("get a certificate for at most ", rule.days, " days"));
  }
}

void JudgeStrength(const CertificateChain& chain, std::vector<Finding>& findings) {
  for (size_t i = 0; i < chain.size(); ++i) {
    const X509* const certificate = chain[i].get();
    // Peers may know a path around an intermediate.
    const Severity severity = i == 0 ? Severity::kCritical : Severity::kWarning;
    const char* const advice = i == 0 ? "get another certificate from the CA"
                                      : "get the CA's current intermediate, and send it instead";
    // A root's own signature proves nothing, so its digest does not matter.
    if (HasOldSignature(certificate) && !IsSelfIssued(certificate)) {
      Add(findings, severity, "sha1_signature",
          absl::StrCat("the certificate ", SubjectText(certificate),
                       " is signed with SHA-1 or older: peers refuse it"),
          advice);
    }
    const std::string short_key = ShortKeyText(certificate, kMinRsaBits, kMinEcBits);
    if (short_key.empty()) continue;
    Add(findings, severity, "weak_key",
        absl::StrCat("peers refuse the certificate ", SubjectText(certificate), ": ", short_key),
        advice);
  }
}

void JudgeClientLeaf(X509* leaf, bool is_public, std::vector<Finding>& findings) {
  const uint32_t usages = X509_get_extended_key_usage(leaf);
  if ((usages & (XKU_SSL_CLIENT | XKU_ANYEKU)) == 0) {
    return Add(
        findings, Severity::kWarning, "client_auth_missing",
        absl::StrCat("the extended key usage of ", SubjectText(leaf),
                     " lacks clientAuth: servers that check it refuse the certificate"),
        "get a certificate with clientAuth from a private CA; public CAs no longer issue it");
  }
  if (!is_public) return;
  Add(findings, Severity::kWarning, "client_auth_will_end",
      absl::StrCat("the client certificate ", SubjectText(leaf),
                   " is from a public CA, and public CAs end clientAuth in 2026 and 2027: after "
                   "its renewal it will lack clientAuth, and servers that check it will refuse it"),
      "move this certificate to a private CA, and have the servers trust that CA before");
}

void JudgeRoot(const CertificateChain& path, std::vector<Finding>& findings) {
  if (path.empty()) return;
  Add(findings, Severity::kWarning, "root_dropped",
      absl::StrCat("the certificate ", SubjectText(path.front().get()), " leads to the root ",
                   SubjectText(path.back().get()),
                   ", which peers drop: they refuse it, now or after an update"),
      "get a certificate from a CA with another root, or send a cross-certificate that leads to "
      "one");
}

bool NamesItsIssuersPlace(const X509* certificate) {
  bssl::UniquePtr<AUTHORITY_INFO_ACCESS> places(static_cast<AUTHORITY_INFO_ACCESS*>(
      X509_get_ext_d2i(certificate, NID_info_access, nullptr, nullptr)));
  ERR_clear_error();
  if (places == nullptr) return false;
  for (const ACCESS_DESCRIPTION* place : places.get()) {
    if (OBJ_obj2nid(place->method) == NID_ad_ca_issuers) return true;
  }
  return false;
}

void JudgeCompleteness(const CertificateChain& chain, std::vector<Finding>& findings) {
  const X509* const leaf = chain.front().get();
  if (chain.size() > 1 || IsSelfIssued(leaf) || !NamesItsIssuersPlace(leaf)) return;
  const std::string issuer = absl::StrCat("\"", NameText(X509_get_issuer_name(leaf)), "\"");
  Add(findings, Severity::kWarning, "intermediate_missing",
      absl::StrCat("the certificate ", SubjectText(leaf), " is sent alone, without its issuer ",
                   issuer,
                   ": some peers fetch it from the place that the certificate names, and "
                   "others fail"),
      absl::StrCat("send ", issuer, " after the leaf, unless it is a root that all peers have"));
}

}  // namespace

std::vector<Finding> FindingsOfChain(const ServedChain& served, const ChainFindingOptions& options,
                                     absl::Time now) {
  std::vector<Finding> findings;
  const CertificateChain chain = ParseChain(served);
  if (chain.empty()) return findings;
  X509* const leaf = chain.front().get();
  const bool is_public = !PathTo(options.public_roots, chain, options.use, now).empty();
  if (is_public && (X509_get_extended_key_usage(leaf) & XKU_SSL_SERVER) != 0) {
    JudgeLifetime(leaf, findings);
  }
  JudgeRoot(PathTo(options.dropped_roots, chain, options.use, now), findings);
  JudgeStrength(chain, findings);
  if (options.use == ChainUse::kClient) JudgeClientLeaf(leaf, is_public, findings);
  // Without an intermediate, a path to a public root is complete.
  if (options.check_completeness && !is_public) JudgeCompleteness(chain, findings);
  SortFindings(findings);
  return findings;
}

std::vector<Finding> FindingsOfClientCas(const TrustStore& client_cas,
                                         const TrustStore* public_roots) {
  std::vector<Finding> findings;
  if (public_roots == nullptr) return findings;
  std::set<std::pair<std::string, std::array<uint8_t, 32>>> roots;
  for (const CertificateInfo& root : public_roots->Certificates()) {
    roots.emplace(root.subject, root.spki_sha256);
  }
  size_t count = 0;
  std::string first;
  for (const CertificateInfo& ca : client_cas.Certificates()) {
    if (roots.count({ca.subject, ca.spki_sha256}) == 0) continue;
    // The order of certificates in a store is open, and that of the text is not.
    if (count++ == 0 || ca.subject < first) first = ca.subject;
  }
  if (count == 0) return findings;
  Add(findings, Severity::kWarning, "public_client_cas",
      absl::StrCat(count == 1 ? "a public CA is" : absl::StrCat(count, " public CAs are"),
                   " trusted for client certificates, as \"", first,
                   "\": everyone can get a certificate there, and public CAs end clientAuth in "
                   "2026 and 2027"),
      "trust a private CA for client certificates, and check their names as well");
  return findings;
}

}  // namespace trestle
