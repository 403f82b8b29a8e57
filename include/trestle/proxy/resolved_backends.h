// ResolvedBackends: keeps the backends that are configured by name current. It asks a Resolver
// again before each answer ends, and goes on with the last answer while DNS fails. For example:
//
//     ResolvedBackends names(loop, resolver, {}, &observer);
//     Backends backends = *ParseBackends("api.internal:443");
//     if (absl::Status s = names.Follow(backends); !s.ok()) return s;
//     names.WhenAnswered([&] { /* every name has had its first answer: serve */ });
#ifndef TRESTLE_PROXY_RESOLVED_BACKENDS_H_
#define TRESTLE_PROXY_RESOLVED_BACKENDS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/io/resolver.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/backends.h"

namespace trestle {

/// What is known of a name.
enum class NameCondition : uint8_t {
  kAsked,    ///< There has been no answer yet.
  kCurrent,  ///< The last answer is valid.
  kKept,     ///< DNS fails, or has denied the name once: the last answer stays in use.
  kDenied,   ///< The name doesn't exist, or has no addresses: twice in a row, or from the start.
  kLost,     ///< DNS fails, and no answer is young enough to be kept.
};

/// Returns a condition's name in snake_case: "current".
absl::string_view EnumName(NameCondition condition);

/// Writes `EnumName(condition)`.
std::ostream& operator<<(std::ostream& out, NameCondition condition);

/// A name, for pages and metrics.
struct NameStatus {
  NamedTarget target;
  NameCondition condition = NameCondition::kAsked;
  std::vector<Endpoint> endpoints;  ///< Sorted by their text.
  absl::Duration answer_age;        ///< Since the last answer; zero without one.
  uint64_t lookups = 0;
  uint64_t failures = 0;       ///< Look-ups without an answer.
  uint64_t changes = 0;        ///< Of the addresses, after the first answer.
  uint64_t refused = 0;        ///< Addresses that were left out: not usable, or over the limit.
  std::optional<Error> error;  ///< Of the last look-up.
};

/// A change of a name: other addresses, or another condition.
struct NameChange {
  const NameStatus& now;
  NameCondition before;
  std::vector<Endpoint> added;
  std::vector<Endpoint> removed;

  /// Writes the change as one line: "api.internal:443 is current: 192.0.2.1:443 left, …".
  std::string ToString() const;
};

/// Receives changes, on the loop's thread. It may log each: there is one call for each change, not
/// for each look-up.
class NameObserver {
 public:
  virtual ~NameObserver() = default;
  /// Called after each change. Must not destroy the ResolvedBackends.
  virtual void OnNameChanged(const NameChange& change) = 0;
};

/// Options of ResolvedBackends.
struct ResolvedBackendsOptions {
  /// Answers with a shorter or longer time to live are used as if they had this one. The next
  /// look-up begins after 80 to 95 % of the time, by chance, so that processes don't ask at once.
  absl::Duration shortest_ttl = absl::Seconds(1);
  absl::Duration longest_ttl = absl::Minutes(10);
  /// The longest time for which an answer without addresses is believed.
  absl::Duration longest_denial = absl::Seconds(5);
  /// After a failure, the name is asked again after this time; after each further one, after twice
  /// the time.
  absl::Duration first_retry = absl::Seconds(1);
  absl::Duration longest_retry = absl::Seconds(30);
  /// How long an answer stays in use after its time to live, while DNS fails.
  absl::Duration keep_after_failure = absl::Hours(1);
  /// The longest look-up.
  absl::Duration lookup_timeout = absl::Seconds(10);
  /// The most addresses of one name. More are left out: which, depends on the addresses only.
  size_t max_addresses = 64;
  size_t max_names = 10'000;
  /// Returns whether an answer may lead to an address: false leaves it out. Addresses that can't be
  /// dialed are left out in any case. A proxy refuses its own listener here: the owner of the name
  /// could make it dial itself. Empty: all others may.
  absl::AnyInvocable<bool(const Endpoint&)> may_use;
};

/// Follows names on one loop; all calls come from its thread. The groups that it fills may be read
/// on any thread.
class ResolvedBackends {
 public:
  /// `scheduler`, `resolver` and `observer` (may be null) must outlive it.
  ResolvedBackends(Scheduler& scheduler, Resolver& resolver, ResolvedBackendsOptions options = {},
                   NameObserver* observer = nullptr);
  /// The groups keep the backends that they have.
  ~ResolvedBackends();
  ResolvedBackends(const ResolvedBackends&) = delete;
  ResolvedBackends& operator=(const ResolvedBackends&) = delete;

  /// Makes `backends.group` follow the names of `backends`; does nothing without names. Equal lists
  /// share one group. A name is asked for as long as a group has it that is in use. Fails with
  /// ErrorCode::kConfiguration if there would be too many names.
  absl::Status Follow(Backends& backends);

  /// Calls `done` once, from the loop, when each name has been answered or has failed once. A later
  /// call replaces an earlier one.
  void WhenAnswered(absl::AnyInvocable<void()> done);

  /// Returns all names that a group in use has, sorted by their text.
  std::vector<NameStatus> names() const;

 private:
  struct Group;
  class Name;

  Name& NameFor(const NamedTarget& target);
  void Forget(const NamedTarget& target);
  void ForgetUnused(const std::vector<NamedTarget>& wanted);
  void CheckAnswered();

  Scheduler& scheduler_;
  Resolver& resolver_;
  ResolvedBackendsOptions options_;
  NameObserver* const observer_;
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_RESOLVED_BACKENDS_H_
