#include "examples/support/proxy_host.h"

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/blocking_counter.h"
#include "examples/support/log.h"
#include "examples/support/program.h"
#include "examples/support/service_sockets.h"
#include "trestle/linux/signal_watcher.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/linux/thread.h"
#include "trestle/proxy/backends.h"

namespace trestle::examples {
namespace {

constexpr int kSignals[] = {SIGHUP, SIGTERM, SIGINT};

// Minimum time between log lines about failures to accept.
constexpr absl::Duration kBetweenAcceptLines = absl::Seconds(10);

// Delays before a failed reload is tried again; each is twice the one before.
constexpr absl::Duration kFirstRetry = absl::Seconds(1);
constexpr absl::Duration kLongestRetry = absl::Minutes(1);

// What the end takes beside --drain_timeout, at most: retiring listeners, last log lines.
constexpr absl::Duration kAfterDrain = absl::Seconds(10);

// Each connection needs two descriptors; the soft limit is often 1024.
void RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

// One thread: a loop and its objects. Members are in the order of dependency.
class ProxyHost::Worker {
 public:
  static absl::StatusOr<std::unique_ptr<Worker>> Create(absl::Duration keepalive) {
    absl::StatusOr<std::unique_ptr<EpollLoop>> loop = EpollLoop::Create();
    if (!loop.ok()) return loop.status();
    return std::make_unique<Worker>(*std::move(loop), keepalive);
  }

  Worker(std::unique_ptr<EpollLoop> loop, absl::Duration keepalive)
      // The blocks limit the dial time.
      : loop_(std::move(loop)),
        keepalive_(keepalive),
        dialer_(*loop_, {absl::InfiniteDuration(), keepalive}) {}

  ~Worker() {
    loop_->Stop();
    thread_.Join();
  }

  /// Listens on `endpoint`.
  absl::Status Listen(const Endpoint& endpoint, PortUse port_use) {
    return Add(TcpListener::Create(*loop_, endpoint, NewServe(), OptionsFor(port_use)));
  }

  /// Listens on a socket that the service manager passed.
  absl::Status Adopt(OwnedFd socket) {
    return Add(
        TcpListener::Adopt(*loop_, std::move(socket), NewServe(), OptionsFor(PortUse::kClaim)));
  }

  /// Listens on the sockets of another worker.
  absl::Status Share(const Worker& other) {
    for (const std::unique_ptr<TcpListener>& listener : other.listeners_) {
      absl::Status added =
          Add(TcpListener::Share(*loop_, *listener, NewServe(), OptionsFor(PortUse::kClaim)));
      if (!added.ok()) return added;
    }
    return absl::OkStatus();
  }

  /// `own` observes this worker's blocks; if it is null, `shared` does.
  absl::Status MakeBlocks(BlockFactory& new_blocks, std::unique_ptr<ConnectionObserver> own,
                          ConnectionObserver* shared) {
    observer_ = std::move(own);
    absl::StatusOr<Blocks> blocks =
        new_blocks(*loop_, dialer_, observer_ != nullptr ? observer_.get() : shared);
    if (!blocks.ok()) return blocks.status();
    blocks_ = *std::move(blocks);
    return absl::OkStatus();
  }

  /// Call it after `MakeBlocks`, whose observer the part gets too.
  absl::Status MakePart(WorkerPartFactory& new_part, const WorkerAddress& address,
                        ConnectionObserver* shared) {
    absl::StatusOr<std::unique_ptr<WorkerPart>> part =
        new_part(*loop_, address, observer_ != nullptr ? observer_.get() : shared);
    if (!part.ok()) return part.status();
    part_ = *std::move(part);
    return absl::OkStatus();
  }

  /// Starts accepting connections.
  absl::Status Start() {
    absl::StatusOr<Thread> thread = Thread::Start([this] { loop_->Run(); });
    if (thread.ok()) thread_ = *std::move(thread);
    return thread.status();
  }

