#include "trestle/proxy/sni_passthrough_router.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "lib/proxy/connection_plan.h"
#include "lib/proxy/hello_leg.h"
#include "lib/proxy/option_checks.h"
#include "lib/wire/tls_records.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr uint8_t kAlertDecodeError = 50;        // RFC 8446 6.2
constexpr uint8_t kAlertUnrecognizedName = 112;  // RFC 6066 3

absl::Status CheckRoutes(const RouteTable* routes, Unrouted no_name, Unrouted unknown_name) {
  if (routes == nullptr) return ConfigurationError("the router needs routes");
  if (!routes->has_default() || no_name == Unrouted::kDefaultRoute ||
      unknown_name == Unrouted::kDefaultRoute) {
    return absl::OkStatus();
  }
  return ConfigurationError(
      "nothing can reach the default route: clients without a name and clients of "
      "other names are both refused");
}

}  // namespace

namespace {

// The routing of hellos. Immutable, so that a decision can be checked later.
struct Routing {
  std::shared_ptr<const RouteTable> routes;
  Unrouted no_name;
  Unrouted unknown_name;

  // Empty if the hello must be rejected.
  std::optional<RouteTable::Match> Find(absl::string_view server_name,
                                        absl::Span<const std::string> alpn) const {
    const std::optional<RouteTable::Match> match = routes->Find(server_name, alpn);
    if (!match.has_value()) return std::nullopt;
    // A default route limited to a protocol applies to hellos of any name.
    const bool covered = !match->is_default || !match->alpn.empty();
    if (covered || IfUnrouted(server_name) == Unrouted::kDefaultRoute) return match;
    return std::nullopt;
  }

  Unrouted IfUnrouted(absl::string_view server_name) const {
    return server_name.empty() ? no_name : unknown_name;
  }
};

class SameHandlerCheck final : public RouteCheck {
 public:
  SameHandlerCheck(std::shared_ptr<const Routing> routing, const ConnectionHandler* handler)
      : routing_(std::move(routing)), handler_(handler) {}

  bool LeadsToSameHandler(absl::string_view server_name,
                          absl::Span<const std::string> alpn) const override {
    const std::optional<RouteTable::Match> match = routing_->Find(server_name, alpn);
    if (!match.has_value()) return false;
    const auto* handler = std::get_if<ConnectionHandler*>(match->target);
    return handler != nullptr && *handler == handler_;
  }

 private:
  const std::shared_ptr<const Routing> routing_;
  const ConnectionHandler* const handler_;  // Only compared, never called.
};

}  // namespace

class SniPassthroughRouter::Plan final : public ConnectionPlan {
 public:
  Plan(Scheduler& scheduler, SniPassthroughRouterOptions options)
      : scheduler_(scheduler),
        ech_(std::move(options.ech)),
        hello_options_{options.ja4_sha256, options.answer_plain_http, ech_.get()},
        routing_(std::make_shared<const Routing>(
            Routing{std::move(options.routes), options.no_name, options.unknown_name})) {}

  ProxyMode mode() const override { return ProxyMode::kPassthrough; }

  std::unique_ptr<LegOpener> NewFront(FrontContext context) override {
    return std::make_unique<HelloLeg>(scheduler_, hello_options_, std::move(context));
  }

  absl::StatusOr<Choice> Choose(const ConnectionReport& report) override {
    const std::optional<RouteTable::Match> match =
        routing_->Find(report.server_name, report.hello->alpn);
    if (match.has_value()) {
      Choice choice{std::string(match->pattern), match->target};
      if (const auto* handler = std::get_if<ConnectionHandler*>(match->target)) {
        choice.check = std::make_shared<const SameHandlerCheck>(routing_, *handler);
      }
      return choice;
    }
    Error error;
    error.code = ErrorCode::kNoRoute;
    error.leg = Leg::kFront;
    error.phase = Phase::kRoute;
    if (routing_->IfUnrouted(report.server_name) != Unrouted::kClose) {
      error.alert = kAlertUnrecognizedName;
    }
    error.detail = report.server_name.empty()
                       ? "the ClientHello has no server name, and there is no route for that"
                       : absl::StrCat("no route for \"", report.server_name, "\"");
    return MakeError(error);
  }

  absl::StatusOr<std::unique_ptr<LegOpener>> NewBack(const BackRequest&, const Endpoint&) override {
    return nullptr;
  }

  std::string LastWords(const Error& error) override {
    switch (error.code) {
      case ErrorCode::kNoRoute:
        return error.alert.has_value() ? wire_internal::FatalAlertRecord(*error.alert)
                                       : std::string();
      case ErrorCode::kMalformedHello:
      case ErrorCode::kHelloTooLarge:
        return wire_internal::FatalAlertRecord(error.alert.value_or(kAlertDecodeError));
      default:
        // Send nothing to other protocols, or if only the backend may speak TLS.
        return {};
    }
  }

  absl::Status ReplaceRoutes(std::shared_ptr<const RouteTable> routes) {
    const Unrouted no_name = routing_->no_name;
    const Unrouted unknown_name = routing_->unknown_name;
    if (absl::Status s = CheckRoutes(routes.get(), no_name, unknown_name); !s.ok()) return s;
    routing_ = std::make_shared<const Routing>(Routing{std::move(routes), no_name, unknown_name});
    return absl::OkStatus();
  }

 private:
  Scheduler& scheduler_;
  const std::shared_ptr<EchOpener> ech_;
  const HelloLegOptions hello_options_;
  std::shared_ptr<const Routing> routing_;
};

absl::StatusOr<std::unique_ptr<SniPassthroughRouter>> SniPassthroughRouter::Create(
    Scheduler& scheduler, Dialer& dialer, SniPassthroughRouterOptions options,
    ConnectionObserver* observer) {
  absl::Status routes = CheckRoutes(options.routes.get(), options.no_name, options.unknown_name);
  if (!routes.ok()) return routes;
  if (absl::Status status = CheckConnectionOptions(options.connection); !status.ok()) return status;
  const ConnectionOptions connection = options.connection;
  auto plan = std::make_unique<Plan>(scheduler, std::move(options));
  Plan* const own_plan = plan.get();
  return absl::WrapUnique(
      new SniPassthroughRouter(scheduler, dialer, connection, observer, std::move(plan), own_plan));
}

SniPassthroughRouter::SniPassthroughRouter(Scheduler& scheduler, Dialer& dialer,
                                           const ConnectionOptions& options,
                                           ConnectionObserver* observer,
                                           std::unique_ptr<ConnectionPlan> base_plan, Plan* plan)
    : ProxyBlock(scheduler, dialer, options, observer, std::move(base_plan)), plan_(plan) {}

absl::Status SniPassthroughRouter::ReplaceRoutes(std::shared_ptr<const RouteTable> routes) {
  return plan_->ReplaceRoutes(std::move(routes));
}

}  // namespace trestle
