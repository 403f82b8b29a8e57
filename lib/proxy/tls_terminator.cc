#include "trestle/proxy/tls_terminator.h"

#include <utility>

#include "absl/memory/memory.h"
#include "lib/proxy/option_checks.h"
#include "lib/proxy/tls_front_plan.h"
#include "trestle/base/error.h"

namespace trestle {

class TlsTerminator::Plan final : public TlsFrontPlan {
 public:
  using TlsFrontPlan::TlsFrontPlan;

  ProxyMode mode() const override { return ProxyMode::kOffload; }

  absl::StatusOr<std::unique_ptr<LegOpener>> NewBack(const LegFacts&, const Endpoint&) override {
    return nullptr;
  }
};

absl::StatusOr<std::unique_ptr<TlsTerminator>> TlsTerminator::Create(Scheduler& scheduler,
                                                                     Dialer& dialer,
                                                                     TlsTerminatorOptions options,
                                                                     ConnectionObserver* observer) {
  if (options.front_tls == nullptr) return ConfigurationError("the terminator needs front_tls");
  if (absl::Status s = CheckOwnBackend(options.backend, options.content); !s.ok()) return s;
  if (absl::Status status = CheckContentRouting(options.content); !status.ok()) return status;
  if (absl::Status status = CheckConnectionOptions(options.connection); !status.ok()) return status;
  if (!options.dangerous_unread_http2) {
    absl::Status status = CheckUnreadHttp2(options.front_tls->options(), options.connection);
    if (!status.ok()) return status;
  }
  auto plan =
      std::make_unique<Plan>(scheduler, std::move(options.front_tls), std::move(options.backend),
                             std::move(options.new_inspector), std::move(options.content));
  return absl::WrapUnique(
      new TlsTerminator(scheduler, dialer, options.connection, observer, std::move(plan)));
}

}  // namespace trestle
