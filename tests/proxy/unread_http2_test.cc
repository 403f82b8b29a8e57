// HTTP/2 passes unread through the blocks that decrypt. By default it can't be combined with
// policies by server name, or with client certificates that backends receive.
#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/tls_fixture.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/proxy/tls_terminator.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

enum class Policies { kNone, kOne, kTheSameTwice, kByName };

class UnreadHttp2Test : public ::testing::Test {
 protected:
  std::shared_ptr<const ServerTlsConfig> Front(Policies policies, const std::string& protocol) {
    ServerTlsOptions tls;
    tls.certificates =
        *CertificateStore::Create({pki_.IssueCredential({{"app.test"}})}, loop_.Now());
    tls.alpn = {"http/1.1", protocol};
    if (policies != Policies::kNone) {
      ClientAuthOptions rules;
      rules.otherwise.certificate = ClientCertificate::kRequired;
      rules.otherwise.trust = *TrustStore::Create(pki_.ca_pem());
      if (policies != Policies::kOne) rules.by_name.push_back({"*.open.test", rules.otherwise});
      if (policies == Policies::kByName) {
        rules.by_name.back().policy.certificate = ClientCertificate::kNone;
      }
      tls.client_authentication = *ClientAuthentication::Create(std::move(rules));
    }
    return *ServerTlsConfig::Create(std::move(tls));
  }

  // Returns why the blocks' options are rejected; empty if both blocks are created.
  std::string Refusal(Policies policies, ProxyProtocolOut header, const std::string& protocol,
                      bool dangerous = false) {
    TlsTerminatorOptions offload;
    offload.front_tls = Front(policies, protocol);
    offload.backend = *Endpoint::Parse("192.0.2.1:80");
    offload.connection.proxy_protocol_to_backend = header;
    offload.dangerous_unread_http2 = dangerous;
    TlsBridgeOptions bridging;
    bridging.front_tls = offload.front_tls;
    bridging.back_tls = ClientOf(pki_);
    bridging.backend = offload.backend;
    bridging.backend_name = "back.test";
    bridging.connection = offload.connection;
    bridging.dangerous_unread_http2 = dangerous;
    const absl::Status terminator =
        TlsTerminator::Create(loop_, dialer_, std::move(offload)).status();
    const absl::Status bridge = TlsBridge::Create(loop_, dialer_, std::move(bridging)).status();
    EXPECT_EQ(terminator, bridge);
    if (terminator.ok()) return "";
    EXPECT_EQ(GetError(terminator)->code, ErrorCode::kConfiguration);
    return GetError(terminator)->detail;
  }

  testing::SimulatedLoop loop_;
  testing::TestPki pki_{loop_.Now()};
  testing::MemoryDialer dialer_{loop_};
};

TEST_F(UnreadHttp2Test, IsRejectedWithPoliciesThatDifferByName) {
  EXPECT_THAT(Refusal(Policies::kByName, ProxyProtocolOut::kNone, "h2"),
              HasSubstr("policies for client certificates differ by server name"));
  EXPECT_EQ(Refusal(Policies::kByName, ProxyProtocolOut::kNone, "h2", /*dangerous=*/true), "");
  EXPECT_EQ(Refusal(Policies::kByName, ProxyProtocolOut::kNone, "x"), "");
  EXPECT_EQ(Refusal(Policies::kOne, ProxyProtocolOut::kNone, "h2"), "");
  EXPECT_EQ(Refusal(Policies::kTheSameTwice, ProxyProtocolOut::kNone, "h2"), "");
  EXPECT_EQ(Refusal(Policies::kNone, ProxyProtocolOut::kNone, "h2"), "");
}

TEST_F(UnreadHttp2Test, IsRejectedIfBackendsReceiveCertificates) {
  EXPECT_THAT(Refusal(Policies::kOne, ProxyProtocolOut::kV2, "h2"),
              HasSubstr("PROXY v2 headers tell the backend of client certificates"));
  EXPECT_EQ(Refusal(Policies::kOne, ProxyProtocolOut::kV2, "h2", /*dangerous=*/true), "");
  EXPECT_EQ(Refusal(Policies::kOne, ProxyProtocolOut::kV2, "x"), "");
  EXPECT_EQ(Refusal(Policies::kOne, ProxyProtocolOut::kV1, "h2"), "");
  EXPECT_EQ(Refusal(Policies::kNone, ProxyProtocolOut::kV2, "h2"), "");
}

}  // namespace
}  // namespace trestle
