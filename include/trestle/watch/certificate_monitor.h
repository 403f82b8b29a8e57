// CertificateMonitor: one picture of every certificate that a proxy depends on: its own, those of
// backends as connections meet them, and those that probes find, also behind passthrough routes.
// It says beforehand, and once, when verification is going to fail.
#ifndef TRESTLE_WATCH_CERTIFICATE_MONITOR_H_
#define TRESTLE_WATCH_CERTIFICATE_MONITOR_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/leg.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/chain_checker.h"
#include "trestle/watch/certificate_sightings.h"
#include "trestle/watch/leg_probe.h"
#include "trestle/watch/leg_prober.h"

namespace trestle {

/// How a certificate came to be known.
enum class CertificateSource : uint8_t {
  kOwn,    ///< A credential in a store of this process.
  kSeen,   ///< Shown to a connection that was made anyway.
  kProbe,  ///< Found by a probe.
};

/// Names a source in lower case: "probe".
absl::string_view CertificateSourceName(CertificateSource source);

/// What is known of one chain.
struct CertificateStatus {
  CertificateSource source = CertificateSource::kProbe;
  Leg leg = Leg::kBack;
  std::string name;  ///< As configured; of own credentials, the first of `names`, else of the leaf.
  /// Of own credentials: the names for which handshakes are shown this one now. Empty: it is for
  /// hellos without a name.
  std::vector<std::string> names;
  Endpoint endpoint;                          ///< Where it was; family kNone for own ones.
  absl::Time updated = absl::InfinitePast();  ///< When it was looked at last; past: not yet.
  /// OK while the chain is good and, for probes, the server answers; else the last failure.
  absl::Status status;
  std::vector<CertificateInfo> chain;  ///< Leaf first: as verified, or as shown. May be empty.
  /// When verification fails, or began to: computed for probes; for own and seen chains the
  /// earliest end of the certificates that lead from the leaf upwards.
  std::optional<FutureFailure> failure;
  /// The last time that `status` wasn't OK, and what it was then; OK where it never failed.
  absl::Time last_error_time = absl::InfinitePast();
  absl::Status last_error;
};

struct CertificateEvent {
  enum class Kind : uint8_t {
    kWillFail,       ///< A threshold was passed.
    kExpired,        ///< None is left.
    kRenewed,        ///< Verification will fail later than it would have.
    kRenewedLate,    ///< The same, but less than a week, or a third of its lifetime, was left.
    kIssuerChanged,  ///< The leaf is from another issuer.
    kKeyChanged,     ///< The leaf has another key.
    kFailing,        ///< The chain is refused, or the server doesn't answer a probe.
    kRecovered,      ///< It was failing.
  };

  Kind kind = Kind::kWillFail;
  int days = 0;  ///< Of kWillFail: the threshold that was passed, in whole days, rounded up.
  absl::Time when;
  std::string detail;        ///< A sentence without a full stop.
  CertificateStatus status;  ///< After the event.
};

/// Names a kind in snake_case: "will_fail".
absl::string_view CertificateEventName(CertificateEvent::Kind kind);

/// Is told of events, on the loop.
class CertificateListener {
 public:
  virtual ~CertificateListener() = default;

  /// Must not destroy the monitor, nor call it.
  virtual void OnCertificateEvent(const CertificateEvent& event) = 0;
};

struct CertificateMonitorOptions {
  /// Days before a failure at which to tell of it: above 0, no two the same. Whoever is first seen
  /// between two of them is told of once, for the nearer one. None is longer than a third of the
  /// lifetime of the certificate that ends: of six days, 30 and 14 and 7 and 3 are all two.
  std::vector<int> threshold_days = {30, 14, 7, 3, 1};
  /// From one probe of a leg to the next, at most; a tenth of it is left to chance, so that
  /// thousands of legs don't stay in step.
  absl::Duration probe_interval = absl::Hours(1);
  /// The first probes come within so long.
  absl::Duration first_probe_within = absl::Seconds(10);
  size_t max_concurrent_probes = 16;
  /// Own stores are looked at so often; `CheckOwn` does it at once.
  absl::Duration own_interval = absl::Minutes(1);
  /// Backends of one name whose chains are kept apart; those beyond are left out.
  size_t max_endpoints_per_name = 16;
  /// For the share of chance. Give each process another one.
  uint64_t seed = 1;
};

/// What is watched.
struct MonitorTargets {
  struct Probed {
    Leg leg = Leg::kBack;
    std::string name;
    std::shared_ptr<const LegProbeConfig> config;
    LegProbeTarget target;
  };

