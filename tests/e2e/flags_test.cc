// The command lines of the example proxies: which ones are rejected, and with which text.

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;

class FlagsTest : public ProxyTest {
 protected:
  // Expects the proxy not to start, and to print one line that contains `words`.
  void ExpectRefusal(Mode mode, const std::vector<std::string>& flags, const std::string& words) {
    std::vector<std::string> argv = {ExampleProgram(ProgramOf(mode))};
    argv.insert(argv.end(), flags.begin(), flags.end());
    const CommandResult result = RunCommand(argv, kPatience);
    EXPECT_GT(result.exit_status, 0) << words;
    EXPECT_THAT(result.errors, HasSubstr(words));
    EXPECT_EQ(std::count(result.errors.begin(), result.errors.end(), '\n'), 1) << result.errors;
    EXPECT_EQ(result.output, "");
  }

  // Returns `flags` with those of the same names in `changes` replaced; "--x" alone removes --x.
  static std::vector<std::string> Change(std::vector<std::string> flags,
                                         const std::vector<std::string>& changes) {
    for (const std::string& change : changes) {
      const std::string name = change.substr(0, change.find('='));
      flags.erase(std::remove_if(
                      flags.begin(), flags.end(),
                      [&](const std::string& flag) { return absl::StartsWith(flag, name + "="); }),
                  flags.end());
      if (change != name) flags.push_back(change);
    }
    return flags;
  }

  const std::string backend_ = "127.0.0.1:9";
  const std::vector<std::string> offload_ = FlagsFor(Mode::kOffload, backend_);
  const std::vector<std::string> passthrough_ = FlagsFor(Mode::kPassthrough, backend_);
  const std::vector<std::string> bridge_ = FlagsFor(Mode::kBridge, backend_);
};

TEST_F(FlagsTest, UnreadHttp2IsRejectedWithPoliciesThatDifferByClient) {
  const std::string ca = "--client_ca=" + PathOf("ca.pem");
  for (const Mode mode : {Mode::kBridge, Mode::kOffload}) {
    const auto& flags = mode == Mode::kBridge ? bridge_ : offload_;
    ExpectRefusal(
        mode,
        Change(flags, {"--alpn=h2,http/1.1", ca, "--client_auth=required,status.example=none"}),
        "policies for client certificates differ by server name");
    ExpectRefusal(mode, Change(flags, {"--alpn=h2", ca, "--proxy_protocol=out:v2"}),
                  "PROXY v2 headers tell the backend of client certificates");
    const auto proxy = StartProxy(mode, backend_,
                                  {"--alpn=h2", ca, "--client_auth=required,status.example=none",
                                   "--dangerous_unread_http2=true"});
    EXPECT_NE(proxy, nullptr);
  }
}

TEST_F(FlagsTest, MissingRequiredFlagsAreReported) {
  ExpectRefusal(Mode::kOffload, Change(offload_, {"--listen"}), "--listen is required");
  ExpectRefusal(Mode::kOffload, Change(offload_, {"--cert"}), "--cert is required");
  ExpectRefusal(Mode::kOffload, Change(offload_, {"--key"}), "--key is required");
  ExpectRefusal(Mode::kOffload, Change(offload_, {"--backend"}), "--backend is required");
  ExpectRefusal(Mode::kPassthrough, Change(passthrough_, {"--routes"}), "there is no route");
  ExpectRefusal(Mode::kBridge, Change(bridge_, {"--backend_ca"}), "--backend_ca is required");
  ExpectRefusal(Mode::kBridge, Change(bridge_, {"--backend_name"}), "--backend_name is required");
  ExpectRefusal(Mode::kBridge, Change(bridge_, {"--backend_name="}), "--backend_name is required");
}

TEST_F(FlagsTest, ServersThatCannotBeDialedAreRejected) {
  const std::pair<const char*, const char*> rows[] = {{"127.0.0.1:0", "port 0 stands for any"},
                                                      {"0.0.0.0:80", "every address of a machine"},
                                                      {"[::]:80", "every address of a machine"}};
  for (const auto& [address, words] : rows) {
    const auto with = [&, address = std::string(address)](const std::string& flag) {
      return absl::StrCat("--", flag, address);
    };
    ExpectRefusal(Mode::kOffload, Change(offload_, {with("backend=")}), words);
    ExpectRefusal(Mode::kOffload, Change(offload_, {with("ticket_keys_redis=")}), words);
    ExpectRefusal(Mode::kBridge, Change(bridge_, {with("backend=127.0.0.1:1+")}), words);
    ExpectRefusal(Mode::kPassthrough, Change(passthrough_, {with("routes=a.test=")}), words);
    ExpectRefusal(Mode::kPassthrough, Change(passthrough_, {with("default_backend=")}), words);
    const std::string file = WriteFile("routes", absl::StrCat("a.test ", address, "\n"));
    ExpectRefusal(Mode::kPassthrough, Change(passthrough_, {"--routes_file=" + file}), words);
  }
}

