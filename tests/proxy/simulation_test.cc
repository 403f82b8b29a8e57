// A seeded simulation of all three blocks over random links. In each direction the output equals
// the input, ends are passed on, buffers stay within their bounds, and each connection is reported
// exactly once.
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/tls_fixture.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/proxy/tls_terminator.h"

namespace trestle {
namespace {

using testing::MemoryDialer;
using testing::MemoryLink;
using testing::SimulatedLoop;
using testing::TestPki;

constexpr int kConnections = 4;

std::string Noise(SimulatedLoop& loop, size_t max_bytes) {
  std::string text(loop.random()() % max_bytes, '\0');
  for (char& c : text) c = static_cast<char>(loop.random()());
  return text;
}

MemoryLink RandomLink(SimulatedLoop& loop) {
  MemoryLink link;
  link.capacity_bytes = 1 + loop.random()() % 70000;
  link.chunk_bytes = 1 + loop.random()() % 20000;
  link.random_chunks = true;
  link.seed = loop.random()();
  link.latency = absl::Microseconds(loop.random()() % 3000);
  return link;
}

/// The backend's end of a connection: TLS or clear text, as the tested block requires. An index at
/// the start of the request ties the response to the connection.
struct BackendEnd {
  std::unique_ptr<TlsPeer> tls;
  std::unique_ptr<StreamPeer> plain;

  std::string received() const { return tls ? tls->received() : plain->received(); }
  bool saw_end() const { return tls ? tls->saw_end() : plain->saw_end(); }
  void SendAll(const std::string& bytes) {
    if (tls) {
      tls->Send(bytes);
      tls->End();
    } else {
      plain->Send(bytes);
      plain->End();
    }
  }
};

class SimulationTest : public ::testing::TestWithParam<std::tuple<ProxyMode, int>> {
 protected:
  SimulationTest() : loop(std::get<int>(GetParam())) {}

  ProxyMode mode() const { return std::get<ProxyMode>(GetParam()); }
  TlsVersion RandomVersion() {
    return loop.random()() % 2 == 0 ? TlsVersion::kTls12 : TlsVersion::kTls13;
  }

  void StartBackend() {
    backend.emplace(loop, dialer, 1, RandomLink(loop));
    auto config = ServerFor(pki, loop.Now(), {{"app.test"}}, {}, RandomVersion());
    backend->on_accept = [this, config](std::unique_ptr<Transport> raw) {
      BackendEnd& end = backends.emplace_back();
      if (mode() == ProxyMode::kOffload) {
        end.plain = std::make_unique<StreamPeer>(loop, std::move(raw));
      } else {
        end.tls = TlsPeer::Server(loop, std::move(raw), config);
      }
      end.SendAll(responses.at(backends.size() - 1));
    };
  }

  std::unique_ptr<ProxyBlock> NewBridge(std::shared_ptr<const ServerTlsConfig> front,
                                        const ConnectionOptions& connection) {
    TlsBridgeOptions options;
    options.front_tls = std::move(front);
    options.back_tls = ClientOf(pki);
    options.backend = backend->endpoint;
    options.backend_name = "app.test";
    options.connection = connection;
    return *TlsBridge::Create(loop, dialer, std::move(options), &observer);
  }

  std::unique_ptr<ProxyBlock> NewBlock() {
    ConnectionOptions connection;
    connection.hello_timeout = connection.handshake_timeout = absl::Hours(10);
    connection.relay.idle_timeout = absl::Hours(10);
    connection.relay.buffer_bytes = 1 + loop.random()() % 66000;
    connection.relay.turn_bytes = 1 + loop.random()() % 300000;
    auto front = ServerFor(pki, loop.Now(), {{"app.test"}}, {}, RandomVersion());
    switch (mode()) {
      case ProxyMode::kPassthrough: {
        auto routes = RouteTable::Create({{"app.test", backend->endpoint}});
        SniPassthroughRouterOptions options;
        options.routes = *routes;
        options.connection = connection;
        return *SniPassthroughRouter::Create(loop, dialer, std::move(options), &observer);
      }
      case ProxyMode::kOffload:
        return *TlsTerminator::Create(loop, dialer, {front, backend->endpoint, connection, {}},
                                      &observer);
      case ProxyMode::kBridge:
        return NewBridge(front, connection);
    }
    return nullptr;
  }

