#include "trestle/proxy/resolved_backends.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/testing/simulated_resolver.h"

namespace trestle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kApi[] = "api.internal:443";

class Lines final : public NameObserver {
 public:
  void OnNameChanged(const NameChange& change) override { lines.push_back(change.ToString()); }
  std::vector<std::string> lines;
};

class ResolvedBackendsTest : public ::testing::Test {
 protected:
  void Start(ResolvedBackendsOptions options = {}) {
    names = std::make_unique<ResolvedBackends>(loop, resolver, std::move(options), &log);
  }

  Backends Follow(const std::vector<std::string>& targets = {kApi}) {
    if (names == nullptr) Start();
    Backends backends;
    for (const std::string& target : targets) {
      backends.names.push_back(*NamedTarget::Parse(target));
    }
    EXPECT_TRUE(names->Follow(backends).ok());
    loop.RunReady();
    return backends;
  }

  static std::vector<std::string> Now(const Backends& backends) {
    std::vector<std::string> endpoints;
    for (const GroupedBackend& backend : *backends.group->current()) {
      endpoints.push_back(backend.endpoint.ToString());
    }
    return endpoints;
  }

  /// Lets time pass until kApi was asked for `count` times.
  void RunToLookup(size_t count) {
    for (int i = 0; i < 10'000 && resolver.lookups(kApi) < count; ++i) {
      loop.RunFor(absl::Milliseconds(20));
    }
    EXPECT_EQ(resolver.lookups(kApi), count);
  }

  NameStatus Status() const { return names->names().at(0); }

  /// Makes look-ups of kApi fail.
  void Fail() {
    resolver.Fail(kApi, MakeError(ErrorCode::kTransport, Leg::kBack, Phase::kDial, "DNS is down"));
  }

  testing::SimulatedLoop loop;
  testing::SimulatedResolver resolver{loop};
  Lines log;
  std::unique_ptr<ResolvedBackends> names;
};

TEST_F(ResolvedBackendsTest, EachAddressIsABackendWithTheName) {
  resolver.Answer(kApi, {"192.0.2.2:443", "192.0.2.1:443", "192.0.2.2:443"}, absl::Seconds(60));
  const Backends backends = Follow();
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443", "192.0.2.2:443"));
  for (const GroupedBackend& backend : *backends.group->current()) {
    ASSERT_NE(backend.name, nullptr);
    EXPECT_EQ(backend.name->ToString(), kApi);
  }
  EXPECT_EQ(Status().condition, NameCondition::kCurrent);
  EXPECT_THAT(log.lines, ElementsAre("api.internal:443: current (was asked), new: 192.0.2.1:443 "
                                     "192.0.2.2:443, 2 addresses"));
}

TEST_F(ResolvedBackendsTest, ANameIsAskedAgainBeforeItsTimeEnds) {
  resolver.Answer(kApi, {"192.0.2.1:443"}, absl::Seconds(100));
  const Backends backends = Follow();
  loop.RunFor(absl::Seconds(79));
  EXPECT_EQ(resolver.lookups(kApi), 1u);
  resolver.Answer(kApi, {"192.0.2.9:443"}, absl::Seconds(100));
  loop.RunFor(absl::Seconds(17));
  EXPECT_EQ(resolver.lookups(kApi), 2u);
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.9:443"));
  EXPECT_EQ(Status().changes, 1u);
  EXPECT_EQ(log.lines.back(),
            "api.internal:443: current, new: 192.0.2.9:443, gone: 192.0.2.1:443, 1 address");
}

TEST_F(ResolvedBackendsTest, TheSameAnswerIsNoChange) {
  resolver.Answer(kApi, {"192.0.2.1:443", "192.0.2.2:443"}, absl::Seconds(10));
  const Backends backends = Follow();
  const auto before = backends.group->current();
  resolver.Answer(kApi, {"192.0.2.2:443", "192.0.2.1:443"}, absl::Seconds(10));
  loop.RunFor(absl::Minutes(1));
  EXPECT_GT(resolver.lookups(kApi), 5u);
  EXPECT_EQ(backends.group->current(), before);
  EXPECT_EQ(log.lines.size(), 1u);
}

