// The suite detects faults: each broken transport, scheduler or dialer fails the case named for its
// fault. Transports that only pass calls on fail none.

#include "tests/conformance/broken.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "gtest/gtest-spi.h"
#include "gtest/gtest.h"
#include "tests/conformance/filter_transport.h"
#include "tests/conformance/hosts.h"
#include "trestle/testing/transport_conformance.h"

namespace trestle::testing {
namespace {

constexpr uint64_t kSeeds = 20;

using WrapFunction = std::unique_ptr<Transport> (*)(std::unique_ptr<Transport>, SimulatedLoop&);

class BrokenTransportHost final : public WrappingHost {
 public:
  BrokenTransportHost(uint64_t seed, WrapFunction wrap)
      : BrokenTransportHost(std::make_unique<MemoryHost>(seed), wrap) {}

 private:
  BrokenTransportHost(std::unique_ptr<MemoryHost> host, WrapFunction wrap)
      : WrappingHost(std::move(host)),
        loop_(static_cast<MemoryHost&>(inner()).loop()),
        wrap_(wrap) {}

  void Wrap(std::unique_ptr<Transport> transport, bool /*dialed*/, Accept done) override {
    done(wrap_(std::move(transport), loop_));
  }

  SimulatedLoop& loop_;
  const WrapFunction wrap_;
};

const ConformanceCase* FindCase(const std::string& name) {
  for (const ConformanceCase& each : TransportConformanceCases()) {
    if (name == each.name) return &each;
  }
  return nullptr;
}

// Runs a case with several seeds until it fails. Returns the first failure, empty for none.
std::string FailureOf(const ConformanceCase& tested, ConformanceHostFactory new_host) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    ::testing::TestPartResultArray results;
    {
      const ::testing::ScopedFakeTestPartResultReporter reporter(
          ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
      tested.run(new_host, seed);
    }
    for (int i = 0; i < results.size(); ++i) {
      if (results.GetTestPartResult(i).failed()) return results.GetTestPartResult(i).message();
    }
  }
  return "";
}

std::map<std::string, ConformanceHostFactory> AllBroken() {
  std::map<std::string, ConformanceHostFactory> broken;
  for (const auto some : {BrokenCallbacks(), BrokenBytes(), BrokenEnds()}) {
    for (const BrokenTransport& each : some) {
      broken[each.failing_case] = [wrap = each.wrap](uint64_t seed) {
        return std::make_unique<BrokenTransportHost>(seed, wrap);
      };
    }
  }
  for (const auto some : {BrokenSchedulers(), BrokenDialers()}) {
    for (const BrokenHost& each : some) broken[each.failing_case] = each.make;
  }
  return broken;
}

TEST(BrokenTest, EachFaultFailsItsCase) {
  for (auto& [name, new_host] : AllBroken()) {
    const ConformanceCase* const tested = FindCase(name);
    ASSERT_NE(tested, nullptr) << name;
    EXPECT_NE(FailureOf(*tested, std::move(new_host)), "") << name << " found no fault";
  }
}

TEST(BrokenTest, EachCaseDetectsAFault) {
  const auto broken = AllBroken();
  for (const ConformanceCase& each : TransportConformanceCases()) {
    EXPECT_EQ(broken.count(each.name), 1u) << each.name;
  }
}

TEST(BrokenTest, APassThroughTransportFailsNoCase) {
  for (const ConformanceCase& each : TransportConformanceCases()) {
    EXPECT_EQ(FailureOf(each,
                        [](uint64_t seed) {
                          return std::make_unique<BrokenTransportHost>(seed,
                                                                       Wrapped<FilterTransport>);
                        }),
              "")
        << each.name;
  }
}

// Loses bytes without an error for the caller, as a first implementation does.
TEST(BrokenTest, AnImmediateResetIsDetectedByItsLostBytes) {
  const std::string failure = FailureOf(*FindCase("ATruncatedEndLosesNoAcceptedByte"),
                                        std::move(AllBroken()["ATruncatedEndLosesNoAcceptedByte"]));
  EXPECT_TRUE(absl::StrContains(failure, "accepted bytes were lost")) << failure;
}

}  // namespace
}  // namespace trestle::testing
