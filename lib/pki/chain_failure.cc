#include "lib/pki/chain_failure.h"

#include <openssl/asn1.h>
#include <openssl/nid.h>
#include <openssl/obj.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/pki/x509_certificate.h"
#include "trestle/base/bytes.h"
#include "trestle/pki/certificate_info.h"

namespace trestle {
namespace {

// The most bytes of a peer's certificate in one message.
constexpr size_t kMaxQuotedBytes = 200;
constexpr size_t kMaxQuotedNames = 8;

std::string Quoted(absl::string_view text) {
  if (text.size() <= kMaxQuotedBytes) return absl::StrCat("\"", text, "\"");
  return absl::StrCat("\"", text.substr(0, kMaxQuotedBytes), "…\"");
}

constexpr absl::string_view kNoNames =
    ", and has no subject alternative names (a common name doesn't count)";

// "12 days", "3 hours", "1 minute".
std::string Roughly(absl::Duration duration) {
  const auto count = [duration](absl::Duration unit, absl::string_view name) {
    const int64_t n = duration / unit;
    return absl::StrCat(n, " ", name, n == 1 ? "" : "s");
  };
  if (duration >= absl::Hours(24)) return count(absl::Hours(24), "day");
  if (duration >= absl::Hours(1)) return count(absl::Hours(1), "hour");
  return count(absl::Minutes(1), "minute");
}

std::string Date(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d", time, absl::UTCTimeZone());
}

std::string NamesText(const CertificateInfo& leaf) {
  const std::vector<std::string> names = SubjectAltNames(leaf);
  if (names.empty()) return "";
  std::string text = ", and has the names ";
  for (size_t i = 0; i < std::min(names.size(), kMaxQuotedNames); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", Quoted(names[i]));
  }
  if (names.size() > kMaxQuotedNames) {
    absl::StrAppend(&text, " and ", names.size() - kMaxQuotedNames, " more");
  }
  return text;
}

// The facts that every error states about the faulty certificate, beside its subject.
std::string Facts(const CertificateInfo& certificate) {
  return absl::StrCat("; it was issued by ", Quoted(certificate.issuer), ", is valid from ",
                      Date(certificate.not_before), " to ", Date(certificate.not_after),
                      NamesText(certificate));
}

std::string NotYetValidText(const CertificateInfo& certificate, absl::Time now) {
  return absl::StrCat("certificate ", Quoted(certificate.subject), " is not valid before ",
                      Date(certificate.not_before), " (in ", Roughly(certificate.not_before - now),
                      ")", Facts(certificate));
}

std::string ExpiredText(const CertificateInfo& certificate, absl::Time now) {
  return absl::StrCat("certificate ", Quoted(certificate.subject), " expired on ",
                      Date(certificate.not_after), " (", Roughly(now - certificate.not_after),
                      " ago)", Facts(certificate));
}

std::string NameMismatchText(const CertificateInfo& leaf, const PeerName& wanted) {
  return absl::StrCat("certificate ", Quoted(leaf.subject), " is not for ",
                      Quoted(wanted.ToStringWithKind()), Facts(leaf),
                      NamesText(leaf).empty() ? kNoNames : "");
}

// Returns the names of a certificate's extended key usages, as in RFC 5280: "serverAuth". Empty
// without the extension, which allows every use.
std::vector<std::string> ExtendedKeyUsages(const X509* certificate) {
  std::vector<std::string> usages;
  bssl::UniquePtr<EXTENDED_KEY_USAGE> extension(static_cast<EXTENDED_KEY_USAGE*>(
      X509_get_ext_d2i(certificate, NID_ext_key_usage, nullptr, nullptr)));
  if (extension == nullptr) return usages;
  for (const ASN1_OBJECT* usage : extension.get()) {
    if (usages.size() == kMaxQuotedNames) break;
    const int nid = OBJ_obj2nid(usage);
    char oid[80];
    if (nid != NID_undef) {
      usages.emplace_back(OBJ_nid2sn(nid));
    } else if (OBJ_obj2txt(oid, sizeof(oid), usage, /*always_return_oid=*/1) > 0) {
      usages.emplace_back(oid);
    }
  }
  return usages;
}

// Returns why a certificate is unfit for `purpose`.
std::string PurposeText(const X509* certificate, ChainPurpose purpose) {
  const absl::string_view wanted = purpose == ChainPurpose::kServer ? "serverAuth" : "clientAuth";
  const std::vector<std::string> usages = ExtendedKeyUsages(certificate);
  if (usages.empty() || std::find(usages.begin(), usages.end(), wanted) != usages.end()) {
    return "its key usage is unfit for it: digitalSignature is missing";
  }
  return absl::StrCat("its extended key usage is ", absl::StrJoin(usages, ", "), ", and lacks ",
                      wanted);
}

std::string UntrustedText(const X509* certificate, const CertificateInfo& info, int verify_error,
                          ChainPurpose purpose) {
  if (info.subject == info.issuer && IsAboutIssuer(verify_error)) {
    return absl::StrCat("certificate ", Quoted(info.subject),
                        " is self-signed, and not among the trusted roots", Facts(info));
  }
  std::string text = absl::StrCat("certificate ", Quoted(info.subject),
                                  " is refused: ", X509_verify_cert_error_string(verify_error));
  if (verify_error == X509_V_ERR_INVALID_PURPOSE) {
    absl::StrAppend(&text, ": ", PurposeText(certificate, purpose));
  }
  return absl::StrCat(text, Facts(info));
}

// Returns why the revocation status is unknown; null for other errors.
const char* MissingListText(int verify_error) {
  switch (verify_error) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
      return "there is no revocation list of its issuer";
    case X509_V_ERR_CRL_HAS_EXPIRED:
      return "the revocation list of its issuer has expired";
    case X509_V_ERR_CRL_NOT_YET_VALID:
      return "the revocation list of its issuer is not valid yet";
    default:
      return nullptr;
  }
}

}  // namespace

bool IsAboutMissingList(int verify_error) { return MissingListText(verify_error) != nullptr; }

bool IsAboutIssuer(int verify_error) {
  switch (verify_error) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return true;
    default:
      return false;
  }
}

ChainFailure ExplainVerifyError(int verify_error, const X509* certificate, ChainPurpose purpose,
                                const PeerName* name, absl::Time now) {
  const CertificateInfo info = DescribeCertificate(certificate);
  ChainFailure failure;
  failure.verify_error = verify_error;
  switch (verify_error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      failure.error.code = ErrorCode::kCertificateExpired;
      failure.error.detail = ExpiredText(info, now);
      break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      failure.error.code = ErrorCode::kCertificateExpired;
      failure.error.detail = NotYetValidText(info, now);
      break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      failure.error.code = ErrorCode::kNameMismatch;
      failure.error.detail = NameMismatchText(info, *name);
      break;
    default:
      failure.error.code = ErrorCode::kCertificateUntrusted;
      failure.error.detail = UntrustedText(certificate, info, verify_error, purpose);
      if (const char* missing = MissingListText(verify_error)) {
        failure.error.detail =
            absl::StrCat("certificate ", Quoted(info.subject),
                         " can't be checked for revocation: ", missing, Facts(info));
      }
      break;
  }
  return failure;
}

ChainFailure UntrustedCertificate(const X509* certificate, absl::string_view what) {
  const CertificateInfo info = DescribeCertificate(certificate);
  ChainFailure failure;
  failure.error.code = ErrorCode::kCertificateUntrusted;
  failure.error.detail = absl::StrCat("certificate ", Quoted(info.subject), " ", what, Facts(info));
  return failure;
}

}  // namespace trestle
