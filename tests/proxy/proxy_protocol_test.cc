// The PROXY protocol through a block: trusted senders, and the backend's header.
#include "trestle/wire/proxy_protocol.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/tls_fixture.h"
#include "trestle/base/ip_range.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/testing/client_hello_kit.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// In-memory connections come from 192.0.2.1.
constexpr char kTrusted[] = "192.0.2.0/24";
constexpr char kV1[] = "PROXY TCP4 198.51.100.7 203.0.113.9 40000 443\r\n";

class ProxyProtocolTest : public ::testing::Test {
 protected:
  void StartRouter(const ConnectionOptions& connection) {
    SniPassthroughRouterOptions options;
    options.routes = *RouteTable::Create({{"", backend.endpoint}});
    options.connection = connection;
    block = *SniPassthroughRouter::Create(loop, dialer, options, &observer);
  }

  static ConnectionOptions Trusting(absl::string_view peers) {
    ConnectionOptions options;
    options.proxy_protocol_from = *TrustedPeers::Parse(peers);
    return options;
  }

  StreamPeer& Connect() { return client.emplace(loop, ConnectTo(*block, loop)); }

  /// Removes the PROXY header from the backend's bytes, and returns it.
  ProxyHeader HeaderAtBackend() {
    ProxyHeaderReader reader;
    const std::string& got = backend.peers.at(0)->received();
    const ProxyHeaderReader::Result result = reader.Feed(AsBytes(got));
    EXPECT_EQ(result.state, ProxyHeaderState::kDone) << reader.error();
    after_header = got.substr(result.taken);
    return reader.header();
  }

  const std::string flight = testing::InRecords(testing::ClassicHello("a.test").Message());
  testing::SimulatedLoop loop;
  testing::MemoryDialer dialer{loop};
  TestBackend backend{loop, dialer, 9};
  RecordingObserver observer;
  std::unique_ptr<ProxyBlock> block;
  std::optional<StreamPeer> client;
  std::string after_header;
};

TEST_F(ProxyProtocolTest, ATrustedPeersHeaderIsUsed) {
  StartRouter(Trusting(kTrusted));
  Connect().Send(kV1 + flight);
  loop.RunReady();
  ASSERT_EQ(backend.peers.size(), 1u);
  EXPECT_EQ(backend.peers[0]->received(), flight) << "the header itself must not be passed on";
  const ConnectionReport& report = observer.established.at(0);
  EXPECT_EQ(report.front.peer.ToString(), "198.51.100.7:40000");
  EXPECT_EQ(report.front.local.ToString(), "203.0.113.9:443");
  EXPECT_THAT(report.front.via.ToString(), StartsWith("192.0.2."));
}

TEST_F(ProxyProtocolTest, AHeaderInOneByteWritesIsRead) {
  StartRouter(Trusting(kTrusted));
  Connect();
  for (const char byte : kV1 + flight) {
    client->Send(std::string(1, byte));
    loop.RunReady();
  }
  ASSERT_EQ(backend.peers.size(), 1u);
  EXPECT_EQ(backend.peers[0]->received(), flight);
}

TEST_F(ProxyProtocolTest, AHeaderIsSentInSeveralWritesIfNeeded) {
  testing::MemoryLink narrow;
  narrow.capacity_bytes = 16;
  narrow.latency = absl::Milliseconds(1);
  TestBackend slow(loop, dialer, 10, narrow);
  for (const ProxyProtocolOut kind : {ProxyProtocolOut::kV1, ProxyProtocolOut::kV2}) {
    SniPassthroughRouterOptions options;
    options.routes = *RouteTable::Create({{"", slow.endpoint}});
    options.connection.proxy_protocol_to_backend = kind;
    block = *SniPassthroughRouter::Create(loop, dialer, std::move(options), &observer);
    Connect().Send(flight);
    loop.RunFor(absl::Seconds(2));
    ProxyHeaderReader reader;
    const std::string got = slow.peers.back()->received();
    const ProxyHeaderReader::Result result = reader.Feed(AsBytes(got));
    ASSERT_EQ(result.state, ProxyHeaderState::kDone) << reader.error();
    EXPECT_EQ(got.substr(result.taken), flight);
    client.reset();
    loop.RunFor(absl::Seconds(1));
  }
}

