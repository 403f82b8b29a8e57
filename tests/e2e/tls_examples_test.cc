// tls_echo and tls_fetch: TlsStream without a proxy, in normal use and with faults.

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/bulk_bytes.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr uint64_t kBulkBytes = 5'000'000;

class TlsEchoTest : public ProxyTest {
 protected:
  std::unique_ptr<ProxyProcess> StartEcho(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> argv = {ExampleProgram("tls_echo"), "--listen=127.0.0.1:0",
                                     absl::StrCat("--cert=", PathOf("front.pem")),
                                     absl::StrCat("--key=", PathOf("front.key"))};
    argv.insert(argv.end(), more.begin(), more.end());
    return StartProgram(argv);
  }
};

TEST_F(TlsEchoTest, SendsBackAllBytesAndTheEnd) {
  const auto echo = StartEcho();
  const auto client = ConnectTls(echo->port);
  ASSERT_NE(client, nullptr) << echo->log();
  ASSERT_TRUE(client->Write("first "));
  EXPECT_EQ(client->ReadUntil("first "), "first ");
  ASSERT_TRUE(client->Write("second"));
  client->ShutdownWrite();
  EXPECT_EQ(client->ReadToEnd(), "second");
  EXPECT_EQ(client->read_end(), ReadEnd::kClean) << client->error();
}

// Each piece fits into the buffers on the way, so that the client may write all of it first.
TEST_F(TlsEchoTest, ManyBytesComeBackUnchangedBesideASilentClient) {
  const auto echo = StartEcho();
  const auto silent = ConnectTls(echo->port);
  const auto client = ConnectTls(echo->port);
  ASSERT_NE(silent, nullptr) << echo->log();
  ASSERT_NE(client, nullptr) << echo->log();
  const std::string piece(50'000, 'e');
  for (uint64_t bytes = 0; bytes < kBulkBytes; bytes += piece.size()) {
    ASSERT_TRUE(client->Write(piece));
    std::string back(piece.size(), ' ');
    for (size_t got = 0; got < back.size();) {
      const size_t more = client->Read(&back[got], back.size() - got);
      ASSERT_GT(more, 0u) << client->error();
      got += more;
    }
    ASSERT_EQ(back, piece);
  }
}

TEST_F(TlsEchoTest, AnOldClientGetsTheLastAlert) {
  const auto echo = StartEcho();
  TlsSettings old;
  old.min_version = TLS1_1_VERSION;
  old.max_version = TLS1_1_VERSION;
  const auto client = BlockingStream::Connect(echo->port);
  ASSERT_NE(client, nullptr);
  EXPECT_FALSE(client->StartClient(kFrontName, old));
  EXPECT_THAT(client->error(), HasSubstr("TLSV1_ALERT_PROTOCOL_VERSION"));
  EXPECT_TRUE(echo->WaitForLog("handshake: no_common_parameters")) << echo->log();
  EXPECT_THAT(echo->log(), Not(HasSubstr(" leg")));
}

TEST_F(TlsEchoTest, ATruncatedClientIsReported) {
  const auto echo = StartEcho();
  const auto client = ConnectTls(echo->port);
  ASSERT_NE(client, nullptr) << echo->log();
  ASSERT_TRUE(client->Write("half a mess"));
  ASSERT_EQ(client->ReadUntil("half a mess"), "half a mess");
  client->Cut();
  EXPECT_TRUE(echo->WaitForLog("relay: truncated")) << echo->log();
  EXPECT_THAT(echo->log(), Not(HasSubstr(" leg")));
}

TEST_F(TlsEchoTest, ASilentClientIsClosed) {
  const auto echo = StartEcho({"--idle_timeout=100ms"});
  const auto client = ConnectTls(echo->port);
  ASSERT_NE(client, nullptr) << echo->log();
  EXPECT_EQ(client->ReadToEnd(), "");
  EXPECT_EQ(client->read_end(), ReadEnd::kClean) << client->error();
  EXPECT_TRUE(echo->WaitForLog("the client is silent")) << echo->log();
}

TEST_F(TlsEchoTest, AMissingKeyEndsTheProgramWithTheReason) {
  const CommandResult result =
      RunCommand({ExampleProgram("tls_echo"), "--listen=127.0.0.1:0",
                  absl::StrCat("--cert=", PathOf("front.pem")), "--key=/nowhere.key"},
                 kPatience);
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.errors, HasSubstr("tls_echo: cannot read /nowhere.key"));
}

