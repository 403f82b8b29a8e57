#include "trestle/watch/certificate_monitor.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/watch/monitor_fixture.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::UnorderedElementsAre;

TEST_F(CertificateMonitorTest, AJumpOfTheClockSilencesNoThreshold) {
  auto store =
      *CertificateStore::Create({pki_.IssueCredential(Leaf("a.test", 40 * kDay))}, loop_.Now());
  MonitorTargets targets;
  targets.own = {store};
  ASSERT_TRUE(Start().Watch(targets).ok());
  loop_.SetClock(loop_.Now() + 60 * kDay);
  loop_.RunFor(kDay);
  EXPECT_THAT(log_.Take(), ElementsAre("a.test expired"));
  loop_.SetClock(loop_.Now() - 60 * kDay);
  loop_.RunFor(12 * kDay);
  EXPECT_THAT(log_.Take(), ElementsAre("a.test will_fail 30"));
}

TEST_F(CertificateMonitorTest, AJumpOfTheClockHidesNoSighting) {
  MonitorTargets targets;
  targets.seen = {"back.test"};
  ASSERT_TRUE(Start().Watch(targets).ok());
  loop_.SetClock(loop_.Now() + 30 * kDay);
  monitor_->OnSighting(
      Sighting("back.test", 1, pki_.IssueCredential(Leaf("back.test", 60 * kDay))));
  loop_.SetClock(loop_.Now() - 30 * kDay);
  const auto renewed = pki_.IssueCredential(Leaf("back.test", 90 * kDay));
  monitor_->OnSighting(Sighting("back.test", 1, renewed));
  EXPECT_EQ(Only().chain.front().serial, renewed->chain().front().serial);
}

TEST_F(CertificateMonitorTest, EachThresholdIsReportedOnceAndInTime) {
  const absl::Time end = loop_.Now() + 40 * kDay;
  auto store =
      *CertificateStore::Create({pki_.IssueCredential(Leaf("a.test", 40 * kDay))}, loop_.Now());
  MonitorTargets targets;
  targets.own = {store};
  ASSERT_TRUE(Start().Watch(targets).ok());
  EXPECT_THAT(log_.events, IsEmpty());
  EXPECT_EQ(Only().source, CertificateSource::kOwn);
  EXPECT_EQ(Only().leg, Leg::kFront);
  loop_.RunFor(60 * kDay);
  std::vector<absl::Duration> left;
  for (const CertificateEvent& event : log_.events) left.push_back(end - event.when);
  EXPECT_THAT(left,
              ElementsAre(30 * kDay, 14 * kDay, 7 * kDay, 3 * kDay, kDay, absl::ZeroDuration()));
  EXPECT_EQ(log_.events[0].detail,
            "verification will fail in 30 days: leaf \"CN=a.test\" expires on 2026-02-10");
  EXPECT_EQ(log_.events[5].detail, "verification fails: leaf \"CN=a.test\" expires on 2026-02-10");
  EXPECT_THAT(log_.Take(),
              ElementsAre("a.test will_fail 30", "a.test will_fail 14", "a.test will_fail 7",
                          "a.test will_fail 3", "a.test will_fail 1", "a.test expired"));
}

TEST_F(CertificateMonitorTest, AShortLifetimeIsReportedInItsLastThird) {
  LeafSpec leaf = Leaf("a.test", 6 * kDay);
  leaf.not_before = loop_.Now();
  const absl::Time end = loop_.Now() + 6 * kDay;
  auto store = *CertificateStore::Create({pki_.IssueCredential(leaf)}, loop_.Now());
  MonitorTargets targets;
  targets.own = {store};
  ASSERT_TRUE(Start().Watch(targets).ok());
  // A timely renewal of a six-day certificate comes after four days.
  loop_.RunFor(4 * kDay - absl::Hours(1));
  EXPECT_THAT(log_.events, IsEmpty());
  LeafSpec next = Leaf("a.test", 6 * kDay);
  next.not_before = loop_.Now() - absl::Hours(1);
  ASSERT_TRUE(store->Replace({pki_.IssueCredential(next)}, loop_.Now()).ok());
  loop_.RunFor(absl::Minutes(2));
  EXPECT_THAT(log_.Take(), ElementsAre("a.test key_changed", "a.test renewed"));
  loop_.RunFor(end + 4 * kDay - loop_.Now());
  std::vector<Severity> severities;
  for (const CertificateEvent& event : log_.events) severities.push_back(event.severity);
  EXPECT_THAT(severities, ElementsAre(Severity::kWarning, Severity::kWarning, Severity::kCritical,
                                      Severity::kCritical));
  EXPECT_THAT(log_.Take(), ElementsAre("a.test will_fail 3", "a.test will_fail 1",
                                       "a.test will_fail 1", "a.test expired"));
}

