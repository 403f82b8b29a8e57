#include "examples/support/request_log.h"

#include "absl/strings/str_cat.h"
#include "examples/support/json_values.h"
#include "examples/support/log.h"

namespace trestle::examples {
namespace {

// Clients control these texts.
constexpr size_t kMaxTextBytes = 1024;

std::string Bounded(absl::string_view text) {
  if (text.size() <= kMaxTextBytes) return Text(text);
  return absl::StrCat(text.substr(0, kMaxTextBytes), "…(", text.size(), " bytes)");
}

Json BackendOf(const HttpRequestReport& report) {
  if (report.backend == Endpoint()) return nullptr;
  return {{"address", report.backend.ToString()},
          {"version", Text(EnumName(report.backend_version))},
          {"reused", report.backend_reused},
          {"tries", report.tries}};
}

}  // namespace

std::string RequestLine(const HttpRequestReport& report) {
  Json line = {
      {"request", report.id},
      {"connection", report.connection},
      {"time", TimeOf(report.began)},
      {"client", report.client.ToString()},
      {"version", Text(EnumName(report.version))},
      {"method", Bounded(report.method)},
      {"host", Bounded(report.host)},
      {"target", Bounded(report.target)},
      {"route", report.route.empty() ? Json(nullptr) : Json(report.route)},
      {"status", report.status == 0 ? Json(nullptr) : Json(report.status)},
      {"reason",
       report.reason == HttpReason::kNone ? Json(nullptr) : Json(Text(EnumName(report.reason)))},
      {"detail", report.detail.empty() ? Json(nullptr) : Json(Bounded(report.detail))},
      {"bytes_in", report.bytes_in},
      {"bytes_out", report.bytes_out},
      {"first_byte_ms", absl::ToDoubleMilliseconds(report.first_byte)},
      {"duration_ms", absl::ToDoubleMilliseconds(report.duration)},
      {"cached", report.cached},
      {"backend", BackendOf(report)},
  };
  return Dump(line, /*one_line=*/true);
}

void RequestLog::OnRequest(const HttpRequestReport& report) { LogLine(RequestLine(report)); }

}  // namespace trestle::examples
