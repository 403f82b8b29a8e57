// Other protocols after HTTP/1.1 pass unread only after both ends agreed. Covers requests hidden
// behind an Upgrade or CONNECT that the backend rejects, h2c, and backends that change the protocol
// without a request.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/http1/http1_fixture.h"

namespace trestle {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";
constexpr char kBad[] = "GET / HTTP/1.1\nHost: app.test\r\n\r\n";
constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
constexpr char kUpgrade[] =
    "GET /chat HTTP/1.1\r\nHost: app.test\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
constexpr char kAgreed[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";

// For another host, so the inspector rejects it wherever it is read.
constexpr char kHidden[] = "GET /admin HTTP/1.1\r\nHost: internal.test\r\n\r\n";

std::string Asking(absl::string_view fields) {
  return absl::StrCat("GET /chat HTTP/1.1\r\nHost: app.test\r\n", fields, "\r\n");
}

// Sends the backend's `bytes` one by one.
void FromBackendInPieces(Http1Connection& c, absl::string_view bytes) {
  for (size_t i = 0; i < bytes.size() && !c.outcome.has_value(); ++i) {
    c.FromBackend(bytes.substr(i, 1));
  }
}

TEST(Http1UpgradeTest, AfterAnAgreedUpgradeBothDirectionsAreOpaque) {
  Http1Connection c(QuietOptions());
  c.FromClient(absl::StrCat(kUpgrade, "\x81\x05 early"));
  EXPECT_EQ(c.at_backend(), kUpgrade) << "later bytes wait until the backend has agreed";
  c.FromBackend(absl::StrCat(kAgreed, "\x81\x02hi"));
  EXPECT_EQ(c.at_backend(), absl::StrCat(kUpgrade, "\x81\x05 early"));
  c.FromClient("\n\r\n no HTTP");
  c.FromBackend("neither");
  EXPECT_THAT(c.at_backend(), ::testing::EndsWith("\n\r\n no HTTP"));
  EXPECT_EQ(c.at_client(), absl::StrCat(kAgreed, "\x81\x02hineither"));
  EXPECT_EQ(c.blocked(), "");
}

TEST(Http1UpgradeTest, AfterARejectedUpgradeRequestsAreRead) {
  Http1Connection c(QuietOptions());
  c.FromClient(absl::StrCat(kUpgrade, kGet, kBad));
  c.FromBackend(kOk);
  EXPECT_EQ(c.at_backend(), absl::StrCat(kUpgrade, kGet));
  c.FromBackend(kOk);
  EXPECT_EQ(c.blocked(), "a line that ends in a bare LF");
}

TEST(Http1UpgradeTest, AnUpgradeWithoutARequestIsRejected) {
  Http1Connection c(QuietOptions());
  c.FromClient(kGet);
  c.FromBackend(kAgreed);
  EXPECT_EQ(c.blocked(), "the backend changed to a protocol that no request asked for");
}

TEST(Http1UpgradeTest, ConnectOpensATunnelIfAllowed) {
  Http1Options options = QuietOptions();
  options.allow_connect = true;
  Http1Connection c(std::move(options));
  const std::string connect = "CONNECT app.test:443 HTTP/1.1\r\nHost: app.test:443\r\n\r\n";
  c.FromClient(connect + "\x16\x03\x01");
  EXPECT_EQ(c.at_backend(), connect);
  c.FromBackend("HTTP/1.1 200 OK\r\n\r\nopaque");
  EXPECT_EQ(c.at_backend(), connect + "\x16\x03\x01");
  EXPECT_THAT(c.at_client(), ::testing::EndsWith("opaque"));
}

// Responses of backends that don't support the version or the path. A proxy that took the request
// for the agreement would pass the later bytes unread, and the backend would read them as a
// request.
TEST(Http1UpgradeTest, BytesAfterARejectedUpgradeAreReadAsRequests) {
  for (const absl::string_view refusal :
       {"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Content-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: "
        "2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"}) {
    SCOPED_TRACE(refusal);
    Http1Connection c(QuietOptions());
    c.FromClient(absl::StrCat(kUpgrade, kHidden));
    EXPECT_EQ(c.at_backend(), kUpgrade);
    FromBackendInPieces(c, refusal);
    EXPECT_EQ(c.at_backend(), kUpgrade);
    EXPECT_EQ(c.blocked(), "the request is for another host than the ClientHello was");
    EXPECT_THAT(c.at_client(), StartsWith(absl::StrCat(refusal, "HTTP/1.1 421 Misdirected")));
  }
}

TEST(Http1UpgradeTest, NoRequestFollowsDuringTheResponse) {
  Http1Connection c(QuietOptions());
  c.FromClient(absl::StrCat(kUpgrade, kGet));
  c.FromBackend("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  c.FromClient(kHidden);
  c.FromBackend(std::string(999, 'x'));
  EXPECT_EQ(c.at_backend(), kUpgrade);
  c.FromBackend("x");
  EXPECT_EQ(c.at_backend(), absl::StrCat(kUpgrade, kGet));
  c.FromBackend(kOk);
  EXPECT_EQ(c.at_backend(), absl::StrCat(kUpgrade, kGet));
  EXPECT_THAT(c.at_client(), HasSubstr("421 Misdirected"));
}

TEST(Http1UpgradeTest, NoRequestFollowsAResponseWithoutAnEnd) {
  Http1Connection c(QuietOptions());
  c.FromClient(absl::StrCat(kUpgrade, kHidden));
  c.FromBackend("HTTP/1.1 200 OK\r\n\r\nuntil the end");
  c.backend->End();
  c.loop.RunReady();
  EXPECT_EQ(c.at_backend(), kUpgrade);
  EXPECT_THAT(c.at_client(), EndsWith("until the end"));
}

// An attacker may make a backend fetch a response and repeat its status, but rarely its fields.
TEST(Http1UpgradeTest, A101MustNameTheRequestedProtocol) {
  for (const absl::string_view fields :
       {"", "Connection: upgrade\r\n", "Upgrade: h2c\r\n", "Upgrade: websocket, h2c\r\n",
        "Upgrade: websocket\r\nUpgrade: h2c\r\n", "Upgrade: websocket\r\nUpgrade: websocket\r\n",
        "Upgrade:\r\n", "X-Upgrade: websocket\r\n", "Upgrade: websockets\r\n",
        "Upgrade: websocket                                                               , "
        "h2c\r\n"}) {
    SCOPED_TRACE(fields);
    for (const bool in_pieces : {false, true}) {
      Http1Connection c(QuietOptions());
      c.FromClient(absl::StrCat(kUpgrade, kHidden));
      const std::string answer =
          absl::StrCat("HTTP/1.1 101 Switching Protocols\r\n", fields, "\r\n");
      if (in_pieces) {
        FromBackendInPieces(c, answer);
      } else {
        c.FromBackend(answer);
      }
      EXPECT_EQ(c.blocked(), "the backend changed to a protocol that no request asked for");
      EXPECT_EQ(c.at_backend(), kUpgrade);
    }
  }
}

TEST(Http1UpgradeTest, A101IsParsedInEveryFormAndSplit) {
  for (const absl::string_view fields :
       {"upgrade: WebSocket\r\n", "UPGRADE:websocket\r\n", "Upgrade: \t websocket \t\r\n",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nUpgrade: websocket\r\nA: b\r\n"}) {
    SCOPED_TRACE(fields);
    Http1Connection c(QuietOptions());
    c.FromClient(absl::StrCat(kUpgrade, "early"));
    FromBackendInPieces(c, absl::StrCat("HTTP/1.1 101 \r\n", fields, "\r\n"));
    EXPECT_EQ(c.blocked(), "");
    EXPECT_EQ(c.at_backend(), absl::StrCat(kUpgrade, "early"));
  }
}

// HTTP/2 by Upgrade (RFC 7540 3.2, removed by RFC 9113) would carry unread requests.
TEST(Http1UpgradeTest, H2cIsNeverReached) {
  const std::string settings = "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n";
  for (const std::string& fields :
       {"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + settings,
        "Connection: Upgrade\r\nUpgrade: h2c\r\n" + settings,
        "Connection: upgrade,http2-settings\r\nUpgrade: H2C\r\n" + settings,
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c, websocket\r\n" + settings,
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: websocket, h2c\r\n" + settings,
        "Connection: Upgrade\r\nUpgrade: websocket h2c\r\n" + settings,
        "Upgrade: h2c\r\n" + settings, "Upgrade: websocket\r\n" + settings,
        "Connection: Upgrade\r\nUpgrade: h2\r\n" + settings,
        "Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n" + settings,
        "Connection: Upgrade\r\nConnection: HTTP2-Settings\r\nUpgrade:\th2c\r\n" + settings}) {
    SCOPED_TRACE(fields);
    Http1Connection c(QuietOptions());
    c.FromClient(absl::StrCat(Asking(fields), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    EXPECT_EQ(c.at_backend(), Asking(""));
    // A backend that changes nevertheless is disconnected.
    c.FromBackend(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    EXPECT_NE(c.blocked(), "");
    EXPECT_EQ(c.at_backend(), Asking(""));
    EXPECT_THAT(c.at_client(), Not(HasSubstr("101")));
  }
}

TEST(Http1UpgradeTest, Http10HasNoUpgrade) {
  Http1Connection c(QuietOptions());
  c.FromClient(
      "GET / HTTP/1.0\r\nHost: app.test\r\nConnection: upgrade, keep-alive\r\n"
      "Upgrade: websocket\r\n\r\n");
  EXPECT_EQ(c.at_backend(), "GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n");
  c.FromBackend(kAgreed);
  EXPECT_EQ(c.blocked(), "the backend changed to a protocol that no request asked for");
}

// The body precedes the other protocol, even if the backend agrees early.
TEST(Http1UpgradeTest, TheBodyPrecedesTheOtherProtocol) {
  const std::string head =
      Asking(absl::StrCat("Upgrade: websocket\r\nContent-Length: ", sizeof(kHidden) - 1,
                          "\r\nConnection: upgrade\r\n"));
  Http1Connection c(QuietOptions());
  c.FromClient(absl::StrCat(head, kHidden, kBad));
  EXPECT_EQ(c.at_backend(), absl::StrCat(head, kHidden));
  c.FromBackend(kOk);
  EXPECT_EQ(c.blocked(), "a line that ends in a bare LF");

  Http1Connection chunked(QuietOptions());
  const std::string before =
      Asking("Upgrade: websocket\r\nTransfer-Encoding: chunked\r\nConnection: upgrade\r\n");
  chunked.FromClient(before);
  chunked.FromBackend(kAgreed);
  chunked.FromClient(kHidden);
  EXPECT_THAT(chunked.blocked(), StartsWith("no HTTP body: "));
  EXPECT_EQ(chunked.at_backend(), before);
}

TEST(Http1UpgradeTest, TheResponseToAnEarlierRequestIsNoAgreement) {
  Http1Connection c(QuietOptions());
  c.FromClient(absl::StrCat(kGet, kUpgrade, kHidden));
  EXPECT_EQ(c.at_backend(), absl::StrCat(kGet, kUpgrade));
  c.FromBackend(kAgreed);
  EXPECT_EQ(c.blocked(), "the backend changed to a protocol that no request asked for");
  EXPECT_EQ(c.at_backend(), absl::StrCat(kGet, kUpgrade));
}

TEST(Http1UpgradeTest, ARejectedConnectOpensNoTunnel) {
  const std::string connect = "CONNECT app.test:443 HTTP/1.1\r\nHost: app.test:443\r\n\r\n";
  Http1Options options = QuietOptions();
  options.allow_connect = true;
  Http1Connection c(std::move(options));
  c.FromClient(connect + kHidden);
  c.FromBackend("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(c.at_backend(), connect);
  EXPECT_EQ(c.blocked(), "the request is for another host than the ClientHello was");
}

TEST(Http1UpgradeTest, A101DoesNotAcceptConnect) {
  const std::string connect = "CONNECT app.test:443 HTTP/1.1\r\nHost: app.test:443\r\n\r\n";
  Http1Options options = QuietOptions();
  options.allow_connect = true;
  Http1Connection c(std::move(options));
  c.FromClient(connect + kHidden);
  c.FromBackend(kAgreed);
  EXPECT_EQ(c.blocked(), "the backend changed to a protocol that no request asked for");
  EXPECT_EQ(c.at_backend(), connect);
}

TEST(Http1UpgradeTest, ProtocolsThatCarryHttpCannotBeAllowed) {
  testing::SimulatedLoop loop;
  for (const char* protocol : {"", "h2c", "H2C", "h2", "HTTP/1.1", "http/2.0", "TLS/1.2", "a b",
                               "a/", "/a", "a/b/c", "a\r\nb"}) {
    Http1Options options;
    options.upgrades = {"websocket", protocol};
    const auto made = NewHttp1InspectorFactory(loop, std::move(options));
    ASSERT_FALSE(made.ok()) << protocol;
    EXPECT_EQ(GetError(made.status())->code, ErrorCode::kConfiguration);
    EXPECT_THAT(made.status().message(), HasSubstr("upgrade"));
  }
  for (const char* protocol : {"websocket", "connect-ip", "SPDY/3.1", "connect-udp"}) {
    Http1Options options;
    options.upgrades = {protocol};
    EXPECT_TRUE(NewHttp1InspectorFactory(loop, std::move(options)).ok()) << protocol;
  }
  Http1Options none = QuietOptions();
  none.upgrades = {};
  Http1Connection c(std::move(none));
  c.FromClient(kUpgrade);
  EXPECT_EQ(c.at_backend(), Asking("")) << "without any protocol, no upgrade passes";
}

}  // namespace
}  // namespace trestle
