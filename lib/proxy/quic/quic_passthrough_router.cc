#include "trestle/proxy/quic_passthrough_router.h"

#include <cmath>
#include <utility>

#include "absl/memory/memory.h"
#include "lib/proxy/quic/quic_router_core.h"
#include "lib/proxy/routing.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr size_t kMinBackendIdBytes = 4;  // With less, strangers meet by chance.
constexpr size_t kMaxBackendIdBytes = 20;

bool IsLimit(absl::Duration limit) {
  return limit > absl::ZeroDuration() && limit < absl::InfiniteDuration();
}

absl::Status CheckLimits(const QuicPassthroughRouterOptions& options) {
  const QuicFlowLimits& flows = options.flows;
  const QuicHelloLimits& hello = options.hello;
  if (flows.flows == 0 || flows.unproven_flows == 0 || flows.held_bytes == 0 ||
      hello.datagrams == 0 || hello.bytes == 0 || hello.hello_bytes == 0 || hello.gaps == 0) {
    return ConfigurationError("a limit of QUIC flows is zero");
  }
  if (!IsLimit(flows.idle_timeout) || !IsLimit(flows.unproven_timeout) ||
      !IsLimit(flows.drain_idle_timeout) || !IsLimit(hello.time)) {
    return ConfigurationError("a time limit of QUIC flows is zero or infinite");
  }
  const double rate = flows.new_flows_per_second_per_client;
  if (!(rate >= 0) || std::isinf(rate) || !(flows.new_flows_burst >= 1) ||
      std::isinf(flows.new_flows_burst)) {
    return ConfigurationError(
        "the rate of new QUIC flows must be a number from 0 (no limit) up, with a burst of at "
        "least 1");
  }
  if (flows.client_ipv4_bits < 1 || flows.client_ipv4_bits > 32 || flows.client_ipv6_bits < 1 ||
      flows.client_ipv6_bits > 128) {
    return ConfigurationError(
        "a client network has 1 to 32 bits of an IPv4 address, 1 to 128 of IPv6");
  }
  const size_t id_bytes = options.backend_id_bytes;
  if (id_bytes != 0 && (id_bytes < kMinBackendIdBytes || id_bytes > kMaxBackendIdBytes)) {
    return ConfigurationError("backends' QUIC connection IDs must have 4 to 20 bytes, or 0: unset");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<QuicPassthroughRouter>> QuicPassthroughRouter::Create(
    Scheduler& scheduler, std::unique_ptr<DatagramSocket> front, DatagramDialer& dialer,
    QuicPassthroughRouterOptions options, ConnectionObserver* observer) {
  if (front == nullptr) return ConfigurationError("the router needs a front socket");
  const Routing routing{options.routes, options.no_name, options.unknown_name};
  if (absl::Status status = routing.Check(); !status.ok()) return status;
  if (absl::Status status = CheckLimits(options); !status.ok()) return status;
  return absl::WrapUnique(new QuicPassthroughRouter(
      std::make_unique<Core>(scheduler, std::move(front), dialer, std::move(options), observer)));
}

QuicPassthroughRouter::QuicPassthroughRouter(std::unique_ptr<Core> core) : core_(std::move(core)) {}

QuicPassthroughRouter::~QuicPassthroughRouter() = default;

absl::Status QuicPassthroughRouter::ReplaceRoutes(std::shared_ptr<const RouteTable> routes) {
  return core_->ReplaceRoutes(std::move(routes));
}

void QuicPassthroughRouter::Drain(absl::Duration timeout, absl::AnyInvocable<void()> done) {
  core_->Drain(timeout, std::move(done));
}

size_t QuicPassthroughRouter::flows() const { return core_->table().size(); }

size_t QuicPassthroughRouter::proven_flows() const {
  return core_->table().size(QuicQueue::kProven);
}

size_t QuicPassthroughRouter::held_bytes() const { return core_->held_bytes(); }

Endpoint QuicPassthroughRouter::local_endpoint() const { return core_->front().local_endpoint(); }

}  // namespace trestle
