#include "examples/support/json_values.h"

#include <optional>

#include "absl/strings/escaping.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/watch/probe_findings.h"

namespace trestle::examples {

Json TimeOf(absl::Time time) {
  if (time == absl::InfiniteFuture() || time == absl::InfinitePast()) return nullptr;
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

Json ErrorOf(const std::optional<Error>& error) {
  if (!error.has_value()) return nullptr;
  Json alert = nullptr;
  if (error->alert.has_value()) alert = AlertName(*error->alert);
  return {{"code", Text(EnumName(error->code))},
          {"phase", Text(EnumName(error->phase))},
          {"alert", alert},
          {"detail", error->detail}};
}

Json CertificateOf(const CertificateInfo& certificate, absl::Time now) {
  Json days = nullptr;
  if (certificate.not_after != absl::InfinitePast()) {
    days = absl::ToDoubleHours(certificate.not_after - now) / 24;
  }
  return {{"subject", certificate.subject},
          {"issuer", certificate.issuer},
          {"names", NamesOf(certificate)},
          {"serial", certificate.serial},
          {"key", certificate.key},
          {"signature", certificate.signature},
          {"not_before", TimeOf(certificate.not_before)},
          {"not_after", TimeOf(certificate.not_after)},
          {"days_left", days},
          {"spki_sha256", absl::Base64Escape(AsText(certificate.spki_sha256))}};
}

std::string Dump(const Json& document, bool one_line) {
  return document.dump(one_line ? -1 : 2, ' ', /*ensure_ascii=*/true,
                       Json::error_handler_t::replace);
}

}  // namespace trestle::examples
