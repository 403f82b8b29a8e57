// A fleet of terminating proxies with common ticket keys. openssl resumes sessions of one proxy at
// another, and after a restart.

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

// In base64.
constexpr char kOne[] = "T25lIG9mIHRoZSBrZXlzIHRoYXQgdGhpcyB0ZXN0IHNlYWxzIHRpY2tldHMgd2l0aC4u";
constexpr char kTwo[] = "QW5vdGhlciBvZiB0aGUga2V5cyB0aGF0IHRoaXMgdGVzdCBzZWFscyB0aWNrZXRzIHdp";
constexpr char kThree[] = "VGhlIHRoaXJkIG9mIHRoZSBrZXlzIHRoYXQgdGhpcyB0ZXN0IHNlYWxzIHRpY2tldHMg";

// The number of checks for a change. Each check takes a handshake.
constexpr int kMaxTries = 200;

class TicketKeysTest : public ProxyTest, public ::testing::WithParamInterface<const char*> {
 protected:
  std::unique_ptr<ProxyProcess> Start() {
    return StartProxy(Mode::kOffload, backend_->address(),
                      {absl::StrCat("--ticket_keys_file=", PathOf("keys"))});
  }

  // Creates a session at `proxy`.
  void MakeSession(const ProxyProcess& proxy) {
    const CommandResult made =
        Openssl(proxy.port, "/hello", {GetParam(), "-sess_out", PathOf("session")});
    EXPECT_EQ(made.exit_status, 0) << made.errors;
    EXPECT_THAT(made.output, ::testing::HasSubstr("New, "));
  }

  bool Resumes(const ProxyProcess& proxy) {
    const CommandResult result =
        Openssl(proxy.port, "/hello", {GetParam(), "-sess_in", PathOf("session")});
    EXPECT_EQ(result.exit_status, 0) << result.errors;
    EXPECT_THAT(result.output, ::testing::HasSubstr("hello from backend"));
    return absl::StrContains(result.output, "Reused, ");
  }

  const std::unique_ptr<HttpBackend> backend_ = StartBackend(Mode::kOffload);
};

INSTANTIATE_TEST_SUITE_P(Versions, TicketKeysTest, ::testing::Values("-tls1_2", "-tls1_3"),
                         [](const auto& info) {
                           return absl::StrContains(info.param, "2") ? "Tls12" : "Tls13";
                         });

TEST_P(TicketKeysTest, OtherProcessesResumeTheSession) {
  WriteFile("keys", absl::StrCat(kOne, "\n", kTwo, "\n", kThree, "\n"));
  auto one = Start();
  const auto two = Start();
  MakeSession(*one);
  EXPECT_TRUE(Resumes(*one));
  EXPECT_TRUE(Resumes(*two));
  one->process.Signal(SIGTERM);
  one->process.WaitForExit(kPatience);
  one = Start();
  EXPECT_TRUE(Resumes(*one)) << "a restart costs no session";
}

TEST_P(TicketKeysTest, SessionsOfRemovedKeysAreNotResumed) {
  WriteFile("keys", absl::StrCat(kOne, "\n", kTwo, "\n"));
  const auto proxy = Start();
  MakeSession(*proxy);
  // Rotated once: the key of the session is now the previous one. The file is watched.
  WriteFile("keys", absl::StrCat(kOne, "\n", kTwo, "\n", kThree, "\n"));
  ASSERT_TRUE(proxy->WaitForLog("reloaded: ")) << proxy->log();
  EXPECT_TRUE(Resumes(*proxy));
  WriteFile("keys", absl::StrCat(kTwo, "\n", kThree, "\n"));
  proxy->process.Signal(SIGHUP);
  int tries = 0;
  while (Resumes(*proxy) && ++tries < kMaxTries) continue;
  EXPECT_LT(tries, kMaxTries);
}

TEST_P(TicketKeysTest, ABadFileKeepsTheOldKeys) {
  WriteFile("keys", absl::StrCat(kOne, "\n"));
  const auto proxy = Start();
  MakeSession(*proxy);
  WriteFile("keys", absl::StrCat(kTwo, "\nnonsense\n"));
  ASSERT_TRUE(proxy->WaitForLog("reload failed")) << proxy->log();
  EXPECT_TRUE(proxy->WaitForLog("keys: line 2 of the ticket keys")) << proxy->log();
  EXPECT_TRUE(Resumes(*proxy));
}

TEST_P(TicketKeysTest, ABadFileKeepsTheCertificateToo) {
  std::string too_many;
  for (int i = 0; i < 17; ++i) {
    absl::StrAppend(&too_many, absl::Base64Escape(absl::StrCat("key ", i, std::string(40, '.'))),
                    "\n");
  }
  for (const std::string& bad : {std::string(), absl::StrCat(kOne, "\n", kOne, "\n"), too_many}) {
    WriteFile("keys", absl::StrCat(kOne, "\n"));
    const auto proxy = Start();
    const auto before = ConnectTls(proxy->port);
    ASSERT_NE(before, nullptr);
    // One reload has all changes, because the files are complete before the signal.
    WriteCertificate("front", LeafFor(kFrontName));
    WriteFile("keys", bad);
    proxy->process.Signal(SIGHUP);
    ASSERT_TRUE(proxy->WaitForLog("reload failed, what was loaded before stays in use: "))
        << proxy->log();
    const auto after = ConnectTls(proxy->port);
    ASSERT_NE(after, nullptr);
    EXPECT_EQ(after->peer_serial(), before->peer_serial()) << proxy->log();
  }
}

TEST_P(TicketKeysTest, WithoutAFileKeysEndWithTheProcess) {
  auto proxy = StartProxy(Mode::kOffload, backend_->address());
  MakeSession(*proxy);
  EXPECT_TRUE(Resumes(*proxy));
  proxy = StartProxy(Mode::kOffload, backend_->address());
  EXPECT_FALSE(Resumes(*proxy));
}

}  // namespace
}  // namespace trestle::e2e
