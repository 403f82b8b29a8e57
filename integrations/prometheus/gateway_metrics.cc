#include "integrations/prometheus/gateway_metrics.h"

#include <algorithm>
#include <array>
#include <string>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "trestle/base/endpoint.h"

namespace trestle {
namespace {

using ::prometheus::BuildCounter;
using ::prometheus::BuildGauge;
using ::prometheus::BuildHistogram;
using ::prometheus::ClientMetric;
using ::prometheus::Counter;
using ::prometheus::Family;
using ::prometheus::Gauge;
using ::prometheus::Histogram;
using ::prometheus::MetricFamily;
using ::prometheus::MetricType;

constexpr char kOther[] = "other";

const Histogram::BucketBoundaries kSeconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                              0.25,  0.5,    1,     2.5,  5,     10,   60};

/// The metrics of one route.
struct RouteMetrics {
  std::array<Counter*, 6> statuses;  // By class; 0: none was sent.
  Histogram* seconds;
  Gauge* in_progress;
  Counter* kept;
  Counter* opened;
  Counter* retries;
  Counter* cache_hits;
  Counter* bytes_in;
  Counter* bytes_out;
};

MetricFamily GaugeFamily(std::string name, std::string help) {
  MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = MetricType::Gauge;
  return family;
}

void AddPool(MetricFamily& family, const PoolLegs& pool, const char* state, size_t value) {
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = {{"backend", pool.backend}, {"scheme", pool.scheme}};
  if (state != nullptr) metric.label.push_back({"state", state});
  metric.gauge.value = static_cast<double>(value);
}

}  // namespace

class GatewayMetrics::Families {
 public:
  explicit Families(::prometheus::Registry& registry)
      : requests_(BuildCounter()
                      .Name("trestle_http_requests_total")
                      .Help("Requests that are over, by route and class of the status")
                      .Register(registry)),
        seconds_(BuildHistogram()
                     .Name("trestle_http_request_seconds")
                     .Help("Time from a request's head to the end of its response")
                     .Register(registry)),
        in_progress_(BuildGauge()
                         .Name("trestle_http_requests_in_progress")
                         .Help("Requests that have a route and are not over")
                         .Register(registry)),
        backend_requests_(BuildCounter()
                              .Name("trestle_http_backend_requests_total")
                              .Help("Requests that a backend got, by its connection")
                              .Register(registry)),
        retries_(BuildCounter()
                     .Name("trestle_http_retries_total")
                     .Help("Tries of a request after the first one")
                     .Register(registry)),
        cache_hits_(BuildCounter()
                        .Name("trestle_http_cache_hits_total")
                        .Help("Requests that the cache answered")
                        .Register(registry)),
        bytes_(BuildCounter()
                   .Name("trestle_http_body_bytes_total")
                   .Help("Bytes of bodies, in from clients and out to them")
                   .Register(registry)),
        reasons_(BuildCounter()
                     .Name("trestle_http_reasons_total")
                     .Help("Requests without a complete response of a backend, by reason")
                     .Register(registry)),
        other_(NewRoute(kOther)) {}

  RouteMetrics Of(const std::string& route) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (const auto found = routes_.find(route); found != routes_.end()) return found->second;
    if (routes_.size() >= kMaxRoutes) return other_;
    return routes_.emplace(route, NewRoute(route)).first->second;
  }

  void CountReason(HttpReason reason) {
    reasons_.Add({{"reason", std::string(EnumName(reason))}}).Increment();
  }

 private:
  RouteMetrics NewRoute(const std::string& route) {
    RouteMetrics metrics;
    for (size_t i = 0; i < metrics.statuses.size(); ++i) {
      const std::string status = i == 0 ? "none" : absl::StrCat(i, "xx");
      metrics.statuses[i] = &requests_.Add({{"route", route}, {"status", status}});
    }
    metrics.seconds = &seconds_.Add({{"route", route}}, kSeconds);
    metrics.in_progress = &in_progress_.Add({{"route", route}});
    metrics.kept = &backend_requests_.Add({{"route", route}, {"connection", "kept"}});
    metrics.opened = &backend_requests_.Add({{"route", route}, {"connection", "new"}});
    metrics.retries = &retries_.Add({{"route", route}});
    metrics.cache_hits = &cache_hits_.Add({{"route", route}});
    metrics.bytes_in = &bytes_.Add({{"route", route}, {"direction", "in"}});
    metrics.bytes_out = &bytes_.Add({{"route", route}, {"direction", "out"}});
    return metrics;
  }

  Family<Counter>& requests_;
  Family<Histogram>& seconds_;
  Family<Gauge>& in_progress_;
  Family<Counter>& backend_requests_;
  Family<Counter>& retries_;
  Family<Counter>& cache_hits_;
  Family<Counter>& bytes_;
  Family<Counter>& reasons_;
  const RouteMetrics other_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, RouteMetrics> routes_ ABSL_GUARDED_BY(mutex_);
};