// The lifetimes of public certificates, before and after 2029, and of short-lived ones.
TEST_F(CertificateMonitorTest, AlarmsComeByDaysAndByPartOfTheLifetime) {
  const struct {
    int days;
    absl::Duration warning;
    absl::Duration critical;
  } rows[] = {
      {6, 2 * kDay, 0.6 * kDay}, {47, kDay * 47 / 3, 4.7 * kDay}, {398, 30 * kDay, 7 * kDay}};
  for (const auto& row : rows) {
    LeafSpec leaf = Leaf("a.test", row.days * kDay);
    leaf.not_before = loop_.Now();
    const absl::Time end = leaf.not_after;
    MonitorTargets targets;
    targets.own = {*CertificateStore::Create({pki_.IssueCredential(leaf)}, loop_.Now())};
    CertificateMonitorOptions options;
    options.threshold_days = {};
    ASSERT_TRUE(Start(options).Watch(targets).ok());
    EXPECT_EQ(SeverityOf(Only(), loop_.Now()), Severity::kFine);
    EXPECT_EQ(Only().warning_time, end - row.warning);
    EXPECT_EQ(Only().critical_time, end - row.critical);
    loop_.RunFor(row.days * kDay + absl::Minutes(1));
    ASSERT_EQ(log_.events.size(), 3u) << row.days;
    EXPECT_EQ(log_.events[0].severity, Severity::kWarning);
    EXPECT_EQ(end - log_.events[0].when, row.warning);
    EXPECT_EQ(log_.events[1].severity, Severity::kCritical);
    EXPECT_EQ(end - log_.events[1].when, row.critical);
    EXPECT_EQ(SeverityOf(Only(), end - row.warning), Severity::kWarning);
    EXPECT_EQ(SeverityOf(Only(), end), Severity::kCritical);
    log_.Take();
  }
}

TEST_F(CertificateMonitorTest, AThresholdBeforeTheWarningIsANote) {
  CertificateMonitorOptions options;
  options.alarms.warn_within = 10 * kDay;
  MonitorTargets targets;
  targets.own = {
      *CertificateStore::Create({pki_.IssueCredential(Leaf("a.test", 29 * kDay))}, loop_.Now())};
  ASSERT_TRUE(Start(options).Watch(targets).ok());
  ASSERT_EQ(log_.events.size(), 1u);
  EXPECT_EQ(log_.events[0].severity, Severity::kNote);
  loop_.RunFor(20 * kDay);
  EXPECT_EQ(log_.events.back().severity, Severity::kWarning);
  EXPECT_THAT(log_.Take(),
              ElementsAre("a.test will_fail 30", "a.test will_fail 14", "a.test will_fail 10"));
}

TEST_F(CertificateMonitorTest, AChainFirstSeenLateIsReportedOnce) {
  auto store = *CertificateStore::Create(
      {pki_.IssueCredential(Leaf("a.test", 9 * kDay)), pki_.IssueCredential(Leaf("b.test", -kDay))},
      loop_.Now());
  MonitorTargets targets;
  targets.own = {store};
  ASSERT_TRUE(Start().Watch(targets).ok());
  EXPECT_THAT(log_.Take(), UnorderedElementsAre("a.test will_fail 14", "b.test expired"));
}

