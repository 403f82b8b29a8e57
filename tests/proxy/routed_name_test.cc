// The name that selected a route and the name that TLS uses may differ: encrypted hellos, a second
// hello, sessions, challenges. Also addresses from a PROXY header.
#include <openssl/ssl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/raw_client.h"
#include "tests/proxy/tls_fixture.h"
#include "tests/tls/ech_pair.h"
#include "trestle/base/ip_range.h"
#include "trestle/pki/trust_store.h"
#include "trestle/proxy/accepted.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/ech_keys.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;

constexpr int kUnrecognizedName = 112;
constexpr char kAcme[] = "acme-tls/1";

enum class Block { kTerminator, kBridge };

// As in examples/one_port: a router, and behind it blocks with one common front config. Clients of
// admin.test need a certificate; others don't.
class RoutedNameTest : public ::testing::TestWithParam<Block> {
 protected:
  RoutedNameTest() : context_(MakeRawContext()) {
    ServerTlsOptions tls;
    std::vector<std::shared_ptr<const Credential>> credentials;
    for (const char* name : {"admin.test", "status.test", "*.wild.test"}) {
      credentials.push_back(pki_.IssueCredential(LeafFor(name)));
    }
    tls.certificates = *CertificateStore::Create(std::move(credentials), loop_.Now());
    ClientAuthOptions clients;
    NamedClientAuthPolicy& admin = clients.by_name.emplace_back();
    admin.names = "admin.test";
    admin.policy.certificate = ClientCertificate::kRequired;
    admin.policy.trust = *TrustStore::Create(pki_.ca_pem(), "");
    tls.client_authentication = *ClientAuthentication::Create(std::move(clients));
    std::string pem;
    for (const EchPair* pair : {&admin_ech_, &status_ech_, &wild_ech_}) pem += pair->pem();
    tls.ech_keys = *EchKeys::FromPem(pem);
    front_ = *ServerTlsConfig::Create(std::move(tls));
    SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT);
    SSL_CTX_set_app_data(context_.get(), this);
    SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* ssl, SSL_SESSION* session) {
      auto* self = static_cast<RoutedNameTest*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
      self->session_.reset(session);
      return 1;
    });
    for (TestBackend* backend : {&admin_, &status_, &wild_, &acme_}) {
      if (GetParam() == Block::kBridge) ServeTls(*backend);
      blocks_.push_back(NewBlock(*backend));
    }
    routes_ = *RouteTable::Create({{"admin.test", blocks_[0].get()},
                                   {"status.test", blocks_[1].get()},
                                   {"*.wild.test", blocks_[2].get()},
                                   {"*.wild.test", blocks_[3].get(), kAcme}});
    router_ = NewRouter(routes_);
  }

  void ServeTls(TestBackend& backend) {
    backend.on_accept = [this, &backend](std::unique_ptr<Transport> raw) {
      const auto config = ServerFor(pki_, loop_.Now(), LeafFor("internal.test"));
      servers_.push_back(TlsPeer::Server(loop_, std::move(raw), config));
      reached_.push_back(&backend);
    };
  }

  std::unique_ptr<ProxyBlock> NewBlock(const TestBackend& backend) {
    if (GetParam() == Block::kBridge) {
      TlsBridgeOptions options;
      options.front_tls = front_;
      options.back_tls = ClientOf(pki_);
      options.backend = backend.endpoint;
      options.backend_name = "internal.test";
      options.connection = connection_;
      return *TlsBridge::Create(loop_, dialer_, std::move(options), &observer_);
    }
    TlsTerminatorOptions options;
    options.front_tls = front_;
    options.backend = backend.endpoint;
    options.connection = connection_;
    return *TlsTerminator::Create(loop_, dialer_, std::move(options), &observer_);
  }

  std::unique_ptr<SniPassthroughRouter> NewRouter(std::shared_ptr<const RouteTable> routes) {
    SniPassthroughRouterOptions options;
    options.routes = std::move(routes);
    options.connection = connection_;
    return *SniPassthroughRouter::Create(loop_, dialer_, std::move(options), &router_observer_);
  }

  RawClient& Connect(ProxyBlock& to) {
    client_ = std::make_unique<RawClient>(loop_, ConnectTo(to, loop_), context_.get());
    return *client_;
  }

  // Returns the clear text that `backend` received on its only connection.
  std::string ReceivedBy(const TestBackend& backend) const {
    if (GetParam() == Block::kTerminator) {
      return backend.peers.size() == 1 ? backend.peers[0]->received() : "";
    }
    return reached_.size() == 1 && reached_[0] == &backend ? servers_[0]->received() : "";
  }

  // Returns the error of the block that got the connection.
  Error Failure() {
    client_->End();
    loop_.RunFor(ConnectionOptions().close_timeout);
    EXPECT_EQ(observer_.closed.size(), 1u);
    return observer_.error().value_or(Error{});
  }

  void ExpectRefused() {
    EXPECT_FALSE(client_->done());
    EXPECT_EQ(client_->alert(), kUnrecognizedName);
    EXPECT_EQ(dialer_.dials(), 0u);
    const Error error = Failure();
    EXPECT_EQ(error.code, ErrorCode::kNoRoute) << error.detail;
    EXPECT_EQ(error.leg, Leg::kFront);
    EXPECT_EQ(error.alert, kUnrecognizedName);
  }

  SimulatedLoop loop_;
  TestPki pki_{loop_.Now()};
  MemoryDialer dialer_{loop_};
  TestBackend admin_{loop_, dialer_, 1};
  TestBackend status_{loop_, dialer_, 2};
  TestBackend wild_{loop_, dialer_, 3};
  TestBackend acme_{loop_, dialer_, 4};
  const EchPair admin_ech_ = NewEchPair(1, "admin.test");
  const EchPair status_ech_ = NewEchPair(2, "status.test");
  const EchPair wild_ech_ = NewEchPair(3, "public.wild.test");
  const EchPair unknown_ech_ = NewEchPair(4, "public.wild.test");  // The server has no key for it.
  std::shared_ptr<const ServerTlsConfig> front_;
  ConnectionOptions connection_;
  RecordingObserver observer_;
  RecordingObserver router_observer_;
  std::vector<std::unique_ptr<TlsPeer>> servers_;
  std::vector<const TestBackend*> reached_;
  std::vector<std::unique_ptr<ProxyBlock>> blocks_;
  std::shared_ptr<const RouteTable> routes_;
  std::unique_ptr<SniPassthroughRouter> router_;
  bssl::UniquePtr<SSL_CTX> context_;
  bssl::UniquePtr<SSL_SESSION> session_;
  std::unique_ptr<RawClient> client_;
};

