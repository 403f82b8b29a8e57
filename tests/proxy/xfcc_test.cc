#include "trestle/proxy/xfcc.h"

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

TEST(XfccTest, HasAllThatIsKnown) {
  EXPECT_EQ(XfccElement(Alice(), "spiffe://td.test/edge"),
            absl::StrCat("By=spiffe://td.test/edge;Hash=", Digest(),
                         ";Subject=\"CN=alice,O=Example\";URI=spiffe://td.test/alice;DNS=a.test;"
                         "DNS=b.test"));
}

TEST(XfccTest, LeavesOutWhatThereIsNot) {
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

// A certificate's owner may have chosen its names: none may end its value early.
TEST(XfccTest, NoNameBreaksOutOfItsValue) {
  PeerIdentity identity = Alice();
  identity.subject = R"(CN=a\",Hash=0\\)";
  identity.uri_names = {R"(urn:x";URI=spiffe://td.test/admin;A="\)"};
  identity.dns_names = {};
  const std::string value = XfccElement(identity);
  EXPECT_EQ(value, absl::StrCat("Hash=", Digest(), R"(;Subject="CN=a\22,Hash=0\5C")",
                                R"(;URI="urn:x%22;URI=spiffe://td.test/admin;A=%22%5C")"));
  // Two quotes for each of the two quoted values, and none more.
  EXPECT_EQ(std::count(value.begin(), value.end(), '"'), 4);
}

}  // namespace
}  // namespace trestle
