// Other protocols after HTTP/1.1 pass a gateway unread only after both ends agreed. Covers requests
// hidden behind an Upgrade that the backend rejects, h2c, and backends that change the protocol
// without a request.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/http/wire_gateway.h"
#include "trestle/base/error.h"

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
// The same as the gateway writes them.
constexpr char kUpgradeAtBackend[] =
    "GET /chat HTTP/1.1\r\nhost: app.test\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
constexpr char kAgreedAtClient[] =
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
constexpr char kPlainAtBackend[] = "GET /chat HTTP/1.1\r\nhost: app.test\r\n\r\n";

// For another host, so the gateway rejects it wherever it is read.
constexpr char kHidden[] = "GET /admin HTTP/1.1\r\nHost: internal.test\r\n\r\n";

std::string Asking(absl::string_view fields) {
  return absl::StrCat("GET /chat HTTP/1.1\r\nHost: app.test\r\n", fields, "\r\n");
}

// Sends the backend's `bytes` one by one.
void FromBackendInPieces(WireGateway& wire, absl::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) wire.FromBackend(bytes.substr(i, 1));
}

TEST(HttpUpgradeTest, AfterAnAgreedUpgradeBothDirectionsAreOpaque) {
  WireGateway wire;
  wire.FromClient(absl::StrCat(kUpgrade, "\x81\x05 early"));
  EXPECT_EQ(wire.at_backend(), kUpgradeAtBackend)
      << "later bytes wait until the backend has agreed";
  wire.FromBackend(absl::StrCat(kAgreed, "\x81\x02hi"));
  EXPECT_EQ(wire.at_backend(), absl::StrCat(kUpgradeAtBackend, "\x81\x05 early"));
  wire.FromClient("\n\r\n no HTTP");
  wire.FromBackend("neither");
  EXPECT_THAT(wire.at_backend(), EndsWith("\n\r\n no HTTP"));
  EXPECT_EQ(wire.at_client(), absl::StrCat(kAgreedAtClient, "\x81\x02hineither"));
  EXPECT_EQ(wire.problem(), "");
}

TEST(HttpUpgradeTest, AfterARejectedUpgradeRequestsAreRead) {
  WireGateway wire;
  wire.FromClient(absl::StrCat(kUpgrade, kGet, kBad));
  wire.FromBackend(kOk);
  EXPECT_EQ(wire.requests(), 2);
  wire.FromBackend(kOk);
  EXPECT_EQ(wire.problem(), "a line that ends in a bare LF");
}

TEST(HttpUpgradeTest, AnUpgradeWithoutARequestIsRejected) {
  WireGateway wire;
  wire.FromClient(kGet);
  wire.FromBackend(kAgreed);
  EXPECT_THAT(wire.problem(), HasSubstr("a change of protocol that isn't the asked one"));
  EXPECT_THAT(wire.at_client(), StartsWith("HTTP/1.1 502 "));
}

// Responses of backends that don't support the version or the path. A proxy that took the request
// for the agreement would pass the later bytes unread, and the backend would read them as a
// request.
TEST(HttpUpgradeTest, BytesAfterARejectedUpgradeAreReadAsRequests) {
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
    WireGateway wire;
    wire.FromClient(absl::StrCat(kUpgrade, kHidden));
    EXPECT_EQ(wire.at_backend(), kUpgradeAtBackend);
    FromBackendInPieces(wire, refusal);
    EXPECT_EQ(wire.at_backend(), kUpgradeAtBackend);
    EXPECT_THAT(wire.at_client(), HasSubstr("HTTP/1.1 421 Misdirected"));
    EXPECT_EQ(wire.reports.back().reason, HttpReason::kMisdirected);
  }
}