TEST_F(ProxyProtocolTest, ABackendThatAcceptsNoHeaderReachesTheDialTimeout) {
  testing::MemoryLink stuck;
  stuck.capacity_bytes = 16;
  stuck.stall_after_bytes = 16;
  TestBackend slow(loop, dialer, 10, stuck);
  SniPassthroughRouterOptions options;
  options.routes = *RouteTable::Create({{"", slow.endpoint}});
  options.connection.proxy_protocol_to_backend = ProxyProtocolOut::kV2;
  block = *SniPassthroughRouter::Create(loop, dialer, std::move(options), &observer);
  Connect().Send(flight);
  loop.RunFor(absl::Seconds(30));
  client->End();
  loop.RunFor(absl::Seconds(30));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
  EXPECT_EQ(observer.error()->leg, Leg::kBack);
  EXPECT_EQ(observer.error()->phase, Phase::kDial);
  EXPECT_EQ(block->open_connections(), 0u);
}

TEST_F(ProxyProtocolTest, AHealthCheckAfterAHeaderIsNoFailureOfTls) {
  StartRouter(Trusting(kTrusted));
  for (const std::string& header : {std::string(kV1), *WriteProxyHeaderV2(ProxyHeader::Local())}) {
    Connect().Send(header);
    client->End();
    loop.RunReady();
    ASSERT_FALSE(observer.closed.empty());
    ASSERT_TRUE(observer.closed.back().error.has_value());
    EXPECT_EQ(observer.closed.back().error->code, ErrorCode::kNothingSent);
    client.reset();
  }
  EXPECT_EQ(observer.closed.size(), 2u);
  EXPECT_TRUE(backend.peers.empty());
}

TEST_F(ProxyProtocolTest, AHeaderFromAnotherPeerIsRejected) {
  StartRouter(Trusting("198.51.100.0/24"));
  Connect().Send(kV1 + flight);
  loop.RunReady();
  client->End();
  loop.RunReady();
  EXPECT_EQ(dialer.dials(), 0u);
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kNotTls);
}

TEST_F(ProxyProtocolTest, ATrustedPeerWithoutAHeaderIsRejected) {
  StartRouter(Trusting(kTrusted));
  Connect().Send(flight);
  loop.RunReady();
  client->End();
  loop.RunReady();
  EXPECT_EQ(dialer.dials(), 0u);
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kProtocol);
  EXPECT_EQ(observer.error()->phase, Phase::kHello);
}

TEST_F(ProxyProtocolTest, ASecondHeaderIsNoHello) {
  StartRouter(Trusting(kTrusted));
  Connect().Send(std::string(kV1) + kV1 + flight);
  loop.RunReady();
  client->End();
  loop.RunReady();
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kNotTls);
}

TEST_F(ProxyProtocolTest, HeaderAndHelloShareTheHelloTimeout) {
  StartRouter(Trusting(kTrusted));
  Connect().Send(std::string(kV1).substr(0, 20));
  loop.RunFor(absl::Milliseconds(4900));
  EXPECT_TRUE(observer.closed.empty());
  client->Send(std::string(kV1).substr(20));
  loop.RunFor(absl::Milliseconds(200));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTimeout);
}

TEST_F(ProxyProtocolTest, ALocalHeaderKeepsTheConnectionsOwnAddresses) {
  StartRouter(Trusting(kTrusted));
  Connect().Send(*WriteProxyHeaderV2(ProxyHeader::Local()) + flight);
  loop.RunReady();
  EXPECT_THAT(observer.established.at(0).front.peer.ToString(), StartsWith("192.0.2."));
}

TEST_F(ProxyProtocolTest, ABlockBehindTheRouterGetsTheHeadersData) {
  SniPassthroughRouterOptions options;
  options.connection = Trusting(kTrusted);
  options.routes = *RouteTable::Create({{"", backend.endpoint}});
  const auto inner = *SniPassthroughRouter::Create(loop, dialer, options, &observer);
  options.routes = *RouteTable::Create({{"", inner.get()}});
  block = *SniPassthroughRouter::Create(loop, dialer, options, &observer);
  Connect().Send(kV1 + flight);
  loop.RunReady();
  EXPECT_EQ(backend.peers.at(0)->received(), flight);
  ASSERT_EQ(observer.established.size(), 1u);
  const LegReport& front = observer.established[0].front;
  EXPECT_EQ(front.peer.ToString(), "198.51.100.7:40000");
  EXPECT_THAT(front.via.ToString(), StartsWith("192.0.2."));
  client->End();
  loop.RunReady();
}

