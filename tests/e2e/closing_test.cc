// How connections end: half-close; a backend that is down, truncated or silent; many at once.

#include <openssl/ssl.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"
#include "trestle/base/endpoint.h"

namespace trestle::e2e {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Values;

class ClosingTest : public ProxyTest, public ::testing::WithParamInterface<Mode> {};

INSTANTIATE_TEST_SUITE_P(AllModes, ClosingTest,
                         Values(Mode::kOffload, Mode::kPassthrough, Mode::kBridge),
                         [](const auto& info) { return ProgramOf(info.param); });

TEST_P(ClosingTest, AClientThatEndedItsDirectionGetsTheResponse) {
  const auto backend = StartBackend(GetParam());
  const auto proxy = StartProxy(GetParam(), backend->address());
  for (const uint16_t version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsSettings tls;
    tls.min_version = tls.max_version = version;
    const auto client = ConnectTls(proxy->port, tls);
    ASSERT_NE(client, nullptr);
    // The backend responds only after it has received the end.
    ASSERT_TRUE(client->Write(GetRequest("/after-end")));
    client->ShutdownWrite();
    EXPECT_THAT(client->ReadToEnd(), EndsWith("hello from backend"));
    EXPECT_EQ(client->read_end(), ReadEnd::kClean) << client->error();
  }
  EXPECT_TRUE(proxy->WaitForLog("status=\"ok\"")) << proxy->log();
  EXPECT_THAT(proxy->log(), Not(HasSubstr("status=\"front"))) << "no leg failed";
  EXPECT_THAT(proxy->log(), Not(HasSubstr("status=\"back"))) << "no leg failed";
}

TEST_P(ClosingTest, ABackendThatIsDownCausesACleanCloseAndIsLogged) {
  const RefusingPort nobody;
  const auto proxy = StartProxy(GetParam(), nobody.address());
  if (GetParam() == Mode::kPassthrough) {
    // Passthrough has no TLS to close, so the connection ends without a reset.
    const auto client = BlockingStream::Connect(proxy->port);
    ASSERT_NE(client, nullptr);
    EXPECT_FALSE(client->StartClient(kFrontName));
    EXPECT_EQ(client->read_end(), ReadEnd::kTruncated) << client->error();
  } else {
    const auto client = ConnectTls(proxy->port);
    ASSERT_NE(client, nullptr);
    client->Write(GetRequest("/hello"));
    EXPECT_EQ(client->ReadToEnd(), "");
    EXPECT_EQ(client->read_end(), ReadEnd::kClean) << client->error();
    client->ShutdownWrite();
  }
  EXPECT_TRUE(proxy->WaitForLog("status=\"back leg, dial: transport: ")) << proxy->log();
  EXPECT_THAT(proxy->log(), HasSubstr(absl::StrCat(nobody.address(), " refused the connection")));
}

TEST_P(ClosingTest, ATruncatedResponseIsNotACleanEnd) {
  const auto backend = StartBackend(GetParam());
  const auto proxy = StartProxy(GetParam(), backend->address());
  const auto client = ConnectTls(proxy->port);
  ASSERT_NE(client, nullptr);
  ASSERT_TRUE(client->Write(GetRequest("/cut/1000")));
  EXPECT_THAT(client->ReadToEnd(), HasSubstr(std::string(1000, 'c')));
  EXPECT_NE(client->read_end(), ReadEnd::kClean);
  if (GetParam() == Mode::kPassthrough) return;  // Only the client can detect it.
  EXPECT_TRUE(proxy->WaitForLog("status=\"back leg, relay: truncated")) << proxy->log();
}

TEST_P(ClosingTest, ASilentClientIsClosedInTime) {
  const auto backend = StartBackend(GetParam());
  const auto proxy = StartProxy(GetParam(), backend->address(), {"--hello_timeout=200ms"});
  const auto client = BlockingStream::Connect(proxy->port);
  ASSERT_NE(client, nullptr);
  EXPECT_EQ(client->ReadToEnd(), "");
  EXPECT_TRUE(proxy->WaitForLog("status=\"front leg, hello: timeout")) << proxy->log();
  EXPECT_TRUE(backend->connections().empty());
}

TEST_P(ClosingTest, AnIdleConnectionIsClosedInTime) {
  const auto backend = StartBackend(GetParam());
  const auto proxy = StartProxy(GetParam(), backend->address(), {"--idle_timeout=300ms"});
  const auto client = ConnectTls(proxy->port);
  ASSERT_NE(client, nullptr);
  client->ReadToEnd();
  EXPECT_TRUE(proxy->WaitForLog("relay: timeout")) << proxy->log();
}

// Returns the timers of the open connections with a port of 127.0.0.1, from that port's own end or
// from the other end. "00": none; "01": data is unacknowledged; "02": keepalive.
std::vector<std::string> TimersOf(uint16_t port, bool own_end) {
  std::ifstream table("/proc/net/tcp");
  const std::string address = absl::StrFormat("0100007F:%04X", port);
  std::vector<std::string> timers;
  for (std::string line; std::getline(table, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    // sl, local, remote, state (01: established), queues, timer:when, ...
    if (fields.size() < 6 || fields[own_end ? 1 : 2] != address || fields[3] != "01") continue;
    timers.push_back(fields[5].substr(0, 2));
  }
  return timers;
}

TEST_P(ClosingTest, SilentPeersOfBothLegsAreProbedIfTheIdleTimeoutIsLong) {
  const auto backend = StartBackend(GetParam());
  const auto backend_port = static_cast<uint16_t>(Endpoint::Parse(backend->address())->port());
  for (const bool wanted : {true, false}) {
    const auto proxy =
        StartProxy(GetParam(), backend->address(),
                   {"--idle_timeout=1h", wanted ? "--tcp_keepalive=5m" : "--tcp_keepalive=0"});
    const auto client = ConnectTls(proxy->port);
    ASSERT_NE(client, nullptr);
    ASSERT_TRUE(client->Write(GetRequest("/hello")));
    ASSERT_NE(client->ReadUntil("hello from backend"), "");
    const std::vector<std::string> expected = {wanted ? "02" : "00"};
    EXPECT_TRUE(WaitUntil([&] { return TimersOf(proxy->port, /*own_end=*/true) == expected; }));
    EXPECT_TRUE(WaitUntil([&] { return TimersOf(backend_port, /*own_end=*/false) == expected; }));
  }
}

TEST_P(ClosingTest, FiveHundredConnectionsAtOnce) {
  constexpr int kConnections = 500;
  const auto backend = StartBackend(GetParam());
  const auto proxy = StartProxy(GetParam(), backend->address(), {"--threads=2"});
  const int descriptors_before = proxy->process.open_descriptors();
  std::vector<std::unique_ptr<BlockingStream>> clients;
  for (int i = 0; i < kConnections; ++i) {
    clients.push_back(ConnectTls(proxy->port));
    ASSERT_NE(clients.back(), nullptr) << "connection " << i << "\n" << proxy->log();
    ASSERT_TRUE(clients.back()->Write(GetRequest(absl::StrCat("/bytes/", 1000 + i))));
  }
  EXPECT_TRUE(backend->WaitForRequests(kConnections, kPatience));
  EXPECT_EQ(proxy->log().find("client="), std::string::npos) << "all are still open";
  for (int i = 0; i < kConnections; ++i) {
    clients[i]->ShutdownWrite();
    const std::string answer = clients[i]->ReadToEnd();
    EXPECT_THAT(answer, HasSubstr(absl::StrCat("Content-Length: ", 1000 + i, "\r\n")));
    EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, 1000u + i);
    EXPECT_EQ(clients[i]->read_end(), ReadEnd::kClean) << clients[i]->error();
  }
  clients.clear();
  WaitUntil([&] { return proxy->process.open_descriptors() == descriptors_before; });
  EXPECT_EQ(proxy->process.open_descriptors(), descriptors_before) << "no descriptor remains open";
}

}  // namespace
}  // namespace trestle::e2e
