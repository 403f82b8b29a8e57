#include "integrations/prometheus/proxy_metrics.h"

#include <map>
#include <optional>
#include <sstream>
#include <tuple>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/metric_family.h"
#include "prometheus/text_serializer.h"
#include "trestle/base/error.h"
#include "trestle/pki/renewal_info.h"
#include "trestle/watch/expiry_alarms.h"

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

using Labels = std::map<std::string, std::string>;

const Histogram::BucketBoundaries kHandshakeSeconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                       0.1,   0.25,   0.5,   1,    2.5,   10};
// A hello of one segment, two, several, up to the limit of 16 KiB.
const Histogram::BucketBoundaries kHelloBytes = {256, 512, 1024, 1400, 2048, 4096, 8192, 16384};
const Histogram::BucketBoundaries kHelloRecords = {1, 2, 3, 4, 8, 16};

std::string String(absl::string_view text) { return std::string(text); }

Labels LabelsOf(const CertificateStatus& status) {
  return {{"leg", String(EnumName(status.leg))},
          {"name", status.name},
          {"source", String(EnumName(status.source))}};
}

// One certificate metric: a sample for each leg, name and source; the worst if there are several.
struct CertificateFamily {
  MetricFamily family;
  std::map<Labels, double> worst;

  CertificateFamily(std::string name, std::string help) {
    family.name = std::move(name);
    family.help = std::move(help);
    family.type = MetricType::Gauge;
  }

  // For values of which more is worse.
  void AddMost(const Labels& labels, double value) {
    double& most = worst.emplace(labels, value).first->second;
    most = std::max(most, value);
  }

  void Add(const Labels& labels, double value) {
    const auto [place, added] = worst.emplace(labels, value);
    if (!added) place->second = std::min(place->second, value);
  }

  MetricFamily Take() {
    for (const auto& [labels, value] : worst) {
      ClientMetric metric;
      for (const auto& [name, text] : labels) metric.label.push_back({name, text});
      metric.gauge.value = value;
      family.metric.push_back(std::move(metric));
    }
    return std::move(family);
  }
};

void AddRenewal(const RenewalInfo& renewal, Labels labels, absl::Time now,
                CertificateFamily& family) {
  for (const auto& [edge, time] :
       {std::pair("start", renewal.start), std::pair("end", renewal.end)}) {
    labels["edge"] = edge;
    family.Add(labels, absl::ToDoubleSeconds(time - now));
  }
}

void AddAlarms(const CertificateStatus& status, Labels labels, absl::Time now,
               CertificateFamily& family) {
  for (const auto& [severity, time] : {std::pair(Severity::kWarning, status.warning_time),
                                       std::pair(Severity::kCritical, status.critical_time)}) {
    labels["severity"] = String(EnumName(severity));
    family.Add(labels, absl::ToDoubleSeconds(time - now));
  }
}

std::vector<MetricFamily> CertificateFamilies(const std::vector<CertificateStatus>& certificates,
                                              absl::Time now) {
  CertificateFamily not_after("trestle_certificate_not_after_seconds",
                              "Seconds until the leaf certificate expires; negative once it has");
  CertificateFamily fails("trestle_certificate_verification_fails_seconds",
                          "Seconds until verification of the whole chain fails; negative once the "
                          "moment has passed");
  CertificateFamily lifetime_left(
      "trestle_certificate_lifetime_left_ratio",
      "Part of the lifetime that is left of the certificate which makes verification fail first");
  CertificateFamily alarm("trestle_certificate_alarm_seconds",
                          "Seconds until the coming failure of verification is a warning, and "
                          "until it is critical; negative since then");
  CertificateFamily good("trestle_certificate_good",
                         "1 if the chain is accepted, and a probe answered; else 0");
  CertificateFamily age("trestle_certificate_seen_timestamp_seconds",
                        "When the certificate was looked at last");
  CertificateFamily renewal("trestle_certificate_renewal_window_seconds",
                            "Seconds until the start and the end of the time in which the CA "
                            "advises to renew; negative since then");
  CertificateFamily findings("trestle_certificate_findings",
                             "Findings about the chain that are at least warnings, beside dates");
  for (const CertificateStatus& status : certificates) {
    if (status.updated == absl::InfinitePast()) continue;
    const Labels labels = LabelsOf(status);
    good.Add(labels, status.status.ok() ? 1 : 0);
    age.Add(labels, absl::ToDoubleSeconds(status.updated - absl::UnixEpoch()));
    const auto is_warning = [](const Finding& f) { return f.severity >= Severity::kWarning; };
    findings.AddMost(labels, static_cast<double>(absl::c_count_if(status.findings, is_warning)));
    if (status.renewal.has_value()) AddRenewal(*status.renewal, labels, now, renewal);
    if (!status.chain.empty()) {
      not_after.Add(labels, absl::ToDoubleSeconds(status.chain.front().not_after - now));
    }
    if (status.failure.has_value()) {
      const absl::Duration left = status.failure->when - now;
      const absl::Duration lifetime = LifetimeOf(*status.failure, status.chain);
      fails.Add(labels, absl::ToDoubleSeconds(left));
      AddAlarms(status, labels, now, alarm);
      if (lifetime != absl::InfiniteDuration() && lifetime > absl::ZeroDuration()) {
        lifetime_left.Add(labels, absl::FDivDuration(left, lifetime));
      }
    }
  }
  std::vector<MetricFamily> families;
  for (CertificateFamily* family :
       {&not_after, &fails, &lifetime_left, &alarm, &renewal, &findings, &good, &age}) {
    MetricFamily taken = family->Take();
    if (!taken.metric.empty()) families.push_back(std::move(taken));
  }
  return families;
}

