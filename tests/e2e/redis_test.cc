// A fleet of three proxies with ticket keys in a real Redis, which stops and restarts. Proxies stop
// as well, including the one that rotates the keys.
#include <signal.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_programs.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;

constexpr char kRotated[] = "ticket keys: rotated in Redis";
constexpr char kTaken[] = "ticket keys: taken from Redis";
constexpr char kLost[] = "ticket keys: the last ones go on";
constexpr char kBack[] = "ticket keys: Redis is back";

int Occurrences(absl::string_view text, absl::string_view what) {
  int count = 0;
  for (size_t at = text.find(what); at != absl::string_view::npos; at = text.find(what, at + 1)) {
    ++count;
  }
  return count;
}

class RedisTest : public ServerProgramsTest {
 protected:
  RedisTest() { StartRedis(); }

  void StartRedis() {
    WriteFile("redis.conf", absl::StrCat("bind 127.0.0.1\nport ", port_,
                                         "\nrequirepass open-sesame\nsave \"\"\nappendonly no\n"
                                         "dir ",
                                         PathOf(""), "\n"));
    WriteFile("redis.password", "open-sesame\n");
    redis_ = std::make_unique<Process>(
        std::vector<std::string>{FindProgram("redis-server"), PathOf("redis.conf")});
    ASSERT_TRUE(redis_->WaitForOutput("Ready to accept connections", kPatience))
        << redis_->output() << redis_->errors();
  }

  // Kills it without warning; its data is lost.
  void KillRedis() {
    redis_->Signal(SIGKILL);
    redis_->WaitForExit(kPatience);
  }

  std::unique_ptr<ProxyProcess> StartNode(absl::Duration rotate_every) {
    return StartProxy(
        Mode::kOffload, backend_->address(),
        {absl::StrCat("--ticket_keys_redis=127.0.0.1:", port_),
         absl::StrCat("--ticket_keys_redis_password_file=", PathOf("redis.password")),
         absl::StrCat("--ticket_keys_rotate_every=", absl::FormatDuration(rotate_every)),
         "--ticket_keys_refresh_every=200ms"});
  }

  // Starts three proxies, and waits until all have the same keys.
  void StartFleet(absl::Duration rotate_every) {
    for (int i = 0; i < 3; ++i) fleet_.push_back(StartNode(rotate_every));
    for (const auto& node : fleet_) {
      ASSERT_TRUE(node->WaitForLog("ticket keys: ")) << node->log();
    }
    ASSERT_TRUE(WaitUntil([&] { return AllShare(); }));
  }

  std::string Session(const ProxyProcess& node) {
    const std::string path = PathOf(absl::StrCat("session", ++sessions_));
    const CommandResult made = Openssl(node.port, "/hello", {"-sess_out", path});
    EXPECT_EQ(made.exit_status, 0) << made.errors << node.log();
    return path;
  }

  bool Resumes(const ProxyProcess& node, const std::string& session) {
    const CommandResult result = Openssl(node.port, "/hello", {"-sess_in", session});
    EXPECT_EQ(result.exit_status, 0) << result.errors << node.log();
    EXPECT_THAT(result.output, HasSubstr("hello from backend"));
    return absl::StrContains(result.output, "Reused, ");
  }

  bool AllResume(const std::string& session) {
    return std::all_of(fleet_.begin(), fleet_.end(),
                       [&](const auto& node) { return Resumes(*node, session); });
  }

  // Returns whether each proxy resumes the sessions of every other one.
  bool AllShare() {
    return std::all_of(fleet_.begin(), fleet_.end(),
                       [&](const auto& node) { return AllResume(Session(*node)); });
  }

  const uint16_t port_ = FreePort();
  std::unique_ptr<Process> redis_;
  const std::unique_ptr<HttpBackend> backend_ = StartBackend(Mode::kOffload);
  std::vector<std::unique_ptr<ProxyProcess>> fleet_;
  int sessions_ = 0;
};

TEST_F(RedisTest, SessionsSurviveALossOfRedis) {
  StartFleet(absl::Hours(1));
  const std::string before = Session(*fleet_[0]);
  int rotations = 0;
  for (const auto& node : fleet_) rotations += Occurrences(node->log(), kRotated);
  EXPECT_EQ(rotations, 1) << "one proxy creates the first keys";

  KillRedis();
  for (const auto& node : fleet_) ASSERT_TRUE(node->WaitForLog(kLost)) << node->log();
  EXPECT_TRUE(AllResume(before));
  EXPECT_TRUE(AllShare());
  // A proxy that starts meanwhile has its own keys.
  auto newcomer = StartNode(absl::Hours(1));
  ASSERT_TRUE(newcomer->WaitForLog(kLost)) << newcomer->log();
  EXPECT_FALSE(Resumes(*newcomer, before));
  EXPECT_TRUE(Resumes(*newcomer, Session(*newcomer)));

  StartRedis();
  for (const auto& node : fleet_) ASSERT_TRUE(node->WaitForLog(kBack)) << node->log();
  ASSERT_TRUE(newcomer->WaitForLog(kTaken)) << newcomer->log();
  EXPECT_TRUE(Resumes(*newcomer, before)) << "proxies with keys write them to Redis again";
  fleet_.push_back(std::move(newcomer));
  EXPECT_TRUE(AllResume(before));
  EXPECT_TRUE(AllShare());
}

TEST_F(RedisTest, AnotherProxyRotatesAfterTheLeaderDies) {
  constexpr absl::Duration kPeriod = absl::Seconds(4);
  StartFleet(kPeriod);
  // Kills each proxy that rotates; another one takes over, until one is left.
  while (fleet_.size() > 1) {
    std::vector<int> counts;
    for (const auto& node : fleet_) counts.push_back(Occurrences(node->log(), kRotated));
    size_t leader = 0;
    ASSERT_TRUE(WaitUntil([&] {
      for (leader = 0; leader < fleet_.size(); ++leader) {
        if (Occurrences(fleet_[leader]->log(), kRotated) > counts[leader]) return true;
      }
      return false;
    })) << "no proxy rotates";
    fleet_[leader]->process.Signal(SIGKILL);
    fleet_[leader]->process.WaitForExit(kPatience);
    fleet_.erase(fleet_.begin() + static_cast<std::ptrdiff_t>(leader));
    ASSERT_TRUE(WaitUntil([&] { return AllShare(); }));
  }
  const int before = Occurrences(fleet_[0]->log(), kRotated);
  EXPECT_TRUE(WaitUntil([&] { return Occurrences(fleet_[0]->log(), kRotated) > before; }));
  // A new machine gets the existing keys.
  fleet_.push_back(StartNode(kPeriod));
  EXPECT_TRUE(fleet_[1]->WaitForLog(kTaken)) << fleet_[1]->log();
  EXPECT_TRUE(WaitUntil([&] { return AllShare(); }));
}

TEST_F(RedisTest, AWrongPasswordIsLogged) {
  WriteFile("redis.password", "nonsense\n");
  const auto node = StartNode(absl::Hours(1));
  EXPECT_TRUE(node->WaitForLog("the last ones go on; Redis refuses AUTH: WRONGPASS"))
      << node->log();
  EXPECT_TRUE(Resumes(*node, Session(*node)));
}

}  // namespace
}  // namespace trestle::e2e
