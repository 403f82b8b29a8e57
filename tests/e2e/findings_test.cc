// Findings beside dates, as the programs show them: in the log, on the page of --admin, by --check
// and by leg_probe. The test's own CA plays a public one (--public_ca).

#include <signal.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/server_programs.h"
#include "trestle/testing/test_pki.h"

namespace trestle::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::LeafSpec;
using ::testing::Not;
using testing::PemPair;
using testing::TestPki;
using Json = nlohmann::json;

constexpr absl::Duration kDay = absl::Hours(24);

class FindingsTest : public ServerProgramsTest {
 protected:
  // Returns a leaf that is issued now.
  static LeafSpec Lasting(const std::string& name, int days) {
    LeafSpec leaf = LeafFor(name);
    leaf.not_before = absl::Now() - absl::Hours(1);
    leaf.not_after = absl::Now() + days * kDay;
    return leaf;
  }

  CommandResult Check(const std::vector<std::string>& more) const {
    std::vector<std::string> argv = {ExampleProgram("terminating_proxy"), "--check"};
    for (const std::string& flag : FlagsFor(Mode::kOffload, "127.0.0.1:1")) argv.push_back(flag);
    argv.insert(argv.end(), more.begin(), more.end());
    return RunCommand(argv, kPatience);
  }

  const std::string public_ca_ = absl::StrCat("--public_ca=", PathOf("ca.pem"));
};

// Longer than every rule allows, so that the test holds in all years.
TEST_F(FindingsTest, ALifetimeOverThePolicyIsAWarningAndNoRefusal) {
  WriteCertificate("front", Lasting(kFrontName, 500));
  const CommandResult checked = Check({public_ca_});
  EXPECT_EQ(checked.exit_status, 2) << checked.errors;
  EXPECT_THAT(checked.output,
              AllOf(HasSubstr("\nwarning: front.test: the certificate \"CN=front.test\" is valid "
                              "for 501 days, and public CAs may issue for at most "),
                    HasSubstr(" [lifetime_over_policy]\n")));
  EXPECT_EQ(Check({"--public_ca=none"}).exit_status, 0);
  EXPECT_EQ(Check({}).exit_status, 0) << "no collection of public roots has the test's CA";
  const CommandResult missing = Check({"--public_ca=/nowhere"});
  EXPECT_EQ(missing.exit_status, 1);
  EXPECT_THAT(missing.errors, HasSubstr("/nowhere"));

  const auto backend = StartBackend(Mode::kOffload);
  const auto proxy =
      StartProxy(Mode::kOffload, backend->address(), {"--admin=127.0.0.1:0", public_ca_});
  EXPECT_EQ(Curl(proxy->port, "/").exit_status, 0);
  EXPECT_TRUE(
      proxy->WaitForLog("source=own event=finding detail=\"lifetime_over_policy: the certificate "))
      << proxy->log();
  EXPECT_THAT(WaitForPage(AdminPort(*proxy), "/", "[lifetime_over_policy]"),
              HasSubstr("class=\"leg warning\""));

  const std::vector<std::string> probe = {
      ExampleProgram("leg_probe"), absl::StrCat("--front=127.0.0.1:", proxy->port, ",", kFrontName),
      absl::StrCat("--ca=", PathOf("ca.pem")), public_ca_, "--json"};
  const CommandResult probed = RunCommand(probe, kPatience);
  EXPECT_EQ(probed.exit_status, 1);
  EXPECT_EQ(Json::parse(probed.output).at("legs").at(0).at("findings").at(0).at("code"),
            "lifetime_over_policy");
}

TEST_F(FindingsTest, AWeakIntermediateAndAMissingOneAreFoundBeforeClientsDo) {
  testing::AuthoritySpec weak;
  weak.name = "Weak";
  weak.rsa_bits = 1024;
  weak.sha1 = true;
  const PemPair pair = TestPki(pki_, weak).Issue(Lasting(kFrontName, 90));
  WriteFile("front.pem", pair.chain);
  WriteFile("front.key", pair.key);
  EXPECT_THAT(Check({}).output,
              AllOf(HasSubstr("its RSA key has 1024 bits, fewer than 2048 [weak_key]\n"),
                    HasSubstr("signed with SHA-1 or older: peers refuse it [sha1_signature]\n")));

  LeafSpec leaf = Lasting(kFrontName, 90);
  leaf.ca_issuers_url = "http://ca.test/ca.crt";
  const PemPair whole = TestPki(pki_, "Intermediate").Issue(leaf);
  WriteFile("front.pem", whole.chain.substr(0, whole.chain.find("-----BEGIN", 1)));
  WriteFile("front.key", whole.key);
  const CommandResult cut = Check({});
  EXPECT_EQ(cut.exit_status, 2);
  EXPECT_THAT(cut.output, HasSubstr("without its issuer \"CN=Intermediate\": some peers fetch it"));
  WriteFile("front.pem", whole.chain);
  EXPECT_EQ(Check({}).exit_status, 0);
}

