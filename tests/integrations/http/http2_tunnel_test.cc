// WebSockets to HTTP/2 backends by extended CONNECT (RFC 8441), from clients of both versions, and
// to backends that have none.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "integrations/http/backend_pool.h"
#include "integrations/http/http2_server.h"
#include "integrations/http/http_wire.h"
#include "integrations/http/websocket_key.h"
#include "tests/integrations/http/frame_reader.h"
#include "tests/integrations/http/gateway_fixture.h"
#include "tests/proxy/tls_fixture.h"

namespace trestle {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kUpgrade[] =
    "GET /ws HTTP/1.1\r\nHost: h2.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const std::string& AllowingSettings() {
  static const auto* const kFrame =
      new std::string(Http2Frame(kSettingsFrame, 0, 0, std::string("\0\x08\0\0\0\1", 6)));
  return *kFrame;
}

// An extended CONNECT of HTTP/2 for h2.test.
std::string Connecting() {
  return absl::StrCat(absl::string_view("\x02\x07", 2), "CONNECT", "\x87", "\x04\x03/ws",
                      "\x01\x07", "h2.test", absl::string_view("\x00\x09", 2), ":protocol", "\x09",
                      "websocket");
}

/// A backend that speaks HTTP/2, and keeps its requests.
class TunnelServer final : public HttpWireOwner, public FrontHandler {
 public:
  struct Tunnel final : public HttpExchange {
    void OnRequestBody() override {
      const size_t bytes = request_body.size();
      received += std::string(request_body.view());
      request_body.Consume(bytes);
      if (bytes > 0) stream->OnRequestTaken(bytes);
    }
    void OnRequestRefused(HttpRefusal) override {}
    void OnResponseTaken(size_t) override {}
    void OnClientGone(const absl::Status&) override { gone = true; }
    void OnResponseSent() override {}
    void OnRequestTaken(size_t) override {}
    void OnInformational(HttpResponse) override {}
    void OnResponse(HttpResponse) override {}
    void OnResponseBody() override {}
    void OnBackDone() override {}
    void OnBackFailed(BackFailure, const absl::Status&) override {}

    FrontStream* stream = nullptr;
    HttpRequest request;
    std::string received;
    bool gone = false;
  };

  TunnelServer(Scheduler& loop, std::unique_ptr<Transport> transport)
      : turns_(loop), wire_(turns_, loop, std::move(transport), *this, false) {
    codec_ = std::make_unique<Http2Server>(limits_, *this, wire_);
    const TurnQueue::Turn turn(turns_);
    wire_.Start(*codec_);
  }

  void Answer(Tunnel& tunnel, int status, absl::string_view body, bool end) {
    const TurnQueue::Turn turn(turns_);
    tunnel.stream->SendResponse({status, {}, std::nullopt});
    Send(tunnel, body, end);
  }

  void Send(Tunnel& tunnel, absl::string_view body, bool end) {
    const TurnQueue::Turn turn(turns_);
    tunnel.response_body.Append(body);
    if (end) tunnel.response_body.End();
    tunnel.stream->OnResponseBody();
  }

  std::vector<std::unique_ptr<Tunnel>> tunnels;

 private:
  HttpExchange* OnRequest(FrontStream& stream, HttpRequest request) override {
    tunnels.push_back(std::make_unique<Tunnel>());
    tunnels.back()->stream = &stream;
    tunnels.back()->request = std::move(request);
    return tunnels.back().get();
  }
  HttpExchange* OnRefused(FrontStream& stream, HttpRequest request, HttpRefusal) override {
    return OnRequest(stream, std::move(request));
  }
  void OnWireOver(const absl::Status&) override {}

  const HttpLimits limits_;
  TurnQueue turns_;
  HttpWire wire_;
  std::unique_ptr<Http2Server> codec_;
};

class Http2TunnelTest : public GatewayFixture {
 protected:
  Http2TunnelTest() { options.hosts = GatewayHosts::kAny; }

  void ListenWithServer() {
    dialer.Listen(BackendA(), [this](std::unique_ptr<Transport> transport) {
      server = std::make_unique<TunnelServer>(loop, std::move(transport));
    });
  }

  std::unique_ptr<TunnelServer> server;
};

