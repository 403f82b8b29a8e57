// The advice of CAs (RFC 9773) under the monitor: own certificates, and those of probed servers.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/watch/monitor_fixture.h"
#include "trestle/pki/renewal_info.h"
#include "trestle/watch/certificate_monitor.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Answers as a table does.
class Advice final : public RenewalInfoSource {
 public:
  std::optional<RenewalInfo> Find(const std::string& renewal_id) override {
    const auto found = by_id.find(renewal_id);
    return found == by_id.end() ? std::nullopt : std::optional(found->second);
  }

  std::map<std::string, RenewalInfo> by_id;
};

class RenewalAdviceTest : public CertificateMonitorTest {
 protected:
  LeafSpec WithKeyId(const std::string& name, absl::Duration left) const {
    LeafSpec leaf = Leaf(name, left);
    leaf.authority_key_id = true;
    return leaf;
  }

  void Watch(const std::shared_ptr<CertificateStore>& store) {
    CertificateMonitorOptions options;
    options.renewal_info = &advice_;
    MonitorTargets targets;
    targets.own = {store};
    ASSERT_TRUE(Start(options).Watch(targets).ok());
  }

  Advice advice_;
};

TEST_F(RenewalAdviceTest, IsShownOnceKnownAndLateOnceItsTimeHasPassed) {
  auto store = *CertificateStore::Create({pki_.IssueCredential(WithKeyId("a.test", 90 * kDay))},
                                         loop_.Now());
  Watch(store);
  EXPECT_FALSE(Only().renewal_id.empty());
  EXPECT_FALSE(Only().renewal.has_value());
  EXPECT_THAT(log_.Take(), IsEmpty());

  const absl::Time start = loop_.Now() + 2 * kDay;
  advice_.by_id[Only().renewal_id] = {start, start + kDay, "https://ca.test/why"};
  loop_.RunFor(absl::Minutes(2));
  ASSERT_EQ(log_.events.size(), 1u);
  EXPECT_EQ(log_.events[0].severity, Severity::kNote);
  EXPECT_EQ(log_.events[0].detail,
            "the CA advises to renew between 2026-01-03 00:00 UTC and 2026-01-04 00:00 UTC, see "
            "https://ca.test/why");
  EXPECT_THAT(log_.Take(), ElementsAre("a.test renewal_advised"));
  EXPECT_EQ(Only().renewal->start, start);
  EXPECT_EQ(SeverityOf(Only(), start), Severity::kFine);

  loop_.RunFor(4 * kDay);
  ASSERT_EQ(log_.events.size(), 1u);
  EXPECT_EQ(log_.events[0].when, start + kDay);
  EXPECT_EQ(log_.events[0].severity, Severity::kWarning);
  EXPECT_THAT(log_.events[0].detail, HasSubstr("the renewal is late: the CA advises to renew"));
  EXPECT_THAT(log_.Take(), ElementsAre("a.test renewal_overdue"));
  EXPECT_EQ(SeverityOf(Only(), loop_.Now()), Severity::kWarning);

  ASSERT_TRUE(
      store->Replace({pki_.IssueCredential(WithKeyId("a.test", 180 * kDay))}, loop_.Now()).ok());
  loop_.RunFor(absl::Minutes(2));
  EXPECT_THAT(log_.events.back().detail,
              HasSubstr("; the CA advised to renew before 2026-01-04 00:00 UTC"));
  EXPECT_THAT(log_.Take(), ElementsAre("a.test key_changed", "a.test renewed_late"));
  EXPECT_EQ(SeverityOf(Only(), loop_.Now()), Severity::kFine);
}

TEST_F(RenewalAdviceTest, ARenewalInTimeIsNotLate) {
  auto store = *CertificateStore::Create({pki_.IssueCredential(WithKeyId("a.test", 90 * kDay))},
                                         loop_.Now());
  Watch(store);
  advice_.by_id[Only().renewal_id] = {loop_.Now(), loop_.Now() + 2 * kDay, ""};
  loop_.RunFor(kDay);
  ASSERT_TRUE(
      store->Replace({pki_.IssueCredential(WithKeyId("a.test", 180 * kDay))}, loop_.Now()).ok());
  loop_.RunFor(5 * kDay);
  EXPECT_THAT(log_.Take(),
              ElementsAre("a.test renewal_advised", "a.test key_changed", "a.test renewed"));
}

// A CA that must revoke moves the window into the past.
TEST_F(RenewalAdviceTest, AWindowThatMovesIsReportedAgain) {
  auto store = *CertificateStore::Create({pki_.IssueCredential(WithKeyId("a.test", 90 * kDay))},
                                         loop_.Now());
  Watch(store);
  RenewalInfo& info = advice_.by_id[Only().renewal_id];
  info = {loop_.Now() + 50 * kDay, loop_.Now() + 51 * kDay, ""};
  loop_.RunFor(kDay);
  info = {loop_.Now() - 2 * kDay, loop_.Now() - kDay, ""};
  loop_.RunFor(kDay);
  EXPECT_THAT(log_.Take(), ElementsAre("a.test renewal_advised", "a.test renewal_overdue"));
  advice_.by_id.clear();
  loop_.RunFor(kDay);
  EXPECT_FALSE(Only().renewal.has_value());
  EXPECT_THAT(log_.Take(), IsEmpty());
}

TEST_F(RenewalAdviceTest, IsAlsoForProbedServersButNeedsAnIdentifier) {
  ProbedServer server(loop_, dialer_, At(1),
                      ConfigFor(pki_.Issue(WithKeyId("back.test", 90 * kDay))));
  ProbedServer other(loop_, dialer_, At(2), ConfigFor(pki_.Issue(Leaf("other.test", 90 * kDay))));
  CertificateMonitorOptions options;
  options.renewal_info = &advice_;
  options.probe_interval = absl::Minutes(10);
  MonitorTargets targets;
  targets.probed = {Probed(1, "back.test"), Probed(2, "other.test")};
  ASSERT_TRUE(Start(options).Watch(targets).ok());
  loop_.RunFor(absl::Minutes(1));
  const std::vector<CertificateStatus> all = monitor_->Snapshot();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_FALSE(all[0].renewal_id.empty());
  EXPECT_EQ(all[1].renewal_id, "");
  advice_.by_id[all[0].renewal_id] = {loop_.Now() - 2 * kDay, loop_.Now() - kDay, ""};
  advice_.by_id[""] = advice_.by_id[all[0].renewal_id];
  loop_.RunFor(absl::Minutes(10));
  EXPECT_THAT(log_.Take(), ElementsAre("back.test renewal_overdue"));
}

}  // namespace
}  // namespace trestle::testing
