#include "integrations/modsecurity/regex_budget.h"

#include <dlfcn.h>
#include <time.h>

#include <utility>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace trestle {
namespace {

// Reading the clock takes as long as matching a short value, so it is read once per this amount of
// work.
constexpr size_t kWorkBetweenLooks = 4096;

// Estimates the cost of a match: the time of some expressions grows with the square of the subject.
size_t WorkOf(size_t subject_bytes) {
  return 64 + subject_bytes + subject_bytes * subject_bytes / 64;
}

thread_local RegexBudget* current_budget = nullptr;

absl::Duration ThreadCpuTime() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return absl::DurationFromTimespec(now);
}

using MatchFunction = decltype(&pcre2_match_8);

// The next definition after this program's own.
MatchFunction NextFunction(const char* name) {
  return reinterpret_cast<MatchFunction>(dlsym(RTLD_NEXT, name));
}

// Returns a match context with this match limit. One per thread, because creation allocates.
pcre2_match_context_8* ContextWith(uint32_t steps) {
  struct Kept {
    Kept() : context(pcre2_match_context_create_8(nullptr)) {}
    ~Kept() { pcre2_match_context_free_8(context); }
    pcre2_match_context_8* const context;
  };
  thread_local Kept kept;
  if (kept.context != nullptr) pcre2_set_match_limit_8(kept.context, steps);
  return kept.context;
}

}  // namespace

RegexBudget::RegexBudget(const JudgingLimits& limits) : limits_(limits) {}

RegexBudget::Scope::Scope(RegexBudget& budget, int& stop)
    : budget_(budget), outer_(std::exchange(current_budget, &budget)), began_(ThreadCpuTime()) {
  budget.scope_began_ = began_;
  budget.stop_ = &stop;
}

RegexBudget::Scope::~Scope() {
  budget_.spent_ += ThreadCpuTime() - began_;
  budget_.stop_ = nullptr;
  current_budget = outer_;
}

bool RegexBudget::Admit(size_t subject_bytes) {
  ++matches_;
  if (excess_ != Excess::kNone) return false;
  work_since_look_ += WorkOf(subject_bytes);
  if (work_since_look_ < kWorkBetweenLooks) return true;
  work_since_look_ = 0;
  if (spent_ + ThreadCpuTime() - scope_began_ <= limits_.cpu_time) return true;
  Exceed(Excess::kTime);
  return false;
}

void RegexBudget::Exceed(Excess excess) {
  excess_ = excess;
  *stop_ = 1;
}

/// Intercepts calls of PCRE2 by libmodsecurity.
class RegexBudgetHooks {
 public:
  static int Match(MatchFunction match, const pcre2_code_8* code, PCRE2_SPTR8 subject,
                   PCRE2_SIZE length, PCRE2_SIZE begin, uint32_t options, pcre2_match_data_8* data,
                   pcre2_match_context_8* context) {
    RegexBudget* const budget = current_budget;
    if (budget == nullptr) return match(code, subject, length, begin, options, data, context);
    if (!budget->Admit(length)) return PCRE2_ERROR_NOMATCH;
    const int result = match(code, subject, length, begin, options, data,
                             ContextWith(budget->limits_.regex_steps));
    if (result == PCRE2_ERROR_MATCHLIMIT || result == PCRE2_ERROR_DEPTHLIMIT ||
        result == PCRE2_ERROR_HEAPLIMIT) {
      budget->Exceed(RegexBudget::Excess::kSteps);
    }
    return result;
  }
};

}  // namespace trestle

// These precede libpcre2's own in symbol look-up. Calls outside of an inspected request are passed
// on unchanged.
extern "C" {

__attribute__((visibility("default"))) int pcre2_match_8(const pcre2_code_8* code,
                                                         PCRE2_SPTR8 subject, PCRE2_SIZE length,
                                                         PCRE2_SIZE begin, uint32_t options,
                                                         pcre2_match_data_8* data,
                                                         pcre2_match_context_8* context) {
  static const trestle::MatchFunction next = trestle::NextFunction("pcre2_match_8");
  return trestle::RegexBudgetHooks::Match(next, code, subject, length, begin, options, data,
                                          context);
}

__attribute__((visibility("default"))) int pcre2_jit_match_8(const pcre2_code_8* code,
                                                             PCRE2_SPTR8 subject, PCRE2_SIZE length,
                                                             PCRE2_SIZE begin, uint32_t options,
                                                             pcre2_match_data_8* data,
                                                             pcre2_match_context_8* context) {
  static const trestle::MatchFunction next = trestle::NextFunction("pcre2_jit_match_8");
  return trestle::RegexBudgetHooks::Match(next, code, subject, length, begin, options, data,
                                          context);
}

}  // extern "C"
