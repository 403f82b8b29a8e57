#include "trestle/watch/probe_queue.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/watch/probe_fixture.h"

namespace trestle::testing {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);

class ProbeQueueTest : public ProbeTest {
 protected:
  LegProbeTarget Target(int host, const std::string& name) const {
    LegProbeTarget target;
    target.endpoint = At(host);
    target.server_name = name;
    return target;
  }
};

TEST_F(ProbeQueueTest, AThousandLegsAreProbedOnceEachWithinTheLimit) {
  constexpr size_t kConcurrent = 50;
  constexpr int kLegs = 1000;
  LeafSpec leaf = Leaf("*.many.test", 30 * kDay);
  std::vector<std::unique_ptr<ProbedServer>> servers;
  const auto config = ConfigFor(pki_.Issue(leaf));
  for (int host = 1; host <= 10; ++host) {
    servers.push_back(std::make_unique<ProbedServer>(loop_, dialer_, At(host), config));
  }
  ProbeQueue prober(loop_, dialer_, kConcurrent);
  const auto probe_config = ConfigOf();
  std::multiset<std::string> reported;
  size_t most_open = 0;
  for (int i = 0; i < kLegs; ++i) {
    prober.Probe(probe_config, Target(1 + i % 10, absl::StrCat("n", i, ".many.test")),
                 [&](ProbeReport report) {
                   EXPECT_TRUE(report.good()) << report.status;
                   reported.insert(report.target.server_name);
                   EXPECT_LE(prober.running(), kConcurrent);
                   size_t open = 0;
                   for (const auto& server : servers) open += server->open();
                   most_open = std::max(most_open, open);
                 });
  }
  EXPECT_EQ(prober.running(), kConcurrent);
  EXPECT_EQ(prober.waiting(), kLegs - kConcurrent);
  loop_.RunFor(absl::Minutes(5));
  EXPECT_EQ(reported.size(), static_cast<size_t>(kLegs));
  for (int i = 0; i < kLegs; ++i) {
    EXPECT_EQ(reported.count(absl::StrCat("n", i, ".many.test")), 1u) << i;
  }
  EXPECT_EQ(prober.running(), 0u);
  EXPECT_EQ(prober.waiting(), 0u);
  // A server detects the end of a connection a moment after the probe's callback.
  EXPECT_LE(most_open, 2 * kConcurrent);
  EXPECT_EQ(dialer_.dials(), static_cast<size_t>(kLegs));
  EXPECT_EQ(loop_.buffers().lent_blocks(), 0u);
}

// Over links of 20 ms, as between sites.
TEST_F(ProbeQueueTest, ConcurrentProbesDivideTheTotalTime) {
  MemoryLink link;
  link.latency = absl::Milliseconds(20);
  ProbedServer server(loop_, dialer_, At(1), ConfigFor(pki_.Issue(Leaf("a.test", kDay))), link);
  const auto config = ConfigOf();
  constexpr int kLegs = 1000;
  const auto time_for = [&](size_t concurrent) {
    ProbeQueue prober(loop_, dialer_, concurrent);
    const absl::Time start = loop_.Now();
    absl::Time end;
    int done = 0;
    for (int i = 0; i < kLegs; ++i) {
      prober.Probe(config, Target(1, "a.test"), [&](ProbeReport report) {
        EXPECT_TRUE(report.good()) << report.status;
        ++done;
        end = loop_.Now();
      });
    }
    loop_.RunFor(absl::Minutes(5));
    EXPECT_EQ(done, kLegs);
    return end - start;
  };
  const absl::Duration serial = time_for(1);
  const absl::Duration together = time_for(50);
  // A dial, two round trips and the ticket.
  EXPECT_GE(serial, kLegs * absl::Milliseconds(80));
  EXPECT_LE(together, serial / 40) << "serial " << serial << ", 50 at a time " << together;
  RecordProperty("serial", absl::FormatDuration(serial));
  RecordProperty("together", absl::FormatDuration(together));
}

TEST_F(ProbeQueueTest, DeadLegsBlockOnlyTheirOwnPlaces) {
  ProbedServer server(loop_, dialer_, At(1), ConfigFor(pki_.Issue(Leaf("a.test", kDay))));
  dialer_.Refuse(At(2), absl::OkStatus(), absl::InfiniteDuration());
  ProbeQueue prober(loop_, dialer_, 2);
  const auto config = ConfigOf();
  int good = 0;
  int failed = 0;
  for (int i = 0; i < 20; ++i) {
    prober.Probe(config, Target(i == 0 ? 2 : 1, "a.test"),
                 [&](ProbeReport report) { ++(report.good() ? good : failed); });
  }
  // The dead leg occupies one of two places until its dial timeout.
  loop_.RunFor(absl::Seconds(9));
  EXPECT_EQ(failed, 0);
  EXPECT_GE(good, 10);
  loop_.RunFor(absl::Seconds(30));
  EXPECT_EQ(good, 19);
  EXPECT_EQ(failed, 1);
}

TEST_F(ProbeQueueTest, ACallbackMayRequestAnotherProbe) {
  ProbedServer server(loop_, dialer_, At(1), ConfigFor(pki_.Issue(Leaf("a.test", kDay))));
  ProbeQueue prober(loop_, dialer_, 0);  // Counts as one.
  const auto config = ConfigOf();
  int done = 0;
  prober.Probe(config, Target(1, "a.test"), [&](ProbeReport) {
    ++done;
    prober.Probe(config, Target(1, "a.test"), [&](ProbeReport) { ++done; });
  });
  loop_.RunFor(absl::Seconds(5));
  EXPECT_EQ(done, 2);
}

TEST_F(ProbeQueueTest, DestructionCancelsProbes) {
  ProbedServer server(loop_, dialer_, At(1), ConfigFor(pki_.Issue(Leaf("a.test", kDay))));
  {
    ProbeQueue prober(loop_, dialer_, 1);
    for (int i = 0; i < 3; ++i) {
      prober.Probe(ConfigOf(), Target(1, "a.test"), [](ProbeReport) { FAIL(); });
    }
    loop_.RunFor(absl::Microseconds(500));
  }
  loop_.RunFor(absl::Seconds(5));
}

}  // namespace
}  // namespace trestle::testing
