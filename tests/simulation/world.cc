#include "tests/simulation/world.h"

#include <array>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/tls_fixture.h"
#include "tests/simulation/ends.h"
#include "tests/simulation/sim_dialer.h"
#include "trestle/pki/private_key.h"
#include "trestle/pki/signer.h"
#include "trestle/proxy/connection_limiter.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/tls/client_session_cache.h"

namespace trestle::simulation {
namespace {

using testing::SimulatedLoop;
using testing::TestPki;

// More calls than any scenario needs: a loop that spins is a failure.
constexpr size_t kMaxCalls = 2'000'000;

constexpr uint16_t kFirstClientPort = 10'000;

constexpr const char* kNames[] = {"offload.test", "bridge.test", "passthrough.test"};

// Signs after a delay, as a key in another process does.
class SlowSigner final : public Signer {
 public:
  SlowSigner(std::shared_ptr<const PrivateKey> key, absl::Duration delay)
      : key_(std::move(key)), delay_(delay) {}

  std::unique_ptr<PendingCall> Sign(SignatureScheme scheme, ByteView input, Scheduler& loop,
                                    Done done) const override {
    return loop.RunAfter(delay_,
                         [done = std::move(done), signature = key_->Sign(scheme, input)]() mutable {
                           done(std::move(signature));
                         });
  }

 private:
  const std::shared_ptr<const PrivateKey> key_;
  const absl::Duration delay_;
};

class SlowSigners final : public SignerMaker {
 public:
  explicit SlowSigners(absl::Duration delay) : delay_(delay) {}
  std::shared_ptr<const Signer> MakeSigner(std::shared_ptr<const PrivateKey> key) override {
    return std::make_shared<SlowSigner>(std::move(key), delay_);
  }

 private:
  const absl::Duration delay_;
};

// Drops one byte of what it passes on, as a broken transport would.
class LossyTransport final : public Transport {
 public:
  explicit LossyTransport(std::unique_ptr<Transport> inner) : inner_(std::move(inner)) {}

  IoResult Read(MutableByteView out) override { return inner_->Read(out); }
  IoResult Write(ByteView data) override {
    const bool drops = data.size() > 1 && !std::exchange(dropped_, true);
    if (drops) data.remove_suffix(1);
    IoResult result = inner_->Write(data);
    if (drops && result.bytes == data.size()) ++result.bytes;
    return result;
  }
  IoResult ShutdownWrite(StreamEnd end) override { return inner_->ShutdownWrite(end); }
  void Abort() override { inner_->Abort(); }
  void SetHandler(TransportHandler* handler) override { inner_->SetHandler(handler); }
  absl::Status status() const override { return inner_->status(); }
  TransportInfo info() const override { return inner_->info(); }

 private:
  const std::unique_ptr<Transport> inner_;
  bool dropped_ = false;
};

class World {
 public:
  explicit World(const Scenario& scenario)
      : scenario_(scenario),
        loop_(scenario.seed),
        pki_(loop_.Now()),
        signers_(scenario.signature_delay),
        dialer_(loop_, scenario.dials,
                [this](size_t dial, const Endpoint& backend, std::unique_ptr<Transport> end) {
                  Accept(dial, backend, std::move(end));
                }),
        ends_(loop_, scenario) {
    front_store_ = *CertificateStore::Create({NewCredential()}, loop_.Now());
    front_ = NewServer(front_store_);
    backend_tls_ =
        NewServer(*CertificateStore::Create({pki_.IssueCredential(Leaf())}, loop_.Now()));
    client_tls_ = ClientOf(pki_);
    ConnectionLimits limits;
    limits.connections = scenario.max_connections;
    limits.full_handshakes = scenario.max_handshakes;
    limiter_ = *ConnectionLimiter::Create(limits);
    OpenBlocks();
    Schedule();
  }