  SimulatedLoop loop;
  TestPki pki{loop.Now()};
  MemoryDialer dialer{loop};
  std::optional<TestBackend> backend;
  std::vector<std::string> responses;
  std::vector<BackendEnd> backends;
  RecordingObserver observer;
};

TEST_P(SimulationTest, OutputEqualsInputAndEveryConnectionIsReportedOnce) {
  StartBackend();
  std::vector<std::string> requests;
  for (int i = 0; i < kConnections; ++i) {
    requests.push_back(Noise(loop, 200'000));
    responses.push_back(Noise(loop, 200'000));
  }
  backends.reserve(kConnections);
  std::unique_ptr<ProxyBlock> block = NewBlock();
  std::vector<std::unique_ptr<TlsPeer>> clients;
  for (int i = 0; i < kConnections; ++i) {
    clients.push_back(TlsPeer::Client(loop, ConnectTo(*block, loop, RandomLink(loop)),
                                      ClientOf(pki), {"app.test", {}}));
    clients.back()->Send(requests[i]);
    clients.back()->End();
  }
  loop.RunFor(absl::Hours(1), 30'000'000);

  std::multiset<std::string> sent(requests.begin(), requests.end());
  std::multiset<std::string> arrived;
  for (const BackendEnd& end : backends) {
    arrived.insert(end.received());
    EXPECT_TRUE(end.saw_end());
  }
  EXPECT_TRUE(sent == arrived) << "a request changed in transit";
  std::multiset<std::string> answered;
  for (const auto& client : clients) {
    EXPECT_TRUE(client->failure().ok()) << client->failure();
    EXPECT_TRUE(client->saw_end());
    answered.insert(client->received());
  }
  EXPECT_TRUE(answered == std::multiset<std::string>(responses.begin(), responses.end()));

  ASSERT_EQ(observer.closed.size(), static_cast<size_t>(kConnections));
  std::set<uint64_t> ids;
  for (const ConnectionReport& report : observer.closed) {
    EXPECT_TRUE(report.ok()) << ErrorText(report.error);
    EXPECT_TRUE(ids.insert(report.id).second) << "reported twice";
    EXPECT_EQ(report.front.bytes_read, report.back.bytes_written);
    EXPECT_EQ(report.back.bytes_read, report.front.bytes_written);
  }
  EXPECT_EQ(block->open_connections(), 0u);
  clients.clear();
  backends.clear();
  EXPECT_EQ(loop.buffers().lent_blocks(), 0u);
}

// A RST after any number of bytes on any link still ends every connection once, with the faulty
// leg. The received bytes are a prefix of the sent ones.
TEST_P(SimulationTest, AResetAnywhereIsReportedOnceAndAddsNoBytes) {
  StartBackend();
  responses.push_back(Noise(loop, 40'000));
  const std::string request = Noise(loop, 40'000);
  backends.reserve(1);
  std::unique_ptr<ProxyBlock> block = NewBlock();
  MemoryLink link = RandomLink(loop);
  link.reset_after_bytes = loop.random()() % 30'000;
  auto client =
      TlsPeer::Client(loop, ConnectTo(*block, loop, link), ClientOf(pki), {"app.test", {}});
  client->Send(request);
  client->End();
  loop.RunFor(absl::Hours(11), 30'000'000);
  client->End();
  loop.RunFor(absl::Hours(11), 30'000'000);
  EXPECT_EQ(responses[0].compare(0, client->received().size(), client->received()), 0);
  if (!backends.empty()) {
    const std::string arrived = backends[0].received();
    EXPECT_EQ(request.compare(0, arrived.size(), arrived), 0);
  }
  EXPECT_EQ(observer.closed.size(), 1u);
  EXPECT_EQ(block->open_connections(), 0u);
}

std::string NameOf(const ::testing::TestParamInfo<std::tuple<ProxyMode, int>>& info) {
  static constexpr const char* kNames[] = {"Offload", "Passthrough", "Bridge"};
  return std::string(kNames[static_cast<int>(std::get<0>(info.param))]) + "Seed" +
         std::to_string(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(Seeds, SimulationTest,
                         ::testing::Combine(::testing::Values(ProxyMode::kOffload,
                                                              ProxyMode::kPassthrough,
                                                              ProxyMode::kBridge),
                                            ::testing::Range(1, 41)),
                         NameOf);

}  // namespace
}  // namespace trestle
