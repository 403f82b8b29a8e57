// leg_probe in interactive use and in monitoring: tables, JSON, exit status, files, rounds.

#include <signal.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/schema_checker.h"
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

class LegProbeTest : public ServerProgramsTest {
 protected:
  LeafSpec Leaf(const std::string& name, absl::Duration days = 90 * kDay) const {
    LeafSpec leaf;
    leaf.dns_names = {name};
    leaf.not_after = absl::Now() + days;
    return leaf;
  }

  CommandResult Probe(std::vector<std::string> flags, bool with_ca = true) const {
    flags.insert(flags.begin(), ExampleProgram("leg_probe"));
    if (with_ca) flags.push_back(absl::StrCat("--ca=", PathOf("ca.pem")));
    return RunCommand(flags, kPatience);
  }

  static std::string Flag(const std::string& leg, const HttpBackend& backend,
                          const std::string& name) {
    return absl::StrCat("--", leg, "=", backend.address(), name.empty() ? "" : ",", name);
  }

  void ExpectUsageError(const std::vector<std::string>& flags, const std::string& text,
                        bool with_ca = true) const {
    const CommandResult result = Probe(flags, with_ca);
    EXPECT_EQ(result.exit_status, 3) << result.errors;
    EXPECT_THAT(result.errors, AllOf(::testing::StartsWith("leg_probe: "), HasSubstr(text)));
    EXPECT_EQ(result.output, "");
  }
};

TEST_F(LegProbeTest, BothLegsAreSideBySide) {
  const TestPki intermediate(
      pki_, {"Internal CA", absl::InfinitePast(), absl::Now() + 9 * kDay + absl::Hours(1)});
  const auto front = StartTlsBackend(pki_.Issue(Leaf("app.test")));
  const auto back = StartTlsBackend(intermediate.Issue(Leaf("back.test")));
  const CommandResult result =
      Probe({Flag("front", *front, "app.test"), Flag("back", *back, "back.test")});
  EXPECT_EQ(result.exit_status, 1) << result.errors;
  EXPECT_EQ(result.errors, "");
  const std::string day =
      absl::FormatTime("%Y-%m-%d", absl::Now() + 9 * kDay + absl::Hours(1), absl::UTCTimeZone());
  EXPECT_THAT(result.output,
              AllOf(HasSubstr("front leg"), HasSubstr("back leg"), HasSubstr("X25519MLKEM768"),
                    HasSubstr(front->address()), HasSubstr(back->address()),
                    HasSubstr(absl::StrCat("warning, back leg: verification will fail in 9 days: "
                                           "intermediate \"CN=Internal CA\" expires on ",
                                           day))));
  EXPECT_THAT(result.output, HasSubstr("-> get the CA's current intermediate"));
  EXPECT_THAT(result.output, Not(HasSubstr("\x1b")));
  bool side_by_side = false;
  for (const absl::string_view line : absl::StrSplit(result.output, '\n')) {
    side_by_side |=
        absl::StrContains(line, front->address()) && absl::StrContains(line, back->address());
  }
  EXPECT_TRUE(side_by_side) << result.output;
  // With a shorter warning time, all is good.
  EXPECT_EQ(Probe({Flag("back", *back, "back.test"), "--warn_days=8"}).exit_status, 0);
  const CommandResult critical = Probe({Flag("back", *back, "back.test"), "--critical_days=10"});
  EXPECT_EQ(critical.exit_status, 2);
  EXPECT_THAT(critical.output, HasSubstr("critical, back leg: verification will fail in 9 days"));
}

// openssl's server knows nothing of ECH; that of the tests is BoringSSL's.
TEST_F(LegProbeTest, AsksWhetherABackendConfirmsInnerHellos) {
  const auto good = StartTlsBackend(pki_.Issue(Leaf("back.test")));
  const CommandResult confirmed = Probe({Flag("back", *good, "back.test"), "--ech_inner"});
  EXPECT_LE(confirmed.exit_status, 1) << confirmed.output;
  EXPECT_THAT(confirmed.output, Not(HasSubstr("inner hello")));
  WriteCertificate("back", Leaf("back.test"));
  const uint16_t port = FreePort();
  const auto openssl =
      StartOpenssl({"-cert", PathOf("back.pem"), "-key", PathOf("back.key")}, port);
  const std::string back = absl::StrCat("127.0.0.1:", port, ",back.test");
  const CommandResult result = Probe({"--back=" + back, "--ech_inner"});
  EXPECT_EQ(result.exit_status, 2) << result.output;
  EXPECT_THAT(result.output,
              AllOf(HasSubstr("critical, back leg: the server doesn't confirm an inner hello"),
                    HasSubstr("-> route hidden names to a server that confirms inner hellos")));
  const std::string path =
      WriteFile("legs", absl::StrCat("back=", back, " ech_inner=yes ca=", PathOf("ca.pem"), "\n"));
  const CommandResult json = Probe({"--legs_file=" + path, "--json"});
  EXPECT_EQ(json.exit_status, 2);
  const Json leg = Json::parse(json.output).at("legs").at(0);
  EXPECT_EQ(leg.at("good"), false);
  EXPECT_EQ(leg.at("findings").at(0).at("code"), "ech_not_confirmed");
  ExpectUsageError({"--legs_file=" + WriteFile("bad", "back=" + back + " ech_inner=1\n")},
                   "ech_inner must be yes or no");
}

