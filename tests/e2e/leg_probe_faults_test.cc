// leg_probe and openssl inspect the same servers. For every fault of a chain, both must agree on
// its validity, and leg_probe must say what to do.

#include <memory>
#include <string>
#include <utility>
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

using testing::AuthoritySpec;
using ::testing::HasSubstr;
using testing::LeafSpec;
using testing::PemPair;
using testing::TestPki;
using Json = nlohmann::json;

constexpr absl::Duration kDay = absl::Hours(24);

struct Fault {
  std::string name;
  PemPair pair;
  std::string code = {};    // Of leg_probe's worst finding; empty: no serious finding.
  std::string advice = {};  // Part of its advice.
  std::string asked_name = "a.test";
  std::string ca = {};        // PEM; empty: the usual root.
  std::string crl = {};       // PEM; empty: not checked.
  bool only_openssl = false;  // Other servers refuse to load it.
};

std::string First(const std::string& pem) { return pem.substr(0, pem.find("-----BEGIN", 1)); }
std::string AfterFirst(const std::string& pem) { return pem.substr(pem.find("-----BEGIN", 1)); }

LeafSpec Leaf() {
  LeafSpec leaf;
  leaf.dns_names = {"a.test"};
  return leaf;
}

class LegProbeFaultsTest : public ServerProgramsTest {
 protected:
  AuthoritySpec Authority(const std::string& name, absl::Duration begin, absl::Duration end) const {
    AuthoritySpec spec;
    spec.name = name;
    spec.not_before = now_ + begin;
    spec.not_after = now_ + end;
    return spec;
  }

  std::vector<Fault> GoodOnes() const;
  std::vector<Fault> DateFaults() const;
  std::vector<Fault> TrustFaults() const;
  std::vector<Fault> PathFaults() const;
  std::vector<Fault> FitnessFaults() const;
  std::vector<Fault> RevocationFaults() const;
  std::vector<Fault> AllFaults() const;

  // Writes the files of a fault, and returns their common path without extension.
  std::string WriteFault(const Fault& fault) const;

  // Returns whether openssl s_client accepts the server.
  bool OpensslVerifies(const Fault& fault, uint16_t port) const;

  // Returns leg_probe's report for the fault on this port.
  Json Probe(const Fault& fault, uint16_t port) const;

  void Compare(const std::string& server, const Fault& fault, uint16_t port) const;

  const absl::Time now_ = absl::Now();
  const TestPki root_{now_, "Root"};
  const TestPki intermediate_{root_, "Intermediate"};
};

std::vector<Fault> LegProbeFaultsTest::GoodOnes() const {
  const TestPki lower(intermediate_, "Lower");
  const TestPki stranger(now_, "Stranger");
  const PemPair deep = lower.Issue(Leaf());
  const std::string lower_pem = First(AfterFirst(deep.chain));
  const std::string upper_pem = AfterFirst(AfterFirst(deep.chain));
  LeafSpec wildcard;
  wildcard.dns_names = {"*.wild.test"};
  LeafSpec rsa = Leaf();
  rsa.key_type = KeyType::kRsa;
  Fault wild{"wildcard", root_.Issue(wildcard)};
  wild.asked_name = "x.wild.test";
  return {
      {"good", intermediate_.Issue(Leaf())},
      {"two intermediates", deep},
      {"no intermediate", root_.Issue(Leaf())},
      {"rsa", root_.Issue(rsa)},
      wild,
      {"wrong order", {First(deep.chain) + upper_pem + lower_pem, deep.key}},
      {"stranger sent along", {deep.chain + stranger.ca_pem(), deep.key}},
      {"root sent along", {deep.chain + root_.ca_pem(), deep.key}},
      {"one twice", {deep.chain + lower_pem, deep.key}},
  };
}

