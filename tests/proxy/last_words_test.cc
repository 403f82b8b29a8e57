// Ends of connections that carried no bytes. The last bytes are sent, in as many writes as needed
// and within the limits. A silent client is not reported as a failure of TLS.
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/proxy/bridge_fixture.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/testing/client_hello_kit.h"

namespace trestle {
namespace {

testing::MemoryLink Narrow(size_t bytes) {
  testing::MemoryLink link;
  link.capacity_bytes = bytes;
  link.latency = absl::Milliseconds(1);
  return link;
}

class LastWordsTest : public BridgeTest {
 protected:
  void StartRouter() {
    SniPassthroughRouterOptions options;
    options.routes = *RouteTable::Create({{"a.test", backend.endpoint}});
    router = *SniPassthroughRouter::Create(loop, dialer, std::move(options), &observer);
  }

  // Connects and closes, with a FIN or a RST; returns the reported error.
  std::optional<Error> ConnectAndLeave(ProxyBlock& block, bool reset) {
    StreamPeer peer(loop, ConnectTo(block, loop));
    loop.RunReady();
    if (reset) {
      peer.transport().Abort();
    } else {
      peer.End();
    }
    loop.RunReady();
    const std::optional<Error> error = observer.error();
    observer.closed.clear();
    return error;
  }

  std::unique_ptr<SniPassthroughRouter> router;
};

TEST_F(LastWordsTest, TheAlertOfARouterIsSentByteByByte) {
  StartRouter();
  StreamPeer peer(loop, ConnectTo(*router, loop, Narrow(1)));
  peer.Send(testing::InRecords(testing::ClassicHello("other.test").Message()));
  loop.RunFor(absl::Seconds(4));
  EXPECT_EQ(peer.received(), std::string("\x15\x03\x03\x00\x02\x02\x70", 7)) << "unrecognized_name";
  EXPECT_TRUE(peer.saw_end());
}

TEST_F(LastWordsTest, TheAlertForAnAbandonedBackendIsSent) {
  TestBackend narrow(loop, dialer, 2, Narrow(7));
  TestBackend good(loop, dialer, 3);
  const testing::TestPki stranger(loop.Now(), "Stranger");
  const auto stranger_config = ServerFor(stranger, loop.Now(), {{"internal.test"}});
  const auto good_config = ServerFor(back_pki, loop.Now(), {{"internal.test"}});
  TlsBridgeOptions options = Options("internal.test");
  options.backend = narrow.endpoint;
  options.backend.endpoints.push_back(good.endpoint);
  narrow.on_accept = [&](std::unique_ptr<Transport> raw) {
    servers.push_back(TlsPeer::Server(loop, std::move(raw), stranger_config));
  };
  good.on_accept = [&](std::unique_ptr<Transport> raw) {
    servers.push_back(TlsPeer::Server(loop, std::move(raw), good_config));
  };
  bridge = *Make(std::move(options));
  Connect().Send("question");
  loop.RunFor(absl::Seconds(9));
  ASSERT_EQ(servers.size(), 2u);
  ASSERT_FALSE(servers[0]->failure().ok());
  EXPECT_EQ(GetError(servers[0]->failure())->alert, 48 /* unknown_ca */);
  EXPECT_EQ(servers[1]->received(), "question");
}

TEST_F(LastWordsTest, ConnectAndCloseHasItsOwnResult) {
  StartRouter();
  bridge = *Make("internal.test");
  for (ProxyBlock* block :
       {static_cast<ProxyBlock*>(router.get()), static_cast<ProxyBlock*>(bridge.get())}) {
    for (const bool reset : {false, true}) {
      const std::optional<Error> error = ConnectAndLeave(*block, reset);
      ASSERT_TRUE(error.has_value());
      EXPECT_EQ(error->code, ErrorCode::kNothingSent);
      EXPECT_EQ(error->phase, Phase::kHello);
      EXPECT_EQ(error->leg, Leg::kFront);
    }
  }
}

TEST_F(LastWordsTest, AnEndWithinTheHelloIsTruncation) {
  StartRouter();
  bridge = *Make("internal.test");
  const std::string hello = testing::InRecords(testing::ClassicHello("a.test").Message());
  for (ProxyBlock* block :
       {static_cast<ProxyBlock*>(router.get()), static_cast<ProxyBlock*>(bridge.get())}) {
    StreamPeer peer(loop, ConnectTo(*block, loop));
    peer.Send(hello.substr(0, 1));
    peer.End();
    loop.RunReady();
    ASSERT_TRUE(observer.error().has_value());
    EXPECT_EQ(observer.error()->code, ErrorCode::kTruncated);
    observer.closed.clear();
  }
}

TEST_F(LastWordsTest, TheDrainTimeIncludesClosing) {
  bridge = *Make("internal.test");
  const std::unique_ptr<Transport> silent = ConnectTo(*bridge, loop);
  loop.RunFor(absl::Seconds(1));
  bool drained = false;
  bridge->Drain(absl::Seconds(3), [&] { drained = true; });
  loop.RunFor(absl::Seconds(2));
  EXPECT_FALSE(drained);
  loop.RunFor(absl::Seconds(1));
  loop.RunReady();
  EXPECT_TRUE(drained);
  EXPECT_EQ(bridge->open_connections(), 0u);
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kCancelled);
  EXPECT_EQ(observer.error()->detail, "the time to drain ran out");
}

TEST_F(LastWordsTest, ABackendThatEndsUnmarkedAfterTheClientIsNoFailure) {
  Connect().Send("question");
  loop.RunReady();
  servers.at(0)->Send("answer");
  loop.RunReady();
  client->End();
  loop.RunReady();
  servers.clear();  // A FIN without close_notify.
  loop.RunFor(absl::Seconds(6));
  ASSERT_EQ(observer.closed.size(), 1u);
  EXPECT_TRUE(observer.closed[0].ok()) << ErrorText(observer.closed[0].error);
  EXPECT_TRUE(observer.closed[0].back.left_unmarked);
  EXPECT_FALSE(client->saw_end()) << "an unmarked end is not passed to the client";
}

}  // namespace
}  // namespace trestle
