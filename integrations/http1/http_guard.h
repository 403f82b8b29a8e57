// HttpGuard: the interface for additional checks of a request, such as a web application firewall.
// A request that it rejects reaches no backend. `NewGuardJudge` (integrations/http/request_judge.h)
// attaches guards to a gateway.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_HTTP_GUARD_H_
#define TRESTLE_INTEGRATIONS_HTTP1_HTTP_GUARD_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "integrations/http1/http_message.h"

namespace trestle {

/// Checks one request, on a thread of a task runner. The loop's other requests go on meanwhile.
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
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_HTTP_GUARD_H_
