// Reloads and starts under a shortage of resources, or with a file that is not a regular file.

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;

class ReloadFaultsTest : public ProxyTest {
 protected:
  // Replaces the file by a FIFO without a writer.
  void MakeFifo(const std::string& name) const {
    unlink(PathOf(name).c_str());
    ASSERT_EQ(mkfifo(PathOf(name).c_str(), 0600), 0);
  }

  CommandResult Refusal(const std::string& program, const std::vector<std::string>& flags) const {
    std::vector<std::string> argv = {ExampleProgram(program)};
    argv.insert(argv.end(), flags.begin(), flags.end());
    return RunCommand(argv, kPatience);
  }

  static size_t Count(const std::string& text, const std::string& word) {
    const std::vector<std::string> pieces = absl::StrSplit(text, word);
    return pieces.size() - 1;
  }

  const std::unique_ptr<HttpBackend> backend_ = StartBackend(Mode::kOffload);
};

TEST_F(ReloadFaultsTest, AFifoInPlaceOfACertificateBlocksNothing) {
  const auto proxy = StartProxy(Mode::kOffload, backend_->address());
  MakeFifo("front.pem");
  proxy->process.Signal(SIGHUP);
  EXPECT_TRUE(proxy->WaitForLog("front.pem: it is not a regular file")) << proxy->log();
  EXPECT_NE(ConnectTls(proxy->port), nullptr);
  proxy->process.Signal(SIGTERM);
  EXPECT_EQ(proxy->process.WaitForExit(kPatience), 0);

  const CommandResult start =
      Refusal("terminating_proxy", FlagsFor(Mode::kOffload, backend_->address()));
  EXPECT_EQ(start.exit_status, 1);
  EXPECT_EQ(start.errors, absl::StrCat("terminating_proxy: cannot read ", PathOf("front.pem"),
                                       ": it is not a regular file\n"));
}

TEST_F(ReloadFaultsTest, AFifoInPlaceOfARoutesFileBlocksNothing) {
  const std::string routes = WriteFile("routes", "front.test 127.0.0.1:9\n");
  const auto proxy = StartProgram(
      {ExampleProgram("passthrough_proxy"), "--listen=127.0.0.1:0", "--routes_file=" + routes});
  MakeFifo("routes");
  EXPECT_TRUE(proxy->WaitForLog("routes: it is not a regular file")) << proxy->log();
  proxy->process.Signal(SIGTERM);
  EXPECT_EQ(proxy->process.WaitForExit(kPatience), 0);
}

TEST_F(ReloadFaultsTest, AFifoInTheAcmeFolderBlocksNoLoop) {
  ASSERT_EQ(mkdir(PathOf("acme").c_str(), 0700), 0);
  MakeFifo(absl::StrCat("acme/", kFrontName));
  const auto proxy =
      StartProxy(Mode::kOffload, backend_->address(), {"--acme_tokens_dir=" + PathOf("acme")});
  const CommandResult challenge =
      Openssl(proxy->port, "/", {"-alpn", "acme-tls/1", "-servername", kFrontName});
  EXPECT_NE(challenge.exit_status, 0);
  EXPECT_TRUE(proxy->WaitForLog("it is not a regular file")) << proxy->log();
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
}

TEST_F(ReloadFaultsTest, ARotationWithoutFreeDescriptorsIsRetried) {
  const auto proxy = StartProxy(Mode::kOffload, backend_->address());
  // No descriptor can be opened any more; open ones stay open.
  rlimit before;
  const rlimit none = {3, 1024};
  ASSERT_EQ(prlimit(proxy->process.pid(), RLIMIT_NOFILE, &none, &before), 0);
  WriteCertificate("front", LeafFor(kFrontName));
  ASSERT_TRUE(proxy->WaitForLog("front.pem: Too many open files")) << proxy->log();
  ASSERT_TRUE(proxy->WaitForLog("the reload is tried again in 1s")) << proxy->log();
  const rlimit enough = {1024, 1024};
  ASSERT_EQ(prlimit(proxy->process.pid(), RLIMIT_NOFILE, &enough, nullptr), 0);
  // The proxy retries by itself.
  EXPECT_TRUE(proxy->WaitForLog("reloaded: front.test")) << proxy->log();
}

TEST_F(ReloadFaultsTest, WithoutInotifyItStartsAndLogsThat) {
  const auto proxy =
      StartProxy(Mode::kOffload, backend_->address(), {},
                 {FindProgram("unshare"), "--user", "--map-root-user", "/bin/sh", "-c",
                  "echo 0 > /proc/sys/user/max_inotify_instances; exec \"$0\" \"$@\""});
  EXPECT_THAT(proxy->log(), HasSubstr("files are not watched for changes, only SIGHUP loads them "
                                      "again: cannot open an inotify descriptor"));
  EXPECT_EQ(Curl(proxy->port, "/hello").output, "hello from backend");
  proxy->process.Signal(SIGHUP);
  EXPECT_TRUE(proxy->WaitForLog("reloaded: front.test")) << proxy->log();
}

