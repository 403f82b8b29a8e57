// QuicPassthroughRouter: SniPassthroughRouter for HTTP/3 and other protocols over QUIC. It reads
// the ClientHello of each flow, and passes the untouched datagrams to the backend that the server
// name selects. docs/quic.md describes it.
#ifndef TRESTLE_PROXY_QUIC_PASSTHROUGH_ROUTER_H_
#define TRESTLE_PROXY_QUIC_PASSTHROUGH_ROUTER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trestle/base/bytes.h"
#include "trestle/io/datagram_socket.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/connection_limiter.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/proxy/route_table.h"
#include "trestle/wire/quic_hello.h"

namespace trestle {

/// Limits of one router's flows. None may be zero or infinite, unless stated.
///
/// Anyone can send an Initial packet with another's address. A flow is *proven* once its client has
/// used a connection ID that the backend chose: the client then receives at its address. No limit
/// and no flood ends a proven flow.
struct QuicFlowLimits {
  /// The maximum number of flows. Further ones are dropped while all are proven.
  size_t flows = 100'000;
  /// The maximum number of flows that are not proven. The one that was active the longest time ago
  /// makes room for a new one.
  size_t unproven_flows = 10'000;
  /// The maximum of the memory for datagrams of flows whose hello is not complete, or whose backend
  /// has not answered. The oldest flow makes room.
  size_t held_bytes = 16 << 20;
  /// New flows per second for each client network, and how many at once. 0: no limit.
  double new_flows_per_second_per_client = 100;
  double new_flows_burst = 200;
  /// The prefix lengths, in bits, that define a client network: 1 to 32 and 1 to 128.
  int client_ipv4_bits = 32;
  int client_ipv6_bits = 64;
  /// A proven flow ends after this time without a datagram in either direction.
  absl::Duration idle_timeout = absl::Seconds(30);
  /// The same for flows that are not proven.
  absl::Duration unproven_timeout = absl::Seconds(10);
  /// The same for proven flows while the router drains, if it is less than `idle_timeout`. The end
  /// of a QUIC connection is encrypted, so that only silence shows it.
  absl::Duration drain_idle_timeout = absl::Seconds(5);
};

/// Options of a QuicPassthroughRouter.
struct QuicPassthroughRouterOptions {
  /// Required: the routes. A TCP router may have the same table. A route to a handler refuses the
  /// flow: handlers take streams.
  std::shared_ptr<const RouteTable> routes;
  /// As in SniPassthroughRouterOptions. kAlert and kClose are the same here: a refused client gets
  /// no answer.
  Unrouted no_name = Unrouted::kDefaultRoute;
  Unrouted unknown_name = Unrouted::kDefaultRoute;
  /// As in SniPassthroughRouterOptions.
  std::array<uint8_t, 32> (*ja4_sha256)(ByteView bytes) = nullptr;
  /// The time allows for the loss of a datagram, which clients repeat after a second (RFC 9002
  /// 6.2.2).
  QuicHelloLimits hello = [] {
    QuicHelloLimits limits;
    limits.time = absl::Seconds(3);
    return limits;
  }();
  QuicFlowLimits flows;
  /// The length of the connection IDs that all backends choose, 4 to 20 bytes. A client whose
  /// address changes (NAT rebinding) is then found again by the ID that its backend chose first.
  /// Its datagrams go to the backend from a new socket, so that the backend sees the change too and
  /// validates the path (RFC 9000 9). 0: such datagrams are dropped.
  size_t backend_id_bytes = 0;
  /// If set, proven flows count as connections. At the limit a flow ends when it is proven. Limits
  /// of handshakes don't apply.
  std::shared_ptr<ConnectionLimiter> limiter;
  EjectionOptions ejection;
};

/// Routes flows of QUIC versions 1 and 2 on one loop. Hellos that are encrypted (ECH) are routed by
/// their outer name.
///
/// The router answers nothing by itself: clients get what backends send. A flow that is not proven
/// gets at most three times the bytes that came from its client (RFC 9000 8.1). Retry and Version
/// Negotiation packets pass. A backend that an ICMP message reports as closed is replaced by the
/// next one, which gets the held datagrams. Once a backend has answered, such a message ends the
/// flow.
///
/// Reports have ProxyMode::kPassthrough and `quic_version`. OnEstablished comes at the backend's
/// first answer. A proven flow that goes silent has ended well, and `duration` ends with its last
/// datagram.
class QuicPassthroughRouter {
 public:
  /// Creates a router for the clients of `front`. Fails with ErrorCode::kConfiguration as
  /// `SniPassthroughRouter::Create` does, or if a limit is zero or infinite. `scheduler`, `dialer`
  /// and `observer` (may be null) must outlive the router.
  static absl::StatusOr<std::unique_ptr<QuicPassthroughRouter>> Create(
      Scheduler& scheduler, std::unique_ptr<DatagramSocket> front, DatagramDialer& dialer,
      QuicPassthroughRouterOptions options, ConnectionObserver* observer = nullptr);

  /// Cuts all flows and reports each. Not from a call of the observer.
  ~QuicPassthroughRouter();
  QuicPassthroughRouter(const QuicPassthroughRouter&) = delete;
  QuicPassthroughRouter& operator=(const QuicPassthroughRouter&) = delete;

  /// Uses `routes` for flows whose hello is complete from now on. Fails as `Create` does, and then
  /// keeps the old routes.
  absl::Status ReplaceRoutes(std::shared_ptr<const RouteTable> routes);

  /// Takes no new flows, and lets those that are open go on for at most `timeout`. Then cuts the
  /// rest with ErrorCode::kCancelled. Calls `done` once, from the loop, when none is open. A second
  /// call replaces the deadline and the earlier `done`.
  void Drain(absl::Duration timeout, absl::AnyInvocable<void()> done);

  /// Counts the flows in the table: with those whose hello was refused, until they are silent.
  size_t flows() const;
  size_t proven_flows() const;

  /// The memory that `QuicFlowLimits::held_bytes` bounds.
  size_t held_bytes() const;

  /// Returns the address of the front socket.
  Endpoint local_endpoint() const;

 private:
  class Core;
  explicit QuicPassthroughRouter(std::unique_ptr<Core> core);

  const std::unique_ptr<Core> core_;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_QUIC_PASSTHROUGH_ROUTER_H_
