// The passthrough router's own tasks: it routes by name, and passes all other bytes unchanged, for
// every form of the first flight.

#include <openssl/ssl.h>
#include <signal.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

using ::testing::EndsWith;

class PassthroughTest : public ProxyTest {
 protected:
  // Makes a request as a client of `server_name` with these settings. Returns the response, or the
  // error of the handshake.
  std::string Ask(uint16_t port, const std::string& server_name, const TlsSettings& settings = {}) {
    stream_ = BlockingStream::Connect(port);
    if (stream_ == nullptr) return "refused";
    if (!stream_->StartClient(server_name, settings)) return stream_->error();
    stream_->Write(GetAndCloseRequest("/hello"));
    return stream_->ReadToEnd();
  }

  std::unique_ptr<HttpBackend> Backend(const std::string& name, const TlsSettings& tls = {}) {
    HttpBackend::Options options;
    options.name = name;
    options.certificate = pki_.Issue(LeafFor(name + ".test"));
    options.tls = tls;
    return std::make_unique<HttpBackend>(std::move(options));
  }

  std::unique_ptr<BlockingStream> stream_;
};

TEST_F(PassthroughTest, TheNameSelectsTheBackend) {
  const auto exact = Backend("exact");
  const auto wildcard = Backend("wildcard");
  const auto fallback = Backend("fallback");
  const auto proxy = StartProxy(
      Mode::kPassthrough, exact->address(),
      {absl::StrCat("--routes=a.test=", exact->address(), ",*.w.test=", wildcard->address()),
       absl::StrCat("--default_backend=", fallback->address())});
  EXPECT_THAT(Ask(proxy->port, "a.test"), EndsWith("hello from exact"));
  EXPECT_EQ(stream_->peer_names(), "exact.test") << "the certificate is the backend's own";
  EXPECT_THAT(Ask(proxy->port, "A.Test"), EndsWith("hello from exact"));
  EXPECT_THAT(Ask(proxy->port, "x.w.test"), EndsWith("hello from wildcard"));
  EXPECT_THAT(Ask(proxy->port, "w.test"), EndsWith("hello from fallback"));
  EXPECT_THAT(Ask(proxy->port, "y.x.w.test"), EndsWith("hello from fallback"));
  EXPECT_THAT(Ask(proxy->port, ""), EndsWith("hello from fallback"));
  EXPECT_EQ(exact->connections().size(), 2u);
}

TEST_F(PassthroughTest, WithoutARouteTheClientGetsAnAlert) {
  const auto backend = Backend("a");
  const auto proxy =
      StartProxy(Mode::kPassthrough, backend->address(), {"--routes=a.test=" + backend->address()});
  EXPECT_THAT(Ask(proxy->port, "b.test"), ::testing::HasSubstr("UNRECOGNIZED_NAME"));
  stream_.reset();
  EXPECT_TRUE(proxy->WaitForLog("no_route")) << proxy->log();
  EXPECT_TRUE(backend->connections().empty());
}

TEST_F(PassthroughTest, ARoutesFileIsLoadedAgainAndABadOneChangesNothing) {
  const auto first = Backend("first");
  const auto second = Backend("second");
  const std::string path = WriteFile("routes", "a.test " + first->address() + " # comment\n");
  const auto proxy = StartProxy(Mode::kPassthrough, first->address(),
                                {"--routes=b.test=" + first->address(), "--routes_file=" + path});
  EXPECT_THAT(Ask(proxy->port, "a.test"), EndsWith("hello from first"));
  WriteFile("routes", "a.test " + second->address() + "\n");
  proxy->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy->WaitForLog("reloaded: 2 routes")) << proxy->log();
  EXPECT_THAT(Ask(proxy->port, "a.test"), EndsWith("hello from second"));
  EXPECT_THAT(Ask(proxy->port, "b.test"), EndsWith("hello from first"));
  WriteFile("routes", "a.test " + first->address() + "\na.test\n");
  proxy->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy->WaitForLog("line 2: ")) << proxy->log();
  EXPECT_THAT(Ask(proxy->port, "a.test"), EndsWith("hello from second"));
}

TEST_F(PassthroughTest, ARoutesFileIsLoadedAgainWhenItChanges) {
  const auto first = Backend("first");
  const auto second = Backend("second");
  const std::string path = WriteFile("routes", "a.test " + first->address() + "\n");
  const auto proxy = StartProxy(Mode::kPassthrough, first->address(),
                                {"--routes=b.test=" + first->address(), "--routes_file=" + path});
  // As configuration tools do: a new file replaces the old one.
  const std::string fresh = WriteFile("routes.new", "a.test " + second->address() + "\n");
  ASSERT_EQ(rename(fresh.c_str(), path.c_str()), 0);
  ASSERT_TRUE(proxy->WaitForLog("reloaded: 2 routes")) << proxy->log();
  EXPECT_THAT(Ask(proxy->port, "a.test"), EndsWith("hello from second"));
}

TEST_F(PassthroughTest, ARouteThatLeadsBackIsRejectedAtStart) {
  const std::string port = absl::StrCat(":", RefusingPort().port());  // It was free a moment ago.
  for (const char* listen : {"127.0.0.1", "0.0.0.0"}) {
    const CommandResult result =
        RunCommand({ExampleProgram("passthrough_proxy"), absl::StrCat("--listen=", listen, port),
                    absl::StrCat("--routes=a.test=127.0.0.1", port)},
                   kPatience);
    EXPECT_NE(result.exit_status, 0);
    EXPECT_THAT(result.errors, ::testing::HasSubstr("dial itself"));
  }
}

TEST_F(PassthroughTest, AHelloRetryRequestPasses) {
  TlsSettings server;
  server.groups = {SSL_GROUP_SECP256R1};
  const auto backend = Backend("a", server);
  const auto proxy =
      StartProxy(Mode::kPassthrough, backend->address(), {"--routes=a.test=" + backend->address()});
  // The client's key share is for X25519, and the backend requests another group.
  TlsSettings client;
  client.groups = {SSL_GROUP_X25519, SSL_GROUP_SECP256R1};
  EXPECT_THAT(Ask(proxy->port, "a.test", client), EndsWith("hello from a"));
  EXPECT_TRUE(stream_->used_hello_retry_request());
}

TEST_F(PassthroughTest, APostQuantumHelloInPiecesPasses) {
  TlsSettings both;
  both.groups = {SSL_GROUP_X25519_MLKEM768, SSL_GROUP_X25519};
  const auto backend = Backend("a", both);
  const auto proxy =
      StartProxy(Mode::kPassthrough, backend->address(), {"--routes=a.test=" + backend->address()});
  for (const size_t piece_bytes : {1, 7, 100, 1400}) {
    TlsSettings client = both;
    client.handshake_piece_bytes = piece_bytes;
    EXPECT_THAT(Ask(proxy->port, "a.test", client), EndsWith("hello from a"));
    EXPECT_EQ(stream_->group(), "X25519MLKEM768");
  }
}

}  // namespace
}  // namespace trestle::e2e
