// The flags of a web application firewall: rules, their limits, and the audit log.
#ifndef TRESTLE_EXAMPLES_SUPPORT_WAF_FLAGS_H_
#define TRESTLE_EXAMPLES_SUPPORT_WAF_FLAGS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "examples/support/log.h"
#include "examples/support/tls_legs.h"
#include "integrations/modsecurity/modsecurity_guard.h"

namespace trestle::examples {

/// Logs matches and, with --audit_log, their requests.
class WafLog final : public ModSecurityListener {
 public:
  /// Opens the file of --audit_log, if there is one; not with --check.
  static absl::StatusOr<std::unique_ptr<WafLog>> FromFlags();

  void OnMatch(absl::string_view message) override;
  bool wants_audit() const override { return audit_ != nullptr; }
  void OnAudited(absl::string_view json) override { audit_->Write(json); }

 private:
  explicit WafLog(std::unique_ptr<SecretLog> audit) : audit_(std::move(audit)) {}

  const std::unique_ptr<SecretLog> audit_;  // May be null.
};

/// Loads the rules of --rules, or the Core Rule Set, with the limits of the flags.
absl::StatusOr<std::shared_ptr<const ModSecurityRules>> LoadRules(ModSecurityListener& listener);

/// Returns --waf_response_bytes: the maximum bytes of a response's body that are judged. 0: none,
/// and no head either.
size_t JudgedResponseBytes();

/// Returns text about loaded rules for the log.
std::string DescribeRules(const ModSecurityRules& rules);

/// Returns the files of the rules, for reloads. Files that they include are also read again, but
/// not watched.
std::vector<std::string> RulesFiles();

/// Makes new connections use the current rules from their files.
AlsoReloaded ReloadRules(ModSecurityListener& listener, ModSecurityRulesInUse& in_use);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_WAF_FLAGS_H_
