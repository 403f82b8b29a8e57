#include "trestle/proxy/tls_terminator.h"

#include <utility>

#include "absl/memory/memory.h"
#include "lib/proxy/option_checks.h"
#include "lib/proxy/tls_front_plan.h"
#include "trestle/base/error.h"

namespace trestle {

class TlsTerminator::Plan final : public TlsFrontPlan {
 public:
  Plan(Scheduler& scheduler, TlsTerminatorOptions options)
      : TlsFrontPlan(scheduler, std::move(options.front_tls), TargetOf(options),
                     std::move(options.new_inspector), std::move(options.content)),
        lends_(options.handler != nullptr) {}

  ProxyMode mode() const override { return ProxyMode::kOffload; }

  bool lends() const override { return lends_; }

  absl::StatusOr<std::unique_ptr<LegOpener>> NewBack(const BackRequest&,
                                                     const Candidate&) override {
    return nullptr;
  }

 private:
  static RouteTarget TargetOf(const TlsTerminatorOptions& options) {
    if (options.handler != nullptr) return options.handler;
    return options.backend;
  }

  const bool lends_;
};

namespace {

// Options for a backend must not be ignored silently.
absl::Status CheckHandlerAlone(const TlsTerminatorOptions& options) {
  if (HasBackend(options.backend)) {
    return ConfigurationError("the terminator has a handler and a backend");
  }
  if (options.content.new_reader) {
    return ConfigurationError(
        "content routing selects a backend, but the terminator has a handler");
  }
  if (options.new_inspector) {
    return ConfigurationError(
        "an inspector sees bytes for a backend, but the terminator has a handler");
  }
  if (options.connection.proxy_protocol_to_backend == ProxyProtocolOut::kNone) {
    return absl::OkStatus();
  }
  return ConfigurationError("PROXY headers go to a backend, but the terminator has a handler");
}

absl::Status CheckTarget(const TlsTerminatorOptions& options) {
  if (options.handler != nullptr) return CheckHandlerAlone(options);
  if (absl::Status s = CheckOwnBackend(options.backend, options.content); !s.ok()) return s;
  return CheckContentRouting(options.content);
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsTerminator>> TlsTerminator::Create(Scheduler& scheduler,
                                                                     Dialer& dialer,
                                                                     TlsTerminatorOptions options,
                                                                     ConnectionObserver* observer) {
  if (options.front_tls == nullptr) return ConfigurationError("the terminator needs front_tls");
  if (absl::Status status = CheckTarget(options); !status.ok()) return status;
  if (absl::Status status = CheckConnectionOptions(options.connection); !status.ok()) return status;
  if (!options.dangerous_unread_http2) {
    absl::Status status = CheckUnreadHttp2(options.front_tls->options(), options.connection);
    if (!status.ok()) return status;
  }
  const ConnectionOptions connection = options.connection;
  auto plan = std::make_unique<Plan>(scheduler, std::move(options));
  return absl::WrapUnique(
      new TlsTerminator(scheduler, dialer, connection, observer, std::move(plan)));
}

}  // namespace trestle
