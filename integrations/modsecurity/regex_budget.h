// RegexBudget: bounds the regular expressions that libmodsecurity matches for one request.
// libmodsecurity 3.0.9 gives PCRE2 no limits, and a single value can keep it busy for minutes. A
// program that links this has its calls of pcre2_match() and pcre2_jit_match() come here first.
#ifndef TRESTLE_INTEGRATIONS_MODSECURITY_REGEX_BUDGET_H_
#define TRESTLE_INTEGRATIONS_MODSECURITY_REGEX_BUDGET_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace trestle {

/// What judging one request may cost.
struct JudgingLimits {
  /// Processor time of all phases together. Looked at between matches: the last match, which
  /// `regex_steps` bounds, may end later.
  absl::Duration cpu_time = absl::Milliseconds(100);
  /// PCRE2's match limit for one match. Ordinary text of 8,000 bytes needs under 20,000 with the
  /// Core Rule Set.
  uint32_t regex_steps = 20'000;
  /// Bytes of the names of all values of a JSON body together (json_names.h).
  size_t json_name_bytes = 400'000;
};

/// One request's account. A match that reaches a limit has no result, which libmodsecurity takes
/// for "no match": a request whose budget is exceeded must not pass as judged.
class RegexBudget {
 public:
  enum class Excess : uint8_t { kNone, kTime, kSteps };

  explicit RegexBudget(const JudgingLimits& limits);

  /// While it lives, matches on this thread are charged to `budget`. Once that is exceeded, no
  /// expression is matched any more, and `*stop` is set to 1: libmodsecurity's mark that a request
  /// is decided, at which it leaves the phase.
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

  /// Counts the matches that were charged: 0 where libmodsecurity's calls don't come here.
  uint64_t matches() const { return matches_; }

 private:
  friend class RegexBudgetHooks;

  bool Admit(size_t subject_bytes);
  void Exceed(Excess excess);

  const JudgingLimits limits_;
  Excess excess_ = Excess::kNone;
  uint64_t matches_ = 0;
  size_t work_since_look_ = 0;
  absl::Duration spent_;  // In scopes that have ended.
  absl::Duration scope_began_;
  int* stop_ = nullptr;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_MODSECURITY_REGEX_BUDGET_H_
