// Processes that share a port are replaced one by one under load, and no request fails.
#include <signal.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

constexpr int kProcesses = 3;
constexpr int kClients = 4;
constexpr int kMaxRequestsPerClient = 3000;

class RollingRestartTest : public ProxyTest, public ::testing::WithParamInterface<Mode> {
 protected:
  ~RollingRestartTest() override { StopLoad(); }

  std::unique_ptr<ProxyProcess> Start(const std::string& listen, bool join) {
    std::vector<std::string> flags = {"--threads=2", "--drain_timeout=30s",
                                      absl::StrCat("--listen=", listen)};
    if (join) flags.push_back("--join");
    return StartProxy(GetParam(), backend_->address(), flags);
  }

  // Clients that make one request per connection, one after the other.
  void StartLoad(uint16_t port) {
    for (int i = 0; i < kClients; ++i) {
      clients_.emplace_back([this, port] {
        for (int n = 0; n < kMaxRequestsPerClient && !stop_; ++n) Request(port);
      });
    }
  }

  void StopLoad() {
    stop_ = true;
    for (std::thread& client : clients_) client.join();
    clients_.clear();
  }

  void Request(uint16_t port) {
    std::string failure = "no connection";
    if (const auto stream = BlockingStream::Connect(port)) {
      failure = "no handshake: ";
      if (stream->StartClient(kFrontName)) {
        stream->Write(GetAndCloseRequest("/hello"));
        const std::string answer = stream->ReadToEnd();
        if (absl::EndsWith(answer, "hello from backend")) {
          ++answers_;
          return;
        }
        failure = absl::StrCat("the answer is \"", answer, "\": ");
      }
      failure += stream->error();
    }
    absl::MutexLock lock(&mutex_);
    failures_.push_back(std::move(failure));
  }

  bool WaitForAnswers(int more) {
    const int wanted = answers_ + more;
    return WaitUntil([&] { return answers_ >= wanted; });
  }

  std::vector<std::string> failures() {
    absl::MutexLock lock(&mutex_);
    return failures_;
  }

  std::unique_ptr<HttpBackend> backend_ = StartBackend(GetParam());

 private:
  std::atomic<bool> stop_{false};
  std::atomic<int> answers_{0};
  absl::Mutex mutex_;
  std::vector<std::string> failures_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> clients_;
};

INSTANTIATE_TEST_SUITE_P(AllModes, RollingRestartTest,
                         ::testing::Values(Mode::kOffload, Mode::kPassthrough, Mode::kBridge),
                         [](const auto& info) { return ProgramOf(info.param); });

TEST_P(RollingRestartTest, NoRequestIsLost) {
  std::vector<std::unique_ptr<ProxyProcess>> processes;
  processes.push_back(Start("127.0.0.1:0", /*join=*/false));
  const uint16_t port = processes[0]->port;
  const std::string listen = absl::StrCat("127.0.0.1:", port);
  while (processes.size() < kProcesses) processes.push_back(Start(listen, /*join=*/true));
  StartLoad(port);
  for (std::unique_ptr<ProxyProcess>& process : processes) {
    EXPECT_TRUE(WaitForAnswers(20));
    std::unique_ptr<ProxyProcess> successor = Start(listen, /*join=*/true);
    process->process.Signal(SIGTERM);
    EXPECT_EQ(process->process.WaitForExit(kPatience), 0) << process->log();
    process = std::move(successor);
  }
  EXPECT_TRUE(WaitForAnswers(20));
  StopLoad();
  EXPECT_THAT(failures(), ::testing::IsEmpty());
}

TEST_P(RollingRestartTest, AProcessDoesNotJoinByAccident) {
  const auto first = Start("127.0.0.1:0", /*join=*/false);
  std::vector<std::string> argv = {ExampleProgram(ProgramOf(GetParam()))};
  for (std::string& flag : FlagsFor(GetParam(), backend_->address())) argv.push_back(flag);
  argv.push_back(absl::StrCat("--listen=127.0.0.1:", first->port));
  const CommandResult second = RunCommand(argv, kPatience);
  EXPECT_EQ(second.exit_status, 1);
  EXPECT_THAT(second.errors, ::testing::HasSubstr("in use by another program"));
}

}  // namespace
}  // namespace trestle::e2e
