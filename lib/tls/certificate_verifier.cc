#include "lib/tls/certificate_verifier.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/tls/certificate_info.h"
#include "lib/tls/pem.h"
#include "trestle/tls/tls_info.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

// The longest URI that SPIFFE allows.
constexpr size_t kMaxUriBytes = 2048;

// What a stranger's certificate may contribute to one message.
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

// What every message tells of the certificate at fault, beside its subject.
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

std::string UntrustedText(const CertificateInfo& certificate, int verify_error) {
  if (certificate.subject == certificate.issuer && IsAboutIssuer(verify_error)) {
    return absl::StrCat("certificate ", Quoted(certificate.subject),
                        " is self-signed, and not among the trusted roots", Facts(certificate));
  }
  return absl::StrCat("certificate ", Quoted(certificate.subject),
                      " is refused: ", X509_verify_cert_error_string(verify_error),
                      Facts(certificate));
}

// Why nobody knows whether a certificate was revoked; null where that isn't what is wrong.
const char* MissingListText(int verify_error) {
  switch (verify_error) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
      return "there is no revocation list of its issuer";
    case X509_V_ERR_CRL_HAS_EXPIRED:
      return "the revocation list of its issuer has run out";
    case X509_V_ERR_CRL_NOT_YET_VALID:
      return "the revocation list of its issuer is not valid yet";
    default:
      return nullptr;
  }
}

ChainFailure Explain(int verify_error, const CertificateInfo& certificate, const PeerName* name,
                     absl::Time now) {
  ChainFailure failure;
  failure.alert = static_cast<uint8_t>(SSL_alert_from_verify_result(verify_error));
  switch (verify_error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      failure.error.code = ErrorCode::kCertificateExpired;
      failure.error.detail = ExpiredText(certificate, now);
      break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      failure.error.code = ErrorCode::kCertificateExpired;
      failure.error.detail = NotYetValidText(certificate, now);
      break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      failure.error.code = ErrorCode::kNameMismatch;
      failure.error.detail = NameMismatchText(certificate, *name);
      break;
    default:
      failure.error.code = ErrorCode::kCertificateUntrusted;
      failure.error.detail = UntrustedText(certificate, verify_error);
      if (const char* missing = MissingListText(verify_error)) {
        // It isn't the peer that has to do something about it.
        failure.alert = SSL_AD_CERTIFICATE_UNKNOWN;
        failure.error.detail =
            absl::StrCat("certificate ", Quoted(certificate.subject),
                         " can't be checked for revocation: ", missing, Facts(certificate));
      }
      break;
  }
  return failure;
}

// `what` follows the certificate's subject.
ChainFailure Untrusted(const X509* certificate, absl::string_view what) {
  const CertificateInfo info = DescribeCertificate(certificate);
  ChainFailure failure;
  failure.error.code = ErrorCode::kCertificateUntrusted;
  failure.error.detail = absl::StrCat("certificate ", Quoted(info.subject), " ", what, Facts(info));
  failure.alert = SSL_AD_BAD_CERTIFICATE;
  return failure;
}

bool IsSha1OrOlder(int signature_nid) {
  switch (signature_nid) {
    case NID_md5WithRSAEncryption:
    case NID_sha1WithRSAEncryption:
    case NID_sha1WithRSA:
    case NID_ecdsa_with_SHA1:
    case NID_dsaWithSHA1:
      return true;
    default:
      return false;
  }
}

// Why nobody should rely on `certificate`, however well it is signed; empty when all is well.
std::string WeaknessOf(X509* certificate, const ChainRequirements& requirements) {
  if (IsSha1OrOlder(X509_get_signature_nid(certificate))) {
    return "its signature is made with SHA-1 or older";
  }
  bssl::UniquePtr<EVP_PKEY> key(X509_get_pubkey(certificate));
  const int kind = key == nullptr ? EVP_PKEY_NONE : EVP_PKEY_id(key.get());
  const int bits = key == nullptr ? 0 : EVP_PKEY_bits(key.get());
  const int wanted = kind == EVP_PKEY_RSA  ? requirements.min_rsa_bits
                     : kind == EVP_PKEY_EC ? requirements.min_ec_bits
                                           : 0;
  if (bits >= wanted) return "";
  return absl::StrCat("its ", kind == EVP_PKEY_RSA ? "RSA" : "EC", " key has ", bits,
                      " bits, fewer than ", wanted);
}

