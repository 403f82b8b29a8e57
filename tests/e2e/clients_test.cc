// curl and openssl through each proxy, with TLS 1.2 and 1.3, also to OpenSSL backends.

#include <openssl/ssl.h>

#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Values;

struct Version {
  const char* name;          // In the log.
  const char* openssl_flag;  // Of s_client and s_server.
  const char* curl_max;      // --tls-max
};

constexpr Version kTls12 = {"TLSv1.2", "-tls1_2", "1.2"};
constexpr Version kTls13 = {"TLSv1.3", "-tls1_3", "1.3"};

class ClientsTest : public ProxyTest,
                    public ::testing::WithParamInterface<std::tuple<Mode, Version>> {
 protected:
  Mode mode() const { return std::get<0>(GetParam()); }
  const Version& version() const { return std::get<1>(GetParam()); }

  // The log's text for the front leg; a passthrough doesn't decrypt it.
  std::string FrontInLog() const {
    return mode() == Mode::kPassthrough ? "front=- " : absl::StrCat("front=", version().name, "/");
  }
};

INSTANTIATE_TEST_SUITE_P(
    AllModes, ClientsTest,
    ::testing::Combine(Values(Mode::kOffload, Mode::kPassthrough, Mode::kBridge),
                       Values(kTls12, kTls13)),
    [](const auto& info) {
      return ProgramOf(std::get<0>(info.param)).substr(0, 5) +
             (absl::string_view(std::get<1>(info.param).name) == "TLSv1.2" ? "Tls12" : "Tls13");
    });

TEST_P(ClientsTest, CurlIsServed) {
  const auto backend = StartBackend(mode());
  const auto proxy = StartProxy(mode(), backend->address());
  const CommandResult curl =
      Curl(proxy->port, "/hello", {"--tlsv1.2", "--tls-max", version().curl_max, "--verbose"});
  EXPECT_EQ(curl.exit_status, 0) << curl.errors;
  EXPECT_EQ(curl.output, "hello from backend");
  EXPECT_THAT(curl.errors, HasSubstr(absl::StrCat("SSL connection using ", version().name)));
  // curl closes without waiting for the backend's end. If the proxy passes that end through, the
  // connection ends with a reset.
  EXPECT_TRUE(proxy->WaitForLog(mode() == Mode::kPassthrough ? "status=" : "status=\"ok\""))
      << proxy->log();
  EXPECT_THAT(proxy->log(), HasSubstr(absl::StrCat("sni=", kFrontName, " ", FrontInLog())));
  EXPECT_THAT(proxy->log(), HasSubstr(absl::StrCat("backend=", backend->address(), " ")));
}

TEST_P(ClientsTest, OpensslIsServed) {
  const auto backend = StartBackend(mode());
  const auto proxy = StartProxy(mode(), backend->address(), {"--threads=2"});
  const CommandResult openssl = Openssl(proxy->port, "/hello", {version().openssl_flag});
  EXPECT_EQ(openssl.exit_status, 0) << openssl.errors;
  EXPECT_THAT(openssl.output, HasSubstr("hello from backend"));
  EXPECT_THAT(openssl.output, HasSubstr("Verify return code: 0 (ok)"));
  EXPECT_THAT(openssl.output, HasSubstr(absl::StrCat("New, ", version().name)));
  EXPECT_TRUE(proxy->WaitForLog("status=\"ok\"")) << proxy->log();
}

TEST_P(ClientsTest, OpensslAsTheBackendIsReached) {
  if (mode() == Mode::kOffload) return;  // Its back leg has no TLS.
  const std::string openssl = FindProgram("openssl");
  ASSERT_FALSE(openssl.empty());
  WriteCertificate("back", LeafFor(mode() == Mode::kBridge ? kBackName : kFrontName));
  // s_server prints its port: "ACCEPT 127.0.0.1:40000".
  Process server({openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", PathOf("back.pem"),
                  "-key", PathOf("back.key"), "-www", version().openssl_flag});
  ASSERT_TRUE(server.WaitForOutput("ACCEPT 127.0.0.1:", kPatience)) << server.errors();
  const std::string output = server.output();
  const size_t start = output.find("127.0.0.1:");
  const std::string address = output.substr(start, output.find_first_of("\r\n", start) - start);

  const auto proxy = StartProxy(mode(), address);
  const CommandResult curl = Curl(proxy->port, "/");
  EXPECT_EQ(curl.exit_status, 0) << curl.errors << proxy->log();
  EXPECT_THAT(curl.output, HasSubstr(version().name));
  if (mode() == Mode::kBridge) {
    EXPECT_TRUE(proxy->WaitForLog(absl::StrCat(" back=", version().name, "/"))) << proxy->log();
  }
}

using LogTest = ProxyTest;

TEST_F(LogTest, ALineDescribesAWholeConnection) {
  TlsSettings post_quantum;
  post_quantum.groups = {SSL_GROUP_X25519_MLKEM768};
  const auto backend = StartBackend(Mode::kBridge, post_quantum);
  const auto proxy = StartProxy(Mode::kBridge, backend->address());
  const std::string request = GetAndCloseRequest("/bytes/1000");
  {
    const auto client = ConnectTls(proxy->port, post_quantum);
    ASSERT_NE(client, nullptr);
    client->Write(request);
    client->ReadToEnd();
    client->ShutdownWrite();
  }
  ASSERT_TRUE(proxy->WaitForLog("status=")) << proxy->log();
  const std::string log = proxy->log();
  EXPECT_THAT(log.substr(log.find('\n') + 1),
              MatchesRegex(absl::StrCat(
                  "20[0-9-]+T[0-9:.]+Z client=127[.]0[.]0[.]1:[0-9]+ mode=bridge sni=front[.]test "
                  "front=TLSv1[.]3/TLS_[A-Z0-9_]+/X25519MLKEM768 backend=127[.]0[.]0[.]1:",
                  backend->port(), " back=TLSv1[.]3/TLS_[A-Z0-9_]+/X25519MLKEM768 up=",
                  request.size(), " down=10[0-9][0-9] duration=[0-9.]+m?s status=\"ok\"\n")));
}

}  // namespace
}  // namespace trestle::e2e
