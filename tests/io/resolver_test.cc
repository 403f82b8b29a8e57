#include "trestle/io/resolver.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

TEST(NamedTargetTest, ReadsHostsAndServices) {
  const auto host = NamedTarget::Parse("API.Internal.:443");
  ASSERT_TRUE(host.ok()) << host.status();
  EXPECT_EQ(host->name, "api.internal");
  EXPECT_EQ(host->port, 443);
  EXPECT_EQ(host->certificate_name(), "api.internal");
  EXPECT_EQ(host->ToString(), "api.internal:443");
  const auto service = NamedTarget::Parse("_https._tcp.api.internal");
  ASSERT_TRUE(service.ok()) << service.status();
  EXPECT_TRUE(service->is_service());
  EXPECT_EQ(service->certificate_name(), "api.internal");
  EXPECT_EQ(service->ToString(), "_https._tcp.api.internal");
}

TEST(NamedTargetTest, RefusesOthers) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"api.internal", "the port is missing"},
      {"api.internal:", "from 1 to 65535"},
      {"api.internal:0", "from 1 to 65535"},
      {"api.internal:65536", "from 1 to 65535"},
      {"api.internal:+80", "from 1 to 65535"},
      {"api.internal: 80", "from 1 to 65535"},
      {"_https._tcp.api.internal:443", "leave it out"},
      {"_https.api.internal", "the port is missing"},
      {"a..b:443", "label"},
      {"a b:443", ""},
      {"192.0.2.1:443", ""},
      {"\nx:443", "\\x0a"},
      {":443", ""},
  };
  for (const auto& [text, why] : cases) {
    const auto target = NamedTarget::Parse(text);
    ASSERT_FALSE(target.ok()) << text;
    ASSERT_TRUE(GetError(target.status()).has_value());
    EXPECT_EQ(GetError(target.status())->code, ErrorCode::kConfiguration);
    EXPECT_THAT(std::string(target.status().message()), HasSubstr(why)) << text;
  }
}

TEST(NamedTargetTest, TellsNamesFromAddresses) {
  for (const char* name : {"localhost:80", "a.test:443", "a.test", "_x._tcp.a.test", "a_b.c:1"}) {
    EXPECT_TRUE(NamedTarget::LooksLikeName(name)) << name;
  }
  for (const char* address : {"192.0.2.1:443", "192.0.2.1", "[2001:db8::f]:443", "2001:db8::f",
                              "unix:/run/app.sock", "unix:@app", "", ":443", "10.0.0.0/8"}) {
    EXPECT_FALSE(NamedTarget::LooksLikeName(address)) << address;
  }
}

}  // namespace
}  // namespace trestle
