#include "trestle/proxy/route_table.h"

#include <memory>
#include <optional>
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
  const std::optional<RouteTable::Match> match = table.Find(name);
  return match.has_value() ? std::string(match->pattern) : "none";
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

TEST(RouteTableTest, WithoutADefaultOtherNamesHaveNoRoute) {
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
  const auto error = GetError(table.status());
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, ErrorCode::kConfiguration);
  EXPECT_THAT(error->detail, HasSubstr(why));
}

TEST(RouteTableTest, InvalidTablesAreRejectedWithTheReason) {
  ExpectRefused({}, "no route");
  ExpectRefused({{"a.test", Backend(1)}, {"A.test", Backend(2)}}, "is listed twice");
  ExpectRefused({{"", Backend(1)}, {"", Backend(2)}}, "default");
  ExpectRefused({{"a.*.test", Backend(1)}}, "a.*.test");
  ExpectRefused({{"127.0.0.1", Backend(1)}}, "127.0.0.1");
  ExpectRefused({{"a.test", Backends()}}, "no backend");
  ExpectRefused({{"a.test", Endpoint()}}, "has no address");
  ExpectRefused({{"a.test", Backend(0)}}, "port 0");
  ExpectRefused({{"a.test", Backends({Backend(1), *Endpoint::Parse("[::]:1")})}}, "every address");
  ExpectRefused({{"a.test", Backend(1), "h2"}, {"a.test", Backend(2), "h2"}}, "is listed twice");
  ExpectRefused({{"a.test", static_cast<ConnectionHandler*>(nullptr)}}, "no handler");
}

TEST(RouteTableTest, RoutesOfAProtocolComeFirstForEveryName) {
  const auto table = RouteTable::Create({{"a.test", Backend(1)},
                                         {"", Backend(2)},
                                         {"", Backend(3), "acme-tls/1"},
                                         {"a.test", Backend(4), "h2"}});
  ASSERT_TRUE(table.ok()) << table.status();
  const auto port = [&](absl::string_view name, const std::vector<std::string>& alpn) {
    const std::optional<RouteTable::Match> match = (*table)->Find(name, alpn);
    return std::get<Backends>(*match->target).endpoints[0].port();
  };
  EXPECT_EQ(port("a.test", {}), 1);
  EXPECT_EQ(port("a.test", {"http/1.1"}), 1);
  EXPECT_EQ(port("a.test", {"acme-tls/1"}), 3);
  EXPECT_EQ(port("b.test", {"acme-tls/1"}), 3);
  EXPECT_EQ(port("a.test", {"h2", "acme-tls/1"}), 4) << "the client's order decides";
  EXPECT_EQ(port("b.test", {"h2"}), 2) << "no h2 route for this name";
}

TEST(RouteTableTest, NamesWithUnderscoresAreRouted) {
  const auto table =
      RouteTable::Create({{"A_b.internal", Backend(1)}, {"*._tcp.internal", Backend(2)}});
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ((*table)->Find("a_b.internal")->pattern, "a_b.internal");
  EXPECT_EQ((*table)->Find("_x._tcp.internal")->pattern, "*._tcp.internal");
}

TEST(RouteTableTest, DetectsARouteThatLeadsBackToTheListener) {
  const auto leads = [](const char* backend, const char* listener) {
    const auto table = RouteTable::Create(
        {{"a.test", Endpoint(ByteView({192, 0, 2, 1}), 1)}, {"", *Endpoint::Parse(backend)}});
    return (*table)->LeadsTo(*Endpoint::Parse(listener));
  };
  EXPECT_TRUE(leads("127.0.0.1:443", "127.0.0.1:443"));
  EXPECT_TRUE(leads("127.0.0.1:443", "0.0.0.0:443"));
  EXPECT_TRUE(leads("127.9.9.9:443", "0.0.0.0:443"));
  EXPECT_TRUE(leads("[::1]:443", "[::]:443"));
  EXPECT_FALSE(leads("127.0.0.1:444", "127.0.0.1:443"));
  EXPECT_FALSE(leads("127.0.0.2:443", "127.0.0.1:443"));
  EXPECT_FALSE(leads("192.0.2.9:443", "0.0.0.0:443"));
  EXPECT_FALSE(leads("[::1]:443", "127.0.0.1:443"));
}

TEST(RouteTableTest, FindsEachOfManyNames) {
  std::vector<Route> routes;
  for (int i = 0; i < 20000; ++i) {
    routes.push_back({absl::StrCat(i % 3 == 0 ? "*." : "", "n", i, ".test"),
                      Backend(static_cast<uint16_t>(1 + i % 7))});
  }
  const auto table = RouteTable::Create(routes);
  ASSERT_TRUE(table.ok()) << table.status();
  for (const Route& route : routes) {
    const bool wildcard = route.pattern[0] == '*';
    const std::string name = wildcard ? "x" + route.pattern.substr(1) : route.pattern;
    const std::optional<RouteTable::Match> match = (*table)->Find(name);
    ASSERT_TRUE(match.has_value()) << name;
    EXPECT_EQ(match->pattern, route.pattern);
    EXPECT_EQ(std::get<Backends>(*match->target).endpoints[0],
              std::get<Backends>(route.target).endpoints[0]);
  }
}

}  // namespace
}  // namespace trestle
