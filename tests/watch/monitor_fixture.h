// A certificate monitor over servers in memory, and a log of its events.
#ifndef TRESTLE_TESTS_WATCH_MONITOR_FIXTURE_H_
#define TRESTLE_TESTS_WATCH_MONITOR_FIXTURE_H_

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/watch/probe_fixture.h"
#include "trestle/watch/certificate_monitor.h"

namespace trestle::testing {

constexpr absl::Duration kDay = absl::Hours(24);

/// Records events.
class EventLog final : public CertificateListener {
 public:
  void OnCertificateEvent(const CertificateEvent& event) override { events.push_back(event); }

  /// Returns "name kind" or "name will_fail DAYS" of each event, in order, and clears the log.
  std::vector<std::string> Take() {
    std::vector<std::string> texts;
    for (const CertificateEvent& event : events) {
      texts.push_back(absl::StrCat(event.status.name, " ", CertificateEventName(event.kind),
                                   event.days > 0 ? absl::StrCat(" ", event.days) : ""));
    }
    events.clear();
    return texts;
  }

  std::vector<CertificateEvent> events;
};

class CertificateMonitorTest : public ProbeTest {
 protected:
  CertificateMonitor& Start(CertificateMonitorOptions options = {}) {
    return monitor_.emplace(loop_, dialer_, std::move(options), &log_);
  }

  MonitorTargets::Probed Probed(int host, const std::string& name) {
    if (config_ == nullptr) config_ = ConfigOf();
    MonitorTargets::Probed probed;
    probed.name = name;
    probed.config = config_;
    probed.target.endpoint = At(host);
    probed.target.server_name = name;
    return probed;
  }

  CertificateSighting Sighting(const std::string& name, int host,
                               const std::shared_ptr<const Credential>& credential) const {
    CertificateSighting sighting;
    sighting.name = name;
    sighting.endpoint = At(host);
    sighting.when = loop_.Now();
    sighting.chain = ChainInfo({credential->chain().begin(), credential->chain().end()});
    // As verification records it, if the whole chain is needed.
    const CertificateInfo* first =
        std::min_element(credential->chain().begin(), credential->chain().end(),
                         [](const auto& a, const auto& b) { return a.not_after < b.not_after; });
    sighting.chain.NotePathEnd(
        {first->not_after,
         first == credential->chain().begin() ? ChainPart::kLeaf : ChainPart::kIntermediate,
         first->subject});
    return sighting;
  }

  CertificateStatus Only() const {
    const std::vector<CertificateStatus> all = monitor_->Snapshot();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? CertificateStatus() : all.front();
  }

  EventLog log_;
  std::shared_ptr<const LegProbeConfig> config_;
  std::optional<CertificateMonitor> monitor_;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_WATCH_MONITOR_FIXTURE_H_
