// What the QUIC router refuses, drops and gives up: junk, floods, silence, failing backends.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/quic_router_fixture.h"

namespace trestle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::QuicInitialHeader;
using testing::QuicOpaquePacket;
using ::testing::SizeIs;

using ClientOptions = QuicTestClient::Options;

// ---- Junk and refusals -----------------------------------------------------------------------

TEST_F(QuicRouterTest, JunkLeavesNoFlow) {
  StartRouter();
  const auto client = NewClient();
  const std::string initial = client->Flight()[0];
  QuicInitialHeader header;
  QuicInitialHeader short_id;
  short_id.destination_id = short_id.key_id = "short";
  QuicInitialHeader bad_key;
  bad_key.key_id = "otherkey";
  std::string unknown_version = initial;
  unknown_version[1] = '\x7f';
  const struct {
    std::string datagram;
    DatagramDrop why;
  } kRows[] = {
      {"", DatagramDrop::kMalformed},
      {"\xc0\x01", DatagramDrop::kMalformed},
      {QuicShortPacket("someone", "1-RTT"), DatagramDrop::kNoFlow},
      {"GET / HTTP/1.1\r\n\r\n", DatagramDrop::kNoFlow},
      {QuicOpaquePacket(QuicPacketType::kHandshake, header, 1200), DatagramDrop::kNoFlow},
      {testing::QuicVersionNegotiation(header), DatagramDrop::kNoFlow},
      {unknown_version, DatagramDrop::kUnknownVersion},
      {testing::QuicInitial(header, testing::QuicCryptoFrame(0, "tiny")),
       DatagramDrop::kBadInitial},
      {testing::QuicInitialDatagram(short_id, testing::QuicCryptoFrame(0, "x")),
       DatagramDrop::kBadInitial},
      {testing::QuicInitialDatagram(bad_key, testing::QuicCryptoFrame(0, "x")),
       DatagramDrop::kBadInitial},
  };
  size_t row = 0;
  for (const auto& [datagram, why] : kRows) {
    SCOPED_TRACE(row++);
    observer.dropped.clear();
    client->Send(datagram);
    loop.RunReady();
    EXPECT_EQ(observer.dropped[why], 1u);
    EXPECT_EQ(router->flows(), 0u);
  }
  EXPECT_THAT(observer.closed, IsEmpty());
  EXPECT_THAT(client->received(), IsEmpty()) << "nothing is answered";
  EXPECT_EQ(router->held_bytes(), 0u);
  EXPECT_EQ(Served()->letters(), "A");
}

TEST_F(QuicRouterTest, ANameWithoutARouteIsReportedOnce) {
  StartRouter();
  ClientOptions unrouted;
  unrouted.name = "c.test";
  unrouted.repeats = 5;
  const auto client = NewClient(unrouted);
  client->Start();
  loop.RunFor(absl::Seconds(5));
  EXPECT_EQ(OnlyError().code, ErrorCode::kNoRoute);
  EXPECT_EQ(OnlyError().leg, Leg::kFront);
  EXPECT_EQ(observer.closed[0].server_name, "c.test");
  EXPECT_THAT(client->received(), IsEmpty());
  EXPECT_GT(observer.dropped[DatagramDrop::kRefusedFlow], 0u) << "what the client repeated";
  EXPECT_THAT(a.received, IsEmpty());
  loop.RunFor(absl::Minutes(2));
  EXPECT_EQ(router->flows(), 0u);
  EXPECT_THAT(observer.closed, SizeIs(1));
}

TEST_F(QuicRouterTest, UnknownNamesMayBeKeptFromTheDefault) {
  options.routes = *RouteTable::Create({{"b.test", b.endpoint}, {"", a.endpoint}});
  options.unknown_name = Unrouted::kClose;
  StartRouter();
  NewClient("c.test")->Start();
  loop.RunReady();
  EXPECT_EQ(OnlyError().code, ErrorCode::kNoRoute);
  ClientOptions known;
  known.name = "b.test";
  EXPECT_EQ(Served(known)->letters(), "B");
}