TEST_F(ResolvedBackendsTest, TimesOfProcessesAndNamesDiffer) {
  resolver.Answer("a.test:1", {"192.0.2.1:1"}, absl::Seconds(100));
  resolver.Answer("b.test:1", {"192.0.2.1:1"}, absl::Seconds(100));
  const Backends backends = Follow({"a.test:1", "b.test:1"});
  bool differed = false;
  for (int i = 0; i < 16'000 && !differed; ++i) {
    loop.RunFor(absl::Milliseconds(1));
    if (i == 0) loop.RunFor(absl::Seconds(80));
    differed = resolver.lookups("a.test:1") != resolver.lookups("b.test:1");
  }
  EXPECT_TRUE(differed);
}

TEST_F(ResolvedBackendsTest, TimesToLiveAreBounded) {
  ResolvedBackendsOptions options;
  options.shortest_ttl = absl::Seconds(2);
  options.longest_ttl = absl::Seconds(100);
  Start(std::move(options));
  resolver.Answer(kApi, {"192.0.2.1:443"}, absl::ZeroDuration());
  const Backends backends = Follow();
  loop.RunFor(absl::Seconds(20));
  EXPECT_LE(resolver.lookups(kApi), 14u);
  EXPECT_GE(resolver.lookups(kApi), 10u);
  resolver.Answer(kApi, {"192.0.2.1:443"}, absl::Hours(24));
  loop.RunFor(absl::Seconds(2));
  const size_t before = resolver.lookups(kApi);
  loop.RunFor(absl::Seconds(100));
  EXPECT_EQ(resolver.lookups(kApi), before + 1);
}

TEST_F(ResolvedBackendsTest, TheLastAnswerGoesOnWhileDnsFails) {
  ResolvedBackendsOptions options;
  options.keep_after_failure = absl::Minutes(30);
  Start(std::move(options));
  resolver.Answer(kApi, {"192.0.2.1:443"}, absl::Seconds(60));
  const Backends backends = Follow();
  Fail();
  loop.RunFor(absl::Minutes(30));
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443"));
  EXPECT_EQ(Status().condition, NameCondition::kKept);
  EXPECT_GT(Status().failures, 20u);
  ASSERT_EQ(log.lines.size(), 2u) << "one line for the change, not for each look-up";
  EXPECT_EQ(log.lines[1], "api.internal:443: kept (was current), 1 address; DNS is down");
  loop.RunFor(absl::Minutes(2));
  EXPECT_THAT(Now(backends), IsEmpty()) << "the age is bounded";
  EXPECT_EQ(Status().condition, NameCondition::kLost);
  EXPECT_EQ(log.lines.size(), 3u);
  resolver.Answer(kApi, {"192.0.2.2:443"}, absl::Seconds(60));
  loop.RunFor(absl::Seconds(30));
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.2:443"));
  EXPECT_EQ(Status().error, std::nullopt);
}

TEST_F(ResolvedBackendsTest, RetriesBackOff) {
  Fail();
  const Backends backends = Follow();
  EXPECT_EQ(Status().condition, NameCondition::kLost);
  loop.RunFor(absl::Seconds(10));
  EXPECT_EQ(resolver.lookups(kApi), 4u) << "after about 1, 2 and 4 seconds";
  loop.RunFor(absl::Minutes(10));
  EXPECT_LE(resolver.lookups(kApi), 32u);
  EXPECT_EQ(log.lines.size(), 1u);
}

TEST_F(ResolvedBackendsTest, ALookupIsLimited) {
  const Backends backends = Follow();
  EXPECT_EQ(resolver.open(), 1u);
  loop.RunFor(absl::Seconds(10));
  EXPECT_EQ(Status().condition, NameCondition::kLost);
  ASSERT_TRUE(Status().error.has_value());
  EXPECT_EQ(Status().error->code, ErrorCode::kTimeout);
  EXPECT_EQ(resolver.open(), 0u) << "and cancelled";
}

TEST_F(ResolvedBackendsTest, ADenialIsBelievedWhenItIsRepeated) {
  resolver.Answer(kApi, {"192.0.2.1:443"}, absl::Seconds(60));
  const Backends backends = Follow();
  resolver.Deny(kApi, absl::Hours(1));
  RunToLookup(2);
  EXPECT_EQ(Status().condition, NameCondition::kKept);
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443"));
  loop.RunFor(absl::Seconds(1));
  EXPECT_EQ(Status().condition, NameCondition::kDenied);
  EXPECT_THAT(Now(backends), IsEmpty());
  EXPECT_THAT(log.lines.back(), HasSubstr("gone: 192.0.2.1:443"));
  resolver.Answer(kApi, {"192.0.2.2:443"}, absl::Seconds(60));
  loop.RunFor(absl::Seconds(5));
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.2:443")) << "a denial is kept shortly";
}

