// DrainCalls: lets an operator drain backends by calls, at --admin_calls.
#ifndef TRESTLE_EXAMPLES_SUPPORT_DRAIN_CALLS_H_
#define TRESTLE_EXAMPLES_SUPPORT_DRAIN_CALLS_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "examples/support/proxy_host.h"
#include "integrations/prometheus/drain_server.h"
#include "trestle/base/endpoint.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/watch/health_checker.h"

namespace trestle::examples {

/// Calls last until /undrain, or the end of the process: a successor (`--join`) begins without any.
class DrainCalls final : public MainLoopPart {
 public:
  /// Returns null without the flag. `checker`, which must outlive it, has the backends.
  static absl::StatusOr<std::unique_ptr<DrainCalls>> FromFlag(HealthChecker& checker);

  absl::Status Start(EpollLoop& main_loop) override;
  void Stop() override;

 private:
  DrainCalls(const Endpoint& listen, HealthChecker& checker) : listen_(listen), checker_(checker) {}

  Page Take(const DrainCall& call);

  const Endpoint listen_;
  HealthChecker& checker_;
  std::map<std::string, Endpoint> drained_;  // By their texts.
  std::unique_ptr<DrainServer> server_;      // Null while the host doesn't run.
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_DRAIN_CALLS_H_