TEST_F(FindingsTest, AClientCertificateOfAPublicCaWillLoseItsUse) {
  LeafSpec client = Lasting("proxy.test", 90);
  client.both_auths = true;
  WriteCertificate("client", client);
  const auto backend = StartBackend(Mode::kBridge);
  const std::vector<std::string> flags = {absl::StrCat("--backend_cert=", PathOf("client.pem")),
                                          absl::StrCat("--backend_key=", PathOf("client.key")),
                                          "--admin=127.0.0.1:0"};
  std::vector<std::string> with_public = flags;
  with_public.push_back(public_ca_);
  const auto proxy = StartProxy(Mode::kBridge, backend->address(), with_public);
  EXPECT_TRUE(
      proxy->WaitForLog("warning: --backend_cert: the client certificate \"CN=proxy.test\""))
      << proxy->log();
  EXPECT_TRUE(
      proxy->WaitForLog("leg=back name=proxy.test source=own event=finding "
                        "detail=\"client_auth_will_end: "))
      << proxy->log();
  WaitForPage(AdminPort(*proxy), "/", "[client_auth_will_end]");

  const std::vector<std::string> probe = {
      ExampleProgram("leg_probe"),
      absl::StrCat("--back=", backend->address(), ",", kBackName),
      absl::StrCat("--ca=", PathOf("ca.pem")),
      absl::StrCat("--cert=", PathOf("client.pem")),
      absl::StrCat("--key=", PathOf("client.key")),
      public_ca_};
  EXPECT_THAT(RunCommand(probe, kPatience).output,
              HasSubstr("warning, back leg: the client certificate \"CN=proxy.test\" is from a "
                        "public CA"));

  const auto quiet = StartProxy(Mode::kBridge, backend->address(), flags);
  EXPECT_THAT(WaitForPage(AdminPort(*quiet), "/", "proxy.test<br><small>own"),
              Not(HasSubstr("client_auth")));
  EXPECT_THAT(quiet->log(), Not(HasSubstr("client_auth")));
}

// The gateway knows no names of backends to probe, but its own certificates.
TEST_F(FindingsTest, AGatewayWatchesItsClientCertificateToo) {
  LeafSpec client = Lasting("proxy.test", 90);
  client.server_auth = false;
  WriteCertificate("client", client);
  const auto proxy = StartProgram(
      {ExampleProgram("http_proxy"), "--listen=127.0.0.1:0",
       absl::StrCat("--cert=", PathOf("front.pem")), absl::StrCat("--key=", PathOf("front.key")),
       absl::StrCat("--backend_ca=", PathOf("ca.pem")),
       absl::StrCat("--backend_cert=", PathOf("client.pem")),
       absl::StrCat("--backend_key=", PathOf("client.key")),
       absl::StrCat("--routes=front.test/=https://127.0.0.1:1@", kBackName),
       "--ready_backends=none", "--admin=127.0.0.1:0"});
  WaitForPage(AdminPort(*proxy), "/", "proxy.test<br><small>own");
  EXPECT_THAT(GetPage(AdminPort(*proxy), "/metrics"),
              HasSubstr("trestle_certificate_good{leg=\"back\",name=\"proxy.test\","
                        "source=\"own\"} 1"));
}

TEST_F(FindingsTest, ARootThatClientsDropIsTold) {
  const std::string dropped = absl::StrCat("--dropped_roots=", PathOf("ca.pem"));
  const CommandResult checked = Check({"--public_ca=none", dropped});
  EXPECT_EQ(checked.exit_status, 2) << checked.errors;
  EXPECT_THAT(checked.output, AllOf(HasSubstr("which peers drop"), HasSubstr(" [root_dropped]\n")));
  EXPECT_EQ(Check({"--public_ca=none"}).exit_status, 0);
  const CommandResult missing = Check({"--dropped_roots=/nowhere"});
  EXPECT_EQ(missing.exit_status, 1);
  EXPECT_THAT(missing.errors, HasSubstr("/nowhere"));
  const auto backend = StartBackend(Mode::kOffload);
  const auto proxy =
      StartProxy(Mode::kOffload, backend->address(), {"--admin=127.0.0.1:0", dropped});
  EXPECT_TRUE(proxy->WaitForLog("root_dropped: the certificate \"CN=front.test\"")) << proxy->log();
}

TEST_F(FindingsTest, PublicCasForClientsAreTold) {
  const auto backend = StartBackend(Mode::kOffload);
  const std::string client_ca = absl::StrCat("--client_ca=", PathOf("ca.pem"));
  const auto proxy = StartProxy(Mode::kOffload, backend->address(),
                                {client_ca, public_ca_, "--admin=127.0.0.1:0"});
  EXPECT_TRUE(proxy->WaitForLog("[public_client_cas]")) << proxy->log();
  EXPECT_THAT(WaitForPage(AdminPort(*proxy), "/", "[public_client_cas]"),
              HasSubstr("The configuration"));
  EXPECT_EQ(Check({client_ca, public_ca_}).exit_status, 2);
  EXPECT_EQ(Check({client_ca}).exit_status, 0);
}

TEST_F(FindingsTest, NamesThatAReloadWouldLoseAreToldOrRefused) {
  LeafSpec both = Lasting(kFrontName, 90);
  both.dns_names.push_back("more.test");
  WriteCertificate("front", both);
  const auto backend = StartBackend(Mode::kOffload);
  const auto lenient = StartProxy(Mode::kOffload, backend->address());
  const auto strict = StartProxy(Mode::kOffload, backend->address(), {"--refuse_lost_names"});
  WriteCertificate("front", Lasting(kFrontName, 90));
  for (const auto* proxy : {&lenient, &strict}) (*proxy)->process.Signal(SIGHUP);
  const std::string text = "the new certificates lack 1 name of the present ones: more.test";
  EXPECT_TRUE(lenient->WaitForLog(absl::StrCat("warning: ", text, " [names_lost]")))
      << lenient->log();
  EXPECT_TRUE(lenient->WaitForLog("reloaded: front.test")) << lenient->log();
  EXPECT_TRUE(strict->WaitForLog(
      absl::StrCat("reload failed, what was loaded before stays in use: ", text)))
      << strict->log();
  EXPECT_THAT(strict->log(), Not(HasSubstr("reloaded: ")));
  EXPECT_EQ(Curl(strict->port, "/").exit_status, 0);
}

}  // namespace
}  // namespace trestle::e2e
