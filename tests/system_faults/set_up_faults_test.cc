// Each system call of what a program opens when it starts, reads at a reload or writes to its logs
// fails in turn. The result is a typed error that names the reason, or success with all its
// effects. Nothing leaks, and the next try succeeds.
#include <signal.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/linux/loopback.h"
#include "tests/support/socket_folder.h"
#include "tests/system_faults/system_faults.h"
#include "trestle/linux/ca_files.h"
#include "trestle/linux/file.h"
#include "trestle/linux/file_watcher.h"
#include "trestle/linux/log_writer.h"
#include "trestle/linux/private_file.h"
#include "trestle/linux/service_notifier.h"
#include "trestle/linux/signal_watcher.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/linux/thread_pool.h"

namespace trestle {
namespace {

constexpr size_t kMaxPlaces = 10;

// Calls `act` with each fault of its calls. `prepare` runs before each call, without faults.
void TryEachFault(absl::FunctionRef<void()> prepare, absl::FunctionRef<absl::Status()> act) {
  prepare();
  absl::Status first;
  const auto counts = CountCalls([&] { first = act(); });
  ASSERT_TRUE(first.ok()) << first;
  const size_t faults = ForEachFault(counts, kMaxPlaces, [&](const Fault& fault) {
    if (::testing::Test::HasFailure()) return;
    SCOPED_TRACE(::testing::PrintToString(fault));
    prepare();
    const size_t descriptors = OpenDescriptors();
    absl::Status status;
    {
      const InjectedFault injected(fault);
      status = act();
    }
    EXPECT_TRUE(status.ok() || GetError(status).has_value()) << status;
    EXPECT_EQ(OpenDescriptors(), descriptors) << status;
    prepare();
    const absl::Status again = act();
    EXPECT_TRUE(again.ok()) << again;
  });
  EXPECT_GT(faults, 0u);
  std::cout << faults << " faults\n";
}

void TryEachFault(absl::FunctionRef<absl::Status()> act) {
  TryEachFault([] {}, act);
}

void WriteText(const std::string& path, absl::string_view text) {
  std::ofstream(path, std::ios::trunc) << text;
}

class SetUpFaultsTest : public ::testing::Test {
 protected:
  absl::Status Listen(const Endpoint& endpoint) {
    return TcpListener::Create(*loop_, endpoint, [](std::unique_ptr<Transport>) {}).status();
  }
  std::string Path(absl::string_view name) const { return folder_.PathOf(name); }

