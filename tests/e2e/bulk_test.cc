// Bulk transfers: 200 MB in each direction through each proxy arrive unchanged, and with few system
// calls.

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/bulk_bytes.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

using ::testing::Values;

constexpr uint64_t kBulkBytes = 200'000'000;
// On average at least 32 KiB per call, on each side and in each direction: 30,500 calls per GB.
constexpr int kMostCalls = kBulkBytes / 32'768;
// The other direction has a request, a response or nothing.
constexpr int kMostCallsBack = 200;

class BulkTest : public ProxyTest, public ::testing::WithParamInterface<Mode> {};

INSTANTIATE_TEST_SUITE_P(AllModes, BulkTest,
                         Values(Mode::kOffload, Mode::kPassthrough, Mode::kBridge),
                         [](const auto& info) { return ProgramOf(info.param); });

TEST_P(BulkTest, ADownloadArrivesUnchanged) {
  const auto backend = StartBackend(GetParam());
  const auto proxy = StartProxy(GetParam(), backend->address());
  const std::string path = PathOf("download");
  const CommandResult curl =
      Curl(proxy->port, absl::StrCat("/bytes/", kBulkBytes), {"--output", path}, kPatience * 2);
  ASSERT_EQ(curl.exit_status, 0) << curl.errors << proxy->log();
  EXPECT_EQ(Sha256OfFile(path), Sha256OfBulk(kBulkBytes));
}

TEST_P(BulkTest, AnUploadArrivesUnchanged) {
  const auto backend = StartBackend(GetParam());
  const auto proxy = StartProxy(GetParam(), backend->address());
  const std::string path = PathOf("upload");
  WriteBulkFile(path, kBulkBytes);
  const CommandResult curl =
      Curl(proxy->port, "/upload", {"--header", "Expect:", "--upload-file", path}, kPatience * 2);
  ASSERT_EQ(curl.exit_status, 0) << curl.errors << proxy->log();
  EXPECT_EQ(curl.output, Sha256OfBulk(kBulkBytes));
}

// Counts of the calls that move bytes, by leg.
struct CallCounts {
  int front_reads = 0;
  int front_writes = 0;
  int back_reads = 0;
  int back_writes = 0;
};

// Parses lines of `strace -yy`, in which descriptors show their addresses:
//   12 recvfrom(9<TCP:[127.0.0.1:4000->127.0.0.1:5000]>, ...
CallCounts CountCalls(const std::string& trace_path, uint16_t front_port, uint16_t back_port) {
  const std::string front = absl::StrCat("<TCP:[127.0.0.1:", front_port, "->");
  const std::string back = absl::StrCat("->127.0.0.1:", back_port, "]>");
  CallCounts counts;
  std::ifstream trace(trace_path);
  for (std::string line; std::getline(trace, line);) {
    const bool is_front = absl::StrContains(line, front);
    const bool is_back = absl::StrContains(line, back);
    if (absl::StrContains(line, "splice(")) {
      // A splice reads if the socket comes before the comma; otherwise it writes.
      const std::string first = line.substr(0, line.find(','));
      counts.front_reads += absl::StrContains(first, front);
      counts.back_reads += absl::StrContains(first, back);
      counts.front_writes += is_front && !absl::StrContains(first, front);
      counts.back_writes += is_back && !absl::StrContains(first, back);
      continue;
    }
    const bool is_write = absl::StrContains(line, "write") || absl::StrContains(line, "send");
    (is_write ? counts.front_writes : counts.front_reads) += is_front;
    (is_write ? counts.back_writes : counts.back_reads) += is_back;
  }
  return counts;
}

class BulkSystemCallsTest : public BulkTest {
 protected:
  // -D: the proxy is the child of this process, and so gets its signals; strace is a grandchild.
  // -E: LeakSanitizer can't run under strace.
  void Start() {
    const std::string strace = FindProgram("strace");
    ASSERT_FALSE(strace.empty());
    // In a folder of its own: the proxy watches the folder of the certificates, and would see its
    // trace grow.
    std::filesystem::create_directory(PathOf("traces"));
    backend_ = StartBackend(GetParam());
    proxy_ = StartProxy(GetParam(), backend_->address(), {},
                        {strace, "-D", "-E", "ASAN_OPTIONS=detect_leaks=0", "-f", "-yy", "-s", "0",
                         "-e", "signal=none", "-e",
                         "trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,splice",
                         "-o", PathOf("traces/trace")});
    ASSERT_NE(proxy_->port, 0) << "strace must be allowed to trace a program (ptrace): in a "
                                  "container that takes --cap-add=SYS_PTRACE";
  }

  CallCounts Stop() {
    proxy_->process.Signal(SIGTERM);
    EXPECT_EQ(proxy_->process.WaitForExit(kPatience), 0) << proxy_->log();
    const CallCounts counts = CountCalls(PathOf("traces/trace"), proxy_->port, backend_->port());
    RecordProperty("front_reads", counts.front_reads);
    RecordProperty("front_writes", counts.front_writes);
    RecordProperty("back_reads", counts.back_reads);
    RecordProperty("back_writes", counts.back_writes);
    return counts;
  }

  std::unique_ptr<HttpBackend> backend_;
  std::unique_ptr<ProxyProcess> proxy_;
};

INSTANTIATE_TEST_SUITE_P(AllModes, BulkSystemCallsTest,
                         Values(Mode::kOffload, Mode::kPassthrough, Mode::kBridge),
                         [](const auto& info) { return ProgramOf(info.param); });

TEST_P(BulkSystemCallsTest, ADownloadTakesFewCalls) {
  Start();
  const CommandResult curl = Curl(proxy_->port, absl::StrCat("/bytes/", kBulkBytes),
                                  {"--output", "/dev/null"}, kPatience * 2);
  ASSERT_EQ(curl.exit_status, 0) << curl.errors << proxy_->log();
  const CallCounts counts = Stop();
  EXPECT_LT(counts.back_reads, kMostCalls);
  EXPECT_LT(counts.front_writes, kMostCalls);
  EXPECT_LT(counts.front_reads, kMostCallsBack);
  EXPECT_LT(counts.back_writes, kMostCallsBack);
  EXPECT_GT(counts.front_writes, 0) << "the trace shows no bytes for the client";
  EXPECT_GT(counts.back_reads, 0) << "the trace shows no bytes from the backend";
}

TEST_P(BulkSystemCallsTest, AnUploadTakesFewCalls) {
  const std::string path = PathOf("upload");
  WriteBulkFile(path, kBulkBytes);
  Start();
  const CommandResult curl =
      Curl(proxy_->port, "/upload", {"--header", "Expect:", "--upload-file", path}, kPatience * 2);
  ASSERT_EQ(curl.exit_status, 0) << curl.errors << proxy_->log();
  const CallCounts counts = Stop();
  EXPECT_LT(counts.front_reads, kMostCalls);
  EXPECT_LT(counts.back_writes, kMostCalls);
  EXPECT_LT(counts.back_reads, kMostCallsBack);
  EXPECT_LT(counts.front_writes, kMostCallsBack);
  EXPECT_GT(counts.front_reads, 0) << "the trace shows no bytes from the client";
  EXPECT_GT(counts.back_writes, 0) << "the trace shows no bytes for the backend";
}

}  // namespace
}  // namespace trestle::e2e
