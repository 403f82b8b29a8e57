// Backends by name in the example programs, with a DNS server that changes, lies and dies.

#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/server_programs.h"
#include "tests/integrations/c_ares/dns_server.h"

namespace trestle::e2e {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;
using Json = nlohmann::json;

class NamesTest : public ServerProgramsTest {
 protected:
  std::string DnsFlag() const { return absl::StrCat("--dns_servers=", dns_.endpoint().ToString()); }

  // Runs web servers at `port` of 127.0.0.1 and of 127.0.0.2, which answer "one" and "two".
  std::unique_ptr<Process> StartTwo(uint16_t port) const {
    const auto server = [&](const std::string& address, const std::string& text) {
      return absl::StrCat("server { listen ", address, ":", port, "; location / { return 200 \"",
                          text, "\"; } } ");
    };
    return StartNginx(absl::StrCat("http { access_log off; ", TemporaryPaths(),
                                   server("127.0.0.2", "two"), server("127.0.0.1", "one"), "}\n"),
                      port);
  }

  // Starts a proxy to the backends `backend`, of which the certificates are of their names.
  std::unique_ptr<ProxyProcess> Start(Mode mode, const std::string& backend,
                                      std::vector<std::string> more = {}) const {
    std::vector<std::string> argv = {ExampleProgram(ProgramOf(mode)), DnsFlag(), "--dns_wait=30s",
                                     "--log_connections=text"};
    for (const std::string& flag : FlagsFor(mode, backend)) {
      if (!absl::StartsWith(flag, "--backend_name=")) argv.push_back(flag);
    }
    argv.insert(argv.end(), more.begin(), more.end());
    return StartProgram(argv);
  }

  // Returns the answers to `count` requests, each on its own connection.
  std::vector<std::string> Answers(uint16_t port, int count) const {
    std::vector<std::string> answers;
    for (int i = 0; i < count; ++i) {
      const CommandResult result = Curl(port, "/");
      answers.push_back(result.exit_status == 0 ? result.output : result.errors);
    }
    return answers;
  }

  // Sends a request, and returns the body of the answer.
  static std::string Ask(BlockingStream& stream) {
    EXPECT_TRUE(stream.Write(GetRequest("/")));
    std::string answer = stream.ReadUntil("\r\n\r\n");
    const size_t end = answer.find("\r\n\r\n");
    while (answer.size() < end + 7) {
      char byte = 0;
      if (stream.Read(&byte, 1) != 1) break;
      answer.push_back(byte);
    }
    return answer.substr(end + 4);
  }

  // Opens a connection through the proxy, and returns it with the answer on it.
  std::pair<std::unique_ptr<BlockingStream>, std::string> Open(uint16_t port) const {
    std::unique_ptr<BlockingStream> stream = ConnectTls(port);
    EXPECT_NE(stream, nullptr);
    std::string answer = stream == nullptr ? "" : Ask(*stream);
    return {std::move(stream), std::move(answer)};
  }

  static bool FileHas(const std::string& path, const std::string& text) {
    std::ifstream file(path);
    return absl::StrContains(std::string(std::istreambuf_iterator<char>(file), {}), text);
  }

  CommandResult Check(const std::vector<std::string>& more) const {
    std::vector<std::string> argv = {ExampleProgram("terminating_proxy"),
                                     "--check",
                                     "--listen=127.0.0.1:1",
                                     DnsFlag(),
                                     "--dns_wait=30s",
                                     absl::StrCat("--cert=", PathOf("front.pem")),
                                     absl::StrCat("--key=", PathOf("front.key"))};
    argv.insert(argv.end(), more.begin(), more.end());
    return RunCommand(argv, kPatience);
  }

