// --dangerous_capture_file of the example proxies: the file has the complete exchange between curl
// and a backend, and tcpdump accepts it.

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"
#include "tests/support/pcap_reader.h"
#include "trestle/linux/file.h"

namespace trestle::e2e {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class CaptureTest : public ProxyTest {
 protected:
  CaptureTest() : path_(PathOf("capture.pcap")), flag_("--dangerous_capture_file=" + path_) {}

  // Returns the connections of the file, after the proxy has ended and written everything.
  std::vector<PcapStream> StreamsOf(ProxyProcess& proxy) const {
    proxy.process.Signal(SIGTERM);
    EXPECT_TRUE(proxy.process.WaitForExit(kPatience).has_value()) << proxy.log();
    const auto streams = ReadStreams(ReadFile(path_, 64 << 20).value_or("can't be read"));
    EXPECT_TRUE(streams.ok()) << streams.status();
    return streams.value_or(std::vector<PcapStream>());
  }

  // Returns tcpdump's description of each packet with its payload. Every checksum must be correct.
  std::string Tcpdump() const {
    std::vector<std::string> argv = {FindProgram("tcpdump"), "-n", "-vv", "-A", "-r", path_};
    CommandResult dump = RunCommand(argv, kPatience);
    if (absl::StrContains(dump.errors, "Couldn't change to")) {
      // As root, tcpdump switches to another user, which a sandbox does not have. So it starts as
      // nobody.
      argv.insert(argv.begin(), {FindProgram("unshare"), "--user"});
      dump = RunCommand(argv, kPatience);
    }
    EXPECT_EQ(dump.exit_status, 0) << dump.errors;
    EXPECT_THAT(dump.errors, Not(HasSubstr("truncated")));
    const auto packets = ReadPackets(ReadFile(path_, 64 << 20).value_or("can't be read"));
    EXPECT_EQ(Count(dump.output, "(correct)"), packets.ok() ? packets->size() : 0);
    EXPECT_THAT(dump.output, AllOf(Not(HasSubstr("(incorrect")), Not(HasSubstr("[bad "))));
    return dump.output;
  }

  static size_t Count(const std::string& text, const std::string& word) {
    const std::vector<std::string> pieces = absl::StrSplit(text, word);
    return pieces.size() - 1;
  }

  const std::string path_;
  const std::string flag_;
};

TEST_F(CaptureTest, ABridgeAndATerminatorWriteTheBytesOfBothSides) {
  for (const Mode mode : {Mode::kBridge, Mode::kOffload}) {
    const auto backend = StartBackend(mode);
    const auto proxy = StartProxy(mode, backend->address(), {flag_, "--threads=2"});
    EXPECT_THAT(proxy->log(),
                HasSubstr("the clear text of all connections is written to " + path_));
    EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend") << proxy->log();
    EXPECT_EQ(Curl(proxy->port, "/bytes/1000000").output.size(), 1'000'000u) << proxy->log();
    const std::vector<PcapStream> streams = StreamsOf(*proxy);
    ASSERT_THAT(streams, SizeIs(2));
    EXPECT_EQ(streams[0].server.ToString(), absl::StrCat("127.0.0.1:", proxy->port));
    EXPECT_NE(streams[0].client.port(), streams[1].client.port());
    EXPECT_THAT(streams[0].to_server, StartsWith("GET /hello HTTP/1.1\r\n"));
    EXPECT_THAT(streams[0].to_client,
                AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("hello from backend")));
    EXPECT_GT(streams[1].to_client.size(), 1'000'000u);
    const std::string dump = Tcpdump();
    EXPECT_THAT(dump, AllOf(HasSubstr("GET /hello HTTP/1.1"), HasSubstr("hello from backend"),
                            HasSubstr("Flags [S]"), HasSubstr("Flags [F.]")));
    ASSERT_EQ(unlink(path_.c_str()), 0);
  }
}

TEST_F(CaptureTest, CleanEndsAreCapturedAndTheFileIsPrivate) {
  const auto backend = StartBackend(Mode::kBridge);
  const auto proxy = StartProxy(Mode::kBridge, backend->address(), {flag_});
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto client = ConnectTls(proxy->port);
  ASSERT_NE(client, nullptr);
  client->Write(GetRequest("/after-end"));
  client->ShutdownWrite();
  EXPECT_THAT(client->ReadToEnd(), EndsWith("hello from backend"));
  const std::vector<PcapStream> streams = StreamsOf(*proxy);
  ASSERT_THAT(streams, SizeIs(1));
  EXPECT_TRUE(streams[0].client_ended && streams[0].server_ended && !streams[0].reset);
  EXPECT_EQ(streams[0].to_server, GetRequest("/after-end"));
}

