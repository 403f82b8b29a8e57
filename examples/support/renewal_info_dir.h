// The flag --renewal_info_dir: the advice of ACME servers when to renew, from files (RFC 9773).
#ifndef TRESTLE_EXAMPLES_SUPPORT_RENEWAL_INFO_DIR_H_
#define TRESTLE_EXAMPLES_SUPPORT_RENEWAL_INFO_DIR_H_

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/pki/renewal_info.h"
#include "trestle/watch/certificate_monitor.h"

namespace trestle::examples {

/// Reads an ACME server's answer (RFC 9773 4.2): JSON with suggestedWindow.start and .end, which
/// are RFC 3339 times, and perhaps explanationURL. Fails with a sentence that names the fault.
absl::StatusOr<RenewalInfo> ParseRenewalInfo(absl::string_view json);

/// Finds the answer for a certificate in the file ID.json. A missing file is no advice. A file that
/// can't be used is logged, once until the fault changes, and is no advice either.
class RenewalInfoDir final : public RenewalInfoSource {
 public:
  /// Uses the directory of the flag; null without one. Fails if it can't be opened.
  static absl::StatusOr<std::unique_ptr<RenewalInfoDir>> FromFlag();

  std::optional<RenewalInfo> Find(const std::string& renewal_id) override;

 private:
  explicit RenewalInfoDir(std::string path) : path_(std::move(path)) {}

  const std::string path_;
  std::map<std::string, std::string> faults_;  // By file: what was logged last.
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_RENEWAL_INFO_DIR_H_
