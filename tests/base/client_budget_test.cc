#include "trestle/base/client_budget.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace trestle {
namespace {

Endpoint At(absl::string_view address) { return *Endpoint::Parse(absl::StrCat(address, ":443")); }

MonotonicTime After(absl::Duration time) { return MonotonicTime::FromStart(time); }

int TakenAtOnce(ClientBudget& budget, const Endpoint& client, MonotonicTime now) {
  int taken = 0;
  while (taken < 100 && budget.Take(client, now)) ++taken;
  return taken;
}

TEST(ClientBudgetTest, TokensRefillUpToTheBurst) {
  ClientBudget budget({2, 6});
  const Endpoint client = At("192.0.2.1");
  EXPECT_EQ(TakenAtOnce(budget, client, After(absl::Seconds(10))), 6);
  EXPECT_EQ(TakenAtOnce(budget, client, After(absl::Seconds(11))), 2);
  EXPECT_EQ(TakenAtOnce(budget, client, After(absl::Seconds(1000))), 6);
  EXPECT_EQ(TakenAtOnce(budget, client, After(absl::Seconds(900))), 0) << "time never decreases";
}

TEST(ClientBudgetTest, ClientsOfOneNetworkShareABucket) {
  ClientBudget budget({1, 1, 24, 48});
  const MonotonicTime now = After(absl::Seconds(1));
  EXPECT_TRUE(budget.Take(At("192.0.2.1"), now));
  EXPECT_FALSE(budget.Take(At("192.0.2.200"), now));
  EXPECT_FALSE(budget.Take(At("[::ffff:192.0.2.3]"), now)) << "an IPv4-mapped address is IPv4";
  EXPECT_TRUE(budget.Take(At("192.0.3.1"), now));
  EXPECT_TRUE(budget.Take(At("[2001:db8:1::1]"), now));
  EXPECT_FALSE(budget.Take(At("[2001:db8:1:ffff::1]"), now));
  EXPECT_TRUE(budget.Take(At("[2001:db8:2::1]"), now));
}

TEST(ClientBudgetTest, IdleNetworksMakeRoom) {
  ClientBudget::Options options{1, 1};
  options.max_networks = 2;
  ClientBudget budget(options);
  EXPECT_TRUE(budget.Take(At("192.0.2.1"), After(absl::Seconds(10))));
  EXPECT_TRUE(budget.Take(At("192.0.2.2"), After(absl::Seconds(10))));
  EXPECT_EQ(budget.BucketOf(At("192.0.2.3"), After(absl::Seconds(10))), nullptr);
  EXPECT_FALSE(budget.Take(At("192.0.2.3"), After(absl::Seconds(10))));
  EXPECT_TRUE(budget.Take(At("192.0.2.3"), After(absl::Seconds(12))));
}

}  // namespace
}  // namespace trestle
