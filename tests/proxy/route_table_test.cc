#include "trestle/proxy/route_table.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

Endpoint Backend(uint16_t port) { return Endpoint(ByteView({127, 0, 0, 1}), port); }

std::string Found(const RouteTable& table, absl::string_view name) {
  const Route* route = table.Find(name);
  return route == nullptr ? "none" : route->pattern;
}

TEST(RouteTableTest, TheMostSpecificPatternWins) {
  const auto table = RouteTable::Create({{"", Backend(1)},
                                         {"**.wild.test", Backend(2)},
                                         {"*.wild.test", Backend(3)},
                                         {"x.wild.test", Backend(4)},
                                         {"a.test", Backend(5)}});
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(Found(**table, "a.test"), "a.test");
  EXPECT_EQ(Found(**table, "x.wild.test"), "x.wild.test");
  EXPECT_EQ(Found(**table, "y.wild.test"), "*.wild.test");
  EXPECT_EQ(Found(**table, "z.y.wild.test"), "**.wild.test");
  EXPECT_EQ(Found(**table, "wild.test"), "default");
  EXPECT_EQ(Found(**table, "xwild.test"), "default");
  EXPECT_EQ(Found(**table, "evil.a.test"), "default");
  EXPECT_EQ(Found(**table, "a.test.evil"), "default");
  EXPECT_EQ(Found(**table, ""), "default");
  EXPECT_EQ((*table)->size(), 5u);
}

TEST(RouteTableTest, WithoutADefaultNothingIsGuessed) {
  const auto table = RouteTable::Create({{"a.test", Backend(1)}});
  EXPECT_EQ(Found(**table, "b.test"), "none");
  EXPECT_EQ(Found(**table, ""), "none");
}

TEST(RouteTableTest, PatternsAreNormalised) {
  const auto table = RouteTable::Create({{"A.Test.", Backend(1)}});
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(Found(**table, "a.test"), "a.test");
}

TEST(RouteTableTest, OrderDoesNotMatter) {
  const std::vector<Route> routes = {
      {"*.a.test", Backend(1)}, {"b.a.test", Backend(2)}, {"", Backend(3)}};
  const auto forward = RouteTable::Create(routes);
  const auto backward = RouteTable::Create({routes.rbegin(), routes.rend()});
  for (const char* name : {"b.a.test", "c.a.test", "d.test", ""}) {
    EXPECT_EQ(Found(**forward, name), Found(**backward, name));
  }
}

void ExpectRefused(const std::vector<Route>& routes, const std::string& why) {
  const auto table = RouteTable::Create(routes);
  ASSERT_FALSE(table.ok());
  const auto error = GetTlsError(table.status());
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, ErrorCode::kConfiguration);
  EXPECT_THAT(error->detail, HasSubstr(why));
}

TEST(RouteTableTest, BadTablesAreRefusedWithTheReason) {
  ExpectRefused({}, "no route");
  ExpectRefused({{"a.test", Backend(1)}, {"A.test", Backend(2)}}, "\"a.test\" is there twice");
  ExpectRefused({{"", Backend(1)}, {"", Backend(2)}}, "two default routes");
  ExpectRefused({{"a.*.test", Backend(1)}}, "a.*.test");
  ExpectRefused({{"127.0.0.1", Backend(1)}}, "127.0.0.1");
  ExpectRefused({{"a.test", static_cast<ConnectionHandler*>(nullptr)}}, "no handler");
}

TEST(RouteTableTest, ReadsTheCommandLineForm) {
  const auto routes = RouteTable::ParseRoutes("a.test=127.0.0.1:1,*.b.test=[::1]:2");
  ASSERT_TRUE(routes.ok()) << routes.status();
  ASSERT_EQ(routes->size(), 2u);
  EXPECT_EQ((*routes)[0].pattern, "a.test");
  EXPECT_EQ(std::get<Endpoint>((*routes)[1].target).ToString(), "[::1]:2");
  EXPECT_TRUE(RouteTable::ParseRoutes("")->empty());
  for (const char* bad : {"a.test", "=127.0.0.1:1", "a.test=", "a.test=localhost:1"}) {
    EXPECT_FALSE(RouteTable::ParseRoutes(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace trestle
