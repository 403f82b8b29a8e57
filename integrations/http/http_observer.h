// HttpObserver: receives a gateway's report about each request, as plain values.
#ifndef TRESTLE_INTEGRATIONS_HTTP_HTTP_OBSERVER_H_
#define TRESTLE_INTEGRATIONS_HTTP_HTTP_OBSERVER_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "integrations/http/http_exchange.h"
#include "trestle/base/endpoint.h"

namespace trestle {

/// Why a request did not get a complete response of a backend. The list is closed.
enum class HttpReason : uint8_t {
  kNone,              ///< It did.
  kRedirected,        ///< The route leads elsewhere: 301, 302, 303, 307, 308.
  kBadRequest,        ///< The request is malformed or ambiguous: 400, 417, 501, 505.
  kHeadTooLarge,      ///< 431.
  kTargetTooLong,     ///< 414.
  kBodyTooLarge,      ///< 413.
  kMethodNotAllowed,  ///< 405.
  kMisdirected,       ///< A host that this connection isn't for, or that has no route: 421.
  kNoRoute,           ///< A path without a route: 404.
  kLoop,              ///< The request has passed this gateway before: 508.
  kHeadTimeout,       ///< 408.
  kBodyTimeout,       ///< 408.
  kBodyTooSlow,       ///< The client sent less than the minimum rate: 408.
  kDenied,            ///< By the judge: its status.
  kResponseDenied,    ///< The response, by the judge: its status.
  kJudgeBusy,         ///< Too many wait for their verdict, or it came too late: 503.
  kPoolFull,          ///< Too many requests wait for a connection: 503.
  kConnectTimeout,    ///< 504.
  kUnreachable,       ///< No connection to any backend: 502.
  kBackTlsFailed,     ///< TLS with the backend failed, or its certificate was refused: 502.
  kBackendTimeout,    ///< No response in time: 504. In the middle of one: cut.
  kBadResponse,       ///< A malformed or ambiguous response: 502 or cut.
  kBackendClosed,     ///< The backend ended before its response was complete: 502 or cut.
  kClientTimeout,     ///< The client did not read its response: cut.
  kClientTooSlow,     ///< The client read less than the minimum rate: cut.
  kClientGone,        ///< The client cancelled the request or left.
};

/// Returns the name of a reason for logs and metrics: "no_route"; "" for kNone.
absl::string_view EnumName(HttpReason reason);

/// The report about one request. Texts of the client are as it sent them: escape them in logs.
struct HttpRequestReport {
  uint64_t connection = 0;  ///< `ConnectionReport::id` of the client's connection; 0: none.
  std::string id;           ///< The request ID, as in `X-Request-ID`.
  absl::Time began;
  absl::Duration duration;
  absl::Duration first_byte;  ///< Until the response's head; zero without one.
  Endpoint client;
  HttpVersion version = HttpVersion::kHttp11;
  std::string method;
  std::string host;
  std::string target;
  std::string route;  ///< `GatewayRoute::name`; empty without one.
  int status = 0;     ///< Sent to the client; 0 if none was.
  HttpReason reason = HttpReason::kNone;
  std::string detail;      ///< About `reason`, for people.
  uint64_t bytes_in = 0;   ///< Of the request's body.
  uint64_t bytes_out = 0;  ///< Of the response's body.
  Endpoint backend;        ///< The last one tried; kNone without one.
  HttpVersion backend_version = HttpVersion::kHttp11;
  bool backend_reached = false;  ///< A connection to it got the request.
  bool backend_reused = false;   ///< Its connection was kept from an earlier request.
  bool cached = false;           ///< The response came from the cache.
  int tries = 0;                 ///< Backends and connections that were tried.
};

/// Called on the loop's thread. Must not destroy the gateway.
class HttpObserver {
 public:
  virtual ~HttpObserver() = default;

  /// Called once the route of a request is known: `HttpRequestReport::route` isn't empty from then
  /// on.
  virtual void OnRouted(const HttpRequestReport&) {}

  /// Called once for each request, at its end.
  virtual void OnRequest(const HttpRequestReport& report) = 0;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_HTTP_OBSERVER_H_