TEST_F(CertificateMonitorTest, AProbeFindsTheIntermediateAndSeesItRenewed) {
  const absl::Time end = loop_.Now() + 9 * kDay;
  const TestPki old_ca(pki_, AuthoritySpec{"Old Internal CA", absl::InfinitePast(), end});
  const TestPki new_ca(pki_, AuthoritySpec{"New Internal CA"});
  ProbedServer server(loop_, dialer_, At(1),
                      ConfigFor(old_ca.Issue(Leaf("back.test", 300 * kDay))));
  CertificateMonitorOptions options;
  options.probe_interval = absl::Minutes(10);
  MonitorTargets targets;
  targets.probed = {Probed(1, "back.test")};
  ASSERT_TRUE(Start(options).Watch(targets).ok());
  EXPECT_EQ(Only().updated, absl::InfinitePast());
  loop_.RunFor(absl::Seconds(11));
  EXPECT_TRUE(Only().status.ok()) << Only().status;
  ASSERT_TRUE(Only().failure.has_value());
  EXPECT_EQ(Only().failure->part, ChainPart::kIntermediate);
  EXPECT_EQ(Only().failure->when, end);
  EXPECT_EQ(Only().chain.size(), 3u);
  ASSERT_EQ(log_.events.size(), 1u);
  EXPECT_THAT(log_.events[0].detail, HasSubstr("intermediate \"CN=Old Internal CA\" expires on "));
  EXPECT_THAT(log_.Take(), ElementsAre("back.test will_fail 14"));

  server.Replace(ConfigFor(new_ca.Issue(Leaf("back.test", 300 * kDay))));
  loop_.RunFor(absl::Minutes(10) + absl::Seconds(1));
  EXPECT_THAT(log_.Take(), ElementsAre("back.test issuer_changed", "back.test key_changed",
                                       "back.test renewed"));
  EXPECT_GT(Only().failure->when, end + 100 * kDay);
}

TEST_F(CertificateMonitorTest, AnOutageIsReportedOnceAndSoIsItsEnd) {
  dialer_.Refuse(At(1), MakeError(ErrorCode::kTransport, Phase::kDial, "nobody is there"));
  CertificateMonitorOptions options;
  options.probe_interval = absl::Minutes(1);
  MonitorTargets targets;
  targets.probed = {Probed(1, "back.test")};
  ASSERT_TRUE(Start(options).Watch(targets).ok());
  loop_.RunFor(absl::Minutes(30));
  ASSERT_EQ(log_.events.size(), 1u);
  EXPECT_EQ(log_.events[0].detail, "nobody is there");
  EXPECT_THAT(log_.Take(), ElementsAre("back.test failing"));

  ProbedServer server(loop_, dialer_, At(1), ConfigFor(pki_.Issue(Leaf("back.test", 90 * kDay))));
  loop_.RunFor(absl::Minutes(30));
  EXPECT_THAT(log_.Take(), ElementsAre("back.test recovered"));

  // A rejected chain counts as failing, and the chain stays known.
  const TestPki stranger(loop_.Now(), "Stranger");
  server.Replace(ConfigFor(stranger.Issue(Leaf("back.test", 90 * kDay))));
  loop_.RunFor(absl::Minutes(2));
  EXPECT_THAT(log_.Take(), IsSupersetOf({"back.test failing", "back.test issuer_changed"}));
  EXPECT_EQ(GetError(Only().status)->code, ErrorCode::kCertificateUntrusted);
}