TEST_F(LegProbeTest, ColoursComeOnDemandWithoutATerminal) {
  const auto back = StartTlsBackend(pki_.Issue(Leaf("back.test")));
  EXPECT_THAT(Probe({Flag("back", *back, "back.test"), "--color=always"}).output,
              HasSubstr("\x1b[3"));
}

TEST_F(LegProbeTest, JsonConformsToItsSchema) {
  std::ifstream file("docs/leg_probe.schema.json");
  ASSERT_TRUE(file.good());
  const Json schema = Json::parse(file);
  const SchemaChecker checker(schema);
  LeafSpec expired = Leaf("back.test");
  expired.not_after = absl::Now() - kDay;
  const auto good = StartTlsBackend(pki_.Issue(Leaf("a.test")));
  const auto bad = StartTlsBackend(pki_.Issue(expired));
  const RefusingPort refusing;
  WriteFile("legs", absl::StrCat("one front=", good->address(), ",a.test back=", bad->address(),
                                 ",back.test\nback=", refusing.address(), ",c.test\n"));
  const CommandResult result = Probe({absl::StrCat("--legs_file=", PathOf("legs")), "--json"});
  EXPECT_EQ(result.exit_status, 2);
  const Json document = Json::parse(result.output);
  checker.Check(document, schema, "document");
  ASSERT_EQ(document.at("legs").size(), 3u);
  EXPECT_EQ(document.at("severity"), "critical");
  EXPECT_EQ(document.at("legs").at(0).at("route"), "one");
  EXPECT_EQ(document.at("legs").at(0).at("chain").at("first_failure").at("part"), "leaf");
  EXPECT_EQ(document.at("legs").at(1).at("chain").at("error").at("code"), "certificate_expired");
  EXPECT_LT(document.at("legs").at(1).at("chain").at("served").at(0).at("days_left"), 0);
  EXPECT_EQ(document.at("legs").at(2).at("route"), "c.test");
  EXPECT_EQ(document.at("legs").at(2).at("error").at("code"), "transport");
}

TEST_F(LegProbeTest, TheSpkiDigestEqualsOpenssls) {
  const PemPair pair = pki_.Issue(Leaf("a.test"));
  const auto back = StartTlsBackend(pair);
  const CommandResult probed = Probe({Flag("back", *back, "a.test"), "--json"});
  const std::string openssl = FindProgram("openssl");
  const std::string leaf = WriteFile("leaf.pem", pair.chain);
  const CommandResult digest =
      RunCommand({"/bin/sh", "-c",
                  absl::StrCat(openssl, " x509 -in ", leaf, " -noout -pubkey | ", openssl,
                               " pkey -pubin -outform der | ", openssl, " dgst -sha256 -binary | ",
                               openssl, " base64")},
                 kPatience);
  const Json served = Json::parse(probed.output).at("legs").at(0).at("chain").at("served").at(0);
  EXPECT_EQ(served.at("spki_sha256").get<std::string>() + "\n", digest.output);
}

