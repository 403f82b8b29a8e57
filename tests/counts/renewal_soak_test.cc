// Half an hour with certificates that last a minute, in virtual time: a bridge, a terminator behind
// it and its clients all verify each other, and all renew all the time. Once by files, once with
// keys that sign elsewhere, as tokens do, and once by a SPIFFE agent. No handshake fails, nothing
// warns, and no memory is left behind.
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "bench/support/allocation_counter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "integrations/spiffe/spiffe_source.h"
#include "tests/integrations/spiffe/fake_agent.h"
#include "tests/support/stream_peer.h"
#include "trestle/pki/chain_checker.h"
#include "trestle/pki/private_key.h"
#include "trestle/pki/signer.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/credential_files.h"
#include "trestle/tls/tls_reload.h"
#include "trestle/tls/tls_stream.h"
#include "trestle/watch/certificate_monitor.h"
#include "trestle/watch/certificate_sightings.h"

namespace trestle::testing {
namespace {

using ::testing::IsEmpty;

constexpr absl::Duration kLifetime = absl::Seconds(60);
constexpr int kRenewSeconds = 30;
constexpr int kWarmUpSeconds = 600;
constexpr int kSeconds = 1800;
// Connections that stay open for so long span ten renewals.
constexpr int kLongSeconds = 300;
// Tickets, chains and descriptions differ in size by a few bytes.
constexpr int64_t kNoise = 16 * 1024;

// One identity of the scene, and how it gets its next certificate.
class Supply {
 public:
  Supply(SimulatedLoop& loop, const TestPki& pki, std::string name)
      : loop_(loop), pki_(pki), name_(std::move(name)) {}
  virtual ~Supply() = default;

  virtual void Renew() = 0;

  /// Called when there is something new; within `Renew` or later.
  std::function<void()> on_new = [] {};
  std::shared_ptr<const Credential> server;
  std::shared_ptr<const Credential> client;

  std::string id() const { return absl::StrCat("spiffe://example.org/", name_); }

 protected:
  LeafSpec Spec() const {
    LeafSpec spec;
    spec.dns_names = {name_ + ".test"};
    spec.uri_names = {id()};
    spec.both_auths = true;
    spec.not_before = loop_.Now();
    spec.not_after = loop_.Now() + kLifetime;
    return spec;
  }

  SimulatedLoop& loop_;
  const TestPki& pki_;
  const std::string name_;
};

// Files of a directory, in memory.
class FileSupply final : public Supply {
 public:
  using Supply::Supply;

  void Renew() override {
    const PemPair pair = pki_.Issue(Spec());
    files_[name_ + ".pem"] = pair.chain;
    files_[name_ + ".key"] = pair.key;
    const std::vector<std::string> names = {name_ + ".pem", name_ + ".key"};
    server =
        folder_.Load(names, [this](const std::string& name) { return files_.at(name); })->front();
    CredentialOptions options;
    options.use = CredentialUse::kClient;
    client = *Credential::FromPem(pair.chain, pair.key, options);
    on_new();
  }

 private:
  std::map<std::string, absl::StatusOr<std::string>> files_;
  CredentialFiles folder_;
};

// Signs after a moment, as a token or a key server does.
class SlowSigner final : public Signer {
 public:
  explicit SlowSigner(std::shared_ptr<const PrivateKey> key) : key_(std::move(key)) {}

  std::unique_ptr<PendingCall> Sign(SignatureScheme scheme, ByteView input, Scheduler& loop,
                                    Done done) const override {
    return loop.RunAfter(absl::Milliseconds(20), [this, scheme, text = std::string(AsText(input)),
                                                  done = std::move(done)]() mutable {
      done(key_->Sign(scheme, AsBytes(text)));
    });
  }

 private:
  const std::shared_ptr<const PrivateKey> key_;
};

// One key that stays where it is; only the certificate is renewed.
class TokenSupply final : public Supply {
 public:
  TokenSupply(SimulatedLoop& loop, const TestPki& pki, std::string name)
      : Supply(loop, pki, std::move(name)),
        key_pem_(pki_.Issue(Spec()).key),
        signer_(std::make_shared<SlowSigner>(*PrivateKey::FromPem(key_pem_))) {}

