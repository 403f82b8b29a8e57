#include "examples/support/backends_gate.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle::examples {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::SimulatedLoop;
using ::testing::SizeIs;

// A transport that is only closed.
class ClosedTransport final : public Transport {
 public:
  IoResult Read(MutableByteView) override { return {}; }
  IoResult Write(ByteView) override { return {}; }
  IoResult ShutdownWrite(StreamEnd) override { return {}; }
  void Abort() override {}
  void SetHandler(TransportHandler*) override {}
  absl::Status status() const override { return absl::OkStatus(); }
  TransportInfo info() const override { return {}; }
};

// Answers for the endpoints in `up`, refuses those in `down`, and leaves others without an answer.
class FakeDialer final : public Dialer {
 public:
  explicit FakeDialer(SimulatedLoop& loop) : loop_(loop) {}

  std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) override {
    const std::string name = endpoint.ToString();
    ++tries[name];
    auto dial = std::make_unique<Pending>(*this);
    most_open = std::max(most_open, open);
    if (up.count(name) == 0 && down.count(name) == 0) return dial;
    dial->call = loop_.RunAfter(
        absl::Milliseconds(1), [good = up.count(name) > 0, done = std::move(done)]() mutable {
          if (good) return done(std::unique_ptr<Transport>(std::make_unique<ClosedTransport>()));
          done(ConfigurationError("refused"));
        });
    return dial;
  }

  std::set<std::string> up;
  std::set<std::string> down;
  std::map<std::string, int> tries;
  size_t open = 0;
  size_t most_open = 0;

 private:
  struct Pending final : public Dial {
    explicit Pending(FakeDialer& owner) : dialer(owner) { ++dialer.open; }
    ~Pending() override { --dialer.open; }
    FakeDialer& dialer;
    Timer call;
  };

  SimulatedLoop& loop_;
};

class BackendsGateTest : public ::testing::Test {
 protected:
  void Route(const std::string& name, const std::vector<std::string>& backends) {
    RouteLegs& route = routes_.emplace_back();
    route.name = name;
    for (const std::string& backend : backends) {
      route.backends.push_back(*Endpoint::Parse(backend));
    }
  }

  SimulatedLoop loop_;
  FakeDialer dialer_{loop_};
  std::vector<RouteLegs> routes_;
};

TEST_F(BackendsGateTest, OpensWithTheFirstBackendOfAnyRoute) {
  Route("a.test", {"192.0.2.1:1"});
  Route("b.test", {"192.0.2.2:1", "192.0.2.3:1"});
  dialer_.down = {"192.0.2.1:1", "192.0.2.2:1"};
  const BackendsGate gate(loop_, dialer_, routes_, WantedBackends::kAny);
  EXPECT_FALSE(gate.open());
  loop_.RunFor(absl::Seconds(30));
  EXPECT_FALSE(gate.open());
  EXPECT_THAT(gate.Missing(), ElementsAre("a.test", "b.test"));
  dialer_.up = {"192.0.2.3:1"};
  loop_.RunFor(absl::Seconds(5));
  EXPECT_TRUE(gate.open());
  EXPECT_THAT(gate.Missing(), ElementsAre("a.test"));
  const std::map<std::string, int> tries = dialer_.tries;
  loop_.RunFor(absl::Minutes(5));
  EXPECT_EQ(dialer_.tries, tries) << "it looks no more";
  EXPECT_EQ(dialer_.open, 0u);
}

TEST_F(BackendsGateTest, WaitsForEachRouteIfAllAreWanted) {
  Route("", {"192.0.2.1:1"});
  Route("b.test", {"192.0.2.2:1", "192.0.2.1:1"});
  Route("c.test", {"192.0.2.2:1"});
  dialer_.up = {"192.0.2.1:1"};
  dialer_.down = {"192.0.2.2:1"};
  const BackendsGate gate(loop_, dialer_, routes_, WantedBackends::kAll);
  loop_.RunFor(absl::Seconds(2));
  EXPECT_FALSE(gate.open());
  EXPECT_THAT(gate.Missing(), ElementsAre("c.test"));
  EXPECT_EQ(dialer_.tries["192.0.2.1:1"], 1) << "it has answered, for two routes";
  dialer_.up.insert("192.0.2.2:1");
  loop_.RunFor(absl::Seconds(2));
  EXPECT_TRUE(gate.open());
  EXPECT_THAT(gate.Missing(), IsEmpty());
}

TEST_F(BackendsGateTest, IsOpenWhereNothingIsWanted) {
  EXPECT_TRUE(BackendsGate(loop_, dialer_, routes_, WantedBackends::kAll).open()) << "no route";
  Route("", {"192.0.2.1:1"});
  EXPECT_TRUE(BackendsGate(loop_, dialer_, routes_, WantedBackends::kNone).open());
  EXPECT_THAT(dialer_.tries, IsEmpty());
}

TEST_F(BackendsGateTest, ARouteWhoseNamesHaveNoAddressIsMissing) {
  Route("a.test", {});
  Route("b.test", {"192.0.2.2:1"});
  dialer_.up = {"192.0.2.2:1"};
  EXPECT_THAT(BackendsGate(loop_, dialer_, {routes_[0]}, WantedBackends::kAny).Missing(),
              ElementsAre("a.test"));
  const BackendsGate any(loop_, dialer_, routes_, WantedBackends::kAny);
  const BackendsGate all(loop_, dialer_, routes_, WantedBackends::kAll);
  loop_.RunFor(absl::Seconds(5));
  EXPECT_TRUE(any.open());
  EXPECT_FALSE(all.open());
}

TEST_F(BackendsGateTest, ItsTriesAreBounded) {
  for (int i = 0; i < 1100; ++i) {
    Route(absl::StrCat("r", i), {absl::StrCat("192.0.2.1:", 1000 + i)});
  }
  const BackendsGate gate(loop_, dialer_, routes_, WantedBackends::kAny);
  loop_.RunFor(absl::Minutes(5));
  EXPECT_EQ(dialer_.most_open, 64u);
  EXPECT_THAT(dialer_.tries, SizeIs(1000));
  EXPECT_THAT(gate.Missing(), SizeIs(8));
}

}  // namespace
}  // namespace trestle::examples