class NoHandler final : public ConnectionHandler {
 public:
  void Serve(Accepted) override { FAIL(); }
};

TEST_F(QuicRouterTest, HandlersTakeNoQuic) {
  NoHandler handler;
  options.routes = *RouteTable::Create({{"a.test", &handler}});
  StartRouter();
  NewClient()->Start();
  loop.RunReady();
  EXPECT_EQ(OnlyError().code, ErrorCode::kNoRoute);
  EXPECT_THAT(OnlyError().detail, HasSubstr("takes no QUIC"));
}

TEST_F(QuicRouterTest, AnInvalidHelloIsRefused) {
  StartRouter();
  const auto client = NewClient();
  client->Send(testing::QuicInitialDatagram(
      client->header(), testing::QuicCryptoFrame(0, std::string("\x02\0\0\1x", 5))));
  loop.RunReady();
  EXPECT_EQ(OnlyError().phase, Phase::kHello);
  EXPECT_THAT(a.received, IsEmpty());
  EXPECT_EQ(router->held_bytes(), 0u);
}

TEST_F(QuicRouterTest, HalfAHelloTimesOutAndCanBeSentAnew) {
  StartRouter();
  ClientOptions options;
  options.post_quantum = true;
  const auto client = NewClient(options);
  client->Send(client->Flight()[0]);
  loop.RunFor(absl::Milliseconds(2999));
  EXPECT_THAT(observer.closed, IsEmpty());
  loop.RunFor(absl::Milliseconds(1));
  EXPECT_EQ(OnlyError().code, ErrorCode::kTimeout);
  EXPECT_EQ(OnlyError().phase, Phase::kHello);
  EXPECT_EQ(router->flows(), 0u);
  client->Start();
  loop.RunReady();
  EXPECT_TRUE(client->has_answer());
}

// ---- Amplification and spoofing --------------------------------------------------------------

TEST_F(QuicRouterTest, AnUnprovenClientGetsThreeTimesWhatItSent) {
  a.is_silent = true;
  StartRouter();
  const auto client = NewClient();
  const std::string initial = client->Flight()[0];
  client->Send(initial);
  loop.RunReady();
  for (int i = 0; i < 10; ++i) a.Send(QuicShortPacket("client", std::string(1000, 'x')));
  loop.RunReady();
  size_t bytes = 0;
  for (const std::string& datagram : client->received()) bytes += datagram.size();
  EXPECT_LE(bytes, 3 * initial.size());
  EXPECT_GT(bytes, 2 * initial.size());
  EXPECT_GT(observer.dropped[DatagramDrop::kUnprovenClient], 0u);
}

TEST_F(QuicRouterTest, AProvenClientGetsAll) {
  StartRouter();
  const auto client = Served();
  const size_t before = client->received().size();
  for (int i = 0; i < 100; ++i) a.Send(QuicShortPacket("client", std::string(1000, 'x')));
  loop.RunReady();
  EXPECT_EQ(client->received().size(), before + 100);
}

TEST_F(QuicRouterTest, AnotherInitialWithALiveClientsAddressHarmsNothing) {
  StartRouter();
  const auto client = Served();
  for (int i = 0; i < 100; ++i) {
    ClientOptions spoof;
    spoof.name = "b.test";
    spoof.header.destination_id = spoof.header.key_id = absl::StrFormat("spoof%03d", i);
    client->Send(NewClient(spoof)->Flight()[0]);
  }
  loop.RunReady();
  EXPECT_GT(observer.dropped[DatagramDrop::kTooManyFlows], 0u);
  client->Send(QuicShortPacket(client->backend_id(), "known"));
  client->Send(QuicShortPacket("new id of A", "unknown"));
  loop.RunReady();
  EXPECT_EQ(a.received.back(), QuicShortPacket("new id of A", "unknown"));
}