  void Renew() override {
    LeafSpec spec = Spec();
    spec.key_pem = key_pem_;
    const std::string chain = pki_.Issue(spec).chain;
    server = *Credential::FromSigner(chain, signer_);
    CredentialOptions options;
    options.use = CredentialUse::kClient;
    client = *Credential::FromSigner(chain, signer_, options);
    on_new();
  }

 private:
  const std::string key_pem_;
  const std::shared_ptr<const Signer> signer_;
};

// An agent of its own for each identity.
class AgentSupply final : public Supply {
 public:
  AgentSupply(SimulatedLoop& loop, const TestPki& pki, std::string name, MemoryDialer& dialer,
              std::vector<SpiffeSource::Event>& bad)
      : Supply(loop, pki, std::move(name)),
        socket_(*Endpoint::Parse(absl::StrCat("unix:/run/", name_, ".sock"))),
        agent_(loop, dialer, socket_) {
    SpiffeSourceOptions options;
    options.agent = socket_;
    source_ = *SpiffeSource::Start(loop, dialer, options,
                                   [this, &bad](SpiffeSource::Event event, const absl::Status&) {
                                     if (event == SpiffeSource::Event::kUpdated) return Take();
                                     if (event != SpiffeSource::Event::kLost) bad.push_back(event);
                                   });
  }

  void Renew() override {
    WorkloadUpdate update;
    update.svids.push_back(IssueSvid(pki_, Spec()));
    update.svids.front().spiffe_id = id();
    agent_.Say(update);
    loop_.RunReady();
    // The agent is restarted, between two renewals.
    if (++renewals_ % 5 == 0) {
      agent_.Leave();
      back_ = loop_.RunAfter(absl::Seconds(7), [this] { agent_.Listen(); });
    }
  }

  uint64_t losses() const { return source_->status().losses; }

 private:
  void Take() {
    server = source_->context()->server;
    client = source_->context()->client;
    on_new();
  }

  const Endpoint socket_;
  FakeAgent agent_;
  std::unique_ptr<SpiffeSource> source_;
  int renewals_ = 0;
  Timer back_;
};

// Sends back what it receives.
class Echo final : private TransportHandler {
 public:
  Echo(Scheduler& scheduler, std::unique_ptr<Transport> transport)
      : transport_(std::move(transport)) {
    transport_->SetHandler(this);
    kick_ = scheduler.RunAfter(absl::ZeroDuration(), [this] { OnReadable(); });
  }

  bool over() const { return over_; }

 private:
  void OnReadable() override {
    std::array<uint8_t, 4096> buffer;
    while (!over_) {
      const IoResult read = transport_->Read(absl::MakeSpan(buffer));
      if (read.state == IoState::kWouldBlock) return;
      over_ = read.state != IoState::kOk;
      // The few bytes of this test always fit.
      if (!over_) transport_->Write(ByteView(buffer.data(), read.bytes));
    }
    transport_->ShutdownWrite(StreamEnd::kClean);
  }
  void OnWritable() override {}

  const std::unique_ptr<Transport> transport_;
  Timer kick_;
  bool over_ = false;
};

// Keeps the first errors of connections.
class ErrorLog final : public ConnectionObserver {
 public:
  void OnEstablished(const ConnectionReport&) override { ++established; }
  void OnClosed(const ConnectionReport& report) override {
    if (report.error.has_value()) errors.push_back(ErrorText(report.error));
  }

  uint64_t established = 0;
  std::vector<std::string> errors;
};

class AlarmLog final : public CertificateListener {
 public:
  void OnCertificateEvent(const CertificateEvent& event) override {
    if (event.severity < Severity::kWarning) return;
    alarms.push_back(absl::StrCat(CertificateEventName(event.kind), " ", event.detail));
  }

