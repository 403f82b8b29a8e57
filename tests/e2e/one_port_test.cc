// examples/one_port: the three blocks behind one listener.

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

namespace trestle::e2e {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kDecrypted[] = "offload.test,bridge.test";  // The names of the proxy's certificate.

class OnePortTest : public ProxyTest {
 protected:
  OnePortTest() {
    WriteOwnCertificate();
    for (HttpBackend* const backend : {pass_.get(), offload_.get(), bridge_.get()}) {
      addresses_.push_back(backend->address());
    }
  }

  testing::PemPair WriteOwnCertificate() {
    testing::LeafSpec leaf;
    leaf.dns_names = {"offload.test", "bridge.test"};
    return WriteCertificate("own", leaf);
  }

  std::unique_ptr<HttpBackend> Backend(const std::string& name, bool tls) const {
    HttpBackend::Options options;
    options.name = name;
    if (tls) options.certificate = pki_.Issue(LeafFor(name + ".test"));
    return std::make_unique<HttpBackend>(std::move(options));
  }

  std::vector<std::string> Flags(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> flags = {ExampleProgram("one_port"),
                                      "--listen=127.0.0.1:0",
                                      "--log_connections=text",
                                      "--threads=2",
                                      "--cert=" + PathOf("own.pem"),
                                      "--key=" + PathOf("own.key"),
                                      "--backend_ca=" + PathOf("ca.pem"),
                                      "--pass=pass.test=" + addresses_[0],
                                      "--offload=offload.test=" + addresses_[1],
                                      "--bridge=bridge.test=" + addresses_[2]};
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }

  // Makes a request as a client of `name`, after `header` in clear text. Returns the response or
  // the error.
  std::string Ask(uint16_t port, const std::string& name, const std::string& header = "") {
    stream_ = BlockingStream::Connect(port);
    if (stream_ == nullptr) return "refused";
    if (!header.empty()) stream_->Write(header);
    if (!stream_->StartClient(name)) return stream_->error();
    stream_->Write(GetAndCloseRequest("/hello"));
    return stream_->ReadToEnd();
  }

  void ExpectRefusal(const std::vector<std::string>& more_flags, const std::string& words) const {
    const CommandResult result = RunCommand(Flags(more_flags), kPatience);
    EXPECT_GT(result.exit_status, 0) << words;
    EXPECT_THAT(result.errors, HasSubstr(words));
  }