TEST_F(LegProbeTest, ManyLegsArePrintedOnOneLineEach) {
  const auto server = StartTlsBackend(pki_.Issue(Leaf("*.many.test", 20 * kDay)));
  std::string names;
  for (int i = 0; i < 300; ++i) absl::StrAppend(&names, ",n", i, ".many.test");
  WriteFile("legs",
            absl::StrCat("# all of one server\nmany  back=", server->address(), names,
                         "\nwrong back=", server->address(), ",other.test # no such name\n"));
  const CommandResult result =
      Probe({absl::StrCat("--legs_file=", PathOf("legs")), "--concurrency=20"});
  EXPECT_EQ(result.exit_status, 2) << result.errors;
  EXPECT_EQ(result.errors, "");
  for (const char* label : {"many[1] ", "many[300] "}) {
    EXPECT_THAT(result.output, HasSubstr(label));
  }
  EXPECT_THAT(result.output, HasSubstr("FAILED: name_mismatch"));
  EXPECT_THAT(result.output, HasSubstr("will fail in 19 days: leaf \"CN=*.many.test\""));
  const Json json =
      Json::parse(Probe({absl::StrCat("--legs_file=", PathOf("legs")), "--json"}).output);
  EXPECT_EQ(json.at("legs").size(), 301u);
}

TEST_F(LegProbeTest, AClientCertificateIsPresented) {
  LeafSpec client = Leaf("client.test");
  client.server_auth = false;
  WriteCertificate("server", Leaf("a.test"));
  WriteCertificate("client", client);
  const uint16_t port = FreePort();
  const auto server =
      StartOpenssl({"-cert", PathOf("server.pem"), "-key", PathOf("server.key"), "-Verify", "1",
                    "-verify_return_error", "-CAfile", PathOf("ca.pem")},
                   port);
  const std::string back = absl::StrCat("--back=127.0.0.1:", port, ",a.test");
  const CommandResult without = Probe({back, "--json"});
  EXPECT_EQ(without.exit_status, 2);
  const Json error = Json::parse(without.output).at("legs").at(0).at("error");
  EXPECT_EQ(error.at("code"), "peer_alert") << without.output;
  EXPECT_EQ(error.at("alert"), "certificate_required");
  const CommandResult with = Probe({back, absl::StrCat("--cert=", PathOf("client.pem")),
                                    absl::StrCat("--key=", PathOf("client.key"))});
  EXPECT_EQ(with.exit_status, 0) << with.output;
}

TEST_F(LegProbeTest, AClientCertificateNeedsNoNamesAndItsKeyMayBeEncrypted) {
  LeafSpec client = Leaf("client.test");
  client.dns_names = {};
  client.common_name = "client without names";
  client.server_auth = false;
  WriteCertificate("server", Leaf("a.test"));
  WriteCertificate("client", client);
  EncryptKey("client.key", "sesame");
  const uint16_t port = FreePort();
  const auto server =
      StartOpenssl({"-cert", PathOf("server.pem"), "-key", PathOf("server.key"), "-Verify", "1",
                    "-verify_return_error", "-CAfile", PathOf("ca.pem")},
                   port);
  const std::vector<std::string> flags = {absl::StrCat("--back=127.0.0.1:", port, ",a.test"),
                                          absl::StrCat("--cert=", PathOf("client.pem")),
                                          absl::StrCat("--key=", PathOf("client.key"))};
  ExpectUsageError(flags, "client.key is encrypted, and there is no --key_passphrase_file");
  std::vector<std::string> with = flags;
  with.push_back(absl::StrCat("--key_passphrase_file=", WriteFile("passphrase", "sesame\n")));
  const CommandResult probed = Probe(with);
  EXPECT_EQ(probed.exit_status, 0) << probed.output << probed.errors;
}

TEST_F(LegProbeTest, EachKeyTypeOfAServerIsProbed) {
  LeafSpec rsa = Leaf("a.test", 9 * kDay);
  rsa.key_type = KeyType::kRsa;
  WriteCertificate("ecdsa", Leaf("a.test"));
  WriteCertificate("rsa", rsa);
  const std::vector<uint16_t> ports = FreePorts(2);
  for (const char* version : {"-tls1_2", "-tls1_3"}) {
    SCOPED_TRACE(version);
    const std::vector<std::string> flags = {"-cert", PathOf("ecdsa.pem"), "-key",
                                            PathOf("ecdsa.key"), version};
    std::vector<std::string> both_flags = flags;
    both_flags.insert(both_flags.end(), {"-dcert", PathOf("rsa.pem"), "-dkey", PathOf("rsa.key")});
    const auto both = StartOpenssl(both_flags, ports[0]);
    const auto one = StartOpenssl(flags, ports[1]);
    const auto probe = [&](uint16_t port, const std::string& key_type) {
      return Json::parse(Probe({absl::StrCat("--back=127.0.0.1:", port, ",a.test"), "--json",
                                absl::StrCat("--key_type=", key_type)})
                             .output)
          .at("legs");
    };
    const Json legs = probe(ports[0], "each");
    ASSERT_EQ(legs.size(), 2u) << legs.dump(1);
    EXPECT_EQ(legs[0].at("route"), "a.test/ecdsa");
    EXPECT_EQ(legs[0].at("severity"), "note") << legs[0].dump(1);
    EXPECT_EQ(legs[1].at("route"), "a.test/rsa");
    EXPECT_EQ(legs[1].at("severity"), "warning") << "the RSA certificate alone ends soon";
    EXPECT_THAT(legs[1].at("chain").at("served").at(0).at("key").dump(), HasSubstr("RSA"));
    EXPECT_EQ(probe(ports[0], "rsa").at(0).at("severity"), "warning");
    EXPECT_EQ(probe(ports[1], "ecdsa").at(0).at("good"), true);
    EXPECT_EQ(probe(ports[1], "rsa").at(0).at("good"), false) << "it has none";
  }
}

