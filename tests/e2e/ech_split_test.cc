// Encrypted ClientHellos that a router opens (split mode), in the programs that route. The backend
// has no ECH keys, and a terminator on the same port serves the public name.

#include <openssl/ssl.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_programs.h"
#include "trestle/linux/file.h"
#include "trestle/tls/ech_pairs.h"

namespace trestle::e2e {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kBssl[] = "../boringssl/bssl";
constexpr char kPublicName[] = "public.test";
// A wildcard route leads to it, so that no configuration has the name.
constexpr char kHiddenName[] = "secret4711.hidden.test";

class EchSplitTest : public ServerProgramsTest, public ::testing::WithParamInterface<const char*> {
 protected:
  EchSplitTest() {
    WriteCertificate("public", LeafFor(kPublicName));
    testing::LeafSpec hidden;
    hidden.dns_names = {kPublicName, "*.inside.test"};
    WriteCertificate("both", hidden);
    WriteFile("ech.pem", pem_);
    WriteFile("list", ListOf(pem_));
  }

  static std::string NewPair(uint8_t config_id) {
    EchPairOptions options;
    options.public_name = kPublicName;
    options.config_id = config_id;
    return *MakeEchPair(options);
  }

  static std::string ListOf(const std::string& pem) {
    return DescribeEchPairs(pem)->front().config_list;
  }

  static TlsSettings AllGroups() {
    TlsSettings settings;
    settings.groups = {SSL_GROUP_X25519_MLKEM768, SSL_GROUP_X25519, SSL_GROUP_SECP256R1};
    return settings;
  }

  bool IsOnePort() const { return absl::string_view(GetParam()) == "one_port"; }

  std::string KeysFlag() const { return absl::StrCat("--ech_keys_file=", PathOf("ech.pem")); }

  // Routes names below hidden.test to `backend`, and the public name to a terminator.
  std::unique_ptr<ProxyProcess> Start(const std::string& backend,
                                      const std::vector<std::string>& more_flags = {}) {
    std::vector<std::string> argv = {ExampleProgram(GetParam()), "--listen=127.0.0.1:0",
                                     KeysFlag()};
    const std::string hidden = absl::StrCat("*.hidden.test=", backend);
    if (IsOnePort()) {
      argv.insert(argv.end(), {"--pass=" + hidden, "--cert=" + PathOf("both.pem"),
                               "--key=" + PathOf("both.key"),
                               absl::StrCat("--offload=*.inside.test=", plain_->address(), ",",
                                            kPublicName, "=", plain_->address())});
    } else {
      terminator_ =
          StartProgram({ExampleProgram("terminating_proxy"), "--listen=127.0.0.1:0",
                        "--backend=" + plain_->address(), "--cert=" + PathOf("public.pem"),
                        "--key=" + PathOf("public.key"), KeysFlag()});
      argv.push_back(
          absl::StrCat("--routes=", hidden, ",", kPublicName, "=127.0.0.1:", terminator_->port));
    }
    argv.insert(argv.end(), more_flags.begin(), more_flags.end());
    if (more_flags.empty()) argv.push_back("--log_connections=text");
    return StartProgram(argv);
  }

  std::unique_ptr<ProxyProcess> Start() { return Start(backend_->address()); }

  TlsSettings WithEch(std::vector<uint16_t> groups = {}) const {
    TlsSettings settings;
    settings.groups = std::move(groups);
    settings.ech_config_list = ListOf(pem_);
    return settings;
  }

  // Makes a request for `name`; returns the response or the error.
  std::string Ask(const ProxyProcess& proxy, const std::string& name, const TlsSettings& settings) {
    stream_ = BlockingStream::Connect(proxy.port);
    if (stream_ == nullptr) return "refused";
    if (!stream_->StartClient(name, settings)) return stream_->error();
    stream_->Write(GetAndCloseRequest("/hello"));
    return stream_->ReadToEnd();
  }

