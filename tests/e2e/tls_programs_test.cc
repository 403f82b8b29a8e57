// All programs that terminate TLS behave alike: flags of the front leg, reload by signal and by
// change of a file, and service without Redis.

#include <csignal>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;

struct Program {
  const char* name;
  Mode mode;
};

void PrintTo(const Program& program, std::ostream* out) { *out << program.name; }

class TlsProgramsTest : public ProxyTest, public ::testing::WithParamInterface<Program> {
 protected:
  static bool IsOnePort() { return absl::string_view(GetParam().name) == "one_port"; }
  static bool IsGateway() { return absl::string_view(GetParam().name) == "http_proxy"; }

  // Starts the program for kFrontName, from the files "front.pem" and "front.key".
  std::unique_ptr<ProxyProcess> Start(const std::vector<std::string>& more_flags = {}) const {
    std::vector<std::string> argv = {ExampleProgram(GetParam().name)};
    std::vector<std::string> flags = FlagsFor(GetParam().mode, backend_->address());
    if (IsOnePort()) {
      flags = {"--listen=127.0.0.1:0", "--cert=" + PathOf("front.pem"),
               "--key=" + PathOf("front.key"), "--backend_ca=" + PathOf("ca.pem"),
               absl::StrCat("--bridge=", kFrontName, "=", backend_->address())};
    } else if (IsGateway()) {
      flags = {"--listen=127.0.0.1:0", "--cert=" + PathOf("front.pem"),
               "--key=" + PathOf("front.key"), "--backend_ca=" + PathOf("ca.pem"),
               absl::StrCat("--routes=default=https://", backend_->address(), "@", kBackName)};
    }
    argv.insert(argv.end(), flags.begin(), flags.end());
    argv.push_back("--log_connections=text");
    if (IsGateway()) argv.push_back("--log_requests");
    argv.insert(argv.end(), more_flags.begin(), more_flags.end());
    return StartProgram(argv);
  }

  void ExpectServed(const ProxyProcess& proxy, const std::vector<std::string>& more = {}) const {
    const CommandResult result = Curl(proxy.port, "/hello", more);
    EXPECT_EQ(result.output, "hello from backend") << result.errors << proxy.log();
  }

  std::string Serial(const ProxyProcess& proxy) const {
    const auto client = ConnectTls(proxy.port);
    return client == nullptr ? "refused" : client->peer_serial();
  }

  // one_port checks its backends' certificates for the names of the routes.
  const std::unique_ptr<HttpBackend> backend_ =
      StartBackend(IsOnePort() ? Mode::kPassthrough : GetParam().mode);
};

INSTANTIATE_TEST_SUITE_P(Programs, TlsProgramsTest,
                         ::testing::Values(Program{"terminating_proxy", Mode::kOffload},
                                           Program{"bridging_proxy", Mode::kBridge},
                                           Program{"http_proxy", Mode::kBridge},
                                           Program{"one_port", Mode::kBridge}),
                         [](const auto& info) { return info.param.name; });

TEST_P(TlsProgramsTest, HelpListsAllFlagsOfTheFrontLeg) {
  const CommandResult help = RunCommand({ExampleProgram(GetParam().name), "--help"}, kPatience);
  EXPECT_EQ(help.exit_status, 0);
  for (const char* flag : {"cert",
                           "key",
                           "ocsp_file",
                           "certs_dir",
                           "key_passphrase_file",
                           "signing_threads",
                           "rsa_signer",
                           "ticket_keys_file",
                           "ticket_keys_redis",
                           "ticket_keys_redis_name",
                           "ticket_keys_redis_user",
                           "ticket_keys_redis_password_file",
                           "ticket_keys_rotate_every",
                           "ticket_keys_refresh_every",
                           "ech_keys_file",
                           "acme_tokens_dir",
                           "client_ca",
                           "client_auth",
                           "client_crl",
                           "client_allow",
                           "tls_preset",
                           "alpn",
                           "alpn_mismatch",
                           "certificate_compression",
                           "dynamic_record_sizing",
                           "session_cache",
                           "dangerous_key_log",
                           "drain_on_reload",
                           "after_certificate_expiry",
                           "max_full_handshakes",
                           "max_key_updates_per_minute"}) {
    EXPECT_THAT(help.output, HasSubstr(absl::StrCat("\n  --", flag)));
  }
  EXPECT_THAT(help.output, HasSubstr("loaded again when they"));
}

TEST_P(TlsProgramsTest, AFolderOfCertificatesIsReloaded) {
  std::filesystem::create_directory(PathOf("certs"));
  WriteCertificate("certs/a", LeafFor(kFrontName));
  const auto proxy = Start({"--cert=", "--key=", "--certs_dir=" + PathOf("certs")});
  ExpectServed(*proxy);
  const std::string before = Serial(*proxy);
  WriteCertificate("certs/b", LeafFor("b.test"));
  ASSERT_TRUE(proxy->WaitForLog("and 1 more certificates")) << proxy->log();
  EXPECT_EQ(Serial(*proxy), before);
  WriteFile("certs/a.key", "damaged");
  ASSERT_TRUE(proxy->WaitForLog("reload failed, ")) << proxy->log();
  EXPECT_EQ(Serial(*proxy), before) << "the old set remains";
}

