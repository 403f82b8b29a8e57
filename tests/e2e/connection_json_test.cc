// --log_connections=json: one line per connection, which conforms to
// docs/connection_log.schema.json.

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/proxy_test.h"
#include "tests/e2e/schema_checker.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

class ConnectionJsonTest : public ProxyTest {
 protected:
  std::unique_ptr<ProxyProcess> Start(Mode mode, const std::string& backend,
                                      std::vector<std::string> more = {}) const {
    more.push_back("--log_connections=json");
    return StartProxy(mode, backend, more);
  }

  // Returns the `count` connections logged so far, each validated against the schema.
  static std::vector<Json> Connections(ProxyProcess& proxy, size_t count) {
    std::ifstream file("docs/connection_log.schema.json");
    const Json schema = Json::parse(file);
    std::vector<Json> found;
    WaitUntil([&] {
      found.clear();
      const std::string log = proxy.log();
      // A line without a line feed is still being written.
      for (const absl::string_view line :
           absl::StrSplit(log.substr(0, log.rfind('\n') + 1), '\n', absl::SkipEmpty())) {
        if (absl::StartsWith(line, "{")) found.push_back(Json::parse(line));
      }
      return found.size() >= count;
    });
    EXPECT_EQ(found.size(), count) << proxy.log();
    for (const Json& one : found) SchemaChecker(schema).Check(one, schema, "connection");
    found.resize(count);
    return found;
  }
};

TEST_F(ConnectionJsonTest, ABridgesLineHasBothLegs) {
  const auto backend = StartBackend(Mode::kBridge);
  const auto proxy = Start(Mode::kBridge, backend->address());
  ASSERT_EQ(Curl(proxy->port, "/").exit_status, 0);
  const Json one = Connections(*proxy, 1)[0];
  EXPECT_EQ(one.at("mode"), "bridge");
  EXPECT_EQ(one.at("outcome"), "ok");
  EXPECT_TRUE(one.at("error").is_null());
  EXPECT_EQ(one.at("server_name"), kFrontName);
  EXPECT_EQ(one.at("back").at("peer"), backend->address());
  EXPECT_EQ(one.at("front").at("bytes_read"), one.at("back").at("bytes_written"));
  EXPECT_GT(one.at("back").at("bytes_read"), 0);
  EXPECT_EQ(one.at("back").at("bytes_read"), one.at("front").at("bytes_written"));
  for (const char* leg : {"front", "back"}) {
    EXPECT_EQ(one.at(leg).at("tls").at("version"), "TLSv1.3");
    EXPECT_EQ(one.at(leg).at("tls").at("resumed"), false);
  }
  // A single phase may end within one turn of the loop, whose clock stands still.
  double total_ms = 0;
  for (const char* phase : {"front", "dial", "back", "relay"}) {
    total_ms += one.at("times_ms").at(phase).get<double>();
  }
  EXPECT_GT(total_ms, 0);
  EXPECT_EQ(one.at("front").at("tls").at("own_certificate").at("names").at(0), kFrontName);
  const Json& leaf = one.at("back").at("tls").at("peer_chain").at(0);
  EXPECT_EQ(leaf.at("names").at(0), kBackName);
  EXPECT_GT(leaf.at("days_left"), 0);
}

TEST_F(ConnectionJsonTest, FailuresHaveTheirPlaceAndReason) {
  const auto backend = StartTlsBackend(pki_.Issue(LeafFor("other.test")));
  const RefusingPort refusing;
  const auto proxy =
      Start(Mode::kBridge, absl::StrCat(refusing.address(), "+", backend->address()));
  EXPECT_NE(Curl(proxy->port, "/").exit_status, 0);
  const Json failed = Connections(*proxy, 1)[0];
  EXPECT_EQ(failed.at("outcome"), "failed");
  const Json& error = failed.at("error");
  EXPECT_EQ(failed.at("failed_tries").size(), 1u);
  EXPECT_EQ(error.at("leg"), "back");
  // The proxy may log the two in either order.
  if (error.at("code") == "name_mismatch") {
    EXPECT_EQ(error.at("phase"), "handshake");
    EXPECT_EQ(error.at("alert"), "bad_certificate");
    EXPECT_THAT(error.at("detail").get<std::string>(), HasSubstr("other.test"));
    EXPECT_EQ(failed.at("failed_tries").at(0).at("error").at("code"), "transport");
  } else {
    EXPECT_EQ(error.at("code"), "transport");
    EXPECT_EQ(error.at("phase"), "dial");
    EXPECT_EQ(failed.at("failed_tries").at(0).at("error").at("code"), "name_mismatch");
  }
}

TEST_F(ConnectionJsonTest, APassthroughsLineDescribesTheHello) {
  const auto backend = StartBackend(Mode::kPassthrough);
  const auto proxy = Start(Mode::kPassthrough, backend->address());
  ASSERT_EQ(Curl(proxy->port, "/").exit_status, 0);
  const Json one = Connections(*proxy, 1)[0];
  EXPECT_EQ(one.at("mode"), "passthrough");
  EXPECT_EQ(one.at("route"), kFrontName);
  EXPECT_GT(one.at("hello").at("bytes"), 100);
  EXPECT_TRUE(one.at("front").at("tls").is_null());
}

TEST_F(ConnectionJsonTest, OtherFormatsAreRejected) {
  std::vector<std::string> argv = {ExampleProgram(ProgramOf(Mode::kOffload)),
                                   "--log_connections=xml"};
  const CommandResult result = RunCommand(argv, kPatience);
  EXPECT_GT(result.exit_status, 0);
  EXPECT_THAT(result.errors, HasSubstr("it is text, json or none"));
}

}  // namespace
}  // namespace trestle::e2e