MetricFamily TicketKeyFamily(absl::Duration age) {
  MetricFamily family;
  family.name = "trestle_ticket_key_age_seconds";
  family.help = "Seconds since the key that seals session tickets now began to";
  family.type = MetricType::Gauge;
  family.metric.emplace_back().gauge.value = absl::ToDoubleSeconds(age);
  return family;
}

MetricFamily LostRecordsFamily(const std::map<std::string, uint64_t>& lost) {
  MetricFamily family;
  family.name = "trestle_log_records_lost_total";
  family.help = "Lines of logs, and pieces of captures, that were not written";
  family.type = MetricType::Counter;
  for (const auto& [log, count] : lost) {
    ClientMetric& metric = family.metric.emplace_back();
    metric.label.push_back({"log", log});
    metric.counter.value = static_cast<double>(count);
  }
  return family;
}

MetricFamily EchFamily(const EchCounts& counts) {
  MetricFamily family;
  family.name = "trestle_ech_hellos_total";
  family.help = "Encrypted ClientHellos that routers met, by config id and what became of them";
  family.type = MetricType::Counter;
  const auto add = [&](const std::string& config_id, const char* result, uint64_t count) {
    ClientMetric& metric = family.metric.emplace_back();
    metric.label = {{"config_id", config_id}, {"result", result}};
    metric.counter.value = static_cast<double>(count);
  };
  for (const auto& [id, of_config] : counts.by_config_id) {
    const std::string config_id = std::to_string(id);
    add(config_id, "opened", of_config.opened);
    add(config_id, "not_decrypted", of_config.not_decrypted);
    add(config_id, "malformed", of_config.malformed);
    add(config_id, "over_budget", of_config.over_budget);
    add(config_id, "second_opened", of_config.second_opened);
  }
  // Clients choose these ids.
  add("", "no_key", counts.no_key);
  add("", "inner_in_clear", counts.inner_in_clear);
  return family;
}

}  // namespace

class ProxyMetrics::Families {
 public:
  explicit Families(::prometheus::Registry& registry)
      : connections_(BuildCounter()
                         .Name("trestle_connections_total")
                         .Help("Connections that are over, by how they ended")
                         .Register(registry)),
        open_(BuildGauge()
                  .Name("trestle_open_connections")
                  .Help("Connections through which bytes flow")
                  .Register(registry)),
        quic_flows_(BuildCounter()
                        .Name("trestle_quic_flows_total")
                        .Help("QUIC flows that are over, by how they ended; connections too")
                        .Register(registry)),
        open_quic_flows_(BuildGauge()
                             .Name("trestle_open_quic_flows")
                             .Help("QUIC flows whose backend has answered; connections too")
                             .Register(registry)),
        dropped_(BuildCounter()
                     .Name("trestle_datagrams_dropped_total")
                     .Help("Datagrams that a router of QUIC dropped, by reason")
                     .Register(registry)),
        handshakes_(BuildCounter()
                        .Name("trestle_handshakes_total")
                        .Help("TLS handshakes that were begun and are over")
                        .Register(registry)),
        handshake_seconds_(BuildHistogram()
                               .Name("trestle_handshake_seconds")
                               .Help("Time of TLS handshakes that were finished")
                               .Register(registry)),
        bytes_(BuildCounter()
                   .Name("trestle_bytes_total")
                   .Help("Bytes that legs read and wrote, of connections that are over")
                   .Register(registry)),
        refusals_(BuildCounter()
                      .Name("trestle_refusals_total")
                      .Help("Connections that failed, by leg, phase, error code and, over a limit, "
                            "which one")
                      .Register(registry)),
        hello_bytes_(BuildHistogram()
                         .Name("trestle_hello_bytes")
                         .Help("Sizes of ClientHellos that were read whole")
                         .Register(registry)),
        hello_records_(BuildHistogram()
                           .Name("trestle_hello_records")
                           .Help("TLS records that ClientHellos came in, where a router read them")
                           .Register(registry)),
        accept_failures_(BuildCounter()
                             .Name("trestle_accept_failures_total")
                             .Help("Waiting connections that could not be accepted at once")
                             .Register(registry)
                             .Add({})),
        reloads_(BuildCounter()
                     .Name("trestle_reloads_total")
                     .Help("Reloads of the configuration, by result")
                     .Register(registry)),
        generation_(BuildGauge()
                        .Name("trestle_reload_generation")
                        .Help("1 for the first configuration, one more for each good reload")
                        .Register(registry)
                        .Add({})) {
    generation_.Set(1);
    open_.Add({});
    for (const char* result : {"ok", "failed"}) reloads_.Add({{"result", result}});
  }

