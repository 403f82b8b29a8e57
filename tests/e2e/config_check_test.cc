#include "examples/support/config_check.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"
#include "trestle/pki/chain_checker.h"
#include "trestle/pki/trust_store.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/client_tls_config.h"

namespace trestle::examples {
namespace {

using testing::AuthoritySpec;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::LeafSpec;
using testing::TestPki;

constexpr absl::Duration kDay = absl::Hours(24);

class ConfigCheckTest : public ::testing::Test {
 protected:
  LeafSpec Leaf(std::vector<std::string> names, absl::Duration left = 200 * kDay) const {
    LeafSpec leaf;
    leaf.dns_names = std::move(names);
    leaf.not_before = now_ - 100 * kDay;
    leaf.not_after = now_ + left;
    return leaf;
  }

  void Serve(const std::vector<std::shared_ptr<const Credential>>& credentials) {
    watched_.targets.own = {*CertificateStore::Create(credentials, now_)};
  }

  void Route(const std::string& name, ProxyMode mode) {
    RouteLegs& route = watched_.routes.emplace_back();
    route.name = name;
    route.mode = mode;
    route.backends = {*Endpoint::Parse("192.0.2.1:443")};
  }

  ConfigCheck Check(const std::string& client_cas = "") const {
    ConfigCheckOptions options;
    options.now = now_;
    if (!client_cas.empty()) {
      options.clients = *ChainChecker::Create({*TrustStore::Create(client_cas), ""});
    }
    return CheckLegs(watched_, options);
  }

