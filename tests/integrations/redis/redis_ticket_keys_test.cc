#include "integrations/redis/redis_ticket_keys.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/redis/fake_redis.h"
#include "trestle/base/error.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle::testing {
namespace {

using Event = RedisTicketKeys::Event;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kPeriod = absl::Minutes(10);
constexpr absl::Duration kLook = absl::Seconds(10);
constexpr char kName[] = "trestle-ticket-keys";
constexpr char kLockName[] = "{trestle-ticket-keys}-lock";

class RedisTicketKeysTest : public ::testing::Test {
 protected:
  // One machine of the fleet.
  struct Node {
    std::shared_ptr<TicketKeyRing> ring;
    std::vector<Event> events;
    absl::Status last_failure;
    std::unique_ptr<RedisTicketKeys> keys;
  };

  RedisTicketKeysTest() { redis_.Start(); }

  RedisTicketKeysOptions Options() const {
    RedisTicketKeysOptions options;
    options.redis = endpoint_;
    options.rotate_every = kPeriod;
    options.refresh_every = kLook;
    return options;
  }

  Node& StartNode(const RedisTicketKeysOptions& options) {
    nodes_.push_back(std::make_unique<Node>());
    Node& node = *nodes_.back();
    node.ring = RedisTicketKeys::NewRing(loop_.Now(), kPeriod);
    auto keys = RedisTicketKeys::Start(loop_, dialer_, options, node.ring,
                                       [&node](Event event, const absl::Status& status) {
                                         node.events.push_back(event);
                                         if (!status.ok()) node.last_failure = status;
                                       });
    EXPECT_TRUE(keys.ok()) << keys.status();
    node.keys = *std::move(keys);
    return node;
  }
  Node& StartNode() { return StartNode(Options()); }

  void StartFleet() {
    for (int i = 0; i < 3; ++i) StartNode();
    loop_.RunFor(3 * kLook);
    ASSERT_TRUE(AllShare());
  }

  std::string Ticket(Node& node) {
    std::string ticket(TicketKeyRing::kOverheadBytes + 7, '\0');
    MutableByteView out(reinterpret_cast<uint8_t*>(ticket.data()), ticket.size());
    EXPECT_EQ(node.ring->Seal(AsBytes("session"), out, loop_.Now()), ticket.size());
    return ticket;
  }

  bool Opens(Node& node, const std::string& ticket) {
    std::string out(ticket.size(), '\0');
    size_t bytes = 0;
    return node.ring->Open(AsBytes(ticket),
                           MutableByteView(reinterpret_cast<uint8_t*>(out.data()), out.size()),
                           bytes, loop_.Now()) &&
           out.substr(0, bytes) == "session";
  }

  // Returns whether each node opens the tickets of every other one.
  bool AllShare() {
    return std::all_of(nodes_.begin(), nodes_.end(), [&](auto& maker) {
      const std::string ticket = Ticket(*maker);
      return std::all_of(nodes_.begin(), nodes_.end(),
                         [&](auto& opener) { return Opens(*opener, ticket); });
    });
  }

  int Count(Event event) const {
    int count = 0;
    for (const auto& node : nodes_) {
      count += static_cast<int>(std::count(node->events.begin(), node->events.end(), event));
    }
    return count;
  }

  // Returns the error of a lone node if Redis sends `answer` to `command`.
  Error FailureOn(const std::string& command, const std::string& answer) {
    redis_.intercept = [&](const std::vector<std::string>& got) {
      return got.front() == command ? answer : std::string();
    };
    Node& node = StartNode();
    loop_.RunFor(3 * kLook);
    EXPECT_THAT(node.events, ElementsAre(Event::kLost));
    EXPECT_TRUE(Opens(node, Ticket(node))) << "its own keys remain in use";
    const std::optional<Error> error = GetError(node.last_failure);
    nodes_.clear();
    return error.value_or(Error());
  }

