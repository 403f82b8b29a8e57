#include "trestle/wire/server_name.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace trestle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Normal(absl::string_view name, const ServerNameRules& rules = {}) {
  absl::StatusOr<std::string> normal = NormalizeServerName(name, rules);
  return normal.ok() ? *normal : absl::StrCat("refused: ", normal.status().message());
}

TEST(ServerNameTest, ConvertsAsciiLettersToLowerCase) {
  EXPECT_EQ(Normal("a.test"), "a.test");
  EXPECT_EQ(Normal("A.TEST"), "a.test");
  EXPECT_EQ(Normal("a.TeSt"), "a.test");
  EXPECT_EQ(Normal("XN--Bcher-Kva.Example"), "xn--bcher-kva.example");
  EXPECT_EQ(Normal("AZaz09-x.test"), "azaz09-x.test");
}

TEST(ServerNameTest, DropsOneTrailingDot) {
  EXPECT_EQ(Normal("a.test."), "a.test");
  EXPECT_THAT(Normal("a.test.."), HasSubstr("empty label"));
  EXPECT_THAT(Normal("."), HasSubstr("empty name"));
}

TEST(ServerNameTest, AcceptsSingleLabelsWithDigits) {
  EXPECT_EQ(Normal("localhost"), "localhost");
  EXPECT_EQ(Normal("1.2.3.4.example"), "1.2.3.4.example");
  EXPECT_EQ(Normal("4a"), "4a");
  EXPECT_EQ(Normal("0xag"), "0xag");
}

struct RefusedName {
  absl::string_view name;
  absl::string_view reason;
};

TEST(ServerNameTest, RejectsWithAReason) {
  const std::string label64(64, 'a');
  const std::string name300 =
      absl::StrCat(std::string(60, 'a'), ".", std::string(60, 'b'), ".", std::string(60, 'c'), ".",
                   std::string(60, 'd'), ".", std::string(56, 'e'));
  const std::string name15000(15000, 'x');
  const std::string label64_test = label64 + ".test";
  const RefusedName kRefused[] = {
      {"", "empty name"},
      {"..", "empty label"},
      {".a.test", "empty label"},
      {"a..test", "empty label"},
      {"-a.test", "hyphen"},
      {"a-.test", "hyphen"},
      {"a.-test", "hyphen"},
      {"-", "hyphen"},
      {label64_test, "63"},
      {name300, "253"},
      {name15000, "253"},
      {absl::string_view("a.test\0", 7), "NUL"},
      {absl::string_view("a.test\0.evil", 12), "NUL"},
      {absl::string_view("\0a.test", 7), "NUL"},
      {"127.0.0.1", "IPv4"},
      {"127.0.0.1.", "IPv4"},
      {"127.1", "IPv4"},
      {"2130706433", "IPv4"},
      {"0x7f.0.0.0x1", "IPv4"},
      {"0X7F000001", "IPv4"},
      {"a.test.1", "IPv4"},
      {"::1", "IPv6"},
      {"[::1]", "IPv6"},
      {"2001:db8::1", "IPv6"},
      {"a.test:443", "port"},
      {"b\xc3\xbc"
       "cher.test",
       "outside ASCII"},
      {"a\a.test", "not a letter, digit or hyphen"},
      {"\x1b[31m.test", "not a letter, digit or hyphen"},
      {" a.test", "not a letter, digit or hyphen"},
      {"a.test ", "not a letter, digit or hyphen"},
      {"a.test\n", "not a letter, digit or hyphen"},
      {"a/b.test", "not a letter, digit or hyphen"},
      {"a@b.test", "not a letter, digit or hyphen"},
      {"*.wild.test", "'*'"},
  };
  for (const RefusedName& refused : kRefused) {
    SCOPED_TRACE(EscapeForLog(refused.name));
    absl::StatusOr<std::string> normal = NormalizeServerName(refused.name);
    ASSERT_FALSE(normal.ok());
    EXPECT_EQ(normal.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(normal.status().message()), HasSubstr(std::string(refused.reason)));
  }
}

TEST(ServerNameTest, EnforcesTheLimitsToTheByte) {
  const std::string label63(63, 'a');
  EXPECT_EQ(Normal(label63 + ".test"), label63 + ".test");
  std::string name = absl::StrCat(label63, ".", label63, ".", label63, ".", std::string(61, 'b'));
  ASSERT_EQ(name.size(), kMaxServerNameBytes);
  EXPECT_EQ(Normal(name), name);
  EXPECT_EQ(Normal(name + "."), name);
  EXPECT_THAT(Normal(name + "b"), HasSubstr("253"));
}

TEST(ServerNameTest, AcceptsBytesAsInRfc1123) {
  for (int c = 0; c < 256; ++c) {
    const bool letter_or_digit =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    const std::string name = absl::StrCat("x", std::string(1, static_cast<char>(c)), "y.test");
    EXPECT_EQ(NormalizeServerName(name).ok(), letter_or_digit || c == '-' || c == '.' || c == '_')
        << c;
  }
}

TEST(ServerNameTest, RejectsUnderscoresOnlyIfConfigured) {
  EXPECT_EQ(Normal("_Dmarc.a_b.test_"), "_dmarc.a_b.test_");
  ServerNameRules rules;
  rules.allow_underscore = false;
  EXPECT_THAT(Normal("_dmarc.test", rules), HasSubstr("underscore"));
}

