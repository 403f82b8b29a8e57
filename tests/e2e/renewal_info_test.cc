// --renewal_info_dir: the time at which a CA advises to renew (RFC 9773), from a file with its
// answer.

#include <signal.h>
#include <sys/stat.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "examples/support/renewal_info_dir.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/server_programs.h"
#include "trestle/testing/test_pki.h"

namespace trestle::e2e {
namespace {

using examples::ParseRenewalInfo;
using ::testing::HasSubstr;
using testing::LeafSpec;
using Json = nlohmann::json;

constexpr absl::Duration kDay = absl::Hours(24);

TEST(ParseRenewalInfoTest, TakesTheAnswerOfAServer) {
  // As in RFC 9773 4.2; times may have fractions and other offsets.
  const auto info = ParseRenewalInfo(R"({
      "suggestedWindow": {"start": "2025-01-02T04:00:00Z", "end": "2025-01-03T06:00:00.5+02:00"},
      "explanationURL": "https://acme.example.com/docs/ari", "more": [1]})");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->start, absl::FromUnixSeconds(1'735'790'400));
  EXPECT_EQ(info->end, absl::FromUnixSeconds(1'735'876'800) + absl::Milliseconds(500));
  EXPECT_EQ(info->explanation_url, "https://acme.example.com/docs/ari");
  const auto short_one = ParseRenewalInfo(
      R"({"suggestedWindow": {"start": "2025-01-02T04:00:00Z", "end": "2025-01-03T04:00:00Z"},
          "explanationURL": "a\u001bb"})");
  ASSERT_TRUE(short_one.ok());
  EXPECT_EQ(short_one->explanation_url.find('\x1b'), std::string::npos);
}

TEST(ParseRenewalInfoTest, SaysWhatIsWrong) {
  const auto fault = [](const std::string& json) {
    return std::string(ParseRenewalInfo(json).status().message());
  };
  EXPECT_THAT(fault(""), HasSubstr("not a JSON object"));
  EXPECT_THAT(fault("[1]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(fault("{\"suggestedWindow\": 3}"), HasSubstr("no object suggestedWindow"));
  EXPECT_THAT(fault(R"({"suggestedWindow": {"end": "2025-01-03T04:00:00Z"}})"),
              HasSubstr("suggestedWindow.start must be an RFC 3339 time"));
  EXPECT_THAT(fault(R"({"suggestedWindow": {"start": "2025-01-03T04:00:00Z", "end": 7}})"),
              HasSubstr("suggestedWindow.end must be"));
  EXPECT_THAT(fault(R"({"suggestedWindow": {"start": "2025-01-03T04:00:00Z",
                                            "end": "2025-01-03T04:00:00Z"}})"),
              HasSubstr("later than its start"));
}

class RenewalInfoTest : public ServerProgramsTest {
 protected:
  void WriteFront() const {
    LeafSpec leaf;
    leaf.dns_names = {kFrontName};
    leaf.authority_key_id = true;
    leaf.not_after = absl::Now() + next_days_ * kDay;
    WriteCertificate("front", leaf);
  }

  // Writes the CA's answer: a window that ends after `end_in`.
  void Advise(const std::string& id, absl::Duration end_in) const {
    const absl::Time end = absl::Now() + end_in;
    const auto text = [](absl::Time time) {
      return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
    };
    const Json answer = {{"suggestedWindow", {{"start", text(end - kDay)}, {"end", text(end)}}},
                         {"explanationURL", "https://ca.test/why"}};
    WriteFile(absl::StrCat("renewal/", id, ".json"), answer.dump());
  }

  int next_days_ = 60;
};

TEST_F(RenewalInfoTest, ALateRenewalIsTold) {
  ASSERT_EQ(mkdir(PathOf("renewal").c_str(), 0700), 0);
  WriteFront();
  const auto backend = StartBackend(Mode::kOffload);
  const auto proxy =
      StartProxy(Mode::kOffload, backend->address(),
                 {"--admin=127.0.0.1:0", absl::StrCat("--renewal_info_dir=", PathOf("renewal"))});
  const uint16_t admin = AdminPort(*proxy);
  const std::string legs = WaitForPage(admin, "/legs", "renewal_id");
  const Json leg = Json::parse(legs.substr(legs.find("\r\n\r\n") + 4)).at("legs").at(0);
  EXPECT_TRUE(leg.at("renewal").is_null());
  const std::string id = leg.at("renewal_id");

  WriteFile(absl::StrCat("renewal/", id, ".json"), "{}");
  proxy->process.Signal(SIGHUP);
  EXPECT_TRUE(proxy->WaitForLog(absl::StrCat(id, ".json: it has no object suggestedWindow")))
      << proxy->log();

  Advise(id, 30 * kDay);
  proxy->process.Signal(SIGHUP);
  EXPECT_TRUE(
      proxy->WaitForLog("source=own event=renewal_advised detail=\"the CA advises to renew"))
      << proxy->log();
  WaitForPage(admin, "/", "(https://ca.test/why)");

  Advise(id, -kDay);
  proxy->process.Signal(SIGHUP);
  EXPECT_TRUE(proxy->WaitForLog("event=renewal_overdue detail=\"the renewal is late: "))
      << proxy->log();
  EXPECT_THAT(WaitForPage(admin, "/", "the renewal is late"), HasSubstr("class=\"leg warning\""));
  const std::string metrics =
      WaitForPage(admin, "/metrics",
                  "\ntrestle_certificate_renewal_window_seconds{edge=\"end\",leg=\"front\","
                  "name=\"front.test\",source=\"own\"} -86");
  ExpectPromtoolLikes(metrics.substr(metrics.find("\r\n\r\n") + 4));

  next_days_ = 90;
  WriteFront();
  proxy->process.Signal(SIGHUP);
  EXPECT_TRUE(proxy->WaitForLog("event=renewed_late detail=\"renewed 59 days before"))
      << proxy->log();
  EXPECT_THAT(proxy->log(), HasSubstr("; the CA advised to renew before "));
}

TEST_F(RenewalInfoTest, AMissingDirectoryIsRefused) {
  const CommandResult result = RunCommand(
      {ExampleProgram("passthrough_proxy"), "--listen=127.0.0.1:0", "--routes=a.test=127.0.0.1:1",
       "--admin=127.0.0.1:0", "--renewal_info_dir=/nowhere"},
      kPatience);
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.errors, HasSubstr("--renewal_info_dir has \"/nowhere\": No such file"));
}

}  // namespace
}  // namespace trestle::e2e
