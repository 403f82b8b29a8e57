// ProxyHost: what a server program puts around a Trestle block: threads, each with a loop, a
// dialer, a listener and a block of its own; signals; reload; drain. Trestle itself has no threads,
// no signals and no log: this is where an embedding program decides on them.
#ifndef TRESTLE_EXAMPLES_SUPPORT_PROXY_HOST_H_
#define TRESTLE_EXAMPLES_SUPPORT_PROXY_HOST_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "examples/support/connection_log.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/posix/epoll_loop.h"
#include "trestle/posix/tcp_listener.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle::examples {

struct ProxyHostOptions {
  Endpoint listen;
  /// kJoin for the successor of a process that still listens.
  PortUse port_use = PortUse::kClaim;
  int threads = 1;
  absl::Duration drain_timeout = absl::Seconds(30);
  /// How long connections that began with earlier certificates may go on; infinite: for ever.
  absl::Duration drain_on_reload = absl::InfiniteDuration();
  ConnectionLogFormat log_connections = ConnectionLogFormat::kNone;
};

/// The blocks of one thread. The last one takes the connections, and may hand them to the others.
using Blocks = std::vector<std::unique_ptr<ProxyBlock>>;

/// Makes the blocks of one thread, once it is known where the proxy listens. All configs that it
/// hands to the blocks may be shared.
using BlockFactory =
    absl::AnyInvocable<absl::StatusOr<Blocks>(Scheduler&, Dialer&, ConnectionObserver*)>;

/// The one block of a thread that has no more.
template <typename Block>
absl::StatusOr<Blocks> Alone(absl::StatusOr<std::unique_ptr<Block>> block) {
  if (!block.ok()) return block.status();
  Blocks blocks;
  blocks.push_back(*std::move(block));
  return blocks;
}

/// Something else that lives on the main loop, where it holds up no connection.
class MainLoopPart {
 public:
  virtual ~MainLoopPart() = default;

  /// The host is about to listen; `main_loop` runs until `Stop`.
  virtual absl::Status Start(EpollLoop& main_loop) = 0;

  /// The workers have ended, and the main loop with them. Also called where a start failed.
  virtual void Stop() = 0;
};

/// Follows a host's life, beside what it carries. All calls come from the main thread.
class ProxyHostWatcher : public MainLoopPart {
 public:
  /// Makes the observer of one thread's blocks, which passes everything on to `next` (may be null).
  virtual std::unique_ptr<ConnectionObserver> NewObserver(ConnectionObserver* next) = 0;

  virtual void OnReloaded(bool good) = 0;
  virtual void OnDraining() = 0;
};

class ProxyHost {
 public:
  explicit ProxyHost(const ProxyHostOptions& options);
  ~ProxyHost();
  ProxyHost(const ProxyHost&) = delete;
  ProxyHost& operator=(const ProxyHost&) = delete;

  /// Sets what SIGHUP does: load everything again, and only if all of it is good, use it. Returns
  /// a line about what was loaded. Called on the main thread, where reading files holds nobody up.
  /// Does the same when one of `watched_files` changes.
  void OnReload(absl::AnyInvocable<absl::StatusOr<std::string>()> reload,
                std::vector<std::string> watched_files = {});

  /// Sets who follows the host's life; null for nobody. Must outlive `Run`.
  void SetWatcher(ProxyHostWatcher* watcher) {
    watcher_ = watcher;
    AddPart(watcher);
  }

  /// Adds something else to the main loop; null for nothing. Must outlive `Run`.
  void AddPart(MainLoopPart* part) {
    if (part != nullptr) parts_.push_back(part);
  }

  /// Listens and carries connections until SIGTERM or SIGINT: then stops to accept and lets open
  /// connections finish, for the drain timeout at most; a second signal cuts them. Returns OK after
  /// either, and an error when it could not even start.
  absl::Status Run(BlockFactory new_blocks);

  /// Calls `call` with each thread's blocks, on its thread, and returns when all calls are made.
  /// For use while `Run` runs, on the main thread.
  void ForEachThread(const std::function<void(Blocks&)>& call);

  /// To be called when certificates were replaced by those of `generation`: as the options say,
  /// connections that began with earlier ones are drained. For use while `Run` runs.
  void DrainOlderCertificates(uint64_t generation);

  /// Fails where `leads_to` says of one of the addresses at which clients reach this proxy that a
  /// backend leads back to it. For use while `Run` runs, also in the factory.
  absl::Status RefuseLoop(const std::function<bool(const Endpoint& listener)>& leads_to) const;

 private:
  class Worker;

  absl::Status StartWorkers(BlockFactory& new_blocks);
  void OnSignal(int signal);
  void Reload();
  void Drain();
  void LogRefusals() const;

  const ProxyHostOptions options_;
  ConnectionLog log_;
  ProxyHostWatcher* watcher_ = nullptr;
  std::vector<MainLoopPart*> parts_;
  absl::AnyInvocable<absl::StatusOr<std::string>()> reload_;
  std::vector<std::string> watched_files_;
  std::unique_ptr<EpollLoop> main_loop_;  // Signals only; connections live on the workers' loops.
  std::vector<std::unique_ptr<Worker>> workers_;
  int workers_to_drain_ = 0;
  bool draining_ = false;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_PROXY_HOST_H_