  /// Drains the blocks and the part at the same time.
  void Drain(absl::Duration timeout, absl::AnyInvocable<void()> done) {
    if (part_ != nullptr) {
      part_->Drain(timeout, [this] {
        part_drained_ = true;
        if (blocks_drained_) std::exchange(blocks_drained_, nullptr)();
      });
    }
    retired_ = [this, deadline = loop_->MonotonicNow() + timeout,
                done = std::move(done)]() mutable {
      for (const auto& part : parts_) part->BeginDrain();
      // All blocks know the deadline from the start.
      for (const auto& block : blocks_) block->Drain(TimeLeft(deadline), [] {});
      DrainBlocks(blocks_.size(), deadline, std::move(done));
    };
    to_retire_ = listeners_.size();
    for (const std::unique_ptr<TcpListener>& listener : listeners_) {
      listener->Retire([this] {
        if (--to_retire_ > 0) return;
        listeners_.clear();
        std::exchange(retired_, nullptr)();
      });
    }
  }

  /// `call` runs on this worker's thread.
  void OnAcceptFailure(const std::function<void(const absl::Status&)>& call) {
    for (const auto& listener : listeners_) listener->SetFailureCallback(call);
  }

  void Keep(std::unique_ptr<ThreadPart> part) { parts_.push_back(std::move(part)); }

  EpollLoop& loop() { return *loop_; }
  Blocks& blocks() { return blocks_; }
  WorkerPart* part() { return part_.get(); }
  const Endpoint& endpoint() const { return listeners_.front()->local_endpoint(); }

  /// Returns where the worker listens: once for each socket.
  std::vector<Endpoint> Endpoints() const {
    std::vector<Endpoint> endpoints;
    for (const auto& listener : listeners_) endpoints.push_back(listener->local_endpoint());
    return endpoints;
  }

 private:
  TcpListener::Callback NewServe() {
    return [this](std::unique_ptr<Transport> connection) {
      blocks_.back()->Serve(std::move(connection));
    };
  }

  TcpListenerOptions OptionsFor(PortUse port_use) const {
    TcpListenerOptions options;
    options.port_use = port_use;
    options.keepalive = keepalive_;
    return options;
  }

  absl::Status Add(absl::StatusOr<std::unique_ptr<TcpListener>> listener) {
    if (listener.ok()) listeners_.push_back(*std::move(listener));
    return listener.status();
  }

  // Drains in reverse order, because the last block may hand connections over to the others.
  void DrainBlocks(size_t count, MonotonicTime deadline, absl::AnyInvocable<void()> done) {
    if (count == 0 && (part_ == nullptr || part_drained_)) return done();
    if (count == 0) {
      blocks_drained_ = std::move(done);
      return;
    }
    blocks_[count - 1]->Drain(TimeLeft(deadline),
                              [this, count, deadline, done = std::move(done)]() mutable {
                                DrainBlocks(count - 1, deadline, std::move(done));
                              });
  }

  absl::Duration TimeLeft(MonotonicTime deadline) const {
    return std::max(deadline - loop_->MonotonicNow(), absl::ZeroDuration());
  }

