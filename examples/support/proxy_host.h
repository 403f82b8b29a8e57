// ProxyHost: the server program around Trestle's blocks: signals, reload, drain, and threads. Each
// thread has its own loop, dialer, listener and blocks. Trestle itself has no threads, no signals
// and no log: the embedding program provides them here.
#ifndef TRESTLE_EXAMPLES_SUPPORT_PROXY_HOST_H_
#define TRESTLE_EXAMPLES_SUPPORT_PROXY_HOST_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "examples/support/connection_log.h"
#include "examples/support/service_reports.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/file_watcher.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/proxy/observer.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle::examples {

struct ProxyHostOptions {
  Endpoint listen;
  /// Instead of `listen`: the name of the sockets that the service manager passes.
  std::string passed_sockets;
  /// kJoin for a process that takes over from one that still listens.
  PortUse port_use = PortUse::kClaim;
  int threads = 1;
  /// On both legs; zero: off.
  absl::Duration tcp_keepalive = absl::ZeroDuration();
  absl::Duration drain_timeout = absl::Seconds(30);
  /// How long connections with earlier certificates may continue after a reload; infinite: no
  /// limit.
  absl::Duration drain_on_reload = absl::InfiniteDuration();
  ConnectionLogFormat log_connections = ConnectionLogFormat::kNone;
  /// `Run` makes the blocks of one thread, and returns. It neither listens nor starts parts.
  bool check_only = false;

  /// Returns where the proxy listens, as --listen has it.
  std::string ListenText() const;
};

/// The blocks of one thread. The last one takes the connections, and may hand them over to the
/// others.
using Blocks = std::vector<std::unique_ptr<ProxyBlock>>;

/// Creates the blocks of one thread, once the proxy's address is known. The blocks of several
/// threads may share configs.
using BlockFactory =
    absl::AnyInvocable<absl::StatusOr<Blocks>(Scheduler&, Dialer&, ConnectionObserver*)>;

/// Returns the blocks of a thread that has only one.
template <typename Block>
absl::StatusOr<Blocks> Alone(absl::StatusOr<std::unique_ptr<Block>> block) {
  if (!block.ok()) return block.status();
  Blocks blocks;
  blocks.push_back(*std::move(block));
  return blocks;
}

/// Where a worker's listener accepts connections.
struct WorkerAddress {
  Endpoint endpoint;
  /// As the listener used it; kJoin for the second and later workers.
  PortUse port_use = PortUse::kClaim;
  bool is_first = true;  ///< Of the workers.
};

/// What a worker serves beside its blocks, on its own loop: datagrams, for example. Created and
/// destroyed while the loop doesn't run; other calls come from its thread.
class WorkerPart {
 public:
  virtual ~WorkerPart() = default;

  /// As `ProxyBlock::Drain`.
  virtual void Drain(absl::Duration timeout, absl::AnyInvocable<void()> done) = 0;
};

/// Creates the part of one worker. The loop and the observer (which may be null) outlive it.
using WorkerPartFactory = absl::AnyInvocable<absl::StatusOr<std::unique_ptr<WorkerPart>>(
    EpollLoop&, const WorkerAddress&, ConnectionObserver*)>;

/// Another part that runs on the main loop, where it delays no connection.
class MainLoopPart {
 public:
  virtual ~MainLoopPart() = default;

  /// Called before the host listens; `main_loop` runs until `Stop`.
  virtual absl::Status Start(EpollLoop& main_loop) = 0;

  /// Called after the workers and the main loop have ended, also if a start failed.
  virtual void Stop() = 0;
};

/// Something else on a thread that its blocks use, such as a handler.
class ThreadPart {
 public:
  virtual ~ThreadPart() = default;

  /// Called on its thread when the blocks begin to drain.
  virtual void BeginDrain() = 0;
};

/// Observes a host's life cycle. All calls come from the main thread.
class ProxyHostWatcher : public MainLoopPart {
 public:
  /// Creates the observer of one thread's blocks, which passes every call on to `next` (may be
  /// null).
  virtual std::unique_ptr<ConnectionObserver> NewObserver(ConnectionObserver* next) = 0;

  /// All threads accept connections.
  virtual void OnServing() = 0;

  virtual void OnReloaded(bool good) = 0;

  /// A connection that waited could not be accepted.
  virtual void OnAcceptFailed() = 0;
  virtual void OnDraining() = 0;
};

class ProxyHost {
 public:
  /// `main_loop`, which must outlive the host, runs signals, reloads and the parts; connections run
  /// on the workers' loops.
  ProxyHost(const ProxyHostOptions& options, EpollLoop& main_loop);
  ~ProxyHost();
  ProxyHost(const ProxyHost&) = delete;
  ProxyHost& operator=(const ProxyHost&) = delete;