TEST_F(ResolvedBackendsTest, OneDenialChangesNothing) {
  resolver.Answer(kApi, {"192.0.2.1:443"}, absl::Seconds(60));
  const Backends backends = Follow();
  resolver.Deny(kApi, absl::Hours(1));
  RunToLookup(2);
  ASSERT_EQ(Status().condition, NameCondition::kKept);
  resolver.Answer(kApi, {"192.0.2.1:443"}, absl::Seconds(60));
  loop.RunFor(absl::Seconds(1));
  EXPECT_EQ(Status().condition, NameCondition::kCurrent);
  EXPECT_EQ(Status().changes, 0u);
}

TEST_F(ResolvedBackendsTest, AFamilyThatComesLaterAddsToTheFirst) {
  const Endpoint v4 = *Endpoint::Parse("192.0.2.1:443");
  const Endpoint v6 = *Endpoint::Parse("[2001:db8::1]:443");
  resolver.AnswerInSteps(kApi, {{{{{v4}}, absl::Seconds(60)}, absl::ZeroDuration()},
                                {{{{v4}, {v6}}, absl::Seconds(60)}, absl::Seconds(2)}});
  const Backends backends = Follow();
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443"));
  bool answered = false;
  names->WhenAnswered([&] { answered = true; });
  loop.RunReady();
  EXPECT_TRUE(answered) << "the first family is enough to serve";
  loop.RunFor(absl::Seconds(2));
  EXPECT_THAT(Now(backends), UnorderedElementsAre("192.0.2.1:443", "[2001:db8::1]:443"));
  loop.RunFor(absl::Seconds(57));
  EXPECT_THAT(Now(backends), UnorderedElementsAre("192.0.2.1:443", "[2001:db8::1]:443"))
      << "nothing leaves while the rest of an answer is on its way";
  EXPECT_EQ(log.lines.size(), 2u);
}

TEST_F(ResolvedBackendsTest, AFamilyThatFailsKeepsItsAddresses) {
  resolver.Answer(kApi, {"192.0.2.1:443", "[2001:db8::1]:443"}, absl::Seconds(60));
  const Backends backends = Follow();
  ResolvedName part = {{{*Endpoint::Parse("192.0.2.2:443")}}, absl::Seconds(60)};
  part.coverage = ResolvedName::Coverage::kPart;
  resolver.Answer(kApi, part);
  loop.RunFor(absl::Minutes(2));
  EXPECT_THAT(Now(backends), UnorderedElementsAre("192.0.2.2:443", "[2001:db8::1]:443"));
  loop.RunFor(absl::Hours(1));
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.2:443")) << "for a bounded time";
}

TEST_F(ResolvedBackendsTest, AddressesThatCantBeUsedAreLeftOut) {
  ResolvedBackendsOptions options;
  options.max_addresses = 2;
  options.may_use = [](const Endpoint& endpoint) { return endpoint.AddressText() != "127.0.0.1"; };
  Start(std::move(options));
  resolver.Answer(kApi,
                  {"0.0.0.0:443", "127.0.0.1:443", "192.0.2.1:0", "192.0.2.3:443", "192.0.2.4:443",
                   "192.0.2.5:443"},
                  absl::Seconds(60));
  const Backends backends = Follow();
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.3:443", "192.0.2.4:443"));
  EXPECT_EQ(Status().refused, 4u);
}

TEST_F(ResolvedBackendsTest, AnAnswerOfUnusableAddressesIsADenial) {
  resolver.Answer(kApi, {"0.0.0.0:443"}, absl::Seconds(60));
  const Backends backends = Follow();
  EXPECT_THAT(Now(backends), IsEmpty());
  EXPECT_EQ(Status().condition, NameCondition::kDenied);
  EXPECT_THAT(log.lines.back(), HasSubstr("0 addresses; DNS has 1 address, but none may be used"));
}

TEST_F(ResolvedBackendsTest, ServicesHavePrioritiesAndWeights) {
  const char* const service = "_https._tcp.api.internal";
  ResolvedName answer;
  answer.ttl = absl::Seconds(60);
  answer.addresses = {{*Endpoint::Parse("192.0.2.1:8443"), 10, 128},
                      {*Endpoint::Parse("192.0.2.2:8443"), 20, 64}};
  resolver.Answer(service, answer);
  const Backends backends = Follow({service});
  const auto list = backends.group->current();
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[0].priority, 10);
  EXPECT_EQ((*list)[0].weight, 128u);
  EXPECT_EQ((*list)[1].priority, 20);
  answer.addresses[0].weight = 64;
  resolver.Answer(service, answer);
  loop.RunFor(absl::Seconds(57));
  EXPECT_EQ((*backends.group->current())[0].weight, 64u);
}