TEST_F(FlagsTest, AnEncryptedBackendKeyIsReadWithItsPassphrase) {
  testing::LeafSpec leaf = LeafFor("client.test");
  leaf.server_auth = false;
  WriteCertificate("client", leaf);
  EncryptKey("client.key", "sesame");
  std::vector<std::string> flags = {"--backend_cert=" + PathOf("client.pem"),
                                    "--backend_key=" + PathOf("client.key")};
  ExpectRefusal(Mode::kBridge, Change(bridge_, flags),
                "client.key is encrypted, and there is no --key_passphrase_file");
  flags.push_back("--key_passphrase_file=" + WriteFile("passphrase", "sesame\n"));
  EXPECT_NE(StartProxy(Mode::kBridge, backend_, flags)->port, 0);
}

TEST_F(FlagsTest, FilesOfCasAndRevocationListsHaveOneLimit) {
  // The content doesn't matter: a file of 2 MiB is read, a file over the limit is rejected.
  const std::string some = WriteFile("some", std::string(2 << 20, '\n'));
  const std::string huge = WriteFile("huge", "");
  std::filesystem::resize_file(huge, (256 << 20) + 1);
  const std::string ca = "--client_ca=" + PathOf("ca.pem");
  const auto check = [&](Mode mode, const std::vector<std::string>& base,
                         std::vector<std::string> more, const std::string& flag) {
    more.push_back(absl::StrCat("--", flag, "=", huge));
    ExpectRefusal(mode, Change(base, more), "huge: it is larger than 268435456 bytes");
    more.back() = absl::StrCat("--", flag, "=", some);
    ExpectRefusal(mode, Change(base, more), "no ");  // "no certificate", "no revocation list"
  };
  check(Mode::kOffload, offload_, {}, "client_ca");
  check(Mode::kOffload, offload_, {ca}, "client_crl");
  check(Mode::kBridge, bridge_, {}, "backend_ca");
  check(Mode::kBridge, bridge_, {}, "backend_crl");
}