  void ExpectServed(const ProxyProcess& proxy, const TlsSettings& settings) {
    EXPECT_THAT(Ask(proxy, kHiddenName, settings), EndsWith("hello from backend"));
    EXPECT_TRUE(stream_->ech_accepted());
    EXPECT_EQ(stream_->peer_names(), kHiddenName);
    EXPECT_EQ(ServedNames().back(), kHiddenName);
  }

  // Returns the names of the served connections. Other connections requested a confirmation only.
  std::vector<std::string> ServedNames() const {
    std::vector<std::string> names;
    for (const HttpBackend::Connection& connection : backend_->connections()) {
      if (!connection.handshake_failed) names.push_back(connection.server_name);
    }
    return names;
  }

  // A server without support for ECH.
  std::unique_ptr<Process> StartOpensslBackend(uint16_t port) const {
    WriteCertificate("hidden", LeafFor(kHiddenName));
    return StartOpenssl({"-cert", PathOf("hidden.pem"), "-key", PathOf("hidden.key"), "-www"},
                        port);
  }

  // Returns the flags of a router with one route, which leads to a port.
  std::vector<std::string> RouteTo(const std::string& name, uint16_t port) const {
    return {ExampleProgram(GetParam()), "--listen=127.0.0.1:0", KeysFlag(),
            absl::StrCat(IsOnePort() ? "--pass" : "--routes", "=", name, "=127.0.0.1:", port)};
  }

  // Returns whether a client with the config of `pem` is served.
  bool Accepts(const ProxyProcess& proxy, const std::string& pem) {
    TlsSettings settings;
    settings.ech_config_list = ListOf(pem);
    return EndsWithHello(Ask(proxy, kHiddenName, settings)) && stream_->ech_accepted();
  }
  static bool EndsWithHello(const std::string& text) {
    return text.size() > 5 && text.substr(text.size() - 7) == "backend";
  }

  // Makes one request with bssl, which verifies the certificate.
  CommandResult Bssl(const ProxyProcess& proxy, const std::vector<std::string>& more_flags) const {
    std::vector<std::string> argv = {kBssl,
                                     "client",
                                     "-connect",
                                     absl::StrCat("127.0.0.1:", proxy.port),
                                     "-server-name",
                                     kHiddenName,
                                     "-root-certs",
                                     PathOf("ca.pem"),
                                     "-ech-config-list",
                                     PathOf("list")};
    argv.insert(argv.end(), more_flags.begin(), more_flags.end());
    Process client(argv);
    client.WriteInput("GET /hello HTTP/1.0\r\n\r\n");
    const int exit_status = client.WaitForExit(kPatience).value_or(-1);
    return {exit_status, client.output(), client.errors()};
  }

  static void ExpectBsslServed(const CommandResult& result) {
    EXPECT_EQ(result.exit_status, 0) << result.errors;
    EXPECT_THAT(result.output, HasSubstr("hello from backend"));
    EXPECT_THAT(result.errors, HasSubstr("Encrypted ClientHello: yes"));
    EXPECT_THAT(result.errors, HasSubstr(absl::StrCat("Cert subject: CN = ", kHiddenName)));
  }

