#include "examples/support/connection_log.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "examples/support/connection_json.h"
#include "examples/support/log.h"
#include "trestle/wire/quic_packet.h"
#include "trestle/wire/server_name.h"

namespace trestle::examples {
namespace {

constexpr size_t kMaxSubjectBytes = 200;
constexpr size_t kMaxStatusBytes = 2000;

std::string OrDash(absl::string_view text) { return std::string(text.empty() ? "-" : text); }

std::string DescribeTls(const LegReport& leg) {
  if (leg.tls == nullptr || leg.tls->version.empty()) return "-";
  return absl::StrCat(leg.tls->version, "/", OrDash(leg.tls->cipher), "/", OrDash(leg.tls->group),
                      leg.tls->resumed ? "/resumed" : "");
}

std::string DescribeClient(const LegReport& leg) {
  if (leg.tls == nullptr || leg.tls->peer_identity == nullptr) return "";
  return absl::StrCat(" client_certificate=\"",
                      EscapeForLog(leg.tls->peer_identity->subject, kMaxSubjectBytes), "\"");
}

std::string DescribeQuic(const ConnectionReport& report) {
  if (report.quic_version == 0) return "";
  return report.quic_version == kQuicV2 ? " quic=2" : " quic=1";
}

// Escapes quotes, so that a value ends at its quotes. Other bytes of messages are printable
// already.
std::string EscapeQuotes(absl::string_view text) {
  std::string escaped;
  for (const char c : text.substr(0, kMaxStatusBytes)) {
    if (c == '"' || c == '\\') escaped.push_back('\\');
    escaped.push_back(c);
  }
  if (text.size() > kMaxStatusBytes) absl::StrAppend(&escaped, "…(", text.size(), " bytes)");
  return escaped;
}

std::string DescribeStatus(const ConnectionReport& report) {
  if (report.handed_over) return "handed over";
  if (report.front.tls != nullptr && report.front.tls->acme_challenge) return "ok, acme-tls/1";
  if (!report.ok()) return report.error->ToString();
  if (report.back.left_unmarked) return "ok, the backend left without close_notify";
  return report.front.left_unmarked ? "ok, the client left without close_notify" : "ok";
}

}  // namespace

std::string DescribeConnection(const ConnectionReport& whole_report) {
  const ConnectionReport report = WithoutHiddenNames(whole_report);
  const absl::Duration duration = absl::Trunc(report.duration, absl::Microseconds(100));
  const bool proxied = report.front.via != Endpoint();
  return absl::StrCat("client=", report.front.peer.ToString(),
                      proxied ? absl::StrCat(" via=", report.front.via.ToString()) : "",
                      " mode=", EnumName(report.mode), DescribeQuic(report),
                      " sni=", OrDash(report.server_name), " front=", DescribeTls(report.front),
                      DescribeClient(report.front), " backend=", report.back.peer.ToString(),
                      " back=", DescribeTls(report.back), " up=", report.back.bytes_written,
                      " down=", report.front.bytes_written,
                      " duration=", absl::FormatDuration(duration), " status=\"",
                      EscapeQuotes(DescribeStatus(report)), "\"");
}

bool AbslParseFlag(absl::string_view text, ConnectionLogFormat* format, std::string* error) {
  for (const ConnectionLogFormat known :
       {ConnectionLogFormat::kNone, ConnectionLogFormat::kText, ConnectionLogFormat::kJson}) {
    *format = known;
    if (text == AbslUnparseFlag(known)) return true;
  }
  *error = "it is text, json or none";
  return false;
}

std::string AbslUnparseFlag(ConnectionLogFormat format) {
  switch (format) {
    case ConnectionLogFormat::kNone:
      return "none";
    case ConnectionLogFormat::kText:
      return "text";
    case ConnectionLogFormat::kJson:
      return "json";
  }
  return "none";
}

void ConnectionLog::OnClosed(const ConnectionReport& report) {
  const absl::Time now = absl::Now();
  if (format_ == ConnectionLogFormat::kJson) return LogLine(ConnectionAsJson(report, now));
  LogLine(absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ ", now, absl::UTCTimeZone()),
                       DescribeConnection(report)));
}

}  // namespace trestle::examples
