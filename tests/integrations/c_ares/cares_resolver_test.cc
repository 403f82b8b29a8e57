// Names in a real DNS server, which changes, delays, truncates, lies and dies.
#include "integrations/c_ares/cares_resolver.h"

#include <signal.h>
#include <stdlib.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/c_ares/dns_server.h"
#include "trestle/base/error.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/proxy/resolved_backends.h"

namespace trestle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

using Coverage = ResolvedName::Coverage;
using Answers = std::vector<absl::StatusOr<ResolvedName>>;

// Long enough for a busy machine; no test waits for it unless it fails.
constexpr absl::Duration kPatience = absl::Seconds(60);

std::vector<std::string> Texts(const ResolvedName& answer) {
  std::vector<std::string> texts;
  for (const ResolvedAddress& address : answer.addresses) {
    texts.push_back(address.endpoint.ToString());
  }
  return texts;
}

class CaresResolverTest : public ::testing::Test {
 protected:
  void Start(CaresResolverOptions options = {}) {
    if (options.servers.empty()) options.servers = {server.endpoint()};
    resolver = *CaresResolver::Create(*loop, std::move(options));
  }

  /// Runs the loop until `condition` holds.
  template <typename Condition>
  bool RunUntil(Condition condition) {
    const absl::Time end = absl::Now() + kPatience;
    while (!condition()) {
      if (absl::Now() > end) return false;
      loop->RunTurn(absl::Milliseconds(20));
    }
    return true;
  }

  /// Returns the answers about `target`, to the last one.
  Answers AskAll(const std::string& target) {
    if (resolver == nullptr) Start();
    Answers answers;
    const auto done = [&] {
      return !answers.empty() &&
             (!answers.back().ok() || answers.back()->coverage != Coverage::kMoreToCome);
    };
    const auto lookup = resolver->Resolve(
        *NamedTarget::Parse(target),
        [&](absl::StatusOr<ResolvedName> answer) { answers.push_back(std::move(answer)); });
    EXPECT_TRUE(answers.empty()) << "never inside the call";
    EXPECT_TRUE(RunUntil(done)) << target;
    return answers;
  }

  absl::StatusOr<ResolvedName> Ask(const std::string& target) { return AskAll(target).back(); }

  static CaresResolverOptions Impatient() {
    CaresResolverOptions options;
    options.server_timeout = absl::Milliseconds(200);
    options.rounds = 1;
    return options;
  }

  DnsServer server;
  std::unique_ptr<EpollLoop> loop = *EpollLoop::Create();
  std::unique_ptr<CaresResolver> resolver;
};

TEST_F(CaresResolverTest, AHostHasTheAddressesOfBothFamilies) {
  server.Set("api.test.",
             R"({"A": ["192.0.2.1", "192.0.2.2"], "AAAA": ["2001:db8::1"], "ttl": 7})");
  const auto answer = Ask("api.test:443");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(Texts(*answer),
              UnorderedElementsAre("192.0.2.1:443", "192.0.2.2:443", "[2001:db8::1]:443"));
  EXPECT_EQ(answer->ttl, absl::Seconds(7));
  EXPECT_EQ(answer->coverage, Coverage::kAll);
  EXPECT_THAT(server.questions(), HasSubstr("api.test. A udp"));
  EXPECT_THAT(server.questions(), HasSubstr("api.test. AAAA udp"));
}

TEST_F(CaresResolverTest, AnAliasLimitsTheTime) {
  server.Set("real.test.", R"({"A": ["192.0.2.1"], "ttl": 30})");
  server.Set("api.test.", R"({"CNAME": "real.test.", "ttl": 5})");
  // A server that gives the alias alone; most give the addresses with it.
  const auto answer = Ask("api.test:443");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(answer->addresses, IsEmpty());
}

TEST_F(CaresResolverTest, AServiceHasPortsPrioritiesAndWeights) {
  server.Set(
      "_https._tcp.api.test.",
      R"({"SRV": ["10 3 8443 a.test.", "10 0 8444 b.test.", "20 1 8445 c.test."], "ttl": 9})");
  server.Set("a.test.", R"({"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]})");
  server.Set("b.test.", R"({"A": ["192.0.2.2", "192.0.2.3"]})");
  server.Set("c.test.", R"({"A": ["192.0.2.4"], "ttl": 8})");
  auto answer = Ask("_https._tcp.api.test");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(Texts(*answer),
              UnorderedElementsAre("192.0.2.1:8443", "[2001:db8::1]:8443", "192.0.2.2:8444",
                                   "192.0.2.3:8444", "192.0.2.4:8445"));
  EXPECT_EQ(answer->ttl, absl::Seconds(8));
  for (const ResolvedAddress& address : answer->addresses) {
    const uint16_t port = address.endpoint.port();
    EXPECT_EQ(address.priority, port == 8445 ? 20 : 10);
    if (port == 8443) EXPECT_EQ(address.weight, 3 * kUnitWeight);
    if (port == 8444) EXPECT_EQ(address.weight, 1u) << "the least there is";
  }
}