  std::vector<std::string> alarms;
};

enum class By { kFiles, kTokens, kAgents };

class RenewalSoakTest : public ::testing::TestWithParam<By> {
 protected:
  std::unique_ptr<Supply> NewSupply(const std::string& name) {
    if (GetParam() == By::kFiles) return std::make_unique<FileSupply>(loop_, pki_, name);
    if (GetParam() == By::kTokens) return std::make_unique<TokenSupply>(loop_, pki_, name);
    return std::make_unique<AgentSupply>(loop_, pki_, name, dialer_, bad_events_);
  }

  bool by_spiffe() const { return GetParam() == By::kAgents; }

  ClientAuthOptions ClientsOf(const Supply& peer) const {
    ClientAuthOptions clients;
    clients.otherwise.certificate = ClientCertificate::kRequired;
    clients.otherwise.trust =
        by_spiffe() ? *TrustStore::CreateForTrustDomains({{"example.org", pki_.ca_pem()}})
                    : *TrustStore::Create(pki_.ca_pem());
    clients.otherwise.allowed.uri_names = {peer.id()};
    return clients;
  }

  ClientTlsOptions TlsTo(const Supply& peer, const Supply& own) const {
    ClientTlsOptions options;
    if (by_spiffe()) {
      options.trust_domains = {{"example.org", pki_.ca_pem()}};
      options.peer_uris = {peer.id()};
    } else {
      options.ca_pem = pki_.ca_pem();
    }
    options.credential = own.client;
    return options;
  }

  std::shared_ptr<const ServerTlsConfig> Serve(const Supply& own, const Supply& peer,
                                               ReloadTargets& targets) {
    ServerTlsOptions options;
    options.certificates = *CertificateStore::Create({own.server}, loop_.Now());
    options.client_authentication = *ClientAuthentication::Create(ClientsOf(peer));
    targets.certificates = options.certificates;
    targets.clients = options.client_authentication;
    return *ServerTlsConfig::Create(std::move(options));
  }

  void Start() {
    for (Supply* const supply : {edge_.get(), inner_.get(), client_.get()}) supply->Renew();
    loop_.RunReady();
    StartInner();
    StartEdge();
    client_->on_new = [this] { client_tls_ = *ClientTlsConfig::Create(TlsTo(*edge_, *client_)); };
    client_->on_new();
  }

  void StartInner() {
    dialer_.Listen(echo_endpoint_, [this](std::unique_ptr<Transport> transport) {
      echoes_.push_back(std::make_unique<Echo>(loop_, std::move(transport)));
    });
    TlsTerminatorOptions options;
    ReloadTargets targets;
    options.front_tls = Serve(*inner_, *edge_, targets);
    options.backend = echo_endpoint_;
    terminator_ = *TlsTerminator::Create(loop_, dialer_, std::move(options), &inner_log_);
    dialer_.Listen(inner_endpoint_, [this](std::unique_ptr<Transport> transport) {
      terminator_->Serve(std::move(transport));
    });
    inner_reload_ = std::make_unique<TlsReload>(std::move(targets));
    inner_->on_new = [this] {
      ReloadSources sources;
      sources.certificates = {inner_->server};
      sources.clients = ClientsOf(*edge_);
      Commit(*inner_reload_, std::move(sources));
    };
  }

  void StartEdge() {
    TlsBridgeOptions options;
    ReloadTargets targets;
    options.front_tls = Serve(*edge_, *client_, targets);
    store_ = targets.certificates;
    options.back_tls = *ClientTlsConfig::Create(TlsTo(*inner_, *edge_));
    back_tls_ = options.back_tls;
    options.backend = inner_endpoint_;
    options.backend_name = "inner.test";
    bridge_ = *TlsBridge::Create(loop_, dialer_, std::move(options), &sightings_);
    targets.use_back_tls = [this](std::shared_ptr<const ClientTlsConfig> config) {
      back_tls_ = config;
      bridge_->ReplaceBackTls(std::move(config));
    };
    edge_reload_ = std::make_unique<TlsReload>(std::move(targets));
    CertificateMonitorOptions watched;
    watched.probe_interval = absl::Seconds(10);
    watched.own_interval = absl::Seconds(1);
    monitor_ = std::make_unique<CertificateMonitor>(loop_, dialer_, watched, &alarms_);
    Watch();
    edge_->on_new = [this] {
      ReloadSources sources;
      sources.certificates = {edge_->server};
      sources.clients = ClientsOf(*client_);
      sources.back_tls = TlsTo(*inner_, *edge_);
      Commit(*edge_reload_, std::move(sources));
      Watch();
    };
  }