TEST_F(QuicRouterTest, OtherAddressesCantTakeAFlowOver) {
  options.backend_id_bytes = kTestBackendIdBytes;
  StartRouter();
  const auto client = Served();
  const auto thief = NewClient();
  thief->Send(QuicShortPacket(client->backend_id(), "copied"));
  loop.RunReady();
  const size_t before = client->received().size();
  client->Send(QuicShortPacket(client->backend_id(), "mine"));
  loop.RunReady();
  EXPECT_EQ(client->received().size(), before + 1);
  EXPECT_EQ(client->received().back(), QuicShortPacket("client", "mine A"));
}

// ---- Floods ----------------------------------------------------------------------------------

TEST_F(QuicRouterTest, AFloodEndsNoProvenFlowAndStaysInItsBounds) {
  options.flows.unproven_flows = 100;
  options.flows.new_flows_per_second_per_client = 0;
  StartRouter();
  const auto idle = Served();
  const auto busy = Served();
  const std::string initial = idle->Flight()[0];
  for (int i = 0; i < 2000; ++i) {
    NewClient()->Send(initial);
    if (i % 100 == 0) busy->Send(QuicShortPacket(busy->backend_id(), "still here"));
    loop.RunReady();
    ASSERT_LE(router->flows(), 102u);
    ASSERT_LE(network.sockets(), 2 + 1 + 2 + 102u + 1);
  }
  EXPECT_EQ(router->proven_flows(), 2u);
  for (const auto* client : {idle.get(), busy.get()}) {
    const_cast<QuicTestClient*>(client)->Send(QuicShortPacket(client->backend_id(), "end"));
    loop.RunReady();
    EXPECT_EQ(client->received().back(), QuicShortPacket("client", "end A"));
  }
  ASSERT_THAT(observer.closed, SizeIs(1900));
  EXPECT_EQ(observer.closed[0].error->code, ErrorCode::kOverLimit);
  EXPECT_EQ(observer.closed[0].error->limit, Limit::kFlows);
}

TEST_F(QuicRouterTest, AFloodOfHalvesStaysInItsMemory) {
  options.flows.held_bytes = 64 * 1024;
  options.flows.new_flows_per_second_per_client = 0;
  StartRouter();
  ClientOptions half;
  half.post_quantum = true;
  const std::string first = NewClient(half)->Flight()[0];
  for (int i = 0; i < 500; ++i) {
    NewClient()->Send(first);
    loop.RunReady();
    ASSERT_LE(router->held_bytes(), 64 * 1024 + first.size() + 2048);
  }
  EXPECT_GT(router->flows(), 10u);
  EXPECT_EQ(observer.closed.back().error->limit, Limit::kHeldDatagrams);
  EXPECT_EQ(Served(half)->letters(), "A");
}

TEST_F(QuicRouterTest, WhereAllAreProvenNewFlowsAreDropped) {
  options.flows.flows = 3;
  StartRouter();
  for (int i = 0; i < 3; ++i) Served();
  NewClient()->Start();
  loop.RunReady();
  EXPECT_EQ(observer.dropped[DatagramDrop::kTooManyFlows], 1u);
  EXPECT_EQ(router->proven_flows(), 3u);
  loop.RunFor(absl::Seconds(31));
  Served();
}

TEST_F(QuicRouterTest, NewFlowsOfOneNetworkAreLimited) {
  options.flows.new_flows_per_second_per_client = 2;
  options.flows.new_flows_burst = 4;
  StartRouter();
  const std::string initial = NewClient()->Flight()[0];
  const auto attacker = *network.Bind(*Endpoint::Parse("203.0.113.1:1"));
  const auto send_from = [&](uint16_t port) {
    const auto socket = *network.Bind(*Endpoint::Parse(absl::StrCat("203.0.113.1:", port)));
    const Datagram datagram{AsBytes(initial), front, {}};
    socket->Send({&datagram, 1});
    loop.RunReady();
  };
  for (uint16_t port = 2; port < 12; ++port) send_from(port);
  EXPECT_EQ(router->flows(), 4u);
  EXPECT_EQ(observer.dropped[DatagramDrop::kTooManyNewFlows], 6u);
  Served();
  loop.RunFor(absl::Seconds(1));
  for (uint16_t port = 12; port < 20; ++port) send_from(port);
  EXPECT_EQ(observer.dropped[DatagramDrop::kTooManyNewFlows], 12u);
}

