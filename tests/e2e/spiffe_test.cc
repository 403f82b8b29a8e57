// Proxies with the certificates and CAs of a SPIFFE agent: gRPC of another implementation on a
// Unix-domain socket.

#include <signal.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"
#include "tests/integrations/pkcs11/soft_token.h"
#include "tests/support/socket_folder.h"

namespace trestle::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::LeafSpec;
using ::testing::Not;
using testing::PemPair;
using testing::TestPki;

constexpr char kEdge[] = "spiffe://example.org/edge";
constexpr char kBackend[] = "spiffe://example.org/backend";

class SpiffeTest : public ProxyTest {
 protected:
  SpiffeTest() {
    WriteFile("partner-ca.pem", partner_.ca_pem());
    WriteCertificate("edge", Svid(kEdge, kFrontName));
    WriteClient(pki_, "client", "spiffe://example.org/clients/a");
  }

  static LeafSpec Svid(const std::string& id, const std::string& name = "") {
    LeafSpec leaf;
    leaf.common_name = "workload";
    if (!name.empty()) leaf.dns_names = {name};
    leaf.uri_names = {id};
    leaf.both_auths = true;
    return leaf;
  }

  void WriteClient(const TestPki& ca, const std::string& name, const std::string& id) const {
    const PemPair pair = ca.Issue(Svid(id));
    WriteFile(name + ".pem", pair.chain + pair.key);
  }

  void StartAgent() {
    agent_ = std::make_unique<Process>(std::vector<std::string>{
        "/usr/bin/python3", "tests/e2e/spiffe_agent.py", folder_.PathOf("agent.sock")});
    commands_ = 0;
    ASSERT_TRUE(agent_->WaitForOutput("listening", kPatience)) << agent_->errors();
  }

  void Tell(const std::string& command) {
    agent_->WriteInput(command + "\n");
    ++commands_;
    EXPECT_TRUE(WaitUntil([&] {
      const std::string output = agent_->output();
      size_t found = 0;
      for (size_t at = output.find("done\n"); at != std::string::npos;
           at = output.find("done\n", at + 1)) {
        ++found;
      }
      return found >= commands_;
    })) << agent_->errors();
  }

  // Says the SVID in the files `name`, with the CA of pki_.
  std::string Say(const std::string& name, const std::string& more = "") const {
    return absl::StrCat("say ", kEdge, " ", PathOf(name + ".pem"), " ", PathOf(name + ".key"), " ",
                        PathOf("ca.pem"), more);
  }

  std::vector<std::string> Argv(const std::string& program, std::vector<std::string> more) const {
    std::vector<std::string> argv = {
        ExampleProgram(program), "--listen=127.0.0.1:0", "--log_connections=text",
        absl::StrCat("--spiffe_agent=unix:", folder_.PathOf("agent.sock"))};
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  }

  // A bridge with SPIFFE on both legs, and no name of its backend.
  std::unique_ptr<ProxyProcess> StartBridge(const HttpBackend& backend,
                                            const std::vector<std::string>& more = {}) const {
    std::vector<std::string> flags = {absl::StrCat("--backend=", backend.address()),
                                      "--spiffe_clients=spiffe://example.org/clients/*,"
                                      "spiffe://partner.test/web",
                                      absl::StrCat("--spiffe_backends=", kBackend)};
    flags.insert(flags.end(), more.begin(), more.end());
    return StartProgram(Argv("bridging_proxy", flags));
  }

  std::unique_ptr<HttpBackend> Backend(const TestPki& ca, const std::string& id) const {
    return StartTlsBackend(ca.Issue(Svid(id)));
  }

  CommandResult Ask(const ProxyProcess& proxy, const std::string& client) const {
    return Curl(proxy.port, "/hello", {"--cert", PathOf(client + ".pem")});
  }

  void ExpectServed(const ProxyProcess& proxy, const std::string& client = "client") const {
    const CommandResult result = Ask(proxy, client);
    EXPECT_EQ(result.output, "hello from backend") << result.errors << proxy.log();
  }

  static std::string Refusal(const std::vector<std::string>& argv) {
    const CommandResult result = RunCommand(argv, kPatience);
    EXPECT_EQ(result.exit_status, 1) << result.errors;
    return result.errors;
  }

