// Content routing of HTTP/2: selects a connection's backend by the host of its first request. If
// one backend serves the ClientHello's server name, it reads nothing.
#ifndef TRESTLE_INTEGRATIONS_HTTP2_HTTP2_ROUTES_H_
#define TRESTLE_INTEGRATIONS_HTTP2_HTTP2_ROUTES_H_

#include <memory>

#include "absl/status/statusor.h"
#include "integrations/http1/http1_inspector.h"
#include "integrations/http1/http_message.h"
#include "integrations/http1/http_routes.h"
#include "trestle/proxy/content_routing.h"

namespace trestle {

struct Http2RouteOptions {
  /// Limits of the first request. `target_bytes` limits :path.
  Http1Limits limits = {};
  /// The hosts that the first request may name.
  Http1Options::HostPolicy hosts = Http1Options::HostPolicy::kServerName;
  /// Must be true. After the choice of the backend, all bytes of the client pass unread, including
  /// forged fields and requests for other hosts. The backend must reject requests for hosts that it
  /// does not serve with 421 (RFC 9110 7.4).
  bool dangerous_unread_http2 = false;
};

/// Creates content routing for connections with HTTP/2; `otherwise` handles all others. The
/// client's bytes pass unchanged. Fails with ErrorCode::kConfiguration unless
/// `dangerous_unread_http2` is set.
///
/// A host whose paths lead to different backends gets HTTP_1_1_REQUIRED (RFC 9113 7), because
/// requests of one HTTP/2 connection cannot be separated here. Clients that support it retry with
/// HTTP/1.1; others (curl 7.88) fail. Other rejections are responses to the first request, such as
/// 421.
///
/// A client may wait for the server's SETTINGS before its first request (RFC 9113 3.4). Its request
/// cannot select a route, and the timeout of `ContentRouting` ends the connection.
absl::StatusOr<ContentReaderFactory> NewHttp2RouteReaderFactory(
    std::shared_ptr<const HttpRoutes> routes, const Http2RouteOptions& options,
    ContentReaderFactory otherwise);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP2_HTTP2_ROUTES_H_