TEST_F(LegProbeTest, StaplesAndResumptionAreReported) {
  LeafSpec spec = Leaf("a.test");
  spec.must_staple = true;
  const PemPair pair = WriteCertificate("server", spec);
  WriteFile("staple", pki_.IssueStaple(pair));
  const std::vector<uint16_t> ports = FreePorts(2);
  const std::vector<std::string> flags = {"-cert", PathOf("server.pem"), "-key",
                                          PathOf("server.key")};
  std::vector<std::string> stapling = flags;
  stapling.insert(stapling.end(), {"-status_file", PathOf("staple")});
  std::vector<std::string> no_tickets = flags;
  no_tickets.insert(no_tickets.end(), {"-num_tickets", "0"});
  const auto one = StartOpenssl(stapling, ports[0]);
  const auto two = StartOpenssl(no_tickets, ports[1]);
  const auto probe = [&](uint16_t port) {
    return Json::parse(Probe({absl::StrCat("--back=127.0.0.1:", port, ",a.test"), "--json"}).output)
        .at("legs")
        .at(0);
  };
  const Json stapled = probe(ports[0]);
  EXPECT_EQ(stapled.at("chain").at("staple").at("state"), "good") << stapled.dump(1);
  EXPECT_EQ(stapled.at("chain").at("first_failure").at("part"), "staple");
  EXPECT_EQ(stapled.at("tls").at("resumption_offered"), true);
  const Json bare = probe(ports[1]);
  EXPECT_EQ(bare.at("tls").at("resumption_offered"), false);
  EXPECT_EQ(bare.at("findings").at(0).at("code"), "staple_missing");
}

TEST_F(LegProbeTest, AProxyHeaderGoesFirst) {
  WriteCertificate("server", Leaf("a.test"));
  WriteFile("both", absl::StrCat(pki_.Issue(Leaf("a.test")).chain));
  const PemPair pair = pki_.Issue(Leaf("a.test"));
  WriteFile("both", pair.chain + pair.key);
  const uint16_t port = FreePort();
  const auto haproxy =
      StartHaproxy(absl::StrCat("frontend f\n  bind 127.0.0.1:", port, " accept-proxy ssl crt ",
                                PathOf("both"), "\n  http-request return status 204\n"),
                   port);
  const std::string back = absl::StrCat("--back=127.0.0.1:", port, ",a.test");
  EXPECT_EQ(Probe({back, "--proxy_header=v1"}).exit_status, 0);
  EXPECT_EQ(Probe({back, "--proxy_header=v2"}).exit_status, 0);
  EXPECT_EQ(Probe({back}).exit_status, 2);
}

