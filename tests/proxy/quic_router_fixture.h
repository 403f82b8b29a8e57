// What tests of the QUIC router share: a network in memory, two backends, and an observer.
#ifndef TRESTLE_TESTS_PROXY_QUIC_ROUTER_FIXTURE_H_
#define TRESTLE_TESTS_PROXY_QUIC_ROUTER_FIXTURE_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/quic_peers.h"
#include "trestle/base/error.h"
#include "trestle/proxy/quic_passthrough_router.h"
#include "trestle/testing/memory_datagrams.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {

/// Also counts the datagrams that the router dropped.
class QuicObserver final : public ConnectionObserver {
 public:
  void OnEstablished(const ConnectionReport& report) override { established.push_back(report); }
  void OnDatagramsDropped(DatagramDrop why, size_t datagrams) override {
    dropped[why] += datagrams;
  }
  void OnClosed(const ConnectionReport& report) override { closed.push_back(report); }

  std::vector<ConnectionReport> established;
  std::vector<ConnectionReport> closed;
  std::map<DatagramDrop, size_t> dropped;
};

class QuicRouterTest : public ::testing::Test {
 protected:
  QuicRouterTest() {
    options.routes = *RouteTable::Create({{"a.test", a.endpoint}, {"b.test", b.endpoint}});
  }

  void StartRouter() {
    auto made =
        QuicPassthroughRouter::Create(loop, *network.Bind(front), network, options, &observer);
    ASSERT_TRUE(made.ok()) << made.status();
    router = *std::move(made);
  }

  std::unique_ptr<QuicTestClient> NewClient(QuicTestClient::Options client = {}) {
    return std::make_unique<QuicTestClient>(loop, *network.Connect(front), std::move(client));
  }
  std::unique_ptr<QuicTestClient> NewClient(const std::string& name) {
    QuicTestClient::Options client;
    client.name = name;
    return NewClient(client);
  }

  /// Starts a client, and lets it have its answer.
  std::unique_ptr<QuicTestClient> Served(QuicTestClient::Options client = {}) {
    auto made = NewClient(std::move(client));
    made->Start();
    loop.RunReady();
    EXPECT_TRUE(made->has_answer());
    return made;
  }

  const Error& OnlyError() const {
    static const Error none;
    EXPECT_EQ(observer.closed.size(), 1u);
    if (observer.closed.size() != 1 || observer.closed[0].ok()) return none;
    return *observer.closed[0].error;
  }

  const Endpoint front = *Endpoint::Parse("192.0.2.100:443");
  testing::SimulatedLoop loop;
  testing::MemoryDatagrams network{loop};
  QuicTestBackend a{network, "192.0.2.1:443", 'A'};
  QuicTestBackend b{network, "192.0.2.2:443", 'B'};
  QuicObserver observer;
  QuicPassthroughRouterOptions options;
  std::unique_ptr<QuicPassthroughRouter> router;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_PROXY_QUIC_ROUTER_FIXTURE_H_
