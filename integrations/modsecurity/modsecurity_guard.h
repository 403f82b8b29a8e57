// ModSecurityRules: libmodsecurity 3 as the guard of HTTP/1.1 connections: a web application
// firewall by rules in SecLang, such as the OWASP Core Rule Set.
#ifndef TRESTLE_INTEGRATIONS_MODSECURITY_MODSECURITY_GUARD_H_
#define TRESTLE_INTEGRATIONS_MODSECURITY_MODSECURITY_GUARD_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "integrations/http1/http_guard.h"
#include "integrations/modsecurity/regex_budget.h"

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
  /// libmodsecurity's reason, and where this program's way of linking leaves libmodsecurity's
  /// regular expressions without bounds. `listener` may be null; it must outlive the rules and
  /// their guards.
  static absl::StatusOr<std::shared_ptr<const ModSecurityRules>> Load(
      const std::string& rules, ModSecurityListener* listener = nullptr,
      const JudgingLimits& limits = {});

  virtual ~ModSecurityRules() = default;

  /// Makes the guard of a connection, which keeps the rules alive. A request that the rules deny is
  /// refused with their status, or 403 where it is none of 4xx and 5xx (redirects are not made).
  /// One that exceeds `limits` is refused with 400; where the rules only detect, it is told of and
  /// passed on without further judging.
  virtual std::unique_ptr<HttpGuard> NewGuard(const ConnectionReport& connection) const = 0;

  /// Counts the rules that were loaded.
  virtual int size() const = 0;
};

/// The rules that new connections get; connections that are open keep theirs. Thread-safe.
class ModSecurityRulesInUse {
 public:
  explicit ModSecurityRulesInUse(std::shared_ptr<const ModSecurityRules> rules);

  std::shared_ptr<const ModSecurityRules> current() const ABSL_LOCKS_EXCLUDED(mutex_);
  void Replace(std::shared_ptr<const ModSecurityRules> rules) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  std::shared_ptr<const ModSecurityRules> rules_ ABSL_GUARDED_BY(mutex_);
};

/// For `Http1Options::guards`.
HttpGuardFactory NewModSecurityGuardFactory(std::shared_ptr<const ModSecurityRulesInUse> rules);

/// The same for rules that stay.
HttpGuardFactory NewModSecurityGuardFactory(std::shared_ptr<const ModSecurityRules> rules);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_MODSECURITY_MODSECURITY_GUARD_H_
