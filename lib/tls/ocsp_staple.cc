#include "lib/tls/ocsp_staple.h"

#include <openssl/err.h>
#include <openssl/pki/ocsp.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "pki/encode_values.h"
#include "pki/ocsp.h"

namespace trestle {
namespace {

using ResponseStatus = bssl::OCSPVerifyResult::ResponseStatus;

std::string_view View(absl::string_view text) { return std::string_view(text.data(), text.size()); }

absl::Time ToTime(const bssl::der::GeneralizedTime& time, absl::Time if_unreadable) {
  int64_t seconds = 0;
  if (!bssl::der::GeneralizedTimeToPosixTime(time, &seconds)) return if_unreadable;
  return absl::FromUnixSeconds(seconds);
}

// The dates of the first answer; servers staple one. Returns what it claims.
std::optional<bssl::OCSPRevocationStatus> ReadClaim(absl::string_view staple,
                                                    StapleReport& report) {
  bssl::OCSPResponse response;
  bssl::OCSPResponseData data;
  bssl::OCSPSingleResponse single;
  if (!bssl::ParseOCSPResponse(bssl::der::Input(View(staple)), &response) ||
      response.status != bssl::OCSPResponse::ResponseStatus::SUCCESSFUL ||
      !bssl::ParseOCSPResponseData(response.data, &data) || data.responses.empty() ||
      !bssl::ParseOCSPSingleResponse(data.responses.front(), &single)) {
    return std::nullopt;
  }
  report.this_update = ToTime(single.this_update, absl::InfiniteFuture());
  if (single.has_next_update) report.next_update = ToTime(single.next_update, absl::InfinitePast());
  return single.cert_status.status;
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
      return "it has a critical extension that nobody knows";
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
      // Also the answer where the signature is wrong.
      report.state = claim == answer ? StapleState::kUnknown : StapleState::kBad;
      report.detail = claim == answer
                          ? "the responder does not know the certificate"
                          : "it is not signed by the issuer, nor by a responder of the issuer";
      break;
  }
  return report;
}

}  // namespace trestle