TEST_F(CaresResolverTest, HostsOfAServiceAreBounded) {
  server.Set("_x._tcp.api.test.", R"({"SRV": ["20 1 2 b.test.", "10 1 1 a.test."]})");
  server.Set("a.test.", R"({"A": ["192.0.2.1"]})");
  server.Set("b.test.", R"({"A": ["192.0.2.2"]})");
  CaresResolverOptions options;
  options.max_hosts = 1;
  Start(std::move(options));
  const auto answer = Ask("_x._tcp.api.test");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(Texts(*answer), ElementsAre("192.0.2.1:1"));
}

TEST_F(CaresResolverTest, AServiceThatIsNotOffered) {
  server.Set("_x._tcp.api.test.", R"({"SRV": ["0 0 0 ."]})");
  const auto answer = Ask("_x._tcp.api.test");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(answer->addresses, IsEmpty());
}

TEST_F(CaresResolverTest, ADenialIsAnAnswer) {
  server.Set("empty.test.", R"({"TXT": ["\"x\""]})");
  for (const char* target : {"missing.test:443", "empty.test:443", "_x._tcp.missing.test"}) {
    const auto answer = Ask(target);
    ASSERT_TRUE(answer.ok()) << target << ": " << answer.status();
    EXPECT_THAT(answer->addresses, IsEmpty()) << target;
    EXPECT_GT(answer->ttl, absl::ZeroDuration());
  }
}

TEST_F(CaresResolverTest, ASlowFamilyFollowsTheFirst) {
  server.Set("api.test.",
             R"({"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"], "faults": {"AAAA": ["delay 1"]}})");
  const Answers answers = AskAll("api.test:443");
  ASSERT_EQ(answers.size(), 2u);
  ASSERT_TRUE(answers[0].ok());
  EXPECT_EQ(answers[0]->coverage, Coverage::kMoreToCome);
  EXPECT_THAT(Texts(*answers[0]), ElementsAre("192.0.2.1:443"));
  ASSERT_TRUE(answers[1].ok());
  EXPECT_THAT(Texts(*answers[1]), UnorderedElementsAre("192.0.2.1:443", "[2001:db8::1]:443"));
}

TEST_F(CaresResolverTest, AFamilyThatFailsMakesTheAnswerAPart) {
  server.Set("api.test.",
             R"({"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"], "faults": {"AAAA": ["servfail"]}})");
  const auto answer = Ask("api.test:443");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->coverage, Coverage::kPart);
  EXPECT_THAT(Texts(*answer), ElementsAre("192.0.2.1:443"));
}

TEST_F(CaresResolverTest, ATruncatedAnswerIsAskedForByTcp) {
  std::string addresses = "\"10.0.0.0\"";
  for (int i = 1; i < 100; ++i) absl::StrAppend(&addresses, ", \"10.0.0.", i, "\"");
  server.Set("api.test.",
             absl::StrCat("{\"A\": [", addresses, "], \"faults\": {\"any\": [\"truncate\"]}}"));
  for (int i = 0; i < 3; ++i) {
    const auto answer = Ask("api.test:443");
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->addresses.size(), 100u) << "also over a connection that is open already";
  }
  EXPECT_THAT(server.questions(), HasSubstr("api.test. A tcp"));
}

TEST_F(CaresResolverTest, LiesAreNoAnswer) {
  Start(Impatient());
  for (const char* lie : {"wrong_id", "wrong_name", "silence"}) {
    server.Set("api.test.",
               absl::StrCat("{\"A\": [\"192.0.2.1\"], \"faults\": {\"any\": [\"", lie, "\"]}}"));
    const auto answer = Ask("api.test:443");
    ASSERT_FALSE(answer.ok()) << lie;
    ASSERT_TRUE(GetError(answer.status()).has_value());
    EXPECT_EQ(GetError(answer.status())->code, ErrorCode::kTimeout) << lie;
    EXPECT_THAT(GetError(answer.status())->detail, HasSubstr("DNS has no answer about api.test"));
  }
}

