// ConnectionSet: owns the connections of one block, and buries them outside their own callbacks.
#ifndef TRESTLE_LIB_PROXY_CONNECTION_SET_H_
#define TRESTLE_LIB_PROXY_CONNECTION_SET_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "lib/proxy/backend_chooser.h"
#include "lib/proxy/connection.h"
#include "lib/proxy/connection_plan.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/handshake_limiter.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle {

class ConnectionSet {
 public:
  /// All references must outlive the set; `observer` may be null.
  ConnectionSet(Scheduler& scheduler, Dialer& dialer, const ConnectionOptions& options,
                ConnectionObserver* observer, ConnectionPlan& plan)
      : scheduler(scheduler),
        dialer(dialer),
        options(options),
        observer(observer),
        plan(plan),
        limiter(options.limits, scheduler.Now()) {}

  /// Cuts what is still open.
  ~ConnectionSet();

  void Serve(std::unique_ptr<Transport> transport);
  void Drain(absl::Duration timeout, absl::AnyInvocable<void()> done);
  size_t size() const { return open_.size(); }
  bool holds_buffers() const;

  /// Called by a connection that is over; it is destroyed soon, from the loop.
  void Bury(uint64_t id);

  Scheduler& scheduler;
  Dialer& dialer;
  const ConnectionOptions options;
  ConnectionObserver* const observer;
  ConnectionPlan& plan;
  HandshakeLimiter limiter;
  BackendChooser chooser;

 private:
  void CancelAll();
  void FinishDrainIfEmpty();

  uint64_t last_id_ = 0;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Connection>> open_;
  std::vector<std::unique_ptr<Connection>> graveyard_;
  Timer burial_;
  Timer drain_deadline_;
  absl::AnyInvocable<void()> drained_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_CONNECTION_SET_H_
