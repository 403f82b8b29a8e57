// Encrypted ClientHellos: opened, rejected, with rotated keys; and unusable keys.
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pki/pem_rules.h"
#include "tests/tls/ech_pair.h"
#include "tests/tls/resuming_client.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/tls/ech_keys.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int kEchRequired = 121;

class EchTest : public TlsTest {
 protected:
  std::shared_ptr<const ServerTlsConfig> Config(std::shared_ptr<EchKeys> keys) {
    ServerTlsOptions options;
    options.certificates = MakeStore({LeafFor("public.test"), LeafFor("hidden.test")});
    options.ech_keys = std::move(keys);
    return MakeServerConfig(std::move(options));
  }

  // Connects for "hidden.test" with the configs of `list`.
  std::unique_ptr<ResumingClient::Connection> Connect(
      const std::shared_ptr<const ServerTlsConfig>& config, const std::string& list) {
    auto connection = std::make_unique<ResumingClient::Connection>(ResumingClient::Connection{
        TlsEngine::NewServer(config, loop_, Leg::kFront), {client_.context(), false}});
    SSL* const ssl = connection->client.ssl();
    SSL_set_tlsext_host_name(ssl, "hidden.test");
    EXPECT_TRUE(
        SSL_set1_ech_config_list(ssl, reinterpret_cast<const uint8_t*>(list.data()), list.size()));
    connection->client.Handshake(*connection->server);
    return connection;
  }

  // Returns the configs that the server sent to a rejected client.
  static std::string RetryConfigs(ResumingClient::Connection& connection) {
    const uint8_t* configs = nullptr;
    size_t bytes = 0;
    SSL_get0_ech_retry_configs(connection.client.ssl(), &configs, &bytes);
    return std::string(reinterpret_cast<const char*>(configs), bytes);
  }

  static absl::Status Refusal(const std::string& pem) { return EchKeys::FromPem(pem).status(); }

  ResumingClient client_{TLS1_3_VERSION};
  const EchPair old_ = NewEchPair(1, "public.test");
  const EchPair new_ = NewEchPair(2, "public.test");
};

TEST_F(EchTest, TheHiddenNameIsServed) {
  const auto keys = *EchKeys::FromPem(old_.pem());
  const auto config = Config(keys);
  const auto connection = Connect(config, old_.config_list);
  ASSERT_TRUE(connection->server->handshake_done()) << connection->server->status();
  EXPECT_TRUE(SSL_ech_accepted(connection->client.ssl()));
  EXPECT_TRUE(connection->server->info().ech_accepted);
  EXPECT_EQ(connection->server->info().server_name, "hidden.test");
  EXPECT_EQ(connection->server->info().local_chain.front().dns_names.front(), "hidden.test");
  EXPECT_EQ(keys->PublishedConfigs(), absl::Base64Escape(old_.config_list));
}

TEST_F(EchTest, IsOffByDefault) {
  const auto config = Config(nullptr);
  const auto connection = Connect(config, old_.config_list);
  EXPECT_FALSE(connection->server->info().ech_accepted);
  EXPECT_EQ(connection->server->info().server_name, "public.test");
  EXPECT_TRUE(RetryConfigs(*connection).empty());
}

TEST_F(EchTest, PlainHellosAreServed) {
  const auto config = Config(*EchKeys::FromPem(old_.pem()));
  EXPECT_FALSE(client_.Connect(config, loop_, "hidden.test"));
  EXPECT_FALSE(client_.info().ech_accepted);
}

TEST_F(EchTest, OutdatedConfigsAreAnsweredWithNewOnes) {
  const auto config = Config(*EchKeys::FromPem(new_.pem()));
  const auto connection = Connect(config, old_.config_list);
  EXPECT_EQ(ReadAll(*connection->server), "");
  EXPECT_EQ(CodeOf(connection->server->status()), ErrorCode::kPeerAlert);
  EXPECT_EQ(AlertOf(connection->server->status()), kEchRequired);
  EXPECT_EQ(connection->server->info().local_chain.front().dns_names.front(), "public.test");
  ASSERT_EQ(RetryConfigs(*connection), new_.config_list);
  EXPECT_TRUE(Connect(config, RetryConfigs(*connection))->server->info().ech_accepted);
}