INSTANTIATE_TEST_SUITE_P(Blocks, RoutedNameTest,
                         ::testing::Values(Block::kTerminator, Block::kBridge),
                         [](const auto& info) {
                           return info.param == Block::kTerminator ? "Terminator" : "Bridge";
                         });

TEST_P(RoutedNameTest, WithoutEncryptedHellosRouteAndPolicyUseOneName) {
  Connect(*router_).Join("admin.test", "secret");
  EXPECT_EQ(dialer_.dials(), 0u);
  EXPECT_EQ(Failure().code, ErrorCode::kClientCertificateMissing);
  observer_.closed.clear();
  Connect(*router_).Join("status.test", "question");
  EXPECT_EQ(ReceivedBy(status_), "question");
}

// The outer name leads to the backend that requires certificates; the inner name's policy does not.
TEST_P(RoutedNameTest, AnInnerNameWithoutPolicyDoesNotOpenTheOuterNamesBackend) {
  Connect(*router_).UseEch(admin_ech_.config_list);
  client_->Join("status.test", "attack");
  ExpectRefused();
}

TEST_P(RoutedNameTest, TheInnerNameMustHaveTheOuterNamesRoute) {
  struct Case {
    const char* what;
    const EchPair& ech;
    const char* inner;
  };
  for (const Case& c : {Case{"to a stricter one", status_ech_, "admin.test"},
                        Case{"from a wildcard to another route", wild_ech_, "status.test"},
                        Case{"to no route at all", wild_ech_, "unknown.test"},
                        Case{"deeper than the wildcard", wild_ech_, "a.b.wild.test"}}) {
    SCOPED_TRACE(c.what);
    observer_.closed.clear();
    Connect(*router_).UseEch(c.ech.config_list);
    client_->Join(c.inner, "attack");
    ExpectRefused();
  }
}

