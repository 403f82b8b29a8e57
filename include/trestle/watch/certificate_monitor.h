// CertificateMonitor: tracks every certificate that a proxy depends on. These are its own, those of
// backends that connections meet, and those that probes find, also behind passthrough routes. It
// warns once, in advance, when verification is about to fail.
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
#include "trestle/pki/chain_checker.h"
#include "trestle/pki/finding.h"
#include "trestle/pki/renewal_info.h"
#include "trestle/pki/trust_store.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/credential.h"
#include "trestle/watch/certificate_sightings.h"
#include "trestle/watch/expiry_alarms.h"
#include "trestle/watch/leg_probe.h"
#include "trestle/watch/probe_queue.h"

namespace trestle {

/// How the monitor learned of a certificate.
enum class CertificateSource : uint8_t {
  kOwn,    ///< A credential in a store of this process.
  kSeen,   ///< Presented on a proxied connection.
  kProbe,  ///< Found by a probe.
};

/// Returns the name of a source in lower case: "probe".
absl::string_view EnumName(CertificateSource source);

/// The state of one chain.
struct CertificateStatus {
  CertificateSource source = CertificateSource::kProbe;
  Leg leg = Leg::kBack;
  std::string
      name;  ///< As configured. For own credentials: the first of `names`, else a name of the leaf.
  /// For own credentials: the server names for which handshakes present it now. Empty: presented
  /// for hellos without a name.
  std::vector<std::string> names;
  Endpoint endpoint;  ///< The server's address; family kNone for own credentials.
  absl::Time updated =
      absl::InfinitePast();  ///< Time of the last check; InfinitePast before the first.
  /// OK while the chain is valid and, for probes, the server answers; else the last failure.
  absl::Status status;
  std::vector<CertificateInfo> chain;  ///< Leaf first, as verified or as presented. May be empty.
  /// When verification will fail, or began to fail. Computed for probes. For own and seen chains,
  /// it is the earliest expiry among the certificates from the leaf upwards.
  std::optional<FutureFailure> failure;
  /// When `failure` is a warning, and when it is critical. InfiniteFuture without one.
  absl::Time warning_time = absl::InfiniteFuture();
  absl::Time critical_time = absl::InfiniteFuture();
  /// Of the leaf, as `RenewalIdOf` returns it. Empty for seen chains, and for a leaf without one.
  std::string renewal_id;
  std::optional<RenewalInfo> renewal;  ///< The CA's advice, if it is known.
  /// What is wrong beside dates and `status`: see `FindingsOfChain` for own chains, and
  /// `StandingFindingsOf` for probed ones. Empty for seen chains.
  std::vector<Finding> findings;
  /// The last time at which `status` was not OK, and its value then; OK if it never failed.
  absl::Time last_error_time = absl::InfinitePast();
  absl::Status last_error;
};

/// Returns kCritical for a chain that fails or is about to. Returns kWarning for one that will fail
/// soon, or whose CA advised an earlier renewal. Findings that are at least warnings count too.
Severity SeverityOf(const CertificateStatus& status, absl::Time now);

/// One thing that happened to a certificate, or will.
struct CertificateEvent {
  /// What happened.
  enum class Kind : uint8_t {
    kWillFail,        ///< A threshold has passed.
    kExpired,         ///< The time is up: verification fails.
    kRenewed,         ///< Verification will fail later than before.
    kRenewedLate,     ///< As kRenewed, but after the critical alarm or the CA's advice.
    kRenewalAdvised,  ///< The CA advises to renew within a time.
    kRenewalOverdue,  ///< That time has passed.
    kFinding,         ///< A finding, at least a warning, that the chain before did not have.
    kIssuerChanged,   ///< The leaf has another issuer.
    kKeyChanged,      ///< The leaf has another key.
    kFailing,         ///< The chain is rejected, or the server does not answer a probe.
    kRecovered,       ///< The failure is over.
  };

  Kind kind = Kind::kWillFail;
  /// kNote for a change, or a threshold before the warning.
  Severity severity = Severity::kNote;
  int days = 0;  ///< For kWillFail: the threshold in whole days, rounded up.
  absl::Time when;
  std::string detail;        ///< A sentence without a full stop.
  CertificateStatus status;  ///< After the event.
};

/// Returns the name of a kind in snake_case: "will_fail".
absl::string_view CertificateEventName(CertificateEvent::Kind kind);

/// Receives events, on the loop's thread.
class CertificateListener {
 public:
  virtual ~CertificateListener() = default;

  /// Called for each event. Must not call or destroy the monitor.
  virtual void OnCertificateEvent(const CertificateEvent& event) = 0;

  /// Called for each completed probe, before its events. Must not call or destroy the monitor.
  virtual void OnProbe(const ProbeReport& report) { (void)report; }
};

/// Brings the advice of CAs (RFC 9773). The monitor calls it on the loop's thread, each time that
/// it looks at a certificate: it must not block for long.
class RenewalInfoSource {
 public:
  virtual ~RenewalInfoSource() = default;