TEST(WebSocketKeyTest, IsThatOfTheRfc) {
  EXPECT_EQ(WebSocketAccept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_F(Http2TunnelTest, AnUpgradeBecomesAnExtendedConnect) {
  ListenWithServer();
  const auto client = Connect();
  Send(*client, kUpgrade);
  ASSERT_TRUE(server != nullptr && server->tunnels.size() == 1u);
  TunnelServer::Tunnel& tunnel = *server->tunnels[0];
  EXPECT_EQ(tunnel.request.method, "CONNECT");
  EXPECT_EQ(tunnel.request.protocol, "websocket");
  EXPECT_EQ(tunnel.request.target, "/ws");
  EXPECT_EQ(tunnel.request.authority, "h2.test");
  EXPECT_EQ(tunnel.request.fields.Find("sec-websocket-key"), nullptr);
  ASSERT_NE(tunnel.request.fields.Find("sec-websocket-version"), nullptr);
  Send(*client, "early");
  EXPECT_EQ(tunnel.received, "") << "bytes wait for the agreement";
  server->Answer(tunnel, 200, "from-backend", false);
  loop.RunReady();
  EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 101 Switching Protocols\r\n"));
  EXPECT_THAT(client->received(), HasSubstr("upgrade: websocket\r\nconnection: upgrade\r\n"));
  EXPECT_THAT(client->received(),
              HasSubstr("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
  EXPECT_THAT(client->received(), EndsWith("from-backend"));
  EXPECT_EQ(tunnel.received, "early");
  Send(*client, std::string(300'000, 'x'));
  EXPECT_EQ(tunnel.received.size(), 300'005u);
  client->End();
  loop.RunReady();
  server->Send(tunnel, "bye", true);
  loop.RunReady();
  EXPECT_THAT(client->received(), EndsWith("bye"));
  EXPECT_TRUE(client->saw_end());
  EXPECT_EQ(Report().status, 101);
  EXPECT_EQ(Report().backend_version, HttpVersion::kHttp2);
  EXPECT_EQ(gateway().open_requests(), 0u);
  EXPECT_EQ(gateway().pool_stats().connections, 1u) << "its connection goes on";
}

TEST_F(Http2TunnelTest, AnExtendedConnectPassesToAnother) {
  ListenWithServer();
  const auto client = Connect("h2");
  Send(*client, absl::StrCat(kHttp2Preface, Http2Frame(kSettingsFrame, 0, 0, ""),
                             Http2Frame(kHeadersFrame, kEndHeadersFlag, 1, Connecting()),
                             Http2Frame(kDataFrame, 0, 1, "early")));
  ASSERT_TRUE(server != nullptr && server->tunnels.size() == 1u);
  TunnelServer::Tunnel& tunnel = *server->tunnels[0];
  EXPECT_EQ(tunnel.request.protocol, "websocket");
  EXPECT_EQ(tunnel.received, "");
  server->Answer(tunnel, 200, "from-backend", false);
  loop.RunReady();
  EXPECT_EQ(tunnel.received, "early");
  FrameReader frames;
  frames.Read(client->received());
  EXPECT_EQ(frames.streams().at(1).body, "from-backend");
  EXPECT_THAT(client->received(), Not(HasSubstr("sec-websocket-accept")));
  Send(*client, Http2Frame(kResetFrame, 0, 1, std::string("\0\0\0\x08", 4)));
  EXPECT_TRUE(tunnel.gone);
  EXPECT_EQ(gateway().open_requests(), 0u);
}

TEST_F(Http2TunnelTest, ARefusalIsAnOrdinaryResponse) {
  ListenWithServer();
  const auto client = Connect();
  Send(*client, kUpgrade);
  ASSERT_TRUE(server != nullptr && server->tunnels.size() == 1u);
  server->Answer(*server->tunnels[0], 403, "no", true);
  loop.RunReady();
  EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 403 Forbidden\r\n"));
  EXPECT_THAT(client->received(), Not(HasSubstr("upgrade")));
  // The connection goes on with HTTP.
  Send(*client, "GET /next HTTP/1.1\r\nHost: h2.test\r\n\r\n");
  ASSERT_EQ(server->tunnels.size(), 2u);
  EXPECT_EQ(server->tunnels[1]->request.method, "GET");
}

TEST_F(Http2TunnelTest, ABackendWithoutExtendedConnectIsA502) {
  for (const bool http2 : {false, true}) {
    reports.clear();
    a.clear();
    const auto client = Connect(http2 ? "h2" : "");
    Send(*client, http2 ? absl::StrCat(kHttp2Preface, Http2Frame(kSettingsFrame, 0, 0, ""),
                                       Http2Frame(kHeadersFrame, 4, 1, Connecting()))
                        : kUpgrade);
    ASSERT_EQ(a.size(), 1u);
    FrameReader before(kHttp2Preface.size());
    before.Read(a[0]->received());
    EXPECT_TRUE(before.streams().empty()) << "nothing is asked before its SETTINGS";
    Send(*a[0], Http2Frame(kSettingsFrame, 0, 0, ""));
    EXPECT_EQ(Report().status, 502);
    EXPECT_EQ(Report().reason, HttpReason::kBadResponse);
    EXPECT_THAT(Report().detail, HasSubstr("ENABLE_CONNECT_PROTOCOL"));
    if (!http2) EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 502 "));
    // Other requests use the same connection.
    const auto other = Connect();
    Send(*other, "GET / HTTP/1.1\r\nHost: h2.test\r\n\r\n");
    EXPECT_EQ(a.size(), 1u);
    Send(*a[0], Http2Frame(kHeadersFrame, kEndHeadersFlag | kEndStreamFlag, 1, "\x88"));
    EXPECT_THAT(other->received(), StartsWith("HTTP/1.1 200 "));
    a[0]->Abort();
    loop.RunReady();
  }
}

TEST_F(Http2TunnelTest, WhatEndsBeforeTheSettingsLeavesNothing) {
  {  // The client leaves.
    const auto client = Connect();
    Send(*client, kUpgrade);
    client->Abort();
    loop.RunReady();
    EXPECT_EQ(gateway().open_requests(), 0u);
    Send(*a[0], AllowingSettings());
    FrameReader frames(kHttp2Preface.size());
    frames.Read(a[0]->received());
    EXPECT_TRUE(frames.streams().empty());
  }
  a[0]->Abort();
  loop.RunReady();
  a.clear();
  reports.clear();
  {  // The backend ends.
    const auto client = Connect();
    Send(*client, kUpgrade);
    ASSERT_EQ(a.size(), 1u);
    a[0]->Abort();
    loop.RunReady();
    EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 502 "));
  }
  a.clear();
  reports.clear();
  {  // The SETTINGS never come.
    const auto client = Connect();
    Send(*client, kUpgrade);
    loop.RunFor(options.timeouts.first_byte + absl::Seconds(1));
    EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 504 "));
    EXPECT_EQ(gateway().open_requests(), 0u);
  }
}

TEST_F(Http2TunnelTest, A101OfHttp2IsRefused) {
  const auto client = Connect();
  Send(*client, "GET / HTTP/1.1\r\nHost: h2.test\r\n\r\n");
  ASSERT_EQ(a.size(), 1u);
  Send(*a[0], absl::StrCat(AllowingSettings(), Http2Frame(kHeadersFrame, kEndHeadersFlag, 1,
                                                          "\x08\x03"
                                                          "101")));
  EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 502 "));
}

TEST_F(Http2TunnelTest, OverTlsHttp1IsTriedFirstAndThenHttp2) {
  const testing::TestPki pki(loop.Now());
  options.back_tls = ClientOf(pki);
  options.routes =
      *GatewayRoutes::Create(*ParseGatewayRoutes("h2.test=https://192.0.2.10:80@back.test"));
  for (const bool has_http1 : {true, false}) {
    std::vector<std::unique_ptr<TlsPeer>> peers;
    const auto config = ServerFor(
        pki, loop.Now(), {{"back.test"}},
        has_http1 ? std::vector<std::string>{"h2", "http/1.1"} : std::vector<std::string>{"h2"});
    dialer.Listen(BackendA(), [&](std::unique_ptr<Transport> transport) {
      peers.push_back(TlsPeer::Server(loop, std::move(transport), config));
    });
    const auto client = Connect();
    Send(*client, kUpgrade);
    ASSERT_EQ(peers.size(), has_http1 ? 1u : 2u);
    TlsPeer& peer = *peers.back();
    ASSERT_TRUE(peer.handshake_done());
    EXPECT_EQ(peer.info().alpn, has_http1 ? "http/1.1" : "h2");
    if (has_http1) {
      peer.Send("HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\nhi");
    } else {
      peer.Send(AllowingSettings());
      loop.RunReady();
      peer.Send(absl::StrCat(Http2Frame(kHeadersFrame, kEndHeadersFlag, 1, "\x88"),
                             Http2Frame(kDataFrame, 0, 1, "hi")));
    }
    loop.RunReady();
    EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 101 "));
    EXPECT_THAT(client->received(), EndsWith("hi"));
    client->Abort();
    loop.RunReady();
    EXPECT_EQ(gateway().open_requests(), 0u);
  }
}

}  // namespace
}  // namespace trestle
