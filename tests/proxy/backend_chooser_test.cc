#include "trestle/proxy/backend_chooser.h"

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace trestle {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

class BackendChooserTest : public ::testing::Test {
 protected:
  void Fail(const BackendChooser::Shown& shown, int times) {
    for (int i = 0; i < times; ++i) chooser_.Failed(one_, shown, why_, options_, now_);
  }
  bool IsEjectedFor(const BackendChooser::Shown& shown) const {
    return chooser_.FitnessOf(one_, shown, now_) == BackendState::Fitness::kEjected;
  }

  const BackendChooser::Candidate one_ = {*Endpoint::Parse("192.0.2.1:443")};
  const absl::Status why_ = absl::UnknownError("refused");
  const EjectionOptions options_ = {};
  MonotonicTime now_ = MonotonicTime::FromStart(absl::Hours(1));
  BackendChooser chooser_;
};

TEST_F(BackendChooserTest, AFailureCountsForConnectionsWithTheSameData) {
  Fail("evil.test", 3);
  EXPECT_TRUE(IsEjectedFor("evil.test"));
  EXPECT_FALSE(IsEjectedFor("a.test"));
  EXPECT_FALSE(IsEjectedFor(""));
  Fail("", 3);
  EXPECT_TRUE(IsEjectedFor("a.test")) << "no client data was sent, so the backend is at fault";
  chooser_.Succeeded(one_, "", now_);
  EXPECT_TRUE(IsEjectedFor("evil.test"));
  EXPECT_FALSE(IsEjectedFor("a.test"));
}

TEST_F(BackendChooserTest, AnAbandonedTryAllowsAnother) {
  Fail("", 3);
  now_ += options_.first;
  EXPECT_FALSE(IsEjectedFor(""));
  chooser_.Try(one_, "", now_);
  EXPECT_TRUE(IsEjectedFor("")) << "one at a time";
  chooser_.Abandoned(one_, "");
  EXPECT_FALSE(IsEjectedFor(""));
  chooser_.Try(one_, "", now_);
  Fail("", 1);
  chooser_.Abandoned(one_, "");
  EXPECT_TRUE(IsEjectedFor("")) << "that connection was not a try";
}

TEST_F(BackendChooserTest, ClientDataUsesBoundedMemoryAndEvictsNothing) {
  Fail("", 3);
  Fail("known.test", 3);
  for (int i = 0; i < 100'000; ++i) Fail(absl::StrCat(i, ".test"), 1);
  EXPECT_TRUE(IsEjectedFor(""));
  EXPECT_TRUE(IsEjectedFor("known.test"));
  for (int i = 0; i < 10'000; ++i) Fail(absl::StrCat(i, ".test"), 3);
  EXPECT_TRUE(IsEjectedFor(""));
  chooser_.Succeeded(one_, "", now_);
  EXPECT_TRUE(IsEjectedFor("known.test"));
  EXPECT_FALSE(IsEjectedFor("9999.test")) << "without room it isn't ejected";
  now_ += options_.first;
  Fail("late.test", 3);
  EXPECT_TRUE(IsEjectedFor("late.test")) << "expired records make room";
}

// A chooser of a group, and the number of connections that each backend gets.
class GroupChoiceTest : public ::testing::Test {
 protected:
  static Endpoint At(uint8_t number) { return Endpoint(ByteView({192, 0, 2, number}), 443); }

  void Use(BackendGroup::List list) {
    group_->Replace(std::make_shared<BackendGroup::List>(std::move(list)));
  }

  std::map<uint8_t, int> Choose(int connections) {
    std::map<uint8_t, int> counts;
    for (int i = 0; i < connections; ++i) {
      const Endpoint client(ByteView({10, 0, static_cast<uint8_t>(i >> 8), uint8_t(i)}), 1);
      const auto candidates = chooser_.Order(backends_, client, {}, now_);
      if (candidates.empty()) return {};
      chooser_.Opened(candidates.front());
      ++counts[candidates.front().endpoint.address().back()];
    }
    return counts;
  }

  // Has a backend ejected for a minute.
  void Fail(uint8_t number) {
    chooser_.Failed({At(number)}, {}, absl::UnknownError("refused"),
                    {1, absl::Minutes(1), absl::Minutes(1)}, now_);
  }

  const std::shared_ptr<BackendGroup> group_ = std::make_shared<BackendGroup>();
  Backends backends_ = [this] {
    Backends backends;
    backends.group = group_;
    return backends;
  }();
  MonotonicTime now_ = MonotonicTime::FromStart(absl::Hours(1));
  BackendChooser chooser_;
};

TEST_F(GroupChoiceTest, AnEmptyGroupHasNoCandidate) {
  EXPECT_TRUE(chooser_.Order(backends_, {}, {}, now_).empty());
}

TEST_F(GroupChoiceTest, WeightsShareConnections) {
  Use({{At(1), nullptr, 0, 3 * kUnitWeight}, {At(2), nullptr, 0, kUnitWeight}});
  EXPECT_THAT(Choose(400), ElementsAre(Pair(1, 300), Pair(2, 100)));
}

TEST_F(GroupChoiceTest, WeightsShareClients) {
  backends_.balance = Balance::kClientAddress;
  Use({{At(1), nullptr, 0, 3 * kUnitWeight}, {At(2), nullptr, 0, kUnitWeight}});
  const auto counts = Choose(4000);
  EXPECT_NEAR(counts.at(1), 3000, 150);
  EXPECT_EQ(Choose(4000), counts) << "the same clients lead to the same backends";
}

TEST_F(GroupChoiceTest, WeightsShareOpenConnections) {
  backends_.balance = Balance::kLeastConnections;
  Use({{At(1), nullptr, 0, 3 * kUnitWeight}, {At(2), nullptr, 0, kUnitWeight}});
  EXPECT_THAT(Choose(40), ElementsAre(Pair(1, 30), Pair(2, 10)));
}

TEST_F(GroupChoiceTest, ALowerPriorityIsForFailures) {
  Use({{At(1), nullptr, 10}, {At(2), nullptr, 20}, {At(3), nullptr, 10}});
  EXPECT_THAT(Choose(10), ElementsAre(Pair(1, 5), Pair(3, 5)));
  Fail(1);
  Fail(3);
  EXPECT_THAT(Choose(10), ElementsAre(Pair(2, 10)));
}

TEST_F(GroupChoiceTest, ANewBackendCatchesNothingUp) {
  Use({{At(1), nullptr}, {At(2), nullptr}});
  Choose(100);
  Use({{At(1), nullptr}, {At(2), nullptr}, {At(3), nullptr}});
  EXPECT_THAT(Choose(30), ElementsAre(Pair(1, 10), Pair(2, 10), Pair(3, 10)));
}

TEST_F(GroupChoiceTest, ABackendThatWasAwayCatchesNothingUp) {
  Use({{At(1), nullptr}, {At(2), nullptr}, {At(3), nullptr, 0, 4 * kUnitWeight}});
  Choose(60);
  Use({{At(1), nullptr}});
  Choose(100);
  Use({{At(1), nullptr}, {At(2), nullptr}, {At(3), nullptr, 0, 4 * kUnitWeight}});
  const auto counts = Choose(60);
  EXPECT_NEAR(counts.at(1), 10, 2);
  EXPECT_NEAR(counts.at(2), 10, 2);
  EXPECT_NEAR(counts.at(3), 40, 4);
}

TEST_F(GroupChoiceTest, ABackendThatWasEjectedCatchesNothingUp) {
  Use({{At(1), nullptr}, {At(2), nullptr}, {At(3), nullptr}});
  Choose(30);
  Fail(2);
  EXPECT_THAT(Choose(30), ElementsAre(Pair(1, 15), Pair(3, 15)));
  chooser_.Succeeded({At(2)}, {}, now_);
  EXPECT_NEAR(Choose(30).at(2), 10, 1);
}

}  // namespace
}  // namespace trestle