TEST_F(FlagsTest, ValuesAreChecked) {
  ExpectRefusal(Mode::kOffload, Change(offload_, {"--listen=localhost:1"}), "--listen is wrong");
  ExpectRefusal(Mode::kOffload, Change(offload_, {"--backend=127.0.0.1"}), "--backend is wrong");
  ExpectRefusal(Mode::kOffload, Change(offload_, {"--threads=0"}), "--threads must be");
  for (const char* limit : {"max_connections", "max_full_handshakes", "max_handshakes_per_second",
                            "max_handshakes_per_second_per_client"}) {
    ExpectRefusal(Mode::kOffload, Change(offload_, {absl::StrCat("--", limit, "=-1")}),
                  absl::StrCat("--", limit, " must not be negative"));
  }
  ExpectRefusal(Mode::kBridge, Change(bridge_, {"--max_handshakes_per_second=inf"}),
                "a rate of handshakes must be a number");
  ExpectRefusal(Mode::kOffload, Change(offload_, {"--acme_tokens_dir=/nonexistent"}),
                "--acme_tokens_dir=/nonexistent: No such file or directory");
  ExpectRefusal(Mode::kOffload, Change(offload_, {"--ticket_keys_redis=redis.test"}),
                "--ticket_keys_redis is wrong");
  ExpectRefusal(Mode::kOffload, Change(offload_, {"--ticket_keys_redis=redis..test:6379"}),
                "--ticket_keys_redis is wrong");
  const std::string redis = "--ticket_keys_redis=127.0.0.1:6379";
  ExpectRefusal(Mode::kOffload, Change(offload_, {redis, "--ticket_keys_file=x"}),
                "--ticket_keys_file and --ticket_keys_redis exclude each other");
  ExpectRefusal(Mode::kOffload, Change(offload_, {redis, "--ticket_keys_redis_user=x"}),
                "a user of Redis needs a password");
  ExpectRefusal(Mode::kOffload, Change(offload_, {redis, "--ticket_keys_rotate_every=15s"}),
                "looked at twice as often as they rotate");
  ExpectRefusal(Mode::kOffload, Change(offload_, {redis, "--ticket_keys_redis_password_file=x"}),
                "cannot read x: No such file or directory");
  ExpectRefusal(Mode::kOffload, Change(offload_, {"--signing_threads=65"}),
                "a pool of 65 threads: it can have 1 to 64");
  ExpectRefusal(Mode::kOffload,
                Change(offload_, {absl::StrCat("--ech_keys_file=", WriteFile("empty.pem", ""))}),
                "empty.pem: no PEM blocks \"PRIVATE KEY\" and \"ECHCONFIG\" for ECH");
  ExpectRefusal(Mode::kOffload, Change(offload_, {"--drain_on_reload=-1s"}),
                "--drain_on_reload must not be negative");
  ExpectRefusal(Mode::kOffload, Change(offload_, {"--after_certificate_expiry=-1s"}),
                "after_certificate_expiry must not be negative");
  for (const char* keepalive : {"-1s", "3s", "10h", "inf"}) {
    ExpectRefusal(Mode::kOffload, Change(offload_, {absl::StrCat("--tcp_keepalive=", keepalive)}),
                  "--tcp_keepalive must be 0, or from 4s to 9h");
  }
  ExpectRefusal(Mode::kOffload, Change(offload_, {"--threads=x"}), "'threads'");
  ExpectRefusal(Mode::kOffload, Change(offload_, {"--idle_timeout=5"}), "'idle_timeout'");
  ExpectRefusal(Mode::kOffload, Change(offload_, {"--hello_timeout=0s"}), "hello_timeout");
  ExpectRefusal(Mode::kBridge, Change(bridge_, {"--handshake_timeout=-1s"}), "handshake_timeout");
  ExpectRefusal(Mode::kBridge, Change(bridge_, {"--drain_timeout=inf"}), "--drain_timeout must");
  ExpectRefusal(Mode::kBridge, Change(bridge_, {"--backend_name=not a name"}), "name");
  ExpectRefusal(Mode::kPassthrough, Change(passthrough_, {"--routes=a.test"}), "a.test");
  ExpectRefusal(Mode::kPassthrough, Change(passthrough_, {"--routes=a.*.test=127.0.0.1:1"}),
                "a.*.test");
  ExpectRefusal(Mode::kPassthrough,
                Change(passthrough_, {"--routes=a.test=127.0.0.1:1,a.test=127.0.0.1:2"}), "twice");
  ExpectRefusal(Mode::kPassthrough, Change(passthrough_, {"--default_backend=x"}),
                "--default_backend is wrong");
  ExpectRefusal(Mode::kPassthrough, Change(passthrough_, {"--no_name=drop"}), "--no_name has");
  ExpectRefusal(Mode::kPassthrough, Change(passthrough_, {"--unknown_name="}),
                "--unknown_name has");
  ExpectRefusal(Mode::kPassthrough,
                Change(passthrough_, {"--default_backend=127.0.0.1:9", "--no_name=close",
                                      "--unknown_name=alert"}),
                "nothing can reach the default route");
}

TEST_F(FlagsTest, UnknownArgumentsAreRejected) {
  for (const Mode mode : {Mode::kOffload, Mode::kPassthrough, Mode::kBridge}) {
    ExpectRefusal(mode, Change(FlagsFor(mode, backend_), {"--no_such_flag=1"}), "no_such_flag");
    ExpectRefusal(mode, Change(FlagsFor(mode, backend_), {"surplus=1"}), "surplus");
  }
}

TEST_F(FlagsTest, FilesAreChecked) {
  const testing::PemPair other = pki_.Issue(LeafFor(kFrontName));
  const std::string other_key = WriteFile("other.key", other.key);
  const std::string empty = WriteFile("empty.pem", "");
  const std::string missing = PathOf("missing.pem");
  for (const Mode mode : {Mode::kOffload, Mode::kBridge}) {
    const std::vector<std::string> flags = FlagsFor(mode, backend_);
    ExpectRefusal(mode, Change(flags, {"--cert=" + missing}), missing + ": No such file");
    ExpectRefusal(mode, Change(flags, {"--key=" + missing}), missing + ": No such file");
    ExpectRefusal(mode, Change(flags, {"--cert=" + empty}), empty);
    ExpectRefusal(mode, Change(flags, {"--key=" + empty}), empty);
    ExpectRefusal(mode, Change(flags, {"--key=" + other_key}), "doesn't belong");
  }
  ExpectRefusal(Mode::kBridge, Change(bridge_, {"--backend_ca=" + missing}), missing);
  ExpectRefusal(Mode::kBridge, Change(bridge_, {"--backend_ca=" + empty}), empty);
}

