// The admin server: its pages, its clients, and the effect of hostile clients.
#include "integrations/prometheus/admin_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/process.h"
#include "tests/e2e/proxy_test.h"
#include "tests/e2e/server_programs.h"
#include "tests/integrations/prometheus/metrics_fixture.h"
#include "trestle/base/error.h"
#include "trestle/linux/owned_fd.h"

namespace trestle::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::json;

class AdminServerTest : public MetricsTest {
 protected:
  AdminServerTest() {
    auto server = AdminServer::Start(*Endpoint::Parse("127.0.0.1:0"), metrics_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // Status line, headers and body.
  std::string Get(const std::string& path, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> argv = {e2e::FindProgram("curl"), "--silent", "--include",
                                     "--max-time", "20"};
    argv.insert(argv.end(), more.begin(), more.end());
    argv.push_back(absl::StrCat("http://127.0.0.1:", server_->endpoint().port(), path));
    return e2e::RunCommand(argv, e2e::kPatience).output;
  }

  static std::string BodyOf(const std::string& reply) {
    return reply.substr(reply.find("\r\n\r\n") + 4);
  }

  std::unique_ptr<AdminServer> server_;
};

TEST_F(AdminServerTest, ServesMetricsLegsAndThePage) {
  metrics_.SetCertificates({Certificate("a.test", 90 * kDay, 9 * kDay)});
  const std::string metrics = Get("/metrics");
  EXPECT_THAT(metrics, StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(metrics, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  e2e::ExpectPromtoolLikes(BodyOf(metrics));
  const Json legs = Json::parse(BodyOf(Get("/legs")));
  EXPECT_EQ(legs.at("legs").at(0).at("name"), "a.test");
  EXPECT_EQ(legs.at("legs").at(0).at("first_failure").at("part"), "intermediate");
  const std::string page = Get("/");
  EXPECT_THAT(page, AllOf(HasSubstr("Content-Type: text/html"), HasSubstr("default-src 'none'"),
                          HasSubstr("</span>a.test<br>")));
}

TEST_F(AdminServerTest, HealthFailsWhileDraining) {
  EXPECT_THAT(Get("/healthz"), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("\r\n\r\nok\n")));
  server_->SetDraining();
  EXPECT_THAT(Get("/healthz"), AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("draining\n")));
  EXPECT_THAT(Get("/metrics"), StartsWith("HTTP/1.1 200"));
}

TEST_F(AdminServerTest, IsReadyOnceItIsToldAndWhileItDoesNotDrain) {
  EXPECT_THAT(Get("/readyz"),
              AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("\r\n\r\nnot ready: starting\n")));
  server_->SetNotReady("no keys");
  EXPECT_THAT(Get("/readyz"), AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("not ready: no keys\n")));
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200"));
  server_->SetReady();
  EXPECT_THAT(Get("/readyz"), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("\r\n\r\nready\n")));
  server_->SetDraining();
  EXPECT_THAT(Get("/readyz"), AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("draining\n")));
}

