// Browser: Chromium without a window, as a test's client. It reaches 127.0.0.1 only.
#ifndef TRESTLE_TESTS_E2E_BROWSER_H_
#define TRESTLE_TESTS_E2E_BROWSER_H_

#include <string>

#include "tests/e2e/process.h"

namespace trestle::e2e {

/// Makes a certificate database of NSS in `folder`, as browsers have it. It trusts the CA in
/// `path`.
void MakeCertificateDatabase(const std::string& folder, const std::string& path);

class Browser {
 public:
  /// Keeps its profile in `folder`, which belongs to a test. Resolves kFrontName to 127.0.0.1.
  explicit Browser(const std::string& folder);

  /// Also trusts certificates of the CA in `path`, as if the user had imported it.
  void Trust(const std::string& path);

  /// Resolves all names by DNS over HTTPS from now on: "https://127.0.0.1:PORT/dns-query{?dns}".
  /// Only then does Chromium request HTTPS records.
  void ResolveOverHttps(const std::string& url_template);

  /// Opens `url`, and returns the page after all of it is loaded: scripts have run, and escapes are
  /// resolved.
  CommandResult Open(const std::string& url) const;

  /// Opens `url`, and writes a screenshot of the page to `path`.
  CommandResult Picture(const std::string& url, const std::string& path) const;

 private:
  CommandResult Run(const std::string& what, const std::string& url) const;

  const std::string home_;
  bool resolves_over_https_ = false;
};

}  // namespace trestle::e2e

#endif  // TRESTLE_TESTS_E2E_BROWSER_H_