  const std::unique_ptr<EpollLoop> loop_;
  const absl::Duration keepalive_;
  TcpDialer dialer_;
  std::unique_ptr<ConnectionObserver> observer_;
  std::vector<std::unique_ptr<ThreadPart>> parts_;
  Blocks blocks_;
  std::vector<std::unique_ptr<TcpListener>> listeners_;  // Several, if passed.
  size_t to_retire_ = 0;
  absl::AnyInvocable<void()> retired_;  // Set while they retire.
  std::unique_ptr<WorkerPart> part_;    // May be null.
  bool part_drained_ = false;
  absl::AnyInvocable<void()> blocks_drained_;  // Set while only the part drains.
  Thread thread_;
};

std::string ProxyHostOptions::ListenText() const {
  return passed_sockets.empty() ? listen.ToString() : absl::StrCat("fd:", passed_sockets);
}

ProxyHost::ProxyHost(const ProxyHostOptions& options, EpollLoop& main_loop)
    : options_(options), log_(options.log_connections), main_loop_(main_loop) {
  const bool is_known =
      options_.passed_sockets.empty() && (!options_.listen.is_ip() || options_.listen.port() != 0);
  if (is_known) listening_ = {options_.listen};
}

ProxyHost::~ProxyHost() = default;

void ProxyHost::OnReload(absl::AnyInvocable<absl::StatusOr<std::string>()> reload,
                         std::vector<std::string> watched_files) {
  reload_ = std::move(reload);
  watched_files_ = std::move(watched_files);
}

absl::Status ProxyHost::Check(BlockFactory& new_blocks) {
  absl::StatusOr<std::unique_ptr<Worker>> worker = Worker::Create(options_.tcp_keepalive);
  if (!worker.ok()) return worker.status();
  workers_.push_back(*std::move(worker));
  absl::Status made = workers_.back()->MakeBlocks(new_blocks, nullptr, &log_);
  workers_.clear();
  return made;
}

absl::Status ProxyHost::Run(BlockFactory new_blocks) {
  if (options_.check_only) return Check(new_blocks);
  // The call also returns both as errors.
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  RaiseDescriptorLimit();
  if (absl::Status status = BlockSignals(kSignals); !status.ok()) return status;
  const absl::StatusOr<std::unique_ptr<SignalWatcher>> signals =
      SignalWatcher::Create(main_loop_, kSignals, [this](int signal) { OnSignal(signal); });
  if (!signals.ok()) return signals.status();
  WatchFiles();
  absl::StatusOr<std::unique_ptr<ServiceReports>> service = ServiceReports::FromEnvironment();
  if (!service.ok()) return service.status();
  service_ = *std::move(service);
  absl::Status status;
  for (MainLoopPart* part : parts_) {
    if (status.ok()) status = part->Start(main_loop_);
  }
  if (status.ok()) status = StartWorkers(new_blocks);
  if (status.ok()) {
    OnServing();
    main_loop_.Run();
  }
  retry_.reset();
  files_.reset();
  workers_.clear();  // Stops the threads and cuts open connections.
  service_.reset();
  for (MainLoopPart* part : parts_) part->Stop();
  return status;
}

// The first worker may have chosen the port; the others join it.
absl::Status ProxyHost::Listen(Worker& worker) {
  if (!workers_.empty()) {
    const Worker& first = *workers_.front();
    const bool joins = options_.passed_sockets.empty() && options_.listen.is_ip();
    return joins ? worker.Listen(first.endpoint(), PortUse::kJoin) : worker.Share(first);
  }
  if (options_.passed_sockets.empty()) return worker.Listen(options_.listen, options_.port_use);
  absl::StatusOr<std::vector<OwnedFd>> sockets = TakeServiceSockets(options_.passed_sockets);
  if (!sockets.ok()) return sockets.status();
  for (OwnedFd& socket : *sockets) {
    if (absl::Status adopted = worker.Adopt(std::move(socket)); !adopted.ok()) return adopted;
  }
  return absl::OkStatus();
}

absl::Status ProxyHost::AddWorker(BlockFactory& new_blocks) {
  ConnectionObserver* const observer =
      options_.log_connections == ConnectionLogFormat::kNone ? nullptr : &log_;
  absl::StatusOr<std::unique_ptr<Worker>> created = Worker::Create(options_.tcp_keepalive);
  if (!created.ok()) return created.status();
  if (absl::Status listening = Listen(**created); !listening.ok()) return listening;
  const bool is_first = workers_.empty();
  if (is_first) listening_ = (*created)->Endpoints();
  workers_.push_back(*std::move(created));
  Worker& worker = *workers_.back();
  worker.OnAcceptFailure([this](const absl::Status& failure) {
    main_loop_.PostFromAnyThread([this, failure] { OnAcceptFailed(failure); });
  });
  std::unique_ptr<ConnectionObserver> own;
  if (watcher_ != nullptr) own = watcher_->NewObserver(observer);
  absl::Status made = worker.MakeBlocks(new_blocks, std::move(own), observer);
  if (!made.ok() || !new_part_) return made;
  const WorkerAddress address = {workers_.front()->endpoint(),
                                 is_first ? options_.port_use : PortUse::kJoin, is_first};
  return worker.MakePart(new_part_, address, observer);
}

absl::Status ProxyHost::StartWorkers(BlockFactory& new_blocks) {
  absl::Status started;
  for (int i = 0; i < options_.threads && started.ok(); ++i) started = AddWorker(new_blocks);
  for (const std::unique_ptr<Worker>& worker : workers_) {
    if (started.ok()) started = worker->Start();
  }
  return started;
}

void ProxyHost::OnServing() {
  std::vector<std::string> texts;
  for (const Endpoint& endpoint : workers_.front()->Endpoints()) {
    texts.push_back(absl::StrCat("listening on ", endpoint.ToString()));
    LogLine(texts.back());
  }
  if (watcher_ != nullptr) watcher_->OnServing();
  serving_ = true;
  if (std::exchange(reload_wanted_, false)) Reload();
  if (service_ == nullptr) return;
  std::vector<Scheduler*> loops;
  for (const std::unique_ptr<Worker>& worker : workers_) loops.push_back(&worker->loop());
  service_->OnServing(absl::StrJoin(texts, ", "), main_loop_, std::move(loops));
}

void ProxyHost::Keep(std::unique_ptr<ThreadPart> part) { workers_.back()->Keep(std::move(part)); }

void ProxyHost::ForEachThread(const std::function<void(Blocks&)>& call) {
  absl::BlockingCounter pending(static_cast<int>(workers_.size()));
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->loop().PostFromAnyThread([&call, &pending, &blocks = worker->blocks()] {
      call(blocks);
      pending.DecrementCount();
    });
  }
  pending.Wait();
}

void ProxyHost::ForEachPart(const std::function<void(WorkerPart&)>& call) {
  for (const std::unique_ptr<Worker>& worker : workers_) {
    if (worker->part() == nullptr) continue;
    absl::BlockingCounter pending(1);
    worker->loop().PostFromAnyThread([&call, &pending, &part = *worker->part()] {
      call(part);
      pending.DecrementCount();
    });
    pending.Wait();
  }
}

void ProxyHost::DrainOlderCertificates(uint64_t generation) {
  if (options_.drain_on_reload == absl::InfiniteDuration()) return;
  ForEachThread([&](Blocks& blocks) {
    for (const std::unique_ptr<ProxyBlock>& block : blocks) {
      block->DrainOlderCertificates(generation, options_.drain_on_reload);
    }
  });
}

absl::Status ProxyHost::RefuseLoop(
    const std::function<bool(const Endpoint& listener)>& leads_to) const {
  for (const Endpoint& endpoint : listening_) {
    for (const Endpoint& address : TcpListener::AddressesOf(endpoint)) {
      if (!leads_to(address)) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("a backend leads back to this proxy, which listens on ", address.ToString(),
                       ": it would dial itself for ever"));
    }
  }
  return absl::OkStatus();
}