  DnsServer dns_;
};

TEST_F(NamesTest, ConnectionsFollowTheAddressesAndOpenOnesStay) {
  const uint16_t port = FreePort();
  const auto servers = StartTwo(port);
  dns_.Set("app.test.", R"({"A": ["127.0.0.1", "127.0.0.2"], "ttl": 1})");
  const std::string name = absl::StrCat("app.test:", port);
  const auto proxy = Start(Mode::kOffload, name);
  EXPECT_THAT(proxy->log(), HasSubstr(absl::StrCat("backend name ", name, ": current (was asked)")))
      << "before it listens";
  EXPECT_THAT(Answers(proxy->port, 2), UnorderedElementsAre("one", "two"));

  // The addresses are used in turn.
  const auto first = Open(proxy->port);
  const auto second = Open(proxy->port);
  ASSERT_NE(first.second, second.second);
  BlockingStream& open = first.second == "one" ? *first.first : *second.first;
  dns_.Set("app.test.", R"({"A": ["127.0.0.2"], "ttl": 1})");
  ASSERT_TRUE(proxy->WaitForLog(absl::StrCat("gone: 127.0.0.1:", port))) << proxy->log();
  EXPECT_THAT(Answers(proxy->port, 3), ElementsAre("two", "two", "two"));
  EXPECT_EQ(Ask(open), "one") << "it stays";

  dns_.Kill();
  ASSERT_TRUE(proxy->WaitForLog(absl::StrCat(name, ": kept (was current), 1 address; DNS")))
      << proxy->log();
  EXPECT_THAT(Answers(proxy->port, 2), ElementsAre("two", "two")) << "without DNS";
  dns_.Set("app.test.", R"({"A": ["127.0.0.1"], "ttl": 1})");
  dns_.Start();
  ASSERT_TRUE(proxy->WaitForLog(absl::StrCat("current (was kept), new: 127.0.0.1:", port)))
      << proxy->log();
  EXPECT_THAT(Answers(proxy->port, 2), ElementsAre("one", "one"));
}

TEST_F(NamesTest, ABridgeVerifiesTheConfiguredNameWhateverDnsSays) {
  const auto backend = StartTlsBackend(pki_.Issue(LeafFor("back.test")));
  const auto other = StartTlsBackend(pki_.Issue(LeafFor("other.test")));
  const auto service = [&](const HttpBackend& server) {
    return absl::StrCat(R"({"SRV": ["0 1 )", server.port(), R"( other.test."], "ttl": 1})");
  };
  dns_.Set("other.test.", R"({"A": ["127.0.0.1"]})");
  dns_.Set("_https._tcp.back.test.", service(*backend));
  const auto bridge = Start(Mode::kBridge, "_https._tcp.back.test");
  EXPECT_EQ(Curl(bridge->port, "/hello").output, "hello from backend");
  EXPECT_EQ(backend->connections().at(0).server_name, "back.test") << "not the host of the record";

  // DNS lies: the other server has a certificate of the same CA.
  dns_.Set("_https._tcp.back.test.", service(*other));
  ASSERT_TRUE(bridge->WaitForLog(absl::StrCat("gone: ", backend->address()))) << bridge->log();
  EXPECT_NE(Curl(bridge->port, "/hello").exit_status, 0);
  EXPECT_TRUE(bridge->WaitForLog("name_mismatch")) << bridge->log();
  EXPECT_EQ(other->requests(), 0);
}

TEST_F(NamesTest, AddressesNeedANameToVerify) {
  const CommandResult result = RunCommand(
      {ExampleProgram("bridging_proxy"), "--listen=127.0.0.1:0", DnsFlag(),
       absl::StrCat("--cert=", PathOf("front.pem")), absl::StrCat("--key=", PathOf("front.key")),
       absl::StrCat("--backend_ca=", PathOf("ca.pem")), "--backend=back.test:443+127.0.0.1:443"},
      kPatience);
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.errors,
              HasSubstr("--backend_name is required: the backend 127.0.0.1:443 is an address"));
}

