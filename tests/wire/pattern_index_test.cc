#include "trestle/wire/pattern_index.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

absl::StatusOr<PatternIndex> IndexOf(const std::vector<std::string>& texts) {
  std::vector<NamePattern> patterns;
  for (const std::string& text : texts) patterns.push_back(*NamePattern::Parse(text));
  std::vector<PatternIndex::Item> items;
  for (const NamePattern& pattern : patterns) {
    items.push_back({pattern.kind(), pattern.base(), static_cast<uint32_t>(items.size())});
  }
  return PatternIndex::Create(items, [&texts](size_t item) {
    return ConfigurationError(absl::StrCat(texts[item], " is listed twice"));
  });
}

std::vector<std::string> Covering(const PatternIndex& index, absl::string_view name) {
  std::vector<std::string> found;
  index.Visit(name, [&found](const PatternIndex::Match& match) {
    found.push_back(absl::StrCat(match.pattern, "=", match.value));
    return false;
  });
  return found;
}

TEST(PatternIndexTest, TheMostSpecificPatternComesFirst) {
  const auto index = *IndexOf({"**.test", "*.a.test", "x.a.test", "**.a.test", "other.test"});
  EXPECT_THAT(Covering(index, "x.a.test"),
              ElementsAre("x.a.test=2", "*.a.test=1", "**.a.test=3", "**.test=0"));
  EXPECT_THAT(Covering(index, "y.x.a.test"), ElementsAre("**.a.test=3", "**.test=0"));
  EXPECT_THAT(Covering(index, "a.test"), ElementsAre("**.test=0"));
  EXPECT_THAT(Covering(index, "test"), IsEmpty());
  EXPECT_THAT(Covering(index, ""), IsEmpty());
  EXPECT_EQ(index.Find("x.a.test")->pattern, "x.a.test");
  EXPECT_EQ(index.Find("z.a.test")->value, 1u);
  EXPECT_FALSE(index.Find("test").has_value());
}

TEST(PatternIndexTest, AVisitEndsWithTheFirstTrue) {
  const auto index = *IndexOf({"**.test", "*.a.test", "x.a.test"});
  int visits = 0;
  index.Visit("x.a.test", [&visits](const PatternIndex::Match&) { return ++visits == 2; });
  EXPECT_EQ(visits, 2);
}

TEST(PatternIndexTest, APatternIsFoundByItsText) {
  const auto index = *IndexOf({"a.test", "*.a.test", "**.a.test"});
  EXPECT_EQ(index.ValueOf(NamePattern::Kind::kExact, "a.test"), 0u);
  EXPECT_EQ(index.ValueOf(NamePattern::Kind::kOneLabel, "a.test"), 1u);
  EXPECT_EQ(index.ValueOf(NamePattern::Kind::kAnyDepth, "a.test"), 2u);
  EXPECT_EQ(index.ValueOf(NamePattern::Kind::kExact, "b.test"), std::nullopt);
  EXPECT_EQ(PatternIndex().ValueOf(NamePattern::Kind::kExact, "a.test"), std::nullopt);
  EXPECT_FALSE(PatternIndex().Find("a.test").has_value());
}

TEST(PatternIndexTest, ADuplicateIsReported) {
  const auto index = IndexOf({"a.test", "*.b.test", "c.test", "*.b.test"});
  ASSERT_FALSE(index.ok());
  EXPECT_EQ(GetError(index.status())->detail, "*.b.test is listed twice");
}

TEST(PatternIndexTest, ManyNamesAreFound) {
  std::vector<std::string> texts;
  for (int i = 0; i < 10'000; ++i)
    texts.push_back(absl::StrCat(i % 2 ? "*." : "", "n", i, ".test"));
  const auto index = *IndexOf(texts);
  for (int i = 0; i < 10'000; ++i) {
    const std::string name = absl::StrCat(i % 2 ? "x." : "", "n", i, ".test");
    ASSERT_EQ(index.Find(name)->value, static_cast<uint32_t>(i));
    ASSERT_EQ(index.Find(name)->pattern, texts[i]);
  }
}

}  // namespace
}  // namespace trestle