TEST_P(RoutedNameTest, AnInnerNameOfTheSameHandlerIsServed) {
  Connect(*router_).UseEch(wild_ech_.config_list);
  client_->Join("hidden.wild.test", "question");
  ASSERT_TRUE(client_->done());
  EXPECT_TRUE(SSL_ech_accepted(client_->ssl()));
  EXPECT_EQ(ReceivedBy(wild_), "question");
  EXPECT_EQ(observer_.established.at(0).server_name, "hidden.wild.test");
  EXPECT_EQ(observer_.established.at(0).route, "*.wild.test");
}

TEST_P(RoutedNameTest, ARejectedEncryptedHelloUsesItsOuterName) {
  Connect(*router_).UseEch(unknown_ech_.config_list);
  client_->Join("status.test", "question");
  EXPECT_FALSE(client_->done());
  EXPECT_EQ(Failure().code, ErrorCode::kPeerAlert) << "ech_required, from the client";
  EXPECT_EQ(ReceivedBy(wild_), "");
  EXPECT_EQ(ReceivedBy(status_), "");
  EXPECT_EQ(observer_.closed[0].server_name, "public.wild.test");
}

TEST_P(RoutedNameTest, AChallengeUnderAnInnerNameIsNotAnsweredElsewhere) {
  Connect(*router_).UseEch(admin_ech_.config_list);
  client_->Offer(kAcme);
  client_->Join("hidden.wild.test", "");
  ExpectRefused();
}

TEST_P(RoutedNameTest, EachRouterMustAgree) {
  // The first router has routes for names that the second one does not distinguish.
  const auto inner = NewRouter(*RouteTable::Create({{"", blocks_[2].get()}}));
  const auto outer = NewRouter(
      *RouteTable::Create({{"*.wild.test", inner.get()}, {"status.test", blocks_[1].get()}}));
  Connect(*outer).UseEch(wild_ech_.config_list);
  client_->Join("hidden.wild.test", "question");
  EXPECT_EQ(ReceivedBy(wild_), "question");
  client_.reset();
  loop_.RunFor(absl::Minutes(1));
  const size_t dials = dialer_.dials();
  observer_.closed.clear();
  Connect(*outer).UseEch(wild_ech_.config_list);
  client_->Join("status.test", "attack");
  EXPECT_EQ(client_->alert(), kUnrecognizedName);
  EXPECT_EQ(dialer_.dials(), dials);
  EXPECT_EQ(Failure().code, ErrorCode::kNoRoute);
}

TEST_P(RoutedNameTest, OneReportHasTheStagesOfTheRouterToo) {
  const absl::Time begin = loop_.Now();
  Connect(*router_);
  loop_.RunFor(absl::Seconds(2));
  client_->Join("status.test", "question");
  ASSERT_EQ(observer_.established.size(), 1u);
  const ConnectionReport& report = observer_.established[0];
  EXPECT_EQ(report.accepted, begin);
  EXPECT_EQ(report.route, "status.test");
  ASSERT_TRUE(report.hello.has_value());
  EXPECT_GT(report.hello->bytes, 0u);
  EXPECT_GE(report.times.front, absl::Seconds(2));
  EXPECT_TRUE(router_observer_.closed.at(0).handed_over);
}

// A block behind a router adds no hello timeout of its own.
TEST_P(RoutedNameTest, TheTimeLimitOfTheHelloBeginsAtTheAccept) {
  auto [end, front] = NewMemoryPair(loop_);
  Accepted late(std::move(front));
  late.time = loop_.MonotonicNow() - absl::Seconds(4);
  blocks_[1]->Serve(std::move(late));
  loop_.RunFor(absl::Seconds(1));
  loop_.RunFor(ConnectionOptions().close_timeout);
  ASSERT_TRUE(observer_.error().has_value());
  EXPECT_EQ(observer_.error()->code, ErrorCode::kTimeout);
}