  /// Sets the reload function, for SIGHUP and for changes of `watched_files`. It loads everything
  /// again, and uses it only if all of it is valid; it returns a line about the loaded files.
  /// Called on the main thread, where reading files delays no connection. A failure that may pass
  /// by itself (`MayPassByItself`) is tried again later.
  void OnReload(absl::AnyInvocable<absl::StatusOr<std::string>()> reload,
                std::vector<std::string> watched_files = {});

  /// Sets what must happen before each reload, on the main loop: `prepare` calls its argument once,
  /// now or later. If another reload is due meanwhile, `prepare` is called again, and may drop the
  /// earlier argument.
  void BeforeReload(absl::AnyInvocable<void(absl::AnyInvocable<void()> go)> prepare) {
    prepare_reload_ = std::move(prepare);
  }

  /// Loads everything again, as SIGHUP does; at the start as soon as the host serves. For the main
  /// thread.
  void RequestReload();

  /// Sets the observer of the host's life cycle; null for none. Must outlive `Run`.
  void SetWatcher(ProxyHostWatcher* watcher) {
    watcher_ = watcher;
    AddPart(watcher);
  }

  /// Adds a part to the main loop; null for none. Must outlive `Run`.
  void AddPart(MainLoopPart* part) {
    if (part != nullptr) parts_.push_back(part);
  }

  /// Keeps `part` until the blocks of its thread are gone. Call it in the factory of `Run`, for the
  /// thread that the factory works for.
  void Keep(std::unique_ptr<ThreadPart> part);

  /// Gives each worker a part. Call it before `Run`.
  void SetWorkerPart(WorkerPartFactory new_part) { new_part_ = std::move(new_part); }

  /// Serves connections until SIGTERM or SIGINT. Then it stops accepting and lets open connections
  /// finish, for at most the drain timeout; a second signal cuts them. Returns OK in both cases, or
  /// an error if the start failed.
  absl::Status Run(BlockFactory new_blocks);

  /// Calls `call` with each thread's blocks, on its thread, and returns after all calls. Call it on
  /// the main thread while `Run` runs.
  void ForEachThread(const std::function<void(Blocks&)>& call);

  /// The same for the workers' parts. Without `SetWorkerPart` there are none.
  void ForEachPart(const std::function<void(WorkerPart&)>& call);

  /// Drains connections that began with certificates older than `generation`, as the options say.
  /// Call it after a replacement of certificates, while `Run` runs.
  void DrainOlderCertificates(uint64_t generation);

  /// Fails if `leads_to` returns true for an address at which clients reach this proxy. A backend
  /// would then lead back to it. Call it while `Run` runs, also in the factory.
  absl::Status RefuseLoop(const std::function<bool(const Endpoint& listener)>& leads_to) const;

  /// Returns whether clients reach this proxy at `address`. Before `Run`, it knows the address of
  /// the options only. For the main thread.
  bool IsItself(const Endpoint& address) const;

 private:
  class Worker;

  absl::Status Check(BlockFactory& new_blocks);
  absl::Status Listen(Worker& worker);
  absl::Status AddWorker(BlockFactory& new_blocks);
  void OnServing();
  absl::Status StartWorkers(BlockFactory& new_blocks);
  void OnSignal(int signal);
  void WatchFiles();
  void Reload();
  void ReloadNow();
  void RetryLater();
  void Drain();
  void LogRefusals() const;
  void OnAcceptFailed(const absl::Status& status);
  void LogAcceptFailures();

  const ProxyHostOptions options_;
  ConnectionLog log_;
  ProxyHostWatcher* watcher_ = nullptr;
  std::vector<MainLoopPart*> parts_;
  WorkerPartFactory new_part_;
  bool serving_ = false;
  bool reload_wanted_ = false;  // Since before it serves.
  absl::AnyInvocable<absl::StatusOr<std::string>()> reload_;
  absl::AnyInvocable<void(absl::AnyInvocable<void()>)> prepare_reload_;  // May be empty.
  std::vector<std::string> watched_files_;
  EpollLoop& main_loop_;
  std::vector<Endpoint> listening_;     // Where clients reach it; from the options, then real.
  std::unique_ptr<FileWatcher> files_;  // Null if no file is watched.
  Timer retry_;                         // After a failed reload.
  absl::Duration retry_delay_;
  std::unique_ptr<ServiceReports> service_;  // Null without a service manager that asks.
  std::vector<std::unique_ptr<Worker>> workers_;
  int workers_to_drain_ = 0;
  uint64_t accept_failures_ = 0;  // Since the last log line about them.
  absl::Status last_accept_failure_;
  Timer next_accept_line_;  // Set while a line was logged recently.
  bool draining_ = false;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_PROXY_HOST_H_
