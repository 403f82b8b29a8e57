// Firefox without a window, as a test's client. It resolves all names by DNS over HTTPS.
#ifndef TRESTLE_TESTS_E2E_FIREFOX_H_
#define TRESTLE_TESTS_E2E_FIREFOX_H_

#include <string>

#include "tests/e2e/process.h"

namespace trestle::e2e {

class Firefox {
 public:
  /// Keeps its profile in `folder`, which belongs to a test. Trusts the CA in `ca_path`, and asks
  /// the resolver at `resolver_url`: "https://127.0.0.1:PORT/dns-query".
  Firefox(std::string folder, const std::string& ca_path, const std::string& resolver_url);

  /// Opens `url`, and writes a screenshot of the page to `path`.
  CommandResult Picture(const std::string& url, const std::string& path) const;

 private:
  const std::string folder_;
};

}  // namespace trestle::e2e

#endif  // TRESTLE_TESTS_E2E_FIREFOX_H_