TEST_F(QuicRouterTest, WithoutDescriptorsTheOldestUnprovenFlowGivesWay) {
  a.is_silent = true;
  StartRouter();
  const auto first = NewClient();
  first->Start();
  loop.RunReady();
  network.RefuseConnects(true);
  QuicTestClient second(loop, *network.Bind(*Endpoint::Parse("203.0.113.9:9")), {});
  const std::string initial = second.Flight()[0];
  const Datagram datagram{AsBytes(initial), front, {}};
  const auto socket = *network.Bind(*Endpoint::Parse("203.0.113.9:10"));
  socket->Send({&datagram, 1});
  loop.RunReady();
  ASSERT_THAT(observer.closed, SizeIs(2));
  EXPECT_EQ(observer.closed[0].error->limit, Limit::kFlows);
  EXPECT_EQ(observer.closed[1].error->code, ErrorCode::kOverLimit);
  EXPECT_EQ(observer.closed[1].error->leg, Leg::kBack);
  EXPECT_EQ(router->flows(), 0u);
}

TEST_F(QuicRouterTest, ProvenFlowsCountAsConnections) {
  ConnectionLimits limits;
  limits.connections = 1;
  options.limiter = *ConnectionLimiter::Create(limits);
  StartRouter();
  const auto client = Served();
  EXPECT_EQ(options.limiter->open_connections(), 1u);
  const auto second = NewClient();
  second->Start();
  loop.RunReady();
  EXPECT_FALSE(second->has_answer());
  ASSERT_GE(observer.closed.size(), 1u);
  EXPECT_EQ(observer.closed[0].error->limit, Limit::kConnections);
  router.reset();
  EXPECT_EQ(options.limiter->open_connections(), 0u);
}

// ---- Silence, failing backends, the end ------------------------------------------------------

TEST_F(QuicRouterTest, SilentFlowsEnd) {
  StartRouter();
  const auto client = Served();
  loop.RunFor(absl::Seconds(29));
  client->Send(QuicShortPacket(client->backend_id(), "alive"));
  loop.RunFor(absl::Seconds(29));
  EXPECT_EQ(router->flows(), 1u);
  loop.RunFor(absl::Seconds(1));
  EXPECT_EQ(router->flows(), 0u);
  ASSERT_THAT(observer.closed, SizeIs(1));
  EXPECT_TRUE(observer.closed[0].ok());
  EXPECT_EQ(observer.closed[0].duration, absl::Seconds(29));
  EXPECT_EQ(network.sockets(), 4u) << "front, two backends, the client";
}

TEST_F(QuicRouterTest, ASilentBackendIsATimeout) {
  a.is_silent = true;
  StartRouter();
  const auto client = NewClient();
  client->Send(client->Flight()[0]);
  loop.RunFor(absl::Seconds(10));
  EXPECT_EQ(OnlyError().code, ErrorCode::kTimeout);
  EXPECT_EQ(OnlyError().leg, Leg::kBack);
  EXPECT_EQ(OnlyError().phase, Phase::kDial);
  EXPECT_THAT(observer.established, IsEmpty());
}

TEST_F(QuicRouterTest, AClientThatLeavesTheBackendAloneIsATimeout) {
  StartRouter();
  const auto client = NewClient();
  const std::string initial = client->Flight()[0];
  const auto spoofed = *network.Connect(front);
  const Datagram first{AsBytes(initial), {}, {}};
  spoofed->Send({&first, 1});
  loop.RunFor(absl::Seconds(10));
  EXPECT_EQ(OnlyError().code, ErrorCode::kTimeout);
  EXPECT_EQ(OnlyError().leg, Leg::kFront);
  EXPECT_EQ(OnlyError().phase, Phase::kHandshake);
  EXPECT_THAT(observer.established, SizeIs(1));
}