  const std::unique_ptr<HttpBackend> pass_ = Backend("pass", true);
  const std::unique_ptr<HttpBackend> offload_ = Backend("offload", false);
  const std::unique_ptr<HttpBackend> bridge_ = Backend("bridge", true);
  std::vector<std::string> addresses_;
  std::unique_ptr<BlockingStream> stream_;
};

TEST_F(OnePortTest, TheNameSelectsTheBlock) {
  const auto proxy = StartProgram(Flags());
  EXPECT_THAT(Ask(proxy->port, "pass.test"), EndsWith("hello from pass"));
  EXPECT_EQ(stream_->peer_names(), "pass.test") << "the backend's own certificate";
  EXPECT_THAT(Ask(proxy->port, "offload.test"), EndsWith("hello from offload"));
  EXPECT_EQ(stream_->peer_names(), kDecrypted);
  EXPECT_THAT(Ask(proxy->port, "bridge.test"), EndsWith("hello from bridge"));
  EXPECT_EQ(stream_->peer_names(), kDecrypted);
  EXPECT_EQ(bridge_->connections().at(0).server_name, "bridge.test");
  EXPECT_EQ(offload_->connections().at(0).version, "") << "clear text";
  EXPECT_THAT(Ask(proxy->port, "other.test"), HasSubstr("UNRECOGNIZED_NAME"));
}

TEST_F(OnePortTest, NamesWithUnderscoresAreRouted) {
  const auto proxy = StartProgram(
      {ExampleProgram("one_port"), "--listen=127.0.0.1:0", "--pass=a_b.internal=" + addresses_[0]});
  EXPECT_THAT(Ask(proxy->port, "a_b.internal"), EndsWith("hello from pass"));
}

TEST_F(OnePortTest, APassthroughNeedsNoCertificate) {
  const auto proxy = StartProgram(
      {ExampleProgram("one_port"), "--listen=127.0.0.1:0", "--pass=*.pass.test=" + addresses_[0]});
  EXPECT_THAT(Ask(proxy->port, "a.pass.test"), EndsWith("hello from pass"));
}

TEST_F(OnePortTest, UnreadHttp2IsRejectedWithPoliciesThatDifferByClient) {
  const std::string ca = "--client_ca=" + PathOf("ca.pem");
  ExpectRefusal({"--alpn=h2,http/1.1", ca, "--client_auth=required,offload.test=none"},
                "policies for client certificates differ by server name");
  ExpectRefusal({"--alpn=h2", ca, "--proxy_protocol=out:v2"},
                "PROXY v2 headers tell the backend of client certificates");
  const auto proxy =
      StartProgram(Flags({"--alpn=http/1.1,h2", ca, "--client_auth=required,offload.test=none",
                          "--dangerous_unread_http2"}));
  EXPECT_THAT(Ask(proxy->port, "offload.test"), EndsWith("hello from offload"));
}

TEST_F(OnePortTest, PlainHttpClientsGetAResponseIfConfigured) {
  for (const bool asked : {true, false}) {
    const auto proxy = StartProgram(Flags({asked ? "--answer_plain_http" : "--threads=1"}));
    const auto client = BlockingStream::Connect(proxy->port);
    ASSERT_NE(client, nullptr);
    client->Write(GetAndCloseRequest("/hello"));
    const std::string answer = client->ReadToEnd();
    if (asked) {
      EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 Bad Request\r\n"));
    } else {
      EXPECT_EQ(answer, "");
    }
    EXPECT_TRUE(proxy->WaitForLog("not_tls")) << proxy->log();
  }
}

TEST_F(OnePortTest, ABridgedBackendIsVerified) {
  const auto proxy = StartProgram(Flags({"--bridge=bridge.test=" + addresses_[0]}));
  EXPECT_EQ(Ask(proxy->port, "bridge.test"), "");
  EXPECT_TRUE(proxy->WaitForLog("name_mismatch")) << proxy->log();
}

TEST_F(OnePortTest, OneProxyHeaderServesAllBlocks) {
  const auto proxy = StartProgram(Flags({"--proxy_protocol=in:127.0.0.1/8"}));
  const std::string header = "PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n";
  for (const std::string name : {"pass", "offload", "bridge"}) {
    EXPECT_THAT(Ask(proxy->port, name + ".test", header), EndsWith("hello from " + name));
  }
  stream_.reset();
  EXPECT_TRUE(proxy->WaitForLog("mode=bridge")) << proxy->log();
  const std::string log = proxy->log();
  for (const absl::string_view line : absl::StrSplit(log, '\n')) {
    if (!absl::StrContains(line, "mode=")) continue;
    EXPECT_THAT(line, HasSubstr("client=192.0.2.7:40000 via=127.0.0.1:"));
  }
}

TEST_F(OnePortTest, ReloadReplacesTheCertificate) {
  const auto proxy = StartProgram(Flags());
  Ask(proxy->port, "offload.test");
  const std::string before = stream_->peer_serial();
  WriteOwnCertificate();
  proxy->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy->WaitForLog("reloaded: ")) << proxy->log();
  for (const std::string name : {"offload", "bridge"}) {
    EXPECT_THAT(Ask(proxy->port, name + ".test"), EndsWith("hello from " + name));
    EXPECT_NE(stream_->peer_serial(), before) << name;
  }
}

TEST_F(OnePortTest, OpenConnectionsOfAllBlocksFinishWhileDraining) {
  const auto proxy = StartProgram(Flags({"--drain_timeout=1h"}));
  std::vector<std::unique_ptr<BlockingStream>> open;
  for (const char* name : {"pass.test", "offload.test", "bridge.test"}) {
    open.push_back(BlockingStream::Connect(proxy->port));
    ASSERT_TRUE(open.back()->StartClient(name)) << open.back()->error();
    open.back()->Write(GetRequest("/hello"));
    EXPECT_THAT(open.back()->ReadUntil("hello from"), HasSubstr("hello from"));
  }
  proxy->process.Signal(SIGTERM);
  ASSERT_TRUE(proxy->WaitForLog("draining")) << proxy->log();
  for (const auto& stream : open) {
    stream->Write(GetAndCloseRequest("/hello"));
    EXPECT_THAT(stream->ReadToEnd(), HasSubstr("hello from"));
    EXPECT_TRUE(proxy->process.running());
  }
  open.clear();
  EXPECT_EQ(proxy->process.WaitForExit(kPatience), 0) << proxy->log();
}

TEST_F(OnePortTest, UnusableFlagsAreRejected) {
  ExpectRefusal({"--pass=bridge.test=" + addresses_[0]}, "bridge.test");
  ExpectRefusal({"--bridge=*.test=" + addresses_[2]}, "not a wildcard");
  ExpectRefusal({"--cert="}, "--cert is required");
  ExpectRefusal({"--backend_ca="}, "--backend_ca is required");
  ExpectRefusal({"--offload=a.test"}, "a.test");
  const std::string own = RefusingPort().address();
  for (const char* kind : {"pass", "offload", "bridge"}) {
    ExpectRefusal({"--listen=" + own, absl::StrCat("--", kind, "=loop.test=", own)}, "dial itself");
  }
}

}  // namespace
}  // namespace trestle::e2e