// The root is left out: it is trusted for itself.
std::optional<ChainFailure> FindWeakness(const STACK_OF(X509) * verified_chain,
                                         const ChainRequirements& requirements) {
  for (size_t i = 0; i + 1 < sk_X509_num(verified_chain); ++i) {
    X509* certificate = sk_X509_value(verified_chain, i);
    const std::string weakness = WeaknessOf(certificate, requirements);
    if (weakness.empty()) continue;
    return Untrusted(certificate, "is refused: " + weakness);
  }
  return std::nullopt;
}

bool HasUri(const X509* certificate, absl::string_view uri) {
  bssl::UniquePtr<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (names == nullptr) return false;
  for (const GENERAL_NAME* name : names.get()) {
    if (name->type != GEN_URI) continue;
    const ASN1_STRING* text = name->d.uniformResourceIdentifier;
    const ByteView bytes(ASN1_STRING_get0_data(text),
                         static_cast<size_t>(ASN1_STRING_length(text)));
    if (AsText(bytes) == uri) return true;
  }
  return false;
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
  return Untrusted(leaf,
                   absl::StrCat("and its chain have none of the pinned keys; its own is sha256/",
                                absl::Base64Escape(AsText(shown))));
}

// BoringSSL checks DNS names and addresses by itself, but not these.
std::optional<ChainFailure> FindWrongUri(const X509* leaf, const PeerName* name) {
  if (name == nullptr || name->uri.empty() || HasUri(leaf, name->uri)) return std::nullopt;
  return Explain(X509_V_ERR_HOSTNAME_MISMATCH, DescribeCertificate(leaf), name,
                 absl::InfinitePast());
}

// What is left to judge of a chain that leads to a root.
std::optional<ChainFailure> JudgeVerified(const STACK_OF(X509) * verified_chain,
                                          const ChainRequirements& requirements) {
  std::optional<ChainFailure> failure = FindWeakness(verified_chain, requirements);
  if (!failure.has_value()) failure = FindUnpinned(verified_chain, requirements);
  if (failure.has_value()) return failure;
  return FindWrongUri(sk_X509_value(verified_chain, 0), requirements.name);
}

absl::Time EarliestEnd(const STACK_OF(X509) * verified_chain) {
  absl::Time earliest = absl::InfiniteFuture();
  for (size_t i = 0; i < sk_X509_num(verified_chain); ++i) {
    int64_t seconds = 0;
    const X509* certificate = sk_X509_value(verified_chain, i);
    if (!ASN1_TIME_to_posix(X509_get0_notAfter(certificate), &seconds)) return absl::InfinitePast();
    earliest = std::min(earliest, absl::FromUnixSeconds(seconds));
  }
  return earliest;
}

bool SetName(X509_VERIFY_PARAM* param, const PeerName& name) {
  // Subjects are for people (RFC 9525 6.3): a common name proves nothing.
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  if (!name.ip_address.empty()) {
    return X509_VERIFY_PARAM_set1_ip(
        param, reinterpret_cast<const uint8_t*>(name.ip_address.data()), name.ip_address.size());
  }
  // BoringSSL takes the empty host for "no check".
  if (!name.uri.empty()) return true;
  return !name.dns_name.empty() &&
         X509_VERIFY_PARAM_set1_host(param, name.dns_name.data(), name.dns_name.size());
}

bssl::UniquePtr<STACK_OF(X509)> MakeStack(const CertificateChain& chain) {
  bssl::UniquePtr<STACK_OF(X509)> stack(sk_X509_new_null());
  for (const bssl::UniquePtr<X509>& certificate : chain) {
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
  failure.alert = SSL_AD_INTERNAL_ERROR;
  return failure;
}

absl::Status CheckUri(absl::string_view text) {
  const bool printable = absl::c_all_of(text, [](char c) { return absl::ascii_isgraph(c); });
  if (printable && absl::ascii_isalpha(text[0]) && text.size() <= kMaxUriBytes) {
    return absl::OkStatus();
  }
  return ConfigurationError(absl::StrCat("\"", EscapeForLog(text), "\" is no usable URI"));
}

}  // namespace

