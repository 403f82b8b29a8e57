#include "examples/support/admin.h"

#include <unistd.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/algorithm/container.h"
#include "absl/flags/flag.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "examples/support/ech_keys_file.h"
#include "examples/support/expiry_flags.h"
#include "examples/support/log.h"
#include "examples/support/program.h"
#include "examples/support/public_roots.h"
#include "trestle/linux/ca_files.h"
#include "trestle/pki/chain_checker.h"
#include "trestle/pki/trust_store.h"
#include "trestle/watch/certificate_sightings.h"

ABSL_FLAG(std::string, admin, "",
          "IP:PORT or unix:PATH for /metrics, /healthz, /readyz, /legs and a page over HTTP. No "
          "authentication: bind to a private address");
ABSL_FLAG(std::string, ready_backends, "any",
          "with --admin: the backends that must accept connections before /readyz answers 200: any "
          "(one of any route), all (one of each route) or none");
ABSL_FLAG(std::vector<std::string>, admin_hosts, std::vector<std::string>({"localhost"}),
          "comma-separated host names that --admin accepts beside IP addresses; it rejects others, "
          "so that no web site reads the pages through a browser (DNS rebinding)");
ABSL_FLAG(absl::Duration, probe_interval, absl::Hours(1),
          "with --admin: time between checks of backends' certificates");

namespace trestle::examples {
namespace {

// Without Redis, a proxy serves, but resumes no sessions of the fleet.
constexpr absl::Duration kPatienceForKeys = absl::Seconds(10);

absl::StatusOr<WantedBackends> WantedFromFlag() {
  const std::string text = absl::GetFlag(FLAGS_ready_backends);
  if (text == "none") return WantedBackends::kNone;
  if (text == "any") return WantedBackends::kAny;
  if (text == "all") return WantedBackends::kAll;
  return FlagError("ready_backends", absl::StrCat("has \"", text, "\"; write any, all or none"));
}

bool HasValidOne(const CertificateStore& store, absl::Time now) {
  const std::shared_ptr<const CertificateSet> set = store.current();
  return absl::c_any_of(set->all(), [now](const std::shared_ptr<const Credential>& credential) {
    return credential->ValidAt(now);
  });
}

// Maximum age of the certificate data that the admin server shows.
constexpr absl::Duration kRefresh = absl::Seconds(1);

// The observer of one thread: counts, and reports new chains to the main loop.
class AdminObserver final : public ConnectionObserver {
 public:
  AdminObserver(std::unique_ptr<ConnectionObserver> metrics,
                CertificateSightings::Callback on_sighting)
      : metrics_(std::move(metrics)), sightings_(metrics_.get(), std::move(on_sighting)) {}

  void OnEstablished(const ConnectionReport& report) override { sightings_.OnEstablished(report); }
  void OnTurnedAway(Limit limit) override { sightings_.OnTurnedAway(limit); }
  void OnClosed(const ConnectionReport& report) override { sightings_.OnClosed(report); }

