#include "trestle/proxy/proxy_block.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/proxy/connection_plan.h"
#include "lib/proxy/connection_set.h"
#include "lib/proxy/option_checks.h"
#include "trestle/base/error.h"

namespace trestle {

absl::Status CheckOwnBackend(const Backends& backend, const ContentRouting& content) {
  if (HasBackend(backend)) return CheckBackends(backend);
  if (content.new_reader) return absl::OkStatus();
  return ConfigurationError("the block needs a backend, or content routing");
}

absl::Status CheckConnectionOptions(const ConnectionOptions& options) {
  const std::pair<absl::string_view, absl::Duration> limits[] = {
      {"hello_timeout", options.hello_timeout},
      {"handshake_timeout", options.handshake_timeout},
      {"dial_timeout", options.dial_timeout},
      {"close_timeout", options.close_timeout},
      {"idle_timeout", options.relay.idle_timeout},
      {"ejection.first", options.ejection.first},
      {"ejection.longest", options.ejection.longest},
  };
  for (const auto& [name, limit] : limits) {
    if (limit > absl::ZeroDuration() && limit < absl::InfiniteDuration()) continue;
    return ConfigurationError(absl::StrCat(name, " is ", absl::FormatDuration(limit),
                                           "; it must be more than zero and not infinite"));
  }
  if (options.after_certificate_expiry < absl::ZeroDuration()) {
    return ConfigurationError("after_certificate_expiry must not be negative");
  }
  if (options.next_dial_after <= absl::ZeroDuration()) {
    return ConfigurationError("next_dial_after must be more than zero");
  }
  if (options.relay.buffer_bytes > 0 && options.relay.turn_bytes > 0) return absl::OkStatus();
  return ConfigurationError("the relay's buffer_bytes and turn_bytes must be more than zero");
}

absl::Status CheckContentRouting(const ContentRouting& content) {
  if (!content.new_reader) return absl::OkStatus();
  if (content.timeout <= absl::ZeroDuration() || content.timeout >= absl::InfiniteDuration()) {
    return ConfigurationError(
        "the timeout of content routing must be more than zero and not infinite");
  }
  if (content.max_bytes > 0) return absl::OkStatus();
  return ConfigurationError("the max_bytes of content routing must be more than zero");
}

ProxyBlock::ProxyBlock(Scheduler& scheduler, Dialer& dialer, const ConnectionOptions& options,
                       ConnectionObserver* observer, std::unique_ptr<ConnectionPlan> plan)
    : plan_(std::move(plan)),
      connections_(std::make_unique<ConnectionSet>(scheduler, dialer, options, observer, *plan_)) {}

ProxyBlock::~ProxyBlock() = default;

void ProxyBlock::Serve(Accepted connection) { connections_->Serve(std::move(connection)); }

void ProxyBlock::Drain(absl::Duration timeout, absl::AnyInvocable<void()> done) {
  connections_->Drain(timeout, std::move(done));
}

void ProxyBlock::DrainOlderCertificates(uint64_t generation, absl::Duration timeout) {
  connections_->DrainOlderCertificates(generation, timeout);
}

const std::shared_ptr<ConnectionLimiter>& ProxyBlock::limiter() const {
  return connections_->options.limiter;
}

size_t ProxyBlock::open_connections() const { return connections_->size(); }

bool ProxyBlock::holds_buffers() const { return connections_->holds_buffers(); }

}  // namespace trestle