TEST_F(QuicRouterTest, AClosedBackendIsReplacedByTheNext) {
  const Endpoint closed = *Endpoint::Parse("192.0.2.9:443");
  options.routes = *RouteTable::Create({{"a.test", Backends{closed, a.endpoint}}});
  StartRouter();
  ClientOptions client;
  client.post_quantum = true;
  for (int i = 0; i < 2; ++i) {
    const auto served = Served(client);
    EXPECT_EQ(served->letters(), "A");
  }
  ASSERT_THAT(observer.established, SizeIs(2));
  const std::vector<FailedTry> tries = observer.established[0].failed_tries.empty()
                                           ? observer.established[1].failed_tries
                                           : observer.established[0].failed_tries;
  ASSERT_THAT(tries, SizeIs(1));
  EXPECT_EQ(tries[0].backend, closed);
  EXPECT_EQ(tries[0].error.code, ErrorCode::kTransport);
  EXPECT_EQ(router->held_bytes(), 0u);
}

TEST_F(QuicRouterTest, AClosedBackendEndsTheFlow) {
  options.routes = *RouteTable::Create({{"a.test", *Endpoint::Parse("192.0.2.9:443")}});
  StartRouter();
  const auto client = NewClient();
  client->Send(client->Flight()[0]);
  loop.RunReady();
  EXPECT_EQ(OnlyError().code, ErrorCode::kTransport);
  EXPECT_EQ(OnlyError().leg, Leg::kBack);
  EXPECT_EQ(OnlyError().phase, Phase::kDial);
  EXPECT_EQ(router->flows(), 0u);
}

TEST_F(QuicRouterTest, ABackendThatClosesItsPortEndsItsFlows) {
  auto c = std::make_unique<QuicTestBackend>(network, "192.0.2.3:443", 'C');
  options.routes = *RouteTable::Create({{"a.test", c->endpoint}});
  StartRouter();
  const auto client = Served();
  c.reset();
  client->Send(QuicShortPacket(client->backend_id(), "into the void"));
  loop.RunReady();
  EXPECT_EQ(OnlyError().code, ErrorCode::kTransport);
  EXPECT_EQ(OnlyError().phase, Phase::kRelay);
}

TEST_F(QuicRouterTest, DrainingTakesNoNewFlows) {
  StartRouter();
  const auto client = Served();
  bool drained = false;
  router->Drain(absl::Seconds(60), [&] { drained = true; });
  NewClient()->Start();
  for (int i = 0; i < 4; ++i) {
    client->Send(QuicShortPacket(client->backend_id(), absl::StrCat(i)));
    loop.RunFor(absl::Seconds(4));
  }
  EXPECT_EQ(client->received().back(), QuicShortPacket("client", "3 A"));
  EXPECT_FALSE(drained);
  EXPECT_GT(observer.dropped[DatagramDrop::kDraining], 0u);
  loop.RunFor(absl::Seconds(2));
  EXPECT_TRUE(drained) << "5 seconds of silence";
  EXPECT_TRUE(observer.closed[0].ok());
}

TEST_F(QuicRouterTest, TheDrainTimesOut) {
  StartRouter();
  const auto client = Served();
  bool drained = false;
  router->Drain(absl::Seconds(2), [&] { drained = true; });
  loop.RunFor(absl::Seconds(2));
  EXPECT_TRUE(drained);
  EXPECT_EQ(OnlyError().code, ErrorCode::kCancelled);
  EXPECT_EQ(OnlyError().phase, Phase::kDrain);
}

TEST_F(QuicRouterTest, AnEmptyRouterIsDrainedAtOnce) {
  StartRouter();
  bool drained = false;
  router->Drain(absl::Seconds(60), [&] { drained = true; });
  EXPECT_FALSE(drained);
  loop.RunReady();
  EXPECT_TRUE(drained);
}

TEST_F(QuicRouterTest, TheDestructorCutsAndReports) {
  StartRouter();
  const auto client = Served();
  router.reset();
  EXPECT_EQ(OnlyError().code, ErrorCode::kCancelled);
  loop.RunFor(absl::Minutes(1));
  EXPECT_EQ(network.sockets(), 3u) << "two backends, the client";
}

}  // namespace
}  // namespace trestle
