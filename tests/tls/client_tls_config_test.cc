#include "trestle/tls/client_tls_config.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/tls/client_tls_target.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;

std::string DetailOf(const absl::Status& status) {
  std::optional<Error> error = GetError(status);
  return error.has_value() ? error->detail : "no Error";
}

class ClientTlsConfigTest : public TlsTest {};

TEST_F(ClientTlsConfigTest, RejectsClientsWithoutUsableRoots) {
  ClientTlsOptions options;
  EXPECT_THAT(DetailOf(ClientTlsConfig::Create(options).status()), HasSubstr("no CA"));
  options.ca_pem = "nothing of use";
  EXPECT_THAT(DetailOf(ClientTlsConfig::Create(options).status()), HasSubstr("no PEM block"));
  options.ca_pem = pki_.ca_pem().substr(0, pki_.ca_pem().size() / 2);
  EXPECT_THAT(DetailOf(ClientTlsConfig::Create(options).status()), HasSubstr("damaged"));
  options.ca_pem = pki_.ca_pem() + "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
  EXPECT_THAT(DetailOf(ClientTlsConfig::Create(options).status()), HasSubstr("doesn't parse"));
  options.ca_pem = pki_.ca_pem() + pki_.ca_pem();
  EXPECT_TRUE(ClientTlsConfig::Create(options).ok());
  ClientTlsOptions trusting;
  trusting.dangerous_skip_verify = true;
  EXPECT_TRUE(ClientTlsConfig::Create(trusting).ok());
}

TEST_F(ClientTlsConfigTest, RejectsClientTargetsWithoutAName) {
  const auto config = MakeClientConfig();
  for (const char* name : {"", ".", "a b", "a..test", "-a.test", "*.a.test", "[::1]", "a.test:443",
                           "1.2.3", "http://a.test"}) {
    const auto client = TlsEngine::NewClient(config, {name, {}}, loop_, Leg::kBack);
    EXPECT_EQ(CodeOf(client.status()), ErrorCode::kConfiguration) << name;
    EXPECT_EQ(GetError(client.status())->leg, Leg::kBack);
  }
  EXPECT_EQ(CodeOf(TlsEngine::NewClient(config, {"a.test", {""}}, loop_, Leg::kBack).status()),
            ErrorCode::kConfiguration);
  for (const char* name : {"a.test", "A.Test.", "localhost", "my_host.test", "192.0.2.1", "::1"}) {
    EXPECT_TRUE(TlsEngine::NewClient(config, {name, {}}, loop_, Leg::kBack).ok()) << name;
  }
}

}  // namespace
}  // namespace trestle::testing
