// ConnectionPlan: the differences between the three blocks: how to open each leg, and how to choose
// the backend.
#ifndef TRESTLE_LIB_PROXY_CONNECTION_PLAN_H_
#define TRESTLE_LIB_PROXY_CONNECTION_PLAN_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/base/error.h"
#include "trestle/io/inspector.h"
#include "trestle/io/transport.h"
#include "trestle/proxy/accepted.h"
#include "trestle/proxy/backend_chooser.h"
#include "trestle/proxy/connection_limiter.h"
#include "trestle/proxy/content_routing.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/route_table.h"
#include "trestle/tls/hello_hook.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// The inputs for opening a back leg.
struct BackRequest {
  /// Returns the protocol negotiated with the client; empty before, and on a passthrough leg.
  absl::string_view alpn() const {
    return report.front.tls == nullptr ? absl::string_view() : report.front.tls->alpn;
  }

  const ConnectionReport& report;  ///< Of the connection, as far as it got.
  std::string backend_name = {};   ///< The name from content routing; empty for the plan's own.
  /// The protocols to offer to the backend in place of `alpn`, so that it selects one. Set while a
  /// hello waits for its answer.
  std::vector<std::string> alpn_to_offer = {};
};

/// Turns a new transport into an open leg, by a TLS handshake or by reading the ClientHello.
class LegOpener {
 public:
  virtual ~LegOpener() = default;

  /// Takes ownership of `raw` and opens it. Calls `done` once, from the loop and never from inside
  /// this call. `done` may destroy the opener; destroying it earlier cancels.
  virtual void Open(std::unique_ptr<Transport> raw,
                    absl::AnyInvocable<void(absl::Status)> done) = 0;

  /// Returns the leg. After success it is open; before, or after a failure, it can only send last
  /// bytes and close.
  virtual std::unique_ptr<Transport> Take() = 0;

  /// Returns whether the peer's complete ClientHello has arrived. Always true for a back leg.
  virtual bool hello_received() const = 0;

  /// Returns whether the peer sent any byte, besides a PROXY header.
  virtual bool anything_received() const = 0;

  /// Return the results so far: the client's server name, the hello that a passthrough leg read,
  /// and the parameters of a TLS leg. Call them before `Take`.
  virtual std::string server_name() const = 0;
  virtual std::optional<HelloReport> hello() const { return std::nullopt; }
  virtual std::shared_ptr<const TlsInfo> tls() const { return nullptr; }

  /// Returns the raw bytes to send to the peer after a failure. Empty for none, or if the leg's own
  /// engine sends an alert. Call it before `Take`.
  virtual std::string last_words() const { return {}; }
};

/// The inputs for opening a front leg. Referenced objects outlive the opener.
struct FrontContext {
  /// Limits full handshakes. Null: no limits.
  ConnectionLimiter* limiter;
  /// Changes once, when a PROXY header is read.
  const ConnectionOrigin& origin;
  /// Null if no hello was read before.
  const RoutedHello* routed;
  /// For plans that delay hellos (`AnswerHello`).
  HelloHook& hook;
  /// A leg that terminates TLS, or opens an encrypted hello, calls it with the complete hello
  /// before the answer. Returns why the hello must be rejected.
  absl::AnyInvocable<absl::Status(const HelloToAnswer&)> check_hello;
};

class ConnectionPlan {
 public:
  using Candidate = BackendChooser::Candidate;

  struct Choice {
    std::string route;
    const RouteTarget* target = nullptr;  // Not null; valid until the loop's next call.
    std::shared_ptr<const RouteCheck> check = nullptr;  // Set if a hello selected a handler.
  };

  virtual ~ConnectionPlan() = default;

  virtual ProxyMode mode() const = 0;

  virtual std::unique_ptr<LegOpener> NewFront(FrontContext context) = 0;

  /// Returns the protocols to offer to a backend for `hello`.
  virtual std::vector<std::string> AlpnToOffer(const HelloToAnswer& hello) {
    return (void)hello, std::vector<std::string>();
  }

  /// Answers a waiting hello, or returns nothing to ask the backend. `request.alpn_to_offer` has
  /// the result of `AlpnToOffer`, and keeps it in the second case. `backend` is the first
  /// candidate. Called only if the plan passed the hook on.
  virtual std::optional<absl::StatusOr<HelloAnswer>> AnswerHello(const HelloToAnswer& hello,
                                                                 const Candidate& backend,
                                                                 BackRequest& request) {
    return (void)hello, (void)backend, (void)request, HelloAnswer{};
  }

  /// Called with the result of opening a back leg, which `request.report.back` describes.
  virtual void OnBackOpened(const BackRequest& request, const absl::Status& status) {
    (void)request, (void)status;
  }

  /// Returns whether the block itself reports a connection whose target is a handler, at its end.
  /// Otherwise the handler is a block with its own observer.
  virtual bool lends() const { return false; }

  /// Chooses the target of the connection, once the front leg is open or has a complete hello.
  virtual absl::StatusOr<Choice> Choose(const ConnectionReport& report) = 0;

  /// Returns the content routing to run before `Choose`; null for none.
  virtual ContentRouting* content() { return nullptr; }

  /// Returns the client data that a backend receives while its leg opens. The text is equal for
  /// connections that the backend cannot distinguish, and empty if no client data is sent.
  virtual std::string ShownToBackend(const BackRequest& request) {
    return (void)request, std::string();
  }

  /// Creates the opener of a back leg to `backend`; null to use the leg as dialed.
  virtual absl::StatusOr<std::unique_ptr<LegOpener>> NewBack(const BackRequest& request,
                                                             const Candidate& backend) = 0;

  /// Returns the raw bytes to send on the front leg when the connection fails before bytes flow.
  /// For legs without an engine that sends alerts.
  virtual std::string LastWords(const Error& error) { return (void)error, std::string(); }

  virtual std::unique_ptr<Inspector> NewInspector(const ConnectionReport& connection) {
    return (void)connection, nullptr;
  }
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_CONNECTION_PLAN_H_