// stunnel implements the clear-text part of each protocol before TLS.
TEST_F(LegProbeTest, StartTlsComesBeforeTlsWithRealServers) {
  WriteCertificate("server", Leaf("mail.test"));
  HttpBackend::Options smtp;
  smtp.greeting = "220 mail.test ESMTP\r\n";
  HttpBackend::Options imap;
  imap.greeting = "* OK ready\r\n";
  const HttpBackend smtp_behind(smtp);
  const HttpBackend imap_behind(imap);
  const HttpBackend postgres_behind({});
  const std::vector<uint16_t> ports = FreePorts(3);
  std::string config = "foreground = yes\npid =\n";
  const auto add = [&](const std::string& protocol, uint16_t port, const HttpBackend& behind) {
    absl::StrAppend(&config, "[", protocol, "]\naccept = 127.0.0.1:", port,
                    "\nconnect = ", behind.address(), "\ncert = ", PathOf("server.pem"),
                    "\nkey = ", PathOf("server.key"), "\nprotocol = ", protocol, "\n");
  };
  add("smtp", ports[0], smtp_behind);
  add("imap", ports[1], imap_behind);
  add("pgsql", ports[2], postgres_behind);
  const std::unique_ptr<Process> stunnel = StartStunnel(config, ports[2]);
  const auto probe = [&](uint16_t port, const std::string& protocol) {
    const CommandResult result = Probe({absl::StrCat("--back=127.0.0.1:", port, ",mail.test"),
                                        "--json", absl::StrCat("--starttls=", protocol)});
    EXPECT_EQ(result.errors, "");
    return Json::parse(result.output).at("legs").at(0);
  };
  const char* const protocols[] = {"smtp", "imap", "postgres"};
  for (size_t i = 0; i < ports.size(); ++i) {
    const Json leg = probe(ports[i], protocols[i]);
    EXPECT_EQ(leg.at("good"), true) << protocols[i] << leg.dump(1);
    EXPECT_EQ(leg.at("start_tls"), protocols[i]);
  }
  // Without the protocol, or with another one, the leg fails.
  EXPECT_EQ(probe(ports[2], "none").at("good"), false);
  EXPECT_EQ(probe(ports[0], "imap").at("findings").at(0).at("code"), "protocol");
}

TEST_F(LegProbeTest, ATerminalGetsColoursAndAProgressLine) {
  const auto back = StartTlsBackend(pki_.Issue(Leaf("*.many.test")));
  const std::string command =
      absl::StrCat(ExampleProgram("leg_probe"), " ", Flag("back", *back, "a.many.test,b.many.test"),
                   " --ca=", PathOf("ca.pem"));
  const auto on_terminal = [&](const std::string& redirection) {
    return RunCommand({FindProgram("script"), "--quiet", "--return", "--command",
                       absl::StrCat(command, redirection), "/dev/null"},
                      kPatience);
  };
  const CommandResult both = on_terminal("");
  EXPECT_EQ(both.exit_status, 0) << both.output;
  EXPECT_THAT(both.output, AllOf(HasSubstr("\x1b[36mgood"), HasSubstr("\rprobed 1 of 2, 0 failing"),
                                 HasSubstr("\rprobed 2 of 2, 0 failing\r\x1b[K")));
  // Each stream is decided separately.
  const CommandResult errors_only = on_terminal(absl::StrCat(" > ", PathOf("table")));
  EXPECT_THAT(errors_only.output, AllOf(HasSubstr("probed 2 of 2"), Not(HasSubstr("good"))));
  EXPECT_THAT(RunCommand({"/bin/cat", PathOf("table")}, kPatience).output,
              AllOf(HasSubstr("good"), Not(HasSubstr("\x1b"))));
  EXPECT_THAT(on_terminal(" 2> /dev/null").output,
              AllOf(HasSubstr("\x1b[36mgood"), Not(HasSubstr("probed"))));
}

// With this limit, one probe too many could not be opened.
TEST_F(LegProbeTest, AThousandLegsTakeFewDescriptors) {
  WriteCertificate("server", Leaf("*.many.test"));
  const uint16_t port = FreePort();
  const std::unique_ptr<Process> nginx = StartNginx(
      absl::StrCat("http { access_log off; ", TemporaryPaths(), "server { listen 127.0.0.1:", port,
                   " ssl; ssl_certificate ", PathOf("server.pem"), "; ssl_certificate_key ",
                   PathOf("server.key"), "; } }\n"),
      port);
  std::string legs = absl::StrCat("many back=127.0.0.1:", port);
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&legs, ",n", i, ".many.test");
  WriteFile("legs", legs);
  const auto probe = [&](int concurrency) {
    return RunCommand({"/bin/bash", "-c",
                       absl::StrCat("ulimit -n 40; exec ", ExampleProgram("leg_probe"),
                                    " --legs_file=", PathOf("legs"), " --ca=", PathOf("ca.pem"),
                                    " --json --concurrency=", concurrency)},
                      2 * kPatience);
  };
  const CommandResult few = probe(25);
  EXPECT_EQ(few.exit_status, 0) << few.errors;
  EXPECT_EQ(Json::parse(few.output).at("legs").size(), 1000u);
  // Shows that the limit has an effect.
  EXPECT_EQ(probe(200).exit_status, 2);
}

