#include "tests/e2e/browser.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {

void MakeCertificateDatabase(const std::string& folder, const std::string& path) {
  std::filesystem::create_directories(folder);
  const std::vector<std::string> certutil = {FindProgram("certutil"), "-d",
                                             absl::StrCat("sql:", folder)};
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{"-N", "--empty-password"},
        std::vector<std::string>{"-A", "-n", "test", "-t", "C,,", "-i", path}}) {
    std::vector<std::string> argv = certutil;
    argv.insert(argv.end(), flags.begin(), flags.end());
    const CommandResult result = RunCommand(argv, kPatience);
    EXPECT_EQ(result.exit_status, 0) << result.errors;
  }
}

Browser::Browser(const std::string& folder) : home_(absl::StrCat(folder, "/home")) {
  std::filesystem::create_directories(home_);
}

void Browser::Trust(const std::string& path) {
  MakeCertificateDatabase(absl::StrCat(home_, "/.pki/nssdb"), path);
}

void Browser::ResolveOverHttps(const std::string& url_template) {
  std::filesystem::create_directories(absl::StrCat(home_, "/profile"));
  std::ofstream(absl::StrCat(home_, "/profile/Local State")) << absl::StrCat(
      R"({"dns_over_https": {"mode": "secure", "templates": ")", url_template, R"("}})");
  resolves_over_https_ = true;
}

CommandResult Browser::Open(const std::string& url) const { return Run("--dump-dom", url); }

CommandResult Browser::Picture(const std::string& url, const std::string& path) const {
  return Run(absl::StrCat("--screenshot=", path), url);
}

CommandResult Browser::Run(const std::string& what, const std::string& url) const {
  std::vector<std::string> argv = {
      "/usr/bin/env", absl::StrCat("HOME=", home_), FindProgram("chromium"), "--headless=new",
      // Chromium's sandbox doesn't work for root, nor within other sandboxes.
      "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,700",
      "--no-first-run", "--disable-background-networking", "--disable-component-update",
      "--disable-sync", "--disable-quic", "--no-proxy-server",
      absl::StrCat("--user-data-dir=", home_, "/profile"), what};
  if (resolves_over_https_) {
    // After the addresses it waits a moment for the HTTPS record, then connects without ECH.
    argv.push_back(
        "--enable-features=UseDnsHttpsSvcb:UseDnsHttpsSvcbSecureExtraTimeMax/20s/"
        "UseDnsHttpsSvcbSecureExtraTimeMin/20s");
  } else {
    argv.push_back(absl::StrCat("--host-resolver-rules=MAP ", kFrontName,
                                " 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"));
  }
  argv.push_back(url);
  return RunCommand(argv, 2 * kPatience);
}

}  // namespace trestle::e2e
