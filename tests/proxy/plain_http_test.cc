// HTTP without TLS on a TLS port: a page in clear text if configured, else no response.
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/tls_fixture.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/proxy/tls_terminator.h"

namespace trestle {
namespace {

using ::testing::StartsWith;

constexpr char kRequest[] = "GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n";

class PlainHttpTest : public ::testing::TestWithParam<ProxyMode> {
 protected:
  void Start(bool answer, const std::string& proxies = "") {
    ConnectionOptions connection;
    if (!proxies.empty()) connection.proxy_protocol_from = *TrustedPeers::Parse(proxies);
    ServerTlsOptions tls;
    tls.certificates =
        *CertificateStore::Create({pki_.IssueCredential({{"app.test"}})}, loop_.Now());
    tls.answer_plain_http = answer;
    const std::shared_ptr<const ServerTlsConfig> front = *ServerTlsConfig::Create(std::move(tls));
    const Endpoint backend = *Endpoint::Parse("192.0.2.1:443");
    switch (GetParam()) {
      case ProxyMode::kOffload: {
        TlsTerminatorOptions options;
        options.front_tls = front;
        options.backend = backend;
        options.connection = connection;
        block_ = *TlsTerminator::Create(loop_, dialer_, std::move(options), &observer_);
        break;
      }
      case ProxyMode::kBridge: {
        TlsBridgeOptions options;
        options.front_tls = front;
        options.back_tls = ClientOf(pki_);
        options.backend = backend;
        options.backend_name = "back.test";
        options.connection = connection;
        block_ = *TlsBridge::Create(loop_, dialer_, std::move(options), &observer_);
        break;
      }
      case ProxyMode::kPassthrough: {
        SniPassthroughRouterOptions options;
        options.routes = *RouteTable::Create({{"", backend}});
        options.answer_plain_http = answer;
        options.connection = connection;
        block_ = *SniPassthroughRouter::Create(loop_, dialer_, options, &observer_);
        break;
      }
    }
  }

  // Returns the response to a client that sends `bytes`, at most `step` at a time.
  std::string Answer(absl::string_view bytes, size_t step) {
    observer_.closed.clear();
    StreamPeer client(loop_, ConnectTo(*block_, loop_));
    for (size_t at = 0; at < bytes.size(); at += step) {
      client.Send(bytes.substr(at, step));
      loop_.RunReady();
    }
    EXPECT_TRUE(client.saw_end());
    EXPECT_TRUE(client.failure().ok()) << client.failure();
    client.End();
    loop_.RunReady();
    EXPECT_EQ(dialer_.dials(), 0u);
    EXPECT_TRUE(observer_.error().has_value());
    if (observer_.error().has_value()) {
      EXPECT_EQ(observer_.error()->code, ErrorCode::kNotTls);
    }
    return client.received();
  }

  testing::SimulatedLoop loop_;
  testing::TestPki pki_{loop_.Now()};
  testing::MemoryDialer dialer_{loop_};
  RecordingObserver observer_;
  std::unique_ptr<ProxyBlock> block_;
};

// Checks status, fields and body of one complete response.
void ExpectWholePage(const std::string& answer) {
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  const size_t end = answer.find("\r\n\r\n");
  ASSERT_NE(end, std::string::npos);
  const std::string body = answer.substr(end + 4);
  const std::string head = answer.substr(0, end + 2);
  EXPECT_TRUE(absl::StrContains(head, absl::StrCat("\r\nContent-Length: ", body.size(), "\r\n")));
  EXPECT_TRUE(absl::StrContains(head, "\r\nConnection: close\r\n"));
  EXPECT_TRUE(absl::StrContains(body, "HTTPS")) << body;
}

TEST_P(PlainHttpTest, IsAnsweredWithAPageIfConfigured) {
  Start(true);
  for (const char* method : {"GET", "POST", "PUT", "PATCH", "HEAD", "DELETE", "OPTIONS", "CONNECT",
                             "TRACE", "PROPFIND"}) {
    SCOPED_TRACE(method);
    const std::string request = absl::StrCat(method, " /a HTTP/1.1\r\nHost: app.test\r\n\r\n");
    for (const size_t step : {size_t{1}, request.size()}) ExpectWholePage(Answer(request, step));
  }
}

TEST_P(PlainHttpTest, IsAnsweredAfterAProxyHeader) {
  Start(true, "0.0.0.0/0,::/0");
  ExpectWholePage(Answer(absl::StrCat("PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n", kRequest), 1));
}

TEST_P(PlainHttpTest, GetsNoResponseByDefault) {
  Start(false);
  EXPECT_EQ(Answer(kRequest, 100), "");
}

TEST_P(PlainHttpTest, OtherProtocolsNeverGetAResponse) {
  Start(true);
  for (const char* bytes : {"SSH-2.0-x\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "EHLO a.test\r\n",
                            "HTTP/1.1 200 OK\r\n\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"}) {
    EXPECT_EQ(Answer(bytes, 100), "") << bytes;
  }
}

INSTANTIATE_TEST_SUITE_P(Blocks, PlainHttpTest,
                         ::testing::Values(ProxyMode::kOffload, ProxyMode::kBridge,
                                           ProxyMode::kPassthrough),
                         [](const ::testing::TestParamInfo<ProxyMode>& info) {
                           return std::string(EnumName(info.param));
                         });

}  // namespace
}  // namespace trestle
