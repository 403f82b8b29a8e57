// SimulatedResolver: a Resolver in virtual time whose answers the test sets.
#ifndef TRESTLE_TESTING_SIMULATED_RESOLVER_H_
#define TRESTLE_TESTING_SIMULATED_RESOLVER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/io/resolver.h"
#include "trestle/io/scheduler.h"

namespace trestle::testing {

/// A DNS of the test's own. A name without an answer gets none, like a server that is down.
class SimulatedResolver final : public Resolver {
 public:
  /// `loop` must outlive the resolver and its look-ups.
  explicit SimulatedResolver(Scheduler& loop) : loop_(loop) {}

  /// Answers look-ups of `target` (as `NamedTarget::ToString` writes it) that begin from now on
  /// with `answer`, after `delay`.
  void Answer(absl::string_view target, ResolvedName answer, absl::Duration delay = {}) {
    answers_[target] = {{std::move(answer), delay}};
  }

  /// As `Answer`, with addresses as `Endpoint::Parse` reads them.
  void Answer(absl::string_view target, const std::vector<std::string>& endpoints,
              absl::Duration ttl, absl::Duration delay = {});

  /// Answers a look-up in several steps: all but the last have Coverage::kMoreToCome.
  void AnswerInSteps(absl::string_view target,
                     std::vector<std::pair<ResolvedName, absl::Duration>> steps);

  /// Answers that the name has no address, which is valid for `ttl`.
  void Deny(absl::string_view target, absl::Duration ttl) { Answer(target, ResolvedName{{}, ttl}); }

  /// Makes look-ups fail with `status` after `delay`.
  void Fail(absl::string_view target, absl::Status status, absl::Duration delay = {}) {
    answers_[target] = {{std::move(status), delay}};
  }

  /// Lets look-ups wait for ever.
  void Silence(absl::string_view target) { answers_.erase(target); }

  /// Returns the number of look-ups of `target` so far.
  size_t lookups(absl::string_view target) const;

  /// Returns the number of look-ups that wait for an answer.
  size_t open() const { return open_; }

  [[nodiscard]] std::unique_ptr<Lookup> Resolve(const NamedTarget& target, Callback done) override;

 private:
  struct Step {
    absl::StatusOr<ResolvedName> answer;
    absl::Duration delay;
  };
  class Waiting;

  Scheduler& loop_;
  absl::flat_hash_map<std::string, std::vector<Step>> answers_;
  absl::flat_hash_map<std::string, size_t> lookups_;
  size_t open_ = 0;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTING_SIMULATED_RESOLVER_H_
