// TlsFrontPlan: the common base of the blocks that terminate the client's TLS.
#ifndef TRESTLE_LIB_PROXY_TLS_FRONT_PLAN_H_
#define TRESTLE_LIB_PROXY_TLS_FRONT_PLAN_H_

#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/proxy/connection_plan.h"
#include "lib/proxy/option_checks.h"
#include "lib/proxy/tls_leg.h"
#include "trestle/base/error.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/server_tls_config.h"
#include "trestle/tls/tls_engine.h"

namespace trestle {

/// Fails if unread HTTP/2 could bypass certificate policies or reported identities; see
/// `dangerous_unread_http2` of the blocks' options.
inline absl::Status CheckUnreadHttp2(const ServerTlsOptions& front,
                                     const ConnectionOptions& connection) {
  if (!absl::c_linear_search(front.alpn, "h2") || front.client_authentication == nullptr) {
    return absl::OkStatus();
  }
  if (front.client_authentication->differs_by_name()) {
    return ConfigurationError(
        "h2 is offered and policies for client certificates differ by server name: an HTTP/2 "
        "connection of one name carries requests for another one, which nothing here reads; "
        "dangerous_unread_http2 allows it");
  }
  if (connection.proxy_protocol_to_backend != ProxyProtocolOut::kV2) return absl::OkStatus();
  return ConfigurationError(
      "h2 is offered and PROXY v2 headers tell the backend of client certificates: an HTTP/2 "
      "connection of one name carries requests for another one, which nothing here reads; "
      "dangerous_unread_http2 allows it");
}

class TlsFrontPlan : public ConnectionPlan {
 public:
  TlsFrontPlan(Scheduler& scheduler, std::shared_ptr<const ServerTlsConfig> front_tls,
               RouteTarget target, InspectorFactory new_inspector, ContentRouting content)
      : scheduler_(scheduler),
        front_tls_(std::move(front_tls)),
        target_(std::move(target)),
        new_inspector_(std::move(new_inspector)),
        content_(std::move(content)) {}

  std::unique_ptr<LegOpener> NewFront(FrontContext context) override {
    return NewTlsFront(std::move(context), nullptr);
  }

  absl::StatusOr<Choice> Choose(const ConnectionReport&) override {
    const Backends* const backends = std::get_if<Backends>(&target_);
    if (backends == nullptr || HasBackend(*backends)) return Choice{"", &target_};
    return MakeError(ErrorCode::kNoRoute, Leg::kFront, Phase::kRoute,
                     "there is no backend for connections whose content isn't read");
  }

  ContentRouting* content() final { return &content_; }

  std::unique_ptr<Inspector> NewInspector(const ConnectionReport& connection) final {
    return new_inspector_ ? new_inspector_(connection) : nullptr;
  }

 protected:
  Scheduler& scheduler() { return scheduler_; }
  const ServerTlsConfig& front_tls() const { return *front_tls_; }

  std::unique_ptr<LegOpener> NewTlsFront(FrontContext context, HelloHook* hook) {
    return std::make_unique<TlsLeg>(scheduler_,
                                    TlsEngine::NewServer(front_tls_, scheduler_, Leg::kFront, hook),
                                    std::move(context));
  }

 private:
  Scheduler& scheduler_;
  const std::shared_ptr<const ServerTlsConfig> front_tls_;
  const RouteTarget target_;
  InspectorFactory new_inspector_;
  ContentRouting content_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_TLS_FRONT_PLAN_H_
