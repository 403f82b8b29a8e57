// Chromium and Firefox with encrypted ClientHellos. A resolver on loopback, with DNS over HTTPS,
// serves the record that ech_tool prints; one_port opens the hellos.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/browser.h"
#include "tests/e2e/firefox.h"
#include "tests/e2e/server_programs.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kPublicName[] = "public.test";
constexpr char kHiddenName[] = "secret4711.hidden.test";

class EchBrowserTest : public ServerProgramsTest {
 protected:
  EchBrowserTest() {
    WriteCertificate("public", LeafFor(kPublicName));
    testing::LeafSpec resolver;
    resolver.dns_names = {"resolver.test"};
    resolver.ip_names = {"127.0.0.1"};
    WriteCertificate("resolver", resolver);
    WriteCertificate("hidden", LeafFor(kHiddenName));
    browser_.Trust(PathOf("ca.pem"));
    pages_ = StartNginx(absl::StrCat("http { access_log /dev/stdout; ", TemporaryPaths(),
                                     "server { listen 127.0.0.1:", page_port_,
                                     "; default_type text/html; location / { ",
                                     "return 200 'hello from backend'; } } }\n"),
                        page_port_);
    backend_ = StartProgram({ExampleProgram("terminating_proxy"), "--listen=127.0.0.1:0",
                             absl::StrCat("--backend=127.0.0.1:", page_port_),
                             "--cert=" + PathOf("hidden.pem"), "--key=" + PathOf("hidden.key"),
                             "--log_connections=text"});
    Run("make --public_name=public.test --config_id=1 --file=ech.pem");
    Run("make --public_name=public.test --config_id=2 --file=new.pem");
  }

  // Runs ech_tool in the folder of the test.
  std::string Run(const std::string& arguments) const {
    const std::string program = absl::StrCat("$PWD/", ExampleProgram("ech_tool"));
    const CommandResult result =
        RunCommand({"/bin/bash", "-euc",
                    absl::StrCat("tool=", program, "; cd ", PathOf("."), "; $tool ", arguments)},
                   kPatience);
    EXPECT_EQ(result.exit_status, 0) << result.errors;
    return result.output;
  }

  // Starts the router, and the resolver with the record for `keys`.
  void Start(const std::string& keys) {
    router_ = StartProgram({ExampleProgram("one_port"), "--listen=127.0.0.1:0",
                            absl::StrCat("--pass=*.hidden.test=127.0.0.1:", backend_->port),
                            absl::StrCat("--offload=", kPublicName, "=127.0.0.1:", page_port_),
                            "--cert=" + PathOf("public.pem"), "--key=" + PathOf("public.key"),
                            "--ech_keys_file=" + PathOf("ech.pem"), "--log_connections=text"});
    const std::string record = Run(absl::StrCat("record --file=", keys, " --name=", kHiddenName,
                                                " --alpn=http/1.1 --port=", router_->port));
    WriteFile("zone", absl::StrCat(record.substr(0, record.find('\n') + 1), kHiddenName,
                                   ". 300 IN A 127.0.0.1\n"));
    const uint16_t port = FreePort();
    resolver_ = StartServer({"/usr/bin/python3", "tests/e2e/doh_server.py", absl::StrCat(port),
                             PathOf("resolver.pem"), PathOf("resolver.key"), PathOf("zone")},
                            port);
    resolver_url_ = absl::StrCat("https://127.0.0.1:", port, "/dns-query");
    browser_.ResolveOverHttps(absl::StrCat(resolver_url_, "{?dns}"));
  }

  std::string Url() const {
    return absl::StrCat("https://", kHiddenName, ":", router_->port, "/hello");
  }

  std::string Page() const {
    const CommandResult result = browser_.Open(Url());
    return absl::StrCat(result.output, result.errors);
  }

  // Opens the page in Firefox, which does not return its text.
  void OpenInFirefox() const {
    const Firefox firefox(PathOf("firefox"), PathOf("ca.pem"), resolver_url_);
    const CommandResult result = firefox.Picture(Url(), PathOf("page.png"));
    EXPECT_EQ(result.exit_status, 0) << result.errors;
    EXPECT_TRUE(std::filesystem::exists(PathOf("page.png"))) << result.errors;
  }

  Browser browser_{PathOf("browser")};
  const uint16_t page_port_ = FreePort();
  std::unique_ptr<Process> pages_;  // In clear text, with a content type that browsers display.
  std::unique_ptr<ProxyProcess> backend_;  // Of the hidden name; without ECH keys.
  std::unique_ptr<ProxyProcess> router_;
  std::unique_ptr<Process> resolver_;
  std::string resolver_url_;
};

TEST_F(EchBrowserTest, ThePageOfAHiddenNameIsShown) {
  Start("ech.pem");
  EXPECT_THAT(Page(), HasSubstr("hello from backend")) << resolver_->output();
  EXPECT_TRUE(router_->WaitForLog(" sni=(ech) ")) << router_->log();
  EXPECT_THAT(router_->log(), Not(HasSubstr("secret4711")));
  EXPECT_TRUE(backend_->WaitForLog(" sni=")) << backend_->log();
}

// The record has a config for which the router has no key any more. The public name's server sends
// the browser the new config, and the browser connects again.
TEST_F(EchBrowserTest, AnOutdatedRecordCostsASecondConnection) {
  Start("new.pem");
  EXPECT_THAT(Page(), HasSubstr("hello from backend")) << resolver_->output();
  EXPECT_TRUE(router_->WaitForLog("ech_required")) << router_->log();
  EXPECT_TRUE(router_->WaitForLog(" sni=(ech) ")) << router_->log();
  EXPECT_THAT(router_->log(), Not(HasSubstr("secret4711")));
}

TEST_F(EchBrowserTest, FirefoxShowsThePageOfAHiddenName) {
  Start("ech.pem");
  OpenInFirefox();
  EXPECT_TRUE(router_->WaitForLog(" sni=(ech) ")) << router_->log() << resolver_->output();
  EXPECT_TRUE(pages_->WaitForOutput("GET /hello", kPatience)) << backend_->log();
  EXPECT_THAT(router_->log(), Not(HasSubstr("secret4711")));
}

TEST_F(EchBrowserTest, FirefoxTakesTheNewConfigInPlaceOfAnOutdatedOne) {
  Start("new.pem");
  OpenInFirefox();
  EXPECT_TRUE(router_->WaitForLog("ech_required")) << router_->log() << resolver_->output();
  EXPECT_TRUE(router_->WaitForLog(" sni=(ech) ")) << router_->log();
  EXPECT_TRUE(pages_->WaitForOutput("GET /hello", kPatience)) << backend_->log();
}

}  // namespace
}  // namespace trestle::e2e
