#include "trestle/proxy/sni_passthrough_router.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "lib/proxy/connection_plan.h"
#include "lib/proxy/hello_leg.h"
#include "lib/proxy/option_checks.h"
#include "lib/proxy/routing.h"
#include "lib/wire/tls_records.h"
#include "trestle/base/error.h"
#include "trestle/proxy/backend_group.h"
#include "trestle/proxy/backends.h"

namespace trestle {
namespace {

constexpr uint8_t kAlertDecodeError = 50;        // RFC 8446 6.2
constexpr uint8_t kAlertUnrecognizedName = 112;  // RFC 6066 3

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
        unconfirmed_(std::move(options.unconfirmed)),
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
      if (unconfirmed_ != nullptr && report.hello->ech == EchVerdict::kOpened) {
        if (absl::Status status = LeaveConfirming(choice); !status.ok()) return status;
      }
      if (const auto* handler = std::get_if<ConnectionHandler*>(match->target)) {
        choice.check = std::make_shared<const SameHandlerCheck>(routing_, *handler);
      }
      return choice;
    }
    Error error = Routing::NoRoute(report.server_name);
    if (routing_->IfUnrouted(report.server_name) != Unrouted::kClose) {
      error.alert = kAlertUnrecognizedName;
    }
    return MakeError(error);
  }

  absl::StatusOr<std::unique_ptr<LegOpener>> NewBack(const BackRequest&,
                                                     const Candidate&) override {
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
    Routing routing{std::move(routes), routing_->no_name, routing_->unknown_name};
    if (absl::Status status = routing.Check(); !status.ok()) return status;
    routing_ = std::make_shared<const Routing>(std::move(routing));
    return absl::OkStatus();
  }

 private:
  // Restricts the backends of `choice` to those that may confirm an inner hello.
  absl::Status LeaveConfirming(Choice& choice) {
    const auto* const backends = std::get_if<Backends>(choice.target);
    if (backends == nullptr) return absl::OkStatus();
    BackendGroup::List all = BackendsNow(*backends);
    BackendGroup::List left = all;
    left.erase(std::remove_if(left.begin(), left.end(),
                              [&](const GroupedBackend& backend) {
                                return unconfirmed_->Contains(backend.endpoint);
                              }),
               left.end());
    if (left.size() == all.size()) return absl::OkStatus();
    if (left.empty()) {
      return MakeError(ErrorCode::kNoBackend, Leg::kBack, Phase::kRoute,
                       absl::StrCat("no backend of ", backends->ToString(),
                                    " confirms inner hellos (ECH, RFC 9849 7.2)"));
    }
    Backends confirming = *backends;
    auto group = std::make_shared<BackendGroup>(backends->ToString());
    group->Replace(std::make_shared<const BackendGroup::List>(std::move(left)));
    confirming.group = std::move(group);
    confirming_ = std::move(confirming);
    choice.target = &confirming_;
    return absl::OkStatus();
  }

  Scheduler& scheduler_;
  const std::shared_ptr<EchOpener> ech_;
  const std::shared_ptr<const UnconfirmedBackends> unconfirmed_;
  RouteTarget confirming_;  // The target of the latest choice that is a part of a route's backends.
  const HelloLegOptions hello_options_;
  std::shared_ptr<const Routing> routing_;
};

absl::StatusOr<std::unique_ptr<SniPassthroughRouter>> SniPassthroughRouter::Create(
    Scheduler& scheduler, Dialer& dialer, SniPassthroughRouterOptions options,
    ConnectionObserver* observer) {
  const Routing routing{options.routes, options.no_name, options.unknown_name};
  if (absl::Status status = routing.Check(); !status.ok()) return status;
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