TEST_F(CertificateMonitorTest, SightingsOfConfiguredNamesCount) {
  MonitorTargets targets;
  targets.seen = {"z.test", "back.test"};
  CertificateMonitorOptions options;
  options.max_endpoints_per_name = 2;
  ASSERT_TRUE(Start(options).Watch(targets).ok());
  const TestPki intermediate(
      pki_, AuthoritySpec{"Internal CA", absl::InfinitePast(), loop_.Now() + 2 * kDay});
  const auto credential = intermediate.IssueCredential(Leaf("back.test", 90 * kDay));
  monitor_->OnSighting(Sighting("unknown.test", 1, credential));
  EXPECT_THAT(monitor_->Snapshot(), IsEmpty());
  for (int i = 0; i < 3; ++i) monitor_->OnSighting(Sighting("back.test", 1, credential));
  EXPECT_THAT(log_.Take(), ElementsAre("back.test will_fail 3"));
  EXPECT_EQ(Only().failure->subject, "CN=Internal CA");
  EXPECT_EQ(Only().failure->part, ChainPart::kIntermediate);
  // Backends of one name are tracked separately, up to the limit.
  for (int host = 2; host < 9; ++host) {
    monitor_->OnSighting(Sighting("back.test", host, credential));
  }
  EXPECT_EQ(monitor_->Snapshot().size(), 2u);
  loop_.RunFor(3 * kDay);
  EXPECT_THAT(log_.Take(),
              ElementsAre("back.test will_fail 3", "back.test will_fail 1", "back.test will_fail 1",
                          "back.test expired", "back.test expired"));
  // Sightings come from several threads, in any order.
  CertificateSighting late =
      Sighting("back.test", 1, pki_.IssueCredential(Leaf("back.test", kDay)));
  late.when -= 4 * kDay;
  monitor_->OnSighting(late);
  EXPECT_THAT(log_.Take(), IsEmpty());
  CertificateSighting refused = Sighting("back.test", 1, credential);
  refused.error =
      ToError(MakeError(ErrorCode::kCertificateExpired, Leg::kBack, Phase::kHandshake, "expired"));
  monitor_->OnSighting(refused);
  EXPECT_THAT(log_.Take(), ElementsAre("back.test failing"));
}

// Without a probe, a failure would be reported until the next connection.
TEST_F(CertificateMonitorTest, AProbeAlsoSeesTheRenewalOfABackendWithoutTraffic) {
  const absl::Time end = loop_.Now() + 9 * kDay;
  const TestPki old_ca(pki_, AuthoritySpec{"Internal CA", absl::InfinitePast(), end});
  const auto old_pair = old_ca.Issue(Leaf("back.test", 300 * kDay));
  ProbedServer server(loop_, dialer_, At(1), ConfigFor(old_pair));
  CertificateMonitorOptions options;
  options.probe_interval = absl::Minutes(10);
  MonitorTargets targets;
  targets.probed = {Probed(1, "back.test")};
  targets.seen = {"back.test"};
  ASSERT_TRUE(Start(options).Watch(targets).ok());
  const auto old_credential = *Credential::FromPem(old_pair.chain, old_pair.key);
  monitor_->OnSighting(Sighting("back.test", 1, old_credential));
  loop_.RunFor(absl::Minutes(1));
  EXPECT_THAT(log_.Take(), ElementsAre("back.test will_fail 14", "back.test will_fail 14"));
  CertificateSighting refused = Sighting("back.test", 1, old_credential);
  refused.error =
      ToError(MakeError(ErrorCode::kCertificateExpired, Leg::kBack, Phase::kHandshake, "expired"));
  monitor_->OnSighting(refused);
  // A chain that connections reject stays rejected, even if probes accept it.
  loop_.RunFor(absl::Minutes(20));
  EXPECT_THAT(log_.Take(), ElementsAre("back.test failing"));

  const TestPki new_ca(pki_, AuthoritySpec{"Internal CA"});
  const auto new_pair = new_ca.Issue(Leaf("back.test", 300 * kDay));
  server.Replace(ConfigFor(new_pair));
  loop_.RunFor(options.probe_interval + absl::Seconds(1));
  for (const CertificateStatus& status : monitor_->Snapshot()) {
    EXPECT_TRUE(status.status.ok()) << status.status;
    EXPECT_GT(status.failure->when, end + 100 * kDay);
  }
  EXPECT_EQ(monitor_->Snapshot()[0].last_error.message(), refused.error->ToString());
  EXPECT_THAT(log_.Take(),
              ElementsAre("back.test key_changed", "back.test renewed", "back.test recovered",
                          "back.test key_changed", "back.test renewed"));
  monitor_->OnSighting(
      Sighting("back.test", 1, *Credential::FromPem(new_pair.chain, new_pair.key)));
  EXPECT_THAT(log_.Take(), IsEmpty());
}

