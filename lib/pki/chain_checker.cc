#include "trestle/pki/chain_checker.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/obj.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "lib/pki/certificate_verifier.h"
#include "lib/pki/chain_forecast.h"
#include "lib/pki/ocsp_staple.h"
#include "lib/pki/pem.h"
#include "lib/pki/x509_certificate.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/pki/chain_findings.h"
#include "trestle/pki/renewal_info.h"

namespace trestle {
namespace {

// id-pe-tlsfeature (RFC 7633).
constexpr char kTlsFeatureOid[] = "1.3.6.1.5.5.7.1.24";
// status_request, as an INTEGER of that extension.
constexpr uint8_t kStatusRequest[] = {0x02, 0x01, 0x05};

absl::Status Untrusted(std::string detail) {
  return MakeError(ErrorCode::kCertificateUntrusted, Leg::kBack, Phase::kHandshake,
                   std::move(detail));
}

std::string Der(X509* certificate) {
  uint8_t* der = nullptr;
  const int bytes = i2d_X509(certificate, &der);
  if (bytes <= 0) return "";
  bssl::UniquePtr<uint8_t> owner(der);
  return std::string(AsText(ByteView(der, static_cast<size_t>(bytes))));
}

bool DemandsStaple(const X509* certificate) {
  bssl::UniquePtr<ASN1_OBJECT> id(OBJ_txt2obj(kTlsFeatureOid, /*dont_search_names=*/1));
  const int index = id == nullptr ? -1 : X509_get_ext_by_OBJ(certificate, id.get(), -1);
  if (index < 0) return false;
  const ASN1_STRING* value = X509_EXTENSION_get_data(X509_get_ext(certificate, index));
  const uint8_t* begin = ASN1_STRING_get0_data(value);
  const uint8_t* end = begin + ASN1_STRING_length(value);
  return std::search(begin, end, std::begin(kStatusRequest), std::end(kStatusRequest)) != end;
}

bool Same(const bssl::UniquePtr<X509>& a, const bssl::UniquePtr<X509>& b) {
  return X509_cmp(a.get(), b.get()) == 0;
}

size_t IndexIn(const CertificateChain& chain, const bssl::UniquePtr<X509>& certificate) {
  const auto found =
      std::find_if(chain.begin(), chain.end(),
                   [&](const bssl::UniquePtr<X509>& other) { return Same(other, certificate); });
  return static_cast<size_t>(found - chain.begin());
}

bool IsSelfIssued(const X509* certificate) {
  return X509_NAME_cmp(X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) == 0;
}

// Returns whether the path ends at a root. An anchor that isn't self-signed is an intermediate for
// other clients.
bool EndsAtRoot(const ChainVerdict& verdict) {
  return verdict.anchored && IsSelfIssued(verdict.path.back().get());
}

ServedRole RoleOf(size_t index, const CertificateChain& served, const ChainVerdict& verdict) {
  if (index == 0) return ServedRole::kLeaf;
  if (IndexIn(served, served[index]) < index) return ServedRole::kDuplicate;
  const size_t at = IndexIn(verdict.path, served[index]);
  if (at == verdict.path.size()) return ServedRole::kUnused;
  return EndsAtRoot(verdict) && at + 1 == verdict.path.size() ? ServedRole::kRoot
                                                              : ServedRole::kIntermediate;
}

// Returns whether the certificates of the path were sent in another order.
bool IsOutOfOrder(const CertificateChain& served, const CertificateChain& path,
                  const std::vector<ServedRole>& roles) {
  size_t last = 0;
  for (size_t i = 1; i < served.size(); ++i) {
    if (roles[i] != ServedRole::kIntermediate && roles[i] != ServedRole::kRoot) continue;
    const size_t at = IndexIn(path, served[i]);
    if (at < last) return true;
    last = at;
  }
  return false;
}

std::vector<MissingCertificate> FindMissing(const CertificateChain& served,
                                            const ChainVerdict& verdict) {
  std::vector<MissingCertificate> missing;
  const size_t intermediates = verdict.path.size() - (EndsAtRoot(verdict) ? 1 : 0);
  for (size_t i = 1; i < intermediates; ++i) {
    const bssl::UniquePtr<X509>& certificate = verdict.path[i];
    if (IndexIn(served, certificate) < served.size()) continue;
    missing.push_back({NameText(X509_get_subject_name(certificate.get())), /*known=*/true});
  }
  const X509* last = verdict.path.back().get();
  if (!verdict.anchored && !IsSelfIssued(last)) {
    missing.push_back({NameText(X509_get_issuer_name(last)), /*known=*/false});
  }
  return missing;
}

void DescribePath(const CertificateChain& served, const ChainVerdict& verdict,
                  ChainReport& report) {
  report.trusted = verdict.anchored;
  for (const bssl::UniquePtr<X509>& certificate : verdict.path) {
    report.path.push_back(DescribeCertificate(certificate.get()));
  }
  for (size_t i = 0; i < served.size(); ++i) report.roles.push_back(RoleOf(i, served, verdict));
  report.out_of_order = IsOutOfOrder(served, verdict.path, report.roles);
  report.missing = FindMissing(served, verdict);
}

// A leaf that requires a staple fails when the staple does.
std::optional<FutureFailure> EndOfStaple(const ChainReport& report) {
  if (!report.must_staple || report.staple.state != StapleState::kGood ||
      report.staple.next_update == absl::InfiniteFuture()) {
    return std::nullopt;
  }
  FutureFailure failure;
  failure.when = report.staple.next_update;
  failure.part = ChainPart::kStaple;
  failure.subject = report.served.front().subject;
  failure.detail = absl::StrCat("the OCSP staple of \"", failure.subject, "\" expires on ",
                                absl::FormatTime("%Y-%m-%d", failure.when, absl::UTCTimeZone()));
  return failure;
}

void Forecast(const CertificateChain& chain, ChainRequirements requirements, absl::Time now,
              ChainReport& report) {
  report.first_failure = ForecastChain(chain, requirements, now);
  if (requirements.check_crls) requirements.check_crls = false;
  report.first_certificate_failure =
      report.first_failure.has_value() && report.first_failure->part != ChainPart::kCrl
          ? report.first_failure
          : ForecastChain(chain, requirements, now);
  const std::optional<FutureFailure> staple = EndOfStaple(report);
  if (staple.has_value() &&
      (!report.first_failure.has_value() || staple->when < report.first_failure->when)) {
    report.first_failure = staple;
  }
}

absl::StatusOr<CertificateChain> ReadKnown(const std::string& pem) {
  if (pem.empty()) return CertificateChain();
  absl::StatusOr<PemCertificates> known =
      ReadCertificatesPem(pem, "the file of known intermediates");
  if (!known.ok()) return known.status();
  return std::move(known->chain);
}

CertificateChain Joined(const CertificateChain& a, const CertificateChain& b) {
  CertificateChain all;
  for (const CertificateChain* chain : {&a, &b}) {
    for (const bssl::UniquePtr<X509>& certificate : *chain) all.push_back(bssl::UpRef(certificate));
  }
  return all;
}

}  // namespace

FutureFailure ExpiryOf(PathEnd end) {
  FutureFailure failure;
  failure.when = end.when;
  failure.part = end.part;
  failure.detail = absl::StrCat(
      end.part == ChainPart::kCrl ? "the revocation list of" : EnumName(end.part), " \"",
      end.subject, "\" expires on ", absl::FormatTime("%Y-%m-%d", end.when, absl::UTCTimeZone()));
  failure.subject = std::move(end.subject);
  return failure;
}

absl::string_view EnumName(ChainPart part) {
  switch (part) {
    case ChainPart::kLeaf:
      return "leaf";
    case ChainPart::kIntermediate:
      return "intermediate";
    case ChainPart::kRoot:
      return "root";
    case ChainPart::kCrl:
      return "crl";
    case ChainPart::kStaple:
      return "staple";
  }
  return "leaf";
}

absl::string_view EnumName(ServedRole role) {
  switch (role) {
    case ServedRole::kLeaf:
      return "leaf";
    case ServedRole::kIntermediate:
      return "intermediate";
    case ServedRole::kRoot:
      return "root";
    case ServedRole::kDuplicate:
      return "duplicate";
    case ServedRole::kUnused:
      return "unused";
  }
  return "unused";
}

absl::string_view EnumName(StapleState state) {
  switch (state) {
    case StapleState::kNone:
      return "none";
    case StapleState::kGood:
      return "good";
    case StapleState::kRevoked:
      return "revoked";
    case StapleState::kUnknown:
      return "unknown";
    case StapleState::kBad:
      return "bad";
  }
  return "bad";
}

struct ChainChecker::State {
  std::shared_ptr<const TrustStore> trust;
  std::shared_ptr<const TrustStore> public_roots;
  std::shared_ptr<const TrustStore> dropped_roots;
  std::vector<std::string> peer_uris;
  CertificateChain known;
};

absl::StatusOr<std::shared_ptr<const ChainChecker>> ChainChecker::Create(
    ChainCheckerOptions options) {
  if (options.trust == nullptr) return ConfigurationError("no CA certificates were given");
  absl::StatusOr<CertificateChain> known = ReadKnown(options.known_intermediates_pem);
  if (!known.ok()) return known.status();
  auto state = std::make_unique<State>();
  state->trust = std::move(options.trust);
  state->known = *std::move(known);
  state->public_roots = std::move(options.public_roots);
  state->dropped_roots = std::move(options.dropped_roots);
  state->peer_uris = std::move(options.peer_uris);
  return std::shared_ptr<const ChainChecker>(new ChainChecker(std::move(state)));
}

ChainChecker::ChainChecker(std::unique_ptr<const State> state) : state_(std::move(state)) {}

ChainChecker::~ChainChecker() = default;

ChainReport ChainChecker::Check(const ServedChain& served, absl::string_view name,
                                absl::Time now) const {
  ChainReport report;
  const CertificateChain chain = ParseChain(served);
  if (chain.empty()) {
    report.verdict =
        Untrusted(served.certificates.empty() ? "the peer sent no certificate"
                                              : "a certificate that the peer sent doesn't parse");
    return report;
  }
  for (const bssl::UniquePtr<X509>& certificate : chain) {
    report.served.push_back(DescribeCertificate(certificate.get()));
  }
  const bool by_uri = !state_->peer_uris.empty();
  const absl::StatusOr<PeerName> wanted = by_uri ? PeerName() : PeerName::Parse(name);
  ChainRequirements requirements;
  requirements.trust = state_->trust.get();
  requirements.name = wanted.ok() && !by_uri ? &*wanted : nullptr;
  requirements.uris = state_->peer_uris;
  requirements.check_crls = state_->trust->has_crls();
  ChainVerdict verdict = VerifyChain(chain, requirements, now);
  std::optional<ChainFailure> failure = std::move(verdict.failure);
  // The missing certificate may be known: reports the path with it.
  if (failure.has_value() && !verdict.anchored) {
    verdict = VerifyChain(Joined(chain, state_->known), requirements, now);
  }
  DescribePath(chain, verdict, report);
  report.must_staple = DemandsStaple(chain.front().get());
  ChainFindingOptions finding_options;
  finding_options.public_roots = state_->public_roots.get();
  finding_options.dropped_roots = state_->dropped_roots.get();
  finding_options.check_completeness = false;
  report.findings = FindingsOfChain(served, finding_options, now);
  report.renewal_id = RenewalIdOf(served.certificates.front()).value_or("");
  X509* const issuer = verdict.path[verdict.path.size() > 1 ? 1 : 0].get();
  report.staple = JudgeStaple(served.ocsp_staple, served.certificates.front(), Der(issuer), now);
  if (!wanted.ok()) {
    report.verdict = wanted.status();
    return report;
  }
  if (failure.has_value()) {
    failure->error.leg = Leg::kBack;
    failure->error.phase = Phase::kHandshake;
    report.verdict = MakeError(failure->error);
    return report;
  }
  Forecast(chain, requirements, now, report);
  return report;
}

}  // namespace trestle
