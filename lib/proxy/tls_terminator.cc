#include "trestle/proxy/tls_terminator.h"

#include <utility>

#include "absl/memory/memory.h"
#include "lib/proxy/connection_plan.h"
#include "lib/proxy/option_checks.h"
#include "lib/proxy/tls_leg.h"

namespace trestle {

class TlsTerminator::Plan final : public ConnectionPlan {
 public:
  Plan(Scheduler& scheduler, TlsTerminatorOptions options)
      : scheduler_(scheduler), options_(std::move(options)), backend_(options_.backend) {}

  ProxyMode mode() const override { return ProxyMode::kOffload; }

  std::unique_ptr<LegOpener> NewFront() override {
    return std::make_unique<TlsLeg>(
        scheduler_, TlsEngine::NewServer(options_.front_tls, scheduler_, Leg::kFront));
  }

  absl::StatusOr<Choice> Choose(const LegFacts&) override { return Choice{"", &backend_}; }

  absl::StatusOr<std::unique_ptr<LegOpener>> NewBack(const LegFacts&) override { return nullptr; }

  std::unique_ptr<Inspector> NewInspector() override {
    return options_.new_inspector ? options_.new_inspector() : nullptr;
  }

 private:
  Scheduler& scheduler_;
  TlsTerminatorOptions options_;
  const RouteTarget backend_;
};

absl::StatusOr<std::unique_ptr<TlsTerminator>> TlsTerminator::Create(Scheduler& scheduler,
                                                                     Dialer& dialer,
                                                                     TlsTerminatorOptions options,
                                                                     ConnectionObserver* observer) {
  if (options.front_tls == nullptr) return MissingOption("the terminator needs front_tls");
  if (!HasBackend(options.backend)) return MissingOption("the terminator needs a backend");
  if (absl::Status status = CheckConnectionOptions(options.connection); !status.ok()) return status;
  const ConnectionOptions connection = options.connection;
  return absl::WrapUnique(new TlsTerminator(scheduler, dialer, connection, observer,
                                            std::make_unique<Plan>(scheduler, std::move(options))));
}

}  // namespace trestle
