// The shim's reading of the runner's command line.
#include "tests/bogo/flags.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace trestle::bogo {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

CommandLine Parse(std::vector<const char*> arguments) {
  std::vector<char*> mutable_arguments;
  for (const char* argument : arguments) mutable_arguments.push_back(const_cast<char*>(argument));
  return ParseCommandLine(mutable_arguments);
}

TEST(FlagsTest, APrefixLimitsAFlagToSomeConnections) {
  const CommandLine line = Parse({"-server", "-on-initial-select-alpn", "foo",
                                  "-on-resume-select-alpn", "bar", "-on-shim-curves", "29"});
  EXPECT_EQ(line.unmapped, "");
  EXPECT_TRUE(line.initial.server && line.resume.server);
  EXPECT_EQ(line.initial.select_alpn, "foo");
  EXPECT_EQ(line.resume.select_alpn, "bar");
  EXPECT_THAT(line.resume.curves, ElementsAre(29));
}

TEST(FlagsTest, FilesBelongToTheNewestCredential) {
  const CommandLine line = Parse({"-cert-file", "a", "-new-x509-credential", "-cert-file", "b",
                                  "-new-x509-credential", "-cert-file", "c", "-key-file", "k"});
  EXPECT_EQ(line.initial.default_credential.chain, "a");
  ASSERT_EQ(line.initial.credentials.size(), 2u);
  EXPECT_EQ(line.initial.credentials[0].chain, "b");
  EXPECT_EQ(line.initial.credentials[1].chain, "c");
  EXPECT_EQ(line.initial.credentials[1].key, "k");
  EXPECT_FALSE(line.initial.sets_below);
}

TEST(FlagsTest, AFlagThatIsNotMappedHasAReason) {
  EXPECT_EQ(Parse({"-enable-early-data"}).unmapped, "0-RTT is off in Trestle");
  EXPECT_EQ(Parse({"-on-resume-renegotiate-once"}).unmapped, "no renegotiation");
  EXPECT_EQ(Parse({"-on-handshaker-key-file", "k"}).unmapped,
            "no split handshakes or handshake hints");
  EXPECT_THAT(Parse({"-brand-new"}).unmapped, HasSubstr("a flag that no list has: -brand-new"));
}

// The case's name is known even so.
TEST(FlagsTest, TheProtocolIsTheReasonThatCounts) {
  const CommandLine line =
      Parse({"-new-rpk-credential", "-key-file", "k", "-dtls", "-write-settings", "/tmp/Case-"});
  EXPECT_THAT(line.unmapped, HasSubstr("DTLS"));
  EXPECT_EQ(line.initial.write_settings, "/tmp/Case-");
}

TEST(FlagsTest, ValuesAreRead) {
  EXPECT_THAT(Parse({"-port", "many"}).unmapped, HasSubstr("can't read: -port"));
  EXPECT_THAT(Parse({"-expect-ocsp-response", "?"}).unmapped, HasSubstr("can't read"));
  EXPECT_THAT(Parse({"-port"}).unmapped, HasSubstr("without a value"));
  EXPECT_TRUE(Parse({"-cipher", "ALL"}).initial.sets_below);
}

}  // namespace
}  // namespace trestle::bogo
