#include "trestle/watch/probe_findings.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

std::string Quoted(absl::string_view text) { return absl::StrCat("\"", text, "\""); }

std::string MissingText(const ChainReport& chain) {
  return absl::StrJoin(chain.missing, ", ",
                       [](std::string* out, const MissingCertificate& missing) {
                         absl::StrAppend(out, Quoted(missing.subject));
                       });
}

// Returns the first few names of the certificate, for messages.
std::string SomeNames(const CertificateInfo& leaf) {
  constexpr size_t kMaxNames = 5;
  std::vector<std::string> names = SubjectAltNames(leaf);
  const bool more = names.size() > kMaxNames;
  if (more) names.resize(kMaxNames);
  return absl::StrCat(absl::StrJoin(names, ", "), more ? ", …" : "");
}

std::string RenewAdvice(ChainPart part, absl::string_view subject) {
  switch (part) {
    case ChainPart::kLeaf:
      return "renew the server's certificate";
    case ChainPart::kIntermediate:
      return absl::StrCat("get the CA's current intermediate in place of ", Quoted(subject),
                          " (renewing the leaf brings it along), and install it on the server");
    case ChainPart::kRoot:
      return absl::StrCat("move the server to a CA whose root lasts longer than ", Quoted(subject),
                          ", and trust that root here before");
    case ChainPart::kCrl:
      return absl::StrCat("fetch the next revocation list of ", Quoted(subject));
    case ChainPart::kStaple:
      return "have the server renew its OCSP response";
  }
  return "";
}

// Returns advice on the certificate of the path whose dates do not cover `now`.
std::string DateAdvice(const ChainReport& chain, absl::Time now) {
  // The invalid certificate nearest to the root makes the path below it fail.
  for (size_t i = chain.path.size(); i-- > 0;) {
    const CertificateInfo& certificate = chain.path[i];
    if (certificate.not_before > now) {
      return absl::StrCat(
          "install ", Quoted(certificate.subject), " no earlier than ",
          absl::FormatTime("%Y-%m-%d %H:%M UTC", certificate.not_before, absl::UTCTimeZone()),
          ", or check this machine's clock");
    }
    if (certificate.not_after > now) continue;
    const bool root = chain.trusted && i + 1 == chain.path.size();
    return RenewAdvice(i == 0 ? ChainPart::kLeaf
                       : root ? ChainPart::kRoot
                              : ChainPart::kIntermediate,
                       certificate.subject);
  }
  return "renew the server's certificate";
}

std::string TrustAdvice(const ChainReport& chain) {
  if (!chain.missing.empty() && chain.missing.front().known) {
    return absl::StrCat("have the server send ", MissingText(chain), " after its leaf");
  }
  if (!chain.missing.empty()) {
    return absl::StrCat("if ", MissingText(chain),
                        " is an intermediate, have the server send it after its leaf; if it is a "
                        "root, add it to the trusted CAs");
  }
  if (!chain.trusted && !chain.path.empty()) {
    return absl::StrCat("if you trust ", Quoted(chain.path.back().subject),
                        ", add it to the trusted CAs; else find out which server answers here");
  }
  return "replace the certificate at fault by one that is fit for TLS servers";
}

std::string NameAdvice(const ProbeReport& report) {
  const CertificateInfo& leaf = report.chain->served.front();
  if (leaf.dns_names.empty() && leaf.ip_names.empty()) {
    return absl::StrCat("issue the certificate again with ", Quoted(report.target.expected_name()),
                        " as subject alternative name: a common name doesn't count");
  }
  return absl::StrCat("expect one of its names (", SomeNames(leaf),
                      "), issue it for the name that is expected, or check that the server knows "
                      "the name that it is asked for (SNI)");
}

std::string AdviceFor(ErrorCode code, const ProbeReport& report, absl::Time now) {
  switch (code) {
    case ErrorCode::kCertificateExpired:
      return report.chain.has_value() ? DateAdvice(*report.chain, now) : "";
    case ErrorCode::kCertificateUntrusted:
      return report.chain.has_value() ? TrustAdvice(*report.chain) : "";
    case ErrorCode::kNameMismatch:
      return NameAdvice(report);
    case ErrorCode::kTransport:
    case ErrorCode::kTimeout:
      return "check that the server runs, and that nothing in between drops the connection";
    case ErrorCode::kAlpnMismatch:
      return "offer an application protocol that the server speaks, or none";
    case ErrorCode::kProtocol:
    case ErrorCode::kNotTls:
      return "check that this port speaks TLS, and whether it needs STARTTLS or a PROXY header "
             "first";
    case ErrorCode::kPeerAlert:
      return "look into the server's log: it ended the handshake (a client certificate, a name or "
             "a "
             "TLS version that it insists on)";
    case ErrorCode::kTruncated:
      return "look into the server's log; some servers hang up when a PROXY header is missing or "
             "unwanted";
    case ErrorCode::kNoCommonParameters:
      return "give the server TLS 1.2 with ECDHE and AEAD ciphers, or TLS 1.3";
    default:
      return "";
  }
}

void Add(std::vector<Finding>& findings, Severity severity, absl::string_view code,
         std::string text, std::string advice = "") {
  findings.push_back({severity, std::string(code), std::move(text), std::move(advice)});
}