std::vector<Fault> LegProbeFaultsTest::DateFaults() const {
  LeafSpec expired = Leaf();
  expired.not_after = now_ - kDay;
  LeafSpec early = Leaf();
  early.not_before = now_ + 2 * kDay;
  const TestPki expired_intermediate(root_, Authority("Old Intermediate", -9 * kDay, -kDay));
  const TestPki early_intermediate(root_, Authority("New Intermediate", kDay, 9 * kDay));
  const TestPki expired_root(now_, Authority("Old Root", -90 * kDay, -kDay));
  Fault old_root{"expired root", expired_root.Issue(Leaf()), "certificate_expired",
                 "whose root lasts longer"};
  old_root.ca = expired_root.ca_pem();
  return {
      {"expired leaf", intermediate_.Issue(expired), "certificate_expired", "renew the server"},
      {"leaf of tomorrow", intermediate_.Issue(early), "certificate_expired", "no earlier than"},
      {"expired intermediate", expired_intermediate.Issue(Leaf()), "certificate_expired",
       "current intermediate in place of \"CN=Old Intermediate\""},
      {"intermediate of tomorrow", early_intermediate.Issue(Leaf()), "certificate_expired",
       "install \"CN=New Intermediate\" no earlier than"},
      old_root,
  };
}

std::vector<Fault> LegProbeFaultsTest::TrustFaults() const {
  const TestPki stranger(now_, "Stranger");
  const TestPki strange_intermediate(stranger, "Strange Intermediate");
  LeafSpec self_signed = Leaf();
  self_signed.self_signed = true;
  const PemPair strange = strange_intermediate.Issue(Leaf());
  return {
      {"self-signed", root_.Issue(self_signed), "certificate_untrusted",
       "if you trust \"CN=a.test\""},
      {"unknown CA", stranger.Issue(Leaf()), "certificate_untrusted", "\"CN=Stranger\""},
      {"unknown CA with intermediate", strange, "certificate_untrusted", "\"CN=Stranger\""},
      {"unknown root sent along",
       {strange.chain + stranger.ca_pem(), strange.key},
       "certificate_untrusted",
       "if you trust \"CN=Stranger\""},
  };
}

std::vector<Fault> LegProbeFaultsTest::PathFaults() const {
  const TestPki namesake(root_, "Intermediate");
  const TestPki old_root(now_, "Old Root");
  const PemPair pair = intermediate_.Issue(Leaf());
  Fault cross{"cross-certificate", {pair.chain + old_root.CrossCertify(root_), pair.key}};
  cross.ca = old_root.ca_pem();
  Fault cross_ended{"expired cross-certificate",
                    {pair.chain + old_root.CrossCertify(root_, now_ - kDay), pair.key},
                    "certificate_expired",
                    "\"CN=Root\""};
  cross_ended.ca = old_root.ca_pem();
  return {
      {"missing intermediate",
       {First(pair.chain), pair.key},
       "certificate_untrusted",
       "if \"CN=Intermediate\" is an intermediate, have the server send it"},
      {"intermediate of the same name with another key",
       {First(pair.chain) + namesake.chain_pem(), pair.key},
       "certificate_untrusted"},
      cross,
      cross_ended,
  };
}

std::vector<Fault> LegProbeFaultsTest::FitnessFaults() const {
  LeafSpec client = Leaf();
  client.server_auth = false;
  LeafSpec other_name;
  other_name.dns_names = {"b.test", "*.a.test"};
  LeafSpec short_key = Leaf();
  short_key.key_type = KeyType::kRsa;
  short_key.rsa_bits = 1024;
  LeafSpec sha1 = Leaf();
  sha1.sha1 = true;
  AuthoritySpec no_ca_spec{"No CA"};
  no_ca_spec.is_ca = false;
  const TestPki no_ca(root_, no_ca_spec);
  const TestPki constrained(root_, "Constrained", "permitted.test");
  Fault address{"address instead of name", root_.Issue(Leaf()), "name_mismatch", "a.test"};
  address.asked_name = "127.0.0.1";
  Fault weak_key{"short RSA key", root_.Issue(short_key), "certificate_untrusted", "fit for TLS"};
  Fault weak_signature{"SHA-1", root_.Issue(sha1), "certificate_untrusted", "fit for TLS"};
  weak_key.only_openssl = weak_signature.only_openssl = true;
  return {
      {"for clients only", root_.Issue(client), "certificate_untrusted", "fit for TLS servers"},
      {"wrong name", root_.Issue(other_name), "name_mismatch", "(DNS:b.test, DNS:*.a.test)"},
      address,
      weak_key,
      weak_signature,
      {"issuer is no CA", no_ca.Issue(Leaf()), "certificate_untrusted"},
      {"outside of name constraints", constrained.Issue(Leaf()), "certificate_untrusted"},
  };
}

