#include "integrations/http/http_gateway.h"

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "integrations/http/gateway_core.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

absl::Status CheckTimeouts(const HttpTimeouts& timeouts) {
  for (const absl::Duration limit :
       {timeouts.head, timeouts.body, timeouts.connect, timeouts.first_byte, timeouts.response,
        timeouts.idle, timeouts.tunnel, timeouts.judging, timeouts.continuation}) {
    if (limit <= absl::ZeroDuration()) {
      return ConfigurationError("each time limit of the gateway must be more than zero");
    }
  }
  return absl::OkStatus();
}

// Connections may change to `protocol`, whose bytes are not read.
absl::Status CheckUpgrade(absl::string_view protocol) {
  const std::vector<absl::string_view> parts = absl::StrSplit(protocol, absl::MaxSplits('/', 1));
  if (!absl::c_all_of(parts, IsToken)) {
    return ConfigurationError(
        absl::StrCat("the upgrade \"", EscapeForLog(protocol), "\" is no protocol"));
  }
  for (const absl::string_view http : {"h2c", "h2", "http", "tls"}) {
    if (!absl::EqualsIgnoreCase(parts.front(), http)) continue;
    return ConfigurationError(
        absl::StrCat("an upgrade to ", protocol, " would let requests pass unread"));
  }
  return absl::OkStatus();
}

absl::Status CheckOptions(const HttpGatewayOptions& options) {
  if (options.routes == nullptr) return ConfigurationError("the gateway needs routes");
  if (options.routes->needs_tls() && options.back_tls == nullptr) {
    return ConfigurationError("the gateway needs back_tls for its https backends");
  }
  const HttpLimits& limits = options.limits;
  if (limits.stream_bytes == 0 || limits.streams == 0 || limits.head.head_bytes == 0 ||
      limits.head.fields == 0 || limits.head.target_bytes == 0 || options.body_bytes == 0 ||
      options.pool.connections == 0 || options.pool.max_age <= absl::ZeroDuration() ||
      options.body_rate.window <= absl::ZeroDuration()) {
    return ConfigurationError("each limit of the gateway must be more than zero");
  }
  if (absl::Status status = CheckTimeouts(options.timeouts); !status.ok()) return status;
  if (absl::Status status = CheckHsts(options.hsts); !status.ok()) return status;
  if (absl::Status bad = CheckResponseFields(options.response_fields); !bad.ok()) {
    return ConfigurationError(absl::StrCat("the gateway ", GetError(bad)->detail));
  }
  for (const std::string& protocol : options.upgrades) {
    if (absl::Status bad = CheckUpgrade(protocol); !bad.ok()) return bad;
  }
  if (!options.via.empty() && !IsToken(options.via)) {
    return ConfigurationError("the gateway's name in Via must be a token");
  }
  return CheckForwarding(options.forwarding);
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpGateway>> HttpGateway::Create(Scheduler& scheduler,
                                                                 Dialer& dialer,
                                                                 HttpGatewayOptions options,
                                                                 HttpObserver* observer) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  return absl::WrapUnique(new HttpGateway(
      std::make_unique<GatewayCore>(scheduler, dialer, std::move(options), observer)));
}

HttpGateway::HttpGateway(std::unique_ptr<GatewayCore> core) : core_(std::move(core)) {}

HttpGateway::~HttpGateway() {
  const TurnQueue::Turn turn(core_->turns);
  while (!core_->connections.empty()) {
    auto connection = std::move(core_->connections.begin()->second);
    core_->connections.erase(core_->connections.begin());
    connection->Cut();
    core_->turns.Bury(std::move(connection));
  }
}

void HttpGateway::Serve(Accepted connection) {
  const TurnQueue::Turn turn(core_->turns);
  auto front = std::make_unique<FrontConnection>(*core_, std::move(connection));
  FrontConnection& started = *front;
  core_->connections.emplace(&started, std::move(front));
  started.Start();
}

absl::Status HttpGateway::UseRoutes(std::shared_ptr<const GatewayRoutes> routes) {
  if (routes == nullptr) return ConfigurationError("the gateway needs routes");
  if (routes->needs_tls() && core_->options.back_tls == nullptr) {
    return ConfigurationError("the gateway needs back_tls for its https backends");
  }
  core_->options.routes = std::move(routes);
  if (core_->cache != nullptr) core_->cache->Clear();
  return absl::OkStatus();
}

void HttpGateway::UseBackTls(std::shared_ptr<const ClientTlsConfig> back_tls) {
  if (back_tls != nullptr) core_->options.back_tls = std::move(back_tls);
}

void HttpGateway::BeginDrain() {
  const TurnQueue::Turn turn(core_->turns);
  core_->draining = true;
  std::vector<FrontConnection*> connections;
  for (const auto& [pointer, connection] : core_->connections) connections.push_back(pointer);
  for (FrontConnection* const connection : connections) connection->Drain();
}

size_t HttpGateway::open_connections() const { return core_->connections.size(); }
size_t HttpGateway::open_requests() const { return core_->exchanges.size(); }
BackendPoolStats HttpGateway::pool_stats() const { return core_->pool.stats(); }
std::vector<BackendTargetStats> HttpGateway::pool_targets() const { return core_->pool.targets(); }

}  // namespace trestle
