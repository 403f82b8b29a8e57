// Sessions by ticket and by ID: when and for how long they are resumed, and when not.
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "gtest/gtest.h"
#include "tests/tls/resuming_client.h"
#include "tests/tls/tls_fixture.h"

namespace trestle::testing {
namespace {

class ResumptionTest : public TlsTest, public ::testing::WithParamInterface<uint16_t> {
 protected:
  ServerTlsOptions Options() {
    ServerTlsOptions options;
    options.certificates = MakeStore({LeafFor("a.test"), LeafFor("b.test")});
    options.session_cache = std::make_shared<ServerSessionCache>();
    return options;
  }

  // All have the same ticket keys, as a fleet does, so that only the policy distinguishes them.
  ServerTlsOptions FleetOptions() {
    ServerTlsOptions options = Options();
    options.ticket_keys = fleet_keys_;
    options.session_cache = fleet_cache_;
    return options;
  }

  const std::shared_ptr<TicketKeyRing> fleet_keys_ = TicketKeyRing::InMemory();
  const std::shared_ptr<ServerSessionCache> fleet_cache_ = std::make_shared<ServerSessionCache>();

  ResumingClient client_{GetParam()};
};

TEST_P(ResumptionTest, ResumesUnderTheSameName) {
  const auto config = MakeServerConfig(Options());
  EXPECT_FALSE(client_.Connect(config, loop_, "a.test"));
  ASSERT_GT(client_.sessions(), 0u);
  EXPECT_TRUE(client_.Connect(config, loop_, "a.test"));
  EXPECT_TRUE(client_.Connect(config, loop_, "A.TEST."));
}

// With TLS 1.2 they are part of the handshake. With TLS 1.3 they follow it in the packet of the
// server's first bytes.
TEST_P(ResumptionTest, TicketsLeaveWithTheFirstBytes) {
  const auto config = MakeServerConfig(Options());
  const bool tls13 = GetParam() == TLS1_3_VERSION;
  for (const bool data : {true, false}) {
    ResumingClient kept(GetParam());
    const auto connection =
        kept.StartConnection(TlsEngine::NewServer(config, loop_, Leg::kFront), "a.test");
    EXPECT_EQ(connection->server->tickets_wait(), tls13);
    connection->Carry();
    EXPECT_EQ(kept.sessions() > 0, !tls13);
    if (data) {
      WriteAll(*connection->server, "data");
    } else {
      connection->server->QueueCloseNotify();
    }
    EXPECT_FALSE(connection->server->tickets_wait());
    EXPECT_EQ(connection->Carry(), data ? "data" : "");
    ASSERT_GT(kept.sessions(), 0u);
    EXPECT_TRUE(kept.Connect(config, loop_, "a.test"));
  }
}

TEST_P(ResumptionTest, OnlyFullHandshakesNeedToBeAdmitted) {
  const auto config = MakeServerConfig(Options());
  int asked = 0;
  const auto connect = [&](absl::Status answer) {
    auto server = TlsEngine::NewServer(config, loop_, Leg::kFront);
    server->SetAdmission([&asked, answer] { return ++asked, answer; });
    return client_.StartConnection(std::move(server), "a.test");
  };
  Error busy;
  busy.code = ErrorCode::kOverLimit;
  busy.detail = "busy";
  auto refused = connect(MakeError(busy));
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(CodeOf(refused->server->status()), ErrorCode::kOverLimit);
  EXPECT_EQ(AlertOf(refused->server->status()), SSL_AD_INTERNAL_ERROR);
  EXPECT_EQ(CodeOf(connect(absl::UnknownError("other"))->server->status()), ErrorCode::kOverLimit);
  auto admitted = connect(absl::OkStatus());
  EXPECT_EQ(asked, 3);
  ASSERT_TRUE(admitted->server->handshake_done()) << admitted->server->status();
  admitted->server->QueueTickets();
  admitted->Carry();
  EXPECT_TRUE(connect(MakeError(busy))->server->info().resumed);
  EXPECT_EQ(asked, 3);
}

TEST_P(ResumptionTest, ResumesWithoutAName) {
  const auto config = MakeServerConfig(Options());
  EXPECT_FALSE(client_.Connect(config, loop_, nullptr));
  EXPECT_TRUE(client_.Connect(config, loop_, nullptr));
  EXPECT_FALSE(client_.Connect(config, loop_, "a.test"));
}

TEST_P(ResumptionTest, SurvivesNewCertificates) {
  ServerTlsOptions options = Options();
  const std::shared_ptr<CertificateStore> store = options.certificates;
  const auto config = MakeServerConfig(std::move(options));
  EXPECT_FALSE(client_.Connect(config, loop_, "a.test"));
  ASSERT_TRUE(store->Replace({pki_.IssueCredential(LeafFor("a.test"))}, loop_.Now()).ok());
  EXPECT_TRUE(client_.Connect(config, loop_, "a.test"));
}

TEST_P(ResumptionTest, DoesNotCrossNames) {
  const auto config = MakeServerConfig(Options());
  EXPECT_FALSE(client_.Connect(config, loop_, "a.test"));
  EXPECT_FALSE(client_.Connect(config, loop_, "b.test"));
  EXPECT_TRUE(client_.Connect(config, loop_, "b.test"));
  EXPECT_FALSE(client_.Connect(config, loop_, nullptr));
}

TEST_P(ResumptionTest, DoesNotCrossPolicies) {
  ServerTlsOptions other = FleetOptions();
  other.alpn = {"h2"};
  const auto one = MakeServerConfig(FleetOptions());
  const auto same = MakeServerConfig(FleetOptions());
  const auto two = MakeServerConfig(std::move(other));
  EXPECT_EQ(one->policy(), same->policy());
  EXPECT_NE(one->policy(), two->policy());
  EXPECT_FALSE(client_.Connect(one, loop_, "a.test"));
  EXPECT_TRUE(client_.Connect(same, loop_, "a.test"));
  EXPECT_FALSE(client_.Connect(two, loop_, "a.test"));
  EXPECT_FALSE(client_.Connect(one, loop_, "a.test"));
}

TEST_P(ResumptionTest, DoesNotCrossKeys) {
  EXPECT_FALSE(client_.Connect(MakeServerConfig(Options()), loop_, "a.test"));
  EXPECT_FALSE(client_.Connect(MakeServerConfig(Options()), loop_, "a.test"));
}

TEST_P(ResumptionTest, TicketsAgeByTheSchedulersTime) {
  const auto config = MakeServerConfig(Options());
  EXPECT_FALSE(client_.Connect(config, loop_, "a.test"));
  loop_.RunFor(absl::Hours(1));
  EXPECT_TRUE(client_.Connect(config, loop_, "a.test"));
  // BoringSSL's limit is two hours for TLS 1.2; ours is a day for TLS 1.3, and the keys rotate too.
  loop_.RunFor(absl::Hours(24 * 8));
  EXPECT_FALSE(client_.Connect(config, loop_, "a.test"));
}

INSTANTIATE_TEST_SUITE_P(Versions, ResumptionTest, WaysToResume(), VersionName);

class ServerSessionCacheTest : public TlsTest {
 protected:
  std::shared_ptr<const ServerTlsConfig> Config(std::shared_ptr<ServerSessionCache> cache) {
    ServerTlsOptions options;
    options.session_cache = std::move(cache);
    return MakeServerConfig(std::move(options));
  }

