// ModSecurityRules: libmodsecurity 3 as the guard of HTTP/1.1 connections: a web application
// firewall by rules in SecLang, such as the OWASP Core Rule Set.
#ifndef TRESTLE_INTEGRATIONS_MODSECURITY_MODSECURITY_GUARD_H_
#define TRESTLE_INTEGRATIONS_MODSECURITY_MODSECURITY_GUARD_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "integrations/http1/http_guard.h"

namespace trestle {

/// Hears of rules that matched. Called from the threads of all loops that use the rules.
class ModSecurityListener {
 public:
  virtual ~ModSecurityListener() = default;

  /// `message` is what ModSecurity would write to an error log, with control characters escaped.
  virtual void OnMatch(absl::string_view message) = 0;
};

/// Rules in memory, which threads may share. Loading the Core Rule Set takes a fraction of a
/// second, judging a small request about one millisecond, during which the loop's other connections
/// wait: give a proxy with a WAF threads enough.
class ModSecurityRules {
 public:
  /// Loads rules in SecLang, which may include files. Fails with ErrorCode::kConfiguration and
  /// libmodsecurity's reason. `listener` may be null; it must outlive the rules and their guards.
  static absl::StatusOr<std::shared_ptr<const ModSecurityRules>> Load(
      const std::string& rules, ModSecurityListener* listener = nullptr);

  virtual ~ModSecurityRules() = default;

  /// Makes the guard of a connection, which keeps the rules alive. A request that the rules deny is
  /// refused with their status, or 403 where it is none of 4xx and 5xx (redirects are not made).
  virtual std::unique_ptr<HttpGuard> NewGuard(const ConnectionReport& connection) const = 0;

  /// Counts the rules that were loaded.
  virtual int size() const = 0;
};

/// What the rules for the Core Rule Set begin with.
struct CoreRuleSetOptions {
  /// Debian's package modsecurity-crs.
  std::string setup_file = "/etc/modsecurity/crs/crs-setup.conf";
  std::string rules_folder = "/usr/share/modsecurity-crs/rules";
  /// Gets a line of JSON about each request that was denied or matched a rule; empty for none.
  std::string audit_log;
  /// Matches are told of, and nothing is denied: to see what rules would do to a site.
  bool detect_only = false;
};

/// Writes the rules that load the Core Rule Set: bodies are read, as JSON and XML where they are
/// that, and denied where they can't be.
std::string CoreRuleSet(const CoreRuleSetOptions& options);

/// For `Http1Options::guards`.
HttpGuardFactory NewModSecurityGuardFactory(std::shared_ptr<const ModSecurityRules> rules);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_MODSECURITY_MODSECURITY_GUARD_H_