  /// Returns the advice for the certificate with this `RenewalIdOf`; nothing if it is not known.
  virtual std::optional<RenewalInfo> Find(const std::string& renewal_id) = 0;
};

/// Thresholds and intervals of a CertificateMonitor.
struct CertificateMonitorOptions {
  /// When a coming failure is a warning, and when it is critical. Each is an event.
  ExpiryAlarms alarms;
  /// Days before a failure at which further events come: above 0, without duplicates. A chain first
  /// seen between two thresholds has one event, for the nearer one. A threshold is at most the part
  /// `alarms.warn_part` of the lifetime of the certificate that expires. For a six-day certificate,
  /// 30, 14, 7 and 3 all become two days.
  std::vector<int> threshold_days = {30, 14, 7, 3, 1};
  /// Public roots, for findings about own chains; null for none.
  std::shared_ptr<const TrustStore> public_roots;
  /// Roots that peers drop, likewise; null for none.
  std::shared_ptr<const TrustStore> dropped_roots = nullptr;
  /// Null: no advice. Must outlive the monitor.
  RenewalInfoSource* renewal_info = nullptr;
  /// Maximum time between two probes of a leg. A random part of up to a tenth is subtracted, so
  /// that thousands of legs do not stay in step.
  absl::Duration probe_interval = absl::Hours(1);
  /// The first probe of each leg starts within this time.
  absl::Duration first_probe_within = absl::Seconds(10);
  size_t max_concurrent_probes = 16;
  /// Time between checks of own stores; `CheckOwn` checks at once.
  absl::Duration own_interval = absl::Minutes(1);
  /// Maximum number of backends per name whose chains are tracked; further ones are ignored.
  size_t max_endpoints_per_name = 16;
  /// Seed for the random part. Use a different value in each process.
  uint64_t seed = 1;
};

/// The certificates to watch.
struct MonitorTargets {
  /// A server that the monitor probes.
  struct Probed {
    Leg leg = Leg::kBack;
    std::string name;
    std::shared_ptr<const LegProbeConfig> config;
    LegProbeTarget target;
  };

  /// Stores of this process. Their chains are judged without trust anchors: the issuer of a leaf
  /// counts if the file has it. Some clients also have a root of the same name and don't need it;
  /// which ones is not known here.
  std::vector<std::shared_ptr<const CertificateStore>> own;
  /// Certificates that this process presents to backends. They are own certificates of the back
  /// leg.
  std::vector<std::shared_ptr<const Credential>> own_clients;
  /// Names of backends, as in sightings; sightings of other names are ignored.
  std::vector<std::string> seen;
  /// The servers to probe. Several routes may lead to one server: duplicates are probed once.
  std::vector<Probed> probed;
};

/// Tracks certificates on one loop; not thread-safe. Own credentials are those that a handshake
/// would present now, for each name and each key type. Other files in the same stores, such as an
/// expired one beside its successor, raise no events.
///
/// Configuration bounds the memory: one chain for each own credential, each probed leg, and each
/// backend of a seen name. An address may present several chains in turn, for example a backend of
/// several machines during a renewal. The last few are remembered, and their events are not
/// repeated.
class CertificateMonitor {
 public:
  /// Creates a monitor that watches nothing yet. `scheduler`, `dialer` and `listener` (may be null)
  /// must outlive it.
  CertificateMonitor(Scheduler& scheduler, Dialer& dialer, CertificateMonitorOptions options,
                     CertificateListener* listener);
  ~CertificateMonitor();
  CertificateMonitor(const CertificateMonitor&) = delete;
  CertificateMonitor& operator=(const CertificateMonitor&) = delete;

  /// Replaces the watched targets. Targets that stay keep their state: a reload repeats and loses
  /// no event. Fails with ErrorCode::kConfiguration, and changes nothing, for invalid options or
  /// targets.
  absl::Status Watch(MonitorTargets targets);

  /// Records a sighting from a connection (see CertificateSightings). A later probe of the same
  /// server also updates the entry: without connections, its renewal would go unnoticed.
  void OnSighting(const CertificateSighting& sighting);

  /// Checks the own stores at once, for use after a reload.
  void CheckOwn();

  /// Returns the state of all chains, ordered by source, leg and name.
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
  void UpdateOwn(const CertificateSet::Shown& shown, Leg leg,
                 std::map<std::string, const Credential*>& present);
  void JudgeOwn(const std::shared_ptr<const Credential>& credential, Entry& entry) const;
  void ScheduleOwn();
  void Update(Entry& entry, Observation observation);
  void ReportHealth(const Entry& entry, const absl::Status& before);
  void ReportReplaced(const Entry& entry, const CertificateStatus& before);
  void ReportThreshold(Entry& entry);
  void ReportRenewal(Entry& entry);
  void ReportFindings(Entry& entry);
  void ReportDue(Entry& entry);
  void Report(const Entry& entry, CertificateEvent::Kind kind, Severity severity,
              std::string detail, int days = 0);
  void WakeForThresholds();
  bool IsNewerThan(const Entry& entry, absl::Time when) const;
  void SetAlarms(Entry& entry) const;
  int TierOf(const Entry& entry) const;
  absl::Time NextTierOf(const Entry& entry) const;
  double Chance();

  Scheduler& scheduler_;
  const CertificateMonitorOptions options_;
  CertificateListener* const listener_;
  std::mt19937_64 random_;
  MonitorTargets targets_;
  Entries entries_;
  uint64_t next_incarnation_ = 1;
  Timer own_timer_;
  Timer threshold_timer_;
  ProbeQueue prober_;  // Last member: its callbacks use the others.
};

}  // namespace trestle

#endif  // TRESTLE_WATCH_CERTIFICATE_MONITOR_H_