TEST_F(CaresResolverTest, ServersThatFailAreNoDenial) {
  Start(Impatient());
  for (const char* fault : {"servfail", "refuse", "garbage"}) {
    server.Set("api.test.",
               absl::StrCat("{\"A\": [\"192.0.2.1\"], \"faults\": {\"any\": [\"", fault, "\"]}}"));
    EXPECT_FALSE(Ask("api.test:443").ok()) << fault;
  }
}

TEST_F(CaresResolverTest, AnotherServerAnswersForADeadOne) {
  server.Set("api.test.", R"({"A": ["192.0.2.1"]})");
  DnsServer dead("dead");
  dead.Kill();
  CaresResolverOptions options = Impatient();
  options.servers = {dead.endpoint(), server.endpoint()};
  Start(std::move(options));
  const auto answer = Ask("api.test:443");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(Texts(*answer), ElementsAre("192.0.2.1:443"));
  server.Kill();
  const auto nobody = Ask("api.test:443");
  ASSERT_FALSE(nobody.ok());
  EXPECT_TRUE(GetError(nobody.status()).has_value());
}

TEST_F(CaresResolverTest, TheHostsFileComesFirst) {
  const std::string path = ::testing::TempDir() + "hosts";
  std::ofstream(path) << "192.0.2.77 api.test\n2001:db8::77 api.test\n";
  setenv("CARES_HOSTS", path.c_str(), 1);
  CaresResolverOptions options;
  options.hosts_from_environment = true;
  Start(std::move(options));
  const auto answer = Ask("api.test:443");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(Texts(*answer), UnorderedElementsAre("192.0.2.77:443", "[2001:db8::77]:443"));
  EXPECT_THAT(server.questions(), Not(HasSubstr("api.test")));
}

TEST_F(CaresResolverTest, ANameIsAskedForAsItIs) {
  setenv("LOCALDOMAIN", "search.test", 1);
  EXPECT_TRUE(Ask("api:443").ok());
  EXPECT_THAT(server.questions(), Not(HasSubstr("search.test")));
  CaresResolverOptions options;
  options.search_domains = true;
  Start(std::move(options));
  EXPECT_TRUE(Ask("api:443").ok());
  EXPECT_THAT(server.questions(), HasSubstr("api.search.test."));
  unsetenv("LOCALDOMAIN");
}

TEST_F(CaresResolverTest, ALookupCanBeCancelledAtAnyTime) {
  server.Set("api.test.", R"({"A": ["192.0.2.1"], "faults": {"any": ["delay 0.1"]}})");
  Start();
  bool called = false;
  auto lookup = resolver->Resolve(*NamedTarget::Parse("api.test:443"),
                                  [&](const absl::StatusOr<ResolvedName>&) { called = true; });
  lookup.reset();  // Before it began.
  lookup = resolver->Resolve(*NamedTarget::Parse("api.test:443"),
                             [&](const absl::StatusOr<ResolvedName>&) { called = true; });
  ASSERT_TRUE(RunUntil([&] { return absl::StrContains(server.questions(), "api.test."); }));
  lookup.reset();
  EXPECT_TRUE(Ask("api.test:443").ok()) << "the late answer of the other one harms nothing";
  EXPECT_FALSE(called);
  lookup = resolver->Resolve(*NamedTarget::Parse("api.test:443"),
                             [&](const absl::StatusOr<ResolvedName>&) { called = true; });
  loop->RunTurn(absl::ZeroDuration());
  lookup.reset();
  resolver.reset();  // With open questions.
  loop->RunTurn(absl::ZeroDuration());
  EXPECT_FALSE(called);
}

TEST_F(CaresResolverTest, LookupsWaitForTheirTurn) {
  server.Set("slow.test.", R"({"A": ["192.0.2.1"], "faults": {"any": ["delay 0.3"]}})");
  server.Set("next.test.", R"({"A": ["192.0.2.2"]})");
  CaresResolverOptions options;
  options.max_lookups = 1;
  Start(std::move(options));
  std::vector<std::string> order;
  const auto first =
      resolver->Resolve(*NamedTarget::Parse("slow.test:1"),
                        [&](const absl::StatusOr<ResolvedName>&) { order.push_back("slow"); });
  auto second = resolver->Resolve(*NamedTarget::Parse("next.test:1"),
                                  [&](const absl::StatusOr<ResolvedName>&) {});
  ASSERT_TRUE(RunUntil([&] { return !order.empty(); }));
  EXPECT_THAT(server.questions(), Not(HasSubstr("next.test")));
  second.reset();
}

