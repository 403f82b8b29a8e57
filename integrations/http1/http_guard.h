// HttpGuard: what decides about requests beside the rules of HTTP itself: a web application
// firewall, a check of routes. The inspector calls it; what it refuses never reaches the backend.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_HTTP_GUARD_H_
#define TRESTLE_INTEGRATIONS_HTTP1_HTTP_GUARD_H_

#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "integrations/http1/http_message.h"
#include "trestle/proxy/observer.h"

namespace trestle {

/// Looks at one connection's requests, one after the other, on the loop's thread. Must not throw,
/// and must not take long: the loop's other connections wait.
class HttpGuard {
 public:
  virtual ~HttpGuard() = default;

  /// A request begins. Its views are valid during the call only.
  virtual std::optional<HttpRefusal> OnHead(const HttpRequestHead& head) = 0;

  /// Tells whether the request's body is to be seen before any of the request is passed on.
  virtual bool wants_body() const { return false; }

  /// More of the body, without the framing of chunks. Called where `wants_body`.
  virtual std::optional<HttpRefusal> OnBody(absl::string_view piece) {
    return (void)piece, std::nullopt;
  }

  /// The body is complete, or there is none: the last word about this request. Also called for
  /// bodies over the bound, where the rest is not looked at by option.
  virtual std::optional<HttpRefusal> OnEnd() { return std::nullopt; }
};

/// Makes one connection's guard; null for none.
using HttpGuardFactory =
    absl::AnyInvocable<std::unique_ptr<HttpGuard>(const ConnectionReport& connection)>;

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_HTTP_GUARD_H_
