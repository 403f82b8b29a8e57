// What differs between the three blocks, for the one connection skeleton: how each leg is opened,
// and which backend is chosen.
#ifndef TRESTLE_LIB_PROXY_CONNECTION_PLAN_H_
#define TRESTLE_LIB_PROXY_CONNECTION_PLAN_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trestle/base/error.h"
#include "trestle/io/inspector.h"
#include "trestle/io/transport.h"
#include "trestle/proxy/accepted.h"
#include "trestle/proxy/connection_limiter.h"
#include "trestle/proxy/content_routing.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/route_table.h"
#include "trestle/tls/hello_hook.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// What opening a leg brought to light.
struct LegFacts {
  std::string server_name;
  std::string alpn;                    ///< Agreed on; empty on an opaque leg.
  std::shared_ptr<const TlsInfo> tls;  ///< Null on an opaque leg.
  std::optional<HelloReport> hello;    ///< Of an opaque leg.
  std::string backend_name = {};       ///< What content routing chose; empty for the plan's own.
  Endpoint peer;                       ///< The client; filled in by the connection.
  /// To be offered to the backend in place of `alpn`, whose choice it is then; from a hello that
  /// waits for an answer.
  std::vector<std::string> alpn_to_offer = {};
};

/// Turns a fresh transport into an open leg: a TLS handshake, or reading the ClientHello.
class LegOpener {
 public:
  virtual ~LegOpener() = default;

  /// Takes `raw` and opens it. `done` is called once, from the loop and never from inside this
  /// call; the opener may be destroyed in it, and destroying it before cancels.
  virtual void Open(std::unique_ptr<Transport> raw,
                    absl::AnyInvocable<void(absl::Status)> done) = 0;

  /// Gives the leg away: open, or, before or after a failure, for its last words and its end.
  virtual std::unique_ptr<Transport> Take() = 0;

  /// Tells whether the peer's whole ClientHello has come. Always true for a back leg.
  virtual bool hello_received() const = 0;

  /// What is known so far. To be called before `Take`.
  virtual LegFacts facts() const = 0;

  /// What the peer is told after a failure, as raw bytes; empty for nothing, or where the leg has
  /// an engine of its own that says it. To be called before `Take`.
  virtual std::string last_words() const { return {}; }
};

/// What a front leg is opened with. What is referred to outlives the opener.
struct FrontContext {
  /// Full handshakes, if there are any, are to be made as this lets them. Null: without limits.
  ConnectionLimiter* limiter;
  /// Changes once, when a PROXY header was read.
  const ConnectionOrigin& origin;
  /// Null where no hello was read before.
  const RoutedHello* routed;
  /// For plans that want hellos to wait (`AnswerHello`).
  HelloHook& hook;
  /// To be called by a leg that ends TLS, with each complete hello, before it is answered. Says
  /// why it must be refused.
  absl::AnyInvocable<absl::Status(const HelloToAnswer&)> check_hello;
};

class ConnectionPlan {
 public:
  struct Choice {
    std::string route;
    const RouteTarget* target = nullptr;  // Not null; valid until the loop's next call.
    std::shared_ptr<const RouteCheck> check = nullptr;  // Where a hello led to a handler.
  };

  virtual ~ConnectionPlan() = default;

  virtual ProxyMode mode() const = 0;

  virtual std::unique_ptr<LegOpener> NewFront(FrontContext context) = 0;

  /// Names the protocols that a backend is offered where it is asked about `hello`.
  virtual std::vector<std::string> AlpnToOffer(const HelloToAnswer& hello) {
    return (void)hello, std::vector<std::string>();
  }

  /// Decides about a hello that waits: an answer, or nothing, for the backend to be asked.
  /// `facts.alpn_to_offer` has what `AlpnToOffer` said, and keeps it in the latter case. `backend`
  /// is the one that comes first. Called only where the plan gave the hook away.
  virtual std::optional<absl::StatusOr<HelloAnswer>> AnswerHello(const HelloToAnswer& hello,
                                                                 const Endpoint& backend,
                                                                 LegFacts& facts) {
    return (void)hello, (void)backend, (void)facts, HelloAnswer{};
  }

  /// Is told how opening a back leg went, and what it agreed on.
  virtual void OnBackOpened(const LegFacts& front, const LegReport& back,
                            const absl::Status& status) {
    (void)front, (void)back, (void)status;
  }

  /// Chooses where the connection goes, once the front leg is open.
  virtual absl::StatusOr<Choice> Choose(const LegFacts& front) = 0;

  /// How a connection's first bytes choose where it goes, before `Choose` is asked; null for not.
  virtual ContentRouting* content() { return nullptr; }

  /// Describes what opening a back leg shows the backend of this client: the same text for
  /// connections that look the same to it; empty where nothing of the client's is shown.
  virtual std::string ShownToBackend(const LegFacts& front) { return (void)front, std::string(); }

  /// Makes the opener of a back leg that leads to `backend`; null where it stays as dialed.
  virtual absl::StatusOr<std::unique_ptr<LegOpener>> NewBack(const LegFacts& front,
                                                             const Endpoint& backend) = 0;

  /// What the front leg is told, as raw bytes, when the connection fails before bytes flow. For
  /// legs without an engine of their own that would send an alert.
  virtual std::string LastWords(const TlsError& error) { return (void)error, std::string(); }

  virtual std::unique_ptr<Inspector> NewInspector(const ConnectionReport& connection) {
    return (void)connection, nullptr;
  }
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_CONNECTION_PLAN_H_