TEST_P(TlsProgramsTest, ASignalReloadsAndDrainsOldConnections) {
  const auto proxy = Start({"--drain_on_reload=0s"});
  const auto open = ConnectTls(proxy->port);
  ASSERT_NE(open, nullptr);
  open->Write(GetRequest("/hello"));
  EXPECT_THAT(open->ReadUntil("hello from backend"), HasSubstr("hello from backend"));
  const std::string before = open->peer_serial();
  WriteCertificate("front", LeafFor(kFrontName));
  proxy->process.Signal(SIGHUP);
  ASSERT_TRUE(proxy->WaitForLog("reloaded: front.test")) << proxy->log();
  EXPECT_NE(Serial(*proxy), before);
  EXPECT_EQ(open->ReadToEnd(), "");
  EXPECT_TRUE(proxy->WaitForLog("cancelled: ")) << proxy->log();
}

TEST_P(TlsProgramsTest, ClientsMustPresentRequiredCertificates) {
  testing::LeafSpec client = LeafFor("alice.test");
  client.server_auth = false;
  WriteCertificate("client", client);
  const auto proxy = Start({"--client_ca=" + PathOf("ca.pem")});
  EXPECT_NE(Curl(proxy->port, "/hello").exit_status, 0);
  EXPECT_TRUE(proxy->WaitForLog("client_certificate_missing")) << proxy->log();
  ExpectServed(*proxy, {"--cert", PathOf("client.pem"), "--key", PathOf("client.key")});
}

TEST_P(TlsProgramsTest, TicketKeysOfAFileSurviveARestart) {
  WriteFile("keys", "T25lIG9mIHRoZSBrZXlzIHRoYXQgdGhpcyB0ZXN0IHNlYWxzIHRpY2tldHMgd2l0aC4u\n");
  const std::vector<std::string> flags = {"--ticket_keys_file=" + PathOf("keys")};
  const CommandResult made =
      Openssl(Start(flags)->port, "/hello", {"-tls1_2", "-sess_out", PathOf("session")});
  EXPECT_THAT(made.output, HasSubstr("New, ")) << made.errors;
  const CommandResult resumed =
      Openssl(Start(flags)->port, "/hello", {"-tls1_2", "-sess_in", PathOf("session")});
  EXPECT_THAT(resumed.output, HasSubstr("Reused, ")) << resumed.errors;
}

TEST_P(TlsProgramsTest, WithoutItsRedisItServesClients) {
  const RefusingPort redis;
  const auto proxy = Start({"--ticket_keys_redis=" + redis.address()});
  EXPECT_TRUE(proxy->WaitForLog("ticket keys: the last ones go on; ")) << proxy->log();
  ExpectServed(*proxy);
}

TEST_P(TlsProgramsTest, ABackendsNewCaIsUsedAfterAReload) {
  if (GetParam().mode == Mode::kOffload) return;  // Its backend uses clear text.
  const auto proxy = Start();
  ExpectServed(*proxy);
  const testing::TestPki other(absl::Now(), "Another CA");
  WriteFile("ca.pem.new", other.ca_pem());
  std::filesystem::rename(PathOf("ca.pem.new"), PathOf("ca.pem"));
  ASSERT_TRUE(proxy->WaitForLog("reloaded: front.test")) << proxy->log();
  auto client = ConnectTls(proxy->port);
  ASSERT_NE(client, nullptr);
  // A gateway connects to a backend for a request only, and keeps the connections of earlier CAs
  // for none.
  if (IsGateway()) {
    client->Write(GetAndCloseRequest("/hello"));
    EXPECT_THAT(client->ReadToEnd(), ::testing::StartsWith("HTTP/1.1 502 "));
  } else {
    EXPECT_EQ(client->ReadToEnd(), "");
  }
  client.reset();
  EXPECT_TRUE(proxy->WaitForLog("certificate_untrusted")) << proxy->log();
}

TEST_P(TlsProgramsTest, ContradictingFlagsAreRejected) {
  std::vector<std::string> argv = {
      ExampleProgram(GetParam().name),      "--listen=127.0.0.1:0", "--cert=x", "--key=y",
      "--ticket_keys_redis=127.0.0.1:6379", "--ticket_keys_file=z"};
  if (IsOnePort()) {
    argv.push_back("--offload=a.test=127.0.0.1:9");
  } else if (IsGateway()) {
    argv.push_back("--routes=default=http://127.0.0.1:9");
  } else {
    argv.push_back("--backend=127.0.0.1:9");
    if (GetParam().mode == Mode::kBridge) argv.push_back("--backend_name=b.test");
  }
  const CommandResult result = RunCommand(argv, kPatience);
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.errors,
              HasSubstr("--ticket_keys_file and --ticket_keys_redis exclude each other"));
}

}  // namespace
}  // namespace trestle::e2e
