// HostedBlocks: the blocks of the programs asio_host and libuv_host: the three modes on one port,
// by server name. The programs themselves show how to run them in another library's loop.
#ifndef TRESTLE_EXAMPLES_SUPPORT_HOSTED_BLOCKS_H_
#define TRESTLE_EXAMPLES_SUPPORT_HOSTED_BLOCKS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "examples/support/backend_names.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/proxy_block.h"
#include "trestle/proxy/route_table.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/server_tls_config.h"

namespace trestle::examples {

class HostedBlocks final : private ConnectionObserver {
 public:
  /// Makes a terminator for each name in --offload, a bridge for each in --bridge, and a router for
  /// these and --pass. They have the files of --cert, --key and --backend_ca. `names` follows
  /// backends by name; null refuses them. All three must outlive the blocks.
  static absl::StatusOr<std::unique_ptr<HostedBlocks>> FromFlags(Scheduler& scheduler,
                                                                 Dialer& dialer,
                                                                 BackendNames* names);

  void Serve(std::unique_ptr<Transport> client) { blocks_.back()->Serve(std::move(client)); }

  /// Returns the number of connections that have ended.
  size_t ended() const { return ended_; }

  /// Reads --cert and --key again for new connections, and logs the result. After a failure the
  /// earlier certificate stays.
  void Reload();

  /// Lets open connections finish for at most `timeout`, then cuts the rest. Calls `done` from the
  /// loop.
  void Drain(absl::Duration timeout, absl::AnyInvocable<void()> done);

 private:
  HostedBlocks(Scheduler& scheduler, Dialer& dialer, BackendNames* names)
      : scheduler_(scheduler), dialer_(dialer), names_(names) {}

  absl::Status MakeBlocks();
  absl::StatusOr<std::vector<Route>> RoutesFrom(const std::string& flag_value) const;
  absl::Status MakeFrontTls();
  absl::Status AddTerminators();
  absl::Status AddBridges();
  absl::Status AddRouter();
  void OnClosed(const ConnectionReport& report) override;
  void DrainOthers(MonotonicTime deadline);

  Scheduler& scheduler_;
  Dialer& dialer_;
  BackendNames* const names_;  // May be null.
  std::shared_ptr<CertificateStore> certificates_;
  std::shared_ptr<const ServerTlsConfig> front_tls_;
  std::vector<Route> routes_;
  std::vector<std::unique_ptr<ProxyBlock>> blocks_;  // The router is the last.
  size_t ended_ = 0;
  size_t to_drain_ = 0;
  absl::AnyInvocable<void()> drained_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_HOSTED_BLOCKS_H_
