// RegexBudget: limits the regular expressions that libmodsecurity matches for one request.
// libmodsecurity 3.0.9 sets no PCRE2 limits, and a single value can keep it busy for minutes. In a
// program that links this, its calls of pcre2_match() and pcre2_jit_match() come here first.
#ifndef TRESTLE_INTEGRATIONS_MODSECURITY_REGEX_BUDGET_H_
#define TRESTLE_INTEGRATIONS_MODSECURITY_REGEX_BUDGET_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace trestle {

/// The limits for inspecting one request.
struct JudgingLimits {
  /// Processor time of all phases together. Checked between matches, so the last match, which
  /// `regex_steps` limits, may end later.
  absl::Duration cpu_time = absl::Milliseconds(100);
  /// PCRE2's match limit for one match. Ordinary text of 8,000 bytes needs under 20,000 with the
  /// Core Rule Set.
  uint32_t regex_steps = 20'000;
  /// Total bytes of the names of all values of a JSON body (json_names.h).
  size_t json_name_bytes = 400'000;
};

/// The budget of one request. A match that reaches a limit has no result, which libmodsecurity
/// treats as "no match". A request over its budget must therefore not pass as inspected.
class RegexBudget {
 public:
  enum class Excess : uint8_t { kNone, kTime, kSteps };

  explicit RegexBudget(const JudgingLimits& limits);

  /// Charges this thread's matches to `budget` during its lifetime. Once the budget is exceeded, no
  /// expression is matched any more and `*stop` is set to 1. libmodsecurity then regards the
  /// request as decided and leaves the phase.
  class Scope {
   public:
    Scope(RegexBudget& budget, int& stop);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    RegexBudget& budget_;
    RegexBudget* const outer_;
    const absl::Duration began_;
  };

  Excess excess() const { return excess_; }

  /// Returns the number of charged matches. It stays 0 if libmodsecurity's calls do not come here.
  uint64_t matches() const { return matches_; }

 private:
  friend class RegexBudgetHooks;

  bool Admit(size_t subject_bytes);
  void Exceed(Excess excess);

  const JudgingLimits limits_;
  Excess excess_ = Excess::kNone;
  uint64_t matches_ = 0;
  size_t work_since_look_ = 0;
  absl::Duration spent_;  // In completed scopes.
  absl::Duration scope_began_;
  int* stop_ = nullptr;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_MODSECURITY_REGEX_BUDGET_H_