TEST_F(ReloadFaultsTest, AThreadThatCannotStartIsReportedInASentence) {
  // A sanitizer's runtime needs more address space than the first limit. The second one makes each
  // thread's stack larger than the system's memory, so that not even the log's thread starts.
  const char* const limit = kSanitized ? "--stack=274877906944:" : "--as=2000000000";
  const char* const reporter = kSanitized ? "no log" : "terminating_proxy";
  std::vector<std::string> argv = {FindProgram("prlimit"), limit,
                                   ExampleProgram("terminating_proxy"), "--threads=1024"};
  for (const std::string& flag : FlagsFor(Mode::kOffload, backend_->address())) {
    argv.push_back(flag);
  }
  const CommandResult start = RunCommand(argv, kPatience);
  EXPECT_EQ(start.exit_status, 1);
  EXPECT_EQ(start.errors,
            absl::StrCat(reporter, ": cannot start a thread: Resource temporarily unavailable\n"));
}

TEST_F(ReloadFaultsTest, AnErrorNamesTheFileOfAFolderAndItsLine) {
  ASSERT_EQ(mkdir(PathOf("cas").c_str(), 0700), 0);
  WriteFile("cas/good.pem", pki_.ca_pem());
  const std::string bad = WriteFile(
      "cas/bad.pem", absl::StrCat("a comment\n\n",
                                  "-----BEGIN CERTIFICATE-----\n***\n-----END CERTIFICATE-----\n"));
  for (const char* flag : {"--client_ca=", "--backend_ca="}) {
    std::vector<std::string> flags = FlagsFor(Mode::kBridge, backend_->address());
    flags.push_back(flag + PathOf("cas"));
    EXPECT_THAT(Refusal("bridging_proxy", flags).errors,
                HasSubstr(absl::StrCat("cannot use ", bad, ": the CA file, line 3: ")));
  }
}

// Valid base64 of unrelated bytes.
TEST_F(ReloadFaultsTest, AnErrorInABlocksContentsNamesFileAndLine) {
  const auto broken = [](const std::string& label) {
    return absl::StrCat("a comment\n\n-----BEGIN ", label, "-----\nMAA=\n-----END ", label,
                        "-----\n");
  };
  const std::string bad = WriteFile("bad.pem", broken("CERTIFICATE"));
  const std::string bad_key = WriteFile("bad.key", broken("PRIVATE KEY"));
  const std::string bad_crl = WriteFile("bad.crl", broken("X509 CRL"));
  const std::string ca = PathOf("ca.pem");
  const std::string cert = PathOf("front.pem");
  const std::string key = PathOf("front.key");
  const struct {
    std::vector<std::string> flags;
    std::string fault;
  } kRows[] = {
      {{"--cert=" + bad},
       absl::StrCat(bad, " with ", key, ": the certificate chain, line 3: certificate 1 ")},
      {{"--key=" + bad_key},
       absl::StrCat(cert, " with ", bad_key, ": the private key's text, line 3: the private key ")},
      {{"--client_ca=" + bad}, absl::StrCat(bad, ": the CA file, line 3: certificate 1 ")},
      {{"--client_ca=" + ca, "--client_crl=" + bad_crl},
       absl::StrCat(ca, " with ", bad_crl, ": the CRL file, line 3: revocation list 1 ")},
      {{"--backend_ca=" + bad}, absl::StrCat(bad, ": the CA file, line 3: certificate 1 ")},
      {{"--backend_crl=" + bad_crl},
       absl::StrCat(ca, " with ", bad_crl, ": the CRL file, line 3: revocation list 1 ")},
      {{"--backend_cert=" + bad, "--backend_key=" + key},
       absl::StrCat(bad, " with ", key, ": the certificate chain, line 3: certificate 1 ")},
  };
  for (const auto& row : kRows) {
    std::vector<std::string> flags = FlagsFor(Mode::kBridge, backend_->address());
    flags.insert(flags.end(), row.flags.begin(), row.flags.end());
    EXPECT_THAT(Refusal("bridging_proxy", flags).errors,
                HasSubstr(absl::StrCat("cannot use ", row.fault, "doesn't parse")));
  }
  const auto proxy = StartProxy(Mode::kOffload, backend_->address());
  WriteFile("front.pem", broken("CERTIFICATE"));
  EXPECT_TRUE(proxy->WaitForLog(
      absl::StrCat("cannot use ", cert, " with ", key, ": the certificate chain, line 3: ")))
      << proxy->log();
}

TEST_F(ReloadFaultsTest, OneRotationOfCertificateAndKeyReloadsOnce) {
  const auto proxy = StartProxy(Mode::kOffload, backend_->address());
  WriteCertificate("front", LeafFor(kFrontName));
  ASSERT_TRUE(proxy->WaitForLog("reloaded: front.test")) << proxy->log();
  proxy->process.Signal(SIGTERM);
  EXPECT_EQ(proxy->process.WaitForExit(kPatience), 0);
  EXPECT_EQ(Count(proxy->log(), "reload"), 1u) << proxy->log();
}

}  // namespace
}  // namespace trestle::e2e