TEST(EscapeForLogTest, EscapesAllRawBytes) {
  EXPECT_EQ(EscapeForLog("a.test"), "a.test");
  EXPECT_EQ(EscapeForLog("\x1b[31m"), "\\x1b[31m");
  EXPECT_EQ(EscapeForLog(absl::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(EscapeForLog("\"\\\n\xff"), "\\x22\\x5c\\x0a\\xff");
  EXPECT_EQ(EscapeForLog(std::string(300, 'a'), 3), "aaa…(300 bytes)");
  EXPECT_EQ(EscapeForLog("abc", 3), "abc");
}

NamePattern Pattern(absl::string_view text) {
  absl::StatusOr<NamePattern> pattern = NamePattern::Parse(text);
  EXPECT_TRUE(pattern.ok()) << pattern.status();
  return *std::move(pattern);
}

TEST(NamePatternTest, ParsesTheThreeKinds) {
  EXPECT_EQ(Pattern("A.Test").kind(), NamePattern::Kind::kExact);
  EXPECT_EQ(Pattern("A.Test").ToString(), "a.test");
  EXPECT_EQ(Pattern("*.Wild.test").kind(), NamePattern::Kind::kOneLabel);
  EXPECT_EQ(Pattern("*.Wild.test.").ToString(), "*.wild.test");
  EXPECT_EQ(Pattern("**.wild.test").kind(), NamePattern::Kind::kAnyDepth);
  EXPECT_EQ(Pattern("**.wild.test").base(), "wild.test");
  EXPECT_EQ(Pattern("*.WILD.test"), Pattern("*.wild.test"));
  EXPECT_NE(Pattern("*.wild.test"), Pattern("**.wild.test"));
}

TEST(NamePatternTest, RejectsStarsElsewhereAndInvalidBases) {
  for (absl::string_view text :
       {"*", "**", "*.", "**.", "w*.test", "*w.test", "a.*.test", "*.*.test", "***.test", "a.test*",
        "", "*.-a.test", "*.127.0.0.1", "a b.test"}) {
    EXPECT_FALSE(NamePattern::Parse(text).ok()) << text;
  }
  EXPECT_THAT(std::string(NamePattern::Parse("w*.test").status().message()),
              HasSubstr("\"w*.test\" refused: a star may only be the whole left-most label"));
}

TEST(NamePatternTest, OneStarMatchesOneLabel) {
  const NamePattern pattern = Pattern("*.wild.test");
  EXPECT_TRUE(pattern.Matches("x.wild.test"));
  EXPECT_TRUE(pattern.Matches("xn--bcher-kva.wild.test"));
  for (absl::string_view name : {"wild.test", "xwild.test", "x.y.wild.test", "x.wild.test.evil",
                                 "wild.test.x", "test", "x.wildatest", ""}) {
    EXPECT_FALSE(pattern.Matches(name)) << name;
  }
}

TEST(NamePatternTest, Row39To43NoPatternMatchesItsNeighbours) {
  for (absl::string_view name :
       {"wild.test", "xwild.test", "x.y.wild.test", "evil.a.test", "a.test.evil"}) {
    EXPECT_FALSE(Pattern("*.wild.test").Matches(name)) << name;
    EXPECT_FALSE(Pattern("a.test").Matches(name)) << name;
  }
}

TEST(NamePatternTest, TwoStarsMatchOneLabelOrMore) {
  const NamePattern pattern = Pattern("**.wild.test");
  EXPECT_TRUE(pattern.Matches("x.wild.test"));
  EXPECT_TRUE(pattern.Matches("x.y.wild.test"));
  EXPECT_TRUE(pattern.Matches("x.y.z.wild.test"));
  EXPECT_FALSE(pattern.Matches("wild.test"));
  EXPECT_FALSE(pattern.Matches("xwild.test"));
}

TEST(NamePatternTest, AnExactPatternMatchesItsNameOnly) {
  EXPECT_TRUE(Pattern("a.test").Matches("a.test"));
  EXPECT_FALSE(Pattern("a.test").Matches("evil.a.test"));
  EXPECT_FALSE(Pattern("a.test").Matches("a.test.evil"));
}

TEST(VisitCoveringPatternsTest, StartsWithTheMostSpecific) {
  std::vector<std::string> seen;
  const bool found =
      VisitCoveringPatterns("x.y.test", [&](NamePattern::Kind kind, absl::string_view base) {
        const absl::string_view stars = kind == NamePattern::Kind::kExact      ? ""
                                        : kind == NamePattern::Kind::kOneLabel ? "*."
                                                                               : "**.";
        seen.push_back(absl::StrCat(stars, base));
        return false;
      });
  EXPECT_FALSE(found);
  EXPECT_THAT(seen, ElementsAre("x.y.test", "*.y.test", "**.y.test", "**.test"));
}

TEST(VisitCoveringPatternsTest, AgreesWithMatches) {
  const std::vector<NamePattern> patterns = {
      Pattern("a.test"),     Pattern("*.a.test"), Pattern("**.a.test"),
      Pattern("*.test"),     Pattern("**.test"),  Pattern("b.a.test"),
      Pattern("*.b.a.test"), Pattern("test"),     Pattern("**.b.test")};
  for (absl::string_view name :
       {"test", "a.test", "b.a.test", "c.b.a.test", "d.c.b.a.test", "b.test", "ba.test"}) {
    for (const NamePattern& pattern : patterns) {
      const bool visited =
          VisitCoveringPatterns(name, [&](NamePattern::Kind kind, absl::string_view base) {
            return kind == pattern.kind() && base == pattern.base();
          });
      EXPECT_EQ(visited, pattern.Matches(name)) << name << " " << pattern.ToString();
    }
  }
}

TEST(VisitCoveringPatternsTest, StopsAtTheFirstMatch) {
  int calls = 0;
  EXPECT_TRUE(VisitCoveringPatterns("x.y.test", [&](NamePattern::Kind kind, absl::string_view) {
    ++calls;
    return kind == NamePattern::Kind::kOneLabel;
  }));
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace trestle