  const std::string pem_ = NewPair(1);
  const std::unique_ptr<HttpBackend> backend_ =
      StartTlsBackend(pki_.Issue(LeafFor(kHiddenName)), AllGroups());
  const std::unique_ptr<HttpBackend> plain_ = StartBackend(Mode::kOffload);
  std::unique_ptr<ProxyProcess> terminator_;  // Of the public name, for passthrough_proxy.
  std::unique_ptr<BlockingStream> stream_;
};

INSTANTIATE_TEST_SUITE_P(Programs, EchSplitTest, ::testing::Values("one_port", "passthrough_proxy"),
                         [](const auto& info) { return info.param; });

TEST_P(EchSplitTest, EachGroupWorks) {
  const auto proxy = Start();
  for (const uint16_t group : {SSL_GROUP_X25519, SSL_GROUP_X25519_MLKEM768}) {
    SCOPED_TRACE(group);
    ExpectServed(*proxy, WithEch({static_cast<uint16_t>(group)}));
    EXPECT_FALSE(stream_->used_hello_retry_request());
  }
  for (const char* curve : {"X25519", "X25519MLKEM768"}) {
    SCOPED_TRACE(curve);
    ExpectBsslServed(Bssl(*proxy, {"-curves", curve}));
  }
  EXPECT_TRUE(proxy->WaitForLog(" sni=(ech) ")) << proxy->log();
}

TEST_P(EchSplitTest, HelloRetryRequestsWork) {
  for (const uint16_t wanted : {SSL_GROUP_SECP256R1, SSL_GROUP_X25519_MLKEM768}) {
    SCOPED_TRACE(wanted);
    TlsSettings server;
    server.groups = {static_cast<uint16_t>(wanted)};
    const auto backend = StartTlsBackend(pki_.Issue(LeafFor(kHiddenName)), server);
    const auto proxy = Start(backend->address());
    TlsSettings client = WithEch({SSL_GROUP_X25519, static_cast<uint16_t>(wanted)});
    client.key_share = SSL_GROUP_X25519;
    EXPECT_THAT(Ask(*proxy, kHiddenName, client), EndsWith("hello from backend"));
    EXPECT_TRUE(stream_->used_hello_retry_request());
    EXPECT_TRUE(stream_->ech_accepted());
  }
  // bssl sends one classic share, and with the post-quantum group two.
  TlsSettings server;
  server.groups = {SSL_GROUP_SECP384R1};
  const auto backend = StartTlsBackend(pki_.Issue(LeafFor(kHiddenName)), server);
  ExpectBsslServed(Bssl(*Start(backend->address()), {"-curves", "X25519:P-384"}));
}

// The backend is a terminator without ECH keys.
TEST_P(EchSplitTest, SessionsAreResumed) {
  WriteCertificate("hidden", LeafFor(kHiddenName));
  const auto backend =
      StartProgram({ExampleProgram("terminating_proxy"), "--listen=127.0.0.1:0",
                    "--backend=" + plain_->address(), "--cert=" + PathOf("hidden.pem"),
                    "--key=" + PathOf("hidden.key")});
  const auto proxy = Start(absl::StrCat("127.0.0.1:", backend->port));
  ExpectBsslServed(Bssl(*proxy, {"-session-out", PathOf("session")}));
  const CommandResult second = Bssl(*proxy, {"-session-in", PathOf("session")});
  ExpectBsslServed(second);
  EXPECT_THAT(second.errors, HasSubstr("Resumed session: yes"));
}

// The client's second connection sends its request before the backend answers the hello.
TEST_P(EchSplitTest, EarlyDataReachesTheBackend) {
  WriteCertificate("hidden", LeafFor(kHiddenName));
  const uint16_t port = FreePort();
  const auto server =
      StartServer({kBssl, "server", "-accept", absl::StrCat(port), "-cert", PathOf("hidden.pem"),
                   "-key", PathOf("hidden.key"), "-early-data", "-www", "-loop"},
                  port);
  const auto proxy = Start(absl::StrCat("127.0.0.1:", port));
  const std::string request = "GET /early HTTP/1.0\r\n\r\n";
  const CommandResult first =
      Bssl(*proxy, {"-early-data", request, "-session-out", PathOf("session")});
  EXPECT_THAT(first.errors, HasSubstr("Early data: no"));
  const CommandResult second =
      Bssl(*proxy, {"-early-data", request, "-session-in", PathOf("session")});
  EXPECT_THAT(second.errors, HasSubstr("Early data: yes"));
  EXPECT_THAT(second.errors, HasSubstr("Encrypted ClientHello: yes"));
  EXPECT_TRUE(server->WaitForErrors("Early data: yes", kPatience)) << server->errors();
}

TEST_P(EchSplitTest, AnOutdatedConfigIsAnsweredWithAUsableOne) {
  const auto proxy = Start();
  TlsSettings settings;
  settings.ech_config_list = ListOf(NewPair(2));
  EXPECT_THAT(Ask(*proxy, kHiddenName, settings), HasSubstr("ECH_REJECTED"));
  EXPECT_THAT(stream_->peer_names(), HasSubstr(kPublicName));
  EXPECT_THAT(ServedNames(), IsEmpty());
  settings.ech_config_list = stream_->ech_retry_configs();
  ASSERT_EQ(settings.ech_config_list, ListOf(pem_));
  ExpectServed(*proxy, settings);
}

TEST_P(EchSplitTest, ClientsWithoutEchAndWithGreaseAreServed) {
  const auto proxy = Start();
  EXPECT_THAT(Ask(*proxy, kHiddenName, {}), EndsWith("hello from backend"));
  EXPECT_FALSE(stream_->ech_accepted());
  stream_.reset();
  EXPECT_TRUE(proxy->WaitForLog(absl::StrCat(" sni=", kHiddenName))) << proxy->log();
  EXPECT_THAT(Ask(*proxy, kPublicName, {}), EndsWith("hello from backend"));
}

TEST_P(EchSplitTest, ATerminatorServesHiddenNamesToo) {
  const auto proxy = Start();
  const std::string name = IsOnePort() ? "secret.inside.test" : kPublicName;
  EXPECT_THAT(Ask(*proxy, name, WithEch()), EndsWith("hello from backend"));
  EXPECT_TRUE(stream_->ech_accepted());
  EXPECT_THAT(proxy->log(), Not(HasSubstr("secret.inside")));
}

TEST_P(EchSplitTest, KeysRotateWithTheFile) {
  const std::string next = NewPair(2);
  const auto proxy = Start();
  EXPECT_THAT(proxy->log(), HasSubstr(absl::StrCat("ech=", absl::Base64Escape(ListOf(pem_)))));
  EXPECT_FALSE(Accepts(*proxy, next));
  WriteFile("ech.pem", pem_ + next);
  EXPECT_TRUE(proxy->WaitForLog("; ECH config ids 1, 2")) << proxy->log();
  EXPECT_TRUE(Accepts(*proxy, pem_));
  EXPECT_TRUE(Accepts(*proxy, next));
  WriteFile("ech.pem", "damaged");
  EXPECT_TRUE(proxy->WaitForLog("reload failed, ")) << proxy->log();
  EXPECT_TRUE(proxy->WaitForLog(absl::StrCat("cannot use ", PathOf("ech.pem"), ": no PEM blocks")))
      << proxy->log();
  EXPECT_TRUE(Accepts(*proxy, next));
  WriteFile("ech.pem", next);
  EXPECT_TRUE(proxy->WaitForLog("; ECH config ids 2\n")) << proxy->log();
  EXPECT_TRUE(Accepts(*proxy, next));
  EXPECT_FALSE(Accepts(*proxy, pem_));
}

// The second hello counts as one that can't be opened.
TEST_P(EchSplitTest, HellosOverTheBudgetGoToThePublicName) {
  const auto proxy = Start(backend_->address(), {"--max_ech_opens_per_second_per_client=0.001"});
  EXPECT_TRUE(Accepts(*proxy, pem_));
  const std::string answer = Ask(*proxy, kHiddenName, WithEch());
  // one_port's terminator opens it itself, and detects that the hidden name has another route.
  EXPECT_THAT(answer, HasSubstr(IsOnePort() ? "UNRECOGNIZED_NAME" : "hello"));
  EXPECT_EQ(ServedNames().size(), 1u);
}

TEST_P(EchSplitTest, ConfigurationErrorsAreExplained) {
  const std::vector<std::string> base = {
      ExampleProgram(GetParam()), "--listen=127.0.0.1:0",
      absl::StrCat(IsOnePort() ? "--pass" : "--routes", "=a.test=", backend_->address())};
  const auto expect_refusal = [&](const std::string& flag, const std::string& words) {
    std::vector<std::string> argv = base;
    argv.insert(argv.end(), {KeysFlag(), flag});
    const CommandResult result = RunCommand(argv, kPatience);
    EXPECT_EQ(result.exit_status, 1) << words;
    EXPECT_THAT(result.errors, HasSubstr(words));
  };
  expect_refusal("--ech_keys_file=/missing.pem", "cannot read /missing.pem");
  expect_refusal("--ech_keys_file=" + PathOf("ca.pem"), "cannot use " + PathOf("ca.pem"));
  expect_refusal("--max_ech_opens_per_second=-1", "--max_ech_opens_per_second or");
  std::vector<std::string> argv = base;
  argv.push_back(KeysFlag());
  const auto proxy = StartProgram(argv);
  EXPECT_THAT(proxy->log(), HasSubstr("warning: no route for \"public.test\""));
}

TEST_P(EchSplitTest, BackendsThatDoNotConfirmAreRejectedAtTheStart) {
  const uint16_t port = FreePort();
  const auto server = StartOpensslBackend(port);
  std::vector<std::string> argv = RouteTo("*.hidden.test", port);
  const CommandResult refused = RunCommand(argv, kPatience);
  EXPECT_EQ(refused.exit_status, 1);
  const std::string sentence =
      absl::StrCat("backend 127.0.0.1:", port,
                   " of ech-probe.hidden.test: the server doesn't confirm an inner "
                   "hello; as a backend for encrypted hellos (ECH) it must confirm inner hellos");
  EXPECT_THAT(refused.errors, HasSubstr(sentence));
  EXPECT_THAT(refused.errors, HasSubstr("--dangerous_unconfirmed_ech"));
  argv.push_back("--dangerous_unconfirmed_ech");
  EXPECT_THAT(StartProgram(argv)->log(), HasSubstr(absl::StrCat("warning: ", sentence)));
  // Not probed: a route without hidden names.
  EXPECT_THAT(StartProgram(RouteTo(kPublicName, port))->log(), Not(HasSubstr("backend")));
}

TEST_P(EchSplitTest, ABackendWithoutTls13IsRejectedAtTheStart) {
  TlsSettings old;
  old.max_version = TLS1_2_VERSION;
  const auto backend = StartTlsBackend(pki_.Issue(LeafFor(kHiddenName)), old);
  const CommandResult refused = RunCommand(RouteTo("*.hidden.test", backend->port()), kPatience);
  EXPECT_EQ(refused.exit_status, 1);
  EXPECT_THAT(refused.errors, HasSubstr("with the alert protocol_version"));
}

TEST_P(EchSplitTest, AnUnreachableBackendDoesNotPreventTheStart) {
  const RefusingPort nobody;
  EXPECT_THAT(StartProgram(RouteTo("*.hidden.test", nobody.port()))->log(),
              HasSubstr("warning: backend 127.0.0.1:"));
}

TEST_P(EchSplitTest, TheMonitorFindsABackendThatDoesNotConfirm) {
  const uint16_t port = FreePort();
  const auto server = StartOpensslBackend(port);
  std::vector<std::string> argv = RouteTo(kHiddenName, port);
  argv.insert(argv.end(), {"--dangerous_unconfirmed_ech", "--admin=127.0.0.1:0",
                           "--probe_interval=1s", "--probe_ca=" + PathOf("ca.pem")});
  const auto proxy = StartProgram(argv);
  EXPECT_TRUE(proxy->WaitForLog("source=probe event=failing detail=")) << proxy->log();
  EXPECT_THAT(proxy->log(), HasSubstr("the server doesn't confirm an inner hello"));
}

// The backend's restart takes its route from clients that hide the name, until it confirms again.
TEST_P(EchSplitTest, ABackendThatNoLongerConfirmsGetsNoHiddenNames) {
  const uint16_t port = FreePort();
  WriteCertificate("hidden", LeafFor(kHiddenName));
  const auto start_confirming = [&] {
    return StartProgram({ExampleProgram("terminating_proxy"),
                         absl::StrCat("--listen=127.0.0.1:", port),
                         "--backend=" + plain_->address(), "--cert=" + PathOf("hidden.pem"),
                         "--key=" + PathOf("hidden.key")});
  };
  auto confirming = start_confirming();
  std::vector<std::string> argv = RouteTo(kHiddenName, port);
  argv.insert(argv.end(), {"--log_connections=text", "--admin=127.0.0.1:0", "--probe_interval=1s",
                           "--probe_ca=" + PathOf("ca.pem")});
  const auto proxy = StartProgram(argv);
  EXPECT_TRUE(Accepts(*proxy, pem_));
  confirming.reset();
  auto other = StartOpensslBackend(port);
  EXPECT_TRUE(proxy->WaitForLog("detail=\"the server doesn't confirm an inner hello"))
      << proxy->log();
  EXPECT_FALSE(Accepts(*proxy, pem_));
  EXPECT_TRUE(proxy->WaitForLog("no_backend")) << proxy->log();
  other.reset();
  confirming = start_confirming();
  EXPECT_TRUE(proxy->WaitForLog("source=probe event=recovered")) << proxy->log();
  EXPECT_TRUE(Accepts(*proxy, pem_));
}

// A router that does not terminate TLS has its own keys.
TEST_P(EchSplitTest, ARouterAloneReloadsItsKeys) {
  const auto proxy = StartProgram(
      {ExampleProgram(GetParam()), "--listen=127.0.0.1:0", KeysFlag(),
       absl::StrCat(IsOnePort() ? "--pass" : "--routes", "=*.hidden.test=", backend_->address())});
  EXPECT_TRUE(Accepts(*proxy, pem_));
  const std::string next = NewPair(3);
  WriteFile("ech.pem", next);
  EXPECT_TRUE(proxy->WaitForLog("ECH config ids 3")) << proxy->log();
  EXPECT_TRUE(proxy->WaitForLog(absl::StrCat("ech=", absl::Base64Escape(ListOf(next)))));
  EXPECT_TRUE(Accepts(*proxy, next));
}

// Searches all output of the programs: both forms of the log, and the pages of --admin.
TEST_P(EchSplitTest, HiddenNamesAreNotRevealed) {
  const std::string curl = FindProgram("curl");
  const RefusingPort nobody;
  for (const char* format : {"text", "json"}) {
    for (const std::string& backend : {backend_->address(), nobody.address()}) {
      SCOPED_TRACE(absl::StrCat(format, " ", backend));
      const auto proxy =
          Start(backend, {absl::StrCat("--log_connections=", format), "--admin=127.0.0.1:0"});
      ASSERT_TRUE(proxy->WaitForLog("admin on "));
      // Served or unreachable, without a route, with an unknown key.
      Ask(*proxy, kHiddenName, WithEch());
      Ask(*proxy, "secret4711.elsewhere.test", WithEch());
      TlsSettings outdated;
      outdated.ech_config_list = ListOf(NewPair(9));
      Ask(*proxy, kHiddenName, outdated);
      // Names that are not hidden are present.
      Ask(*proxy, "seen.hidden.test", {});
      stream_.reset();
      EXPECT_TRUE(proxy->WaitForLog("seen.hidden.test")) << proxy->log();
      std::string written;
      const std::string admin = proxy->log().substr(proxy->log().find("admin on ") + 9);
      for (const char* page : {"/metrics", "/legs", "/"}) {
        const CommandResult result = RunCommand(
            {curl, "--silent", absl::StrCat("http://", admin.substr(0, admin.find('\n')), page)},
            kPatience);
        EXPECT_NE(result.output, "");
        written += result.output;
      }
      EXPECT_THAT(written,
                  HasSubstr("trestle_ech_hellos_total{config_id=\"1\",result=\"opened\"} 2"));
      proxy->process.Signal(SIGTERM);
      proxy->process.WaitForExit(kPatience);
      absl::StrAppend(&written, proxy->process.output(), proxy->log());
      if (terminator_ != nullptr) written += terminator_->log();
      EXPECT_THAT(written, Not(HasSubstr("secret4711")));
      EXPECT_THAT(written, HasSubstr("(ech)"));
    }
  }
}

}  // namespace
}  // namespace trestle::e2e