// RFC 8446 4.1.2 forbids it. Route, certificate, policy and report use the first hello.
TEST_P(RoutedNameTest, ASecondHelloWithAnotherNameChangesNothing) {
  const uint16_t groups[] = {SSL_GROUP_SECP384R1, SSL_GROUP_X25519};
  for (const auto& [first, second] :
       {std::pair("status.test", "admin.test"), std::pair("admin.test", "status.test")}) {
    SCOPED_TRACE(first);
    Connect(*router_);
    SSL* const ssl = client_->ssl();
    ASSERT_TRUE(SSL_set1_group_ids(ssl, groups, 2));
    ASSERT_TRUE(SSL_set1_client_key_shares(ssl, groups, 1));
    SSL_set_tlsext_host_name(ssl, first);
    SSL_do_handshake(ssl);  // Writes the first hello.
    client_->Join(second, "question");
    EXPECT_TRUE(SSL_used_hello_retry_request(ssl));
    EXPECT_EQ(ReceivedBy(admin_), "");
    if (first == absl::string_view("status.test")) {
      EXPECT_EQ(ReceivedBy(status_), "question");
      servers_.clear();
      reached_.clear();
      status_.peers.clear();
    } else {
      EXPECT_EQ(Failure().code, ErrorCode::kClientCertificateMissing);
      EXPECT_EQ(ReceivedBy(status_), "");
    }
    client_->End();
    loop_.RunFor(ConnectionOptions().close_timeout);
    ASSERT_EQ(observer_.closed.size(), 1u);
    EXPECT_EQ(observer_.closed[0].server_name, first);
    EXPECT_EQ(observer_.closed[0].route, first);
    observer_.closed.clear();
  }
}

TEST_P(RoutedNameTest, ASessionOfOneNameIsNotResumedForAnother) {
  Connect(*router_).Join("status.test", "question");
  ASSERT_EQ(ReceivedBy(status_), "question");
  if (GetParam() == Block::kBridge) {
    servers_[0]->Send("answer");
  } else {
    status_.peers[0]->Send("answer");
  }
  client_->Pump();
  ASSERT_NE(session_, nullptr);
  const size_t dials = dialer_.dials();
  const auto session = std::move(session_);
  client_.reset();
  loop_.RunFor(absl::Minutes(1));
  observer_.closed.clear();
  for (const EchPair* ech : {static_cast<const EchPair*>(nullptr), &admin_ech_}) {
    observer_.closed.clear();
    Connect(*router_);
    SSL_set_session(client_->ssl(), session.get());
    if (ech != nullptr) client_->UseEch(ech->config_list);
    client_->Join("admin.test", "attack");
    EXPECT_EQ(dialer_.dials(), dials);
    EXPECT_FALSE(SSL_session_reused(client_->ssl()));
    EXPECT_EQ(Failure().code, ErrorCode::kClientCertificateMissing);
  }
}

// An embedder's own handler read the hello, and cannot route again.
TEST_P(RoutedNameTest, WithoutARouteCheckOnlyTheSameHelloIsAccepted) {
  struct Case {
    const char* name;
    const char* alpn;
    bool served;
  };
  for (const Case& c : {Case{"status.test", "h2", true}, Case{"status.test", "http/1.1", false},
                        Case{"", "h2", false}, Case{"admin.test", "h2", false}}) {
    observer_.closed.clear();
    RoutedHello hello;
    hello.server_name = c.name;
    hello.report.alpn = {c.alpn};
    auto [end, front] = NewMemoryPair(loop_);
    Accepted accepted(std::move(front));
    accepted.hello = std::make_shared<const RoutedHello>(std::move(hello));
    blocks_[1]->Serve(std::move(accepted));
    client_ = std::make_unique<RawClient>(loop_, std::move(end), context_.get());
    client_->Offer("h2");
    client_->Join("status.test", "question");
    EXPECT_EQ(client_->done(), c.served) << c.name << " " << c.alpn;
    if (!c.served) EXPECT_EQ(Failure().code, ErrorCode::kNoRoute);
    client_.reset();
    loop_.RunFor(absl::Minutes(10));
  }
}