TEST_F(EchTest, KeysRotateWhileTheConfigIsInUse) {
  const auto keys = *EchKeys::FromPem(old_.pem());
  const auto config = Config(keys);
  const auto accepted = [&](const EchPair& pair) {
    return Connect(config, pair.config_list)->server->info().ech_accepted;
  };
  EXPECT_TRUE(accepted(old_));
  EXPECT_FALSE(accepted(new_));
  ASSERT_TRUE(keys->Replace(old_.pem() + new_.pem()).ok());
  EXPECT_TRUE(accepted(old_));
  EXPECT_TRUE(accepted(new_));
  EXPECT_EQ(keys->PublishedConfigs(), absl::Base64Escape(old_.config_list));
  ASSERT_TRUE(keys->Replace(new_.pem() + old_.pem()).ok());
  EXPECT_TRUE(accepted(old_));
  EXPECT_EQ(keys->PublishedConfigs(), absl::Base64Escape(new_.config_list));
  ASSERT_TRUE(keys->Replace(new_.pem()).ok());
  EXPECT_FALSE(accepted(old_));
  EXPECT_EQ(CodeOf(keys->Replace("nonsense")), ErrorCode::kConfiguration);
  EXPECT_TRUE(accepted(new_)) << "an invalid file changes nothing";
}

TEST_F(EchTest, KeysMayOutliveTheirConfigs) {
  const auto keys = *EchKeys::FromPem(old_.pem());
  Config(keys).reset();
  EXPECT_TRUE(keys->Replace(new_.pem()).ok());
}

TEST_F(EchTest, SessionsAreResumedUnderTheHiddenName) {
  const auto config = Config(*EchKeys::FromPem(old_.pem()));
  EXPECT_FALSE(client_.Connect(config, loop_, "hidden.test"));
  EXPECT_TRUE(client_.Connect(config, loop_, "hidden.test"));
}

TEST_F(EchTest, ThePublicNameNeedsACertificate) {
  ServerTlsOptions options;
  options.certificates = MakeStore({LeafFor("hidden.test")});
  options.ech_keys = *EchKeys::FromPem(old_.pem());
  const absl::Status refused = ServerTlsConfig::Create(std::move(options)).status();
  EXPECT_EQ(CodeOf(refused), ErrorCode::kConfiguration);
  EXPECT_THAT(refused.message(), HasSubstr("no certificate for \"public.test\""));
}

TEST_F(EchTest, UnusableKeysAreRejected) {
  EXPECT_THAT(Refusal("").message(), HasSubstr("no PEM blocks"));
  EXPECT_THAT(Refusal(old_.key_pem).message(), HasSubstr("has no ECHCONFIG"));
  EXPECT_THAT(Refusal(old_.key_pem + old_.pem()).message(), HasSubstr("has no ECHCONFIG"));
  EXPECT_THAT(Refusal(old_.config_pem()).message(), HasSubstr("no private key before it"));
  EXPECT_THAT(Refusal(old_.key_pem + new_.config_pem()).message(),
              HasSubstr("doesn't belong to the private key"));
  EXPECT_THAT(Refusal(pki_.Issue(LeafFor("a.test")).key + old_.config_pem()).message(),
              HasSubstr("not an X25519 key"));
  EXPECT_THAT(Refusal("-----BEGIN PRIVATE KEY-----\n").message(), HasSubstr("damaged"));
  EXPECT_THAT(Refusal(old_.key_pem + PemBlock("ECHCONFIG", std::string(1, '\0'))).message(),
              HasSubstr("damaged"));
  EXPECT_THAT(
      Refusal(old_.key_pem + PemBlock("ECHCONFIG", std::string("\0\4\xfe\x0d\0\0", 6))).message(),
      HasSubstr("not of RFC 9849"));
  EXPECT_THAT(Refusal(old_.pem() + NewEchPair(1, "public.test").pem()).message(),
              HasSubstr("two ECHConfigs have the config id 1"));
  std::string many;
  for (uint8_t id = 0; id <= EchKeys::kMaxKeys; ++id) many += NewEchPair(id, "public.test").pem();
  EXPECT_THAT(Refusal(many).message(), HasSubstr("more than 16"));
  EXPECT_EQ(CodeOf(Refusal(many)), ErrorCode::kConfiguration);
}

TEST_F(EchTest, EveryBlockOfAPemTextIsUsedOrRejected) {
  const EchPair ech = NewEchPair(1, "public.test");
  ExpectPemRules({"the text of the ECH keys", ech.pem(),
                  [](const std::string& text) { return EchKeys::FromPem(text).status(); }});
  EXPECT_THAT(
      GetError(EchKeys::FromPem(ech.key_pem + PemBlock("ECHCONFIG", "no config")).status())->detail,
      StartsWith("the text of the ECH keys, line 4: "));
}

}  // namespace
}  // namespace trestle::testing