  void Commit(TlsReload& reload, ReloadSources sources) {
    auto prepared = reload.Prepare(std::move(sources), loop_.Now());
    ASSERT_TRUE(prepared.ok()) << prepared.status();
    EXPECT_THAT(prepared->findings(), IsEmpty());
    reload.Commit(*std::move(prepared));
  }

  // As programs do after each reload.
  void Watch() {
    MonitorTargets targets;
    targets.own = {store_};
    targets.own_clients = {edge_->client};
    targets.seen = {"inner.test"};
    LegProbeOptions probe;
    ChainCheckerOptions checker;
    checker.trust = back_tls_->trust();
    checker.peer_uris = back_tls_->options().peer_uris;
    probe.checker = *ChainChecker::Create(std::move(checker));
    probe.credential = edge_->client;
    MonitorTargets::Probed& probed = targets.probed.emplace_back();
    probed.name = "inner.test";
    probed.config = *LegProbeConfig::Create(std::move(probe));
    probed.target.endpoint = inner_endpoint_;
    probed.target.server_name = "inner.test";
    ASSERT_TRUE(monitor_->Watch(std::move(targets)).ok());
  }

  // A client's connection, which says "x" and hears it.
  struct Conversation {
    std::unique_ptr<TlsStream> handshaking;
    std::unique_ptr<StreamPeer> peer;
    size_t said = 0;
    int ends_at = 0;
    bool ended = false;
  };

  void Connect(int ends_at, bool resumes) {
    auto [client, front] = NewMemoryPair(loop_);
    bridge_->Serve(std::move(front));
    ClientTlsTarget target;
    target.server_name = "edge.test";
    target.endpoint = edge_endpoint_;
    if (resumes) target.sessions = &sessions_;
    auto engine = *TlsEngine::NewClient(client_tls_, target, loop_);
    auto& open = *conversations_.emplace_back(std::make_unique<Conversation>());
    open.ends_at = ends_at;
    open.handshaking = std::make_unique<TlsStream>(std::move(engine), std::move(client), loop_);
    open.handshaking->Handshake([this, &open](absl::Status status) {
      if (!status.ok()) return client_errors_.push_back(std::string(status.message()));
      ++(open.handshaking->tls_info().resumed ? resumed_ : full_);
      open.peer = std::make_unique<StreamPeer>(loop_, std::move(open.handshaking));
      Say(open);
    });
  }

  static void Say(Conversation& open) {
    open.peer->Send("x");
    ++open.said;
  }

  void Talk(int second) {
    for (const auto& open : conversations_) {
      if (open->peer == nullptr || open->ended) continue;
      if (open->peer->received().size() != open->said) {
        client_errors_.push_back(absl::StrCat("not heard: ", open->peer->failure().ToString()));
      }
      if (second >= open->ends_at) {
        open->peer->End();
        open->ended = true;
      } else {
        Say(*open);
      }
    }
  }

  void Sweep() {
    const auto over = [this](const std::unique_ptr<Conversation>& open) {
      if (!open->ended || !open->peer->saw_end()) return false;
      if (!open->peer->failure().ok()) {
        client_errors_.push_back(std::string(open->peer->failure().message()));
      }
      return true;
    };
    conversations_.erase(std::remove_if(conversations_.begin(), conversations_.end(), over),
                         conversations_.end());
    echoes_.erase(std::remove_if(echoes_.begin(), echoes_.end(),
                                 [](const std::unique_ptr<Echo>& echo) { return echo->over(); }),
                  echoes_.end());
  }

