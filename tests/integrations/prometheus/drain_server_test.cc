// Calls that drain backends, and those that are refused.

#include "integrations/prometheus/drain_server.h"

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/process.h"
#include "tests/e2e/proxy_test.h"
#include "tests/support/socket_folder.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class DrainServerTest : public ::testing::Test {
 protected:
  // Starts a server that answers each call with its contents, from a thread of its own.
  std::unique_ptr<DrainServer> Start(const std::string& listen = "127.0.0.1:0") {
    auto server = DrainServer::Start(*Endpoint::Parse(listen), [](DrainCall call, PageReply reply) {
      std::thread([call = std::move(call), reply = std::move(reply)]() mutable {
        reply({200, Page().type,
               absl::StrCat(call.drain ? "drain " : "undrain ", call.backend.ToString(), "\n")});
      }).detach();
    });
    EXPECT_TRUE(server.ok()) << server.status();
    return *std::move(server);
  }

  static std::string Ask(const DrainServer& server, const std::string& target,
                         const std::vector<std::string>& more) {
    std::vector<std::string> argv = {
        e2e::FindProgram("curl"), "--silent", "--include", "--globoff", "--max-time", "20"};
    argv.insert(argv.end(), more.begin(), more.end());
    if (server.endpoint().is_ip()) {
      argv.push_back(absl::StrCat("http://127.0.0.1:", server.endpoint().port(), target));
    } else {
      argv.insert(argv.end(), {"--unix-socket", std::string(server.endpoint().path()),
                               absl::StrCat("http://localhost", target)});
    }
    return e2e::RunCommand(argv, e2e::kPatience).output;
  }

  static std::string Call(const DrainServer& server, const std::string& target,
                          std::vector<std::string> more = {}) {
    more.insert(more.end(), {"--request", "POST", "--header", "Trestle-Call: yes"});
    return Ask(server, target, more);
  }
};

TEST_F(DrainServerTest, CallsHaveABackend) {
  const auto server = Start();
  EXPECT_THAT(Call(*server, "/drain?backend=192.0.2.1:443"),
              AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("\r\n\r\ndrain 192.0.2.1:443\n")));
  EXPECT_THAT(Call(*server, "/undrain?backend=192.0.2.1%3a443"),
              HasSubstr("\r\n\r\nundrain 192.0.2.1:443\n"));
  EXPECT_THAT(Call(*server, "/drain?backend=[2001:db8::1]:443"), HasSubstr("[2001:db8::1]:443\n"));
  EXPECT_THAT(Call(*server, "/drain?backend=unix:/run/app.sock", {"--data", "ignored"}),
              HasSubstr("drain unix:/run/app.sock\n"));
}

TEST_F(DrainServerTest, AUnixSocketTakesCalls) {
  const SocketFolder folder;
  const auto server = Start(absl::StrCat("unix:", folder.PathOf("calls")));
  EXPECT_THAT(Call(*server, "/drain?backend=192.0.2.1:443"), HasSubstr("drain 192.0.2.1:443\n"));
}

TEST_F(DrainServerTest, OtherRequestsAreRefused) {
  const auto server = Start();
  for (const std::string& target :
       {std::string("/drain"), std::string("/drain?backend=nowhere"), std::string("/x?backend=a"),
        std::string("/drain?backend=192.0.2.1:443&force=1"), std::string("/drain?backend=%3"),
        std::string("/drain?backend=%zz"), std::string("/drain?address=192.0.2.1:443")}) {
    EXPECT_THAT(Call(*server, target), StartsWith("HTTP/1.1 400")) << target;
  }
  EXPECT_THAT(Ask(*server, "/drain?backend=192.0.2.1:443", {}),
              AllOf(StartsWith("HTTP/1.1 404"), HasSubstr("POST /drain?backend=")));
  EXPECT_THAT(Ask(*server, "/drain", {"--request", "PUT"}), StartsWith("HTTP/1.1 405"));
}

TEST_F(DrainServerTest, WebSitesCanMakeNoCalls) {
  const auto server = Start();
  const std::string target = "/drain?backend=192.0.2.1:443";
  EXPECT_THAT(Ask(*server, target, {"--request", "POST"}),
              AllOf(StartsWith("HTTP/1.1 403"), HasSubstr("needs the field Trestle-Call: yes")));
  EXPECT_THAT(Call(*server, target, {"--header", "Origin: https://evil.test"}),
              AllOf(StartsWith("HTTP/1.1 403"), HasSubstr("has no Origin")));
  EXPECT_THAT(Ask(*server, target, {"--request", "OPTIONS", "--header", "Origin: null"}),
              StartsWith("HTTP/1.1 405"))
      << "the question that browsers ask before such a field";
  EXPECT_THAT(Call(*server, target, {"--header", "Host: evil.test"}), StartsWith("HTTP/1.1 421"))
      << "DNS rebinding";
}

TEST_F(DrainServerTest, OtherMachinesCanMakeNoCalls) {
  for (const char* listen : {"0.0.0.0:0", "[::]:0", "192.0.2.1:80"}) {
    const auto server = DrainServer::Start(*Endpoint::Parse(listen), nullptr);
    EXPECT_EQ(GetError(server.status())->code, ErrorCode::kConfiguration);
    EXPECT_THAT(server.status().message(), HasSubstr("a loopback address or a Unix-domain socket"));
  }
}

TEST_F(DrainServerTest, ALateReplyFindsNoServer) {
  PageReply late;
  absl::Mutex mutex;
  auto server =
      *DrainServer::Start(*Endpoint::Parse("127.0.0.1:0"), [&](const DrainCall&, PageReply reply) {
        absl::MutexLock lock(&mutex);
        late = std::move(reply);
      });
  Call(*server, "/drain?backend=192.0.2.1:443", {"--max-time", "0.2"});
  absl::MutexLock lock(&mutex);
  ASSERT_TRUE(late);
  server.reset();
  late({});
}

}  // namespace
}  // namespace trestle