  void TurnedAway(Limit limit) {
    Error error;
    error.code = ErrorCode::kOverLimit;
    error.leg = Leg::kFront;
    error.phase = Phase::kHello;
    error.limit = limit;
    CountRefusal(error);
  }

  void Opened(const ConnectionReport& report) {
    open_.Add({}).Increment();
    if (report.quic_version != 0) open_quic_flows_.Add({}).Increment();
  }

  void Dropped(DatagramDrop why, size_t datagrams) {
    dropped_.Add({{"reason", String(EnumName(why))}}).Increment(static_cast<double>(datagrams));
  }

  void Closed(const ConnectionReport& report, bool was_open) {
    const bool quic = report.quic_version != 0;
    if (was_open) open_.Add({}).Decrement();
    if (was_open && quic) open_quic_flows_.Add({}).Decrement();
    // If another block reads the hello again, the first block counts the records, which it sees.
    // The second block counts the bytes.
    if (report.hello.has_value() && !quic) {
      hello_records_.Add({}, kHelloRecords).Observe(static_cast<double>(report.hello->records));
    }
    if (report.handed_over) return;
    const std::optional<Error>& error = report.error;
    const std::string result = error.has_value() ? String(EnumName(error->code)) : "ok";
    connections_.Add({{"mode", String(EnumName(report.mode))}, {"result", result}}).Increment();
    if (quic) quic_flows_.Add({{"result", result}}).Increment();
    if (error.has_value()) CountRefusal(*error);
    CountHandshake(Leg::kFront, report.front, report.times.front, error);
    CountHandshake(Leg::kBack, report.back, report.times.back, error);
    CountBytes("front", report.front);
    CountBytes("back", report.back);
    if (const size_t hello_bytes = HelloBytesOf(report); hello_bytes > 0) {
      hello_bytes_.Add({}, kHelloBytes).Observe(static_cast<double>(hello_bytes));
    }
  }

  void AcceptFailed() { accept_failures_.Increment(); }

  void Reloaded(bool good) {
    reloads_.Add({{"result", good ? "ok" : "failed"}}).Increment();
    if (good) generation_.Increment();
  }

 private:
  static size_t HelloBytesOf(const ConnectionReport& report) {
    if (report.hello.has_value()) return report.hello->bytes;
    return report.front.tls != nullptr ? report.front.tls->hello_bytes : 0;
  }

  void CountRefusal(const Error& error) {
    Labels labels = {{"leg", error.leg.has_value() ? String(EnumName(*error.leg)) : "none"},
                     {"phase", String(EnumName(error.phase))},
                     {"reason", String(EnumName(error.code))}};
    if (error.limit.has_value()) labels.emplace("limit", EnumName(*error.limit));
    refusals_.Add(labels).Increment();
  }

  void CountHandshake(Leg leg, const LegReport& report, absl::Duration time,
                      const std::optional<Error>& error) {
    const bool failed = error.has_value() && error->leg == leg && error->phase == Phase::kHandshake;
    if (report.tls == nullptr && !failed) return;
    const bool known = report.tls != nullptr && !failed;
    handshakes_
        .Add({{"leg", String(EnumName(leg))},
              {"result", failed ? String(EnumName(error->code)) : "ok"},
              {"version", known ? String(report.tls->version) : ""},
              {"group", known ? String(report.tls->group) : ""},
              {"resumed", known && report.tls->resumed ? "yes" : "no"}})
        .Increment();
    if (failed) return;
    handshake_seconds_.Add({{"leg", String(EnumName(leg))}}, kHandshakeSeconds)
        .Observe(absl::ToDoubleSeconds(time));
  }

  void CountBytes(const char* leg, const LegReport& report) {
    bytes_.Add({{"leg", leg}, {"direction", "read"}})
        .Increment(static_cast<double>(report.bytes_read));
    bytes_.Add({{"leg", leg}, {"direction", "written"}})
        .Increment(static_cast<double>(report.bytes_written));
  }

