#include "trestle/testing/transport_conformance.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/testing/conformance/cases.h"

namespace trestle::testing {
namespace {

class ConformanceTest : public ::testing::Test {
 public:
  ConformanceTest(const ConformanceCase& tested, uint64_t seeds,
                  std::shared_ptr<ConformanceHostFactory> new_host)
      : case_(tested), seeds_(seeds), new_host_(std::move(new_host)) {}

  void TestBody() override {
    for (uint64_t seed = 1; seed <= seeds_ && !HasFailure(); ++seed) {
      SCOPED_TRACE(absl::StrCat("seed ", seed, ". The contract: ", case_.sentence));
      case_.run(*new_host_, seed);
    }
  }

 private:
  const ConformanceCase& case_;
  const uint64_t seeds_;
  const std::shared_ptr<ConformanceHostFactory> new_host_;
};

}  // namespace

absl::Span<const ConformanceCase> TransportConformanceCases() {
  static const auto* const cases = [] {
    auto* const all = new std::vector<ConformanceCase>();
    for (const absl::Span<const ConformanceCase> some :
         {CallbackCases(), ByteCases(), EndCases(), TruncationCases(), SchedulerCases(),
          DialerCases()}) {
      all->insert(all->end(), some.begin(), some.end());
    }
    return all;
  }();
  return *cases;
}

bool RegisterTransportConformance(const std::string& suite, uint64_t seeds,
                                  ConformanceHostFactory new_host) {
  const auto shared = std::make_shared<ConformanceHostFactory>(std::move(new_host));
  for (const ConformanceCase& tested : TransportConformanceCases()) {
    ::testing::RegisterTest(suite.c_str(), tested.name, nullptr, nullptr, __FILE__, __LINE__,
                            [&tested, seeds, shared]() -> ::testing::Test* {
                              return new ConformanceTest(tested, seeds, shared);
                            });
  }
  return true;
}

}  // namespace trestle::testing
