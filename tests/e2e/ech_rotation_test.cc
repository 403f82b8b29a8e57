// Rotations of ECH keys as ech_tool plans them, and its checks of published records.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/ech_tool/https_record.h"
#include "examples/ech_tool/key_file.h"
#include "examples/ech_tool/rotation.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/tls/ech_pairs.h"

namespace trestle::examples {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Pair(uint8_t config_id) {
  EchPairOptions options;
  options.public_name = "public.example";
  options.config_id = config_id;
  return *MakeEchPair(options);
}

const std::string& Old() {
  static const auto* const pair = new std::string(Pair(1));
  return *pair;
}
const std::string& New() {
  static const auto* const pair = new std::string(Pair(2));
  return *pair;
}

std::vector<FilePair> PairsOf(const std::string& pem) {
  auto pairs = ParsePairs(pem);
  EXPECT_TRUE(pairs.ok()) << pairs.status();
  return pairs.value_or(std::vector<FilePair>());
}

PublishedRecord RecordOf(const std::string& pem) {
  PublishedRecord record;
  record.priority = 1;
  record.ech = PairsOf(pem).front().info.config_list;
  return record;
}

RotationOptions Options() {
  RotationOptions options;
  options.file = "keys/ech.pem";
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, "2026-11-26T14:00:00Z", &options.start, nullptr));
  options.deploy = absl::Minutes(10);
  options.ttl_seconds = 3600;
  return options;
}

TEST(EchRotationTest, TheFirstPairIsPublished) {
  const RecordJudgement judgement = JudgeRecord(RecordOf(New()), PairsOf(New() + Old()));
  EXPECT_TRUE(judgement.good);
  EXPECT_EQ(judgement.sentence, "the record publishes the first pair, config id 2");
}

TEST(EchRotationTest, WrongRecordsAreDistinguished) {
  const std::vector<FilePair> pairs = PairsOf(New() + Old());
  const auto fault = [&](const PublishedRecord& record) {
    const RecordJudgement judgement = JudgeRecord(record, pairs);
    EXPECT_FALSE(judgement.good);
    return judgement.sentence;
  };
  EXPECT_THAT(fault(RecordOf(Old())), HasSubstr("config id 1, whose key is in the file but isn't"));
  EXPECT_THAT(fault(RecordOf(Old())), HasSubstr("publish config id 2"));
  EXPECT_THAT(fault(RecordOf(Pair(1))), HasSubstr("config id 1, and the file has no key for it"));
  PublishedRecord record;
  EXPECT_THAT(fault(record), HasSubstr("an alias"));
  record.priority = 1;
  EXPECT_THAT(fault(record), HasSubstr("no ech parameter: publish config id 2"));
  record.ech = "damaged";
  EXPECT_THAT(fault(record), HasSubstr("clients can't use"));
  // Both configs in one list.
  const std::string first = pairs[0].info.config_list.substr(2);
  const std::string both = first + pairs[1].info.config_list.substr(2);
  record.ech = std::string({static_cast<char>(both.size() >> 8), static_cast<char>(both.size())});
  record.ech += both;
  EXPECT_THAT(fault(record), HasSubstr("config id 2, 1, whose key is in the file"));
}

TEST(EchRotationTest, APlanHasEachStepWithItsTime) {
  const std::string plan = PlanRotation(PairsOf(Old()), Options());
  EXPECT_THAT(plan, HasSubstr("1. 2026-11-26 14:00 UTC: make the next pair."));
  EXPECT_THAT(plan, HasSubstr("ech_tool make --public_name=public.example --beside=keys/ech.pem"));
  EXPECT_THAT(plan, HasSubstr("cat old.pem new.pem > ech.tmp && mv ech.tmp keys/ech.pem"));
  EXPECT_THAT(plan, HasSubstr("3. 2026-11-26 14:10 UTC"));
  EXPECT_THAT(plan, HasSubstr("4. 2026-11-26 14:20 UTC"));
  EXPECT_THAT(plan, HasSubstr("ech_tool record --file=keys/ech.pem --name=NAME --ttl=3600"));
  EXPECT_THAT(plan, HasSubstr("5. 2026-11-26 15:20 UTC, 3600 seconds (the TTL)"));
}

TEST(EchRotationTest, AStartedRotationIsCompleted) {
  const std::string plan = PlanRotation(PairsOf(New() + Old()), Options());
  EXPECT_THAT(plan, HasSubstr("The file has 2 pairs: a rotation has begun."));
  EXPECT_THAT(plan, HasSubstr("1. 2026-11-26 14:00 UTC: publish the record of the first pair."));
  EXPECT_THAT(plan, HasSubstr("2. 2026-11-26 15:00 UTC"));
  EXPECT_THAT(plan, HasSubstr("only the pair with config id 2"));
  EXPECT_THAT(plan, Not(HasSubstr("ech_tool make")));
}

TEST(EchRotationTest, DatesBelongToTheirPairs) {
  const std::vector<FilePair> pairs = PairsOf(
      absl::StrCat("ECH key, made 2026-01-02T03:04:05Z\r\n", New(), Old(), "ECH key, made soon\n",
                   Pair(3), "ECH key, made 2026-01-02T03:04:06+01:00\n", Pair(4)));
  ASSERT_EQ(pairs.size(), 4u);
  EXPECT_EQ(pairs[0].made, "2026-01-02T03:04:05Z");
  EXPECT_EQ(pairs[1].made, "");
  EXPECT_EQ(pairs[2].made, "");
  EXPECT_EQ(pairs[3].made, "2026-01-02T02:04:06Z");
}

TEST(EchRotationTest, AListHasNoPrivateKey) {
  const std::string list = DescribePairs(PairsOf(New() + Old()));
  EXPECT_THAT(list, HasSubstr("pair 1, to publish, made at a time that the file doesn't say"));
  EXPECT_THAT(list, HasSubstr("pair 2, for earlier or later configs"));
  EXPECT_THAT(list, HasSubstr("public name  public.example"));
  EXPECT_THAT(list, HasSubstr("hides the length of names up to 64 bytes"));
  const std::string secret = New().substr(New().find('\n') + 1, 64);
  EXPECT_THAT(list, Not(HasSubstr(secret)));
}

}  // namespace
}  // namespace trestle::examples
