// ProxyMetrics: what Trestle's blocks and the CertificateMonitor report, as Prometheus metrics.
// docs/monitoring/README.md lists them.
#ifndef TRESTLE_INTEGRATIONS_PROMETHEUS_PROXY_METRICS_H_
#define TRESTLE_INTEGRATIONS_PROMETHEUS_PROXY_METRICS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "prometheus/registry.h"
#include "trestle/proxy/observer.h"
#include "trestle/watch/certificate_monitor.h"

namespace trestle {

/// Thread-safe. Label values are a closed list, but for the names of certificates, which the
/// monitor bounds by what is configured.
class ProxyMetrics {
 public:
  ProxyMetrics();
  ~ProxyMetrics();
  ProxyMetrics(const ProxyMetrics&) = delete;
  ProxyMetrics& operator=(const ProxyMetrics&) = delete;

  /// Makes an observer for the blocks of one loop, which counts and passes everything on to `next`
  /// (may be null). The metrics must outlive it.
  std::unique_ptr<ConnectionObserver> NewObserver(ConnectionObserver* next);

  /// Replaces what is told of certificates.
  void SetCertificates(std::vector<CertificateStatus> certificates) ABSL_LOCKS_EXCLUDED(mutex_);

  /// What `SetCertificates` was given last.
  std::vector<CertificateStatus> certificates() const ABSL_LOCKS_EXCLUDED(mutex_);

  /// Says whom to ask for the age of session tickets' keys: since when the key that seals them now
  /// does so; infinitely long ago where that isn't known. Called by `Text`, on its thread.
  void SetTicketKeyTime(absl::AnyInvocable<absl::Time(absl::Time now)> sealing_since)
      ABSL_LOCKS_EXCLUDED(mutex_);

  /// Counts a reload. Each good one is a generation; the first set-up is generation 1.
  void CountReload(bool good);

  /// Writes everything in Prometheus' text format, with times as of `now`.
  std::string Text(absl::Time now) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  class Families;
  class Observer;

  std::shared_ptr<::prometheus::Registry> registry_;
  const std::unique_ptr<Families> families_;
  mutable absl::Mutex mutex_;
  std::vector<CertificateStatus> certificates_ ABSL_GUARDED_BY(mutex_);
  mutable absl::AnyInvocable<absl::Time(absl::Time now)> sealing_since_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PROMETHEUS_PROXY_METRICS_H_
