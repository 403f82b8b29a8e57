#include "tests/simulation/http/gateway_world.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "integrations/http/gateway_routes.h"
#include "integrations/http/http_gateway.h"
#include "tests/simulation/http/gateway_ends.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {
namespace {

constexpr char kRoutes[] =
    "one.test=http://192.0.2.10:80,two.test=http://192.0.2.10:80+192.0.2.11:80,"
    "h2.test=h2c://192.0.2.12:80";
constexpr size_t kStreams = 20;
constexpr int kSteps = 300;

class World final : private HttpObserver {
 public:
  explicit World(uint64_t seed)
      : random_(seed), loop_(seed), dialer_(loop_), faults_(random_() % 10 != 0) {
    HttpGatewayOptions options;
    options.routes = Routes();
    options.hosts = GatewayHosts::kAny;
    options.limits.streams = kStreams;
    options.limits.stream_bytes = random_() % 2 == 0 ? 64 * 1024 : 2000;
    options.pool.connections = 1 + random_() % 4;
    options.pool.idle_time = absl::Seconds(1 + random_() % 5);
    if (random_() % 4 == 0) options.pool.max_age = absl::Milliseconds(200);
    options.timeouts.head = options.timeouts.body = absl::Seconds(2);
    options.timeouts.connect = options.timeouts.first_byte = absl::Seconds(2);
    options.timeouts.response = absl::Seconds(3);
    options.timeouts.idle = absl::Seconds(5);
    if (random_() % 4 == 0) options.cache_bytes = 1 << 20;
    gateway_ = *HttpGateway::Create(loop_, dialer_, std::move(options), this);
    for (const char* address : {"192.0.2.10:80", "192.0.2.11:80", "192.0.2.12:80"}) {
      Listen(*Endpoint::Parse(address), address[9] == '2');
    }
  }

  GatewayRun Run() {
    const size_t clients = 1 + random_() % 4;
    for (size_t i = 0; i < clients; ++i) AddClient(i);
    const uint64_t drains_at = random_() % 4 == 0 ? random_() % kSteps : kSteps;
    const uint64_t reloads_at = random_() % kSteps;
    for (uint64_t step = 0; step < kSteps; ++step) {
      if (step == drains_at) gateway_->BeginDrain();
      if (step == reloads_at) gateway_->UseRoutes(Routes()).IgnoreError();
      Step();
      if (std::all_of(clients_.begin(), clients_.end(),
                      [](const auto& client) { return client->done(); })) {
        break;
      }
    }
    Finish();
    GatewayRun run;
    for (const auto& client : clients_) run.requests += client->begun();
    run.complete = findings_.complete;
    run.wrong = findings_.wrong;
    return run;
  }

 private:
  static std::shared_ptr<const GatewayRoutes> Routes() {
    static const auto* const kTable = new std::shared_ptr<const GatewayRoutes>(
        *GatewayRoutes::Create(*ParseGatewayRoutes(kRoutes)));
    return *kTable;
  }

  bool Chance(uint64_t in_hundred) { return random_() % 100 < in_hundred; }

  testing::MemoryLink Link() {
    testing::MemoryLink link;
    link.seed = random_();
    link.chunk_bytes = Chance(50) ? 0 : 1 + random_() % 2000;
    link.random_chunks = link.chunk_bytes > 0 && Chance(50);
    if (Chance(30)) link.latency = absl::Milliseconds(random_() % 30);
    if (Chance(20)) link.capacity_bytes = 30'000 + random_() % 30'000;
    if (!faults_) return link;
    const uint64_t at = Chance(50) ? random_() % 400 : random_() % 60'000;
    if (Chance(4)) link.reset_after_bytes = at;
    if (Chance(2)) link.stall_after_bytes = at;
    if (Chance(2)) link.end_after_bytes = at;
    return link;
  }

