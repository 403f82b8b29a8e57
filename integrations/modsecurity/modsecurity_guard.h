// ModSecurityRules: libmodsecurity 3 as a guard of HTTP requests: a web application firewall
// with rules in SecLang, such as the OWASP Core Rule Set.
#ifndef TRESTLE_INTEGRATIONS_MODSECURITY_MODSECURITY_GUARD_H_
#define TRESTLE_INTEGRATIONS_MODSECURITY_MODSECURITY_GUARD_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "integrations/http1/http_guard.h"
#include "integrations/modsecurity/regex_budget.h"
#include "trestle/proxy/observer.h"

namespace trestle {

/// Receives matched rules. Called from all threads that use the rules, so it must be thread-safe.
class ModSecurityListener {
 public:
  virtual ~ModSecurityListener() = default;

  /// Called for each match. `message` is ModSecurity's error log text, with control characters
  /// escaped.
  virtual void OnMatch(absl::string_view message) = 0;

  /// Returns whether to call `OnAudited`, whose text takes time to create.
  virtual bool wants_audit() const { return false; }

  /// Called when a request was denied, or matched a rule that requires an audit. `json` describes
  /// it on one line, including cookies, for an audit log (parts ABHZ). Must not wait for a disk.
  virtual void OnAudited(absl::string_view /*json*/) {}
};

/// What a guard judges: rules of phases 1 and 2, or also those of phases 3 and 4.
enum class JudgedParts : uint8_t { kRequest, kRequestAndResponse };

/// Loaded rules, which threads may share. Loading the Core Rule Set takes a fraction of a second.
/// Inspecting a small request takes about one millisecond: judge on the threads of a task
/// runner, as `NewGuardJudge` of integrations/http does.
class ModSecurityRules {
 public:
  /// Loads rules in SecLang, which may include files. Blocks. Fails with ErrorCode::kConfiguration
  /// and libmodsecurity's reason. Also fails if the program's linkage leaves libmodsecurity's
  /// regular expressions without limits. `listener` (may be null) must outlive the rules and their
  /// guards.
  static absl::StatusOr<std::shared_ptr<const ModSecurityRules>> Load(
      const std::string& rules, ModSecurityListener* listener = nullptr,
      const JudgingLimits& limits = {});

  virtual ~ModSecurityRules() = default;

  /// Creates the guard of a request, which keeps the rules alive. A denied request is rejected
  /// with the rules' status, or with 403 if that is not 4xx or 5xx (redirects are not supported). A
  /// request that exceeds `limits` is rejected with 400. If the rules only detect, it is reported
  /// and passed on without further inspection. A response over `limits` is rejected with 502.
  virtual std::unique_ptr<HttpGuard> NewGuard(const ConnectionReport& connection,
                                              JudgedParts parts = JudgedParts::kRequest) const = 0;

  /// Returns whether the rules read bodies of responses of this Content-Type: SecResponseBodyAccess
  /// and SecResponseBodyMimeType.
  virtual bool ReadsResponseBody(absl::string_view content_type) const = 0;

  /// Returns the number of loaded rules.
  virtual int size() const = 0;
};

/// The rules for new requests; requests in progress keep theirs. Thread-safe.
class ModSecurityRulesInUse {
 public:
  explicit ModSecurityRulesInUse(std::shared_ptr<const ModSecurityRules> rules);

  std::shared_ptr<const ModSecurityRules> current() const ABSL_LOCKS_EXCLUDED(mutex_);
  void Replace(std::shared_ptr<const ModSecurityRules> rules) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  std::shared_ptr<const ModSecurityRules> rules_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_MODSECURITY_MODSECURITY_GUARD_H_