  const SocketFolder folder_;
  const TestPki partner_{absl::Now(), "Partner CA"};
  std::unique_ptr<Process> agent_;
  size_t commands_ = 0;
};

TEST_F(SpiffeTest, BothLegsUseTheAgent) {
  StartAgent();
  Tell(Say("edge"));
  const auto backend = Backend(pki_, kBackend);
  const auto proxy = StartBridge(*backend);
  ExpectServed(*proxy);
  EXPECT_TRUE(proxy->WaitForLog("client_certificate=\"CN=workload\"")) << proxy->log();
  EXPECT_EQ(backend->connections().front().server_name, "") << "there is no name to send";
  WriteClient(pki_, "stranger", "spiffe://example.org/other");
  EXPECT_NE(Ask(*proxy, "stranger").output, "hello from backend");
  EXPECT_TRUE(proxy->WaitForLog("neither its names nor its key are allowed here")) << proxy->log();
  EXPECT_NE(Curl(proxy->port, "/hello").output, "hello from backend");
  EXPECT_TRUE(proxy->WaitForLog("client_certificate_missing")) << proxy->log();
}

TEST_F(SpiffeTest, BackendsAreVerifiedByIdAndByTheirOwnBundle) {
  StartAgent();
  Tell(Say("edge", absl::StrCat(" partner.test=", PathOf("partner-ca.pem"))));
  const auto other = Backend(pki_, "spiffe://example.org/other");
  const auto wrong_id = StartBridge(*other);
  EXPECT_NE(Ask(*wrong_id, "client").output, "hello from backend");
  EXPECT_TRUE(wrong_id->WaitForLog("back leg, handshake: name_mismatch")) << wrong_id->log();
  // A federated CA that issues for the own trust domain.
  const auto forged = Backend(partner_, kBackend);
  const auto wrong_ca = StartBridge(*forged);
  EXPECT_NE(Ask(*wrong_ca, "client").output, "hello from backend");
  EXPECT_TRUE(wrong_ca->WaitForLog("back leg, handshake: certificate_untrusted"))
      << wrong_ca->log();
}

TEST_F(SpiffeTest, TheAgentSeesTheProxysSvidAtABackendThatAsks) {
  StartAgent();
  Tell(Say("edge"));
  const auto backend = StartBackend(Mode::kOffload);
  WriteCertificate("back", Svid(kBackend));
  // A terminator with files that accepts the edge only.
  const auto inner = StartProgram(
      {ExampleProgram("terminating_proxy"), "--listen=127.0.0.1:0", "--log_connections=text",
       absl::StrCat("--cert=", PathOf("back.pem")), absl::StrCat("--key=", PathOf("back.key")),
       absl::StrCat("--client_ca=", PathOf("ca.pem")), absl::StrCat("--client_allow=uri:", kEdge),
       absl::StrCat("--backend=", backend->address())});
  const auto proxy =
      StartProgram(Argv("bridging_proxy", {absl::StrCat("--backend=127.0.0.1:", inner->port),
                                           absl::StrCat("--spiffe_backends=", kBackend)}));
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend") << proxy->log();
  EXPECT_TRUE(inner->WaitForLog("client_certificate=\"CN=workload\"")) << inner->log();
}

TEST_F(SpiffeTest, RotationAndFederationAreUsedAtOnce) {
  StartAgent();
  Tell(Say("edge"));
  const auto backend = Backend(pki_, kBackend);
  const auto proxy = StartBridge(*backend);
  WriteClient(partner_, "partner", "spiffe://partner.test/web");
  EXPECT_NE(Ask(*proxy, "partner").output, "hello from backend");
  EXPECT_TRUE(proxy->WaitForLog("for which there is no bundle")) << proxy->log();
  WriteCertificate("edge2", Svid(kEdge, kFrontName));
  Tell(Say("edge2", absl::StrCat(" partner.test=", PathOf("partner-ca.pem"))));
  EXPECT_TRUE(proxy->WaitForLog("reloaded: ")) << proxy->log();
  ExpectServed(*proxy, "partner");
  ExpectServed(*proxy);
  // The federation ends.
  Tell(Say("edge2"));
  EXPECT_TRUE(WaitUntil([&] { return Ask(*proxy, "partner").output != "hello from backend"; }));
  ExpectServed(*proxy);
}

