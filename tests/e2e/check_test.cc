// --check of the example proxies: what it prints, its exit status, and that it opens no port,
// connects to nothing and writes no file.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"
#include "trestle/testing/test_pki.h"

namespace trestle::e2e {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::LeafSpec;
using ::testing::MatchesRegex;
using ::testing::Not;
using testing::PemPair;
using testing::TestPki;

constexpr absl::Duration kDay = absl::Hours(24);

class CheckTest : public ProxyTest {
 protected:
  // Runs a program with --check, on the port that `held_` holds: it can't listen there.
  CommandResult Check(const std::string& program, std::vector<std::string> flags,
                      const std::vector<std::string>& prefix = {}) const {
    std::vector<std::string> argv = prefix;
    argv.push_back(ExampleProgram(program));
    argv.push_back("--check");
    argv.push_back(absl::StrCat("--listen=", held_.address()));
    argv.insert(argv.end(), flags.begin(), flags.end());
    return RunCommand(argv, kPatience);
  }

  // The same with the files of `front` in `mode`.
  CommandResult CheckMode(Mode mode, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> flags = FlagsFor(mode, kBackend);
    flags.erase(flags.begin());  // --listen
    flags.insert(flags.end(), more.begin(), more.end());
    return Check(ProgramOf(mode), std::move(flags));
  }

  void WriteFront(absl::Duration left, absl::Duration lifetime = 365 * kDay) const {
    LeafSpec leaf = LeafFor(kFrontName);
    leaf.not_after = absl::Now() + left;
    leaf.not_before = leaf.not_after - lifetime;
    WriteCertificate("front", leaf);
  }

  std::vector<std::string> FrontFlags() const {
    return {absl::StrCat("--cert=", PathOf("front.pem")),
            absl::StrCat("--key=", PathOf("front.key"))};
  }

