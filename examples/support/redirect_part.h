// RedirectPart: a listener in clear text that leads every request to https. It has the flags for
// it.
#ifndef TRESTLE_EXAMPLES_SUPPORT_REDIRECT_PART_H_
#define TRESTLE_EXAMPLES_SUPPORT_REDIRECT_PART_H_

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "examples/support/proxy_host.h"
#include "integrations/http/http_gateway.h"
#include "integrations/http/http_observer.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/io/scheduler.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/proxy/connection_limiter.h"

namespace trestle::examples {

/// Where the listener is, and where it leads.
struct RedirectOptions {
  Endpoint listen;
  PortUse port_use = PortUse::kClaim;
  int https_port = 443;
  std::shared_ptr<ConnectionLimiter> limiter;  ///< Null: no limits.
};

class RedirectPart final : public WorkerPart {
 public:
  /// Returns the factory of --redirect_listen and --redirect_port; null without the first. Fails if
  /// a flag is wrong. `observer` (may be null) gets the requests of all threads, and must outlive
  /// the parts.
  static absl::StatusOr<WorkerPartFactory> FactoryFromFlags(
      std::shared_ptr<ConnectionLimiter> limiter, HttpObserver* observer);

  RedirectPart(EpollLoop& loop, std::shared_ptr<ConnectionLimiter> limiter)
      : loop_(loop), limiter_(std::move(limiter)), dialer_(loop) {}

  absl::Status Start(const RedirectOptions& options, HttpObserver* observer);
  void Drain(absl::Duration timeout, absl::AnyInvocable<void()> done) override;

  const Endpoint& local_endpoint() const { return listener_->local_endpoint(); }

 private:
  void Serve(std::unique_ptr<Transport> transport);
  void AwaitEnd();

  EpollLoop& loop_;
  const std::shared_ptr<ConnectionLimiter> limiter_;
  TcpDialer dialer_;  // Not used: there are no backends.
  std::unique_ptr<HttpGateway> gateway_;
  std::unique_ptr<TcpListener> listener_;
  MonotonicTime deadline_;  // Of the drain.
  absl::AnyInvocable<void()> drained_;
  Timer check_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_REDIRECT_PART_H_