TEST_F(ProxyProtocolTest, TheBackendGetsAV1Header) {
  ConnectionOptions options = Trusting(kTrusted);
  options.proxy_protocol_to_backend = ProxyProtocolOut::kV1;
  StartRouter(options);
  Connect().Send(kV1 + flight);
  loop.RunReady();
  EXPECT_EQ(backend.peers.at(0)->received(), kV1 + flight);
}

TEST_F(ProxyProtocolTest, TheBackendGetsAV2HeaderWithTheNameAndTheReceivedTlvs) {
  ConnectionOptions options = Trusting(kTrusted);
  options.proxy_protocol_to_backend = ProxyProtocolOut::kV2;
  StartRouter(options);
  ProxyHeader in = ProxyHeader::ForTcp(*Endpoint::Parse("198.51.100.7:40000"),
                                       *Endpoint::Parse("203.0.113.9:443"));
  in.unique_id = "request-17";
  in.unknown_tlvs.push_back({0xe5, "private"});
  Connect().Send(*WriteProxyHeaderV2(in) + flight);
  loop.RunReady();
  const ProxyHeader out = HeaderAtBackend();
  EXPECT_EQ(out.source.ToString(), "198.51.100.7:40000");
  EXPECT_EQ(out.destination.ToString(), "203.0.113.9:443");
  EXPECT_EQ(out.authority, "a.test");
  EXPECT_EQ(out.unique_id, "request-17");
  ASSERT_EQ(out.unknown_tlvs.size(), 1u);
  EXPECT_EQ(out.unknown_tlvs[0].value, "private");
  EXPECT_TRUE(out.has_crc32c);
  EXPECT_FALSE(out.ssl.has_value()) << "a session that isn't terminated here is unknown";
  EXPECT_EQ(after_header, flight);
}

TEST_F(ProxyProtocolTest, UnknownTlvsThatNoLongerFitAreOmitted) {
  ConnectionOptions options = Trusting(kTrusted);
  options.proxy_protocol_to_backend = ProxyProtocolOut::kV2;
  StartRouter(options);
  ProxyHeader in = ProxyHeader::ForTcp(*Endpoint::Parse("198.51.100.7:40000"),
                                       *Endpoint::Parse("203.0.113.9:443"));
  in.unknown_tlvs.push_back({0xe5, std::string(4060, 'x')});
  Connect().Send(*WriteProxyHeaderV2(in) + flight);
  loop.RunReady();
  const ProxyHeader out = HeaderAtBackend();
  EXPECT_EQ(out.authority, "a.test");
  EXPECT_TRUE(out.unknown_tlvs.empty());
  EXPECT_EQ(after_header, flight);
}

TEST_F(ProxyProtocolTest, ATerminatorSendsTheNegotiatedParameters) {
  testing::TestPki pki(loop.Now());
  TlsTerminatorOptions options;
  options.front_tls = ServerFor(pki, loop.Now(), {{"app.test"}}, {"http/1.1"});
  options.backend = backend.endpoint;
  options.connection.proxy_protocol_to_backend = ProxyProtocolOut::kV2;
  block = *TlsTerminator::Create(loop, dialer, std::move(options), &observer);
  auto tls_client =
      TlsPeer::Client(loop, ConnectTo(*block, loop), ClientOf(pki), {"app.test", {"http/1.1"}});
  tls_client->Send("GET /");
  loop.RunReady();
  const ProxyHeader out = HeaderAtBackend();
  EXPECT_EQ(out.authority, "app.test");
  EXPECT_EQ(out.alpn, "http/1.1");
  ASSERT_TRUE(out.ssl.has_value());
  EXPECT_EQ(out.ssl->client, ProxySslInfo::kClientSsl);
  EXPECT_FALSE(out.ssl->client_certificate_verified());
  EXPECT_EQ(out.ssl->version, "TLSv1.3");
  EXPECT_THAT(*out.ssl->cipher, HasSubstr("TLS_"));
  EXPECT_EQ(out.ssl->key_algorithm, "EC256");
  EXPECT_EQ(out.ssl->signature_algorithm, "ecdsa-with-SHA256");
  EXPECT_EQ(after_header, "GET /");
}

}  // namespace
}  // namespace trestle