TEST_F(CertificateMonitorTest, AnExpiredIntermediateIsNoRenewal) {
  const TestPki old_ca(pki_,
                       AuthoritySpec{"Internal CA", absl::InfinitePast(), loop_.Now() + 9 * kDay});
  ProbedServer server(loop_, dialer_, At(1),
                      ConfigFor(old_ca.Issue(Leaf("back.test", 300 * kDay))));
  MonitorTargets targets;
  targets.probed = {Probed(1, "back.test")};
  ASSERT_TRUE(Start().Watch(targets).ok());
  loop_.RunFor(20 * kDay);
  EXPECT_THAT(log_.Take(), ElementsAre("back.test will_fail 14", "back.test will_fail 7",
                                       "back.test will_fail 3", "back.test will_fail 1",
                                       "back.test expired", "back.test failing"));
  EXPECT_EQ(Only().failure->part, ChainPart::kIntermediate);
  const TestPki new_ca(pki_, AuthoritySpec{"Internal CA"});
  server.Replace(ConfigFor(new_ca.Issue(Leaf("back.test", 300 * kDay))));
  loop_.RunFor(absl::Hours(1));
  EXPECT_THAT(log_.Take(), ElementsAre("back.test recovered", "back.test key_changed",
                                       "back.test renewed_late"));
  EXPECT_EQ(GetError(Only().last_error)->code, ErrorCode::kCertificateExpired);
  EXPECT_LT(Only().last_error_time, Only().updated);
}

// Several machines share one address, and some have renewed already.
TEST_F(CertificateMonitorTest, AlternatingChainsAreReportedOnce) {
  const auto old_config = ConfigFor(pki_.Issue(Leaf("back.test", 9 * kDay)));
  const auto new_config = ConfigFor(pki_.Issue(Leaf("back.test", 90 * kDay)));
  ProbedServer server(loop_, dialer_, At(1), old_config);
  CertificateMonitorOptions options;
  options.probe_interval = absl::Hours(1);
  MonitorTargets targets;
  targets.probed = {Probed(1, "back.test")};
  ASSERT_TRUE(Start(options).Watch(targets).ok());
  for (int i = 0; i < 20; ++i) {
    server.Replace(i % 2 == 0 ? old_config : new_config);
    loop_.RunFor(options.probe_interval);
  }
  EXPECT_THAT(log_.Take(),
              ElementsAre("back.test will_fail 14", "back.test key_changed", "back.test renewed"));
}

TEST_F(CertificateMonitorTest, ReloadsDontPileUpProbesOfSilentLegs) {
  dialer_.Refuse(At(1), absl::OkStatus(), absl::InfiniteDuration());
  CertificateMonitorOptions options;
  options.max_concurrent_probes = 2;
  options.first_probe_within = absl::Milliseconds(10);
  Start(options);
  for (int i = 0; i < 100; ++i) {
    config_ = ConfigOf();
    MonitorTargets targets;
    for (int leg = 0; leg < 4; ++leg) targets.probed.push_back(Probed(1, absl::StrCat("n", leg)));
    ASSERT_TRUE(monitor_->Watch(targets).ok());
    loop_.RunFor(absl::Milliseconds(50));
  }
  // Four legs, two at a time, ten seconds each; then again with the latest CAs.
  loop_.RunFor(absl::Seconds(45));
  EXPECT_LE(dialer_.dials(), 10u);
  EXPECT_THAT(log_.Take(),
              UnorderedElementsAre("n0 failing", "n1 failing", "n2 failing", "n3 failing"));
}

