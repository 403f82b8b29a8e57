// Encrypted ClientHellos. BoringSSL's own program creates the keys with the shell lines of
// docs/front_tls.md, and is also the client.

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"
#include "tests/e2e/shell_blocks.h"
#include "trestle/linux/file.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Bazel's path of the program, relative to the folder of the tests; the same in old and new
// releases.
constexpr char kBssl[] = "../boringssl/bssl";
// As in docs/front_tls.md. The hidden name is kFrontName.
constexpr char kPublicName[] = "public.example";

class EchTest : public ProxyTest, public ::testing::WithParamInterface<Mode> {
 protected:
  EchTest() {
    std::filesystem::create_directory(PathOf("certs"));
    WriteCertificate("certs/public", LeafFor(kPublicName));
    if (blocks_.size() != 2) {
      ADD_FAILURE() << "docs/front_tls.md has " << blocks_.size() << " shell blocks, not two";
      exit(1);
    }
    MakeKeys("now", 1);
    std::filesystem::copy_file(PathOf("now/ech.pem"), PathOf("ech.pem"));
  }

  // Runs lines of the page in a folder of the test.
  void Run(const std::string& lines, const std::string& folder) {
    // The page calls the program by its name.
    const std::string bssl = std::filesystem::absolute(kBssl).parent_path();
    const CommandResult result =
        RunCommand({"/bin/bash", "-euc",
                    absl::StrCat("PATH=", bssl, ":$PATH; cd ", PathOf(folder), "\n", lines)},
                   kPatience);
    EXPECT_EQ(result.exit_status, 0) << lines << result.errors;
  }

  // Creates FOLDER/ech.pem, /list and so on with the first block of the page.
  void MakeKeys(const std::string& folder, int config_id) {
    std::filesystem::create_directory(PathOf(folder));
    Run(absl::StrReplaceAll(blocks_.front(),
                            {{"-config-id 1", absl::StrCat("-config-id ", config_id)}}),
        folder);
  }

  // Returns the steps of a rotation: the lines of the second block.
  std::vector<std::string> RotationSteps() const {
    return absl::StrSplit(blocks_.back(), '\n', absl::SkipEmpty());
  }

  std::string List(const std::string& folder) const { return *ReadFile(PathOf(folder + "/list")); }
  // Returns the proxy's line with the config to publish.
  std::string Published(const std::string& folder) const {
    return absl::StrCat("ech=", absl::Base64Escape(List(folder)), "\n");
  }

  std::unique_ptr<ProxyProcess> Start() const {
    return StartProxy(GetParam(), backend_->address(),
                      {absl::StrCat("--certs_dir=", PathOf("certs")),
                       absl::StrCat("--ech_keys_file=", PathOf("ech.pem"))});
  }

  // Makes one request for the hidden name with bssl, which verifies the certificate.
  CommandResult Bssl(const ProxyProcess& proxy, const std::vector<std::string>& more_flags) const {
    std::vector<std::string> argv = {
        kBssl,          "client",   "-connect",    absl::StrCat("127.0.0.1:", proxy.port),
        "-server-name", kFrontName, "-root-certs", PathOf("ca.pem")};
    argv.insert(argv.end(), more_flags.begin(), more_flags.end());
    Process client(argv);
    client.WriteInput("GET /hello HTTP/1.0\r\n\r\n");
    // bssl would truncate the connection at the end of its input.
    const int exit_status = client.WaitForExit(kPatience).value_or(-1);
    return {exit_status, client.output(), client.errors()};
  }

  CommandResult BsslWithEch(const ProxyProcess& proxy, const std::string& folder) const {
    return Bssl(proxy, {"-ech-config-list", PathOf(folder + "/list")});
  }

  static void ExpectServed(const CommandResult& result, bool with_ech) {
    EXPECT_EQ(result.exit_status, 0) << result.errors;
    EXPECT_THAT(result.output, HasSubstr("hello from backend"));
    EXPECT_THAT(result.errors,
                HasSubstr(absl::StrCat("Encrypted ClientHello: ", with_ech ? "yes" : "no")));
    EXPECT_THAT(result.errors, HasSubstr(absl::StrCat("Cert subject: CN = ", kFrontName)));
  }

  static void ExpectRejected(const CommandResult& result) {
    EXPECT_EQ(result.exit_status, 1);
    EXPECT_THAT(result.errors, HasSubstr("ECH_REJECTED"));
    EXPECT_EQ(result.output, "");
  }