TEST_F(NamesTest, ANameWithoutAnAddressIsTold) {
  const auto backend = StartBackend(Mode::kOffload);
  const std::string name = absl::StrCat("app.test:", backend->port());
  const auto proxy = Start(Mode::kOffload, name, {"--admin=127.0.0.1:0"});
  EXPECT_THAT(proxy->log(),
              HasSubstr(absl::StrCat("warning: the backend name ", name,
                                     " has no address: DNS says that the name has no address; "
                                     "connections for it fail until DNS has one\n")));
  const uint16_t admin = AdminPort(*proxy);
  WaitForPage(
      admin, "/readyz",
      absl::StrCat("not ready: no backend answers for all names; names without an address: ", name,
                   " (denied)\n"));
  EXPECT_NE(Curl(proxy->port, "/hello").exit_status, 0);
  EXPECT_TRUE(proxy->WaitForLog(absl::StrCat("no address is known now of ", name))) << proxy->log();
  WaitForPage(
      admin, "/metrics",
      absl::StrCat("trestle_backend_name_condition{name=\"", name, "\",condition=\"denied\"} 1"));

  dns_.Set("app.test.", R"({"A": ["127.0.0.1"], "ttl": 1})");
  WaitForPage(admin, "/readyz", "200 OK");
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
  const std::string metrics = WaitForPage(
      admin, "/metrics", absl::StrCat("trestle_backend_name_addresses{name=\"", name, "\"} 1"));
  ExpectPromtoolLikes(metrics.substr(metrics.find("\r\n\r\n") + 4));
  EXPECT_THAT(GetPage(admin, "/"),
              AllOf(HasSubstr("Names of backends"),
                    HasSubstr(absl::StrCat(backend->address(), " (", name, ")"))));
  const std::string legs = GetPage(admin, "/legs");
  const Json json = Json::parse(legs.substr(legs.find("\r\n\r\n")));
  EXPECT_EQ(json.at("names").at(0).at("name"), name);
  EXPECT_EQ(json.at("names").at(0).at("addresses"), Json::array({backend->address()}));
  EXPECT_EQ(json.at("routes").at(0).at("names"), Json::array({name}));
}

TEST_F(NamesTest, TheStartWaitsForALimitedTime) {
  dns_.Set("app.test.", R"({"faults": {"any": ["silence"]}})");
  const auto proxy = Start(Mode::kOffload, "app.test:443", {"--dns_wait=200ms"});
  EXPECT_THAT(proxy->log(), HasSubstr("has no address: DNS gave no answer within 200ms"));
}

TEST_F(NamesTest, AReloadFollowsNewNamesAndDropsOldOnes) {
  const auto backend = StartBackend(Mode::kPassthrough);
  dns_.Set("a.test.", R"({"A": ["127.0.0.1"]})");
  dns_.Set("b.test.", R"({"A": ["127.0.0.1"], "faults": {"any": ["delay 0.3"]}})");
  const auto route = [&](const std::string& name) {
    return absl::StrCat("front.test ", name, ":", backend->port(), "\n");
  };
  const std::string file = WriteFile("routes", route("a.test"));
  const auto proxy = StartProgram({ExampleProgram("passthrough_proxy"), "--listen=127.0.0.1:0",
                                   "--admin=127.0.0.1:0", DnsFlag(), "--dns_wait=30s",
                                   absl::StrCat("--routes_file=", file)});
  const uint16_t admin = AdminPort(*proxy);
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
  WriteFile("routes", route("b.test"));
  ASSERT_TRUE(proxy->WaitForLog("reloaded: 1 routes")) << proxy->log();
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend")
      << "the new name had its address before";
  WaitForPage(admin, "/metrics", "name=\"b.test:");
  EXPECT_THAT(WaitForPage(admin, "/legs", "b.test:"), Not(HasSubstr("a.test:")));
  WriteFile("routes", "front.test a.test:x\n");
  EXPECT_TRUE(proxy->WaitForLog("reload failed")) << proxy->log();
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
}

