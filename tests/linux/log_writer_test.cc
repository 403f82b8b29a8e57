#include "trestle/linux/log_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/linux/loopback.h"
#include "trestle/linux/file.h"

namespace trestle {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

using Lines = std::vector<std::string>;

LogWriterOptions TellLosses() {
  LogWriterOptions options;
  options.loss_line = [](uint64_t lost) { return absl::StrCat(lost, " lost"); };
  return options;
}

// A pipe, and a writer to it.
class PipeLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
    reader_.Reset(fds[0]);
    writer_.Reset(fds[1]);
    // The smallest possible size, so that the pipe is soon full.
    ASSERT_GT(fcntl(fds[1], F_SETPIPE_SZ, 4096), 0);
  }

  void Start(LogWriterOptions options = TellLosses()) {
    auto log = LogWriter::Start(std::move(writer_), std::move(options));
    ASSERT_TRUE(log.ok()) << log.status();
    log_ = *std::move(log);
  }

  // Returns the pipe's contents, until the writer has closed it.
  Lines ReadToEnd() {
    std::string text;
    std::array<char, 4096> block;
    while (true) {
      const ssize_t bytes = read(reader_.get(), block.data(), block.size());
      if (bytes <= 0) break;
      text.append(block.data(), static_cast<size_t>(bytes));
    }
    return absl::StrSplit(text, '\n', absl::SkipEmpty());
  }

  OwnedFd reader_;
  OwnedFd writer_;
  std::unique_ptr<LogWriter> log_;
};

TEST_F(PipeLogTest, WritesLinesInOrder) {
  // A pipe of one page accepts a second write only when it is empty.
  ASSERT_GT(fcntl(writer_.get(), F_SETPIPE_SZ, 64 << 10), 0);
  Start();
  log_->Write("one");
  log_->Write("");
  log_->Write("two");
  ASSERT_TRUE(log_->Flush(kPatience));
  std::array<char, 100> block;
  const ssize_t bytes = read(reader_.get(), block.data(), block.size());
  EXPECT_EQ(std::string(block.data(), static_cast<size_t>(bytes)), "one\n\ntwo\n");
  EXPECT_EQ(log_->lines_lost(), 0u);
}

TEST_F(PipeLogTest, NoCallerWaitsForABlockedReader) {
  LogWriterOptions options = TellLosses();
  options.max_line_bytes = 1000;
  options.max_queued_bytes = 16 << 10;
  options.end_limit = absl::ZeroDuration();
  Start(std::move(options));
  // Far more than the pipe and the queue hold: a writer that waits would hang the test.
  constexpr int kLines = 2000;
  for (int i = 0; i < kLines; ++i) log_->Write(absl::StrCat(i, std::string(95, '.')));
  EXPECT_GT(log_->lines_lost(), 1500u);
  EXPECT_FALSE(log_->Flush(absl::ZeroDuration()));
  log_.reset();  // The destructor doesn't wait either.
}

TEST_F(PipeLogTest, LostLinesAreCountedAndReportedInPlace) {
  LogWriterOptions options = TellLosses();
  options.max_line_bytes = 1000;
  options.max_queued_bytes = 16 << 10;
  Start(std::move(options));
  constexpr uint64_t kLines = 2000;
  for (uint64_t i = 0; i < kLines; ++i) log_->Write(absl::StrCat(i, std::string(95, '.')));
  const uint64_t lost = log_->lines_lost();
  ASSERT_GT(lost, 0u);
  std::thread reading([this] {
    EXPECT_TRUE(log_->Flush(kPatience));
    log_->Write("last");
    EXPECT_TRUE(log_->Flush(kPatience));
    log_.reset();
  });
  const Lines lines = ReadToEnd();
  reading.join();
  uint64_t next = 0;
  uint64_t said = 0;
  for (const std::string& line : lines) {
    uint64_t count = 0;
    if (absl::EndsWith(line, " lost")) {
      ASSERT_TRUE(absl::SimpleAtoi(line.substr(0, line.find(' ')), &count));
      said += count;
      next += count;
    } else if (line != "last") {
      ASSERT_EQ(line.substr(0, line.find('.')), absl::StrCat(next));
      ++next;
    }
  }
  EXPECT_EQ(said, lost);
  EXPECT_EQ(next, kLines);
  EXPECT_EQ(lines.back(), "last");
}

