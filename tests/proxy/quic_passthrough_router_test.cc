// Flows that reach their backends: by name and protocol, over Retry, Version Negotiation, 0-RTT and
// NAT rebinding.
#include "trestle/proxy/quic_passthrough_router.h"

#include <array>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/quic_router_fixture.h"

namespace trestle {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::QuicInitialHeader;
using testing::QuicOpaquePacket;
using ::testing::SizeIs;

using ClientOptions = QuicTestClient::Options;

TEST_F(QuicRouterTest, RoutesByNameAndReports) {
  StartRouter();
  const auto client = Served();
  const std::vector<std::string> flight = client->Flight();
  ASSERT_THAT(a.received, SizeIs(flight.size() + 2));
  EXPECT_EQ(a.received[0], flight[0]) << "the datagram is untouched";
  EXPECT_THAT(b.received, IsEmpty());
  EXPECT_EQ(client->letters(), "A");
  ASSERT_THAT(observer.established, SizeIs(1));
  EXPECT_EQ(router->proven_flows(), 1u);
  loop.RunFor(absl::Seconds(31));
  ASSERT_THAT(observer.closed, SizeIs(1));
  const ConnectionReport& report = observer.closed[0];
  EXPECT_TRUE(report.ok()) << ErrorText(report.error);
  EXPECT_EQ(report.mode, ProxyMode::kPassthrough);
  EXPECT_EQ(report.quic_version, kQuicV1);
  EXPECT_EQ(report.server_name, "a.test");
  EXPECT_EQ(report.route, "a.test");
  EXPECT_EQ(report.front.peer, client->address());
  EXPECT_EQ(report.front.local, front);
  EXPECT_EQ(report.back.peer, a.endpoint);
  EXPECT_EQ(report.back.local, a.peers[0]);
  size_t up = 0;
  for (const std::string& datagram : a.received) up += datagram.size();
  size_t down = 0;
  for (const std::string& datagram : client->received()) down += datagram.size();
  EXPECT_EQ(report.front.bytes_read, up);
  EXPECT_EQ(report.back.bytes_written, up);
  EXPECT_EQ(report.front.bytes_written, down);
  EXPECT_EQ(report.back.bytes_read, down);
  ASSERT_TRUE(report.hello.has_value());
  EXPECT_THAT(report.hello->alpn, ElementsAre("h3"));
  EXPECT_EQ(report.hello->segments, flight.size());
  EXPECT_EQ(report.duration, absl::ZeroDuration()) << "until the last datagram";
  EXPECT_EQ(router->flows(), 0u);
}

TEST_F(QuicRouterTest, TwoNamesOfPostQuantumClients) {
  StartRouter();
  ClientOptions client;
  client.post_quantum = true;
  ASSERT_THAT(NewClient(client)->Flight(), SizeIs(2));
  EXPECT_EQ(Served(client)->letters(), "A");
  client.name = "b.test";
  client.header.version = kQuicV2;
  EXPECT_EQ(Served(client)->letters(), "B");
  EXPECT_EQ(router->held_bytes(), 0u);
}

TEST_F(QuicRouterTest, RoutesOfAProtocol) {
  options.routes = *RouteTable::Create({{"", a.endpoint}, {"", b.endpoint, "h3"}});
  StartRouter();
  EXPECT_EQ(Served()->letters(), "B");
}

TEST_F(QuicRouterTest, TheHelloWaitsForItsSecondDatagram) {
  a.is_silent = true;
  StartRouter();
  ClientOptions options;
  options.post_quantum = true;
  const auto client = NewClient(options);
  const std::vector<std::string> flight = client->Flight();
  client->Send(flight[1]);
  loop.RunFor(absl::Milliseconds(900));
  EXPECT_THAT(a.received, IsEmpty());
  EXPECT_GT(router->held_bytes(), flight[1].size());
  client->Send(flight[0]);
  loop.RunReady();
  EXPECT_THAT(a.received, ElementsAre(flight[1], flight[0])) << "in the order of arrival";
  EXPECT_EQ(router->held_bytes(), 0u);
}

TEST_F(QuicRouterTest, EarlyDataIsHeldBehindTheInitialAndBeforeIt) {
  a.is_silent = true;
  StartRouter();
  ClientOptions options;
  options.post_quantum = true;
  const auto client = NewClient(options);
  const std::vector<std::string> flight = client->Flight();
  const std::string early =
      QuicOpaquePacket(QuicPacketType::kZeroRtt, client->header(), /*payload_bytes=*/800);
  for (const std::string& datagram : {early, flight[0], early, flight[1]}) client->Send(datagram);
  loop.RunReady();
  EXPECT_THAT(a.received, ElementsAre(early, flight[0], early, flight[1]));
}

TEST_F(QuicRouterTest, RetryPasses) {
  a.sends_retry = true;
  StartRouter();
  const auto client = Served();
  EXPECT_EQ(client->letters(), "A");
  EXPECT_EQ(client->header().token, "token");
  EXPECT_THAT(a.peers, SizeIs(1)) << "one flow";
}

TEST_F(QuicRouterTest, AfterARetryTheFlowIsProven) {
  a.sends_retry = true;
  StartRouter();
  const auto client = NewClient();
  client->Start();
  while (a.received.size() < 2) ASSERT_GT(loop.RunReady(1), 0u);
  EXPECT_EQ(router->proven_flows(), 1u);
}

// The router has forgotten the flow, or was not the one that carried the Retry.
TEST_F(QuicRouterTest, ATokenBeginsAFlowUnderTheNewKeys) {
  StartRouter();
  ClientOptions options;
  options.header.token = "of a Retry";
  options.header.destination_id = "RA";
  options.header.key_id = "RA";
  EXPECT_EQ(Served(options)->letters(), "A");
}

TEST_F(QuicRouterTest, VersionNegotiationPasses) {
  a.sends_version_negotiation = true;
  StartRouter();
  ClientOptions options;
  options.header.version = kQuicV2;
  const auto client = Served(options);
  EXPECT_EQ(client->header().version, kQuicV1);
  EXPECT_EQ(client->letters(), "A");
}

TEST_F(QuicRouterTest, AnswersLeaveFromTheAddressThatTheClientUsed) {
  router.reset();
  auto made = QuicPassthroughRouter::Create(loop, *network.Bind(*Endpoint::Parse("0.0.0.0:8443")),
                                            network, options, &observer);
  ASSERT_TRUE(made.ok());
  for (const char* address : {"192.0.2.51:8443", "192.0.2.52:8443"}) {
    QuicTestClient client(loop, *network.Connect(*Endpoint::Parse(address)), {});
    client.Start();
    loop.RunReady();
    EXPECT_TRUE(client.has_answer()) << address;
  }
}

TEST_F(QuicRouterTest, ConnectionsOfOnePort) {
  StartRouter();
  const auto client = Served();
  const std::string first_id = client->backend_id();
  QuicInitialHeader header;
  header.source_id = "another client id";
  header.destination_id = header.key_id = "another1";
  ClientOptions other;
  other.name = "b.test";
  other.header = header;
  client->Send(NewClient(other)->Flight()[0]);
  loop.RunReady();
  EXPECT_THAT(b.received, SizeIs(1));
  EXPECT_EQ(b.peers.size(), 1u);
  const size_t before = a.received.size();
  client->Send(QuicShortPacket(first_id, "to the first"));
  client->Send(QuicShortPacket(b.last_id, "to the second"));
  client->Send(QuicShortPacket(first_id, "to the first"));
  loop.RunReady();
  EXPECT_EQ(a.received.size(), before + 2);
  EXPECT_EQ(b.received.back(), QuicShortPacket(b.last_id, "to the second"));
}

// As Chromium does, whose own IDs are empty.
TEST_F(QuicRouterTest, APortThatIsUsedAgainWithoutAClientId) {
  StartRouter();
  ClientOptions options;
  options.header.source_id = "";
  const auto client = Served(options);
  ClientOptions other = options;
  other.name = "b.test";
  other.header.destination_id = other.header.key_id = "another1";
  client->Send(NewClient(other)->Flight()[0]);
  client->Send(QuicShortPacket("unknown!", "to the connection that is known"));
  loop.RunReady();
  EXPECT_THAT(b.received, SizeIs(1));
  EXPECT_EQ(a.received.back(), QuicShortPacket("unknown!", "to the connection that is known"));
  client->Send(QuicShortPacket(b.last_id, "to the new one"));
  client->Send(QuicShortPacket("unknown!", "to the one recognised last"));
  loop.RunReady();
  EXPECT_EQ(b.received.back(), QuicShortPacket("unknown!", "to the one recognised last"));
}

TEST_F(QuicRouterTest, ABackendMayHaveAnEmptyConnectionId) {
  StartRouter();
  const auto client = NewClient();
  a.is_silent = true;
  client->Start();
  loop.RunReady();
  QuicInitialHeader header;
  header.destination_id = "client";
  header.source_id = "";
  header.from_server = true;
  a.Send(testing::QuicInitialDatagram(header, testing::QuicCryptoFrame(0, "server")));
  loop.RunReady();
  EXPECT_EQ(client->backend_id(), "");
  EXPECT_EQ(router->proven_flows(), 1u) << "by the client's Handshake packet";
}

TEST_F(QuicRouterTest, NatRebindingIsFollowedByTheDeclaredLength) {
  options.backend_id_bytes = kTestBackendIdBytes;
  StartRouter();
  const auto client = Served();
  const Endpoint before = client->address();
  client->Move(*network.Connect(front));
  client->Send(QuicShortPacket(client->backend_id(), "moved"));
  loop.RunReady();
  EXPECT_EQ(a.received.back(), QuicShortPacket(client->backend_id(), "moved"));
  EXPECT_THAT(a.peers, SizeIs(2)) << "the backend sees that the address changed";
  EXPECT_EQ(client->received().back(), QuicShortPacket("client", "moved A"));
  EXPECT_EQ(router->proven_flows(), 1u) << "anyone may have copied the packet";
  client->Send(QuicShortPacket(client->backend_id(), "answers"));
  loop.RunReady();
  EXPECT_EQ(router->proven_flows(), 2u);
  loop.RunFor(absl::Seconds(31));
  ASSERT_THAT(observer.closed, SizeIs(2));
  EXPECT_EQ(observer.closed[0].front.peer, before);
  EXPECT_EQ(observer.closed[1].front.peer, client->address());
  EXPECT_EQ(observer.closed[1].server_name, "a.test");
}

TEST_F(QuicRouterTest, NatRebindingIsDroppedWithoutALength) {
  StartRouter();
  const auto client = Served();
  const size_t before = a.received.size();
  client->Move(*network.Connect(front));
  client->Send(QuicShortPacket(client->backend_id(), "moved"));
  loop.RunReady();
  EXPECT_EQ(a.received.size(), before);
  EXPECT_EQ(observer.dropped[DatagramDrop::kNoFlow], 1u);
}

TEST_F(QuicRouterTest, NewRoutesAreForNewFlows) {
  StartRouter();
  const auto client = Served();
  ASSERT_TRUE(router->ReplaceRoutes(*RouteTable::Create({{"a.test", b.endpoint}})).ok());
  client->Send(QuicShortPacket(client->backend_id(), "goes on"));
  loop.RunReady();
  EXPECT_EQ(client->letters(), "A");
  EXPECT_EQ(Served()->letters(), "B");
  EXPECT_FALSE(router->ReplaceRoutes(nullptr).ok());
  EXPECT_EQ(Served()->letters(), "B");
}

TEST_F(QuicRouterTest, SeveralBackendsTakeTurns) {
  options.routes = *RouteTable::Create({{"a.test", Backends{a.endpoint, b.endpoint}}});
  StartRouter();
  std::string letters;
  for (int i = 0; i < 4; ++i) letters += Served()->letters();
  EXPECT_THAT(letters, ::testing::AnyOf("ABAB", "BABA"));
}

TEST_F(QuicRouterTest, ManyDatagramsOfOneSocketDontStarveOthers) {
  StartRouter();
  const auto client = Served();
  for (int i = 0; i < 200; ++i) {
    client->Send(QuicShortPacket(client->backend_id(), absl::StrCat("request ", i)));
  }
  loop.RunReady();
  EXPECT_EQ(client->received().back(), QuicShortPacket("client", "request 199 A"));
}

TEST_F(QuicRouterTest, JA4IsReported) {
  options.ja4_sha256 = [](ByteView) { return std::array<uint8_t, 32>{}; };
  StartRouter();
  const auto client = Served();
  ASSERT_THAT(observer.established, SizeIs(1));
  EXPECT_THAT(observer.established[0].hello->ja4, ::testing::StartsWith("q13d"));
}

TEST_F(QuicRouterTest, BadOptionsAreRefused) {
  const auto refused = [&](const QuicPassthroughRouterOptions& options) {
    auto socket = *network.Bind(front);
    const auto made = QuicPassthroughRouter::Create(loop, std::move(socket), network, options);
    return !made.ok() && GetError(made.status())->code == ErrorCode::kConfiguration;
  };
  QuicPassthroughRouterOptions bad = options;
  EXPECT_FALSE(refused(bad));
  bad.routes = nullptr;
  EXPECT_TRUE(refused(bad));
  bad = options;
  bad.flows.unproven_flows = 0;
  EXPECT_TRUE(refused(bad));
  bad = options;
  bad.flows.idle_timeout = absl::InfiniteDuration();
  EXPECT_TRUE(refused(bad));
  bad = options;
  bad.flows.new_flows_per_second_per_client = -1;
  EXPECT_TRUE(refused(bad));
  bad = options;
  bad.flows.client_ipv6_bits = 129;
  EXPECT_TRUE(refused(bad));
  bad = options;
  bad.backend_id_bytes = 3;
  EXPECT_TRUE(refused(bad));
  bad.backend_id_bytes = 21;
  EXPECT_TRUE(refused(bad));
  EXPECT_FALSE(QuicPassthroughRouter::Create(loop, nullptr, network, options).ok());
}

}  // namespace
}  // namespace trestle
