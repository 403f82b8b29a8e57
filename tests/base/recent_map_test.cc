#include "lib/base/recent_map.h"

#include <memory>

#include "gtest/gtest.h"

namespace trestle {
namespace {

TEST(RecentMapTest, TheLeastRecentlyUsedEntryIsTheOldest) {
  RecentMap<int> map;
  for (const char* key : {"a", "b", "c"}) *map.UseOrAdd(key).first = key[0];
  EXPECT_EQ(map.oldest_key(), "a");
  EXPECT_EQ(*map.Use("a"), 'a');
  EXPECT_EQ(map.oldest_key(), "b");
  EXPECT_EQ(*map.Peek("b"), 'b');
  EXPECT_EQ(map.oldest_key(), "b") << "Peek does not change the order";
  EXPECT_FALSE(map.UseOrAdd("b").second);
  EXPECT_EQ(map.oldest(), 'c');
  map.DropOldest();
  EXPECT_EQ(map.size(), 2u);
  EXPECT_EQ(map.Use("c"), nullptr);
  EXPECT_EQ(map.Peek("c"), nullptr);
  EXPECT_TRUE(map.UseOrAdd("c").second);
  EXPECT_EQ(map.oldest_key(), "a");
  map.Drop("a");
  map.Drop("unknown");
  EXPECT_EQ(map.oldest_key(), "b");
  EXPECT_EQ(map.size(), 2u);
  map.Clear();
  EXPECT_TRUE(map.empty());
}

TEST(RecentMapTest, ValuesKeepTheirAddresses) {
  RecentMap<std::unique_ptr<int>> map;
  std::unique_ptr<int>* const first = map.UseOrAdd("first").first;
  for (int i = 0; i < 1000; ++i) map.UseOrAdd(std::to_string(i));
  EXPECT_EQ(map.Use("first"), first);
}

}  // namespace
}  // namespace trestle
