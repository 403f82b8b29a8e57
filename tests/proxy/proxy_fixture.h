// The common parts of the blocks' tests: a simulated loop, backends, and a recording observer.
#ifndef TRESTLE_TESTS_PROXY_PROXY_FIXTURE_H_
#define TRESTLE_TESTS_PROXY_PROXY_FIXTURE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tests/support/stream_peer.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {

class RecordingObserver final : public ConnectionObserver {
 public:
  void OnEstablished(const ConnectionReport& report) override { established.push_back(report); }
  void OnTurnedAway(Limit limit) override { turned_away.push_back(limit); }
  void OnClosed(const ConnectionReport& report) override { closed.push_back(report); }

  /// Returns the error of the only closed connection; empty if it had none, or none closed.
  std::optional<Error> error() const {
    return closed.size() == 1 ? closed.front().error : std::nullopt;
  }

  std::vector<ConnectionReport> established;
  std::vector<ConnectionReport> closed;
  std::vector<Limit> turned_away;
};

/// A backend that keeps every connection.
class TestBackend {
 public:
  TestBackend(testing::SimulatedLoop& loop, testing::MemoryDialer& dialer, uint8_t number,
              const testing::MemoryLink& link = {})
      : endpoint(ByteView({192, 0, 2, number}), 443) {
    dialer.Listen(
        endpoint,
        [this, &loop](std::unique_ptr<Transport> transport) {
          if (on_accept) {
            on_accept(std::move(transport));
          } else {
            peers.push_back(std::make_unique<StreamPeer>(loop, std::move(transport)));
          }
        },
        {}, link, link);
  }

  const Endpoint endpoint;
  std::vector<std::unique_ptr<StreamPeer>> peers;
  absl::AnyInvocable<void(std::unique_ptr<Transport>)> on_accept;
};

/// Connects a client's end to `block`, which serves the other end. Returns the client's end.
inline std::unique_ptr<Transport> ConnectTo(ProxyBlock& block, Scheduler& loop,
                                            const testing::MemoryLink& link = {}) {
  auto [client, front] = testing::NewMemoryPair(loop, link, link);
  block.Serve(std::move(front));
  return std::move(client);
}

}  // namespace trestle

#endif  // TRESTLE_TESTS_PROXY_PROXY_FIXTURE_H_
