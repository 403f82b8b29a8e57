// Heads of requests as a HeadRewriter passes them to a backend, in tests.
#ifndef TRESTLE_TESTS_INTEGRATIONS_HTTP1_REWRITTEN_HEAD_H_
#define TRESTLE_TESTS_INTEGRATIONS_HTTP1_REWRITTEN_HEAD_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "integrations/http1/forwarded_fields.h"
#include "integrations/http1/http_message.h"
#include "trestle/proxy/observer.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// Returns the report of a connection from 192.0.2.7 for app.test.
inline ConnectionReport ReportOfAppTest() {
  ConnectionReport report;
  report.server_name = "app.test";
  report.front.peer = *Endpoint::Parse("192.0.2.7:40000");
  TlsInfo tls;
  tls.alpn = "http/1.1";
  report.front.tls = std::make_shared<const TlsInfo>(std::move(tls));
  return report;
}

/// Returns options that add nothing to heads, so that tests can compare them.
inline ForwardingOptions QuietForwarding() {
  ForwardingOptions options;
  options.x_forwarded = false;
  options.forwarded = false;
  return options;
}

/// Returns the fields that a backend gets, each with its line end. A refused head becomes its
/// status and reason.
inline std::string Rewritten(absl::string_view head, const ForwardingOptions& options,
                             const ConnectionReport& report) {
  HttpRefusal refusal;
  const std::optional<HttpRequestHead> read = ReadRequestHead(head, {}, refusal);
  if (!read.has_value()) return absl::StrCat(refusal.status, " ", refusal.reason);
  const HeadRewriter rewriter(options, report);
  if (rewriter.refusal().has_value()) {
    return absl::StrCat(rewriter.refusal()->status, " ", rewriter.refusal()->reason);
  }
  std::string fields;
  rewriter.ForEachField(*read, [&](absl::string_view name, absl::string_view value) {
    absl::StrAppend(&fields, name, ": ", value, "\r\n");
  });
  return fields;
}

/// The same for a GET for app.test with `fields`, without its Host.
inline std::string RewrittenGet(absl::string_view fields, const ForwardingOptions& options,
                                const ConnectionReport& report = ReportOfAppTest()) {
  constexpr absl::string_view kHost = "Host: app.test\r\n";
  const std::string all =
      Rewritten(absl::StrCat("GET / HTTP/1.1\r\n", kHost, fields, "\r\n"), options, report);
  return all.compare(0, kHost.size(), std::string(kHost)) == 0 ? all.substr(kHost.size()) : all;
}

}  // namespace trestle

#endif  // TRESTLE_TESTS_INTEGRATIONS_HTTP1_REWRITTEN_HEAD_H_
