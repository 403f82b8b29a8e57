// The private types of CertificateMonitor: an entry, and the result of one look at a leg.
#ifndef TRESTLE_LIB_WATCH_MONITOR_ENTRY_H_
#define TRESTLE_LIB_WATCH_MONITOR_ENTRY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "trestle/pki/chain_checker.h"
#include "trestle/pki/finding.h"
#include "trestle/tls/credential.h"
#include "trestle/watch/certificate_monitor.h"
#include "trestle/watch/leg_probe.h"

namespace trestle {

/// Returns the time of `failure`; InfiniteFuture without one.
inline absl::Time EndOf(const std::optional<FutureFailure>& failure) {
  return failure.has_value() ? failure->when : absl::InfiniteFuture();
}

/// Tiers count up as time runs out. The last one is "expired".
inline constexpr int kFarAway = 0;

// The result of one look at a leg.
struct CertificateMonitor::Observation {
  absl::Time when;
  absl::Status status;
  std::vector<CertificateInfo> chain;  // Empty: nothing new is known of it.
  std::optional<FutureFailure> failure;
  std::string renewal_id;
  std::vector<Finding> findings;
};

struct CertificateMonitor::Entry {
  std::string id;
  CertificateStatus status;
  std::vector<absl::Duration> thresholds;  // Times before the failure, descending, each once.
  uint64_t incarnation = 0;               // Differs from that of an earlier entry with the same ID.
  std::shared_ptr<const Credential> own;  // Null for others. The next two are about it.
  std::string own_renewal_id;
  std::vector<Finding> own_findings;
  std::shared_ptr<const LegProbeConfig> config;  // The rest is used for probed legs only.
  LegProbeTarget target;
  bool probing = false;  // A probe runs, or waits for its turn.
  Timer next_probe;

  // A chain that was seen here, as far as its events depend on it.
  struct KnownChain {
    CertificateInfo leaf;
    absl::Time end;
    int reported_tier = kFarAway;  // Tiers up to this one are not reported again.
    // The end of the last window that was reported, and whether it was reported as overdue.
    absl::Time reported_advice = absl::InfinitePast();
    bool reported_overdue = false;
    std::set<std::string> reported_findings;
  };

  // Moves the current chain to the front of `known_chains`; returns true for a new one.
  bool Remember();

  std::vector<KnownChain> known_chains;  // The latest first.
};

}  // namespace trestle

#endif  // TRESTLE_LIB_WATCH_MONITOR_ENTRY_H_