TEST_F(SpiffeTest, TheLastSvidServesWhileTheAgentIsGone) {
  StartAgent();
  Tell(Say("edge"));
  const auto backend = Backend(pki_, kBackend);
  const auto proxy = StartBridge(*backend);
  agent_.reset();
  EXPECT_TRUE(proxy->WaitForLog("SPIFFE: the SPIFFE agent unix:")) << proxy->log();
  ExpectServed(*proxy);
  proxy->process.Signal(SIGHUP);
  EXPECT_TRUE(proxy->WaitForLog("reloaded: ")) << proxy->log();
  ExpectServed(*proxy);
  WriteCertificate("edge2", Svid("spiffe://example.org/edge", kFrontName));
  StartAgent();
  Tell(Say("edge2"));
  EXPECT_TRUE(WaitUntil([&] {
    const std::string log = proxy->log();
    const size_t first = log.find("SPIFFE: spiffe://example.org/edge");
    return log.find("SPIFFE: spiffe://example.org/edge", first + 1) != std::string::npos;
  })) << proxy->log();
  ExpectServed(*proxy);
}

TEST_F(SpiffeTest, UnusableUpdatesLeaveTheLastOneInUse) {
  StartAgent();
  Tell(Say("edge"));
  const auto backend = Backend(pki_, kBackend);
  const auto proxy = StartBridge(*backend);
  const auto expect = [&](const std::string& command, const std::string& fault) {
    Tell(command);
    EXPECT_TRUE(proxy->WaitForLog(fault)) << command << proxy->log();
    ExpectServed(*proxy);
  };
  WriteCertificate("other", Svid(kEdge, kFrontName));
  expect(absl::StrCat("say ", kEdge, " ", PathOf("edge.pem"), " ", PathOf("other.key"), " ",
                      PathOf("ca.pem")),
         "the SVID can't be used");
  expect(absl::StrCat("say ", kEdge, " ", PathOf("edge.pem"), " ", PathOf("edge.key"), " ",
                      PathOf("partner-ca.pem")),
         "peers would refuse the SVID");
  expect(absl::StrCat("say spiffe://partner.test/edge ", PathOf("edge.pem"), " ",
                      PathOf("edge.key"), " ", PathOf("ca.pem")),
         "peers would refuse the SVID");
  expect("raw 0affff", "no X509SVIDResponse");
  expect("empty", "no SVID for this process");
  expect("refuse", "it has no identity for this process");
  EXPECT_THAT(proxy->log(), AllOf(HasSubstr("what it sent before stays in use"),
                                  Not(HasSubstr("reload failed"))));
}

TEST_F(SpiffeTest, AStartWithoutAnSvidFails) {
  const std::vector<std::string> argv =
      Argv("terminating_proxy", {"--backend=127.0.0.1:1", "--spiffe_wait=1s"});
  EXPECT_THAT(Refusal(argv),
              AllOf(HasSubstr("no SVID within --spiffe_wait=1s"), HasSubstr("agent.sock")));
  StartAgent();
  EXPECT_THAT(Refusal(argv), HasSubstr("no SVID within --spiffe_wait=1s"));
  Tell("refuse");
  EXPECT_THAT(Refusal(argv), HasSubstr("it has no identity for this process"));
  Tell("unavailable");
  EXPECT_THAT(Refusal(argv), HasSubstr("gRPC status 14"));
  Tell(Say("edge"));
  std::vector<std::string> other_id = argv;
  other_id.push_back("--spiffe_id=spiffe://example.org/third");
  EXPECT_THAT(Refusal(other_id), HasSubstr("no SVID with the ID spiffe://example.org/third"));
}

