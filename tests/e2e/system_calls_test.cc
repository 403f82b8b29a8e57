// Bounds on the system calls per connection and per request, counted by strace. bulk_test.cc has
// those of bulk transfers.
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

constexpr int kRequests = 200;
constexpr int kConnections = 50;

// Calls for starting, listening and draining, with room for a sanitizer's own calls.
constexpr int kOnce = 40;

// Calls of connections that end during the test, including bulk ones.
constexpr int kForEnds = 600;

using CallCounts = std::map<std::string, int>;

// Parses lines of strace: "12 recvfrom(9, ...". A call that another thread's call interrupts has a
// second line, "12 <... recvfrom resumed>", which is not counted.
CallCounts CountCalls(const std::string& trace_path) {
  CallCounts counts;
  std::ifstream trace(trace_path);
  for (std::string line; std::getline(trace, line);) {
    absl::string_view rest = line;
    rest.remove_prefix(std::min(rest.size(), rest.find(' ')));
    rest = absl::StripLeadingAsciiWhitespace(rest);
    const size_t bracket = rest.find('(');
    if (rest.empty() || rest[0] == '<' || bracket == absl::string_view::npos) continue;
    ++counts[std::string(rest.substr(0, bracket))];
  }
  return counts;
}

class SystemCallsTest : public ProxyTest, public ::testing::WithParamInterface<Mode> {
 protected:
  void Start() {
    const std::string strace = FindProgram("strace");
    ASSERT_FALSE(strace.empty());
    std::filesystem::create_directory(PathOf("traces"));
    backend_ = StartBackend(GetParam());
    // As in bulk_test.cc.
    proxy_ = StartProxy(GetParam(), backend_->address(), {},
                        {strace, "-D", "-E", "ASAN_OPTIONS=detect_leaks=0", "-f", "-s", "0", "-e",
                         "signal=none", "-e", "trace=network,desc", "-o", TracePath()});
    ASSERT_NE(proxy_->port, 0) << "strace must be allowed to trace a program (ptrace): in a "
                                  "container that takes --cap-add=SYS_PTRACE";
  }

  // In a folder of its own: the proxy watches the folder of the certificates, and would see its
  // trace grow.
  std::string TracePath() const { return PathOf("traces/trace"); }

  CallCounts Stop() {
    proxy_->process.Signal(SIGTERM);
    EXPECT_EQ(proxy_->process.WaitForExit(kPatience), 0) << proxy_->log();
    CallCounts counts = CountCalls(TracePath());
    for (const auto& [name, count] : counts) RecordProperty(name, count);
    EXPECT_GT(counts["sendto"], 0) << "the trace is empty";
    return counts;
  }

  std::unique_ptr<HttpBackend> backend_;
  std::unique_ptr<ProxyProcess> proxy_;
};

INSTANTIATE_TEST_SUITE_P(AllModes, SystemCallsTest,
                         ::testing::Values(Mode::kOffload, Mode::kPassthrough, Mode::kBridge),
                         [](const auto& info) { return ProgramOf(info.param); });

TEST_P(SystemCallsTest, CallsPerRequestOnAKeptConnectionAreBounded) {
  Start();
  auto client = ConnectTls(proxy_->port);
  ASSERT_NE(client, nullptr);
  for (int i = 0; i < kRequests; ++i) {
    ASSERT_TRUE(client->Write(GetRequest("/hello")));
    ASSERT_NE(client->ReadUntil("hello from backend"), "");
  }
  client.reset();
  CallCounts counts = Stop();
  // One read and one write on each side, after one wait for readiness.
  EXPECT_LE(counts["recvfrom"], 2 * kRequests + kOnce);
  EXPECT_LE(counts["write"], kOnce);
  EXPECT_LE(counts["sendto"], 2 * kRequests + kOnce);
  EXPECT_LE(counts["epoll_wait"], 2 * kRequests + kOnce);
  EXPECT_LE(counts["epoll_ctl"], kOnce);
  EXPECT_EQ(counts["splice"], 0) << "too expensive for a few bytes";
}

TEST_P(SystemCallsTest, CallsPerConnectionAreBounded) {
  Start();
  for (int i = 0; i < kConnections; ++i) {
    auto client = ConnectTls(proxy_->port);
    ASSERT_NE(client, nullptr);
    ASSERT_TRUE(client->Write(GetAndCloseRequest("/hello")));
    client->ShutdownWrite();  // Passing on a truncated end would take more calls.
    ASSERT_NE(client->ReadToEnd(), "");
  }
  CallCounts counts = Stop();
  // Handshake, tickets with the response, end; the request. The bridge has one more handshake. A
  // passthrough has as many pieces as the peers write, or fewer.
  const int sends = GetParam() == Mode::kOffload ? 4 : 7;
  EXPECT_LE(counts["sendto"], sends * kConnections + kOnce);
  // A passthrough reads what the peers write, each in pieces of their choice.
  const int reads = GetParam() == Mode::kPassthrough ? 8 : 5;
  EXPECT_LE(counts["recvfrom"], reads * kConnections + kOnce);
  EXPECT_LE(counts["epoll_wait"], 7 * kConnections + kOnce);
  EXPECT_LE(counts["accept4"], 2 * kConnections + kOnce);
  EXPECT_LE(counts["epoll_ctl"], 2 * kConnections + kOnce);
  EXPECT_LE(counts["setsockopt"], 2 * kConnections + kOnce);
  EXPECT_LE(counts["getsockname"], kConnections + kOnce);
  EXPECT_LE(counts["shutdown"], 2 * kConnections + kOnce);
  EXPECT_LE(counts["getsockopt"], kOnce);
  EXPECT_EQ(counts["getpeername"], 0);
}

TEST_P(SystemCallsTest, AfterEveryKindOfEndTheProxyIsIdle) {
  Start();
  auto asking = ConnectTls(proxy_->port);
  ASSERT_NE(asking, nullptr);
  const auto idle = ConnectTls(proxy_->port);
  ASSERT_NE(idle, nullptr);
  const auto half_closed = ConnectTls(proxy_->port);
  ASSERT_NE(half_closed, nullptr);
  half_closed->Write(GetRequest("/hello"));
  half_closed->ReadUntil("hello from backend");
  half_closed->ShutdownWrite();
  const auto silent = BlockingStream::Connect(proxy_->port);
  ASSERT_NE(silent, nullptr);
  for (const char* const path : {"/cut/1000", "/hello", "/bytes/100000000"}) {
    const auto leaving = ConnectTls(proxy_->port);
    ASSERT_NE(leaving, nullptr);
    leaving->Write(GetRequest(path));
    leaving->ReadUntil("\r\n\r\n");
  }
  // With these connections open, each request still takes only one wait for readiness on each side.
  for (int i = 0; i < kRequests; ++i) {
    ASSERT_TRUE(asking->Write(GetRequest("/hello")));
    ASSERT_NE(asking->ReadUntil("hello from backend"), "");
  }
  EXPECT_LE(CountCalls(TracePath())["epoll_wait"], 2 * kRequests + kOnce + kForEnds);
}

}  // namespace
}  // namespace trestle::e2e
