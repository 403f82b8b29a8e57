#include "integrations/http1/xfcc.h"

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace trestle {
namespace {

PeerIdentity Alice() {
  PeerIdentity identity;
  identity.subject = "CN=alice,O=Example";
  identity.uri_names = {"spiffe://td.test/alice"};
  identity.dns_names = {"a.test", "b.test"};
  identity.certificate_sha256.fill(0xab);
  return identity;
}

std::string Digest() {
  std::string text;
  for (int i = 0; i < 32; ++i) text += "ab";
  return text;
}

TEST(XfccTest, HasAllKnownFields) {
  XfccOptions options;
  options.by = "spiffe://td.test/edge";
  EXPECT_EQ(XfccElement(Alice(), options),
            absl::StrCat("By=spiffe://td.test/edge;Hash=", Digest(),
                         ";Subject=\"CN=alice,O=Example\";URI=spiffe://td.test/alice;DNS=a.test;"
                         "DNS=b.test"));
}

TEST(XfccTest, HasTheCertificateIfConfigured) {
  PeerIdentity identity = Alice();
  identity.certificates = {std::string(50, '\xff'), "issuer"};
  identity.uri_names.clear();
  identity.dns_names.clear();
  XfccOptions options;
  options.certificate = true;
  std::string lines;  // Of 64 characters, each a '/'.
  for (int i = 0; i < 64; ++i) lines += "%2F";
  EXPECT_EQ(XfccElement(identity, options),
            absl::StrCat("Hash=", Digest(), ";Cert=\"-----BEGIN%20CERTIFICATE-----%0A", lines,
                         "%0A%2F%2F8%3D%0A-----END%20CERTIFICATE-----%0A\";",
                         "Subject=\"CN=alice,O=Example\""));
  identity.certificates.clear();
  EXPECT_EQ(XfccElement(identity, options), XfccElement(identity));
}

TEST(XfccTest, HasAsManyWholeNamesAsFit) {
  PeerIdentity identity = Alice();
  identity.dns_names.clear();
  for (int i = 0; i < 800; ++i) identity.dns_names.push_back(absl::StrCat("name", i, ".a.test"));
  const std::string value = XfccElement(identity);
  EXPECT_LT(value.size(), 8u * 1024);
  EXPECT_GT(value.size(), 6u * 1024);
  EXPECT_TRUE(absl::StrContains(value, ";URI=spiffe://td.test/alice;DNS=name0.a.test;"));
  EXPECT_TRUE(absl::EndsWith(value, ".a.test")) << value.substr(value.size() - 50);
  XfccOptions options;
  options.max_name_bytes = 18 + 25 + 19;  // The subject, and all but the last byte of the names.
  identity.dns_names = {"a.test", "b.test"};
  EXPECT_TRUE(absl::EndsWith(XfccElement(identity, options), "/alice;DNS=a.test"));
  options.max_name_bytes = 17;
  EXPECT_EQ(XfccElement(identity, options), absl::StrCat("Hash=", Digest(), ";Subject=\"\""));
}

TEST(XfccTest, OmitsMissingFields) {
  PeerIdentity identity = Alice();
  identity.uri_names.clear();
  identity.dns_names.clear();
  identity.subject.clear();
  EXPECT_EQ(XfccElement(identity), absl::StrCat("Hash=", Digest(), ";Subject=\"\""));
}

TEST(XfccTest, ValuesWithSeparatorsAreQuoted) {
  PeerIdentity identity = Alice();
  identity.dns_names = {};
  identity.uri_names = {"urn:x;y=z,w"};
  EXPECT_TRUE(absl::EndsWith(XfccElement(identity), ";URI=\"urn:x;y=z,w\""));
}

// The owner of a certificate may have chosen its names: no name may end its value early.
TEST(XfccTest, NoNameEndsItsValueEarly) {
  PeerIdentity identity = Alice();
  identity.subject = R"(CN=a\",Hash=0\\)";
  identity.uri_names = {R"(urn:x";URI=spiffe://td.test/admin;A="\)"};
  identity.dns_names = {};
  const std::string value = XfccElement(identity);
  EXPECT_EQ(value, absl::StrCat("Hash=", Digest(), R"(;Subject="CN=a\22,Hash=0\5C")",
                                R"(;URI="urn:x%22;URI=spiffe://td.test/admin;A=%22%5C")"));
  // Exactly two quotes for each of the two quoted values.
  EXPECT_EQ(std::count(value.begin(), value.end(), '"'), 4);
}

}  // namespace
}  // namespace trestle