  const std::unique_ptr<EpollLoop> loop_ = *EpollLoop::Create();
  SocketFolder folder_;
};

TEST_F(SetUpFaultsTest, Loop) {
  TryEachFault([] { return EpollLoop::Create().status(); });
}

TEST_F(SetUpFaultsTest, Listeners) {
  TryEachFault([this] { return Listen(Loopback()); });
  TryEachFault([this] { return Listen(*Endpoint::Parse("0.0.0.0:0")); });
  TryEachFault([this] { return Listen(Endpoint::Unix("@trestle-set-up-faults")); });
}

TEST_F(SetUpFaultsTest, ListenerOnAPath) {
  TryEachFault([this] { return Listen(Endpoint::Unix(Path("new"))); });
}

TEST_F(SetUpFaultsTest, ListenerThatReplacesTheSocketOfADeadProgram) {
  const Endpoint old = Endpoint::Unix(Path("old"));
  TryEachFault(
      [&] {
        std::remove(std::string(old.path()).c_str());
        RawListener(16, old).Reset();
      },
      [&] { return Listen(old); });
}

TEST_F(SetUpFaultsTest, AdoptedAndSharedListeners) {
  TryEachFault([this] {
    OwnedFd raw;
    {
      const RealCalls real;
      raw = RawListener();
    }
    auto adopted = TcpListener::Adopt(*loop_, std::move(raw), [](std::unique_ptr<Transport>) {});
    if (!adopted.ok()) return adopted.status();
    return TcpListener::Share(*loop_, **adopted, [](std::unique_ptr<Transport>) {}).status();
  });
}

TEST_F(SetUpFaultsTest, Signals) {
  ASSERT_TRUE(BlockSignals({SIGUSR1}).ok());
  TryEachFault([this] { return SignalWatcher::Create(*loop_, {SIGUSR1}, [](int) {}).status(); });
}

TEST_F(SetUpFaultsTest, Files) {
  const std::string text(100'000, 'x');
  WriteText(Path("file"), text);
  TryEachFault([&] {
    const absl::StatusOr<std::string> read = ReadFile(Path("file"), 1 << 20);
    if (read.ok()) EXPECT_TRUE(*read == text) << "a part is taken for the whole";
    return read.status();
  });
  TryEachFault([&] {
    const auto names = ListFolder(folder_.path());
    if (names.ok()) EXPECT_EQ(*names, std::vector<std::string>{"file"});
    return names.status();
  });
}

TEST_F(SetUpFaultsTest, TrustedCertificates) {
  WriteText(Path("a.pem"), "one");
  WriteText(Path("b.pem"), "two");
  TryEachFault([&] {
    const absl::StatusOr<std::string> read = ReadCaCertificates(folder_.path());
    if (read.ok()) EXPECT_EQ(*read, "one\ntwo\n") << "a part is taken for the whole";
    return read.status();
  });
}

TEST_F(SetUpFaultsTest, PrivateFiles) {
  const std::string path = Path("secrets");
  TryEachFault([&] { std::remove(path.c_str()); },
               [&] { return CreatePrivateFile(path).status(); });
  TryEachFault([&] { return OpenPrivateFile(path).status(); });
}

TEST_F(SetUpFaultsTest, ServiceManager) {
  const std::string path = Path("notify");
  const OwnedFd manager(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const SocketAddress address(Endpoint::Unix(path));
  ASSERT_EQ(bind(manager.get(), address.get(), address.size), 0);
  const auto read_all = [&] {
    char message[256];
    while (recv(manager.get(), message, sizeof message, MSG_DONTWAIT) >= 0) continue;
  };
  TryEachFault(read_all, [&] {
    const auto notifier = ServiceNotifier::Create(path);
    return notifier.ok() ? (*notifier)->Ready("serving") : notifier.status();
  });
}

TEST_F(SetUpFaultsTest, Threads) {
  TryEachFault([] { return ThreadPool::Create().status(); });
}

// A watcher that fails later tries again, so that only its creation has an error.
TEST_F(SetUpFaultsTest, FileWatcher) {
  WriteText(Path("watched"), "1");
  int version = 1;
  TryEachFault([&] {
    bool changed = false;
    const std::vector<std::string> paths = {Path("watched")};
    FileWatcherOptions options;
    options.settle_time = absl::Milliseconds(1);
    const auto watcher = FileWatcher::Create(
        *loop_, paths, [&](absl::Span<const std::string>) { changed = true; }, options);
    if (!watcher.ok()) return watcher.status();
    WriteText(Path("watched"), absl::StrCat("version ", ++version));
    for (int turn = 0; turn < 20 && !changed; ++turn) loop_->RunTurn(absl::Milliseconds(1));
    return absl::OkStatus();
  });
}

// Each line is in the file as a whole, or counted as lost.
TEST_F(SetUpFaultsTest, LogWriter) {
  constexpr size_t kLines = 40;
  const std::string path = Path("log");
  const auto count_whole_lines = [&] {
    const RealCalls real;
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    size_t whole = 0;
    for (const absl::string_view line : absl::StrSplit(text.str(), '\n')) {
      if (line == std::string(300, 'x')) ++whole;
    }
    return whole;
  };
  TryEachFault([&] { std::remove(path.c_str()); },
               [&]() -> absl::Status {
                 auto file = OpenPrivateFile(path);
                 if (!file.ok()) return file.status();
                 LogWriterOptions options;
                 options.loss_line = [](uint64_t lost) {
                   return absl::StrCat(lost, " lines are lost");
                 };
                 const auto writer = LogWriter::Start(*std::move(file), std::move(options));
                 if (!writer.ok()) return writer.status();
                 for (size_t i = 0; i < kLines; ++i) (*writer)->Write(std::string(300, 'x'));
                 EXPECT_TRUE((*writer)->Flush(absl::Seconds(30)));
                 EXPECT_EQ(count_whole_lines() + (*writer)->lines_lost(), kLines);
                 return absl::OkStatus();
               });
}

}  // namespace
}  // namespace trestle
