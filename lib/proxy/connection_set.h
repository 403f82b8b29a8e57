// ConnectionSet: owns the connections of one block, and destroys them outside their own callbacks.
#ifndef TRESTLE_LIB_PROXY_CONNECTION_SET_H_
#define TRESTLE_LIB_PROXY_CONNECTION_SET_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/proxy/connection.h"
#include "lib/proxy/connection_plan.h"
#include "lib/proxy/dial_try.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/stream_closer.h"
#include "trestle/proxy/backend_chooser.h"
#include "trestle/proxy/connection_limiter.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle {

/// The reason for ending a connection with earlier certificates.
inline constexpr absl::string_view kCertificatesReplaced =
    "the certificates were replaced, and the time to finish ran out";

class ConnectionSet {
 public:
  /// All references must outlive the set; `observer` may be null.
  ConnectionSet(Scheduler& scheduler, Dialer& dialer, const ConnectionOptions& options,
                ConnectionObserver* observer, ConnectionPlan& plan)
      : scheduler(scheduler), dialer(dialer), options(options), observer(observer), plan(plan) {}

  /// Cuts all open connections.
  ~ConnectionSet();

  void Serve(Accepted accepted);
  void Drain(absl::Duration timeout, absl::AnyInvocable<void()> done);
  void DrainOlderCertificates(uint64_t generation, absl::Duration timeout);
  /// Returns whether the connection's certificates became too old before it was open.
  bool IsTooOld(const Connection& connection) const;
  size_t size() const { return open_.size(); }
  bool holds_buffers() const;

  /// Called by a closed connection, which is then destroyed soon, from the loop.
  void Bury(uint64_t id);

  /// Closes a leg that its connection continues without. Pending bytes are sent within the limit
  /// for closing.
  void Dismiss(std::unique_ptr<Transport> leg);

  /// Lets a dial go on for which its connection, which would send `shown`, does not wait: so
  /// backends that never answer are ejected. It has one more `dial_timeout`. Of more than 16 at a
  /// time, nothing is learned.
  void AwaitLeft(std::unique_ptr<DialTry> dial, const BackendChooser::Shown& shown);

  Scheduler& scheduler;
  Dialer& dialer;
  const ConnectionOptions options;
  ConnectionObserver* const observer;
  ConnectionPlan& plan;
  BackendChooser chooser;

 private:
  // When to end connections with certificates of an earlier generation.
  struct Ending {
    uint64_t generation;
    MonotonicTime at;
  };

  void CancelAll();
  void CutAll();
  template <typename Condition>
  void CancelWhere(Condition condition, absl::string_view why);
  void EndGenerations();
  void ClearGraveyard();
  void FinishDrainIfEmpty();

  uint64_t last_id_ = 0;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Connection>> open_;
  std::vector<std::unique_ptr<Connection>> graveyard_;
  Timer burial_;
  Timer drain_warning_;  // Ends open connections; the deadline cuts them.
  Timer drain_deadline_;
  struct LeftDial {
    std::unique_ptr<DialTry> dial;
    BackendChooser::Shown shown;
    Timer limit;
  };
  void EndLeft(uint64_t id, const absl::Status& status);

  uint64_t last_left_ = 0;
  absl::flat_hash_map<uint64_t, LeftDial> left_dials_;
  uint64_t last_leaving_ = 0;
  absl::flat_hash_map<uint64_t, std::unique_ptr<StreamCloser>> leaving_;  // Dismissed legs.
  uint64_t oldest_generation_ = 0;  // Connections with an earlier one have been ended.
  std::vector<Ending> endings_;
  Timer next_ending_;
  absl::AnyInvocable<void()> drained_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_CONNECTION_SET_H_
