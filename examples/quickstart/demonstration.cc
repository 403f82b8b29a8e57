#include "examples/quickstart/demonstration.h"

#include <random>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "examples/quickstart/findings.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/proxy/route_table.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/tls/certificate_store.h"

namespace trestle::examples {
namespace {

std::shared_ptr<const Credential> Mint(const testing::TestPki& pki, const std::string& name) {
  testing::LeafSpec leaf;
  leaf.dns_names = {name};
  return pki.IssueCredential(leaf);
}

absl::StatusOr<std::shared_ptr<const ServerTlsConfig>> ServeWith(
    std::shared_ptr<const Credential> credential, std::vector<std::string> alpn = {}) {
  ServerTlsOptions options;
  options.alpn = std::move(alpn);
  absl::StatusOr<std::shared_ptr<CertificateStore>> store =
      CertificateStore::Create({std::move(credential)}, absl::Now());
  if (!store.ok()) return store.status();
  options.certificates = *std::move(store);
  return ServerTlsConfig::Create(std::move(options));
}

std::string NewSecret() {
  std::random_device random;
  return absl::StrCat("secret-", absl::Hex(random(), absl::kZeroPad8),
                      absl::Hex(random(), absl::kZeroPad8));
}

std::string SerialOf(const std::shared_ptr<const Credential>& credential) {
  return credential->chain().front().serial;
}

}  // namespace

Demonstration::Demonstration(EpollLoop& loop)
    : loop_(loop), dialer_(loop), pki_(absl::Now(), "Trestle quickstart CA") {}

Demonstration::~Demonstration() = default;

absl::StatusOr<std::unique_ptr<Demonstration>> Demonstration::Start(EpollLoop& loop) {
  auto demonstration = absl::WrapUnique(new Demonstration(loop));
  ClientTlsOptions trust;
  trust.ca_pem = demonstration->pki_.ca_pem();
  absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> config = ClientTlsConfig::Create(trust);
  if (!config.ok()) return config.status();
  demonstration->trust_ = *std::move(config);
  demonstration->client_ =
      std::make_unique<HttpsClient>(loop, demonstration->dialer_, demonstration->trust_);
  for (const auto step :
       {&Demonstration::StartBackends, &Demonstration::StartTerminator, &Demonstration::StartRouter,
        &Demonstration::StartBridge, &Demonstration::StartPaths}) {
    if (absl::Status status = (*demonstration.*step)(); !status.ok()) return status;
  }
  return demonstration;
}

absl::Status Demonstration::StartBackends() {
  shop_ = Mint(pki_, "shop.example.test");
  app_ = Mint(pki_, "app.example.test");
  blue_ = Mint(pki_, "blue.example.test");
  green_ = Mint(pki_, "green.example.test");
  const std::pair<std::string, std::shared_ptr<const Credential>> backends[] = {
      {"plain", nullptr}, {"blue", blue_}, {"green", green_}};
  for (const auto& [name, credential] : backends) {
    std::shared_ptr<const ServerTlsConfig> tls;
    if (credential != nullptr) {
      absl::StatusOr<std::shared_ptr<const ServerTlsConfig>> config = ServeWith(credential);
      if (!config.ok()) return config.status();
      tls = *std::move(config);
    }
    absl::StatusOr<std::unique_ptr<HttpServer>> server =
        HttpServer::Start(loop_, name, std::move(tls));
    if (!server.ok()) return server.status();
    backends_.push_back(*std::move(server));
  }
  return absl::OkStatus();
}

// Offload: the client's TLS ends at the proxy, and the backend gets clear text.
absl::Status Demonstration::StartTerminator() {
  HttpServer& backend = *backends_[0];
  const absl::StatusOr<Wiretap*> wiretap = Tap(backend);
  if (!wiretap.ok()) return wiretap.status();
  const absl::StatusOr<std::shared_ptr<const ServerTlsConfig>> front_tls = ServeWith(shop_);
  if (!front_tls.ok()) return front_tls.status();
  TlsTerminatorOptions options;
  options.front_tls = *front_tls;
  options.backend = (*wiretap)->endpoint();
  const absl::StatusOr<Endpoint> proxy =
      Listen(TlsTerminator::Create(loop_, dialer_, std::move(options), this));
  if (!proxy.ok()) return proxy.status();

  Scenario& scenario = scenarios_.emplace_back();
  scenario.mode = "offload";
  scenario.block = "TlsTerminator";
  scenario.server_name = "shop.example.test";
  scenario.proxy = *proxy;
  scenario.backend = &backend;
  scenario.wiretap = *wiretap;
  scenario.proxy_decrypts = true;
  scenario.front_serial = SerialOf(shop_);
  return absl::OkStatus();
}

// Passthrough: the name in the ClientHello selects the backend; the proxy has no key at all.
absl::Status Demonstration::StartRouter() {
  std::vector<Route> routes;
  std::vector<Scenario> scenarios;
  for (const auto& [index, credential] : {std::pair(1, blue_), std::pair(2, green_)}) {
    HttpServer& backend = *backends_[index];
    const absl::StatusOr<Wiretap*> wiretap = Tap(backend);
    if (!wiretap.ok()) return wiretap.status();
    routes.push_back({CertifiedName(backend), (*wiretap)->endpoint()});
    Scenario& scenario = scenarios.emplace_back();
    scenario.mode = "passthrough";
    scenario.block = "SniPassthroughRouter";
    scenario.server_name = CertifiedName(backend);
    scenario.backend = &backend;
    scenario.wiretap = *wiretap;
    scenario.front_serial = scenario.back_serial = SerialOf(credential);
  }
  const absl::StatusOr<std::shared_ptr<const RouteTable>> table = RouteTable::Create(routes);
  if (!table.ok()) return table.status();
  SniPassthroughRouterOptions options;
  options.routes = *table;
  const absl::StatusOr<Endpoint> proxy =
      Listen(SniPassthroughRouter::Create(loop_, dialer_, std::move(options), this));
  if (!proxy.ok()) return proxy.status();
  for (Scenario& scenario : scenarios) {
    scenario.proxy = *proxy;
    scenarios_.push_back(std::move(scenario));
  }
  return absl::OkStatus();
}

// Bridge: the client's TLS ends at the proxy, and a new, verified session goes to the backend.
absl::Status Demonstration::StartBridge() {
  HttpServer& backend = *backends_[1];
  const absl::StatusOr<Wiretap*> wiretap = Tap(backend);
  if (!wiretap.ok()) return wiretap.status();
  const absl::StatusOr<std::shared_ptr<const ServerTlsConfig>> front_tls = ServeWith(app_);
  if (!front_tls.ok()) return front_tls.status();
  TlsBridgeOptions options;
  options.front_tls = *front_tls;
  options.back_tls = trust_;
  options.backend = (*wiretap)->endpoint();
  options.backend_name = CertifiedName(backend);
  const absl::StatusOr<Endpoint> proxy =
      Listen(TlsBridge::Create(loop_, dialer_, std::move(options), this));
  if (!proxy.ok()) return proxy.status();

  Scenario& scenario = scenarios_.emplace_back();
  scenario.mode = "bridge";
  scenario.block = "TlsBridge";
  scenario.server_name = "app.example.test";
  scenario.proxy = *proxy;
  scenario.backend = &backend;
  scenario.wiretap = *wiretap;
  scenario.proxy_decrypts = true;
  scenario.front_serial = SerialOf(app_);
  scenario.back_serial = SerialOf(blue_);
  return absl::OkStatus();
}

// HTTP: a gateway behind a terminator sends each request to the backend of its path.
absl::Status Demonstration::StartPaths() {
  absl::StatusOr<std::shared_ptr<const ServerTlsConfig>> front_tls =
      ServeWith(Mint(pki_, "www.example.test"), {"h2", "http/1.1"});
  if (!front_tls.ok()) return front_tls.status();
  std::vector<PathRequest> requests(2);
  requests[0].target = "/";
  requests[0].route = "www.example.test/";
  requests[0].backend = backends_[1].get();
  requests[1].target = "/api/orders";
  requests[1].route = "www.example.test/api";
  requests[1].backend = backends_[2].get();
  for (PathRequest& request : requests) request.back_name = CertifiedName(*request.backend);
  auto paths = Paths::Start(loop_, dialer_, "www.example.test", *std::move(front_tls), trust_,
                            std::move(requests));
  if (!paths.ok()) return paths.status();
  paths_ = *std::move(paths);
  return absl::OkStatus();
}

absl::StatusOr<Wiretap*> Demonstration::Tap(const HttpServer& backend) {
  absl::StatusOr<std::unique_ptr<Wiretap>> tap = Wiretap::Start(loop_, dialer_, backend.endpoint());
  if (!tap.ok()) return tap.status();
  wiretaps_.push_back(*std::move(tap));
  return wiretaps_.back().get();
}

absl::StatusOr<Endpoint> Demonstration::Listen(absl::StatusOr<std::unique_ptr<ProxyBlock>> block) {
  if (!block.ok()) return block.status();
  absl::StatusOr<std::unique_ptr<TcpListener>> listener =
      TcpListener::Create(loop_, *Endpoint::Parse("127.0.0.1:0"),
                          [block = block->get()](std::unique_ptr<Transport> client) {
                            block->Serve(std::move(client));
                          });
  if (!listener.ok()) return listener.status();
  blocks_.push_back(*std::move(block));
  listeners_.push_back(*std::move(listener));
  return listeners_.back()->local_endpoint();
}

std::string Demonstration::CertifiedName(const HttpServer& backend) const {
  if (&backend == backends_[1].get()) return CertificateName(blue_->chain().front());
  if (&backend == backends_[2].get()) return CertificateName(green_->chain().front());
  return {};
}

void Demonstration::Run(absl::AnyInvocable<void()> done) {
  done_ = std::move(done);
  next_ = 0;
  RunNext();
}

void Demonstration::RunNext() {
  if (next_ == scenarios_.size()) return paths_->Run(std::move(done_));
  Scenario& scenario = scenarios_[next_];
  secret_ = NewSecret();
  answered_ = reported_ = false;
  client_->Get(scenario.proxy, scenario.server_name, secret_, [this](HttpsAnswer answer) {
    scenarios_[next_].answer = std::move(answer);
    answered_ = true;
    FinishScenario();
  });
}

void Demonstration::OnClosed(const ConnectionReport& report) {
  if (next_ == scenarios_.size()) return;  // A manual test.
  scenarios_[next_].report = report;
  reported_ = true;
  FinishScenario();
}

// The client has its response and the proxy its report: check everything, then continue.
void Demonstration::FinishScenario() {
  if (!answered_ || !reported_) return;
  Scenario& scenario = scenarios_[next_];
  scenario.back_tls = scenario.backend->last_tls();
  scenario.wiretap_bytes = scenario.wiretap->heard().size();
  scenario.wiretap_read_secret = absl::StrContains(scenario.wiretap->heard(), secret_);
  const bool arrived = absl::StrContains(scenario.backend->last_request(), secret_);
  scenario.failures = FindFailures(scenario, arrived);
  ++next_;
  loop_.PostFromAnyThread([this] { RunNext(); });
}

}  // namespace trestle::examples