bool ProxyHost::IsItself(const Endpoint& address) const {
  const Backends backend(address);
  return !RefuseLoop([&](const Endpoint& listener) { return LeadsTo(backend, listener); }).ok();
}

void ProxyHost::OnSignal(int signal) {
  if (signal == SIGHUP) {
    ReopenFiles();
    return Reload();
  }
  if (!draining_) return Drain();
  LogLine("stopping now");
  main_loop_.Stop();
}

// A proxy without inotify still serves connections.
void ProxyHost::WatchFiles() {
  if (watched_files_.empty()) return;
  absl::StatusOr<std::unique_ptr<FileWatcher>> watcher = FileWatcher::Create(
      main_loop_, watched_files_, [this](absl::Span<const std::string>) { Reload(); });
  if (watcher.ok()) {
    files_ = *std::move(watcher);
    return;
  }
  LogLine(absl::StrCat("files are not watched for changes, only SIGHUP loads them again: ",
                       Sentence(watcher.status())));
}

void ProxyHost::RequestReload() {
  if (serving_) return Reload();
  reload_wanted_ = true;
}

void ProxyHost::Reload() {
  if (!reload_) return LogLine("there is nothing to reload");
  retry_.reset();
  if (service_ != nullptr) service_->OnReloading();
  // The reload reads all files, changed or not.
  if (files_ != nullptr) files_->MarkSeen();
  if (!prepare_reload_) return ReloadNow();
  prepare_reload_([this] { ReloadNow(); });
}

