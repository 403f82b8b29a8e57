// BridgeTest: a bridge between a client and a backend, both with TLS, on a simulated loop.
#ifndef TRESTLE_TESTS_PROXY_BRIDGE_FIXTURE_H_
#define TRESTLE_TESTS_PROXY_BRIDGE_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/tls_fixture.h"
#include "trestle/proxy/tls_bridge.h"

namespace trestle {

class BridgeTest : public ::testing::Test {
 protected:
  BridgeTest() { ServeBackend(back_pki, {{"internal.test"}}); }

  /// Makes backends present this certificate from now on.
  void ServeBackend(const testing::TestPki& pki, testing::LeafSpec leaf,
                    std::vector<std::string> alpn = {}) {
    auto config = ServerFor(pki, loop.Now(), std::move(leaf), std::move(alpn));
    backend.on_accept = [this, config](std::unique_ptr<Transport> raw) {
      servers.push_back(TlsPeer::Server(loop, std::move(raw), config));
    };
  }

  /// Returns the options of a bridge to the backend, and to those of `more_backends`.
  TlsBridgeOptions Options(const std::string& backend_name, std::vector<std::string> alpn = {}) {
    TlsBridgeOptions options;
    options.front_tls = ServerFor(front_pki, loop.Now(), {{"app.test"}}, std::move(alpn));
    options.back_tls = ClientOf(back_pki);
    options.backend = backend.endpoint;
    for (const Endpoint& more : more_backends) options.backend.endpoints.push_back(more);
    options.backend_name = backend_name;
    options.back_sessions = back_sessions;
    return options;
  }

  absl::StatusOr<std::unique_ptr<TlsBridge>> Make(const std::string& backend_name,
                                                  std::vector<std::string> alpn = {}) {
    return Make(Options(backend_name, std::move(alpn)));
  }

  absl::StatusOr<std::unique_ptr<TlsBridge>> Make(TlsBridgeOptions options) {
    return TlsBridge::Create(loop, dialer, std::move(options), &observer);
  }

  TlsPeer& Connect(const ClientTlsTarget& target = {"app.test", {}}) {
    if (bridge == nullptr) bridge = *Make("internal.test");
    client = TlsPeer::Client(loop, ConnectTo(*bridge, loop), ClientOf(front_pki), target);
    return *client;
  }

  /// Makes one connection from beginning to clean end. Returns the back leg's report.
  TlsInfo ConnectAndClose() {
    observer.closed.clear();
    Connect().Send("question");
    loop.RunReady();
    // Tickets come with the response: after its close_notify, BoringSSL accepts none.
    if (!servers.empty()) servers.back()->Send("answer");
    loop.RunReady();
    client->End();
    loop.RunReady();
    if (servers.empty()) return {};
    EXPECT_EQ(servers.back()->received(), "question");
    servers.back()->End();
    loop.RunReady();
    EXPECT_EQ(observer.closed.size(), 1u);
    const ConnectionReport report = observer.closed.at(0);
    EXPECT_TRUE(report.ok()) << ErrorText(report.error);
    observer.closed.clear();
    return report.back.tls == nullptr ? TlsInfo{} : *report.back.tls;
  }

  /// Connects, expects the back leg to be rejected, and returns its error.
  Error BackFailure() {
    Connect().Send("secret");
    loop.RunReady();
    EXPECT_TRUE(client->saw_end()) << "the client gets a clean close";
    client->End();
    loop.RunFor(absl::Seconds(10));
    EXPECT_TRUE(observer.established.empty());
    EXPECT_EQ(servers.at(0)->received(), "") << "no byte may reach an unverified backend";
    EXPECT_EQ(observer.closed.size(), 1u);
    const Error error = observer.error().value_or(Error{});
    EXPECT_EQ(error.leg, Leg::kBack);
    EXPECT_EQ(error.phase, Phase::kHandshake);
    return error;
  }

  /// Expects one report and no connection in the bridge after both ends have closed.
  void ExpectNothingIsLeft() {
    loop.RunFor(absl::Minutes(10));
    EXPECT_EQ(observer.closed.size(), 1u);
    EXPECT_EQ(bridge->open_connections(), 0u);
    EXPECT_EQ(loop.buffers().lent_blocks(), 0u);
  }

  testing::SimulatedLoop loop;
  testing::TestPki front_pki{loop.Now(), "Front CA"};
  testing::TestPki back_pki{loop.Now(), "Back CA"};
  testing::MemoryDialer dialer{loop};
  TestBackend backend{loop, dialer, 1};
  std::vector<Endpoint> more_backends;
  ClientSessionCacheOptions back_sessions;
  std::vector<std::unique_ptr<TlsPeer>> servers;
  RecordingObserver observer;
  std::unique_ptr<TlsBridge> bridge;
  std::unique_ptr<TlsPeer> client;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_PROXY_BRIDGE_FIXTURE_H_