class GatewayMetrics::Observer final : public HttpObserver {
 public:
  Observer(Families& families, HttpObserver* next) : families_(families), next_(next) {}

  void OnRouted(const HttpRequestReport& report) override {
    families_.Of(report.route).in_progress->Increment();
    if (next_ != nullptr) next_->OnRouted(report);
  }

  void OnRequest(const HttpRequestReport& report) override {
    // Requests without a route have none to count for.
    const RouteMetrics route = families_.Of(report.route.empty() ? kOther : report.route);
    if (!report.route.empty()) route.in_progress->Decrement();
    const size_t status = static_cast<size_t>(std::clamp(report.status / 100, 0, 5));
    route.statuses[status]->Increment();
    route.seconds->Observe(absl::ToDoubleSeconds(report.duration));
    route.bytes_in->Increment(static_cast<double>(report.bytes_in));
    route.bytes_out->Increment(static_cast<double>(report.bytes_out));
    if (report.cached) route.cache_hits->Increment();
    if (report.backend_reached) (report.backend_reused ? route.kept : route.opened)->Increment();
    if (report.tries > 1) route.retries->Increment(report.tries - 1);
    if (report.reason != HttpReason::kNone) families_.CountReason(report.reason);
    if (next_ != nullptr) next_->OnRequest(report);
  }

 private:
  Families& families_;
  HttpObserver* const next_;
};

GatewayMetrics::GatewayMetrics()
    : registry_(std::make_shared<::prometheus::Registry>()),
      families_(std::make_unique<Families>(*registry_)) {}

GatewayMetrics::~GatewayMetrics() = default;

std::unique_ptr<HttpObserver> GatewayMetrics::NewObserver(HttpObserver* next) {
  return std::make_unique<Observer>(*families_, next);
}

void GatewayMetrics::SetPools(size_t thread, std::vector<BackendTargetStats> targets) {
  absl::MutexLock lock(&mutex_);
  pools_[thread] = std::move(targets);
}

std::vector<PoolLegs> GatewayMetrics::pools() const {
  std::map<std::tuple<std::string, std::string, std::string>, PoolLegs> sums;
  absl::MutexLock lock(&mutex_);
  for (const auto& [thread, targets] : pools_) {
    for (const BackendTargetStats& target : targets) {
      const std::string scheme(EnumName(target.scheme));
      const std::string backend = target.endpoint.ToString();
      PoolLegs& sum = sums[{backend, scheme, target.server_name}];
      sum.scheme = scheme;
      sum.backend = backend;
      sum.name = target.server_name;
      sum.connections += target.connections;
      sum.idle += target.idle;
      sum.waiting += target.waiting;
    }
  }
  std::vector<PoolLegs> pools;
  for (auto& [key, sum] : sums) pools.push_back(std::move(sum));
  return pools;
}

std::vector<MetricFamily> GatewayMetrics::Collect() const {
  std::vector<MetricFamily> families = registry_->Collect();
  MetricFamily connections =
      GaugeFamily("trestle_http_pool_connections", "Kept connections to backends");
  MetricFamily waiting =
      GaugeFamily("trestle_http_pool_waiting", "Requests that wait for a connection to a backend");
  // One backend may have several names.
  std::map<std::pair<std::string, std::string>, PoolLegs> sums;
  for (const PoolLegs& pool : pools()) {
    PoolLegs& sum = sums[{pool.backend, pool.scheme}];
    sum.backend = pool.backend;
    sum.scheme = pool.scheme;
    sum.connections += pool.connections;
    sum.idle += pool.idle;
    sum.waiting += pool.waiting;
  }
  for (const auto& [key, pool] : sums) {
    AddPool(connections, pool, "idle", pool.idle);
    AddPool(connections, pool, "busy", pool.connections - pool.idle);
    AddPool(waiting, pool, nullptr, pool.waiting);
  }
  families.push_back(std::move(connections));
  families.push_back(std::move(waiting));
  return families;
}

}  // namespace trestle