TEST_F(CertificateMonitorTest, AReloadRepeatsNoEventAndForgetsNone) {
  ProbedServer one(loop_, dialer_, At(1), ConfigFor(pki_.Issue(Leaf("one.test", 10 * kDay))));
  ProbedServer two(loop_, dialer_, At(2), ConfigFor(pki_.Issue(Leaf("two.test", 10 * kDay))));
  MonitorTargets targets;
  targets.probed = {Probed(1, "one.test"), Probed(2, "two.test")};
  targets.seen = {"seen.test"};
  ASSERT_TRUE(Start().Watch(targets).ok());
  monitor_->OnSighting(Sighting("seen.test", 3, pki_.IssueCredential(Leaf("seen.test", 5 * kDay))));
  loop_.RunFor(absl::Minutes(1));
  EXPECT_THAT(log_.Take(), UnorderedElementsAre("one.test will_fail 14", "two.test will_fail 14",
                                                "seen.test will_fail 7"));
  // The same targets with another config, as after a reload of CAs; two.test is gone.
  config_ = ConfigOf();
  targets.probed = {Probed(1, "one.test")};
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(monitor_->Watch(targets).ok());
    loop_.RunFor(absl::Minutes(1));
  }
  EXPECT_THAT(log_.Take(), IsEmpty());
  EXPECT_EQ(monitor_->Snapshot().size(), 2u);
  loop_.RunFor(3 * kDay + absl::Hours(1));
  EXPECT_THAT(log_.Take(), UnorderedElementsAre("one.test will_fail 7", "seen.test will_fail 3"));
  ASSERT_TRUE(monitor_->Watch({}).ok());
  EXPECT_THAT(monitor_->Snapshot(), IsEmpty());
  loop_.RunFor(30 * kDay);
  EXPECT_THAT(log_.Take(), IsEmpty());
}

TEST_F(CertificateMonitorTest, ProbesComeOnceAnIntervalAndOutOfStep) {
  std::vector<std::unique_ptr<ProbedServer>> servers;
  MonitorTargets targets;
  const auto config = ConfigFor(pki_.Issue(Leaf("a.test", 90 * kDay)));
  for (int host = 1; host <= 40; ++host) {
    servers.push_back(std::make_unique<ProbedServer>(loop_, dialer_, At(host), config));
    targets.probed.push_back(Probed(host, "a.test"));
  }
  CertificateMonitorOptions options;
  options.probe_interval = absl::Hours(1);
  ASSERT_TRUE(Start(options).Watch(targets).ok());
  loop_.RunFor(absl::Seconds(11));
  EXPECT_EQ(dialer_.dials(), 40u);
  // An hour is at most 1/0.9 intervals, and at least one.
  loop_.RunFor(absl::Minutes(53));
  EXPECT_EQ(dialer_.dials(), 40u);
  loop_.RunFor(absl::Minutes(7));
  EXPECT_EQ(dialer_.dials(), 80u);
  loop_.RunFor(absl::Hours(20));
  std::map<size_t, int> counts;
  for (const auto& server : servers) {
    EXPECT_GE(server->accepted(), 21u);
    EXPECT_LE(server->accepted(), 25u);
    ++counts[server->accepted()];
  }
}

TEST_F(CertificateMonitorTest, AThousandLegsMissNoEventAndDoubleNone) {
  constexpr int kLegs = 1000;
  std::vector<std::unique_ptr<ProbedServer>> servers;
  MonitorTargets targets;
  // Ends 20 to 29 days from now, ten certificates of a hundred names each.
  for (int host = 1; host <= 10; ++host) {
    LeafSpec leaf = Leaf(absl::StrCat("*.h", host, ".test"), (19 + host) * kDay);
    servers.push_back(
        std::make_unique<ProbedServer>(loop_, dialer_, At(host), ConfigFor(pki_.Issue(leaf))));
  }
  for (int i = 0; i < kLegs; ++i) {
    const int host = 1 + i % 10;
    targets.probed.push_back(Probed(host, absl::StrCat("n", i, ".h", host, ".test")));
  }
  CertificateMonitorOptions options;
  options.probe_interval = 15 * kDay;
  options.first_probe_within = absl::Hours(1);
  options.max_concurrent_probes = 20;
  ASSERT_TRUE(Start(options).Watch(targets).ok());
  size_t most_open = 0;
  for (int hour = 0; hour < 31 * 24; ++hour) {
    loop_.RunFor(absl::Hours(1));
    size_t open = 0;
    for (const auto& server : servers) open += server->open();
    most_open = std::max(most_open, open);
  }
  EXPECT_LE(most_open, 20u);
  std::map<std::string, std::vector<std::string>> by_leg;
  for (const CertificateEvent& event : log_.events) {
    by_leg[event.status.name].push_back(absl::StrCat(CertificateEventName(event.kind), event.days));
  }
  ASSERT_EQ(by_leg.size(), static_cast<size_t>(kLegs));
  for (auto& [name, events] : by_leg) {
    // A probe after the end is refused.
    events.erase(std::remove(events.begin(), events.end(), "failing0"), events.end());
    EXPECT_THAT(events, ElementsAre("will_fail30", "will_fail14", "will_fail7", "will_fail3",
                                    "will_fail1", "expired0"))
        << name;
  }
}