  static std::vector<std::string> TextsOf(const ConfigCheck& check, Severity severity) {
    std::vector<std::string> texts;
    for (const Finding& finding : check.findings) {
      if (finding.severity == severity) texts.push_back(finding.text);
    }
    return texts;
  }
  static std::vector<std::string> Warnings(const ConfigCheck& check) {
    return TextsOf(check, Severity::kWarning);
  }
  static std::vector<std::string> Faults(const ConfigCheck& check) {
    return TextsOf(check, Severity::kCritical);
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'767'225'600);  // 2026-01-01
  const TestPki pki_{now_};
  Watched watched_;
};

TEST_F(ConfigCheckTest, EachNameAndKeyHasALine) {
  LeafSpec rsa = Leaf({"a.test"}, 40 * kDay);
  rsa.key_type = KeyType::kRsa;
  Serve({pki_.IssueCredential(Leaf({"a.test", "*.b.test"})), pki_.IssueCredential(rsa)});
  const ConfigCheck check = Check();
  EXPECT_EQ(check.text,
            "front leg      a.test, *.b.test: ECDSA P-256, ends 2026-07-20, in 200 days, "
            "1 certificate in the chain\n"
            "               a.test: RSA 2048, ends 2026-02-10, in 40 days, "
            "1 certificate in the chain\n");
  EXPECT_THAT(Warnings(check), IsEmpty());
  EXPECT_THAT(Faults(check), IsEmpty());
}

TEST_F(ConfigCheckTest, ManyNamesAreCut) {
  std::vector<std::string> names;
  for (int i = 0; i < 10; ++i) names.push_back("n" + std::to_string(i) + ".test");
  Serve({pki_.IssueCredential(Leaf(names))});
  EXPECT_THAT(Check().text, HasSubstr("n7.test, and 2 more: ECDSA"));
}

TEST_F(ConfigCheckTest, DatesOfLeavesAndIssuersAreJudged) {
  LeafSpec early = Leaf({"early.test"});
  early.not_before = now_ + kDay;
  AuthoritySpec short_lived;
  short_lived.name = "Short";
  short_lived.not_after = now_ + 9 * kDay;
  const TestPki intermediate(pki_, short_lived);
  Serve({pki_.IssueCredential(Leaf({"late.test"}, -kDay)), pki_.IssueCredential(early),
         pki_.IssueCredential(Leaf({"soon.test"}, 9 * kDay)),
         intermediate.IssueCredential(Leaf({"below.test"}))});
  const ConfigCheck check = Check();
  EXPECT_THAT(Faults(check),
              ElementsAre("the certificate for late.test ended 2025-12-31",
                          "the certificate for early.test is not valid before 2026-01-02"));
  EXPECT_THAT(Warnings(check),
              ElementsAre("the certificate for soon.test ends 2026-01-10, in 9 days",
                          "the issuer \"CN=Short\" in the chain for below.test ends 2026-01-10, in "
                          "9 days"));
  const ConfigCheck verified = Check(pki_.ca_pem());
  EXPECT_EQ(Faults(verified).size(), 4u) << "both are also refused";
  EXPECT_THAT(Warnings(verified).back(),
              HasSubstr("clients will refuse the chain for below.test: intermediate"));
}

TEST_F(ConfigCheckTest, AClientWithoutTheRootRefuses) {
  Serve({pki_.IssueCredential(Leaf({"*.a.test"}))});
  EXPECT_THAT(Faults(Check(pki_.ca_pem())), IsEmpty());
  const TestPki other(now_, "Other CA");
  EXPECT_THAT(Faults(Check(other.ca_pem())),
              ElementsAre(HasSubstr("clients refuse the chain for *.a.test: ")));
}

TEST_F(ConfigCheckTest, ARouteNeedsACertificateIfItDecrypts) {
  Serve({pki_.IssueCredential(Leaf({"a.test", "*.b.test"}))});
  Route("a.test", ProxyMode::kOffload);
  Route("*.b.test", ProxyMode::kBridge);
  Route("c.test", ProxyMode::kBridge);
  Route("d.test", ProxyMode::kPassthrough);
  Route("", ProxyMode::kOffload);
  const ConfigCheck check = Check();
  EXPECT_THAT(Warnings(check), ElementsAre("no certificate covers c.test, which has a route"));
  EXPECT_THAT(check.text, HasSubstr("back leg       a.test: offload to 192.0.2.1:443\n"
                                    "               *.b.test: bridge to 192.0.2.1:443\n"));
  EXPECT_THAT(check.text, HasSubstr("               all names: offload to 192.0.2.1:443\n"));
}

TEST_F(ConfigCheckTest, NamesAreJudgedByTheirAnswers) {
  RouteLegs& route = watched_.routes.emplace_back();
  route.names = {"a.test:443", "_x._tcp.b.test"};
  NameStatus& good = watched_.names.emplace_back();
  good.target = *NamedTarget::Parse("a.test:443");
  good.condition = NameCondition::kCurrent;
  good.endpoints =
      route.backends = {*Endpoint::Parse("192.0.2.1:443"), *Endpoint::Parse("192.0.2.2:443")};
  NameStatus& unknown = watched_.names.emplace_back();
  unknown.target = *NamedTarget::Parse("_x._tcp.b.test");
  ConfigCheck check = Check();
  EXPECT_EQ(check.text,
            "back leg       all names: offload to 192.0.2.1:443 + 192.0.2.2:443 "
            "(a.test:443 + _x._tcp.b.test)\n"
            "names          a.test:443: 192.0.2.1:443 + 192.0.2.2:443\n"
            "               _x._tcp.b.test: no address\n");
  EXPECT_THAT(Warnings(check),
              ElementsAre("the backend name _x._tcp.b.test: no answer of DNS yet"));
  EXPECT_THAT(Faults(check), IsEmpty());

  watched_.names[1].condition = NameCondition::kDenied;
  watched_.names[1].error =
      ToError(MakeError(ErrorCode::kNoBackend, Leg::kBack, Phase::kDial, "there is none"));
  check = Check();
  EXPECT_THAT(Warnings(check), IsEmpty());
  EXPECT_THAT(Faults(check), ElementsAre("the backend name _x._tcp.b.test: there is none"));
}

TEST_F(ConfigCheckTest, CasAndTheirListsAreJudged) {
  AuthoritySpec spec;
  spec.name = "Ending CA";
  spec.not_before = now_ - 300 * kDay;
  spec.not_after = now_ + 5 * kDay;
  const TestPki ending(now_, spec);
  watched_.client_cas = *TrustStore::Create(pki_.ca_pem() + ending.ca_pem(),
                                            pki_.IssueCrl({}) + ending.IssueCrl({}, now_ - kDay));
  ClientTlsOptions back;
  back.ca_pem = ending.ca_pem();
  LeafSpec client = Leaf({"proxy.test"}, -kDay);
  back.credential = pki_.IssueCredential(client);
  watched_.back_tls = *ClientTlsConfig::Create(back);
  const ConfigCheck check = Check();
  EXPECT_THAT(check.text,
              HasSubstr("client CAs     2 CAs, the first ends 2026-01-06, in 5 days; the first "
                        "revocation list ended 2025-12-31\n"));
  EXPECT_THAT(check.text, HasSubstr("backend CAs    1 CA, the first ends 2026-01-06, in 5 days\n"));
  EXPECT_THAT(Warnings(check),
              ElementsAre("a CA of the client CAs, \"CN=Ending CA\", ends 2026-01-06, in 5 days",
                          "a CA of the backend CAs, \"CN=Ending CA\", ends 2026-01-06, in 5 days"));
  EXPECT_THAT(Faults(check),
              ElementsAre(HasSubstr("a revocation list for the client CAs has ended"),
                          "the certificate for backends, proxy.test, ended 2025-12-31"));

  AuthoritySpec ended = spec;
  ended.not_after = now_ - kDay;
  watched_ = {};
  watched_.client_cas = *TrustStore::Create(TestPki(now_, ended).ca_pem());
  EXPECT_THAT(Faults(Check()), ElementsAre("all client CAs have ended"));
}

}  // namespace
}  // namespace trestle::examples
