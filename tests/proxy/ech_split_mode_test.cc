// Split mode from end to end: BoringSSL's client, the router that opens its hello, and a backend.
// The backend is BoringSSL without ECH keys, or a terminator behind the router.
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/ech_router_fixture.h"
#include "tests/proxy/raw_backend.h"
#include "tests/proxy/raw_client.h"
#include "tests/proxy/tls_fixture.h"
#include "trestle/proxy/tls_terminator.h"

namespace trestle::testing {
namespace {

constexpr int kEchRequired = 121;

class EchSplitModeTest : public EchRouterTest {
 protected:
  EchSplitModeTest() {
    UsePem(server_.get(), pki_.Issue(LeafFor(kHidden)));
    const uint16_t groups[] = {SSL_GROUP_X25519_MLKEM768, SSL_GROUP_X25519, SSL_GROUP_SECP256R1};
    SSL_CTX_set1_group_ids(server_.get(), groups, 3);
    SSL_CTX_set1_group_ids(context_.get(), groups, 3);
    hidden_.on_accept = [this](std::unique_ptr<Transport> raw) {
      backends_.push_back(std::make_unique<RawBackend>(loop_, std::move(raw), server_.get()));
    };
    SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT);
    SSL_CTX_set_app_data(context_.get(), this);
    SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* ssl, SSL_SESSION* session) {
      static_cast<EchSplitModeTest*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))
          ->session_.reset(session);
      return 1;
    });
  }

  RawClient& NewClient(const EchPair& pair, const MemoryLink& link = {}) {
    if (router_ == nullptr) StartRouter();
    client_ = std::make_unique<RawClient>(loop_, ConnectTo(*router_, loop_, link), context_.get());
    client_->UseEch(pair.config_list);
    return *client_;
  }

  void ExpectServed(absl::string_view text) {
    ASSERT_TRUE(client_->done());
    EXPECT_TRUE(SSL_ech_accepted(client_->ssl()));
    EXPECT_EQ(backends_.back()->received, text);
  }

  // Starts a terminator for the public name with the router's keys, in place of public_.
  void ServePublicName() {
    ServerTlsOptions tls;
    tls.certificates =
        *CertificateStore::Create({pki_.IssueCredential(LeafFor(kPublic))}, loop_.Now());
    tls.ech_keys = keys_;
    TlsTerminatorOptions options;
    options.front_tls = *ServerTlsConfig::Create(std::move(tls));
    options.backend = public_.endpoint;
    terminator_ = *TlsTerminator::Create(loop_, dialer_, std::move(options), &observer_);
    options_.routes =
        *RouteTable::Create({{kHidden, hidden_.endpoint}, {kPublic, terminator_.get()}});
  }

  std::string RetryConfigs() {
    const uint8_t* configs = nullptr;
    size_t bytes = 0;
    SSL_get0_ech_retry_configs(client_->ssl(), &configs, &bytes);
    return std::string(reinterpret_cast<const char*>(configs), bytes);
  }

  TestPki pki_{loop_.Now()};
  bssl::UniquePtr<SSL_CTX> context_ = MakeRawContext();
  bssl::UniquePtr<SSL_CTX> server_ = MakeRawContext();
  bssl::UniquePtr<SSL_SESSION> session_;
  std::vector<std::unique_ptr<RawBackend>> backends_;
  std::unique_ptr<TlsTerminator> terminator_;
  std::unique_ptr<RawClient> client_;
};

TEST_F(EchSplitModeTest, EveryGroupWorks) {
  for (const uint16_t group : {SSL_GROUP_X25519, SSL_GROUP_X25519_MLKEM768, SSL_GROUP_SECP256R1}) {
    SCOPED_TRACE(group);
    SSL_CTX_set1_group_ids(context_.get(), &group, 1);
    NewClient(pair_).Join(kHidden, "question");
    ExpectServed("question");
    EXPECT_EQ(SSL_get_group_id(client_->ssl()), group);
    EXPECT_STREQ(SSL_get_servername(backends_.back()->ssl(), TLSEXT_NAMETYPE_host_name), kHidden);
  }
}

TEST_F(EchSplitModeTest, AHelloRetryRequestMayBeSplitAnywhere) {
  for (const uint16_t wanted : {SSL_GROUP_X25519_MLKEM768, SSL_GROUP_SECP256R1}) {
    for (const size_t chunk : {0, 1, 100}) {
      SCOPED_TRACE(wanted + chunk);
      SSL_CTX_set1_group_ids(server_.get(), &wanted, 1);
      MemoryLink link;
      link.chunk_bytes = chunk;
      const uint16_t share = SSL_GROUP_X25519;
      ASSERT_TRUE(SSL_set1_client_key_shares(NewClient(pair_, link).ssl(), &share, 1));
      client_->Join(kHidden, "question");
      ExpectServed("question");
      EXPECT_TRUE(SSL_used_hello_retry_request(client_->ssl()));
    }
  }
}

TEST_F(EchSplitModeTest, SessionsAreResumedWithEarlyDataOffered) {
  SSL_CTX_set_early_data_enabled(server_.get(), 1);
  SSL_CTX_set_early_data_enabled(context_.get(), 1);
  NewClient(pair_).Join(kHidden, "first");
  ExpectServed("first");
  backends_.back()->Send("answer");
  loop_.RunReady();
  client_->Pump();
  ASSERT_NE(session_, nullptr);
  SSL_set_session(NewClient(pair_).ssl(), session_.get());
  client_->Join(kHidden, "second");
  EXPECT_TRUE(SSL_session_reused(client_->ssl()));
  EXPECT_TRUE(SSL_early_data_accepted(client_->ssl()));
  ExpectServed("second");
}

