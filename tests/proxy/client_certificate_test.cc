// A client's certificate through a terminator: the observer's report and the backend's header.
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/tls_fixture.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/pki/sha256.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/wire/proxy_protocol.h"

namespace trestle {
namespace {

class ClientCertificateTest : public ::testing::TestWithParam<uint16_t> {
 protected:
  ClientCertificateTest() {
    SSL_CTX_set_min_proto_version(context_.get(), GetParam());
    SSL_CTX_set_max_proto_version(context_.get(), GetParam());
    SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT);
    SSL_CTX_set_app_data(context_.get(), this);
    SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* ssl, SSL_SESSION* session) {
      auto* self = static_cast<ClientCertificateTest*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
      self->session_.reset(session);
      return 1;
    });
  }

  void Start(ClientCertificate mode) {
    ClientAuthOptions rules;
    rules.otherwise.certificate = mode;
    rules.otherwise.trust = *TrustStore::Create(pki_.ca_pem());
    ServerTlsOptions tls;
    tls.certificates =
        *CertificateStore::Create({pki_.IssueCredential({{"app.test"}})}, loop_.Now());
    tls.client_authentication = *ClientAuthentication::Create(std::move(rules));
    TlsTerminatorOptions options;
    options.front_tls = *ServerTlsConfig::Create(std::move(tls));
    options.backend = backend_.endpoint;
    options.connection.proxy_protocol_to_backend = ProxyProtocolOut::kV2;
    block_ = *TlsTerminator::Create(loop_, dialer_, std::move(options), &observer_);
  }

  void UseCertificate() {
    testing::LeafSpec leaf;
    leaf.common_name = "alice";
    leaf.server_auth = false;
    testing::UsePem(context_.get(), pki_.Issue(leaf));
  }

  // Connects, with the last session if there is one, and sends a request.
  void Connect() {
    testing::RawPeer client(context_.get(), /*is_server=*/false);
    SSL_set_tlsext_host_name(client.ssl(), "app.test");
    if (session_ != nullptr) SSL_set_session(client.ssl(), session_.get());
    StreamPeer stream(loop_, ConnectTo(*block_, loop_));
    size_t taken = 0;
    const auto carry = [&] {
      stream.Send(client.TakeOutput());
      loop_.RunReady();
      client.GiveInput(stream.received().substr(taken));
      taken = stream.received().size();
    };
    while (client.Handshake() != SSL_ERROR_NONE && !stream.saw_end()) carry();
    if (SSL_is_init_finished(client.ssl())) client.Write("GET /");
    for (int i = 0; i < 3; ++i) {
      loop_.RunFor(TlsStream::kAnswerDelay);
      carry();
      client.ReadAll();
    }
    stream.End();
    loop_.RunReady();
  }

  ProxySslInfo SslInfoAtBackend() {
    ProxyHeaderReader reader;
    const ProxyHeaderReader::Result result =
        reader.Feed(AsBytes(backend_.peers.back()->received()));
    EXPECT_EQ(result.state, ProxyHeaderState::kDone) << reader.error();
    return reader.header().ssl.value_or(ProxySslInfo());
  }

  testing::SimulatedLoop loop_;
  testing::TestPki pki_{loop_.Now()};
  testing::MemoryDialer dialer_{loop_};
  TestBackend backend_{loop_, dialer_, 9};
  RecordingObserver observer_;
  std::unique_ptr<ProxyBlock> block_;
  bssl::UniquePtr<SSL_CTX> context_ = testing::MakeRawContext();
  bssl::UniquePtr<SSL_SESSION> session_;
};

TEST_P(ClientCertificateTest, IsReportedToTheObserverAndTheBackend) {
  Start(ClientCertificate::kRequired);
  UseCertificate();
  Connect();
  ASSERT_EQ(observer_.established.size(), 1u);
  const std::shared_ptr<const TlsInfo>& tls = observer_.established[0].front.tls;
  ASSERT_TRUE(tls != nullptr && tls->peer_identity != nullptr);
  EXPECT_EQ(tls->peer_identity->subject, "CN=alice");
  const ProxySslInfo ssl = SslInfoAtBackend();
  EXPECT_EQ(ssl.client, ProxySslInfo::kClientSsl | ProxySslInfo::kClientCertConnection |
                            ProxySslInfo::kClientCertSession);
  EXPECT_TRUE(ssl.client_certificate_verified());
  EXPECT_EQ(ssl.common_name, "alice");
}

TEST_P(ClientCertificateTest, IsKeptUnchanged) {
  Start(ClientCertificate::kRequired);
  UseCertificate();
  Connect();
  Connect();
  ASSERT_EQ(observer_.established.size(), 2u);
  for (const ConnectionReport& report : observer_.established) {
    const PeerIdentity& identity = *report.front.tls->peer_identity;
    ASSERT_EQ(identity.certificates.size(), 1u);
    EXPECT_EQ(Sha256(AsBytes(identity.certificates[0])), identity.certificate_sha256);
  }
  EXPECT_TRUE(observer_.established[1].front.tls->resumed);
}

TEST_P(ClientCertificateTest, AResumedSessionReportsTheSessionsCertificateOnly) {
  Start(ClientCertificate::kRequired);
  UseCertificate();
  Connect();
  Connect();
  ASSERT_EQ(observer_.established.size(), 2u);
  EXPECT_TRUE(observer_.established[1].front.tls->resumed);
  const ProxySslInfo ssl = SslInfoAtBackend();
  EXPECT_EQ(ssl.client, ProxySslInfo::kClientSsl | ProxySslInfo::kClientCertSession);
  EXPECT_TRUE(ssl.client_certificate_verified());
  EXPECT_EQ(ssl.common_name, "alice");
}

TEST_P(ClientCertificateTest, WithoutACertificateNoneIsVerified) {
  Start(ClientCertificate::kOptional);
  Connect();
  const ProxySslInfo ssl = SslInfoAtBackend();
  EXPECT_EQ(ssl.client, ProxySslInfo::kClientSsl);
  EXPECT_NE(ssl.verify, 0u);
  EXPECT_FALSE(ssl.common_name.has_value());
}

TEST_P(ClientCertificateTest, AMissingCertificateReachesNoBackend) {
  Start(ClientCertificate::kRequired);
  Connect();
  EXPECT_EQ(dialer_.dials(), 0u);
  ASSERT_TRUE(observer_.error().has_value());
  EXPECT_EQ(observer_.error()->code, ErrorCode::kClientCertificateMissing);
  EXPECT_EQ(observer_.error()->leg, Leg::kFront);
}

INSTANTIATE_TEST_SUITE_P(Versions, ClientCertificateTest,
                         ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const ::testing::TestParamInfo<uint16_t>& info) {
                           return info.param == TLS1_2_VERSION ? "Tls12" : "Tls13";
                         });

}  // namespace
}  // namespace trestle