absl::StatusOr<PeerName> PeerName::Parse(absl::string_view text) {
  PeerName name;
  if (text.empty()) {
    return ConfigurationError("no server name was given: there is nothing to verify the peer by");
  }
  if (absl::StrContains(text, "://")) {
    if (absl::Status status = CheckUri(text); !status.ok()) return status;
    name.uri = std::string(text);
    return name;
  }
  if (std::optional<std::string> address = ParseIp(text); address.has_value()) {
    name.ip_address = *std::move(address);
    return name;
  }
  absl::StatusOr<std::string> dns_name = NormalizeServerName(text);
  if (!dns_name.ok()) {
    return ConfigurationError(absl::StrCat("\"", EscapeForLog(text),
                                           "\" is neither a DNS name nor an IP address nor a URI (",
                                           dns_name.status().message(), ")"));
  }
  name.dns_name = *std::move(dns_name);
  return name;
}

std::string PeerName::ToString() const {
  if (!uri.empty()) return uri;
  return ip_address.empty() ? dns_name : IpText(AsBytes(ip_address));
}

std::string PeerName::ToStringWithKind() const {
  const absl::string_view kind = !uri.empty() ? "URI:" : ip_address.empty() ? "DNS:" : "IP:";
  return absl::StrCat(kind, ToString());
}

std::optional<ChainFailure> VerifyChain(const CertificateChain& chain,
                                        const ChainRequirements& requirements, absl::Time now,
                                        absl::Time* valid_until) {
  bssl::UniquePtr<STACK_OF(X509)> stack = MakeStack(chain);
  bssl::UniquePtr<X509_STORE_CTX> verifier(X509_STORE_CTX_new());
  const char* purpose = requirements.purpose == ChainPurpose::kServer ? "ssl_server" : "ssl_client";
  if (chain.empty() || stack == nullptr || verifier == nullptr ||
      !X509_STORE_CTX_init(verifier.get(), requirements.roots, chain.front().get(), stack.get()) ||
      !X509_STORE_CTX_set_default(verifier.get(), purpose)) {
    ERR_clear_error();
    return InternalFailure();
  }
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(verifier.get());
  X509_VERIFY_PARAM_set_depth(param, requirements.max_intermediates);
  X509_VERIFY_PARAM_set_time_posix(param, absl::ToUnixSeconds(now));
  if (requirements.check_crls) {
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  }
  const PeerName* const name = requirements.name;
  const bool valid =
      (name == nullptr || SetName(param, *name)) && X509_verify_cert(verifier.get()) == 1;
  ERR_clear_error();
  if (valid) {
    const STACK_OF(X509)* verified_chain = X509_STORE_CTX_get0_chain(verifier.get());
    if (valid_until != nullptr) *valid_until = EarliestEnd(verified_chain);
    return JudgeVerified(verified_chain, requirements);
  }

  int verify_error = X509_STORE_CTX_get_error(verifier.get());
  if (verify_error == X509_V_OK) verify_error = X509_V_ERR_UNSPECIFIED;
  X509* at_fault = X509_STORE_CTX_get_current_cert(verifier.get());
  if (at_fault == nullptr) at_fault = chain.front().get();
  if (IsAboutIssuer(verify_error) &&
      X509_STORE_CTX_get_error_depth(verifier.get()) > requirements.max_intermediates) {
    ChainFailure too_long =
        Untrusted(at_fault, absl::StrCat("is one intermediate too many: at most ",
                                         requirements.max_intermediates, " may lead to a CA"));
    too_long.alert = SSL_AD_UNKNOWN_CA;
    return too_long;
  }
  return Explain(verify_error, DescribeCertificate(at_fault), name, now);
}

}  // namespace trestle
