#include "trestle/proxy/sni_passthrough_router.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "trestle/pki/sha256.h"
#include "trestle/testing/client_hello_kit.h"

namespace trestle {
namespace {

using testing::ClassicHello;
using ::testing::HasSubstr;
using testing::InRecords;
using testing::MemoryDialer;
using testing::SimulatedLoop;

class RouterTest : public ::testing::Test {
 protected:
  RouterTest() {
    StartRouter({{"a.test", a.endpoint}, {"*.wild.test", w.endpoint}, {"", d.endpoint}});
  }

  void StartRouter(const std::vector<Route>& routes) {
    SniPassthroughRouterOptions options;
    options.routes = *RouteTable::Create(routes);
    auto made = SniPassthroughRouter::Create(loop, dialer, options, &observer);
    ASSERT_TRUE(made.ok()) << made.status();
    router = *std::move(made);
  }

  StreamPeer& Connect() { return client.emplace(loop, ConnectTo(*router, loop)); }

  SimulatedLoop loop;
  MemoryDialer dialer{loop};
  TestBackend a{loop, dialer, 1};
  TestBackend w{loop, dialer, 2};
  TestBackend d{loop, dialer, 3};
  RecordingObserver observer;
  std::unique_ptr<SniPassthroughRouter> router;
  std::optional<StreamPeer> client;
};

std::string Flight(absl::string_view name) { return InRecords(ClassicHello(name).Message()); }

TEST_F(RouterTest, PassesTheUnchangedStreamToTheBackendOfTheName) {
  const std::string flight = Flight("A.test") + "early data follows";
  Connect().Send(flight);
  loop.RunReady();
  ASSERT_EQ(a.peers.size(), 1u);
  EXPECT_EQ(a.peers[0]->received(), flight);
  a.peers[0]->Send("server flight");
  client->End();
  loop.RunReady();
  EXPECT_EQ(client->received(), "server flight");
  EXPECT_TRUE(a.peers[0]->saw_end());
  a.peers[0]->End();
  loop.RunReady();
  EXPECT_TRUE(client->saw_end());
  ASSERT_EQ(observer.closed.size(), 1u);
  const ConnectionReport& report = observer.closed[0];
  EXPECT_TRUE(report.ok()) << ErrorText(report.error);
  EXPECT_EQ(report.mode, ProxyMode::kPassthrough);
  EXPECT_EQ(report.server_name, "a.test");
  EXPECT_EQ(report.route, "a.test");
  EXPECT_EQ(report.back.peer, a.endpoint);
  EXPECT_EQ(report.front.bytes_read, flight.size());
  EXPECT_EQ(report.back.bytes_written, flight.size());
  EXPECT_EQ(report.front.bytes_written, 13u);
  EXPECT_EQ(report.front.tls, nullptr);
  EXPECT_EQ(router->open_connections(), 0u);
}

TEST_F(RouterTest, WildcardsAndTheDefaultAreUsed) {
  Connect().Send(Flight("x.wild.test"));
  loop.RunReady();
  EXPECT_EQ(w.peers.size(), 1u);
  Connect().Send(Flight("unknown.test"));
  loop.RunReady();
  EXPECT_EQ(d.peers.size(), 1u);
}

TEST_F(RouterTest, OtherProtocolsReachNoBackend) {
  for (const std::string& junk :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("SSH-2.0-x\r\n"),
        std::string("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n") + Flight("a.test"),
        std::string("\x15\x03\x01\x00\x02\x01\x00", 7)}) {
    observer.closed.clear();
    Connect().Send(junk);
    loop.RunReady();
    EXPECT_TRUE(client->saw_end());
    client.reset();
    loop.RunReady();
    ASSERT_TRUE(observer.error().has_value());
    EXPECT_EQ(observer.error()->phase, Phase::kHello);
    EXPECT_EQ(observer.error()->leg, Leg::kFront);
  }
  EXPECT_EQ(dialer.dials(), 0u);
}

TEST_F(RouterTest, AMalformedHelloGetsAnAlert) {
  testing::HelloBuilder hello = ClassicHello("a.test");
  hello.Add(0xabcd, "one").Add(0xabcd, "two");
  Connect().Send(InRecords(hello.Message()));
  loop.RunReady();
  client->End();
  loop.RunReady();
  EXPECT_EQ(dialer.dials(), 0u);
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kMalformedHello);
  EXPECT_EQ(client->received(), std::string("\x15\x03\x03\x00\x02\x02\x32", 7));
}

TEST_F(RouterTest, AMissingRouteCausesAnAlert) {
  StartRouter({{"a.test", a.endpoint}});
  Connect().Send(Flight("b.test"));
  loop.RunReady();
  EXPECT_EQ(client->received(), std::string("\x15\x03\x03\x00\x02\x02\x70", 7));
  EXPECT_TRUE(client->saw_end());
  client->End();
  loop.RunReady();
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kNoRoute);
  EXPECT_EQ(observer.error()->detail, "no route for \"b.test\"");
  EXPECT_EQ(dialer.dials(), 0u);
}