  std::string Run() {
    for (size_t calls = 0; loop_.RunUntilIdle(1) == 1; ++calls) {
      if (calls == kMaxCalls) return "the loop never becomes idle";
      if (std::string wrong = Check(); !wrong.empty()) return wrong;
    }
    if (std::string wrong = CheckCounts(); !wrong.empty()) return wrong;
    if (!interrupted_ && !limited()) {
      if (std::string wrong = ends_.CheckComplete(); !wrong.empty()) return wrong;
    }
    return CheckEmpty();
  }

 private:
  static Endpoint BackendOf(Block block, int number) {
    const auto first = static_cast<uint8_t>(10 * (1 + static_cast<int>(block)));
    return Endpoint(ByteView({198, 51, 100, static_cast<uint8_t>(first + number)}), 443);
  }

  static Backends BackendsOf(Block block) {
    Backends backends = BackendOf(block, 0);
    backends.endpoints.push_back(BackendOf(block, 1));
    return backends;
  }

  static testing::LeafSpec Leaf() { return {{kNames[0], kNames[1], kNames[2]}}; }

  bool limited() const { return scenario_.max_connections > 0 || scenario_.max_handshakes > 0; }

  std::shared_ptr<const Credential> NewCredential() {
    const testing::PemPair pair = pki_.Issue(Leaf());
    CredentialOptions options;
    if (scenario_.signature_delay > absl::ZeroDuration()) options.signers = &signers_;
    return *Credential::FromPem(pair.chain, pair.key, options);
  }

  std::shared_ptr<const ServerTlsConfig> NewServer(std::shared_ptr<CertificateStore> store) const {
    ServerTlsOptions options;
    options.certificates = std::move(store);
    if (scenario_.tls12) options.parameters.max_version = TlsVersion::kTls12;
    return *ServerTlsConfig::Create(std::move(options));
  }

  std::shared_ptr<const RouteTable> Routes() const {
    return *RouteTable::Create({{kNames[0], terminator_.get()},
                                {kNames[1], bridge_.get()},
                                {kNames[2], BackendsOf(Block::kPassthrough)}});
  }

  void OpenBlocks() {
    ConnectionOptions connection;
    connection.limiter = limiter_;
    connection.relay.buffer_bytes = scenario_.buffer_bytes;
    connection.relay.turn_bytes = scenario_.turn_bytes;
    TlsTerminatorOptions offload;
    offload.front_tls = front_;
    offload.backend = BackendsOf(Block::kOffload);
    offload.connection = connection;
    terminator_ = *TlsTerminator::Create(loop_, dialer_, std::move(offload), &observers_[0]);
    TlsBridgeOptions bridge;
    bridge.front_tls = front_;
    bridge.back_tls = client_tls_;
    bridge.backend = BackendsOf(Block::kBridge);
    bridge.backend_name = kNames[1];
    bridge.connection = connection;
    bridge_ = *TlsBridge::Create(loop_, dialer_, std::move(bridge), &observers_[1]);
    SniPassthroughRouterOptions router;
    router.routes = Routes();
    router.connection = connection;
    router_ = *SniPassthroughRouter::Create(loop_, dialer_, std::move(router), &observers_[2]);
  }

  void Schedule() {
    for (size_t i = 0; i < scenario_.clients.size(); ++i) {
      timers_.push_back(loop_.RunAfter(scenario_.clients[i].start, [this, i] { Connect(i); }));
    }
    for (const EventPlan& event : scenario_.events) {
      timers_.push_back(loop_.RunAfter(event.at, [this, &event] { Happen(event); }));
    }
  }

  void Connect(size_t index) {
    if (interrupted_) return;
    const ClientPlan& plan = scenario_.clients[index];
    // The links of a client are alike in both directions, faults included.
    auto [client, front] = testing::NewMemoryPair(loop_, plan.end.out, plan.end.out);
    Accepted accepted(std::move(front));
    accepted.origin.peer =
        Endpoint(ByteView({203, 0, 113, 1}), static_cast<uint16_t>(kFirstClientPort + index));
    ++served_;
    router_->Serve(std::move(accepted));
    if (scenario_.drops_a_byte) client = std::make_unique<LossyTransport>(std::move(client));
    ends_.StartClient(index, std::move(client), EngineOf(plan));
  }

