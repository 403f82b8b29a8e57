#include "trestle/proxy/tls_bridge.h"

#include <utility>

#include "absl/memory/memory.h"
#include "lib/proxy/option_checks.h"
#include "lib/proxy/tls_front_plan.h"
#include "lib/proxy/tls_leg.h"

namespace trestle {

class TlsBridge::Plan final : public TlsFrontPlan {
 public:
  Plan(Scheduler& scheduler, TlsBridgeOptions options)
      : TlsFrontPlan(scheduler, std::move(options.front_tls), std::move(options.backend),
                     std::move(options.new_inspector), std::move(options.content)),
        back_tls_(std::move(options.back_tls)),
        back_sessions_(options.back_sessions),
        backend_name_(std::move(options.backend_name)) {}

  ProxyMode mode() const override { return ProxyMode::kBridge; }

  absl::StatusOr<std::unique_ptr<LegOpener>> NewBack(const LegFacts& front,
                                                     const Endpoint& backend) override {
    ClientTlsTarget target;
    target.endpoint = backend;
    target.sessions = &back_sessions_;
    target.server_name = front.backend_name.empty() ? backend_name_ : front.backend_name;
    if (!front.alpn.empty()) target.alpn.push_back(front.alpn);
    absl::StatusOr<std::unique_ptr<TlsEngine>> engine =
        TlsEngine::NewClient(back_tls_, target, scheduler(), Leg::kBack);
    if (!engine.ok()) return engine.status();
    return std::make_unique<TlsLeg>(scheduler(), *std::move(engine));
  }

  void ReplaceBackTls(std::shared_ptr<const ClientTlsConfig> back_tls) {
    // Sessions of another policy would never be offered again.
    if (back_tls->policy() != back_tls_->policy()) back_sessions_.Clear();
    back_tls_ = std::move(back_tls);
  }

  const ClientSessionCache& back_sessions() const { return back_sessions_; }

 private:
  std::shared_ptr<const ClientTlsConfig> back_tls_;
  ClientSessionCache back_sessions_;
  const std::string backend_name_;
};

absl::StatusOr<std::unique_ptr<TlsBridge>> TlsBridge::Create(Scheduler& scheduler, Dialer& dialer,
                                                             TlsBridgeOptions options,
                                                             ConnectionObserver* observer) {
  if (options.front_tls == nullptr) return MissingOption("the bridge needs front_tls");
  if (options.back_tls == nullptr) return MissingOption("the bridge needs back_tls");
  if (!HasBackend(options.backend) && !options.content.new_reader) {
    return MissingOption("the bridge needs a backend, or content routing");
  }
  if (absl::Status status = CheckContentRouting(options.content); !status.ok()) return status;
  if (absl::Status status = CheckConnectionOptions(options.connection); !status.ok()) return status;
  // Refuses an unusable backend_name now rather than at the first connection.
  ClientTlsTarget target;
  target.server_name = options.backend_name;
  absl::StatusOr<std::unique_ptr<TlsEngine>> trial =
      TlsEngine::NewClient(options.back_tls, target, scheduler, Leg::kBack);
  if (!trial.ok()) return trial.status();
  const ConnectionOptions connection = options.connection;
  auto plan = std::make_unique<Plan>(scheduler, std::move(options));
  Plan* const own_plan = plan.get();
  return absl::WrapUnique(
      new TlsBridge(scheduler, dialer, connection, observer, std::move(plan), own_plan));
}

TlsBridge::TlsBridge(Scheduler& scheduler, Dialer& dialer, const ConnectionOptions& options,
                     ConnectionObserver* observer, std::unique_ptr<ConnectionPlan> base_plan,
                     Plan* plan)
    : ProxyBlock(scheduler, dialer, options, observer, std::move(base_plan)), plan_(plan) {}

void TlsBridge::ReplaceBackTls(std::shared_ptr<const ClientTlsConfig> back_tls) {
  if (back_tls != nullptr) plan_->ReplaceBackTls(std::move(back_tls));
}

const ClientSessionCache& TlsBridge::back_sessions() const { return plan_->back_sessions(); }

}  // namespace trestle
