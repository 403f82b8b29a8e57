#include "lib/pki/ocsp_staple.h"

#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/pki/ocsp.h>
#include <openssl/posix_time.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace trestle {
namespace {

using ResponseStatus = bssl::OCSPVerifyResult::ResponseStatus;

// id-pkix-ocsp-basic, 1.3.6.1.5.5.7.48.1.1 (RFC 6960 4.2.1).
constexpr uint8_t kBasicResponseOid[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01};

constexpr CBS_ASN1_TAG kConstructed0 = CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0;

std::string_view View(absl::string_view text) { return std::string_view(text.data(), text.size()); }

// Reads a GeneralizedTime in UTC, the only form that RFC 5280 4.1.2.5.2 allows.
bool ReadTime(CBS* from, absl::Time* out) {
  CBS text;
  tm time;
  int64_t seconds = 0;
  if (!CBS_get_asn1(from, &text, CBS_ASN1_GENERALIZEDTIME) ||
      !CBS_parse_generalized_time(&text, &time, /*allow_timezone_offset=*/0) ||
      !OPENSSL_tm_to_posix(&time, &seconds)) {
    return false;
  }
  *out = absl::FromUnixSeconds(seconds);
  return true;
}

// Reads down to ResponseData (RFC 6960 4.2.1) and leaves its `responses` in `out`.
bool FindResponses(absl::string_view staple, CBS* out) {
  CBS input, response, status, bytes_tagged, bytes, oid, octets, basic, data, responder,
      produced_at;
  CBS_init(&input, reinterpret_cast<const uint8_t*>(staple.data()), staple.size());
  if (!CBS_get_asn1(&input, &response, CBS_ASN1_SEQUENCE) ||
      !CBS_get_asn1(&response, &status, CBS_ASN1_ENUMERATED) ||
      !CBS_get_asn1(&response, &bytes_tagged, kConstructed0) ||
      !CBS_get_asn1(&bytes_tagged, &bytes, CBS_ASN1_SEQUENCE) ||
      !CBS_get_asn1(&bytes, &oid, CBS_ASN1_OBJECT) ||
      !CBS_mem_equal(&oid, kBasicResponseOid, sizeof(kBasicResponseOid)) ||
      !CBS_get_asn1(&bytes, &octets, CBS_ASN1_OCTETSTRING) ||
      !CBS_get_asn1(&octets, &basic, CBS_ASN1_SEQUENCE) ||
      !CBS_get_asn1(&basic, &data, CBS_ASN1_SEQUENCE)) {
    return false;
  }
  return CBS_get_optional_asn1(&data, nullptr, nullptr, kConstructed0) &&  // version
         CBS_get_any_asn1(&data, &responder, nullptr) &&
         CBS_get_asn1(&data, &produced_at, CBS_ASN1_GENERALIZEDTIME) &&
         CBS_get_asn1(&data, out, CBS_ASN1_SEQUENCE);
}

std::optional<bssl::OCSPRevocationStatus> ClaimOf(CBS_ASN1_TAG tag) {
  switch (tag & CBS_ASN1_TAG_NUMBER_MASK) {
    case 0:
      return bssl::OCSPRevocationStatus::GOOD;
    case 1:
      return bssl::OCSPRevocationStatus::REVOKED;
    case 2:
      return bssl::OCSPRevocationStatus::UNKNOWN;
    default:
      return std::nullopt;
  }
}

// Reads the dates of the first answer into `report`; servers staple one. Returns the status that it
// claims.
std::optional<bssl::OCSPRevocationStatus> ReadClaim(absl::string_view staple,
                                                    StapleReport& report) {
  CBS responses, single, certificate, claim, next_update;
  CBS_ASN1_TAG claim_tag = 0;
  int has_next_update = 0;
  if (!FindResponses(staple, &responses) || !CBS_get_asn1(&responses, &single, CBS_ASN1_SEQUENCE) ||
      !CBS_get_asn1(&single, &certificate, CBS_ASN1_SEQUENCE) ||
      !CBS_get_any_asn1(&single, &claim, &claim_tag)) {
    return std::nullopt;
  }
  if (!ReadTime(&single, &report.this_update)) report.this_update = absl::InfiniteFuture();
  if (CBS_get_optional_asn1(&single, &next_update, &has_next_update, kConstructed0) &&
      has_next_update != 0 && !ReadTime(&next_update, &report.next_update)) {
    report.next_update = absl::InfinitePast();
  }
  return ClaimOf(claim_tag);
}

std::string Date(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d", time, absl::UTCTimeZone());
}

std::string DateFault(const StapleReport& report, absl::Time now) {
  if (report.next_update <= now) {
    return absl::StrCat("it expired on ", Date(report.next_update));
  }
  if (report.this_update > now) {
    return absl::StrCat("it is not valid before ", Date(report.this_update));
  }
  return "its dates contradict each other";
}

std::string FaultOf(ResponseStatus status, const StapleReport& report, absl::Time now) {
  switch (status) {
    case ResponseStatus::ERROR_RESPONSE:
      return "the responder answered with an error";
    case ResponseStatus::BAD_PRODUCED_AT:
      return "it was made outside the days of the certificate";
    case ResponseStatus::NO_MATCHING_RESPONSE:
      return "it is about another certificate";
    case ResponseStatus::INVALID_DATE:
      return DateFault(report, now);
    case ResponseStatus::UNHANDLED_CRITICAL_EXTENSION:
      return "it has an unknown critical extension";
    default:
      return "it doesn't parse";
  }
}

}  // namespace

StapleReport JudgeStaple(absl::string_view staple, absl::string_view leaf_der,
                         absl::string_view issuer_der, absl::Time now) {
  StapleReport report;
  if (staple.empty()) return report;
  const std::optional<bssl::OCSPRevocationStatus> claim = ReadClaim(staple, report);
  ResponseStatus status = ResponseStatus::NOT_CHECKED;
  const bssl::OCSPRevocationStatus answer =
      bssl::CheckOCSP(View(staple), View(leaf_der), View(issuer_der), absl::ToUnixSeconds(now),
                      /*max_age_seconds=*/std::nullopt, &status);
  ERR_clear_error();
  if (status != ResponseStatus::PROVIDED) {
    report.state = StapleState::kBad;
    report.detail = FaultOf(status, report, now);
    if (absl::StrContains(staple, "-----BEGIN")) report.detail = "it is PEM, not DER";
    return report;
  }
  switch (answer) {
    case bssl::OCSPRevocationStatus::GOOD:
      report.state = StapleState::kGood;
      break;
    case bssl::OCSPRevocationStatus::REVOKED:
      report.state = StapleState::kRevoked;
      report.detail = "the certificate is revoked";
      break;
    case bssl::OCSPRevocationStatus::UNKNOWN:
      // BoringSSL returns this also for a wrong signature.
      report.state = claim == answer ? StapleState::kUnknown : StapleState::kBad;
      report.detail = claim == answer
                          ? "the responder does not know the certificate"
                          : "it is not signed by the issuer, nor by a responder of the issuer";
      break;
  }
  return report;
}

}  // namespace trestle
