#include "examples/proxy_host.h"

#include <signal.h>
#include <sys/resource.h>

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "examples/proxy_flags.h"
#include "trestle/posix/file_watcher.h"
#include "trestle/posix/signal_watcher.h"
#include "trestle/posix/tcp_dialer.h"
#include "trestle/posix/tcp_listener.h"

namespace trestle::examples {
namespace {

constexpr int kSignals[] = {SIGHUP, SIGTERM, SIGINT};

// Each connection takes two descriptors; the soft limit is often 1024.
void RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

// One thread: a loop, and all that lives on it. Members are in the order of dependence.
class ProxyHost::Worker {
 public:
  static absl::StatusOr<std::unique_ptr<Worker>> Create(BlockFactory& new_block,
                                                        ConnectionObserver* observer) {
    absl::StatusOr<std::unique_ptr<EpollLoop>> loop = EpollLoop::Create();
    if (!loop.ok()) return loop.status();
    auto worker = std::make_unique<Worker>(*std::move(loop));
    absl::StatusOr<std::unique_ptr<ProxyBlock>> block =
        new_block(*worker->loop_, worker->dialer_, observer);
    if (!block.ok()) return block.status();
    worker->block_ = *std::move(block);
    return worker;
  }

  explicit Worker(std::unique_ptr<EpollLoop> loop)
      // The block limits dialling itself.
      : loop_(std::move(loop)), dialer_(*loop_, {absl::InfiniteDuration()}) {}

  ~Worker() {
    loop_->Stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Listen(const Endpoint& endpoint, PortUse port_use) {
    TcpListenerOptions options;
    options.port_use = port_use;
    absl::StatusOr<std::unique_ptr<TcpListener>> listener = TcpListener::Create(
        *loop_, endpoint,
        [this](std::unique_ptr<Transport> connection) { block_->Serve(std::move(connection)); },
        options);
    if (!listener.ok()) return listener.status();
    listener_ = *std::move(listener);
    return absl::OkStatus();
  }

  void Start() {
    thread_ = std::thread([this] { loop_->Run(); });
  }

  void Drain(absl::Duration timeout, absl::AnyInvocable<void()> done) {
    listener_.reset();
    block_->Drain(timeout, std::move(done));
  }

  EpollLoop& loop() { return *loop_; }
  ProxyBlock& block() { return *block_; }
  const Endpoint& local_endpoint() const { return listener_->local_endpoint(); }

 private:
  const std::unique_ptr<EpollLoop> loop_;
  TcpDialer dialer_;
  std::unique_ptr<ProxyBlock> block_;
  std::unique_ptr<TcpListener> listener_;
  std::thread thread_;
};

ProxyHost::ProxyHost(const ProxyHostOptions& options) : options_(options) {}

ProxyHost::~ProxyHost() = default;

void ProxyHost::OnReload(absl::AnyInvocable<absl::StatusOr<std::string>()> reload,
                         std::vector<std::string> watched_files) {
  reload_ = std::move(reload);
  watched_files_ = std::move(watched_files);
}

absl::Status ProxyHost::Run(BlockFactory new_block) {
  signal(SIGPIPE, SIG_IGN);
  RaiseDescriptorLimit();
  if (absl::Status status = BlockSignals(kSignals); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<EpollLoop>> main_loop = EpollLoop::Create();
  if (!main_loop.ok()) return main_loop.status();
  main_loop_ = *std::move(main_loop);
  const absl::StatusOr<std::unique_ptr<SignalWatcher>> signals =
      SignalWatcher::Create(*main_loop_, kSignals, [this](int signal) { OnSignal(signal); });
  if (!signals.ok()) return signals.status();
  std::unique_ptr<FileWatcher> files;
  if (!watched_files_.empty()) {
    absl::StatusOr<std::unique_ptr<FileWatcher>> watcher =
        FileWatcher::Create(*main_loop_, watched_files_, [this](const std::string&) { Reload(); });
    if (!watcher.ok()) return watcher.status();
    files = *std::move(watcher);
  }

  absl::Status status = StartWorkers(new_block);
  if (status.ok()) {
    LogLine(absl::StrCat("listening on ", workers_.front()->local_endpoint().ToString()));
    main_loop_->Run();
  }
  workers_.clear();  // Stops the threads, and cuts what is still open.
  return status;
}

absl::Status ProxyHost::StartWorkers(BlockFactory& new_block) {
  ConnectionObserver* const observer = options_.log_connections ? &log_ : nullptr;
  for (int i = 0; i < options_.threads; ++i) {
    absl::StatusOr<std::unique_ptr<Worker>> worker = Worker::Create(new_block, observer);
    if (!worker.ok()) return worker.status();
    // The first one may have picked the port; the others join it there.
    const absl::Status listening =
        workers_.empty() ? (*worker)->Listen(options_.listen, PortUse::kClaim)
                         : (*worker)->Listen(workers_.front()->local_endpoint(), PortUse::kJoin);
    if (!listening.ok()) return listening;
    workers_.push_back(*std::move(worker));
  }
  for (const std::unique_ptr<Worker>& worker : workers_) worker->Start();
  return absl::OkStatus();
}

void ProxyHost::ForEachBlock(const std::function<void(ProxyBlock&)>& call) {
  absl::BlockingCounter pending(static_cast<int>(workers_.size()));
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->loop().PostFromAnyThread([&call, &pending, &block = worker->block()] {
      call(block);
      pending.DecrementCount();
    });
  }
  pending.Wait();
}

void ProxyHost::OnSignal(int signal) {
  if (signal == SIGHUP) return Reload();
  if (!draining_) return Drain();
  LogLine("stopping now");
  main_loop_->Stop();
}

void ProxyHost::Reload() {
  if (!reload_) return LogLine("there is nothing to reload");
  const absl::StatusOr<std::string> loaded = reload_();
  LogLine(loaded.ok() ? absl::StrCat("reloaded: ", *loaded)
                      : absl::StrCat("reload failed, what was loaded before stays in use: ",
                                     Sentence(loaded.status())));
}

void ProxyHost::Drain() {
  draining_ = true;
  LogLine(absl::StrCat("draining for at most ", absl::FormatDuration(options_.drain_timeout),
                       "; a second signal stops at once"));
  workers_to_drain_ = static_cast<int>(workers_.size());
  const auto on_drained = [this] {
    if (--workers_to_drain_ > 0) return;
    LogLine("drained");
    main_loop_->Stop();
  };
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->loop().PostFromAnyThread([this, on_drained, &worker = *worker] {
      worker.Drain(options_.drain_timeout,
                   [this, on_drained] { main_loop_->PostFromAnyThread(on_drained); });
    });
  }
}

}  // namespace trestle::examples