TEST_F(CaresResolverTest, OptionsAreChecked) {
  const auto refuse = [&](const CaresResolverOptions& options, const std::string& why) {
    const auto made = CaresResolver::Create(*loop, options);
    ASSERT_FALSE(made.ok()) << why;
    EXPECT_EQ(GetError(made.status())->code, ErrorCode::kConfiguration);
    EXPECT_THAT(std::string(made.status().message()), HasSubstr(why));
  };
  CaresResolverOptions options;
  options.servers = {Endpoint::Unix("/run/dns")};
  refuse(options, "has an IP address");
  options.servers = {*Endpoint::Parse("127.0.0.1:0")};
  refuse(options, "port");
  options = {};
  options.rounds = 0;
  refuse(options, "rounds");
  options = {};
  options.server_timeout = absl::ZeroDuration();
  refuse(options, "server_timeout");
  options = {};
  options.max_lookups = 0;
  refuse(options, "max_lookups");
}

TEST_F(CaresResolverTest, BackendsFollowAServerThatChangesAndDies) {
  server.Set("api.test.", R"({"A": ["192.0.2.1"], "ttl": 1})");
  Start(Impatient());
  ResolvedBackends names(*loop, *resolver);
  Backends backends;
  backends.names.push_back(*NamedTarget::Parse("api.test:443"));
  ASSERT_TRUE(names.Follow(backends).ok());
  const auto leads_to = [&](const std::string& address) {
    const auto now = backends.group->current();
    return now->size() == 1 && now->front().endpoint.AddressText() == address;
  };
  ASSERT_TRUE(RunUntil([&] { return leads_to("192.0.2.1"); }));
  server.Set("api.test.", R"({"A": ["192.0.2.2"], "ttl": 1})");
  ASSERT_TRUE(RunUntil([&] { return leads_to("192.0.2.2"); }));
  server.Kill();
  ASSERT_TRUE(RunUntil([&] { return names.names()[0].failures >= 2; }));
  EXPECT_TRUE(leads_to("192.0.2.2"));
  EXPECT_EQ(names.names()[0].condition, NameCondition::kKept);
  server.Set("api.test.", R"({"A": ["192.0.2.3"], "ttl": 1})");
  server.Start();
  ASSERT_TRUE(RunUntil([&] { return leads_to("192.0.2.3"); }));
  EXPECT_EQ(names.names()[0].condition, NameCondition::kCurrent);
  server.Remove("api.test.");
  ASSERT_TRUE(RunUntil([&] { return backends.group->current()->empty(); }));
  EXPECT_EQ(names.names()[0].condition, NameCondition::kDenied);
}

TEST_F(CaresResolverTest, DnsmasqIsUnderstood) {
  const std::string hosts = ::testing::TempDir() + "dnsmasq.hosts";
  std::ofstream(hosts) << "192.0.2.1 a.api.test\n2001:db8::1 a.api.test\n";
  const uint16_t port = server.endpoint().port();  // Free again.
  server.Kill();
  // Its debug mode does not change the group, which a sandbox may forbid to root.
  e2e::Process dnsmasq({e2e::FindProgram("dnsmasq"), "--no-daemon", "--log-facility=-",
                        absl::StrCat("--port=", port), "--listen-address=127.0.0.1",
                        "--bind-interfaces", "--no-resolv", "--no-hosts", "--conf-file=/dev/null",
                        absl::StrCat("--addn-hosts=", hosts), "--local=/test/", "--local-ttl=2",
                        "--srv-host=_https._tcp.api.test,a.api.test,8443,10,5"});
  ASSERT_TRUE(dnsmasq.WaitForErrors("started", absl::Seconds(30))) << dnsmasq.errors();
  Start();
  const auto host = Ask("a.api.test:443");
  ASSERT_TRUE(host.ok()) << host.status();
  EXPECT_THAT(Texts(*host), UnorderedElementsAre("192.0.2.1:443", "[2001:db8::1]:443"));
  EXPECT_EQ(host->ttl, absl::Seconds(2));
  const auto service = Ask("_https._tcp.api.test");
  ASSERT_TRUE(service.ok()) << service.status();
  EXPECT_THAT(Texts(*service), UnorderedElementsAre("192.0.2.1:8443", "[2001:db8::1]:8443"));
  std::ofstream(hosts) << "192.0.2.9 a.api.test\n";
  dnsmasq.Signal(SIGHUP);
  EXPECT_TRUE(RunUntil([&] {
    const auto changed = Ask("a.api.test:443");
    return changed.ok() && Texts(*changed) == std::vector<std::string>{"192.0.2.9:443"};
  }));
  const auto missing = Ask("b.api.test:443");
  ASSERT_TRUE(missing.ok()) << missing.status();
  EXPECT_THAT(missing->addresses, IsEmpty());
}

}  // namespace
}  // namespace trestle
