// BackendNames: the names of a program's backends. It owns the resolver, and logs what changes.
#ifndef TRESTLE_EXAMPLES_SUPPORT_BACKEND_NAMES_H_
#define TRESTLE_EXAMPLES_SUPPORT_BACKEND_NAMES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "integrations/c_ares/cares_resolver.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/scheduler.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/resolved_backends.h"

namespace trestle::examples {

/// Follows names on a program's main loop, whose thread makes all calls. A program whose backends
/// all have addresses makes no resolver: it reads no resolv.conf and asks nothing.
class BackendNames final : private NameObserver {
 public:
  /// Reads --dns_servers and --dns_wait; fails if one is wrong. `loop` must outlive the names.
  /// `quiet` logs nothing, for programs that report names in another way.
  static absl::StatusOr<std::unique_ptr<BackendNames>> FromFlags(EpollLoop& loop,
                                                                 bool quiet = false);

  BackendNames(const BackendNames&) = delete;
  BackendNames& operator=(const BackendNames&) = delete;

  /// Reads `value` of `flag` as addresses and names joined by "+", and follows its names. An error
  /// names the flag.
  absl::StatusOr<Backends> Parse(absl::string_view flag, absl::string_view value);

  /// Makes `backends.group` follow the names in it, as `ResolvedBackends::Follow` does. Fails if
  /// the resolver can't start.
  absl::Status Follow(Backends& backends);

  /// Sets what is called after each change of addresses.
  void OnChange(std::function<void()> call) { on_change_ = std::move(call); }

  /// Leaves out addresses of answers for which `refused` returns true: those of the proxy itself.
  void Refuse(std::function<bool(const Endpoint&)> refused) { refused_ = std::move(refused); }

  /// Runs the loop until each name was answered or has failed, for at most --dns_wait. Logs a
  /// warning for each name without an address. Call it before anything else runs on the loop.
  void WaitForAnswers();

  /// Calls `done` once each name was answered or has failed, or after --dns_wait; inside this call
  /// if there is nothing to wait for. A later call replaces an earlier one.
  void WhenAnswered(absl::AnyInvocable<void()> done);

  /// Returns the followed names, sorted.
  std::vector<NameStatus> names() const;

  /// Returns the names that have no address now, at most eight: "api.internal:443 (denied)".
  std::vector<std::string> Missing() const;

  /// Returns the number of changes so far, of addresses and conditions.
  uint64_t changes() const { return changes_; }

 private:
  BackendNames(EpollLoop& loop, std::vector<Endpoint> servers, absl::Duration wait, bool quiet);

  void OnNameChanged(const NameChange& change) override;
  absl::Status StartResolver();
  void EndWait();

  EpollLoop& loop_;
  const std::vector<Endpoint> servers_;  // Empty: those of resolv.conf.
  const absl::Duration wait_;
  const bool quiet_;
  std::function<bool(const Endpoint&)> refused_;  // Empty: none is.
  std::unique_ptr<CaresResolver> resolver_;       // Null without names.
  std::unique_ptr<ResolvedBackends> names_;       // Null without names.
  std::function<void()> on_change_;               // May be empty.
  uint64_t changes_ = 0;
  absl::AnyInvocable<void()> when_answered_;  // Set while somebody waits.
  Timer limit_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_BACKEND_NAMES_H_
