#include "lib/pki/x509_certificate.h"

#include <optional>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pki/pki_fixture.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;

class X509CertificateTest : public PkiTest {
 protected:
  CertificateInfo Describe(const LeafSpec& leaf) const {
    return DescribeCertificate(ChainOf(pki_.Issue(leaf).chain).front().get());
  }
};

TEST_F(X509CertificateTest, DescribesTheCertificate) {
  for (const auto& [type, text] :
       {std::pair(KeyType::kEcdsa, "ECDSA P-256"), std::pair(KeyType::kRsa, "RSA 2048"),
        std::pair(KeyType::kEd25519, "Ed25519")}) {
    LeafSpec leaf = LeafFor("a.test", type);
    leaf.dns_names.push_back("*.B.test");
    leaf.ip_names = {"192.0.2.1", "2001:db8::1"};
    leaf.uri_names = {"spiffe://example.org/a"};
    leaf.common_name = "common, name";
    leaf.not_before = now_ - absl::Hours(1);
    leaf.not_after = now_ + absl::Hours(1);
    const CertificateInfo info = Describe(leaf);
    EXPECT_EQ(info.subject, "CN=common\\, name");
    EXPECT_EQ(info.issuer, "CN=Trestle Test CA");
    EXPECT_THAT(info.dns_names, ElementsAre("a.test", "*.b.test"));
    EXPECT_THAT(info.ip_names, ElementsAre("192.0.2.1", "2001:db8::1"));
    EXPECT_THAT(info.uri_names, ElementsAre("spiffe://example.org/a"));
    EXPECT_EQ(info.serial.size(), 32u);
    EXPECT_EQ(info.key, text);
    EXPECT_EQ(info.signature, "ecdsa-with-SHA256") << "by the CA's key";
    EXPECT_EQ(info.not_before, leaf.not_before);
    EXPECT_EQ(info.not_after, leaf.not_after);
  }
}

TEST_F(X509CertificateTest, KeepsTextsPrintable) {
  LeafSpec leaf;
  leaf.common_name = "line\nbreak \x1b[31m \xc3\xa9";
  leaf.dns_names = {std::string("nul\0.test", 9), "good.test"};
  const CertificateInfo info = Describe(leaf);
  EXPECT_EQ(info.subject, "CN=line\\0Abreak \\1B[31m \\C3\\A9");
  EXPECT_THAT(info.dns_names, ElementsAre("nul\\x00.test", "good.test"));
}

TEST_F(X509CertificateTest, ConvertsAddressesBetweenTextAndBytes) {
  EXPECT_EQ(IpText(AsBytes("\x01\x02\x03")), "0x010203") << "neither 4 nor 16 bytes";
  for (const char* address : {"192.0.2.1", "2001:db8::1"}) {
    const std::optional<std::string> bytes = ParseIp(address);
    ASSERT_TRUE(bytes.has_value()) << address;
    EXPECT_EQ(IpText(AsBytes(*bytes)), address);
  }
  for (const char* other : {"", "a.test", "192.0.2", "192.0.2.256", "2001:db8::g"}) {
    EXPECT_FALSE(ParseIp(other).has_value()) << other;
  }
}

}  // namespace
}  // namespace trestle::testing