TEST_F(PipeLogTest, ALongLineSurvivesShortWrites) {
  Start();
  const std::string line(60'000, 'x');  // The pipe accepts 4,096 bytes at a time.
  log_->Write(line);
  log_->Write("next");
  std::thread ending([this] {
    EXPECT_TRUE(log_->Flush(kPatience));
    log_.reset();
  });
  EXPECT_EQ(ReadToEnd(), (Lines{line, "next"}));
  ending.join();
}

TEST_F(PipeLogTest, LinesBeyondTheLimitAreCut) {
  LogWriterOptions options;
  options.max_line_bytes = 10;
  Start(std::move(options));
  log_->Write(std::string(10, 'x'));
  log_->Write(std::string(11, 'y'));
  log_.reset();
  EXPECT_EQ(ReadToEnd(), (Lines{std::string(10, 'x'), std::string(10, 'y') + "…(11 bytes)"}));
}

TEST_F(PipeLogTest, LinesOfSeveralThreadsDoNotMix) {
  LogWriterOptions options;
  options.max_queued_bytes = 16 << 20;
  Start(std::move(options));
  constexpr int kThreads = 4;
  constexpr int kLines = 100;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < kLines; ++i) {
        log_->Write(std::string(5000, static_cast<char>('a' + t)));
      }
    });
  }
  std::thread ending([&] {
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(log_->Flush(kPatience));
    log_.reset();
  });
  std::map<std::string, int> count;
  for (const std::string& line : ReadToEnd()) ++count[line];
  ending.join();
  EXPECT_EQ(count.size(), static_cast<size_t>(kThreads));
  for (const auto& [line, times] : count) EXPECT_EQ(times, kLines) << line.substr(0, 10);
}

TEST_F(PipeLogTest, AClosedReaderLosesLinesOnly) {
  Start();
  reader_.Reset();
  log_->Write("one");  // SIGPIPE would end the test here.
  log_->Write("two");
  ASSERT_TRUE(log_->Flush(kPatience));
  EXPECT_EQ(log_->lines_lost(), 2u);
}

TEST_F(PipeLogTest, ANonBlockingPipeIsAwaited) {
  ASSERT_EQ(fcntl(writer_.get(), F_SETFL, O_NONBLOCK), 0);
  Start();
  for (int i = 0; i < 200; ++i) log_->Write(std::string(100, 'x'));
  std::thread ending([this] {
    EXPECT_TRUE(log_->Flush(kPatience));
    EXPECT_EQ(log_->lines_lost(), 0u);
    log_.reset();
  });
  EXPECT_EQ(ReadToEnd(), Lines(200, std::string(100, 'x')));
  ending.join();
}

// Simulates a full disk: the kernel writes as many bytes as fit, then fails.
class FileLogTest : public ::testing::Test {
 protected:
  FileLogTest() : path_(absl::StrCat(::testing::TempDir(), "/logXXXXXX")) {
    const OwnedFd made(mkstemp(&path_[0]));
    EXPECT_TRUE(made.valid());
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &before_), 0);
  }
  ~FileLogTest() override { SetLimit(before_.rlim_cur); }

  OwnedFd Open(const std::string& path) {
    return OwnedFd(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  }

  void SetLimit(rlim_t bytes) {
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }

  std::string path_;
  rlimit before_ = {};
};

TEST_F(FileLogTest, AfterAFullDiskLinesAreCompleteAndTheLossIsReported) {
  const auto log = LogWriter::Start(Open(path_), TellLosses());
  ASSERT_TRUE(log.ok()) << log.status();
  const auto write = [&](absl::string_view line) {
    (*log)->Write(line);
    EXPECT_TRUE((*log)->Flush(kPatience));
  };
  write("before");
  SetLimit(7 + 3);
  write("torn apart");
  write("without room");
  write("without room either");
  EXPECT_EQ((*log)->lines_lost(), 3u);
  SetLimit(before_.rlim_cur);
  write("after");
  EXPECT_EQ(ReadFile(path_).value_or("gone"), "before\ntor\n3 lost\nafter\n");
  EXPECT_EQ((*log)->lines_lost(), 3u);
}

TEST_F(FileLogTest, ContinuesInAnotherFile) {
  const auto log = LogWriter::Start(Open(path_));
  ASSERT_TRUE(log.ok()) << log.status();
  (*log)->Write("before");
  ASSERT_TRUE((*log)->Flush(kPatience));
  const std::string rotated = path_ + ".1";
  ASSERT_EQ(rename(path_.c_str(), rotated.c_str()), 0);
  (*log)->Replace(Open(path_));
  (*log)->Write("after");
  ASSERT_TRUE((*log)->Flush(kPatience));
  EXPECT_EQ(ReadFile(rotated).value_or("gone"), "before\n");
  EXPECT_EQ(ReadFile(path_).value_or("gone"), "after\n");
}

TEST_F(FileLogTest, WritesToAJournalsSocket) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  const OwnedFd reader(fds[0]);
  auto log = LogWriter::Start(OwnedFd(fds[1]));
  ASSERT_TRUE(log.ok()) << log.status();
  (*log)->Write("line");
  log->reset();
  std::array<char, 100> block;
  EXPECT_EQ(read(reader.get(), block.data(), block.size()), 5);
}

TEST_F(FileLogTest, RejectsZeroAndInfiniteLimits) {
  for (const auto& [line, queue] : {std::pair<size_t, size_t>{0, 100}, {100, 100}, {101, 100}}) {
    LogWriterOptions options;
    options.max_line_bytes = line;
    options.max_queued_bytes = queue;
    EXPECT_EQ(CodeOf(LogWriter::Start(Open(path_), std::move(options)).status()),
              ErrorCode::kConfiguration);
  }
  const DescriptorFamine famine;
  EXPECT_EQ(CodeOf(LogWriter::Start(OwnedFd()).status()), ErrorCode::kTransport);
}

}  // namespace
}  // namespace trestle