TEST_F(RouterTest, ConnectionsWithoutARouteAreHandledAsConfigured) {
  for (const Unrouted unrouted : {Unrouted::kDefaultRoute, Unrouted::kAlert, Unrouted::kClose}) {
    for (const bool named : {false, true}) {
      SCOPED_TRACE(static_cast<int>(unrouted) * 2 + named);
      observer.closed.clear();
      SniPassthroughRouterOptions options;
      options.routes = *RouteTable::Create({{"a.test", a.endpoint}, {"", d.endpoint}});
      (named ? options.unknown_name : options.no_name) = unrouted;
      router = *SniPassthroughRouter::Create(loop, dialer, options, &observer);
      const size_t before = d.peers.size();
      testing::HelloBuilder hello = ClassicHello("b.test");
      if (!named) hello.Remove(0);
      Connect().Send(InRecords(hello.Message()));
      loop.RunReady();
      EXPECT_EQ(d.peers.size() - before, unrouted == Unrouted::kDefaultRoute ? 1u : 0u);
      EXPECT_EQ(client->received().size(), unrouted == Unrouted::kAlert ? 7u : 0u);
      EXPECT_EQ(client->saw_end(), unrouted != Unrouted::kDefaultRoute);
    }
  }
}

TEST_F(RouterTest, TheReportDescribesTheHello) {
  SniPassthroughRouterOptions options;
  options.routes = *RouteTable::Create({{"", d.endpoint}});
  options.ja4_sha256 = Sha256;
  router = *SniPassthroughRouter::Create(loop, dialer, options, &observer);
  const std::string message = ClassicHello("a.test").Message();
  Connect().Send(InRecords(message, {100}));
  loop.RunReady();
  ASSERT_EQ(observer.established.size(), 1u);
  const std::optional<HelloReport>& hello = observer.established[0].hello;
  ASSERT_TRUE(hello.has_value());
  EXPECT_THAT(hello->alpn, ::testing::ElementsAre("h2", "http/1.1"));
  EXPECT_EQ(hello->bytes, message.size());
  EXPECT_EQ(hello->records, 2u);
  EXPECT_EQ(hello->segments, 1u);
  EXPECT_THAT(hello->ja4, ::testing::StartsWith("t13d"));
}

TEST_F(RouterTest, TheTimeLimitOfAHelloIsATotal) {
  const std::string flight = Flight("a.test");
  Connect();
  for (int i = 0; i < 49; ++i) {
    client->Send(flight.substr(i, 1));
    loop.RunFor(absl::Milliseconds(100));
  }
  EXPECT_TRUE(observer.closed.empty());
  loop.RunFor(absl::Milliseconds(200));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
  EXPECT_EQ(observer.error()->phase, Phase::kHello);
  EXPECT_TRUE(client->saw_end());
}

TEST_F(RouterTest, AnEndWithinTheHelloIsReported) {
  Connect().Send(Flight("a.test").substr(0, 100));
  client->End();
  loop.RunReady();
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTruncated);
  EXPECT_THAT(observer.error()->detail, ::testing::HasSubstr("after 100 bytes"));
}

TEST_F(RouterTest, AHelloWithAHalfCloseStillGetsTheResponse) {
  Connect().Send(Flight("a.test"));
  client->End();
  loop.RunReady();
  ASSERT_EQ(a.peers.size(), 1u);
  a.peers[0]->Send("reply");
  a.peers[0]->End();
  loop.RunReady();
  EXPECT_EQ(client->received(), "reply");
  EXPECT_TRUE(observer.closed.at(0).ok());
}

TEST_F(RouterTest, ABackendThatRefusesIsReportedAndTheClientClosed) {
  dialer.Refuse(a.endpoint, MakeError(ErrorCode::kTransport, Phase::kDial,
                                      "192.0.2.1:443 refused the connection"));
  Connect().Send(Flight("a.test"));
  loop.RunReady();
  EXPECT_TRUE(client->saw_end());
  client->End();
  loop.RunReady();
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->leg, Leg::kBack);
  EXPECT_EQ(observer.error()->phase, Phase::kDial);
}

TEST_F(RouterTest, ASilentBackendTimesOut) {
  dialer.Refuse(a.endpoint, absl::OkStatus(), absl::InfiniteDuration());
  Connect().Send(Flight("a.test"));
  loop.RunFor(absl::Seconds(11));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
  EXPECT_EQ(observer.error()->leg, Leg::kBack);
}

TEST_F(RouterTest, ATruncatedBackendTruncatesTheClient) {
  Connect().Send(Flight("a.test"));
  loop.RunReady();
  a.peers[0]->Send("partial");
  a.peers[0]->End(StreamEnd::kTruncated);
  loop.RunReady();
  EXPECT_EQ(client->received(), "partial");
  EXPECT_FALSE(client->saw_end());
  EXPECT_FALSE(client->failure().ok());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTruncated);
  EXPECT_EQ(observer.error()->leg, Leg::kBack);
}

