// QuicPart: the QUIC side of a proxy that routes by name, on one thread. It has the flags for it.
#ifndef TRESTLE_EXAMPLES_SUPPORT_QUIC_PART_H_
#define TRESTLE_EXAMPLES_SUPPORT_QUIC_PART_H_

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "examples/support/proxy_host.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/udp_sockets.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/quic_passthrough_router.h"

namespace trestle::examples {

class QuicPart final : public WorkerPart {
 public:
  /// Returns whether --quic is set.
  static bool IsWanted();

  /// Returns the options of --quic_cid_length, --quic_idle_timeout, --max_quic_flows and
  /// --max_quic_flows_per_second_per_client, without routes. Fails if a flag is wrong.
  static absl::StatusOr<QuicPassthroughRouterOptions> OptionsFromFlags();

  /// Listens by UDP on the address of the worker's TCP listener.
  static absl::StatusOr<std::unique_ptr<WorkerPart>> Create(EpollLoop& loop,
                                                            const WorkerAddress& address,
                                                            QuicPassthroughRouterOptions options,
                                                            ConnectionObserver* observer);

  explicit QuicPart(std::unique_ptr<UdpSockets> sockets,
                    std::unique_ptr<QuicPassthroughRouter> router)
      : sockets_(std::move(sockets)), router_(std::move(router)) {}

  void Drain(absl::Duration timeout, absl::AnyInvocable<void()> done) override {
    router_->Drain(timeout, std::move(done));
  }

  QuicPassthroughRouter& router() { return *router_; }

 private:
  const std::unique_ptr<UdpSockets> sockets_;
  const std::unique_ptr<QuicPassthroughRouter> router_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_QUIC_PART_H_
