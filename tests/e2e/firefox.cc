#include "tests/e2e/firefox.h"

#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/e2e/browser.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

// Encrypted hellos by HTTPS records, from the resolver only. Nothing that Firefox does by itself.
constexpr char kPreferences[] = R"(
user_pref("network.dns.echconfig.enabled", true);
user_pref("network.dns.use_https_rr_as_altsvc", true);
user_pref("network.dns.force_waiting_https_rr", true);
user_pref("network.trr.mode", 3);
user_pref("network.trr.bootstrapAddr", "127.0.0.1");
user_pref("network.trr.allow-rfc1918", true);
user_pref("network.trr.wait-for-portal", false);
user_pref("network.trr.confirmationNS", "skip");
user_pref("network.proxy.type", 0);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.dns.disablePrefetch", true);
user_pref("network.prefetch-next", false);
user_pref("app.update.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.blocklist.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("security.OCSP.enabled", 0);
user_pref("services.settings.server", "http://127.0.0.1:1/");
)";

}  // namespace

Firefox::Firefox(std::string folder, const std::string& ca_path, const std::string& resolver_url)
    : folder_(std::move(folder)) {
  std::filesystem::create_directories(folder_);
  MakeCertificateDatabase(folder_, ca_path);
  std::ofstream(absl::StrCat(folder_, "/user.js"))
      << kPreferences << "user_pref(\"network.trr.uri\", \"" << resolver_url << "\");\n";
}

CommandResult Firefox::Picture(const std::string& url, const std::string& path) const {
  // Its sandbox doesn't work for root, nor within other sandboxes.
  return RunCommand({"/usr/bin/env", absl::StrCat("HOME=", folder_),
                     "MOZ_DISABLE_CONTENT_SANDBOX=1", FindProgram("firefox-esr"), "--headless",
                     "--no-remote", "--profile", folder_, "--screenshot", path, url},
                    2 * kPatience);
}

}  // namespace trestle::e2e