  bool Connects(ResumingClient& client, const std::shared_ptr<const ServerTlsConfig>& config) {
    return client.Connect(config, loop_, "a.test");
  }
};

TEST_F(ServerSessionCacheTest, WithoutACacheClientsWithoutTicketsDoNotResume) {
  ResumingClient client(kTls12WithoutTickets);
  const auto config = Config(nullptr);
  EXPECT_FALSE(Connects(client, config));
  EXPECT_EQ(client.sessions(), 0u);
}

TEST_F(ServerSessionCacheTest, KeepsNothingForClientsWithTickets) {
  const auto cache = std::make_shared<ServerSessionCache>();
  const auto config = Config(cache);
  for (const uint16_t version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    ResumingClient client(version);
    EXPECT_FALSE(Connects(client, config));
    EXPECT_TRUE(Connects(client, config));
  }
  EXPECT_EQ(cache->sessions(), 0u);
}

TEST_F(ServerSessionCacheTest, TheLeastRecentlyUsedIsEvictedFirst) {
  const auto cache = std::make_shared<ServerSessionCache>(2);
  const auto config = Config(cache);
  ResumingClient one(kTls12WithoutTickets);
  ResumingClient two(kTls12WithoutTickets);
  ResumingClient three(kTls12WithoutTickets);
  EXPECT_FALSE(Connects(one, config));
  EXPECT_FALSE(Connects(two, config));
  EXPECT_TRUE(Connects(one, config));
  EXPECT_FALSE(Connects(three, config));
  EXPECT_EQ(cache->sessions(), 2u);
  EXPECT_TRUE(Connects(one, config));
  EXPECT_TRUE(Connects(three, config));
  EXPECT_FALSE(Connects(two, config));
  EXPECT_EQ(cache->sessions(), 2u);
}

TEST_F(ServerSessionCacheTest, ClearForgetsAll) {
  const auto cache = std::make_shared<ServerSessionCache>();
  const auto config = Config(cache);
  ResumingClient client(kTls12WithoutTickets);
  EXPECT_FALSE(Connects(client, config));
  EXPECT_EQ(cache->sessions(), 1u);
  cache->Clear();
  EXPECT_EQ(cache->sessions(), 0u);
  EXPECT_FALSE(Connects(client, config));
}

TEST_F(ServerSessionCacheTest, ACapacityOfZeroIsNoCache) {
  const auto cache = std::make_shared<ServerSessionCache>(0);
  const auto config = Config(cache);
  ResumingClient client(kTls12WithoutTickets);
  EXPECT_FALSE(Connects(client, config));
  EXPECT_FALSE(Connects(client, config));
  EXPECT_EQ(cache->sessions(), 0u);
}

}  // namespace
}  // namespace trestle::testing