TEST_F(FlagsTest, APortInUseIsReported) {
  for (const Mode mode : {Mode::kOffload, Mode::kPassthrough, Mode::kBridge}) {
    const auto proxy = StartProxy(mode, backend_, {"--threads=2"});
    const std::string listen = absl::StrCat("--listen=127.0.0.1:", proxy->port);
    ExpectRefusal(mode, Change(FlagsFor(mode, backend_), {listen, "--threads=2"}),
                  "is in use by another program");
  }
}

TEST_F(FlagsTest, AFreePortIsChosenAndPrintedOnce) {
  const auto proxy = StartProxy(Mode::kOffload, backend_, {"--threads=4"});
  EXPECT_NE(proxy->port, 0);
  proxy->process.Signal(SIGTERM);
  ASSERT_EQ(proxy->process.WaitForExit(kPatience), 0);
  const std::vector<std::string> parts = absl::StrSplit(proxy->log(), "listening on ");
  EXPECT_EQ(parts.size(), 2u) << proxy->log();
}

TEST_F(FlagsTest, HelpListsAllFlags) {
  const std::vector<std::string> shared = {
      "listen",       "threads",       "hello_timeout",  "handshake_timeout",
      "idle_timeout", "drain_timeout", "log_connections"};
  const std::map<Mode, std::vector<std::string>> own = {
      {Mode::kOffload, {"cert", "key", "backend"}},
      {Mode::kPassthrough, {"routes", "default_backend", "no_name", "unknown_name"}},
      {Mode::kBridge,
       {"cert", "key", "backend", "backend_ca", "backend_name", "backend_resumption",
        "backend_pins", "backend_crl", "backend_cert", "backend_key", "alpn", "eager_alpn",
        "copy_server_name", "backend_verify_name"}}};
  for (const auto& [mode, flags] : own) {
    const CommandResult help = RunCommand({ExampleProgram(ProgramOf(mode)), "--help"}, kPatience);
    EXPECT_EQ(help.exit_status, 0);
    EXPECT_THAT(help.output, HasSubstr(absl::StrCat("  ", ProgramOf(mode), " --listen=")));
    for (const std::string& flag : shared) EXPECT_THAT(help.output, HasSubstr("\n  --" + flag));
    for (const std::string& flag : flags) EXPECT_THAT(help.output, HasSubstr("\n  --" + flag));
  }
}

TEST_F(FlagsTest, FrontFlagsAreChecked) {
  const std::string ca = "--client_ca=" + PathOf("ca.pem");
  const auto refuse = [this](std::vector<std::string> flags, const std::string& words) {
    flags.insert(flags.end(), offload_.begin(), offload_.end());
    ExpectRefusal(Mode::kOffload, flags, words);
  };
  refuse({"--client_auth=required"}, "--client_ca is required");
  refuse({"--client_crl=" + PathOf("crl.pem")}, "--client_ca is required");
  refuse({"--client_ca=" + PathOf("none.pem")}, "none.pem: No such file");
  refuse({"--client_ca=" + PathOf("front.key")}, "holds no PEM block");
  refuse({ca, "--client_crl=" + PathOf("ca.pem")}, "holds no PEM block \"X509 CRL\"");
  refuse({ca, "--client_crl=" + WriteFile("empty", "")}, "is empty: it must hold revocation lists");
  refuse({ca, "--client_auth=maybe"}, "the mode \"maybe\"");
  refuse({ca, "--client_auth=a..test=none"}, "--client_auth is wrong");
  refuse({ca, "--client_allow=alice"}, "begins with neither dns:, uri: nor key:");
  refuse({ca, "--client_allow=key:12"}, "isn't 64 hexadecimal digits");
  refuse({"--tls_preset=old"}, "--tls_preset must be modern or intermediate");
  refuse({"--alpn_mismatch=maybe"}, "--alpn_mismatch must be refuse or serve");
  refuse({"--alpn=h2,h2"}, "an application protocol is listed twice");
  refuse({"--max_key_updates_per_minute=0"}, "max_key_updates_per_minute must be at least 1");
  refuse({"--certificate_compression=lzma"}, "neither brotli nor zlib");
  refuse({"--dangerous_key_log=/nonexistent/keys"}, "--dangerous_key_log can't be written");
  refuse({"--certs_dir=" + PathOf("none")}, "none: No such file");
  refuse({"--ticket_keys_file=" + PathOf("none")}, "none: No such file");
  refuse({"--ticket_keys_file=" + WriteFile("keys", "?")}, "line 1 of the ticket keys");
}

}  // namespace
}  // namespace trestle::e2e