std::vector<Fault> LegProbeFaultsTest::RevocationFaults() const {
  const PemPair pair = intermediate_.Issue(Leaf());
  Fault good{"revocation lists", pair};
  good.crl = root_.IssueCrl({}) + intermediate_.IssueCrl({});
  Fault revoked{"revoked", pair, "certificate_untrusted"};
  revoked.crl = root_.IssueCrl({}) + intermediate_.IssueCrl({pair});
  Fault outdated{"outdated revocation list", pair, "certificate_untrusted"};
  outdated.crl = root_.IssueCrl({}) + intermediate_.IssueCrl({}, now_ - absl::Hours(1));
  Fault missing{"missing revocation list", pair, "certificate_untrusted"};
  missing.crl = root_.IssueCrl({});
  Fault upper{"revoked intermediate", pair, "certificate_untrusted"};
  upper.crl = root_.IssueCrl({{intermediate_.chain_pem(), ""}}) + intermediate_.IssueCrl({});
  return {good, revoked, outdated, missing, upper};
}

std::vector<Fault> LegProbeFaultsTest::AllFaults() const {
  std::vector<Fault> all;
  for (const std::vector<Fault>& some : {GoodOnes(), DateFaults(), TrustFaults(), PathFaults(),
                                         FitnessFaults(), RevocationFaults()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

std::string LegProbeFaultsTest::WriteFault(const Fault& fault) const {
  std::string stem = fault.name;
  for (char& c : stem) c = c == ' ' ? '_' : c;
  WriteFile(stem + ".pem", fault.pair.chain);
  WriteFile(stem + ".leaf", First(fault.pair.chain));
  WriteFile(stem + ".rest", fault.pair.chain.substr(First(fault.pair.chain).size()));
  WriteFile(stem + ".key", fault.pair.key);
  WriteFile(stem + ".both", fault.pair.chain + fault.pair.key);
  WriteFile(stem + ".ca", fault.ca.empty() ? root_.ca_pem() : fault.ca);
  if (!fault.crl.empty()) WriteFile(stem + ".crl", fault.crl);
  return PathOf(stem);
}

bool LegProbeFaultsTest::OpensslVerifies(const Fault& fault, uint16_t port) const {
  const std::string stem = WriteFault(fault);
  const bool is_address = fault.asked_name == "127.0.0.1";
  // Level 2 requires RSA keys of at least 2048 bits, and signatures better than SHA-1.
  std::vector<std::string> argv = {FindProgram("openssl"),
                                   "s_client",
                                   "-connect",
                                   absl::StrCat("127.0.0.1:", port),
                                   "-CAfile",
                                   stem + ".ca",
                                   "-no-CApath",
                                   "-no-CAstore",
                                   "-auth_level",
                                   "2",
                                   "-cipher",
                                   "DEFAULT:@SECLEVEL=0",
                                   is_address ? "-verify_ip" : "-verify_hostname",
                                   fault.asked_name};
  if (is_address) {
    argv.emplace_back("-noservername");
  } else {
    argv.insert(argv.end(), {"-servername", fault.asked_name});
  }
  if (!fault.crl.empty()) argv.insert(argv.end(), {"-CRL", stem + ".crl"});
  if (!fault.crl.empty()) {
    // s_client reads one list of the file only, so `openssl verify` checks all of them.
    const CommandResult verified = RunCommand(
        {FindProgram("openssl"), "verify", "-CAfile", stem + ".ca", "-no-CApath", "-no-CAstore",
         "-untrusted", stem + ".rest", "-CRLfile", stem + ".crl", "-crl_check_all", "-purpose",
         "sslserver", "-verify_hostname", fault.asked_name, stem + ".leaf"},
        kPatience);
    return verified.exit_status == 0;
  }
  const CommandResult result = RunCommand(argv, kPatience, "Q\n");
  EXPECT_THAT(result.output, HasSubstr("Verify return code: ")) << fault.name << result.errors;
  return result.output.find("Verify return code: 0 (ok)") != std::string::npos;
}

Json LegProbeFaultsTest::Probe(const Fault& fault, uint16_t port) const {
  const std::string stem = WriteFault(fault);
  const std::string name = fault.asked_name == "127.0.0.1" ? "" : "," + fault.asked_name;
  std::vector<std::string> argv = {ExampleProgram("leg_probe"),
                                   absl::StrCat("--back=127.0.0.1:", port, name),
                                   absl::StrCat("--ca=", stem, ".ca"), "--json"};
  if (!fault.crl.empty()) argv.push_back(absl::StrCat("--crl=", stem, ".crl"));
  const CommandResult result = RunCommand(argv, kPatience);
  EXPECT_EQ(result.exit_status, fault.code.empty() ? 0 : 2) << fault.name << result.output;
  EXPECT_EQ(result.errors, "");
  return Json::parse(result.output).at("legs").at(0);
}

void LegProbeFaultsTest::Compare(const std::string& server, const Fault& fault,
                                 uint16_t port) const {
  SCOPED_TRACE(absl::StrCat(server, ": ", fault.name));
  const Json leg = Probe(fault, port);
  EXPECT_EQ(leg.at("good"), OpensslVerifies(fault, port)) << leg.dump(1);
  EXPECT_EQ(leg.at("good"), fault.code.empty()) << leg.dump(1);
  EXPECT_TRUE(leg.at("error").is_null()) << leg.dump(1);
  if (fault.code.empty()) return;
  const Json& worst = leg.at("findings").at(0);
  EXPECT_EQ(worst.at("severity"), "critical");
  EXPECT_EQ(worst.at("code"), fault.code);
  EXPECT_NE(worst.at("advice"), "");
  EXPECT_THAT(worst.at("advice").get<std::string>(), HasSubstr(fault.advice));
}

TEST_F(LegProbeFaultsTest, AgreesWithOpensslAboutOpenssl) {
  const std::vector<Fault> faults = AllFaults();
  EXPECT_GE(faults.size(), 30u);
  for (const Fault& fault : faults) {
    const std::string stem = WriteFault(fault);
    const uint16_t port = FreePort();
    std::vector<std::string> flags = {"-cert",       stem + ".leaf", "-key",
                                      stem + ".key", "-cipher",      "DEFAULT:@SECLEVEL=0"};
    if (fault.pair.chain != First(fault.pair.chain)) {
      flags.insert(flags.end(), {"-cert_chain", stem + ".rest"});
    }
    const std::unique_ptr<Process> server = StartOpenssl(flags, port);
    Compare("openssl", fault, port);
  }
}

TEST_F(LegProbeFaultsTest, AgreesWithOpensslAboutNginx) {
  std::string config = absl::StrCat("http { access_log off; ", TemporaryPaths(), "\n");
  std::vector<std::pair<Fault, uint16_t>> served;
  const std::vector<Fault> faults = AllFaults();
  const std::vector<uint16_t> ports = FreePorts(faults.size());
  for (const Fault& fault : faults) {
    if (fault.only_openssl) continue;
    const std::string stem = WriteFault(fault);
    served.emplace_back(fault, ports[served.size()]);
    absl::StrAppend(&config, "server { listen 127.0.0.1:", served.back().second,
                    " ssl; ssl_certificate ", stem, ".pem; ssl_certificate_key ", stem,
                    ".key; }\n");
  }
  const std::unique_ptr<Process> nginx = StartNginx(config + "}\n", served.back().second);
  for (const auto& [fault, port] : served) Compare("nginx", fault, port);
}

TEST_F(LegProbeFaultsTest, AgreesWithOpensslAboutHaproxy) {
  std::string config;
  std::vector<std::pair<Fault, uint16_t>> served;
  const std::vector<Fault> faults = AllFaults();
  const std::vector<uint16_t> ports = FreePorts(faults.size());
  for (const Fault& fault : faults) {
    if (fault.only_openssl) continue;
    served.emplace_back(fault, ports[served.size()]);
    absl::StrAppend(&config, "frontend f", served.back().second,
                    "\n  bind 127.0.0.1:", served.back().second, " ssl crt ", WriteFault(fault),
                    ".both\n  http-request return status 204\n");
  }
  const std::unique_ptr<Process> haproxy = StartHaproxy(config, served.back().second);
  for (const auto& [fault, port] : served) Compare("haproxy", fault, port);
}

}  // namespace
}  // namespace trestle::e2e