// ---- limits ----

TEST_P(RoutedNameTest, ARouterAndItsBlocksShareOneLimitOfConnections) {
  ConnectionLimits limits;
  limits.connections = 2;
  connection_.limiter = *ConnectionLimiter::Create(limits);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    blocks_[i] = NewBlock(i == 1 ? status_ : wild_);
  }
  router_ = NewRouter(
      *RouteTable::Create({{"status.test", blocks_[1].get()}, {"*.wild.test", blocks_[2].get()}}));
  std::vector<std::unique_ptr<RawClient>> clients;
  const auto is_served = [&](const char* name) {
    Connect(*router_).Join(name, "question");
    const bool done = client_->done();
    clients.push_back(std::move(client_));
    return done;
  };
  EXPECT_TRUE(is_served("status.test"));
  EXPECT_TRUE(is_served("a.wild.test")) << "a handed over connection counts once";
  EXPECT_FALSE(is_served("status.test"));
  EXPECT_FALSE(is_served("a.wild.test"));
  EXPECT_EQ(connection_.limiter->open_connections(), 2u);
  EXPECT_EQ(connection_.limiter->refused().connections, 2u);
  clients.clear();
  loop_.RunFor(absl::Minutes(10));
  EXPECT_EQ(connection_.limiter->open_connections(), 0u);
}

TEST_P(RoutedNameTest, ABlockWithoutLimitsKeepsTheRoutersSlot) {
  ConnectionLimits limits;
  limits.connections = 1;
  connection_.limiter = *ConnectionLimiter::Create(limits);
  router_ = NewRouter(routes_);
  Connect(*router_).Join("status.test", "question");
  EXPECT_TRUE(client_->done());
  EXPECT_EQ(connection_.limiter->open_connections(), 1u);
}

// ---- addresses ----

class RoutedAddressTest : public RoutedNameTest {
 protected:
  RoutedAddressTest() {
    connection_.proxy_protocol_from = *TrustedPeers::Parse("192.0.2.0/24");
    ConnectionLimits limits;
    limits.full_handshakes_per_second_per_client = 1;
    connection_.limiter = *ConnectionLimiter::Create(limits);
    blocks_[1] = NewBlock(status_);
    router_ = NewRouter(*RouteTable::Create({{"status.test", blocks_[1].get()}}));
  }

  bool Serves(const std::string& header) {
    client_.reset();
    loop_.RunReady();
    Connect(*router_).Say(header);
    client_->Join("status.test", "question");
    return client_->done();
  }
};

INSTANTIATE_TEST_SUITE_P(Blocks, RoutedAddressTest,
                         ::testing::Values(Block::kTerminator, Block::kBridge),
                         [](const auto& info) {
                           return info.param == Block::kTerminator ? "Terminator" : "Bridge";
                         });

TEST_P(RoutedAddressTest, LimitsBehindARouterUseTheClientInTheHeader) {
  EXPECT_TRUE(Serves("PROXY TCP4 198.51.100.1 203.0.113.9 1 443\r\n"));
  EXPECT_TRUE(Serves("PROXY TCP4 198.51.100.2 203.0.113.9 1 443\r\n"));
  EXPECT_FALSE(Serves("PROXY TCP4 198.51.100.1 203.0.113.9 2 443\r\n"));
  EXPECT_EQ(observer_.established.at(0).front.peer.ToString(), "198.51.100.1:1");
  EXPECT_THAT(observer_.established[0].front.via.ToString(), HasSubstr("192.0.2."));
}

TEST_P(RoutedAddressTest, IPv4MappedClientsInAHeaderAreSeparateClients) {
  EXPECT_TRUE(Serves("PROXY TCP6 ::ffff:198.51.100.1 ::ffff:203.0.113.9 1 443\r\n"));
  EXPECT_TRUE(Serves("PROXY TCP6 ::ffff:198.51.100.2 ::ffff:203.0.113.9 1 443\r\n"));
  EXPECT_FALSE(Serves("PROXY TCP4 198.51.100.2 203.0.113.9 1 443\r\n")) << "the same client";
}

}  // namespace
}  // namespace trestle::testing