  std::unique_ptr<TlsEngine> EngineOf(const ClientPlan& plan) {
    if (plan.opening == Opening::kGarbage || plan.opening == Opening::kSilence) return nullptr;
    ClientTlsTarget target;
    target.server_name = plan.opening == Opening::kUnknownName
                             ? "unknown.test"
                             : kNames[static_cast<int>(plan.block)];
    if (scenario_.resumes) target.sessions = &sessions_;
    return *TlsEngine::NewClient(client_tls_, target, loop_, Leg::kFront);
  }

  void Accept(size_t dial, const Endpoint& backend, std::unique_ptr<Transport> end) {
    const bool clear =
        backend == BackendOf(Block::kOffload, 0) || backend == BackendOf(Block::kOffload, 1);
    ends_.StartBackend(dial, dialer_.plan(dial), std::move(end),
                       clear ? nullptr : TlsEngine::NewServer(backend_tls_, loop_, Leg::kBack));
  }

  void Happen(const EventPlan& event) {
    switch (event.kind) {
      case EventPlan::Kind::kClockStep:
        return loop_.SetClock(loop_.Now() + event.step);
      case EventPlan::Kind::kReload:
        return Reload();
      case EventPlan::Kind::kDrain:
        interrupted_ = true;
        for (ProxyBlock* block : blocks()) block->Drain(absl::Milliseconds(200), [] {});
        return;
      case EventPlan::Kind::kShutdown:
        interrupted_ = true;
        router_.reset();
        bridge_.reset();
        terminator_.reset();
        return;
    }
  }

  void Reload() {
    if (router_ == nullptr) return;
    reload_failed_ |= !front_store_->Replace({NewCredential()}, loop_.Now()).ok();
    bridge_->ReplaceBackTls(ClientOf(pki_));
    reload_failed_ |= !router_->ReplaceRoutes(Routes()).ok();
  }

  std::vector<ProxyBlock*> blocks() const {
    if (router_ == nullptr) return {};
    return {terminator_.get(), bridge_.get(), router_.get()};
  }

  std::string Check() {
    if (reload_failed_) return "a reload failed";
    if (limiter_->open_connections() > scenario_.clients.size()) return "the limiter miscounts";
    if (scenario_.max_connections > 0 && limiter_->open_connections() > scenario_.max_connections) {
      return "more connections are open than the limit allows";
    }
    if (scenario_.max_handshakes > 0 && limiter_->under_way() > scenario_.max_handshakes) {
      return "more handshakes are under way than the limit allows";
    }
    for (size_t block = 0; block < observers_.size(); ++block) {
      for (size_t& next = judged_[block]; next < observers_[block].closed.size(); ++next) {
        std::string wrong = JudgeReport(observers_[block].closed[next], ids_[block]);
        if (!wrong.empty()) return wrong;
      }
    }
    return ends_.Step();
  }

  std::string JudgeReport(const ConnectionReport& report, std::set<uint64_t>& ids) const {
    if (!ids.insert(report.id).second) return absl::StrCat("report ", report.id, " came twice");
    const size_t client = report.front.peer.port() - kFirstClientPort;
    if (client >= scenario_.clients.size()) return "a report has another client's address";
    if (report.front.bytes_written > report.back.bytes_read && !report.error.has_value()) {
      return "more bytes left than came";
    }
    if (!report.error.has_value()) return "";
    const std::string text = absl::StrCat("client ", client, ": ", ErrorText(report.error));
    if (report.handed_over) return absl::StrCat("handed over with an error: ", text);
    if (interrupted_ || limited()) return "";
    const bool front_faulty = ends_.ClientIsFaulty(client);
    const bool back_faulty = !report.failed_tries.empty() ||
                             dialer_.plan(SimDialer::DialOf(report.back.local)).faulty() ||
                             report.back.local == Endpoint();
    if (report.error->leg == Leg::kFront && !front_faulty) {
      return absl::StrCat("the front leg is blamed without a fault: ", text);
    }
    if (report.error->leg == Leg::kBack && !back_faulty) {
      return absl::StrCat("the back leg is blamed without a fault: ", text);
    }
    if (!front_faulty && !back_faulty) return absl::StrCat("an error without a fault: ", text);
    return "";
  }

