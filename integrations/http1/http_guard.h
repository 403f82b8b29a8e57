// HttpGuard: the interface for additional request checks, such as a web application firewall or a
// check of routes. A request that it rejects never reaches the backend completely.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_HTTP_GUARD_H_
#define TRESTLE_INTEGRATIONS_HTTP1_HTTP_GUARD_H_

#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "integrations/http1/http_message.h"
#include "trestle/proxy/observer.h"

namespace trestle {

/// Checks the requests of one connection, one after the other, on the loop's thread. Must not throw
/// or block: the loop's other connections wait.
class HttpGuard {
 public:
  virtual ~HttpGuard() = default;

  /// Called at the start of each request. The views in `head` are valid during the call only. A
  /// result rejects the request.
  virtual std::optional<HttpRefusal> OnHead(const HttpRequestHead& head) = 0;

  /// Returns whether the guard must see the request's body before any of the request is passed on.
  virtual bool wants_body() const { return false; }

  /// Called with the next piece of the body, without chunk framing, if `wants_body`.
  virtual std::optional<HttpRefusal> OnBody(absl::string_view piece) {
    return (void)piece, std::nullopt;
  }

  /// Called when the body is complete or there is none: the last chance to reject this request.
  /// Also called for bodies over `Http1Options::guarded_body_bytes` if `pass_longer_bodies` is set.
  virtual std::optional<HttpRefusal> OnEnd() { return std::nullopt; }
};

/// Creates the guard of one connection; null for none.
using HttpGuardFactory =
    absl::AnyInvocable<std::unique_ptr<HttpGuard>(const ConnectionReport& connection)>;

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_HTTP_GUARD_H_