TEST_F(CaptureTest, AGatewayWritesWhatTheClientSentAndReceived) {
  const auto backend = StartBackend(Mode::kOffload);
  const auto proxy = StartProgram({ExampleProgram("http_proxy"), "--listen=127.0.0.1:0",
                                   "--cert=" + PathOf("front.pem"), "--key=" + PathOf("front.key"),
                                   "--routes=default=http://" + backend->address(), flag_});
  EXPECT_EQ(
      Curl(proxy->port, "/hello", {"--http1.1", "--header", "X-Forwarded-For: made up"}).output,
      "hello from backend");
  EXPECT_EQ(Curl(proxy->port, "/hello", {"--http1.1", "--header", "Host: other.test"}).output,
            "421 Misdirected Request\n");
  EXPECT_EQ(Curl(proxy->port, "/hello", {"--http2"}).output, "hello from backend");
  const std::vector<PcapStream> streams = StreamsOf(*proxy);
  ASSERT_THAT(streams, SizeIs(3));
  EXPECT_EQ(streams[0].server.ToString(), absl::StrCat("127.0.0.1:", proxy->port));
  EXPECT_THAT(streams[0].to_server, HasSubstr("X-Forwarded-For: made up\r\n"));
  EXPECT_THAT(streams[0].to_client, EndsWith("hello from backend"));
  EXPECT_THAT(streams[1].to_server, HasSubstr("Host: other.test\r\n"));
  EXPECT_THAT(streams[1].to_client, EndsWith("421 Misdirected Request\n"));
  EXPECT_THAT(streams[2].to_server, StartsWith("PRI * HTTP/2.0\r\n"));
  EXPECT_THAT(streams[2].to_client, HasSubstr("hello from backend"));
}

TEST_F(CaptureTest, AtItsLimitTheProxyContinues) {
  const auto backend = StartBackend(Mode::kBridge);
  const auto proxy =
      StartProxy(Mode::kBridge, backend->address(), {flag_, "--dangerous_capture_bytes=100000"});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Curl(proxy->port, "/bytes/300000").output.size(), 300'000u) << proxy->log();
  }
  const std::vector<PcapStream> streams = StreamsOf(*proxy);
  ASSERT_THAT(streams, SizeIs(1));
  EXPECT_THAT(streams[0].to_server, StartsWith("GET /bytes/300000 HTTP/1.1\r\n"));
  EXPECT_LE(ReadFile(path_)->size(), 100'000u);
  EXPECT_EQ(Count(proxy->log(), "capture stopped: "), 1u) << proxy->log();
  EXPECT_THAT(proxy->log(), HasSubstr("has come to its limit of 100000 bytes"));
}

TEST_F(CaptureTest, OnAFullDiskTheProxyContinues) {
  const auto backend = StartBackend(Mode::kBridge);
  const auto proxy = StartProxy(Mode::kBridge, backend->address(), {flag_});
  // After the start, so that a sanitizer's runtime has written its own files.
  const rlimit limit = {50'000, 50'000};
  ASSERT_EQ(prlimit(proxy->process.pid(), RLIMIT_FSIZE, &limit, nullptr), 0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Curl(proxy->port, "/bytes/300000").output.size(), 300'000u) << proxy->log();
  }
  EXPECT_THAT(StreamsOf(*proxy), SizeIs(1));
  EXPECT_EQ(Count(proxy->log(), "capture stopped: "), 1u) << proxy->log();
  EXPECT_THAT(proxy->log(), HasSubstr(absl::StrCat("cannot write ", path_, ": File too large")));
  Tcpdump();
}

TEST_F(CaptureTest, AnExistingFileIsNotOverwritten) {
  WriteFile("capture.pcap", "precious");
  std::vector<std::string> argv = {ExampleProgram("bridging_proxy"), flag_};
  for (const std::string& flag : FlagsFor(Mode::kBridge, "127.0.0.1:9")) argv.push_back(flag);
  const CommandResult refused = RunCommand(argv, kPatience);
  EXPECT_EQ(refused.exit_status, 1);
  EXPECT_EQ(refused.errors, absl::StrCat("bridging_proxy: cannot create ", path_,
                                         ": it exists already, and nothing is overwritten\n"));
  EXPECT_EQ(ReadFile(path_).value_or("gone"), "precious");
  argv.push_back("--dangerous_capture_file=" + PathOf("other.pcap"));
  argv.push_back("--dangerous_capture_bytes=23");
  EXPECT_THAT(RunCommand(argv, kPatience).errors, HasSubstr("leaves no room for its header"));
}

}  // namespace
}  // namespace trestle::e2e