TEST_F(NamesTest, AGatewaysRoutesHaveNames) {
  const auto plain = StartBackend(Mode::kOffload);
  const auto tls = StartTlsBackend(pki_.Issue(LeafFor("back.test")));
  dns_.Set("app.test.", R"({"A": ["127.0.0.1"]})");
  dns_.Set("back.test.", R"({"A": ["127.0.0.1"]})");
  const std::string first = absl::StrCat("front.test/=http://app.test:", plain->port(), "\n");
  const std::string file = WriteFile("routes", first);
  const auto proxy = StartProgram(
      {ExampleProgram("http_proxy"), "--listen=127.0.0.1:0", DnsFlag(), "--dns_wait=30s",
       absl::StrCat("--cert=", PathOf("front.pem")), absl::StrCat("--key=", PathOf("front.key")),
       absl::StrCat("--backend_ca=", PathOf("ca.pem")), absl::StrCat("--routes_file=", file)});
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
  EXPECT_EQ(plain->requests(), 1);
  WriteFile("routes", absl::StrCat("front.test/=https://back.test:", tls->port(), "\n"));
  ASSERT_TRUE(proxy->WaitForLog("1 routes")) << proxy->log();
  EXPECT_TRUE(WaitUntil([&] {
    return Curl(proxy->port, "/hello").exit_status == 0 && tls->requests() > 0;
  })) << proxy->log();
  EXPECT_EQ(tls->connections().at(0).server_name, "back.test");
}

TEST_F(NamesTest, RedisHasAName) {
  const uint16_t port = FreePort();
  const auto redis = StartServer({FindProgram("redis-server"), "--port", absl::StrCat(port),
                                  "--bind", "127.0.0.1", "--save", "", "--dir", PathOf("")},
                                 port);
  dns_.Set("redis.test.", R"({"A": ["127.0.0.1"]})");
  const auto backend = StartBackend(Mode::kOffload);
  const auto proxy = Start(
      Mode::kOffload, backend->address(),
      {absl::StrCat("--ticket_keys_redis=redis.test:", port), "--ticket_keys_refresh_every=200ms"});
  EXPECT_TRUE(proxy->WaitForLog("ticket keys: ")) << proxy->log();
  EXPECT_TRUE(proxy->WaitForLog("in Redis")) << proxy->log();
}

TEST_F(NamesTest, AProxyIsNoBackendOfItself) {
  const uint16_t port = FreePort();
  dns_.Set("me.test.", R"({"A": ["127.0.0.1"], "ttl": 1})");
  const auto proxy = Start(Mode::kOffload, absl::StrCat("me.test:", port),
                           {absl::StrCat("--listen=127.0.0.1:", port)});
  EXPECT_THAT(proxy->log(), HasSubstr("DNS has 1 address, but none may be used"));
}

TEST_F(NamesTest, TheCheckPrintsWhatNamesLeadTo) {
  dns_.Set("app.test.", R"({"A": ["192.0.2.1", "192.0.2.2"]})");
  const CommandResult good = Check({"--backend=app.test:80+192.0.2.9:80"});
  EXPECT_EQ(good.exit_status, 0) << good.output << good.errors;
  EXPECT_THAT(good.output,
              AllOf(HasSubstr("all names: offload to 192.0.2.9:80 + 192.0.2.1:80 + 192.0.2.2:80 "
                              "(app.test:80)\n"),
                    HasSubstr("\nnames          app.test:80: 192.0.2.1:80 + 192.0.2.2:80\n"),
                    HasSubstr("\ngood\n")));
  EXPECT_EQ(good.errors, "");
  const CommandResult denied = Check({"--backend=none.test:80"});
  EXPECT_EQ(denied.exit_status, 1);
  EXPECT_THAT(denied.output,
              AllOf(HasSubstr("\nnames          none.test:80: no address\n"),
                    HasSubstr("\nfault: the backend name none.test:80: DNS says that the name has "
                              "no address [backend_name_denied]\nbad: 1 fault\n")));
  dns_.Kill();
  const CommandResult dead = Check({"--backend=app.test:80"});
  EXPECT_EQ(dead.exit_status, 2) << dead.output << dead.errors;
  EXPECT_THAT(dead.output, AllOf(HasSubstr("\nwarning: the backend name app.test:80: DNS has no "
                                           "answer about app.test: "),
                                 HasSubstr("\ngood, with 1 warning\n")));
}

