// ProxyMetrics: exports the reports of Trestle's blocks and of the CertificateMonitor as Prometheus
// metrics. docs/monitoring/README.md lists them.
#ifndef TRESTLE_INTEGRATIONS_PROMETHEUS_PROXY_METRICS_H_
#define TRESTLE_INTEGRATIONS_PROMETHEUS_PROXY_METRICS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "prometheus/collectable.h"
#include "prometheus/registry.h"
#include "trestle/proxy/observer.h"
#include "trestle/tls/ech_key_opener.h"
#include "trestle/watch/certificate_monitor.h"

namespace trestle {

/// Thread-safe. Label values are a closed set, except for the names of certificates, which the
/// monitor's configuration bounds.
class ProxyMetrics {
 public:
  ProxyMetrics();
  ~ProxyMetrics();
  ProxyMetrics(const ProxyMetrics&) = delete;
  ProxyMetrics& operator=(const ProxyMetrics&) = delete;

  /// Creates an observer for the blocks of one loop, which counts and passes every call on to
  /// `next` (may be null). The metrics and `next` must outlive it.
  std::unique_ptr<ConnectionObserver> NewObserver(ConnectionObserver* next);

  /// Replaces the reported certificates.
  void SetCertificates(std::vector<CertificateStatus> certificates) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Returns the certificates of the last `SetCertificates`.
  std::vector<CertificateStatus> certificates() const ABSL_LOCKS_EXCLUDED(mutex_);

  /// Sets the function that returns the start time of the active ticket key, which encrypts new
  /// tickets; InfinitePast if it is unknown. `Text` calls it, on its own thread.
  void SetTicketKeyTime(absl::AnyInvocable<absl::Time(absl::Time now)> sealing_since)
      ABSL_LOCKS_EXCLUDED(mutex_);

  /// Sets the function that returns the number of lost records of each log of the program, by the
  /// log's name. A record is a line, or a piece of a capture. `Text` calls it, on its own thread.
  void SetLostRecords(absl::AnyInvocable<std::map<std::string, uint64_t>()> lost)
      ABSL_LOCKS_EXCLUDED(mutex_);

  /// Sets the function that returns the counts of encrypted ClientHellos: `EchKeyOpener::counts`.
  /// `Text` and `ech_counts` call it, on their own threads.
  void SetEchCounts(absl::AnyInvocable<EchCounts()> counts) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Returns these counts; nothing before `SetEchCounts`.
  std::optional<EchCounts> ech_counts() const ABSL_LOCKS_EXCLUDED(mutex_);

  /// Adds the metrics of another source, which may be called from any thread.
  void Add(std::shared_ptr<::prometheus::Collectable> more) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Counts a reload. Each successful one is a generation; the initial set-up is generation 1.
  void CountReload(bool good);

  /// Counts a failure to accept a waiting connection.
  void CountAcceptFailure();

  /// Returns all metrics in Prometheus' text format, with ages as of `now`.
  std::string Text(absl::Time now) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  class Families;
  class Observer;

  std::shared_ptr<::prometheus::Registry> registry_;
  const std::unique_ptr<Families> families_;
  mutable absl::Mutex mutex_;
  std::vector<CertificateStatus> certificates_ ABSL_GUARDED_BY(mutex_);
  mutable absl::AnyInvocable<absl::Time(absl::Time now)> sealing_since_ ABSL_GUARDED_BY(mutex_);
  mutable absl::AnyInvocable<std::map<std::string, uint64_t>()> lost_records_
      ABSL_GUARDED_BY(mutex_);
  mutable absl::AnyInvocable<EchCounts()> ech_counts_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<::prometheus::Collectable>> more_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PROMETHEUS_PROXY_METRICS_H_
