// HttpGuard: the interface for additional checks of a request, such as a web application firewall.
// A request that it rejects reaches no backend. `NewGuardJudge` (integrations/http/request_judge.h)
// attaches guards to a gateway.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_HTTP_GUARD_H_
#define TRESTLE_INTEGRATIONS_HTTP1_HTTP_GUARD_H_

#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "integrations/http1/http_message.h"

namespace trestle {

/// The head of a response.
struct HttpResponseHead {
  int status = 0;
  std::vector<HttpField> fields;
};

/// Checks one request, and its response if `wants_response`, on threads of a task runner: one call
/// at a time. The loop's other requests go on meanwhile.
/// Must not throw.
class HttpGuard {
 public:
  virtual ~HttpGuard() = default;

  /// Called first, once. The views in `head` are valid during the call only. A
  /// result rejects the request.
  virtual std::optional<HttpRefusal> OnHead(const HttpRequestHead& head) = 0;

  /// Returns whether the guard must see the request's body.
  virtual bool wants_body() const { return false; }

  /// Called with the next piece of the body, without chunk framing, if `wants_body`.
  virtual std::optional<HttpRefusal> OnBody(absl::string_view piece) {
    return (void)piece, std::nullopt;
  }

  /// Called when the body is complete or there is none: the last chance to reject this request.
  virtual std::optional<HttpRefusal> OnEnd() { return std::nullopt; }

  /// Returns whether the calls below follow those for an accepted request.
  virtual bool wants_response() const { return false; }

  /// Called with the head of the final response. The views are valid during the call only. A result
  /// rejects the response, of which the client gets nothing.
  virtual std::optional<HttpRefusal> OnResponseHead(const HttpResponseHead& head) {
    return (void)head, std::nullopt;
  }

  /// Called with the beginning of the body, as far as it is judged, without chunk framing.
  virtual std::optional<HttpRefusal> OnResponseBody(absl::string_view piece) {
    return (void)piece, std::nullopt;
  }

  /// Called last.
  virtual std::optional<HttpRefusal> OnResponseEnd() { return std::nullopt; }
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_HTTP_GUARD_H_
