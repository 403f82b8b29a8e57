// The QUIC router in networks that lose, repeat, delay and reorder datagrams: each flow reaches the
// backend of its name, or is refused as stated. A failing seed repeats.
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/quic_peers.h"
#include "trestle/base/error.h"
#include "trestle/proxy/quic_passthrough_router.h"
#include "trestle/testing/memory_datagrams.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/tls/quic_hello_reader.h"

namespace trestle {
namespace {

using testing::DatagramFaults;
using testing::MemoryDatagrams;
using testing::SimulatedLoop;

constexpr int kClients = 6;

struct Target {
  const char* name;
  char letter;  // 0: no route.
};

constexpr Target kTargets[] = {
    {"a.test", 'A'}, {"b.test", 'B'}, {"x.wild.test", 'B'}, {"none.example", 0}};

// One network, with its faults and clients, by a seed.
class World {
 public:
  explicit World(uint64_t seed) : loop_(seed) {
    network_.SetFaults(RandomFaults());
    a_.sends_retry = Chance(0.3);
    b_.sends_retry = Chance(0.3);
    b_.sends_version_negotiation = Chance(0.3);
    StartRouter();
    for (int i = 0; i < kClients; ++i) AddClient(i);
  }

  void Run() {
    loop_.RunFor(absl::Minutes(5));
    for (size_t i = 0; i < clients_.size(); ++i) Judge(*clients_[i], *targets_[i]);
    for (const QuicTestBackend* backend : {&a_, &b_}) JudgeBackend(*backend);
    EXPECT_EQ(router_->flows(), 0u);
    EXPECT_EQ(router_->held_bytes(), 0u);
    for (const ConnectionReport& report : observer_.closed) JudgeReport(report);
  }

  size_t answered() const { return answered_; }
  size_t refused() const { return refused_; }
  size_t given_up() const { return given_up_; }

 private:
  double Random() { return std::uniform_real_distribution<double>(0, 1)(loop_.random()); }
  bool Chance(double part) { return Random() < part; }

  DatagramFaults RandomFaults() {
    DatagramFaults faults;
    faults.loss = Chance(0.7) ? 0.25 * Random() : 0;
    faults.duplication = Chance(0.5) ? 0.3 * Random() : 0;
    faults.delay = absl::Milliseconds(1 + 40 * Random());
    faults.jitter = absl::Milliseconds(100 * Random());
    return faults;
  }

  void StartRouter() {
    QuicPassthroughRouterOptions options;
    options.routes = *RouteTable::Create(
        {{"a.test", a_.endpoint}, {"b.test", b_.endpoint}, {"*.wild.test", b_.endpoint}});
    options.backend_id_bytes = Chance(0.5) ? kTestBackendIdBytes : 0;
    router_ = *QuicPassthroughRouter::Create(loop_, *network_.Bind(front_), network_, options,
                                             &observer_);
  }

  void AddClient(int number) {
    QuicTestClient::Options options;
    targets_.push_back(&kTargets[loop_.random()() % std::size(kTargets)]);
    options.name = targets_.back()->name;
    options.post_quantum = Chance(0.6);
    options.shuffle_seed = Chance(0.5) ? loop_.random()() | 1 : 0;
    options.header.version = Chance(0.3) ? kQuicV2 : kQuicV1;
    options.header.source_id = Chance(0.5) ? "" : absl::StrCat("client", number);
    options.header.destination_id = absl::StrFormat("first%03d", number);
    options.header.key_id = options.header.destination_id;
    options.request = absl::StrCat("request ", number);
    clients_.push_back(std::make_unique<QuicTestClient>(loop_, *network_.Connect(front_), options));
    starts_.push_back(loop_.RunAfter(absl::Milliseconds(500 * Random()),
                                     [client = clients_.back().get()] { client->Start(); }));
  }

  void Judge(const QuicTestClient& client, const Target& target) {
    if (target.letter == 0) {
      EXPECT_TRUE(client.received().empty()) << target.name;
      ++refused_;
      return;
    }
    const std::string letters = client.letters();
    EXPECT_TRUE(letters.empty() || letters == std::string(1, target.letter))
        << target.name << " got answers of " << letters;
    if (client.has_answer()) {
      ++answered_;
      return;
    }
    ++given_up_;
    const bool told = absl::c_any_of(observer_.closed, [&](const ConnectionReport& report) {
      return report.front.peer == client.address() && !report.ok();
    });
    EXPECT_TRUE(told) << target.name
                      << " got no answer, and no report says why: " << Reports(client);
  }

  std::string Reports(const QuicTestClient& client) const {
    std::string text;
    for (const ConnectionReport& report : observer_.closed) {
      if (report.front.peer != client.address()) continue;
      absl::StrAppend(&text, "\n", report.server_name, " ", ErrorText(report.error), " up ",
                      report.front.bytes_read, " down ", report.front.bytes_written);
    }
    return text;
  }

  // Judges the hellos that a backend got.
  static void JudgeBackend(const QuicTestBackend& backend) {
    for (const std::string& datagram : backend.received) {
      QuicHelloReader reader;
      if (reader.Feed(AsBytes(datagram), MonotonicTime::FromStart({})) != QuicHelloState::kDone) {
        continue;
      }
      char letter = 0;
      for (const Target& target : kTargets) {
        if (reader.hello().server_name == target.name) letter = target.letter;
      }
      EXPECT_EQ(letter, backend.letter) << reader.hello().server_name;
    }
  }

  void JudgeReport(const ConnectionReport& report) {
    if (report.server_name == "none.example") {
      ASSERT_TRUE(report.error.has_value());
      EXPECT_EQ(report.error->code, ErrorCode::kNoRoute);
      return;
    }
    // A beginning that Retry or Version Negotiation ended, or that was repeated after its flow.
    if (report.error.has_value()) {
      EXPECT_THAT(report.error->code,
                  ::testing::AnyOf(ErrorCode::kTimeout, ErrorCode::kHelloTooLarge))
          << *report.error;
    }
  }

  const Endpoint front_ = *Endpoint::Parse("192.0.2.100:443");
  SimulatedLoop loop_;
  MemoryDatagrams network_{loop_};
  QuicTestBackend a_{network_, "192.0.2.1:443", 'A'};
  QuicTestBackend b_{network_, "192.0.2.2:443", 'B'};
  RecordingObserver observer_;
  std::unique_ptr<QuicPassthroughRouter> router_;
  std::vector<std::unique_ptr<QuicTestClient>> clients_;
  std::vector<const Target*> targets_;
  std::vector<Timer> starts_;
  size_t answered_ = 0;
  size_t refused_ = 0;
  size_t given_up_ = 0;
};

TEST(QuicSimulationTest, EachFlowReachesItsBackendOrIsRefused) {
  size_t answered = 0;
  size_t refused = 0;
  size_t given_up = 0;
  for (uint64_t seed = 1; seed <= 1000 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    World world(seed);
    world.Run();
    answered += world.answered();
    refused += world.refused();
    given_up += world.given_up();
  }
  EXPECT_GT(answered, 4000u);
  EXPECT_GT(refused, 1000u);
  EXPECT_LT(given_up, answered / 100) << "a limit of the hello, in the worst networks";
}

}  // namespace
}  // namespace trestle