  SimulatedLoop loop_;
  MemoryDialer dialer_{loop_};
  const Endpoint endpoint_ = *Endpoint::Parse("192.0.2.9:6379");
  FakeRedis redis_{loop_, dialer_, endpoint_};
  std::vector<std::unique_ptr<Node>> nodes_;
};

TEST_F(RedisTicketKeysTest, OneNodeCreatesTheFirstKeysAndAllUseThem) {
  for (int i = 0; i < 3; ++i) StartNode();
  EXPECT_TRUE(Opens(*nodes_[0], Ticket(*nodes_[0]))) << "there are keys from the start";
  EXPECT_FALSE(AllShare());
  loop_.RunFor(3 * kLook);
  EXPECT_TRUE(AllShare());
  EXPECT_EQ(Count(Event::kRotated), 1);
  EXPECT_EQ(Count(Event::kTaken), 2);
  EXPECT_EQ(Count(Event::kLost), 0);
  EXPECT_EQ(dialer_.dials(), 3u) << "one connection each";
  EXPECT_EQ(redis_.Get(kLockName), "") << "the lock is released";
}

TEST_F(RedisTicketKeysTest, OneNodeRotatesAndNoSessionIsLostEarly) {
  StartFleet();
  int rotations = Count(Event::kRotated);
  for (int period = 0; period < 10; ++period) {
    const std::string ticket = Ticket(*nodes_[period % 3]);
    loop_.RunFor(kPeriod);
    EXPECT_TRUE(AllShare());
    EXPECT_EQ(Count(Event::kRotated), ++rotations) << "one machine, once a period";
    for (const auto& node : nodes_) EXPECT_TRUE(Opens(*node, ticket));
    loop_.RunFor(kPeriod);
    ++rotations;
    loop_.RunFor(2 * kLook);
    for (const auto& node : nodes_) EXPECT_FALSE(Opens(*node, ticket)) << "old keys are removed";
    loop_.RunFor(kPeriod - 2 * kLook);
    ++rotations;
  }
}

TEST_F(RedisTicketKeysTest, WithoutRedisTheLastKeysRemainInUse) {
  StartFleet();
  const std::string ticket = Ticket(*nodes_[0]);
  redis_.Stop();
  loop_.RunFor(kPeriod / 2);
  EXPECT_EQ(Count(Event::kLost), 3) << "reported once each";
  EXPECT_EQ(GetError(nodes_[0]->last_failure)->code, ErrorCode::kTransport);
  for (const auto& node : nodes_) EXPECT_TRUE(Opens(*node, ticket));
  loop_.RunFor(5 * kPeriod);
  EXPECT_TRUE(AllShare()) << "all have the next key, and use it";

  const std::string late = Ticket(*nodes_[1]);
  redis_.Clear();
  redis_.Start();
  loop_.RunFor(3 * kLook);
  EXPECT_EQ(Count(Event::kBack), 3);
  EXPECT_TRUE(AllShare());
  for (const auto& node : nodes_) EXPECT_TRUE(Opens(*node, late)) << "Redis has their keys again";
}

TEST_F(RedisTicketKeysTest, ANewNodeWaitsForNodesWithKeys) {
  Node& old = StartNode();
  loop_.RunFor(3 * kLook);
  const std::string ticket = Ticket(old);
  redis_.Stop();
  loop_.RunFor(kLook * 3 / 2);
  redis_.Clear();
  redis_.Start();
  Node& newcomer = StartNode();
  loop_.RunFor(2 * kLook);
  EXPECT_TRUE(Opens(old, ticket));
  EXPECT_TRUE(Opens(newcomer, ticket));
  EXPECT_THAT(newcomer.events, ElementsAre(Event::kTaken));
}

TEST_F(RedisTicketKeysTest, ALeaderThatDiesWithTheLockDelaysTheOthersForATime) {
  StartFleet();
  const int rotations = Count(Event::kRotated);
  redis_.Set(kLockName, "dead", kPeriod + absl::Minutes(1));
  loop_.RunFor(kPeriod);
  EXPECT_EQ(Count(Event::kRotated), rotations);
  EXPECT_TRUE(AllShare());
  loop_.RunFor(absl::Minutes(1));
  EXPECT_EQ(Count(Event::kRotated), rotations + 1);
  EXPECT_TRUE(AllShare());
  EXPECT_EQ(Count(Event::kLost), 0);
}

TEST_F(RedisTicketKeysTest, NoNodeOverwritesTheKeysOfOthers) {
  Node& node = StartNode();
  loop_.RunFor(3 * kLook);
  const std::string others = FormatTicketKeys(RotateTicketKeys({}, loop_.Now() + kPeriod, kPeriod));
  int writes = 0;
  redis_.intercept = [&](const std::vector<std::string>& command) {
    if (command.front() == "EVAL" && writes++ == 0) redis_.Set(kName, others);
    return std::string();
  };
  loop_.RunFor(kPeriod);
  EXPECT_EQ(writes, 1);
  EXPECT_EQ(redis_.Get(kName), others);
  EXPECT_THAT(node.events, ElementsAre(Event::kRotated, Event::kTaken));
  // The same if the lock was lost meanwhile.
  redis_.intercept = [&](const std::vector<std::string>& command) {
    if (command.front() == "EVAL" && writes++ == 1) redis_.Set(kLockName, "another", 2 * kLook);
    return std::string();
  };
  loop_.RunFor(kPeriod - kLook);
  EXPECT_EQ(redis_.Get(kName), others);
  loop_.RunFor(4 * kLook);
  EXPECT_THAT(node.events, ElementsAre(Event::kRotated, Event::kTaken, Event::kRotated));
}

TEST_F(RedisTicketKeysTest, KeysExpireInRedisAfterTheFleetEnds) {
  StartFleet();
  nodes_.clear();
  loop_.RunFor(5 * kPeriod);
  EXPECT_EQ(redis_.Get(kName), "");
}

TEST_F(RedisTicketKeysTest, PasswordsAreSent) {
  redis_.credentials = "fleet secret";
  RedisTicketKeysOptions options = Options();
  Node& without = StartNode(options);
  options.user = "fleet";
  options.password = "wrong";
  Node& wrong = StartNode(options);
  options.password = "secret";
  Node& right = StartNode(options);
  loop_.RunFor(3 * kLook);
  EXPECT_THAT(without.events, ElementsAre(Event::kLost));
  EXPECT_THAT(GetError(without.last_failure)->detail, HasSubstr("Redis refuses GET: NOAUTH"));
  EXPECT_THAT(wrong.events, ElementsAre(Event::kLost));
  EXPECT_THAT(GetError(wrong.last_failure)->detail, HasSubstr("Redis refuses AUTH: WRONGPASS"));
  EXPECT_THAT(right.events, ElementsAre(Event::kRotated));
  redis_.credentials = "secret";
  options.user = "";
  EXPECT_THAT(StartNode(options).events, IsEmpty());
  loop_.RunFor(kLook);
  EXPECT_THAT(nodes_.back()->events, ElementsAre(Event::kTaken));
}

TEST_F(RedisTicketKeysTest, ValuesInRedisAreValidated) {
  Node& node = StartNode();
  loop_.RunFor(3 * kLook);
  const std::string good = redis_.Get(kName);
  const std::string ticket = Ticket(node);
  redis_.Set(kName, "no keys");
  loop_.RunFor(2 * kLook);
  EXPECT_THAT(node.events, ElementsAre(Event::kRotated, Event::kLost));
  EXPECT_EQ(GetError(node.last_failure)->code, ErrorCode::kConfiguration);
  EXPECT_THAT(GetError(node.last_failure)->detail,
              HasSubstr("what Redis has as \"trestle-ticket-keys\" is unusable: line 1"));
  EXPECT_EQ(redis_.Get(kName), "no keys") << "another program wrote it";
  EXPECT_TRUE(Opens(node, ticket));
  redis_.Set(kName, good);
  loop_.RunFor(2 * kLook);
  EXPECT_TRUE(node.keys->status().ok());
  EXPECT_EQ(node.events.back(), Event::kBack);
}

TEST_F(RedisTicketKeysTest, InvalidRepliesAreErrors) {
  EXPECT_THAT(FailureOn("GET", "*1000000000\r\n").detail, HasSubstr("an array"));
  EXPECT_THAT(FailureOn("GET", "?\r\n").detail, HasSubstr("no reply"));
  EXPECT_THAT(FailureOn("GET", "+a\r\n+b\r\n").detail, HasSubstr("more than was asked for"));
  EXPECT_THAT(FailureOn("GET", ":7\r\n").detail,
              HasSubstr("is unusable: there are no ticket keys"));
  EXPECT_THAT(FailureOn("GET", absl::StrCat("$70000\r\n", std::string(70'000, 'x'))).detail,
              HasSubstr("too long"));
  EXPECT_THAT(FailureOn("GET", "-WRONGTYPE not\x1b[31m text\r\n").detail,
              HasSubstr("Redis refuses GET: WRONGTYPE not\\x1b[31m text"));
  EXPECT_THAT(FailureOn("SET", "-READONLY You can't write against a read only replica.\r\n").detail,
              HasSubstr("Redis refuses SET: READONLY"));
  EXPECT_THAT(FailureOn("EVAL", "-NOSCRIPT none here\r\n").detail, HasSubstr("refuses EVAL"));
}

TEST_F(RedisTicketKeysTest, ASilentRedisReachesTheTimeout) {
  redis_.silent = true;
  Node& node = StartNode();
  loop_.RunFor(Options().timeout + absl::Milliseconds(1));
  EXPECT_THAT(node.events, ElementsAre(Event::kLost));
  EXPECT_EQ(GetError(node.last_failure)->code, ErrorCode::kTimeout);
  loop_.RunFor(10 * kLook);
  EXPECT_THAT(node.events, ElementsAre(Event::kLost));
  redis_.silent = false;
  loop_.RunFor(4 * kLook);
  EXPECT_THAT(node.events, ElementsAre(Event::kLost, Event::kBack, Event::kRotated));
  // A server that can't be reached.
  dialer_.Refuse(endpoint_, absl::OkStatus(), absl::InfiniteDuration());
  Node& far = StartNode();
  loop_.RunFor(2 * kLook);
  EXPECT_EQ(GetError(far.last_failure)->code, ErrorCode::kTimeout);
}

TEST_F(RedisTicketKeysTest, RepliesMayArriveInPieces) {
  redis_.Stop();
  MemoryLink link;
  link.chunk_bytes = 1;
  link.capacity_bytes = 7;
  link.latency = absl::Milliseconds(1);
  redis_.Start(link);
  StartFleet();
  loop_.RunFor(3 * kPeriod);
  EXPECT_TRUE(AllShare());
  EXPECT_EQ(Count(Event::kLost), 0);
}

TEST_F(RedisTicketKeysTest, ItMayBeDestroyedInAnyState) {
  redis_.Stop();
  MemoryLink link;
  link.latency = absl::Milliseconds(7);
  redis_.Start(link);
  for (int ms = 0; ms < 120; ++ms) {
    StartNode();
    loop_.RunFor(absl::Milliseconds(ms));
    nodes_.clear();
    loop_.RunFor(absl::Seconds(1));
  }
}

TEST_F(RedisTicketKeysTest, ANameOfRedisIsDialedWhereItIsNow) {
  const auto group = std::make_shared<BackendGroup>("redis.internal:6379");
  RedisTicketKeysOptions options = Options();
  options.redis = Backends();
  options.redis.group = group;
  Node& node = StartNode(options);
  loop_.RunFor(2 * kLook);
  EXPECT_EQ(GetError(node.last_failure)->code, ErrorCode::kNoBackend);
  EXPECT_EQ(GetError(node.last_failure)->detail, "no address is known now of redis.internal:6379");
  group->Replace(std::make_shared<BackendGroup::List>(
      BackendGroup::List{{endpoint_, nullptr, 0, kUnitWeight}}));
  loop_.RunFor(2 * kLook);
  EXPECT_TRUE(node.keys->status().ok()) << node.keys->status();
}

TEST_F(RedisTicketKeysTest, InvalidOptionsAreRejected) {
  const auto refused = [&](auto change) {
    RedisTicketKeysOptions options = Options();
    change(options);
    const auto made = RedisTicketKeys::Start(loop_, dialer_, options,
                                             RedisTicketKeys::NewRing(loop_.Now(), kPeriod));
    return !made.ok() && GetError(made.status())->code == ErrorCode::kConfiguration;
  };
  EXPECT_TRUE(refused([](auto& options) { options.redis = Endpoint(); }));
  EXPECT_TRUE(refused([](auto& options) { options.redis = *Endpoint::Parse("127.0.0.1:0"); }));
  EXPECT_TRUE(refused([](auto& options) { options.name = ""; }));
  EXPECT_TRUE(refused([](auto& options) { options.user = "x"; }));
  EXPECT_TRUE(refused([](auto& options) { options.rotate_every = options.refresh_every; }));
  EXPECT_TRUE(refused([](auto& options) { options.refresh_every = absl::ZeroDuration(); }));
  EXPECT_TRUE(refused([](auto& options) { options.timeout = absl::InfiniteDuration(); }));
  EXPECT_FALSE(refused([](auto&) {}));
}

}  // namespace
}  // namespace trestle::testing