TEST(HttpUpgradeTest, NoRequestFollowsDuringTheResponse) {
  WireGateway wire;
  wire.FromClient(absl::StrCat(kUpgrade, kGet));
  wire.FromBackend("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  wire.FromClient(kHidden);
  wire.FromBackend(std::string(999, 'x'));
  EXPECT_EQ(wire.at_backend(), kUpgradeAtBackend);
  wire.FromBackend("x");
  EXPECT_EQ(wire.requests(), 2);
  wire.FromBackend(kOk);
  EXPECT_EQ(wire.requests(), 2);
  EXPECT_THAT(wire.at_client(), HasSubstr("421 Misdirected"));
}

TEST(HttpUpgradeTest, ARequestBehindAResponseWithoutAnEndIsReadAfterIt) {
  WireGateway wire;
  wire.FromClient(absl::StrCat(kUpgrade, kHidden));
  wire.FromBackend("HTTP/1.1 200 OK\r\n\r\nuntil the end");
  EXPECT_THAT(wire.at_client(), Not(HasSubstr("421 Misdirected")));
  wire.backends[0]->End();
  wire.loop.RunReady();
  EXPECT_EQ(wire.at_backend(), kUpgradeAtBackend);
  EXPECT_THAT(wire.at_client(), HasSubstr("until the end"));
  EXPECT_THAT(wire.at_client(), HasSubstr("421 Misdirected"));
}

// An attacker may make a backend fetch a response and repeat its status, but rarely its fields.
TEST(HttpUpgradeTest, A101MustNameTheRequestedProtocol) {
  for (const absl::string_view fields :
       {"", "Connection: upgrade\r\n", "Upgrade: h2c\r\n", "Upgrade: websocket, h2c\r\n",
        "Upgrade: websocket\r\nUpgrade: h2c\r\n", "Upgrade: websocket\r\nUpgrade: websocket\r\n",
        "Upgrade:\r\n", "X-Upgrade: websocket\r\n", "Upgrade: websockets\r\n",
        "Upgrade: websocket                                                               , "
        "h2c\r\n"}) {
    SCOPED_TRACE(fields);
    for (const bool in_pieces : {false, true}) {
      WireGateway wire;
      wire.FromClient(absl::StrCat(kUpgrade, kHidden));
      const std::string answer =
          absl::StrCat("HTTP/1.1 101 Switching Protocols\r\n", fields, "\r\n");
      if (in_pieces) {
        FromBackendInPieces(wire, answer);
      } else {
        wire.FromBackend(answer);
      }
      EXPECT_EQ(wire.reports.front().reason, HttpReason::kBadResponse);
      EXPECT_EQ(wire.at_backend(), kUpgradeAtBackend);
      EXPECT_THAT(wire.at_client(), StartsWith("HTTP/1.1 502 "));
    }
  }
}

TEST(HttpUpgradeTest, A101IsParsedInEveryFormAndSplit) {
  for (const absl::string_view fields :
       {"upgrade: WebSocket\r\n", "UPGRADE:websocket\r\n", "Upgrade: \t websocket \t\r\n",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nUpgrade: websocket\r\nA: b\r\n"}) {
    SCOPED_TRACE(fields);
    WireGateway wire;
    wire.FromClient(absl::StrCat(kUpgrade, "early"));
    FromBackendInPieces(wire, absl::StrCat("HTTP/1.1 101 \r\n", fields, "\r\n"));
    EXPECT_EQ(wire.problem(), "");
    EXPECT_EQ(wire.at_backend(), absl::StrCat(kUpgradeAtBackend, "early"));
  }
}

// HTTP/2 by Upgrade (RFC 7540 3.2, removed by RFC 9113) would carry unread requests.
TEST(HttpUpgradeTest, H2cIsNeverReached) {
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
    WireGateway wire;
    wire.FromClient(absl::StrCat(Asking(fields), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    EXPECT_EQ(wire.at_backend(), kPlainAtBackend);
    // A backend that changes nevertheless is disconnected.
    wire.FromBackend(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    EXPECT_EQ(wire.reports.front().reason, HttpReason::kBadResponse);
    EXPECT_EQ(wire.at_backend(), kPlainAtBackend);
    EXPECT_THAT(wire.at_client(), Not(HasSubstr("HTTP/1.1 101")));
  }
}

TEST(HttpUpgradeTest, Http10HasNoUpgrade) {
  WireGateway wire;
  wire.FromClient(
      "GET /chat HTTP/1.0\r\nHost: app.test\r\nConnection: upgrade, keep-alive\r\n"
      "Upgrade: websocket\r\n\r\n");
  EXPECT_EQ(wire.at_backend(), kPlainAtBackend);
  wire.FromBackend(kAgreed);
  EXPECT_THAT(wire.at_client(), StartsWith("HTTP/1.1 502 "));
}

// Where the body ends would be in doubt, so the request loses its Upgrade.
TEST(HttpUpgradeTest, ARequestWithABodyChangesNoProtocol) {
  WireGateway wire;
  wire.FromClient(absl::StrCat(
      Asking(absl::StrCat("Upgrade: websocket\r\nContent-Length: ", sizeof(kHidden) - 1,
                          "\r\nConnection: upgrade\r\n")),
      kHidden, kBad));
  EXPECT_EQ(wire.requests(), 1);
  EXPECT_THAT(wire.at_backend(), Not(HasSubstr("upgrade")));
  EXPECT_THAT(wire.at_backend(), EndsWith(kHidden));
  wire.FromBackend(kOk);
  EXPECT_EQ(wire.problem(), "a line that ends in a bare LF");
}

TEST(HttpUpgradeTest, TheResponseToAnEarlierRequestIsNoAgreement) {
  WireGateway wire;
  wire.FromClient(absl::StrCat(kGet, kUpgrade, kHidden));
  EXPECT_EQ(wire.requests(), 1);
  wire.FromBackend(kAgreed);
  EXPECT_EQ(wire.reports.front().reason, HttpReason::kBadResponse);
  EXPECT_THAT(wire.at_client(), StartsWith("HTTP/1.1 502 "));
  EXPECT_THAT(wire.at_backend(), Not(HasSubstr("admin")));
}

TEST(HttpUpgradeTest, ProtocolsThatCarryHttpCannotBeAllowed) {
  testing::SimulatedLoop loop;
  testing::MemoryDialer dialer(loop);
  HttpGatewayOptions options;
  options.routes = *GatewayRoutes::Create(*ParseGatewayRoutes("app.test=http://192.0.2.10:80"));
  for (const char* protocol : {"", "h2c", "H2C", "h2", "HTTP/1.1", "http/2.0", "TLS/1.2", "a b",
                               "a/", "/a", "a/b/c", "a\r\nb"}) {
    options.upgrades = {"websocket", protocol};
    const auto made = HttpGateway::Create(loop, dialer, options);
    ASSERT_FALSE(made.ok()) << protocol;
    EXPECT_EQ(GetError(made.status())->code, ErrorCode::kConfiguration);
    EXPECT_THAT(std::string(made.status().message()), HasSubstr("upgrade"));
  }
  for (const char* protocol : {"websocket", "connect-ip", "SPDY/3.1", "connect-udp"}) {
    options.upgrades = {protocol};
    EXPECT_TRUE(HttpGateway::Create(loop, dialer, options).ok()) << protocol;
  }
  HttpGatewayOptions none;
  none.upgrades = {};
  WireGateway wire(none);
  wire.FromClient(kUpgrade);
  EXPECT_EQ(wire.at_backend(), kPlainAtBackend) << "without any protocol, no upgrade passes";
}

}  // namespace
}  // namespace trestle