class TlsFetchTest : public ProxyTest {
 protected:
  CommandResult Fetch(const std::string& server, const std::string& name, const std::string& path,
                      const std::vector<std::string>& more = {}) const {
    std::vector<std::string> argv = {ExampleProgram("tls_fetch"), absl::StrCat("--server=", server),
                                     absl::StrCat("--name=", name), absl::StrCat("--path=", path),
                                     absl::StrCat("--ca=", PathOf("ca.pem"))};
    argv.insert(argv.end(), more.begin(), more.end());
    return RunCommand(argv, kPatience);
  }

  const std::unique_ptr<HttpBackend> server_ = StartTlsBackend(pki_.Issue(LeafFor(kFrontName)));
};

TEST_F(TlsFetchTest, PrintsAWholeAnswer) {
  const CommandResult result = Fetch(server_->address(), kFrontName, "/hello");
  EXPECT_EQ(result.exit_status, 0) << result.errors;
  EXPECT_THAT(result.output, AllOf(HasSubstr("HTTP/1.1 200 OK"), HasSubstr("hello from backend")));
  EXPECT_THAT(result.errors, IsEmpty());
  ASSERT_EQ(server_->connections().size(), 1u);
  EXPECT_EQ(server_->connections()[0].server_name, kFrontName);
}

TEST_F(TlsFetchTest, ManyBytesArrive) {
  const CommandResult result =
      Fetch(server_->address(), kFrontName, absl::StrCat("/bytes/", kBulkBytes));
  EXPECT_EQ(result.exit_status, 0) << result.errors;
  const size_t body = result.output.find("\r\n\r\n") + 4;
  EXPECT_EQ(result.output.size() - body, kBulkBytes);
}

TEST_F(TlsFetchTest, AServerThatProvesAnotherNameGetsNoRequest) {
  const CommandResult result = Fetch(server_->address(), "other.test", "/hello");
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.output, IsEmpty());
  EXPECT_THAT(result.errors,
              AllOf(HasSubstr("tls_fetch: handshake: name_mismatch"), Not(HasSubstr(" leg"))));
  EXPECT_EQ(server_->requests(), 0);
}

TEST_F(TlsFetchTest, AServerOfAnUnknownAuthorityGetsNoRequest) {
  const testing::TestPki stranger(absl::Now());
  const auto server = StartTlsBackend(stranger.Issue(LeafFor(kFrontName)));
  const CommandResult result = Fetch(server->address(), kFrontName, "/hello");
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.errors, HasSubstr("certificate_untrusted"));
  EXPECT_EQ(server->requests(), 0);
}

TEST_F(TlsFetchTest, ACutAnswerIsAFailure) {
  const CommandResult result = Fetch(server_->address(), kFrontName, "/cut/1000");
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.output, HasSubstr("cccccccccc"));
  EXPECT_THAT(result.errors, AllOf(HasSubstr("relay: truncated"), Not(HasSubstr(" leg"))));
}

TEST_F(TlsFetchTest, ARefusedConnectionIsAFailure) {
  const RefusingPort refusing;
  const CommandResult result = Fetch(refusing.address(), kFrontName, "/hello");
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.errors, HasSubstr("refused the connection"));
}

TEST_F(TlsFetchTest, ASilentServerIsLeftAtTheLimit) {
  const CommandResult result =
      Fetch(server_->address(), kFrontName, "/after-end", {"--timeout=200ms"});
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.errors, HasSubstr("no whole answer within --timeout"));
}

TEST_F(TlsFetchTest, AMissingNameIsRefused) {
  const CommandResult result = Fetch(server_->address(), "", "/hello");
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.errors, HasSubstr("--name is required"));
}

}  // namespace
}  // namespace trestle::e2e
