// Every hello of the kit in every split through the router. It reaches the backend of its name
// unchanged, and a real TLS server's response comes back. Or it is rejected for too many records.
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/support/tls_answer.h"
#include "tests/tls/ech_pair.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/ech_key_opener.h"
#include "trestle/tls/ech_keys.h"
#include "trestle/wire/client_hello.h"

namespace trestle {
namespace {

using testing::AllKitHellos;
using testing::Flight;
using testing::ForEachSplit;
using testing::KitHello;
using testing::SplitPlan;

constexpr char kDecodeError[] = "\x15\x03\x03\x00\x02\x02\x32";

struct Totals {
  size_t routed = 0;
  size_t refused = 0;
};

class KitRoutingTest : public ::testing::TestWithParam<KitHello> {
 protected:
  explicit KitRoutingTest(std::shared_ptr<EchOpener> ech = nullptr) {
    SniPassthroughRouterOptions options;
    options.ech = std::move(ech);
    options.routes = *RouteTable::Create({{"a.test", exact_.endpoint},
                                          {"*.wild.test", wildcard_.endpoint},
                                          {"", default_.endpoint}});
    router_ = *SniPassthroughRouter::Create(loop_, dialer_, options, &observer_);
  }

  // Returns the backend for a hello of the kit.
  TestBackend& BackendOf(const KitHello& kit) {
    if (kit.server_name.empty()) return default_;
    return kit.server_name == "a.test" ? exact_ : wildcard_;
  }

  void Send(const Flight& flight) {
    client_.reset();
    for (TestBackend* const backend : {&exact_, &wildcard_, &default_}) backend->peers.clear();
    loop_.RunReady();  // Ends the earlier connection.
    observer_.closed.clear();
    client_.emplace(loop_, ConnectTo(*router_, loop_));
    for (const std::string& segment : flight.segments) {
      client_->Send(segment);
      loop_.RunReady();
    }
  }

  void ExpectRefused(const Flight& flight) {
    ASSERT_EQ(client_->received(), absl::string_view(kDecodeError, 7)) << flight.label;
    const size_t reached = exact_.peers.size() + wildcard_.peers.size() + default_.peers.size();
    ASSERT_EQ(reached, 0u) << flight.label;
    client_->End();
    loop_.RunReady();
    ASSERT_EQ(observer_.closed.size(), 1u) << flight.label;
    ASSERT_TRUE(observer_.error().has_value());
    ASSERT_EQ(observer_.error()->code, ErrorCode::kHelloTooLarge);
  }

  void ExpectAnswered(const KitHello& kit, const Flight& flight) {
    ASSERT_EQ(BackendOf(kit).peers.size(), 1u) << flight.label;
    StreamPeer& backend = *BackendOf(kit).peers[0];
    ASSERT_TRUE(backend.received() == absl::StrJoin(flight.segments, "")) << flight.label;
    const TlsAnswerer::Answer answer = server_.To(backend.received());
    ASSERT_FALSE(answer.bytes.empty()) << flight.label;
    const bool alert = kit.name == "no_extensions";  // It offers SHA-1 signatures only.
    ASSERT_EQ(answer.bytes[0], alert ? 21 : 22) << flight.label;
    if (!alert) {
      const std::string name = absl::AsciiStrToLower(answer.server_name);
      ASSERT_EQ(name.substr(0, kit.server_name.size()), kit.server_name) << flight.label;
    }
    backend.Send(answer.bytes);
    loop_.RunReady();
    ASSERT_TRUE(client_->received() == answer.bytes) << flight.label;
  }

  Totals RunAll(const KitHello& kit, const SplitPlan& plan) {
    Totals totals;
    ForEachSplit(kit.message, plan, [&](const Flight& flight) {
      if (HasFatalFailure()) return;
      Send(flight);
      const bool refused = flight.records > HelloLimits().records;
      ++(refused ? totals.refused : totals.routed);
      refused ? ExpectRefused(flight) : ExpectAnswered(kit, flight);
    });
    return totals;
  }

  testing::SimulatedLoop loop_;
  testing::MemoryDialer dialer_{loop_};
  TestBackend exact_{loop_, dialer_, 1};
  TestBackend wildcard_{loop_, dialer_, 2};
  TestBackend default_{loop_, dialer_, 3};
  const TlsAnswerer server_{testing::TestPki(absl::Now()).Issue({{"any.test"}})};
  RecordingObserver observer_;
  std::unique_ptr<SniPassthroughRouter> router_;
  std::optional<StreamPeer> client_;
};

TEST_P(KitRoutingTest, EverySplitReachesItsBackendOrIsRejectedWithTheStatedReason) {
  const KitHello& kit = GetParam();
  SplitPlan plan;
  // The cost of all splits is quadratic in the size; the middle of large hellos adds no new cases.
  plan.every_segment_cut = plan.every_record_cut = kit.message.size() < 4096;
  const Totals totals = RunAll(kit, plan);
  std::cout << kit.name << ": " << totals.routed << " routed and answered, " << totals.refused
            << " refused for their records\n";
  EXPECT_GT(totals.routed, 100u);
}

INSTANTIATE_TEST_SUITE_P(Kit, KitRoutingTest, ::testing::ValuesIn(AllKitHellos("a.test")),
                         [](const auto& info) { return info.param.name; });

class WildcardRoutingTest : public KitRoutingTest {};

TEST_P(WildcardRoutingTest, ReachesTheBackendOfItsWildcard) {
  SplitPlan plan;
  plan.every_segment_cut = plan.every_record_cut = false;
  EXPECT_GT(RunAll(GetParam(), plan).routed, 100u);
}

// The router has a key with the config id of the kit's encrypted hello, which no key decrypts.
class OpeningRoutingTest : public KitRoutingTest {
 protected:
  OpeningRoutingTest()
      : KitRoutingTest(
            *EchKeyOpener::Create(*EchKeys::FromPem(testing::NewEchPair(7, "a.test").pem()))) {}
};

TEST_P(OpeningRoutingTest, ReachesItsBackendUnchanged) {
  SplitPlan plan;
  plan.every_segment_cut = plan.every_record_cut = false;
  plan.random_partitions = 10;
  EXPECT_GT(RunAll(GetParam(), plan).routed, 10u);
}

INSTANTIATE_TEST_SUITE_P(Kit, OpeningRoutingTest, ::testing::ValuesIn(AllKitHellos("a.test")),
                         [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(Kit, WildcardRoutingTest, ::testing::ValuesIn(AllKitHellos("x.wild.test")),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace trestle
