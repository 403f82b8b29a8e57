// The common parts of the Prometheus integration's tests: reports of connections, states of
// certificates, and the metrics that count them.
#ifndef TRESTLE_TESTS_INTEGRATIONS_PROMETHEUS_METRICS_FIXTURE_H_
#define TRESTLE_TESTS_INTEGRATIONS_PROMETHEUS_METRICS_FIXTURE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "integrations/prometheus/proxy_metrics.h"
#include "trestle/proxy/observer.h"
#include "trestle/tls/tls_info.h"
#include "trestle/watch/certificate_monitor.h"
#include "trestle/watch/expiry_alarms.h"

namespace trestle::testing {

inline constexpr absl::Duration kDay = absl::Hours(24);

class MetricsTest : public ::testing::Test {
 protected:
  static ConnectionReport Bridged(uint64_t id) {
    ConnectionReport report;
    report.id = id;
    report.mode = ProxyMode::kBridge;
    TlsInfo front;
    front.version = "TLSv1.3";
    front.group = "X25519MLKEM768";
    report.front.tls = std::make_shared<const TlsInfo>(front);
    TlsInfo back;
    back.version = "TLSv1.2";
    back.group = "X25519";
    back.resumed = true;
    report.back.tls = std::make_shared<const TlsInfo>(back);
    report.times.front = absl::Milliseconds(3);
    report.times.back = absl::Milliseconds(30);
    report.front.bytes_read = 100;
    report.front.bytes_written = 2000;
    return report;
  }

  CertificateStatus Certificate(const std::string& name, absl::Duration leaf,
                                absl::Duration fails) const {
    CertificateStatus status;
    status.name = name;
    status.updated = now_;
    CertificateInfo certificate;
    certificate.subject = absl::StrCat("CN=", name);
    certificate.not_after = now_ + leaf;
    status.chain = {certificate};
    FutureFailure& failure = status.failure.emplace();
    failure.when = now_ + fails;
    failure.part = ChainPart::kIntermediate;
    failure.subject = "CN=Internal CA";
    failure.detail = "intermediate \"CN=Internal CA\" expires on 2026-01-10";
    SetAlarms(status);
    return status;
  }

  // Sets the times as a monitor does, after a change of the chain or the failure.
  static void SetAlarms(CertificateStatus& status) {
    const absl::Duration lifetime = LifetimeOf(*status.failure, status.chain);
    status.warning_time = status.failure->when - ExpiryAlarms().WarningTime(lifetime);
    status.critical_time = status.failure->when - ExpiryAlarms().CriticalTime(lifetime);
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'767'225'600);
  ProxyMetrics metrics_;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_INTEGRATIONS_PROMETHEUS_METRICS_FIXTURE_H_