TEST_F(ResolvedBackendsTest, ListsShareGroupsAndNames) {
  resolver.Answer(kApi, {"192.0.2.1:443"}, absl::Seconds(60));
  Backends mixed;
  mixed.endpoints = {*Endpoint::Parse("192.0.2.9:443")};
  mixed.names = {*NamedTarget::Parse(kApi)};
  const Backends one = Follow();
  const Backends two = Follow();
  ASSERT_TRUE(names->Follow(mixed).ok());
  loop.RunReady();
  EXPECT_EQ(one.group, two.group);
  EXPECT_EQ(resolver.lookups(kApi), 1u);
  EXPECT_THAT(Now(mixed), ElementsAre("192.0.2.9:443", "192.0.2.1:443"));
  resolver.Answer(kApi, {"192.0.2.2:443"}, absl::Seconds(60));
  loop.RunFor(absl::Seconds(57));
  EXPECT_THAT(Now(one), ElementsAre("192.0.2.2:443"));
  EXPECT_THAT(Now(mixed), ElementsAre("192.0.2.9:443", "192.0.2.2:443"));
}

TEST_F(ResolvedBackendsTest, ANameThatNobodyUsesIsForgotten) {
  resolver.Answer(kApi, {"192.0.2.1:443"}, absl::Seconds(60));
  { const Backends backends = Follow(); }
  EXPECT_THAT(names->names(), IsEmpty()) << "at once";
  loop.RunFor(absl::Minutes(5));
  EXPECT_EQ(resolver.lookups(kApi), 1u);
  EXPECT_THAT(names->names(), IsEmpty());
  const Backends again = Follow();
  EXPECT_THAT(Now(again), ElementsAre("192.0.2.1:443"));
}

TEST_F(ResolvedBackendsTest, NamesAreBounded) {
  ResolvedBackendsOptions options;
  options.max_names = 2;
  Start(std::move(options));
  const Backends two = Follow({"a.test:1", "b.test:1"});
  Backends third;
  third.names = {*NamedTarget::Parse("c.test:1")};
  const absl::Status refused = names->Follow(third);
  ASSERT_TRUE(GetError(refused).has_value());
  EXPECT_EQ(GetError(refused)->code, ErrorCode::kConfiguration);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("more than 2 names"));
  EXPECT_EQ(third.group, nullptr);
}

TEST_F(ResolvedBackendsTest, DroppedNamesDoNotCount) {
  ResolvedBackendsOptions options;
  options.max_names = 2;
  Start(std::move(options));
  for (int reload = 0; reload < 3; ++reload) {
    const Backends two =
        Follow({absl::StrCat("a", reload, ".test:1"), absl::StrCat("b", reload, ".test:1")});
    EXPECT_EQ(names->names().size(), 2u);
    loop.RunFor(absl::Seconds(1));
  }
}

TEST_F(ResolvedBackendsTest, TheHostLearnsWhenAllNamesWereAnswered) {
  resolver.Answer("a.test:1", {"192.0.2.1:1"}, absl::Seconds(60), absl::Seconds(1));
  resolver.Fail("b.test:1", absl::UnavailableError("no"), absl::Seconds(3));
  const Backends backends = Follow({"a.test:1", "b.test:1"});
  int calls = 0;
  names->WhenAnswered([&] { ++calls; });
  loop.RunFor(absl::Seconds(2));
  EXPECT_EQ(calls, 0);
  loop.RunFor(absl::Seconds(2));
  EXPECT_EQ(calls, 1);
  names->WhenAnswered([&] { ++calls; });
  loop.RunReady();
  EXPECT_EQ(calls, 2);
}

TEST_F(ResolvedBackendsTest, GroupsOutliveIt) {
  resolver.Answer(kApi, {"192.0.2.1:443"}, absl::Seconds(60));
  const Backends backends = Follow();
  names.reset();
  loop.RunFor(absl::Hours(1));
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443"));
  EXPECT_EQ(resolver.open(), 0u);
}

TEST_F(ResolvedBackendsTest, BackendsWithoutNamesStayAsTheyAre) {
  Start();
  Backends backends(*Endpoint::Parse("192.0.2.1:443"));
  EXPECT_TRUE(names->Follow(backends).ok());
  EXPECT_EQ(backends.group, nullptr);
}

}  // namespace
}  // namespace trestle