  static constexpr char kBackend[] = "192.0.2.1:443";
  const RefusingPort held_;
};

TEST_F(CheckTest, EachProgramPrintsWhatItWouldServe) {
  WriteFront(90 * kDay + absl::Hours(1));
  const std::string certificate =
      "front leg      front.test: ECDSA P-256, ends 20..-..-.., in 90 days, "
      "1 certificate in the chain\n";
  const std::string cas = "backend CAs    1 CA, the first ends 20..-..-.., in [0-9]+ days\n";
  const std::string listens = absl::StrCat("listens on     ", held_.address(), "\n");

  const CommandResult offload = CheckMode(Mode::kOffload);
  EXPECT_EQ(offload.exit_status, 0) << offload.errors;
  EXPECT_EQ(offload.errors, "");
  EXPECT_THAT(offload.output, MatchesRegex(absl::StrCat(
                                  listens, certificate,
                                  "back leg       all names: offload to 192.0.2.1:443\ngood\n")));

  const CommandResult bridge = CheckMode(Mode::kBridge);
  EXPECT_EQ(bridge.exit_status, 0) << bridge.errors;
  EXPECT_THAT(bridge.output, MatchesRegex(absl::StrCat(
                                 listens, certificate,
                                 "back leg       all names: bridge to 192.0.2.1:443 as back.test\n",
                                 cas, "good\n")));

  const CommandResult passthrough = CheckMode(Mode::kPassthrough);
  EXPECT_EQ(passthrough.exit_status, 0) << passthrough.errors;
  EXPECT_EQ(
      passthrough.output,
      absl::StrCat(listens, "back leg       front.test: passthrough to 192.0.2.1:443\ngood\n"));

  const std::string ca = absl::StrCat("--backend_ca=", PathOf("ca.pem"));
  std::vector<std::string> flags = FrontFlags();
  flags.insert(flags.end(), {ca, "--pass=*.p.test=192.0.2.1:1+192.0.2.2:1",
                             "--offload=front.test=192.0.2.3:80"});
  const CommandResult one_port = Check("one_port", flags);
  EXPECT_EQ(one_port.exit_status, 0) << one_port.errors;
  EXPECT_THAT(one_port.output,
              AllOf(HasSubstr("front.test: offload to 192.0.2.3:80\n"),
                    HasSubstr("*.p.test: passthrough to 192.0.2.1:1 + 192.0.2.2:1\n")));

  flags = FrontFlags();
  flags.insert(flags.end(), {ca, "--routes=front.test/=https://192.0.2.1:443@back.test"});
  const CommandResult gateway = Check("http_proxy", flags);
  EXPECT_EQ(gateway.exit_status, 0) << gateway.errors;
  EXPECT_THAT(
      gateway.output,
      MatchesRegex(absl::StrCat(listens, certificate,
                                "back leg       front.test: bridge to 192.0.2.1:443 as back.test\n",
                                cas, "good\n")));

  flags = FrontFlags();
  flags.insert(flags.end(), {ca, "--waf", "--routes=front.test/=https://192.0.2.1:443@back.test"});
  const CommandResult waf = Check("http_proxy", flags);
  EXPECT_EQ(waf.exit_status, 0) << waf.errors;
  EXPECT_THAT(waf.errors, HasSubstr(" rules loaded\n"));
  EXPECT_THAT(waf.output, HasSubstr("bridge to 192.0.2.1:443 as back.test\n"));
}

TEST_F(CheckTest, ItMakesNoConnectionAndWritesNoFile) {
  const std::string calls = PathOf("calls");
  std::vector<std::string> flags = FlagsFor(Mode::kBridge, kBackend);
  flags.erase(flags.begin());
  flags.insert(flags.end(), {"--admin=127.0.0.1:0", "--ticket_keys_redis=192.0.2.9:6379",
                             absl::StrCat("--dangerous_key_log=", PathOf("keys.log")),
                             absl::StrCat("--dangerous_capture_file=", PathOf("capture"))});
  const CommandResult traced =
      Check("bridging_proxy", flags,
            {FindProgram("strace"), "-f", "-q", "-e", "trace=bind,listen,connect,accept4,sendto",
             "-e", "signal=none", "-o", calls});
  EXPECT_EQ(traced.exit_status, 0) << traced.errors;
  std::ifstream file(calls);
  const std::string made((std::istreambuf_iterator<char>(file)), {});
  EXPECT_THAT(made, Not(AnyOf(HasSubstr("bind("), HasSubstr("listen("), HasSubstr("connect("),
                              HasSubstr("accept4("), HasSubstr("sendto("))))
      << made;
  EXPECT_FALSE(std::filesystem::exists(PathOf("keys.log")));
  EXPECT_FALSE(std::filesystem::exists(PathOf("capture")));

  flags = FrontFlags();
  flags.insert(flags.end(), {absl::StrCat("--backend_ca=", PathOf("ca.pem")), "--waf",
                             "--routes=default=https://192.0.2.1:443@back.test",
                             absl::StrCat("--audit_log=", PathOf("audit.log"))});
  EXPECT_EQ(Check("http_proxy", flags).exit_status, 0);
  EXPECT_FALSE(std::filesystem::exists(PathOf("audit.log")));
}

TEST_F(CheckTest, AFileThatCannotBeUsedIsBad) {
  WriteFile("front.key", pki_.Issue(LeafFor(kFrontName)).key);
  for (const Mode mode : {Mode::kOffload, Mode::kBridge}) {
    const CommandResult pair = CheckMode(mode);
    EXPECT_EQ(pair.exit_status, 1);
    EXPECT_EQ(pair.output, "");
    EXPECT_THAT(pair.errors, HasSubstr("the private key doesn't belong to the certificate"));
  }
  const std::string routes = WriteFile("routes", "a.test 192.0.2.1:443\nb.test nowhere\n");
  const CommandResult route =
      CheckMode(Mode::kPassthrough, {absl::StrCat("--routes_file=", routes)});
  EXPECT_EQ(route.exit_status, 1);
  EXPECT_THAT(route.errors, HasSubstr("line 2"));
}

TEST_F(CheckTest, AnEndedCertificateIsBadAndOneThatEndsSoonIsAWarning) {
  WriteFront(-kDay);
  const CommandResult ended = CheckMode(Mode::kOffload);
  EXPECT_EQ(ended.exit_status, 1);
  EXPECT_THAT(ended.output, AllOf(HasSubstr("\nfault: the certificate for front.test ended 20"),
                                  HasSubstr("\nbad: 1 fault\n")));

  WriteFront(20 * kDay + absl::Hours(1));
  const CommandResult soon = CheckMode(Mode::kOffload);
  EXPECT_EQ(soon.exit_status, 2);
  EXPECT_THAT(soon.output, AllOf(HasSubstr("\nwarning: the certificate for front.test ends 20"),
                                 HasSubstr(", in 20 days [verification_will_fail]\n"),
                                 HasSubstr("\ngood, with 1 warning\n")));
  EXPECT_EQ(CheckMode(Mode::kOffload, {"--warn_days=19"}).exit_status, 0);
  EXPECT_EQ(CheckMode(Mode::kOffload, {"--warn_days=-1"}).exit_status, 1);

  WriteFront(4 * kDay, 6 * kDay);
  EXPECT_EQ(CheckMode(Mode::kOffload).exit_status, 0) << "more than a third of its lifetime";
}

TEST_F(CheckTest, TheChainMustLeadToACaOfTheClients) {
  const TestPki intermediate(pki_, "Intermediate");
  const PemPair pair = intermediate.Issue(LeafFor(kFrontName));
  WriteFile("front.pem", pair.chain);
  WriteFile("front.key", pair.key);
  const std::string ca = absl::StrCat("--check_ca=", PathOf("ca.pem"));
  const CommandResult whole = CheckMode(Mode::kOffload, {ca});
  EXPECT_EQ(whole.exit_status, 0) << whole.output << whole.errors;
  EXPECT_THAT(whole.output, HasSubstr("2 certificates in the chain"));

  WriteFile("front.pem", pair.chain.substr(0, pair.chain.find("-----BEGIN", 1)));
  EXPECT_EQ(CheckMode(Mode::kOffload).exit_status, 0) << "its issuer may be a root";
  const CommandResult cut = CheckMode(Mode::kOffload, {ca});
  EXPECT_EQ(cut.exit_status, 1);
  EXPECT_THAT(cut.output, HasSubstr("\nfault: clients refuse the chain for front.test: "));

  const TestPki other(absl::Now(), "Other CA");
  const std::string others = WriteFile("other.pem", other.ca_pem());
  WriteFile("front.pem", pair.chain);
  EXPECT_EQ(CheckMode(Mode::kOffload, {absl::StrCat("--check_ca=", others)}).exit_status, 1);
  const CommandResult unread = CheckMode(Mode::kOffload, {"--check_ca=/nowhere"});
  EXPECT_EQ(unread.exit_status, 1);
  EXPECT_THAT(unread.errors, HasSubstr("/nowhere"));
}

TEST_F(CheckTest, WarningsOfTheLogCount) {
  const std::string staple = WriteFile("front.ocsp", "no response");
  const CommandResult result = CheckMode(Mode::kOffload, {absl::StrCat("--ocsp_file=", staple)});
  EXPECT_EQ(result.exit_status, 2);
  EXPECT_THAT(result.errors, HasSubstr("warning: "));
  EXPECT_THAT(result.output, HasSubstr("good, with 1 warning\n"));
}

TEST_F(CheckTest, ABackendThatIsThisProxyIsBad) {
  std::vector<std::string> flags = FrontFlags();
  flags.push_back(absl::StrCat("--backend=", held_.address()));
  const CommandResult loop = Check("terminating_proxy", flags);
  EXPECT_EQ(loop.exit_status, 1);
  EXPECT_THAT(loop.errors, HasSubstr("a backend leads back to this proxy"));
}

}  // namespace
}  // namespace trestle::e2e
