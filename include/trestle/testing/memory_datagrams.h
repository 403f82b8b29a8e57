// MemoryDatagrams: a network of datagram sockets in memory, in virtual time. It loses, duplicates,
// delays and reorders datagrams by the seed of the loop.
#ifndef TRESTLE_TESTING_MEMORY_DATAGRAMS_H_
#define TRESTLE_TESTING_MEMORY_DATAGRAMS_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/datagram_socket.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle::testing {

/// What the way to an address does to datagrams. The default delivers each at once, in order.
struct DatagramFaults {
  double loss = 0;         ///< The part that is lost, 0 to 1.
  double duplication = 0;  ///< The part that arrives twice.
  absl::Duration delay;    ///< The least time on the way.
  absl::Duration jitter;   ///< Further time, up to this much, for each one: what reorders them.
};

/// The sockets must be destroyed before the network, and the network before the loop.
///
/// A datagram to an address without a socket makes the sender's next call fail, as an ICMP message
/// does, if the sender is connected. Of a batch, `Receive` returns up to 16 datagrams.
///
///   MemoryDatagrams network(loop);
///   auto server = *network.Bind(*Endpoint::Parse("192.0.2.1:443"));
///   auto client = *network.Connect(server->local_endpoint());
///   client->Send({{AsBytes("hello"), {}, {}}});
class MemoryDatagrams final : public DatagramDialer {
 public:
  /// Datagrams that wait at one socket; further ones are dropped.
  static constexpr size_t kQueue = 256;

  /// Makes a network without sockets; `loop` must outlive it.
  explicit MemoryDatagrams(SimulatedLoop& loop);
  ~MemoryDatagrams() override;

  /// Opens a socket on `local`, which receives from all. With an unspecified address ("0.0.0.0") it
  /// receives datagrams to any address with this port. Fails with ErrorCode::kConfiguration if the
  /// address is in use.
  absl::StatusOr<std::unique_ptr<DatagramSocket>> Bind(const Endpoint& local);

  /// Opens a socket on a made-up address: ports 1 to 65535 of 198.18.0.0/15 in turn.
  absl::StatusOr<std::unique_ptr<DatagramSocket>> Connect(const Endpoint& peer) override;

  /// Sets the faults of the ways to all addresses without faults of their own, for datagrams that
  /// are sent from now on.
  void SetFaults(const DatagramFaults& faults);

  /// Sets the faults of the way to `peer`.
  void SetFaultsTo(const Endpoint& peer, const DatagramFaults& faults);

  /// Makes `Connect` fail from now on, as if no descriptor were left; false ends that.
  void RefuseConnects(bool refuse);

  /// Counts the sockets that are open.
  size_t sockets() const;

  /// Counts the datagrams that were sent, without duplicates, and those that found no socket.
  uint64_t sent() const;
  uint64_t unreachable() const;

 private:
  class Network;
  class Socket;

  const std::shared_ptr<Network> network_;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTING_MEMORY_DATAGRAMS_H_
