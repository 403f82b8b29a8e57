// Invalid configurations of client authentication: each contradiction and unusable file is rejected
// with its own text.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/tls/client_authentication.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;

class ClientPolicyTest : public TlsTest {
 protected:
  std::string Refusal(const ClientAuthOptions& options) {
    const auto made = ClientAuthentication::Create(options);
    if (made.ok()) return "";
    EXPECT_EQ(CodeOf(made.status()), ErrorCode::kConfiguration);
    return GetError(made.status())->detail;
  }

  std::string Refusal(const ClientAuthPolicy& policy) {
    ClientAuthOptions options;
    options.by_name = {{"a.test", policy}};
    return Refusal(options);
  }

  ClientAuthPolicy Required() {
    ClientAuthPolicy policy;
    policy.certificate = ClientCertificate::kRequired;
    policy.trust = *TrustStore::Create(pki_.ca_pem());
    return policy;
  }
};

TEST_F(ClientPolicyTest, ContradictionsAreRejected) {
  EXPECT_EQ(Refusal(Required()), "");
  ClientAuthPolicy policy = Required();
  policy.trust = nullptr;
  EXPECT_THAT(Refusal(policy), HasSubstr("no CAs to trust"));
  policy = Required();
  policy.max_intermediates = 9;
  EXPECT_THAT(Refusal(policy), HasSubstr("limit of intermediate certificates is 9"));
  policy.max_intermediates = -1;
  EXPECT_THAT(Refusal(policy), HasSubstr("-1"));
  policy = Required();
  policy.allowed.dns_names = {"a.*.test"};
  EXPECT_THAT(Refusal(policy), HasSubstr("a star may only be"));
  policy = Required();
  policy.allowed.uri_names = {"a.test"};
  EXPECT_THAT(Refusal(policy), HasSubstr("is no URI"));
}

TEST_F(ClientPolicyTest, NamesAreCheckedAndUnique) {
  ClientAuthOptions options;
  options.by_name = {{"a..test", Required()}};
  EXPECT_THAT(Refusal(options), HasSubstr("empty label"));
  options.by_name = {{"*.a.test", Required()}, {"*.A.test.", ClientAuthPolicy()}};
  EXPECT_THAT(Refusal(options), HasSubstr("two client policies for \"*.a.test\""));
}

}  // namespace
}  // namespace trestle::testing
