// Many bytes: 200 MB in each direction through each proxy arrive unchanged, and with few system
// calls.

#include <csignal>
#include <fstream>
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
constexpr int kMaxCalls = 10'000;

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

// Reads lines of `strace -yy`, in which descriptors show their addresses:
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
      // A splice reads where the socket comes first, before the comma, and else writes.
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

TEST_P(BulkTest, ADownloadTakesFewSystemCalls) {
  const std::string strace = FindProgram("strace");
  ASSERT_FALSE(strace.empty());
  const std::string trace = PathOf("trace");
  const auto backend = StartBackend(GetParam());
  // -D: the proxy is our child and strace another's, so that the proxy gets our signals.
  // -E: in a build with AddressSanitizer, leaks can't be looked for under strace.
  const auto proxy = StartProxy(
      GetParam(), backend->address(), {},
      {strace, "-D", "-E", "ASAN_OPTIONS=detect_leaks=0", "-f", "-yy", "-s", "0", "-e",
       "signal=none", "-e", "trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,splice",
       "-o", trace});
  ASSERT_NE(proxy->port, 0) << "strace must be allowed to trace a program (ptrace): in a container "
                               "that takes --cap-add=SYS_PTRACE";
  const CommandResult curl = Curl(proxy->port, absl::StrCat("/bytes/", kBulkBytes),
                                  {"--output", "/dev/null"}, kPatience * 2);
  ASSERT_EQ(curl.exit_status, 0) << curl.errors << proxy->log();
  proxy->process.Signal(SIGTERM);
  ASSERT_EQ(proxy->process.WaitForExit(kPatience), 0) << proxy->log();

  const CallCounts counts = CountCalls(trace, proxy->port, backend->port());
  RecordProperty("front_reads", counts.front_reads);
  RecordProperty("front_writes", counts.front_writes);
  RecordProperty("back_reads", counts.back_reads);
  RecordProperty("back_writes", counts.back_writes);
  EXPECT_LT(counts.front_reads, kMaxCalls);
  EXPECT_LT(counts.front_writes, kMaxCalls);
  EXPECT_LT(counts.back_reads, kMaxCalls);
  EXPECT_LT(counts.back_writes, kMaxCalls);
  EXPECT_GT(counts.front_writes, 0) << "the trace shows no bytes for the client";
  EXPECT_GT(counts.back_reads, 0) << "the trace shows no bytes from the backend";
}

}  // namespace
}  // namespace trestle::e2e