 private:
  const std::unique_ptr<ConnectionObserver> metrics_;
  CertificateSightings sightings_;
};

absl::StatusOr<std::shared_ptr<const LegProbeConfig>> ProbeConfigOf(ClientTlsOptions options) {
  const auto tls = ClientTlsConfig::Create(std::move(options));
  if (!tls.ok()) return tls.status();
  return ProbeConfigFor(**tls);
}

PageServerOptions PagesFromFlags() {
  PageServerOptions options;
  options.hosts = absl::GetFlag(FLAGS_admin_hosts);
  return options;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const LegProbeConfig>> LoadProbeConfig(const std::string& ca_path) {
  absl::StatusOr<std::string> ca = ReadCaCertificates(ca_path);
  if (!ca.ok()) return ca.status();
  ClientTlsOptions options;
  options.ca_pem = *std::move(ca);
  absl::StatusOr<std::shared_ptr<const LegProbeConfig>> config = ProbeConfigOf(std::move(options));
  if (config.ok()) return config;
  if (MayPassByItself(config.status())) return config;
  return absl::InvalidArgumentError(absl::StrCat(ca_path, ": ", Sentence(config.status())));
}

absl::StatusOr<std::shared_ptr<const LegProbeConfig>> ProbeConfigFor(const ClientTlsConfig& tls) {
  const auto public_roots = PublicRoots();
  if (!public_roots.ok()) return public_roots.status();
  ChainCheckerOptions checker_options;
  checker_options.trust = tls.trust();
  checker_options.peer_uris = tls.options().peer_uris;
  checker_options.public_roots = *public_roots;
  const auto dropped_roots = DroppedRoots();
  if (!dropped_roots.ok()) return dropped_roots.status();
  checker_options.dropped_roots = *dropped_roots;
  absl::StatusOr<std::shared_ptr<const ChainChecker>> checker =
      ChainChecker::Create(std::move(checker_options));
  if (!checker.ok()) return checker.status();
  LegProbeOptions options;
  options.checker = *std::move(checker);
  options.credential = tls.options().credential;
  return LegProbeConfig::Create(std::move(options));
}

void AddProbes(absl::Span<const Route> routes, const std::shared_ptr<const LegProbeConfig>& config,
               ProxyProtocolOut proxy_header, const EchKeys* ech, MonitorTargets& targets) {
  // Each probe needs a timer, and a chain in memory.
  constexpr size_t kMaxProbed = 10000;
  for (const Route& route : routes) {
    const Backends* const backends = std::get_if<Backends>(&route.target);
    if (route.pattern.empty() || route.pattern.front() == '*' || backends == nullptr) continue;
    for (const GroupedBackend& backend : BackendsNow(*backends)) {
      if (targets.probed.size() == kMaxProbed) return;
      MonitorTargets::Probed& probed = targets.probed.emplace_back();
      probed.name = route.pattern;
      probed.config = config;
      probed.target.endpoint = backend.endpoint;
      probed.target.server_name = route.pattern;
      probed.target.proxy_header = proxy_header;
      probed.target.ech_inner = ech != nullptr && !IsPublicName(*ech, route.pattern);
    }
  }
}

void AddRoutes(absl::Span<const Route> routes, ProxyMode mode, Watched& watched) {
  // A larger page would not be useful.
  constexpr size_t kMaxShown = 10000;
  for (const Route& route : routes) {
    const Backends* const backends = std::get_if<Backends>(&route.target);
    if (backends == nullptr || watched.routes.size() == kMaxShown) continue;
    watched.routes.push_back(LegsTo(route.pattern, mode, *backends, route.pattern));
  }
}

RouteLegs LegsTo(std::string name, ProxyMode mode, const Backends& backends,
                 std::string back_name) {
  RouteLegs legs;
  legs.name = std::move(name);
  legs.mode = mode;
  for (const GroupedBackend& backend : BackendsNow(backends)) {
    legs.backends.push_back(backend.endpoint);
  }
  for (const NamedTarget& target : backends.names) legs.names.push_back(target.ToString());
  legs.back_name = std::move(back_name);
  return legs;
}

absl::StatusOr<std::unique_ptr<Admin>> Admin::FromFlags(Source source, const BackendNames& names,
                                                        const BackendChecks& checks) {
  const std::string listen = absl::GetFlag(FLAGS_admin);
  if (listen.empty()) return nullptr;
  const absl::StatusOr<Endpoint> endpoint = EndpointFromFlag("admin", listen);
  if (!endpoint.ok()) return endpoint.status();
  CertificateMonitorOptions options;
  const absl::StatusOr<ExpiryAlarms> alarms = ExpiryAlarmsFromFlags();
  if (!alarms.ok()) return alarms.status();
  options.alarms = *alarms;
  options.probe_interval = absl::GetFlag(FLAGS_probe_interval);
  if (options.probe_interval <= absl::ZeroDuration() ||
      options.probe_interval == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError("--probe_interval must be above 0 and finite");
  }
  options.first_probe_within = std::min(options.first_probe_within, options.probe_interval);
  options.seed = static_cast<uint64_t>(getpid());
  const absl::StatusOr<WantedBackends> wanted = WantedFromFlag();
  if (!wanted.ok()) return wanted.status();
  absl::StatusOr<std::unique_ptr<RenewalInfoDir>> renewal_info = RenewalInfoDir::FromFlag();
  if (!renewal_info.ok()) return renewal_info.status();
  options.renewal_info = renewal_info->get();
  const auto public_roots = PublicRoots();
  if (!public_roots.ok()) return public_roots.status();
  options.public_roots = *public_roots;
  const auto dropped_roots = DroppedRoots();
  if (!dropped_roots.ok()) return dropped_roots.status();
  options.dropped_roots = *dropped_roots;
  return absl::WrapUnique(new Admin(*endpoint, std::move(options), *wanted,
                                    *std::move(renewal_info), std::move(source), names, checks));
}

Admin::Admin(const Endpoint& listen, CertificateMonitorOptions options, WantedBackends wanted,
             std::unique_ptr<RenewalInfoDir> renewal_info, Source source, const BackendNames& names,
             const BackendChecks& checks)
    : listen_(listen),
      options_(std::move(options)),
      wanted_(wanted),
      renewal_info_(std::move(renewal_info)),
      source_(std::move(source)),
      names_(names),
      checks_(checks) {
  metrics_.SetLostRecords(LostRecords);
  metrics_.Add(name_metrics_);
  metrics_.Add(health_metrics_);
  metrics_.Add(spiffe_metrics_);
}

void Admin::Add(std::shared_ptr<::prometheus::Collectable> metrics,
                absl::AnyInvocable<std::vector<PoolLegs>()> pools) {
  metrics_.Add(std::move(metrics));
  pools_ = std::move(pools);
}

absl::Status Admin::Start(EpollLoop& main_loop) {
  main_loop_ = &main_loop;
  dialer_ = std::make_unique<TcpDialer>(main_loop);
  CertificateListener* const listener = this;
  monitor_ = std::make_unique<CertificateMonitor>(main_loop, *dialer_, options_, listener);
  seen_changes_ = names_.changes();
  if (absl::Status watched = WatchTargets(); !watched.ok()) return watched;
  absl::StatusOr<std::unique_ptr<AdminServer>> server =
      AdminServer::Start(listen_, metrics_, PagesFromFlags());
  if (!server.ok()) return server.status();
  server_ = *std::move(server);
  server_->SetRoutes(routes_);
  server_->SetFindings(findings_);
  Refresh();
  LogLine(absl::StrCat("admin on ", server_->endpoint().ToString()));
  return absl::OkStatus();
}

void Admin::Stop() {
  gate_.reset();
  server_.reset();
  refresh_.reset();
  monitor_.reset();
  dialer_.reset();
}

std::unique_ptr<ConnectionObserver> Admin::NewObserver(ConnectionObserver* next) {
  return std::make_unique<AdminObserver>(
      metrics_.NewObserver(next), [this](CertificateSighting sighting) {
        main_loop_->PostFromAnyThread([this, sighting = std::move(sighting)] {
          if (monitor_ != nullptr) monitor_->OnSighting(sighting);
        });
      });
}

void Admin::OnServing() {
  serving_since_ = main_loop_->Now();
  gate_ = std::make_unique<BackendsGate>(*main_loop_, *dialer_, routes_, wanted_);
  CheckReady();
}

// Returns what the proxy lacks before it is ready; empty for nothing.
std::string Admin::WaitsFor() const {
  const absl::Time now = main_loop_->Now();
  if (serving_since_ == absl::InfiniteFuture()) return "starting";
  const auto is_fit = [now](const auto& store) { return HasValidOne(*store, now); };
  if (!absl::c_all_of(stores_, is_fit)) return "no certificate is valid";
  if (has_ticket_keys_ && !has_ticket_keys_() && now < serving_since_ + kPatienceForKeys) {
    return "no ticket keys from Redis";
  }
  if (gate_->open()) return "";
  std::string text = absl::StrCat("no backend answers for ", absl::StrJoin(gate_->Missing(), ", "));
  const std::vector<std::string> unresolved = names_.Missing();
  if (unresolved.empty()) return text;
  return absl::StrCat(text, "; names without an address: ", absl::StrJoin(unresolved, ", "));
}

// Readiness is about the start: a backend that fails later is the business of its route.
void Admin::CheckReady() {
  if (ready_) return;
  std::string waits = WaitsFor();
  ready_ = waits.empty();
  server_->SetNotReady(std::move(waits));
  if (!ready_) return;
  gate_.reset();
  LogLine("ready");
}

void Admin::OnReloaded(bool good) {
  metrics_.CountReload(good);
  if (!good) return;
  // The reload has just read the same files.
  WatchAgain();
}

void Admin::WatchAgain() {
  if (absl::Status watched = WatchTargets(); !watched.ok()) {
    LogLine(absl::StrCat("certificates are watched as before: ", Sentence(watched)));
  }
}

void Admin::FollowBackends() {
  std::vector<HealthStatus> health = checks_.backends();
  health_metrics_->SetBackends(health);
  server_->SetHealth(std::move(health));
  std::vector<NameStatus> names = names_.names();
  name_metrics_->SetNames(names);
  server_->SetNames(std::move(names));
  if (seen_changes_ == names_.changes()) return;
  seen_changes_ = names_.changes();
  WatchAgain();
  if (gate_ != nullptr) {
    gate_ = std::make_unique<BackendsGate>(*main_loop_, *dialer_, routes_, wanted_);
  }
}

void Admin::OnAcceptFailed() { metrics_.CountAcceptFailure(); }

void Admin::OnDraining() { server_->SetDraining(); }

absl::Status Admin::WatchTargets() {
  absl::StatusOr<Watched> watched = source_();
  if (!watched.ok()) return watched.status();
  stores_ = watched->targets.own;
  has_ticket_keys_ = watched->has_ticket_keys;
  std::vector<Endpoint> probed;
  for (const MonitorTargets::Probed& target : watched->targets.probed) {
    probed.push_back(target.target.endpoint);
  }
  if (absl::Status s = monitor_->Watch(std::move(watched->targets)); !s.ok()) return s;
  unconfirmed_ = std::move(watched->unconfirmed);
  if (unconfirmed_ != nullptr) unconfirmed_->Retain(probed);
  routes_ = std::move(watched->routes);
  findings_ = std::move(watched->findings);
  spiffe_ = watched->spiffe;
  if (watched->ticket_keys != nullptr) {
    metrics_.SetTicketKeyTime(
        [ring = watched->ticket_keys](absl::Time now) { return ring->SealingSince(now); });
  }
  if (watched->ech != nullptr) {
    metrics_.SetEchCounts([opener = watched->ech] { return opener->counts(); });
  }
  if (server_ == nullptr) return absl::OkStatus();
  server_->SetRoutes(routes_);
  server_->SetFindings(findings_);
  FollowSpiffe();
  return absl::OkStatus();
}

void Admin::OnCertificateEvent(const CertificateEvent& event) {
  LogLine(absl::StrCat("certificate: leg=", EnumName(event.status.leg), " name=", event.status.name,
                       " source=", EnumName(event.status.source),
                       " event=", CertificateEventName(event.kind), " detail=\"", event.detail,
                       "\" severity=", EnumName(event.severity)));
}

// A failed probe leaves the verdict of the last one that got an answer.
void Admin::OnProbe(const ProbeReport& report) {
  const bool answered =
      report.status.ok() && (report.ech_inner.ok() || report.denies_inner_hello());
  if (unconfirmed_ == nullptr || !report.target.ech_inner || !answered) return;
  unconfirmed_->Set(report.target.endpoint, report.denies_inner_hello());
}

void Admin::FollowSpiffe() {
  if (spiffe_ == nullptr) return;
  const SpiffeStatus status = spiffe_->status();
  spiffe_metrics_->Set(status);
  server_->SetSpiffe(status);
  std::vector<Finding> findings = findings_;
  for (Finding& finding : spiffe_->Findings()) findings.push_back(std::move(finding));
  server_->SetFindings(std::move(findings));
}

void Admin::Refresh() {
  FollowBackends();
  FollowSpiffe();
  metrics_.SetCertificates(monitor_->Snapshot());
  if (pools_) server_->SetPools(pools_());
  CheckReady();
  refresh_ = main_loop_->RunAfter(kRefresh, [this] { Refresh(); });
}

}  // namespace trestle::examples