void AddFailure(const absl::Status& status, const ProbeReport& report, absl::Time now,
                std::vector<Finding>& findings) {
  if (status.ok()) return;
  const std::optional<Error> error = GetError(status);
  if (!error.has_value()) {
    return Add(findings, Severity::kCritical, "internal", std::string(status.message()));
  }
  Add(findings, Severity::kCritical, EnumName(error->code), error->detail,
      AdviceFor(error->code, report, now));
}

void AddFuture(const FutureFailure& failure, absl::Time now, Severity severity,
               absl::string_view code, std::vector<Finding>& findings) {
  if (severity == Severity::kFine) return;
  Add(findings, severity, code,
      absl::StrCat("verification will fail in ", TimeLeftText(failure.when, now), ": ",
                   failure.detail),
      RenewAdvice(failure.part, failure.subject));
}

void AddStaple(const ChainReport& chain, std::vector<Finding>& findings) {
  switch (chain.staple.state) {
    case StapleState::kRevoked:
      return Add(findings, Severity::kCritical, "staple_revoked",
                 "the server's own OCSP staple says that its certificate is revoked",
                 "replace the certificate and its key");
    case StapleState::kUnknown:
    case StapleState::kBad:
      return Add(findings, Severity::kWarning, "staple_bad",
                 absl::StrCat("the OCSP staple can't be used: ", chain.staple.detail),
                 "have the server renew its OCSP response, or staple none");
    case StapleState::kNone:
      if (chain.must_staple) {
        Add(findings, Severity::kWarning, "staple_missing",
            "the certificate demands an OCSP staple, and the server sends none",
            "switch stapling on, or get a certificate that does not demand it");
      }
      return;
    case StapleState::kGood:
      return;
  }
}

void AddWhatIsSent(const ChainReport& chain, std::vector<Finding>& findings) {
  if (chain.verdict.ok() && !chain.missing.empty()) {
    Add(findings, Severity::kWarning, "intermediate_not_sent",
        absl::StrCat("verification finds ", MissingText(chain),
                     " among the trusted CAs only; other clients will fail"),
        absl::StrCat("have the server send ", MissingText(chain), " after its leaf"));
  }
  for (size_t i = 0; i < chain.roles.size(); ++i) {
    if (chain.roles[i] == ServedRole::kUnused || chain.roles[i] == ServedRole::kDuplicate) {
      Add(findings, Severity::kNote, "certificate_not_needed",
          absl::StrCat(
              "the server sends ", Quoted(chain.served[i].subject),
              chain.roles[i] == ServedRole::kDuplicate ? " twice" : ", which nothing depends on"),
          "take it out of the server's chain file");
    }
    if (chain.roles[i] == ServedRole::kRoot) {
      Add(findings, Severity::kNote, "root_sent",
          absl::StrCat("the server sends the root ", Quoted(chain.served[i].subject),
                       ": clients that trust it have it already"),
          "take it out of the server's chain file");
    }
  }
  if (chain.out_of_order) {
    Add(findings, Severity::kNote, "out_of_order",
        "the server sends its certificates in the wrong order; some clients refuse that",
        "put each certificate directly after the one that it certifies");
  }
}

void AddChain(const ProbeReport& report, absl::Time now, const FindingOptions& options,
              std::vector<Finding>& findings) {
  const ChainReport& chain = *report.chain;
  AddFailure(chain.verdict, report, now, findings);
  if (chain.first_certificate_failure.has_value()) {
    const FutureFailure& failure = *chain.first_certificate_failure;
    AddFuture(failure, now, options.alarms.At(failure.when - now, LifetimeOf(failure, chain.path)),
              "verification_will_fail", findings);
  }
  if (chain.first_failure.has_value() && (chain.first_failure->part == ChainPart::kCrl ||
                                          chain.first_failure->part == ChainPart::kStaple)) {
    const bool soon = chain.first_failure->when - now <= options.warn_statements_within;
    AddFuture(*chain.first_failure, now, soon ? Severity::kWarning : Severity::kFine,
              "statement_will_expire", findings);
  }
  for (Finding& finding : StandingFindingsOf(chain)) findings.push_back(std::move(finding));
}

}  // namespace

std::vector<Finding> StandingFindingsOf(const ChainReport& chain) {
  std::vector<Finding> findings;
  AddStaple(chain, findings);
  AddWhatIsSent(chain, findings);
  findings.insert(findings.end(), chain.findings.begin(), chain.findings.end());
  SortFindings(findings);
  return findings;
}

std::vector<Finding> FindingsOf(const ProbeReport& report, absl::Time now,
                                const FindingOptions& options) {
  std::vector<Finding> findings;
  AddFailure(report.status, report, now, findings);
  if (report.chain.has_value()) AddChain(report, now, options, findings);
  if (!report.ech_inner.ok()) {
    Add(findings, Severity::kCritical, "ech_not_confirmed", ToError(report.ech_inner)->detail,
        "route hidden names to a server that confirms inner hellos, or to a TlsTerminator or "
        "TlsBridge in front of this one");
  }
  if (report.status.ok() && !report.post_quantum) {
    Add(findings, Severity::kNote, "not_post_quantum",
        absl::StrCat("the key exchange (", report.tls.group,
                     ") does not resist a quantum computer; X25519MLKEM768 was offered"));
  }
  SortFindings(findings);
  return findings;
}

}  // namespace trestle