  // One second of load; each identity renews at its own time.
  void RunSecond(int second) {
    Supply* const supplies[] = {edge_.get(), inner_.get(), client_.get()};
    for (int i = 0; i < 3; ++i) {
      if (second > 0 && second % kRenewSeconds == 10 * i) supplies[i]->Renew();
    }
    Connect(second + 2, second % 2 == 1);
    if (second % kLongSeconds == 5) Connect(second + kLongSeconds - 10, false);
    loop_.RunFor(absl::Seconds(1));
    Talk(second + 1);
    loop_.RunReady();
    Sweep();
  }

  SimulatedLoop loop_;
  MemoryDialer dialer_{loop_};
  const TestPki pki_{loop_.Now()};
  const Endpoint edge_endpoint_ = *Endpoint::Parse("192.0.2.1:443");
  const Endpoint inner_endpoint_ = *Endpoint::Parse("192.0.2.2:443");
  const Endpoint echo_endpoint_ = *Endpoint::Parse("192.0.2.3:80");
  std::vector<SpiffeSource::Event> bad_events_;
  ErrorLog edge_log_;
  ErrorLog inner_log_;
  AlarmLog alarms_;
  std::unique_ptr<CertificateMonitor> monitor_;
  CertificateSightings sightings_{
      &edge_log_, [this](const CertificateSighting& sighting) { monitor_->OnSighting(sighting); }};
  std::unique_ptr<Supply> edge_ = NewSupply("edge");
  std::unique_ptr<Supply> inner_ = NewSupply("inner");
  std::unique_ptr<Supply> client_ = NewSupply("client");
  std::shared_ptr<CertificateStore> store_;
  std::shared_ptr<const ClientTlsConfig> back_tls_;
  std::shared_ptr<const ClientTlsConfig> client_tls_;
  ClientSessionCache sessions_{{4, 2, 2}};
  std::vector<std::unique_ptr<Echo>> echoes_;
  std::unique_ptr<TlsTerminator> terminator_;
  std::unique_ptr<TlsBridge> bridge_;
  std::unique_ptr<TlsReload> inner_reload_;
  std::unique_ptr<TlsReload> edge_reload_;
  std::vector<std::unique_ptr<Conversation>> conversations_;
  std::vector<std::string> client_errors_;
  uint64_t full_ = 0;
  uint64_t resumed_ = 0;
};

TEST_P(RenewalSoakTest, NoHandshakeFailsAndNothingWarns) {
  Start();
  int64_t warm_bytes = 0;
  for (int second = 0; second < kSeconds; ++second) {
    if (second == kWarmUpSeconds) warm_bytes = bench::BytesAllocatedNow();
    RunSecond(second);
    ASSERT_THAT(client_errors_, IsEmpty()) << "after " << second << " seconds";
  }
  const int64_t grown = bench::BytesAllocatedNow() - warm_bytes;
  RecordProperty("grown_bytes", std::to_string(grown));
  EXPECT_LE(grown, kNoise);
  EXPECT_THAT(edge_log_.errors, IsEmpty());
  EXPECT_THAT(inner_log_.errors, IsEmpty());
  EXPECT_THAT(alarms_.alarms, IsEmpty());
  EXPECT_THAT(bad_events_, IsEmpty());
  EXPECT_GT(full_, kSeconds / 2);
  EXPECT_GT(resumed_, kSeconds / 3);
  EXPECT_EQ(edge_log_.established, full_ + resumed_);
  EXPECT_GE(inner_log_.established, edge_log_.established);
  EXPECT_GE(edge_reload_->generation(), kSeconds / kRenewSeconds - 1u);
  EXPECT_GE(inner_reload_->generation(), kSeconds / kRenewSeconds - 1u);
  EXPECT_LE(conversations_.size(), 4u);
  EXPECT_LE(echoes_.size(), 4u);
}

INSTANTIATE_TEST_SUITE_P(All, RenewalSoakTest,
                         ::testing::Values(By::kFiles, By::kTokens, By::kAgents),
                         [](const ::testing::TestParamInfo<By>& by) {
                           return by.param == By::kFiles    ? "Files"
                                  : by.param == By::kTokens ? "Tokens"
                                                            : "Agents";
                         });

}  // namespace
}  // namespace trestle::testing