TEST_F(SpiffeTest, ContradictingFlagsAreErrors) {
  const auto refusal = [&](const std::string& program, std::vector<std::string> flags) {
    flags.insert(flags.begin(), {ExampleProgram(program), "--listen=127.0.0.1:0"});
    return Refusal(flags);
  };
  const std::string backend = "--backend=127.0.0.1:1";
  EXPECT_THAT(refusal("terminating_proxy", {backend, "--spiffe_clients=spiffe://example.org/*"}),
              HasSubstr("--spiffe_clients needs --spiffe_agent"));
  EXPECT_THAT(refusal("terminating_proxy", {backend, "--spiffe_agent=127.0.0.1:1"}),
              HasSubstr("Unix-domain socket"));
  EXPECT_THAT(refusal("terminating_proxy", {backend, "--spiffe_backends=spiffe://example.org/*"}),
              HasSubstr("has no use here"));
  EXPECT_THAT(refusal("one_port", {"--pass=a.test=127.0.0.1:1", "--spiffe_agent=unix:/x"}),
              HasSubstr("no route decrypts"));
  StartAgent();
  Tell(Say("edge"));
  const std::string agent = absl::StrCat("--spiffe_agent=unix:", folder_.PathOf("agent.sock"));
  const std::string clients = "--spiffe_clients=spiffe://example.org/*";
  EXPECT_THAT(refusal("terminating_proxy", {backend, agent, "--spiffe_clients=example.org/*"}),
              HasSubstr("is no SPIFFE ID"));
  EXPECT_THAT(refusal("terminating_proxy", {backend, agent, clients, "--client_allow=dns:a.test"}),
              HasSubstr("--spiffe_clients excludes"));
  EXPECT_THAT(refusal("bridging_proxy", {backend, agent, "--spiffe_backends=spiffe://a.test/b",
                                         absl::StrCat("--backend_ca=", PathOf("ca.pem"))}),
              HasSubstr("--spiffe_backends excludes"));
  EXPECT_THAT(
      refusal("terminating_proxy", {backend, agent, absl::StrCat("--cert=", PathOf("front.pem")),
                                    absl::StrCat("--key=", PathOf("front.key"))}),
      HasSubstr("--spiffe_agent has no use"));
  EXPECT_THAT(refusal("terminating_proxy", {backend, agent, "--spiffe_wait=0s"}),
              HasSubstr("--spiffe_wait must be above 0"));
}

TEST_F(SpiffeTest, OnePortServesAllThreeWays) {
  StartAgent();
  Tell(Say("edge"));
  const auto clear = StartBackend(Mode::kOffload);
  const auto sealed = Backend(pki_, kBackend);
  const auto proxy =
      StartProgram(Argv("one_port", {absl::StrCat("--offload=other.test=", clear->address()),
                                     absl::StrCat("--bridge=", kFrontName, "=", sealed->address()),
                                     absl::StrCat("--spiffe_backends=", kBackend)}));
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend") << proxy->log();
  EXPECT_EQ(sealed->connections().front().server_name, kFrontName);
}

TEST_F(SpiffeTest, TheCheckAsksTheAgent) {
  StartAgent();
  Tell(Say("edge"));
  const CommandResult result =
      RunCommand(Argv("bridging_proxy", {"--check", "--backend=127.0.0.1:9",
                                         "--spiffe_clients=spiffe://example.org/*",
                                         absl::StrCat("--spiffe_backends=", kBackend)}),
                 kPatience);
  EXPECT_EQ(result.exit_status, 0) << result.output << result.errors;
  EXPECT_THAT(result.output, AllOf(HasSubstr("client CAs"), HasSubstr("backend CAs")));
}