TEST_F(EchSplitModeTest, AnOutdatedConfigIsAnsweredWithAUsableOne) {
  ServePublicName();
  const EchPair outdated = NewEchPair(9, kPublic);
  NewClient(outdated).Join(kHidden, "");
  EXPECT_FALSE(client_->done());
  EXPECT_TRUE(backends_.empty());
  EchPair updated = outdated;
  updated.config_list = RetryConfigs();
  ASSERT_EQ(updated.config_list, pair_.config_list);
  loop_.RunFor(absl::Minutes(1));
  ASSERT_FALSE(observer_.closed.empty());
  EXPECT_EQ(observer_.closed.back().error->alert, kEchRequired);
  EXPECT_EQ(observer_.closed.back().server_name, kPublic);
  EXPECT_FALSE(observer_.closed.back().server_name_hidden);
  NewClient(updated).Join(kHidden, "question");
  ExpectServed("question");
}

TEST_F(EchSplitModeTest, KeysRotateUnderTheRouter) {
  const EchPair next = NewEchPair(1, kPublic);
  StartRouter();
  const auto accepted = [&](const EchPair& pair) {
    NewClient(pair).Join(kHidden, "");
    return client_->done() && SSL_ech_accepted(client_->ssl()) == 1;
  };
  EXPECT_FALSE(accepted(next));
  ASSERT_TRUE(keys_->Replace(pair_.pem() + next.pem()).ok());
  EXPECT_TRUE(accepted(pair_));
  EXPECT_TRUE(accepted(next));
  ASSERT_TRUE(keys_->Replace(next.pem()).ok());
  EXPECT_FALSE(accepted(pair_));
  EXPECT_TRUE(accepted(next));
}

TEST_F(EchSplitModeTest, ThePublicNameItselfIsServed) {
  ServePublicName();
  StartRouter();
  client_ = std::make_unique<RawClient>(loop_, ConnectTo(*router_, loop_), context_.get());
  client_->Join(kPublic, "question");
  ASSERT_TRUE(client_->done());
  EXPECT_EQ(public_.peers.at(0)->received(), "question");
}

// The terminator receives the inner hello, and confirms it as any backend does.
TEST_F(EchSplitModeTest, AHiddenNameIsServedByATerminatorBehindTheRouter) {
  ServerTlsOptions tls;
  tls.certificates =
      *CertificateStore::Create({pki_.IssueCredential(LeafFor(kHidden))}, loop_.Now());
  TlsTerminatorOptions options;
  options.front_tls = *ServerTlsConfig::Create(std::move(tls));
  options.backend = public_.endpoint;
  terminator_ = *TlsTerminator::Create(loop_, dialer_, std::move(options), &observer_);
  options_.routes = *RouteTable::Create({{kHidden, terminator_.get()}});
  NewClient(pair_).Join(kHidden, "question");
  ASSERT_TRUE(client_->done());
  EXPECT_TRUE(SSL_ech_accepted(client_->ssl()));
  EXPECT_EQ(public_.peers.at(0)->received(), "question");
  const ConnectionReport& report = observer_.established.at(0);
  EXPECT_EQ(report.mode, ProxyMode::kOffload);
  EXPECT_EQ(report.server_name, kHidden);
  EXPECT_TRUE(report.server_name_hidden);
  EXPECT_EQ(report.hello->ech, EchVerdict::kOpened);
}

// The outer router chose by the outer name, and has no ECH keys.
class NestedRoutersTest : public EchSplitModeTest {
 protected:
  void StartRouters(const char* inner_pattern, const char* outer_pattern) {
    options_.routes = *RouteTable::Create({{inner_pattern, hidden_.endpoint}});
    StartRouter();
    inner_ = std::move(router_);
    SniPassthroughRouterOptions outer;
    outer.routes = *RouteTable::Create({{outer_pattern, inner_.get()}});
    router_ = *SniPassthroughRouter::Create(loop_, dialer_, outer, &observer_);
  }

  std::unique_ptr<SniPassthroughRouter> inner_;
};

TEST_F(NestedRoutersTest, TheInnerRouterOpensIfTheOuterRouteAgrees) {
  StartRouters(kHidden, "*.test");
  NewClient(pair_).Join(kHidden, "question");
  ExpectServed("question");
}

TEST_F(NestedRoutersTest, AnotherRouteOfTheOuterRouterIsRejected) {
  StartRouters(kHidden, kPublic);
  NewClient(pair_).Join(kHidden, "question");
  EXPECT_FALSE(client_->done());
  EXPECT_EQ(client_->alert(), SSL_AD_UNRECOGNIZED_NAME);
  EXPECT_TRUE(backends_.empty());
}

TEST_F(NestedRoutersTest, AnOpenedHelloIsNotOpenedAgain) {
  options_.routes = *RouteTable::Create({{kHidden, hidden_.endpoint}});
  options_.ja4_sha256 = [](ByteView) { return std::array<uint8_t, 32>(); };
  StartRouter();
  inner_ = std::move(router_);
  options_.routes = *RouteTable::Create({{kHidden, inner_.get()}});
  options_.ja4_sha256 = nullptr;
  NewClient(pair_).Join(kHidden, "question");
  ExpectServed("question");
  const ConnectionReport& report = observer_.established.at(0);
  EXPECT_TRUE(report.server_name_hidden);
  EXPECT_EQ(report.hello->ech, EchVerdict::kOpened);
  EXPECT_NE(report.hello->ja4, "") << "read again for the fingerprint";
}

}  // namespace
}  // namespace trestle::testing
