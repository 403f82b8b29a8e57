// Content routing of HTTP/2: a connection's backend is chosen by the host of its first request, or,
// where one backend serves the name that the client asked for, without reading at all.
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
  /// Of the first request. `target_bytes` is the limit of :path.
  Http1Limits limits = {};
  /// What the first request's host may be.
  Http1Options::HostPolicy hosts = Http1Options::HostPolicy::kServerName;
  /// Must be true. Once the backend is chosen, everything that the client sends passes unread,
  /// including forged fields and requests for other hosts. The backend must answer requests for
  /// hosts that it doesn't serve with 421 (RFC 9110 7.4).
  bool dangerous_unread_http2 = false;
};

/// Makes content routing of connections on which HTTP/2 was agreed on; `otherwise` is asked about
/// all others. What the client sent passes byte for byte. A host whose paths lead to different
/// backends is answered with HTTP_1_1_REQUIRED (RFC 9113 7), since requests of one HTTP/2
/// connection can't be told apart here: clients that know it come back with HTTP/1.1, others
/// (curl 7.88) fail. Other refusals are answers to the first request, with 421 and so on. A client
/// that sends no request before it has the server's SETTINGS (RFC 9113 3.4 lets it wait) can't be
/// routed by its requests, and runs into the time limit of `ContentRouting`. Fails with
/// ErrorCode::kConfiguration unless `dangerous_unread_http2` is set.
absl::StatusOr<ContentReaderFactory> NewHttp2RouteReaderFactory(
    std::shared_ptr<const HttpRoutes> routes, const Http2RouteOptions& options,
    ContentReaderFactory otherwise);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP2_HTTP2_ROUTES_H_
