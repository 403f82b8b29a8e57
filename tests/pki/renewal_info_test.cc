#include "trestle/pki/renewal_info.h"

#include <string>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"
#include "trestle/testing/test_pki.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;

// The certificate of RFC 9773, appendix A, and its identifier in section 4.1.
constexpr char kExampleBase64[] =
    "MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt"
    "cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS"
    "BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu"
    "7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf"
    "qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B"
    "yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb"
    "+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK";
constexpr char kExampleId[] = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";

std::string Example() {
  std::string der;
  EXPECT_TRUE(absl::Base64Unescape(kExampleBase64, &der));
  return der;
}

TEST(RenewalIdTest, IsThatOfTheRfcsExample) {
  const auto id = RenewalIdOf(Example());
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_EQ(*id, kExampleId);
}

TEST(RenewalIdTest, DiffersBetweenCertificatesOfOneIssuer) {
  const TestPki pki(absl::FromUnixSeconds(1'767'225'600));
  LeafSpec leaf;
  leaf.dns_names = {"a.test"};
  leaf.authority_key_id = true;
  const auto first = RenewalIdOf(pki.IssueCredential(leaf)->served().certificates.front());
  const auto second = RenewalIdOf(pki.IssueCredential(leaf)->served().certificates.front());
  ASSERT_TRUE(first.ok() && second.ok()) << first.status() << second.status();
  EXPECT_NE(*first, *second);
  EXPECT_EQ(first->substr(0, first->find('.')), second->substr(0, second->find('.')));
  EXPECT_EQ(
      first->find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "-_."),
      std::string::npos);
}

TEST(RenewalIdTest, NeedsAnAuthorityKeyIdentifier) {
  const TestPki pki(absl::FromUnixSeconds(1'767'225'600));
  LeafSpec leaf;
  leaf.dns_names = {"a.test"};
  const auto id = RenewalIdOf(pki.IssueCredential(leaf)->served().certificates.front());
  EXPECT_EQ(GetError(id.status())->code, ErrorCode::kConfiguration);
  EXPECT_THAT(GetError(id.status())->detail, HasSubstr("\"CN=a.test\" has no renewal identifier"));
}

TEST(RenewalIdTest, BytesThatAreNoCertificateAreRefused) {
  for (size_t bytes = 0; bytes < Example().size(); bytes += 37) {
    EXPECT_FALSE(RenewalIdOf(Example().substr(0, bytes)).ok()) << bytes;
  }
}

}  // namespace
}  // namespace trestle::testing