TEST_F(AdminServerTest, NothingElseIsServed) {
  EXPECT_THAT(Get("/etc/passwd"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Get("/metrics/"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Get("/../../etc/passwd", {"--path-as-is"}), StartsWith("HTTP/1.1 4"));
  EXPECT_THAT(Get("/", {"--request", "POST", "--data", "x"}), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(Get("/", {"--request", "DELETE"}), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(Get("/", {"--request-target", "http://localhost/"}), StartsWith("HTTP/1.1 400"));
  const std::string head = Get("/", {"--head"});
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(BodyOf(head), "");
  EXPECT_THAT(Get("/", {"--header", "X-Long: " + std::string(20000, 'x')}),
              Not(HasSubstr("HTTP/1.1 200")));
}

TEST_F(AdminServerTest, LostLinesOfLogsAreCounted) {
  EXPECT_THAT(Get("/metrics"), Not(HasSubstr("trestle_log_records_lost_total")));
  metrics_.SetLostRecords([] {
    return std::map<std::string, uint64_t>{{"stderr", 3}, {"audit", 0}};
  });
  const std::string metrics = Get("/metrics");
  EXPECT_THAT(metrics, AllOf(HasSubstr("trestle_log_records_lost_total{log=\"stderr\"} 3\n"),
                             HasSubstr("trestle_log_records_lost_total{log=\"audit\"} 0\n")));
  e2e::ExpectPromtoolLikes(BodyOf(metrics));
}

// Opens a TCP connection, sends `text`, and then waits.
OwnedFd ConnectAndSend(uint16_t port, absl::string_view text) {
  OwnedFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(text.size()));
  return fd;
}

TEST_F(AdminServerTest, UnfinishedRequestsDoNotBlockHealth) {
  std::vector<OwnedFd> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(ConnectAndSend(server_->endpoint().port(), i % 2 == 0 ? "GET / HT" : ""));
  }
  EXPECT_THAT(Get("/healthz", {"--max-time", "5"}), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Get("/metrics", {"--max-time", "5"}), StartsWith("HTTP/1.1 200"));
  // The oldest connections were closed, and the rest have a timeout.
  for (const OwnedFd& client : clients) {
    char byte;
    EXPECT_LE(recv(client.get(), &byte, 1, 0), 0);
  }
}

TEST_F(AdminServerTest, ClientsThatDoNotReadDoNotBlockHealth) {
  std::vector<CertificateStatus> certificates;
  for (int i = 0; i < 5000; ++i) {
    certificates.push_back(Certificate(absl::StrCat(i, ".test"), 90 * kDay, 9 * kDay));
  }
  metrics_.SetCertificates(certificates);
  std::vector<OwnedFd> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(ConnectAndSend(server_->endpoint().port(), "GET /legs HTTP/1.1\r\n\r\n"));
  }
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200"));
}

TEST_F(AdminServerTest, AHostThatIsNeitherAnAddressNorConfiguredIsRejected) {
  for (const char* host :
       {"127.0.0.1", "127.0.0.1:9100", "[::1]", "[::1]:9100", "localhost", "LOCALHOST:9100"}) {
    EXPECT_THAT(Get("/", {"--header", absl::StrCat("Host: ", host)}), StartsWith("HTTP/1.1 200"))
        << host;
  }
  for (const char* host : {"rebound.example", "rebound.example:9100", "127.0.0.1.example",
                           "localhost.example", ":80"}) {
    EXPECT_THAT(Get("/healthz", {"--header", absl::StrCat("Host: ", host)}),
                StartsWith("HTTP/1.1 421"))
        << host;
  }
  PageServerOptions options;
  options.hosts = {"admin.internal.example"};
  server_ = *AdminServer::Start(*Endpoint::Parse("127.0.0.1:0"), metrics_, options);
  EXPECT_THAT(Get("/", {"--header", "Host: admin.internal.example"}), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Get("/", {"--header", "Host: localhost"}), StartsWith("HTTP/1.1 421"));
  const OwnedFd twice = ConnectAndSend(server_->endpoint().port(),
                                       "GET / HTTP/1.1\r\nHost: 1.1.1.1\r\nHost: 1.1.1.1\r\n\r\n");
  std::string answer(12, 'x');
  EXPECT_EQ(recv(twice.get(), &answer[0], answer.size(), MSG_WAITALL), 12);
  EXPECT_EQ(answer, "HTTP/1.1 400");
}

TEST_F(AdminServerTest, AnAddressInUseIsAnError) {
  const auto second = AdminServer::Start(
      *Endpoint::Parse(absl::StrCat("127.0.0.1:", server_->endpoint().port())), metrics_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(GetError(second.status())->code, ErrorCode::kConfiguration);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("cannot serve HTTP on 127.0.0.1:"));
}

}  // namespace
}  // namespace trestle::testing
