#include "examples/support/quic_part.h"

#include <algorithm>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "examples/support/log.h"
#include "examples/support/program.h"

ABSL_FLAG(bool, quic, false,
          "also routes QUIC (HTTP/3) by the same routes: listens by UDP on the port of --listen, "
          "and sends to the backends' ports by UDP");
ABSL_FLAG(int, quic_cid_length, 0,
          "length of the connection IDs that all backends choose, 4 to 20 bytes: clients whose "
          "address changes (NAT rebinding) are found again by it. 0: they are not");
ABSL_FLAG(absl::Duration, quic_idle_timeout, absl::Seconds(30),
          "ends a QUIC flow after this time without a datagram");
ABSL_FLAG(int, max_quic_flows, 100'000,
          "maximum number of QUIC flows for each thread, each of which takes a descriptor. At most "
          "10000 of them are of clients with unproven addresses");
ABSL_FLAG(double, max_quic_flows_per_second_per_client, 100,
          "maximum rate of new QUIC flows for each client and thread; twice as many at once. A "
          "client is an IPv4 address, or 64 bits of an IPv6 address. 0: no limit");

namespace trestle::examples {

bool QuicPart::IsWanted() { return absl::GetFlag(FLAGS_quic); }

absl::StatusOr<QuicPassthroughRouterOptions> QuicPart::OptionsFromFlags() {
  QuicPassthroughRouterOptions options;
  const int id_bytes = absl::GetFlag(FLAGS_quic_cid_length);
  if (id_bytes != 0 && (id_bytes < 4 || id_bytes > 20)) {
    return FlagError("quic_cid_length", "must be 0, or from 4 to 20");
  }
  options.backend_id_bytes = static_cast<size_t>(id_bytes);
  options.flows.idle_timeout = absl::GetFlag(FLAGS_quic_idle_timeout);
  if (options.flows.idle_timeout <= absl::ZeroDuration() ||
      options.flows.idle_timeout == absl::InfiniteDuration()) {
    return FlagError("quic_idle_timeout", "must be neither zero nor infinite");
  }
  const int flows = absl::GetFlag(FLAGS_max_quic_flows);
  if (flows < 1) return FlagError("max_quic_flows", "must be at least 1");
  options.flows.flows = static_cast<size_t>(flows);
  options.flows.unproven_flows = std::min(options.flows.unproven_flows, options.flows.flows);
  const double rate = absl::GetFlag(FLAGS_max_quic_flows_per_second_per_client);
  if (!(rate >= 0 && rate <= 1e9)) {
    return FlagError("max_quic_flows_per_second_per_client", "must be from 0 to 1e9");
  }
  options.flows.new_flows_per_second_per_client = rate;
  options.flows.new_flows_burst = std::max(1.0, 2 * rate);
  return options;
}

absl::StatusOr<std::unique_ptr<WorkerPart>> QuicPart::Create(EpollLoop& loop,
                                                             const WorkerAddress& address,
                                                             QuicPassthroughRouterOptions options,
                                                             ConnectionObserver* observer) {
  auto sockets = std::make_unique<UdpSockets>(loop);
  UdpSocketOptions socket_options;
  socket_options.port_use = address.port_use;
  absl::StatusOr<std::unique_ptr<DatagramSocket>> front =
      sockets->Bind(address.endpoint, socket_options);
  if (!front.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--quic cannot listen by UDP: ", Sentence(front.status())));
  }
  absl::StatusOr<std::unique_ptr<QuicPassthroughRouter>> router = QuicPassthroughRouter::Create(
      loop, *std::move(front), *sockets, std::move(options), observer);
  if (!router.ok()) return router.status();
  if (address.is_first) LogLine(absl::StrCat("QUIC by UDP on ", address.endpoint.ToString()));
  return std::make_unique<QuicPart>(std::move(sockets), *std::move(router));
}

}  // namespace trestle::examples