  std::string CheckCounts() const {
    for (ProxyBlock* block : blocks()) {
      if (block->open_connections() != 0) return "a connection is open for ever";
    }
    size_t handed_over = 0;
    for (const ConnectionReport& report : observers_[2].closed) handed_over += report.handed_over;
    const size_t routed = observers_[2].closed.size() + observers_[2].turned_away.size();
    if (routed != served_) {
      return absl::StrCat("the router reported ", routed, " of ", served_, " connections");
    }
    size_t taken = 0;
    for (size_t block : {0, 1}) {
      taken += observers_[block].closed.size() + observers_[block].turned_away.size();
    }
    if (taken != handed_over) {
      return absl::StrCat("blocks reported ", taken, " of ", handed_over, " connections");
    }
    return CheckUnanswered();
  }

  // Before any byte was relayed, a failure ends the client's leg cleanly; the report has the error.
  std::string CheckUnanswered() const {
    std::set<size_t> failed;
    for (const RecordingObserver& observer : observers_) {
      for (const ConnectionReport& report : observer.closed) {
        if (!report.ok()) failed.insert(report.front.peer.port() - kFirstClientPort);
      }
    }
    for (size_t i = 0; i < scenario_.clients.size(); ++i) {
      const bool may_end = scenario_.clients[i].block == Block::kOffload || failed.count(i) > 0;
      if (ends_.EndedUnanswered(i) && !may_end) {
        return absl::StrCat("client ", i,
                            " got a clean end of nothing, and no report has an error");
      }
    }
    return "";
  }

  std::string CheckEmpty() {
    router_.reset();
    bridge_.reset();
    terminator_.reset();
    ends_.Clear();
    timers_.clear();
    if (limiter_->open_connections() != 0 || limiter_->under_way() != 0) {
      return "the limiter counts connections that are gone";
    }
    if (loop_.RunUntilIdle() != 0) return "calls are pending after all is destroyed";
    if (loop_.buffers().lent_blocks() != 0) return "blocks of the buffer pool were not returned";
    return "";
  }

  const Scenario& scenario_;
  SimulatedLoop loop_;
  TestPki pki_;
  SlowSigners signers_;
  SimDialer dialer_;
  Ends ends_;
  std::shared_ptr<CertificateStore> front_store_;
  std::shared_ptr<const ServerTlsConfig> front_;
  std::shared_ptr<const ServerTlsConfig> backend_tls_;
  std::shared_ptr<const ClientTlsConfig> client_tls_;
  ClientSessionCache sessions_;
  std::shared_ptr<ConnectionLimiter> limiter_;
  std::array<RecordingObserver, 3> observers_;  // Of terminator, bridge and router.
  std::array<size_t, 3> judged_ = {};
  std::array<std::set<uint64_t>, 3> ids_;
  std::unique_ptr<TlsTerminator> terminator_;
  std::unique_ptr<TlsBridge> bridge_;
  std::unique_ptr<SniPassthroughRouter> router_;
  std::vector<Timer> timers_;
  size_t served_ = 0;
  bool interrupted_ = false;  // Drained or shut down: open connections may be cut.
  bool reload_failed_ = false;
};

}  // namespace

std::string RunScenario(const Scenario& scenario) { return World(scenario).Run(); }

}  // namespace trestle::simulation