TEST_F(NamesTest, ProgramsWithAddressesOnlyAskNothing) {
  const std::string calls = PathOf("calls");
  const CommandResult traced =
      RunCommand({FindProgram("strace"), "-f", "-q", "-e", "trace=openat,socket", "-e",
                  "signal=none", "-o", calls, ExampleProgram("terminating_proxy"), "--check",
                  "--listen=127.0.0.1:1", absl::StrCat("--cert=", PathOf("front.pem")),
                  absl::StrCat("--key=", PathOf("front.key")), "--backend=192.0.2.1:80"},
                 kPatience);
  EXPECT_EQ(traced.exit_status, 0) << traced.errors;
  ASSERT_TRUE(WaitForText(calls, "front.pem"));
  EXPECT_FALSE(FileHas(calls, "resolv.conf"));
  EXPECT_FALSE(FileHas(calls, "/etc/hosts"));
  EXPECT_FALSE(FileHas(calls, "SOCK_DGRAM"));
}

TEST_F(NamesTest, FlagsOfDnsAreChecked) {
  const auto refuse = [&](const std::string& flag, const std::string& words) {
    const CommandResult result = Check({"--backend=app.test:80", flag});
    EXPECT_EQ(result.exit_status, 1);
    EXPECT_THAT(result.errors, HasSubstr(words));
  };
  refuse("--dns_servers=localhost", "--dns_servers has \"localhost\"; write IP or IP:PORT");
  refuse("--dns_servers=127.0.0.1:0", "--dns_servers has \"127.0.0.1:0\"");
  refuse("--dns_wait=-1s", "--dns_wait must be from 0 to 10m");
  refuse("--backend=app.test", "--backend is wrong");
}

TEST_F(NamesTest, LegProbeLooksAtEachAddress) {
  const auto one = StartTlsBackend(pki_.Issue(LeafFor("back.test")));
  const auto two = StartTlsBackend(pki_.Issue(LeafFor("other.test")));
  dns_.Set("host.test.", R"({"A": ["127.0.0.1"]})");
  dns_.Set("_https._tcp.back.test.",
           absl::StrCat(R"({"SRV": ["0 1 )", one->port(), R"( host.test.", "0 1 )", two->port(),
                        R"( host.test."]})"));
  const auto probe = [&](const std::string& back) {
    return RunCommand({ExampleProgram("leg_probe"), DnsFlag(), "--dns_wait=30s", "--json",
                       absl::StrCat("--ca=", PathOf("ca.pem")), absl::StrCat("--back=", back)},
                      kPatience);
  };
  const CommandResult both = probe("_https._tcp.back.test");
  EXPECT_EQ(both.exit_status, 2) << both.errors;
  const Json legs = Json::parse(both.output).at("legs");
  ASSERT_EQ(legs.size(), 2u);
  for (const Json& leg : legs) {
    EXPECT_EQ(leg.at("resolved_from"), "_https._tcp.back.test");
    EXPECT_EQ(leg.at("expected_name"), "back.test");
    EXPECT_EQ(leg.at("good"), leg.at("address") == one->address()) << leg;
  }
  const CommandResult none = probe("none.test:443,front.test");
  EXPECT_EQ(none.exit_status, 2) << none.errors;
  const Json leg = Json::parse(none.output).at("legs").at(0);
  EXPECT_EQ(leg.at("address"), "-");
  EXPECT_EQ(leg.at("error").at("code"), "no_backend");
  EXPECT_EQ(leg.at("expected_name"), "front.test");
}

}  // namespace
}  // namespace trestle::e2e