  bool Accepts(const ProxyProcess& proxy, const std::string& folder) const {
    return BsslWithEch(proxy, folder).exit_status == 0;
  }

  const std::vector<std::string> blocks_ = ShellBlocks("docs/front_tls.md");
  const std::unique_ptr<HttpBackend> backend_ = StartBackend(GetParam());
};

INSTANTIATE_TEST_SUITE_P(Proxies, EchTest, ::testing::Values(Mode::kOffload, Mode::kBridge),
                         [](const auto& info) { return ProgramOf(info.param); });

TEST_P(EchTest, TheHiddenNameIsServedAndNotLogged) {
  const auto proxy = Start();
  EXPECT_THAT(proxy->log(), HasSubstr(Published("now")));
  ExpectServed(BsslWithEch(*proxy, "now"), true);
  EXPECT_TRUE(proxy->WaitForLog(" sni=(ech) ")) << proxy->log();
  EXPECT_THAT(proxy->log(), Not(HasSubstr(kFrontName)));
}

TEST_P(EchTest, ClientsWithoutEchAreServed) {
  const auto proxy = Start();
  ExpectServed(Bssl(*proxy, {}), false);
  EXPECT_TRUE(proxy->WaitForLog(absl::StrCat(" sni=", kFrontName))) << proxy->log();
}

TEST_P(EchTest, GreaseIsAccepted) {
  const auto proxy = Start();
  ExpectServed(Bssl(*proxy, {"-ech-grease"}), false);
  EXPECT_TRUE(proxy->WaitForLog(absl::StrCat(" sni=", kFrontName))) << proxy->log();
}

// bssl doesn't print the configs that it receives, so another client reads them.
TEST_P(EchTest, AnOutdatedConfigIsAnsweredWithAUsableOne) {
  MakeKeys("outdated", 2);
  const auto proxy = Start();
  ExpectRejected(BsslWithEch(*proxy, "outdated"));
  EXPECT_TRUE(proxy->WaitForLog(absl::StrCat(" sni=", kPublicName))) << proxy->log();
  EXPECT_TRUE(proxy->WaitForLog("ech_required")) << proxy->log();
  TlsSettings outdated;
  outdated.ech_config_list = List("outdated");
  const auto client = BlockingStream::Connect(proxy->port);
  ASSERT_NE(client, nullptr);
  ASSERT_FALSE(client->StartClient(kFrontName, outdated));
  EXPECT_EQ(client->peer_names(), kPublicName);
  std::filesystem::create_directory(PathOf("told"));
  WriteFile("told/list", client->ech_retry_configs());
  ExpectServed(BsslWithEch(*proxy, "told"), true);
}

TEST_P(EchTest, KeysRotateWithTheFile) {
  MakeKeys("new", 2);
  std::filesystem::copy_file(PathOf("new/ech.pem"), PathOf("new.pem"));
  const std::vector<std::string> steps = RotationSteps();
  ASSERT_EQ(steps.size(), 4u);
  const auto proxy = Start();
  EXPECT_FALSE(Accepts(*proxy, "new"));
  Run(steps[0], ".");
  Run(steps[1], ".");
  EXPECT_TRUE(WaitUntil([&] { return Accepts(*proxy, "new"); })) << proxy->log();
  EXPECT_TRUE(Accepts(*proxy, "now"));
  EXPECT_THAT(proxy->log(), Not(HasSubstr(Published("new")))) << "it is in second place";
  Run(steps[2], ".");
  EXPECT_TRUE(proxy->WaitForLog(Published("new"))) << proxy->log();
  EXPECT_TRUE(Accepts(*proxy, "new"));
  EXPECT_TRUE(Accepts(*proxy, "now"));
  Run(steps[3], ".");
  EXPECT_TRUE(WaitUntil([&] { return !Accepts(*proxy, "now"); })) << proxy->log();
  ExpectServed(BsslWithEch(*proxy, "new"), true);
  ExpectRejected(BsslWithEch(*proxy, "now"));
}

TEST_P(EchTest, ADamagedFileKeepsTheOldKeys) {
  const auto proxy = Start();
  WriteFile("ech.pem", "damaged");
  EXPECT_TRUE(proxy->WaitForLog("reload failed, ")) << proxy->log();
  EXPECT_TRUE(proxy->WaitForLog(absl::StrCat("cannot use ", PathOf("ech.pem"), ": no PEM blocks")))
      << proxy->log();
  ExpectServed(BsslWithEch(*proxy, "now"), true);
}

}  // namespace
}  // namespace trestle::e2e