  std::vector<std::shared_ptr<const CertificateStore>> own;
  /// Names of backends, as sightings have them; sightings of others are left out.
  std::vector<std::string> seen;
  /// Several routes may lead to one server: what is there more than once is probed once.
  std::vector<Probed> probed;
};

/// Own credentials are those that a handshake would be shown now, for each name and each key type.
/// Other files in the same stores, such as an expired one beside its successor, raise no events.
/// One loop's. Memory is bounded by what is configured: one chain for each own credential, each
/// probed leg, and each backend of a seen name. Where an address shows several chains in turn, as a
/// backend of several machines does while it renews, the last few are remembered, and events of
/// none of them are repeated.
class CertificateMonitor {
 public:
  /// `scheduler`, `dialer` and `listener` (may be null) must outlive the monitor.
  CertificateMonitor(Scheduler& scheduler, Dialer& dialer, CertificateMonitorOptions options,
                     CertificateListener* listener);
  ~CertificateMonitor();
  CertificateMonitor(const CertificateMonitor&) = delete;
  CertificateMonitor& operator=(const CertificateMonitor&) = delete;

  /// Watches `targets` from here on. What was watched before and still is keeps what is known of
  /// it: a reload repeats no event and forgets none. Fails with ErrorCode::kConfiguration, and
  /// changes nothing, for options or targets that can't be used.
  absl::Status Watch(MonitorTargets targets);

  /// Takes note of what a connection met (see CertificateSightings). What a later probe finds at
  /// the same place stands for connections as well: without any, they would never see it renewed.
  void OnSighting(const CertificateSighting& sighting);

  /// Looks at the own stores at once, as after a reload.
  void CheckOwn();

  /// Everything that is known, in the order of source, leg and name.
  std::vector<CertificateStatus> Snapshot() const;

 private:
  struct Entry;
  struct Observation;
  using Entries = std::map<std::string, std::unique_ptr<Entry>>;

  absl::Status Check(const MonitorTargets& targets) const;
  void WatchProbed(std::vector<MonitorTargets::Probed> probed);
  void DropUnwatched();
  Entry& EntryFor(const std::string& id, CertificateSource source, Leg leg, absl::string_view name,
                  const Endpoint& endpoint);
  void ScheduleProbe(Entry& entry, absl::Duration delay);
  void StartProbe(const std::string& id);
  void OnReport(const std::string& id, uint64_t incarnation, const LegProbeConfig* config,
                const ProbeReport& report);
  void CorrectSeen(const ProbeReport& report);
  void UpdateOwn(const CertificateSet::Shown& shown, const std::string& id);
  void ScheduleOwn();
  void Update(Entry& entry, Observation observation);
  void TellHealth(const Entry& entry, const absl::Status& before);
  void TellReplaced(const Entry& entry, const CertificateStatus& before);
  void TellThreshold(Entry& entry);
  void Tell(const Entry& entry, CertificateEvent::Kind kind, int days, std::string detail);
  void WakeForThresholds();
  bool IsNewerThan(const Entry& entry, absl::Time when) const;
  absl::Duration Threshold(const Entry& entry, int days) const;
  int TierOf(const Entry& entry) const;
  absl::Time NextTierOf(const Entry& entry) const;
  double Chance();

  Scheduler& scheduler_;
  const CertificateMonitorOptions options_;
  CertificateListener* const listener_;
  std::mt19937_64 random_;
  std::vector<int> thresholds_;  // Descending.
  MonitorTargets targets_;
  Entries entries_;
  uint64_t next_incarnation_ = 1;
  Timer own_timer_;
  Timer threshold_timer_;
  LegProber prober_;  // Last: its callbacks refer to the rest.
};

}  // namespace trestle

#endif  // TRESTLE_WATCH_CERTIFICATE_MONITOR_H_