  Family<Counter>& connections_;
  Family<Gauge>& open_;
  Family<Counter>& quic_flows_;
  Family<Gauge>& open_quic_flows_;
  Family<Counter>& dropped_;
  Family<Counter>& handshakes_;
  Family<Histogram>& handshake_seconds_;
  Family<Counter>& bytes_;
  Family<Counter>& refusals_;
  Family<Histogram>& hello_bytes_;
  Family<Histogram>& hello_records_;
  Counter& accept_failures_;
  Family<Counter>& reloads_;
  Gauge& generation_;
};

class ProxyMetrics::Observer final : public ConnectionObserver {
 public:
  Observer(Families& families, ConnectionObserver* next) : families_(families), next_(next) {}

  void OnEstablished(const ConnectionReport& report) override {
    open_.insert(KeyOf(report));
    families_.Opened(report);
    if (next_ != nullptr) next_->OnEstablished(report);
  }

  void OnTurnedAway(Limit limit) override {
    families_.TurnedAway(limit);
    if (next_ != nullptr) next_->OnTurnedAway(limit);
  }

  void OnDatagramsDropped(DatagramDrop why, size_t datagrams) override {
    families_.Dropped(why, datagrams);
    if (next_ != nullptr) next_->OnDatagramsDropped(why, datagrams);
  }

  void OnClosed(const ConnectionReport& report) override {
    families_.Closed(report, open_.erase(KeyOf(report)) > 0);
    if (next_ != nullptr) next_->OnClosed(report);
  }

 private:
  // Each block numbers its own connections; no two open connections share a client's port, unless
  // one is of TCP.
  using Key = std::tuple<uint64_t, Endpoint, bool>;
  static Key KeyOf(const ConnectionReport& report) {
    return {report.id, report.front.peer, report.quic_version != 0};
  }

  Families& families_;
  ConnectionObserver* const next_;
  absl::flat_hash_set<Key> open_;  // Established ones.
};

ProxyMetrics::ProxyMetrics()
    : registry_(std::make_shared<::prometheus::Registry>()),
      families_(std::make_unique<Families>(*registry_)) {}

ProxyMetrics::~ProxyMetrics() = default;

std::unique_ptr<ConnectionObserver> ProxyMetrics::NewObserver(ConnectionObserver* next) {
  return std::make_unique<Observer>(*families_, next);
}

void ProxyMetrics::SetCertificates(std::vector<CertificateStatus> certificates) {
  absl::MutexLock lock(&mutex_);
  certificates_ = std::move(certificates);
}

std::vector<CertificateStatus> ProxyMetrics::certificates() const {
  absl::MutexLock lock(&mutex_);
  return certificates_;
}

void ProxyMetrics::Add(std::shared_ptr<::prometheus::Collectable> more) {
  absl::MutexLock lock(&mutex_);
  more_.push_back(std::move(more));
}

void ProxyMetrics::CountReload(bool good) { families_->Reloaded(good); }

void ProxyMetrics::CountAcceptFailure() { families_->AcceptFailed(); }

void ProxyMetrics::SetTicketKeyTime(absl::AnyInvocable<absl::Time(absl::Time now)> sealing_since) {
  absl::MutexLock lock(&mutex_);
  sealing_since_ = std::move(sealing_since);
}

void ProxyMetrics::SetLostRecords(absl::AnyInvocable<std::map<std::string, uint64_t>()> lost) {
  absl::MutexLock lock(&mutex_);
  lost_records_ = std::move(lost);
}

void ProxyMetrics::SetEchCounts(absl::AnyInvocable<EchCounts()> counts) {
  absl::MutexLock lock(&mutex_);
  ech_counts_ = std::move(counts);
}

std::optional<EchCounts> ProxyMetrics::ech_counts() const {
  absl::MutexLock lock(&mutex_);
  if (!ech_counts_) return std::nullopt;
  return ech_counts_();
}

std::string ProxyMetrics::Text(absl::Time now) const {
  std::vector<MetricFamily> families = registry_->Collect();
  for (MetricFamily& family : CertificateFamilies(certificates(), now)) {
    families.push_back(std::move(family));
  }
  if (const std::optional<EchCounts> ech = ech_counts()) families.push_back(EchFamily(*ech));
  {
    absl::MutexLock lock(&mutex_);
    const absl::Time since = sealing_since_ ? sealing_since_(now) : absl::InfinitePast();
    if (since != absl::InfinitePast()) families.push_back(TicketKeyFamily(now - since));
    if (lost_records_) families.push_back(LostRecordsFamily(lost_records_()));
    for (const std::shared_ptr<::prometheus::Collectable>& source : more_) {
      for (MetricFamily& family : source->Collect()) families.push_back(std::move(family));
    }
  }
  std::ostringstream text;
  ::prometheus::TextSerializer().Serialize(text, families);
  return text.str();
}

}  // namespace trestle