TEST_F(CertificateMonitorTest, DuplicatesAreProbedOnceAndVariantsEach) {
  ProbedServer server(loop_, dialer_, At(1), ConfigFor(pki_.Issue(Leaf("a.test", 90 * kDay))));
  MonitorTargets targets;
  targets.probed = {Probed(1, "a.test"), Probed(1, "a.test"), Probed(1, "a.test")};
  targets.probed[2].target.verify_name = "b.test";
  CertificateMonitor& monitor = Start();
  ASSERT_TRUE(monitor.Watch(targets).ok());
  loop_.RunFor(absl::Minutes(1));
  const std::vector<CertificateStatus> known = monitor.Snapshot();
  ASSERT_EQ(known.size(), 2u);
  EXPECT_NE(known[0].status.ok(), known[1].status.ok()) << "a.test is good, b.test a mismatch";
}

TEST_F(CertificateMonitorTest, OptionsAndTargetsMustBeUsable) {
  MonitorTargets nobody;
  nobody.probed = {Probed(1, "a.test")};
  nobody.probed[0].target.endpoint = *Endpoint::Parse("127.0.0.1:0");
  EXPECT_EQ(CodeOf(Start().Watch(nobody)), ErrorCode::kConfiguration);
  MonitorTargets two_configs;
  two_configs.probed = {Probed(1, "a.test"), Probed(1, "a.test")};
  two_configs.probed[1].config = *LegProbeConfig::Create(two_configs.probed[0].config->options());
  EXPECT_EQ(CodeOf(Start().Watch(two_configs)), ErrorCode::kConfiguration);
  MonitorTargets no_config;
  no_config.probed.emplace_back();
  EXPECT_EQ(CodeOf(Start().Watch(no_config)), ErrorCode::kConfiguration);
  MonitorTargets no_store;
  no_store.own.emplace_back();
  EXPECT_EQ(CodeOf(Start().Watch(no_store)), ErrorCode::kConfiguration);
  CertificateMonitorOptions options;
  options.threshold_days = {7, 7};
  EXPECT_EQ(CodeOf(Start(options).Watch({})), ErrorCode::kConfiguration);
  options.threshold_days = {0};
  EXPECT_EQ(CodeOf(Start(options).Watch({})), ErrorCode::kConfiguration);
  options = {};
  options.alarms.warn_part = 2;
  EXPECT_EQ(CodeOf(Start(options).Watch({})), ErrorCode::kConfiguration);
  options = {};
  options.probe_interval = absl::ZeroDuration();
  EXPECT_EQ(CodeOf(Start(options).Watch({})), ErrorCode::kConfiguration);
  EXPECT_TRUE(Start().Watch({}).ok());
}

TEST(CertificateEventNamesTest, AreSnakeCase) {
  using Kind = CertificateEvent::Kind;
  EXPECT_EQ(CertificateEventName(Kind::kWillFail), "will_fail");
  EXPECT_EQ(CertificateEventName(Kind::kRenewedLate), "renewed_late");
  EXPECT_EQ(CertificateEventName(Kind::kRecovered), "recovered");
  EXPECT_EQ(CertificateEventName(Kind::kRenewalAdvised), "renewal_advised");
  EXPECT_EQ(CertificateEventName(Kind::kRenewalOverdue), "renewal_overdue");
  EXPECT_EQ(EnumName(CertificateSource::kOwn), "own");
  EXPECT_EQ(EnumName(CertificateSource::kSeen), "seen");
  EXPECT_EQ(EnumName(CertificateSource::kProbe), "probe");
}

}  // namespace
}  // namespace trestle::testing