  // Each connection has links of its own.
  void Listen(const Endpoint& endpoint, bool http2) {
    if (faults_ && Chance(5)) {
      dialer_.Refuse(endpoint, absl::UnavailableError("refused"), absl::Milliseconds(1));
      retry_listen_.push_back({endpoint, http2});
      return;
    }
    dialer_.Listen(
        endpoint,
        [this, endpoint, http2](std::unique_ptr<Transport> transport) {
          backends_.push_back(
              NewSimBackend(http2, loop_, std::move(transport), faults_, random_, findings_,
                            [this](const std::string& method, const std::string& token) {
                              OnSeen(method, token);
                            }));
          Listen(endpoint, http2);
        },
        Chance(30) ? absl::Milliseconds(random_() % 20) : absl::ZeroDuration(), Link(), Link());
  }

  void AddClient(size_t number) {
    const bool http2 = Chance(50);
    std::vector<SimRequest> requests;
    const size_t count = 1 + random_() % 12;
    for (size_t i = 0; i < count; ++i) {
      SimRequest& request = requests.emplace_back();
      request.token = absl::StrCat("c", number, "r", i);
      constexpr const char* kHosts[] = {"one.test", "two.test", "h2.test"};
      request.host = kHosts[random_() % 3];
      constexpr const char* kMethods[] = {"GET", "GET", "POST", "PUT", "HEAD"};
      request.method = kMethods[random_() % 5];
      if (request.method[0] == 'P') request.sends = random_() % (Chance(20) ? 50'000 : 300);
      request.receives = random_() % (Chance(20) ? 100'000 : 300);
      request.chunked = Chance(50);
    }
    auto [client, server] = testing::NewMemoryPair(loop_, Link(), Link());
    Accepted accepted(std::move(server));
    if (http2) {
      TlsInfo tls;
      tls.alpn = "h2";
      tls.server_name = "one.test";
      accepted.tls = std::make_shared<const TlsInfo>(std::move(tls));
    }
    gateway_->Serve(std::move(accepted));
    clients_.push_back(
        NewSimClient(http2, loop_, std::move(client), std::move(requests), random_, findings_));
  }

  void Step() {
    loop_.RunFor(absl::Milliseconds(random_() % 40));
    for (const auto& client : clients_) {
      if (faults_ && random_() % 1000 < 2) client->Leave();
      client->Poll();
    }
    for (size_t i = 0; i < backends_.size(); ++i) backends_[i]->Poll();
    const auto again = std::exchange(retry_listen_, {});
    for (const auto& [endpoint, http2] : again) Listen(endpoint, http2);
    if (gateway_->open_requests() > clients_.size() * kStreams) {
      findings_.Add("more requests in progress than the limits allow");
    }
  }

  void Finish() {
    for (int i = 0; i < 20; ++i) Step();
    for (const auto& client : clients_) client->Leave();
    loop_.RunFor(absl::Minutes(5));
    if (gateway_->open_requests() != 0) findings_.Add("a request has no end");
    if (gateway_->open_connections() != 0) findings_.Add("a client's connection has no end");
    if (gateway_->pool_stats().connections != 0) findings_.Add("a backend's connection has no end");
    if (gateway_->pool_stats().waiting != 0) findings_.Add("a request waits for a connection");
    for (const auto& [token, times] : seen_) {
      if (reports_[token] != 1) {
        findings_.Add(absl::StrCat(token, " has ", reports_[token], " reports"));
      }
    }
  }

  void OnSeen(const std::string& method, const std::string& token) {
    const int times = ++seen_[token];
    if (method == "POST" && times > 1) findings_.Add("a POST reached backends twice: " + token);
    if (times > 3) findings_.Add("more tries than the limit: " + token);
  }

  void OnRequest(const HttpRequestReport& report) override {
    if (report.target.size() < 2) return;
    if (++reports_[report.target.substr(1)] > 1) {
      findings_.Add("two reports about one request: " + report.target);
    }
  }

  SimRandom random_;
  testing::SimulatedLoop loop_;
  testing::MemoryDialer dialer_;
  const bool faults_;
  SimFindings findings_;
  std::map<std::string, int> seen_;  // By token.
  std::map<std::string, int> reports_;
  std::vector<std::unique_ptr<SimBackend>> backends_;
  std::vector<std::pair<Endpoint, bool>> retry_listen_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  std::unique_ptr<HttpGateway> gateway_;
};

}  // namespace

GatewayRun RunGatewaySeed(uint64_t seed) { return World(seed).Run(); }

}  // namespace trestle
