#include "trestle/pki/spiffe_id.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pki/pki_fixture.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;

TEST(SpiffeIdTest, SplitsAnId) {
  const auto id = SpiffeId::Parse("spiffe://prod.example-1.org_/ns/a_b/sa/C.d-1");
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_EQ(id->trust_domain, "prod.example-1.org_");
  EXPECT_EQ(id->path, "/ns/a_b/sa/C.d-1");
  EXPECT_EQ(id->ToString(), "spiffe://prod.example-1.org_/ns/a_b/sa/C.d-1");
  EXPECT_EQ(SpiffeId::Parse("spiffe://example.org")->path, "");
}

TEST(SpiffeIdTest, RefusesWhatIsNoId) {
  const std::string long_domain(SpiffeId::kMaxTrustDomainBytes + 1, 'a');
  const std::string long_path(SpiffeId::kMaxBytes, 'a');
  for (const std::string& text : {std::string(),
                                  std::string("example.org/a"),
                                  std::string("https://example.org/a"),
                                  std::string("SPIFFE://example.org/a"),
                                  std::string("spiffe://"),
                                  std::string("spiffe:///a"),
                                  std::string("spiffe://Example.org/a"),
                                  std::string("spiffe://example.org:80/a"),
                                  std::string("spiffe://user@example.org/a"),
                                  std::string("spiffe://example.org/"),
                                  std::string("spiffe://example.org/a/"),
                                  std::string("spiffe://example.org//a"),
                                  std::string("spiffe://example.org/./a"),
                                  std::string("spiffe://example.org/../a"),
                                  std::string("spiffe://example.org/a?b"),
                                  std::string("spiffe://example.org/a#b"),
                                  std::string("spiffe://example.org/a%2fb"),
                                  std::string("spiffe://example.org/a\0b", 24),
                                  "spiffe://" + long_domain,
                                  "spiffe://example.org/" + long_path}) {
    EXPECT_THAT(ConfigurationFault(SpiffeId::Parse(text).status()), HasSubstr("is no SPIFFE ID"))
        << text;
  }
}

TEST(SpiffeIdTest, PatternsAreIdsOrPrefixes) {
  EXPECT_TRUE(CheckSpiffePattern("spiffe://example.org/a").ok());
  EXPECT_TRUE(CheckSpiffePattern("spiffe://example.org/a/*").ok());
  EXPECT_TRUE(CheckSpiffePattern("spiffe://example.org/*").ok());
  for (const char* const pattern :
       {"spiffe://*/a", "spiffe://*.example.org/a", "spiffe://example.org/a*",
        "spiffe://example.org/*/a", "spiffe://example.org/a/**", "*", "", "/*"}) {
    EXPECT_NE(ConfigurationFault(CheckSpiffePattern(pattern)), "") << pattern;
  }
}

TEST(SpiffeIdTest, APrefixCoversWholeSegmentsOnly) {
  EXPECT_TRUE(CoversUri("spiffe://example.org/a", "spiffe://example.org/a"));
  EXPECT_TRUE(CoversUri("spiffe://example.org/a/*", "spiffe://example.org/a/b/c"));
  EXPECT_TRUE(CoversUri("spiffe://example.org/*", "spiffe://example.org/a"));
  EXPECT_FALSE(CoversUri("spiffe://example.org/a", "spiffe://example.org/ab"));
  EXPECT_FALSE(CoversUri("spiffe://example.org/a/*", "spiffe://example.org/ab"));
  EXPECT_FALSE(CoversUri("spiffe://example.org/a/*", "spiffe://example.org/a"));
  EXPECT_FALSE(CoversUri("spiffe://example.org/a/*", "spiffe://example.org/a/"));
  EXPECT_FALSE(CoversUri("spiffe://example.org/a/*", "spiffe://example.org/a/../b"));
  EXPECT_FALSE(CoversUri("spiffe://example.org/a/*", "spiffe://example.org/a/.."));
  EXPECT_FALSE(CoversUri("spiffe://example.org/*", "spiffe://example.org.evil.test/a"));
}

}  // namespace
}  // namespace trestle::testing