void ProxyHost::ReloadNow() {
  const absl::StatusOr<std::string> loaded = reload_();
  LogLine(loaded.ok() ? absl::StrCat("reloaded: ", *loaded)
                      : absl::StrCat("reload failed, what was loaded before stays in use: ",
                                     Sentence(loaded.status())));
  if (watcher_ != nullptr) watcher_->OnReloaded(loaded.ok());
  if (service_ != nullptr) service_->OnReloaded();
  if (!loaded.ok() && MayPassByItself(loaded.status())) return RetryLater();
  retry_delay_ = kFirstRetry;
}

void ProxyHost::RetryLater() {
  retry_delay_ = std::clamp(retry_delay_, kFirstRetry, kLongestRetry);
  LogLine(absl::StrCat("the reload is tried again in ", absl::FormatDuration(retry_delay_)));
  retry_ = main_loop_.RunAfter(retry_delay_, [this] { Reload(); });
  retry_delay_ *= 2;
}

void ProxyHost::Drain() {
  draining_ = true;
  if (service_ != nullptr) service_->OnStopping(options_.drain_timeout + kAfterDrain);
  workers_to_drain_ = static_cast<int>(workers_.size());
  const auto on_drained = [this] {
    if (--workers_to_drain_ > 0) return;
    LogRefusals();
    LogLine("drained");
    main_loop_.Stop();
  };
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->loop().PostFromAnyThread([this, on_drained, &worker = *worker] {
      worker.Drain(options_.drain_timeout,
                   [this, on_drained] { main_loop_.PostFromAnyThread(on_drained); });
    });
  }
  if (watcher_ != nullptr) watcher_->OnDraining();
  LogLine(absl::StrCat("draining for at most ", absl::FormatDuration(options_.drain_timeout),
                       "; a second signal stops at once"));
}

void ProxyHost::OnAcceptFailed(const absl::Status& status) {
  if (watcher_ != nullptr) watcher_->OnAcceptFailed();
  ++accept_failures_;
  last_accept_failure_ = status;
  if (next_accept_line_ == nullptr) LogAcceptFailures();
}

void ProxyHost::LogAcceptFailures() {
  std::string line = absl::StrCat("connections wait: ", Sentence(last_accept_failure_));
  if (accept_failures_ > 1) absl::StrAppend(&line, " (", accept_failures_, " times)");
  LogLine(line);
  accept_failures_ = 0;
  next_accept_line_ = main_loop_.RunAfter(kBetweenAcceptLines, [this] {
    next_accept_line_.reset();
    if (accept_failures_ > 0) LogAcceptFailures();
  });
}

void ProxyHost::LogRefusals() const {
  // The blocks share their limits.
  const ConnectionLimiter* const limiter =
      workers_.empty() ? nullptr : workers_.front()->blocks().front()->limiter().get();
  if (limiter == nullptr) return;
  const RefusalCounts sum = limiter->refused();
  const std::pair<Limit, uint64_t> counts[] = {
      {Limit::kConnections, sum.connections},
      {Limit::kFullHandshakes, sum.full_handshakes},
      {Limit::kHandshakesPerSecond, sum.full_handshakes_per_second},
      {Limit::kHandshakesPerSecondPerClient, sum.full_handshakes_per_second_per_client},
  };
  for (const auto& [limit, count] : counts) {
    if (count > 0) LogLine(absl::StrCat("refused because of --", EnumName(limit), ": ", count));
  }
}

}  // namespace trestle::examples