// The front leg has a key in a token, the back leg the agent, and the backend files. Each has new
// certificates for a minute all the time. The same for half an hour, in virtual time:
// tests/counts/renewal_soak_test.cc.
TEST_F(SpiffeTest, CertificatesForAMinuteAreRenewedByTokenAgentAndFilesUnderLoad) {
  constexpr int kRenewals = 20;
  constexpr int kRequests = 5;
  const auto for_a_minute = [](LeafSpec leaf) {
    leaf.not_before = absl::Now() - absl::Seconds(1);
    leaf.not_after = leaf.not_before + absl::Minutes(1);
    return leaf;
  };
  testing::SoftToken token(PathOf("hsm"));
  const std::string token_key = WriteCertificate("front", LeafFor(kFrontName)).key;
  token.Import("front", token_key);
  StartAgent();
  // No reader sees a part of a file.
  const auto replace = [this](const std::string& name, const std::string& text) {
    std::filesystem::rename(WriteFile(name + ".new", text), PathOf(name));
  };
  const auto renew = [&](int number) {
    LeafSpec front = for_a_minute(LeafFor(kFrontName));
    front.key_pem = token_key;
    replace("front.pem", pki_.Issue(front).chain);
    const std::string name = absl::StrCat("edge", number);
    WriteCertificate(name, for_a_minute(Svid(kEdge)));
    Tell(Say(name));
    const PemPair back = pki_.Issue(for_a_minute(Svid(kBackend)));
    replace("back.pem", back.chain + back.key);
    WriteClient(pki_, "client", "spiffe://example.org/clients/a");
  };
  renew(0);
  const auto backend = StartBackend(Mode::kOffload);
  const auto inner = StartProgram(
      {ExampleProgram("terminating_proxy"), "--listen=127.0.0.1:0",
       absl::StrCat("--cert=", PathOf("back.pem")), absl::StrCat("--key=", PathOf("back.pem")),
       absl::StrCat("--client_ca=", PathOf("ca.pem")), absl::StrCat("--client_allow=uri:", kEdge),
       absl::StrCat("--backend=", backend->address())});
  const auto proxy =
      StartProgram(Argv("bridging_proxy", {absl::StrCat("--backend=127.0.0.1:", inner->port),
                                           absl::StrCat("--cert=", PathOf("front.pem")),
                                           absl::StrCat("--key=", token.Uri("front")),
                                           "--spiffe_clients=spiffe://example.org/clients/*",
                                           absl::StrCat("--spiffe_backends=", kBackend)}));
  for (int number = 1; number <= kRenewals; ++number) {
    renew(number);
    for (int i = 0; i < kRequests; ++i) ExpectServed(*proxy);
  }
  for (const ProxyProcess* program : {proxy.get(), inner.get()}) {
    EXPECT_THAT(program->log(), AllOf(HasSubstr("reloaded: "), Not(HasSubstr("reload failed")),
                                      Not(HasSubstr("warning"))));
  }
}

TEST_F(SpiffeTest, PageAndMetricsTellOfTheAgent) {
  StartAgent();
  LeafSpec old = Svid(kEdge, kFrontName);
  old.not_before = absl::Now() - absl::Hours(7);
  old.not_after = absl::Now() + absl::Hours(3);
  WriteCertificate("old", old);
  Tell(Say("old"));
  const auto backend = StartBackend(Mode::kOffload);
  const std::string socket = folder_.PathOf("admin.sock");
  const auto proxy = StartProgram(
      Argv("terminating_proxy", {absl::StrCat("--backend=", backend->address()), "--threads=1",
                                 absl::StrCat("--admin=unix:", socket)}));
  const auto page = [&](const std::string& path) {
    return RunCommand({FindProgram("curl"), "--silent", "--unix-socket", socket,
                       absl::StrCat("http://localhost", path)},
                      kPatience)
        .output;
  };
  EXPECT_THAT(page("/metrics"), AllOf(HasSubstr("\ntrestle_spiffe_connected 1\n"),
                                      HasSubstr("\ntrestle_spiffe_svid_late 1\n"),
                                      HasSubstr("\ntrestle_spiffe_updates_total 1\n")));
  EXPECT_THAT(page("/legs"), AllOf(HasSubstr("\"spiffe\": {"), HasSubstr("\"code\": \"svid_late\""),
                                   HasSubstr("spiffe://example.org/edge")));
  EXPECT_THAT(page("/"), AllOf(HasSubstr("SPIFFE agent"), HasSubstr("not renewed in time")));
  EXPECT_TRUE(proxy->WaitForLog("has not renewed the SVID")) << proxy->log();
  Tell(Say("edge"));
  EXPECT_TRUE(WaitUntil([&] {
    const std::string metrics = page("/metrics");
    return metrics.find("\ntrestle_spiffe_svid_late 0\n") != std::string::npos &&
           metrics.find("\ntrestle_spiffe_updates_total 2\n") != std::string::npos;
  }));
  agent_.reset();
  EXPECT_TRUE(WaitUntil([&] {
    return page("/metrics").find("\ntrestle_spiffe_connected 0\n") != std::string::npos;
  }));
  EXPECT_THAT(page("/legs"), HasSubstr("\"connected\": false"));
}

}  // namespace
}  // namespace trestle::e2e
