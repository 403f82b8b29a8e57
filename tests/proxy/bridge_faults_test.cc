// A short exchange through a bridge, with a fault at every byte.
#include "tests/proxy/bridge_faults.h"

#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace trestle {
namespace {

using Parameters = std::tuple<FaultPlace, Fault, TlsVersion, bool /*eager*/>;

class BridgeFaultsTest : public BridgeFaults, public ::testing::WithParamInterface<Parameters> {
 protected:
  BridgeFaultsTest()
      : BridgeFaults(std::get<0>(GetParam()), std::get<1>(GetParam()), std::get<2>(GetParam()),
                     "h2") {
    question = "a question of some thirty bytes";
    answer = "and an answer, which is a little longer than it";
    TlsBridgeOptions options = FaultOptions();
    options.eager_alpn.enabled = std::get<3>(GetParam());
    options.eager_alpn.remember_for = absl::ZeroDuration();
    options.eager_alpn.dials_per_network = 1'000'000;
    bridge = *Make(std::move(options));
  }
};

TEST_P(BridgeFaultsTest, AFaultAtEveryOffsetIsHandled) { TryEveryOffset(); }

std::string ParametersName(const ::testing::TestParamInfo<Parameters>& info) {
  const auto& [place, fault, version, eager] = info.param;
  return absl::StrCat(NameOf(place), NameOf(fault),
                      version == TlsVersion::kTls12 ? "Tls12" : "Tls13", eager ? "Eager" : "Lazy");
}

constexpr FaultPlace kEverywhere[] = {FaultPlace::kFromClient, FaultPlace::kToClient,
                                      FaultPlace::kToBackend, FaultPlace::kFromBackend};
constexpr FaultPlace kFromPeers[] = {FaultPlace::kFromClient, FaultPlace::kFromBackend};

INSTANTIATE_TEST_SUITE_P(
    Resets, BridgeFaultsTest,
    ::testing::Combine(::testing::ValuesIn(kEverywhere), ::testing::Values(Fault::kReset),
                       ::testing::Values(TlsVersion::kTls12, TlsVersion::kTls13),
                       ::testing::Bool()),
    ParametersName);
INSTANTIATE_TEST_SUITE_P(Stalls, BridgeFaultsTest,
                         ::testing::Combine(::testing::ValuesIn(kEverywhere),
                                            ::testing::Values(Fault::kStall),
                                            ::testing::Values(TlsVersion::kTls13),
                                            ::testing::Bool()),
                         ParametersName);
INSTANTIATE_TEST_SUITE_P(Ends, BridgeFaultsTest,
                         ::testing::Combine(::testing::ValuesIn(kFromPeers),
                                            ::testing::Values(Fault::kEnd),
                                            ::testing::Values(TlsVersion::kTls13),
                                            ::testing::Bool()),
                         ParametersName);

}  // namespace
}  // namespace trestle