TEST_F(RouterTest, NewRoutesApplyToNewConnections) {
  Connect().Send(Flight("a.test"));
  loop.RunReady();
  EXPECT_TRUE(router->ReplaceRoutes(*RouteTable::Create({{"a.test", w.endpoint}})).ok());
  StreamPeer second(loop, ConnectTo(*router, loop));
  second.Send(Flight("a.test"));
  loop.RunReady();
  EXPECT_EQ(a.peers.size(), 1u);
  EXPECT_EQ(w.peers.size(), 1u);
  client->Send("still connected");
  loop.RunReady();
  EXPECT_THAT(a.peers[0]->received(), ::testing::EndsWith("still connected"));
}

TEST_F(RouterTest, ADefaultRouteThatNoHelloCanUseIsRejected) {
  SniPassthroughRouterOptions options;
  options.routes = *RouteTable::Create({{"a.test", a.endpoint}, {"", d.endpoint}});
  options.unknown_name = Unrouted::kAlert;
  EXPECT_TRUE(SniPassthroughRouter::Create(loop, dialer, options).ok())
      << "for hellos without a name";
  options.no_name = Unrouted::kClose;
  EXPECT_THAT(SniPassthroughRouter::Create(loop, dialer, options).status().message(),
              HasSubstr("nothing can reach the default route"));
  const auto unreachable = options.routes;
  options.routes = *RouteTable::Create({{"a.test", a.endpoint}, {"", d.endpoint, "acme-tls/1"}});
  const auto strict = SniPassthroughRouter::Create(loop, dialer, options);
  ASSERT_TRUE(strict.ok()) << "a default of a protocol is for hellos of any name";
  EXPECT_FALSE((*strict)->ReplaceRoutes(unreachable).ok());
  EXPECT_FALSE((*strict)->ReplaceRoutes(nullptr).ok());
}

TEST_F(RouterTest, ARouteMayHandOverToAnotherBlock) {
  SniPassthroughRouterOptions inner_options;
  inner_options.routes = *RouteTable::Create({{"", d.endpoint}});
  RecordingObserver inner_observer;
  auto inner = *SniPassthroughRouter::Create(loop, dialer, inner_options, &inner_observer);
  StartRouter({{"a.test", inner.get()}});
  Connect().Send(Flight("a.test"));
  loop.RunReady();
  ASSERT_EQ(observer.closed.size(), 1u);
  EXPECT_TRUE(observer.closed[0].handed_over);
  ASSERT_EQ(d.peers.size(), 1u);
  EXPECT_EQ(d.peers[0]->received(), Flight("a.test"));
  client->End();
  d.peers[0]->End();
  loop.RunReady();
  EXPECT_EQ(inner_observer.closed.size(), 1u);
}

TEST_F(RouterTest, DrainWaitsThenCuts) {
  Connect().Send(Flight("a.test"));
  loop.RunReady();
  bool drained = false;
  router->Drain(absl::Seconds(30), [&] { drained = true; });
  // The last five seconds, the close_timeout, are for closing the connections.
  loop.RunFor(absl::Seconds(24));
  EXPECT_FALSE(drained);
  loop.RunFor(absl::Seconds(6));
  EXPECT_TRUE(drained);
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kCancelled);
}

TEST_F(RouterTest, DrainOfAnIdleBlockEndsSoonButNotInTheCall) {
  bool drained = false;
  router->Drain(absl::Seconds(30), [&] { drained = true; });
  EXPECT_FALSE(drained);
  loop.RunReady();
  EXPECT_TRUE(drained);
}

TEST_F(RouterTest, DestroyingTheBlockReportsEveryConnection) {
  Connect().Send(Flight("a.test"));
  StreamPeer silent(loop, ConnectTo(*router, loop));
  loop.RunReady();
  router.reset();
  loop.RunReady();
  ASSERT_EQ(observer.closed.size(), 2u);
  for (const ConnectionReport& report : observer.closed) {
    EXPECT_EQ(report.error->code, ErrorCode::kCancelled);
  }
  EXPECT_FALSE(client->failure().ok());
}

TEST_F(RouterTest, OptionsAreChecked) {
  EXPECT_FALSE(SniPassthroughRouter::Create(loop, dialer, {}).ok());
  SniPassthroughRouterOptions options;
  options.routes = *RouteTable::Create({{"", d.endpoint}});
  options.connection.hello_timeout = absl::InfiniteDuration();
  const auto made = SniPassthroughRouter::Create(loop, dialer, options);
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(std::string(made.status().message()), ::testing::HasSubstr("hello_timeout"));
}

}  // namespace
}  // namespace trestle