TEST_F(LegProbeTest, WatchingContinuesUntilASignal) {
  const auto back = StartTlsBackend(pki_.Issue(Leaf("a.test")));
  Process process({ExampleProgram("leg_probe"), Flag("back", *back, "a.test"),
                   absl::StrCat("--ca=", PathOf("ca.pem")), "--watch=50ms", "--json"});
  ASSERT_TRUE(back->WaitForConnections(3, kPatience));
  process.Signal(SIGTERM);
  EXPECT_EQ(process.WaitForExit(kPatience), 0);
  std::istringstream lines(process.output());
  std::string line;
  int rounds = 0;
  while (std::getline(lines, line)) {
    EXPECT_EQ(Json::parse(line).at("legs").at(0).at("good"), true);
    ++rounds;
  }
  EXPECT_GE(rounds, 2);
}

TEST_F(LegProbeTest, UsageErrorsHaveTheirOwnExitStatus) {
  ExpectUsageError({}, "nothing to probe");
  ExpectUsageError({"--nope"}, "no flag --nope");
  ExpectUsageError({"--back"}, "--back needs a value");
  ExpectUsageError({"word"}, "\"word\" is no flag");
  ExpectUsageError({"--timeout=soon"}, "--timeout");
  ExpectUsageError({"--timeout=0s", "--back=127.0.0.1:1"}, "--timeout must be above 0");
  ExpectUsageError({"--warn_days=-1", "--back=127.0.0.1:1"}, "--warn_days");
  ExpectUsageError({"--warn_part=3/1", "--back=127.0.0.1:1"}, "--warn_part has \"3/1\"");
  ExpectUsageError({"--critical_part=a", "--back=127.0.0.1:1"}, "--critical_part has \"a\"");
  ExpectUsageError({"--concurrency=0", "--back=127.0.0.1:1"}, "--concurrency");
  ExpectUsageError({"--watch=inf", "--back=127.0.0.1:1"}, "--watch");
  ExpectUsageError({"--color=pink", "--back=127.0.0.1:1"}, "--color");
  ExpectUsageError({"--starttls=gopher", "--back=127.0.0.1:1"}, "starttls must be");
  ExpectUsageError({"--key_type=dsa", "--back=127.0.0.1:1"}, "key_type must be");
  ExpectUsageError({"--proxy_header=v3", "--back=127.0.0.1:1"}, "proxy_header must be");
  ExpectUsageError({"--back=localhost"}, "back is wrong");
  ExpectUsageError({"--back=127.0.0.1:0"}, "back is wrong: cannot connect to");
  ExpectUsageError({"--back=127.0.0.1:1"}, "no CA file", /*with_ca=*/false);
  ExpectUsageError({"--back=127.0.0.1:1", "--crl=/nowhere"}, "/nowhere");
  ExpectUsageError({"--back=127.0.0.1:1", absl::StrCat("--cert=", PathOf("ca.pem"))},
                   "both cert and key");
  ExpectUsageError({"--legs_file=/nowhere"}, "/nowhere");
}

TEST_F(LegProbeTest, ErrorsInTheFileHaveTheirLine) {
  const auto expect = [&](const std::string& line, const std::string& text) {
    WriteFile("legs", absl::StrCat("# comment\n\n", line, "\n"));
    ExpectUsageError({absl::StrCat("--legs_file=", PathOf("legs"))},
                     absl::StrCat("legs, line 3: ", text));
  };
  expect("label", "neither front= nor back=");
  expect("label more front=127.0.0.1:1", "\"more\" has no \"=\"");
  expect("ca=x back=127.0.0.1:1", "\"ca=x\" comes before");
  expect("back=127.0.0.1:1 back=127.0.0.1:1", "back is listed twice");
  expect("back=", "back is empty");
  expect("back=127.0.0.1:1 colour=red", "there is no setting \"colour\"");
  expect("back=127.0.0.1", "back is wrong");
  expect("back=127.0.0.1:1 ca=/nowhere", "back leg: cannot read /nowhere");
}

TEST_F(LegProbeTest, HelpListsEveryFlag) {
  const CommandResult result = Probe({"--help"}, /*with_ca=*/false);
  EXPECT_EQ(result.exit_status, 0);
  for (const char* flag :
       {"--front",    "--back",          "--legs_file",    "--ca",        "--front_ca", "--back_ca",
        "--crl",      "--intermediates", "--cert",         "--key",       "--verify",   "--alpn",
        "--starttls", "--key_type",      "--proxy_header", "--warn_days", "--json",     "--details",
        "--watch",    "--concurrency",   "--timeout",      "--color",     "--warn_part"}) {
    EXPECT_THAT(result.output, HasSubstr(absl::StrCat("  ", flag, " ")));
  }
}

}  // namespace
}  // namespace trestle::e2e
