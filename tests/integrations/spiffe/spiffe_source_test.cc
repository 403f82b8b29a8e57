// SpiffeSource with an agent in memory: rotation, federation, an agent that is away, and what it
// must not say.
#include "integrations/spiffe/spiffe_source.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/spiffe/fake_agent.h"
#include "trestle/base/error.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Event = SpiffeSource::Event;

class SpiffeSourceTest : public ::testing::Test {
 protected:
  static constexpr char kId[] = "spiffe://example.org/edge";

  void Start(SpiffeSourceOptions options = {}) {
    options.agent = socket_;
    auto source = SpiffeSource::Start(loop_, dialer_, std::move(options),
                                      [this](Event event, const absl::Status& status) {
                                        events_.push_back(event);
                                        last_ = status;
                                      });
    ASSERT_TRUE(source.ok()) << source.status();
    source_ = *std::move(source);
  }

  WorkloadUpdate Update(absl::Duration lifetime = absl::Hours(2)) const {
    WorkloadUpdate update;
    update.svids.push_back(IssueSvid(pki_, SvidSpec(kId, loop_.Now(), lifetime)));
    return update;
  }

  std::vector<Event> TakeEvents() { return std::exchange(events_, {}); }

  ErrorCode LastCode() const { return GetError(last_).value().code; }

  SimulatedLoop loop_;
  MemoryDialer dialer_{loop_};
  const Endpoint socket_ = *Endpoint::Parse("unix:/run/spire/agent.sock");
  const TestPki pki_{loop_.Now()};
  FakeAgent agent_{loop_, dialer_, socket_};
  std::unique_ptr<Transport> kept_;
  std::vector<Event> events_;
  absl::Status last_;
  std::unique_ptr<SpiffeSource> source_;
};

TEST_F(SpiffeSourceTest, AsksAsTheWorkloadApiSays) {
  agent_.Say(Update());
  Start();
  EXPECT_EQ(source_->context(), nullptr);
  loop_.RunReady();
  ASSERT_EQ(agent_.requests().size(), 1u);
  const HttpRequest& request = agent_.requests().front();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/SpiffeWorkloadAPI/FetchX509SVID");
  EXPECT_EQ(*request.fields.Find("workload.spiffe.io"), "true");
  EXPECT_EQ(*request.fields.Find("te"), "trailers");
  EXPECT_EQ(*request.fields.Find("content-type"), "application/grpc");
  EXPECT_THAT(TakeEvents(), ElementsAre(Event::kUpdated));
  ASSERT_NE(source_->context(), nullptr);
  EXPECT_EQ(source_->context()->id.ToString(), kId);
  const SpiffeStatus status = source_->status();
  EXPECT_TRUE(status.connected);
  EXPECT_EQ(status.agent, "unix:/run/spire/agent.sock");
  EXPECT_EQ(status.id, kId);
  EXPECT_EQ(status.fault, "");
  EXPECT_THAT(status.trust_domains, ElementsAre("example.org"));
}

TEST_F(SpiffeSourceTest, EachNewMessageReplacesTheContextAtOnce) {
  agent_.Say(Update());
  Start();
  loop_.RunReady();
  const auto first = source_->context();
  WorkloadUpdate next = Update();
  next.federated_bundles = {{"partner.test", DerOf(pki_.ca_pem())}};
  agent_.Say(next);
  loop_.RunReady();
  EXPECT_THAT(TakeEvents(), ElementsAre(Event::kUpdated, Event::kUpdated));
  EXPECT_NE(source_->context(), first);
  EXPECT_EQ(first->bundles.size(), 1u);
  EXPECT_THAT(source_->status().trust_domains, ElementsAre("example.org", "partner.test"));
  // The same once more is nothing new.
  const auto second = source_->context();
  agent_.Say(next);
  loop_.RunReady();
  EXPECT_THAT(TakeEvents(), ElementsAre());
  EXPECT_EQ(source_->context(), second);
  EXPECT_EQ(source_->status().updates, 2u);
}

TEST_F(SpiffeSourceTest, MessagesMayBeLarge) {
  WorkloadUpdate update = Update();
  const std::string ca = DerOf(pki_.ca_pem());
  std::string large;
  while (large.size() < 300'000) large += ca;
  update.federated_bundles = {{"partner.test", large}};
  agent_.Say(update);
  Start();
  loop_.RunReady();
  EXPECT_THAT(TakeEvents(), ElementsAre(Event::kUpdated)) << last_;
}

TEST_F(SpiffeSourceTest, TheLastGoodOneStaysWhileTheAgentIsGone) {
  agent_.Say(Update());
  Start();
  loop_.RunReady();
  const auto first = source_->context();
  TakeEvents();
  agent_.Leave();
  loop_.RunReady();
  EXPECT_THAT(TakeEvents(), ElementsAre(Event::kLost));
  EXPECT_FALSE(source_->status().connected);
  EXPECT_EQ(source_->context(), first);
  // The pauses grow from half a second to half a minute.
  const size_t before = dialer_.dials();
  loop_.RunFor(absl::Minutes(10));
  const size_t attempts = dialer_.dials() - before;
  EXPECT_GE(attempts, 600 / 30);
  EXPECT_LE(attempts, 600 / 15 + 10);
  EXPECT_THAT(source_->status().fault, HasSubstr("the socket is not there"));
  EXPECT_THAT(std::string(last_.message()), HasSubstr("unix:/run/spire/agent.sock"));
  TakeEvents();
  agent_.Listen();
  loop_.RunFor(absl::Seconds(31));
  // It says the same as before.
  EXPECT_THAT(TakeEvents(), ElementsAre());
  EXPECT_TRUE(source_->status().connected);
  EXPECT_EQ(source_->status().fault, "");
  EXPECT_EQ(source_->context(), first);
  agent_.Say(Update());
  loop_.RunReady();
  EXPECT_THAT(TakeEvents(), ElementsAre(Event::kUpdated));
}

TEST_F(SpiffeSourceTest, PausesDifferBetweenProcesses) {
  agent_.Leave();
  std::vector<size_t> dials;
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    SpiffeSourceOptions options;
    options.seed = seed;
    Start(options);
    const size_t before = dialer_.dials();
    loop_.RunFor(absl::Hours(1));
    dials.push_back(dialer_.dials() - before);
  }
  EXPECT_NE(dials[0], dials[1]);
}

TEST_F(SpiffeSourceTest, AnUnusableUpdateChangesNothing) {
  agent_.Say(Update());
  Start();
  loop_.RunReady();
  const auto first = source_->context();
  TakeEvents();
  WorkloadUpdate wrong_key = Update();
  wrong_key.svids[0].key_der = Update().svids[0].key_der;
  agent_.Say(wrong_key);
  loop_.RunReady();
  EXPECT_THAT(TakeEvents(), ElementsAre(Event::kRefused));
  EXPECT_EQ(LastCode(), ErrorCode::kCertificateUntrusted);
  EXPECT_EQ(source_->context(), first);
  EXPECT_EQ(source_->status().refused, 1u);
  EXPECT_NE(source_->status().fault, "");
  agent_.SayBytes("no protocol buffer");
  loop_.RunReady();
  EXPECT_THAT(TakeEvents(), ElementsAre(Event::kRefused));
  EXPECT_EQ(LastCode(), ErrorCode::kProtocol);
  agent_.SayBytes("");
  agent_.Say({});
  loop_.RunReady();
  EXPECT_EQ(LastCode(), ErrorCode::kNoCertificate);
  TakeEvents();
  agent_.Say(Update());
  loop_.RunReady();
  EXPECT_THAT(TakeEvents(), ElementsAre(Event::kUpdated)) << "the stream goes on";
  EXPECT_EQ(source_->status().fault, "");
}

TEST_F(SpiffeSourceTest, EndsAndAnswersOfTheAgentAreTypedErrors) {
  agent_.AnswerWith(7);
  Start();
  loop_.RunReady();
  EXPECT_THAT(TakeEvents(), ElementsAre(Event::kLost));
  EXPECT_EQ(LastCode(), ErrorCode::kNoCertificate);
  agent_.AnswerWith(14);
  loop_.RunFor(absl::Seconds(2));
  EXPECT_EQ(LastCode(), ErrorCode::kTransport);
  EXPECT_THAT(std::string(last_.message()), HasSubstr("gRPC status 14"));
  agent_.AnswerWith(-1);
  agent_.AnswerWithHttp(404);
  loop_.RunFor(absl::Seconds(4));
  EXPECT_EQ(LastCode(), ErrorCode::kProtocol);
  EXPECT_THAT(std::string(last_.message()), HasSubstr("HTTP status 404"));
  agent_.AnswerWithHttp(200);
  agent_.Say(Update());
  loop_.RunFor(absl::Seconds(8));
  ASSERT_TRUE(source_->status().connected) << last_;
  agent_.EndCalls(0, "");
  loop_.RunReady();
  EXPECT_EQ(LastCode(), ErrorCode::kTransport);
  EXPECT_THAT(std::string(last_.message()), HasSubstr("it ended the stream"));
}

TEST_F(SpiffeSourceTest, BytesThatAreNoGrpcEndTheCall) {
  agent_.Say(Update());
  Start();
  loop_.RunReady();
  agent_.SendRaw(std::string("\x01\x00\x00\x00\x01x", 6));  // Compressed.
  loop_.RunReady();
  EXPECT_EQ(LastCode(), ErrorCode::kProtocol);
  loop_.RunFor(absl::Seconds(2));
  agent_.SendRaw(std::string("\x00\x7f\xff\xff\xff", 5));  // Two gigabytes.
  loop_.RunReady();
  EXPECT_EQ(LastCode(), ErrorCode::kOverLimit);
  EXPECT_THAT(std::string(last_.message()), HasSubstr("over the limit of 4194304"));
  // Something else than HTTP/2 listens there.
  dialer_.Listen(socket_, [&](std::unique_ptr<Transport> transport) {
    transport->Write(AsBytes(absl::string_view("220 smtp.example ESMTP\r\n, and more words\r\n")));
    kept_ = std::move(transport);
  });
  loop_.RunFor(absl::Seconds(5));
  EXPECT_EQ(LastCode(), ErrorCode::kTransport);
  EXPECT_FALSE(source_->status().connected);
  EXPECT_NE(source_->context(), nullptr);
  source_.reset();
}

TEST_F(SpiffeSourceTest, ASilentAgentIsLeftAfterATime) {
  Start();
  loop_.RunFor(absl::Seconds(9));
  EXPECT_THAT(TakeEvents(), ElementsAre());
  loop_.RunFor(absl::Seconds(1));
  EXPECT_THAT(TakeEvents(), ElementsAre(Event::kLost));
  EXPECT_EQ(LastCode(), ErrorCode::kTimeout);
  agent_.Say(Update());
  loop_.RunFor(absl::Seconds(1));
  EXPECT_THAT(TakeEvents(), ElementsAre(Event::kUpdated));
  loop_.RunFor(absl::Minutes(1));
  EXPECT_TRUE(source_->status().connected) << "later messages have no limit";
  // A dial without an answer counts as well.
  dialer_.Refuse(socket_, absl::OkStatus(), absl::InfiniteDuration());
  agent_.EndCalls(14, "leaving");
  loop_.RunFor(absl::Seconds(11));
  EXPECT_EQ(LastCode(), ErrorCode::kTimeout);
}

TEST_F(SpiffeSourceTest, AnSvidThatIsNotRenewedIsLateOnce) {
  agent_.Say(Update(absl::Hours(2)));  // One hour of it has passed: it is late at 72 minutes.
  Start();
  loop_.RunFor(absl::Minutes(11));
  EXPECT_THAT(TakeEvents(), ElementsAre(Event::kUpdated));
  EXPECT_FALSE(source_->status().late);
  loop_.RunFor(absl::Minutes(1));
  EXPECT_THAT(TakeEvents(), ElementsAre(Event::kLate));
  EXPECT_EQ(LastCode(), ErrorCode::kCertificateExpired);
  EXPECT_TRUE(source_->status().late);
  loop_.RunFor(absl::Hours(3));
  EXPECT_THAT(TakeEvents(), ElementsAre());
  agent_.Say(Update(absl::Hours(4)));
  loop_.RunReady();
  EXPECT_THAT(TakeEvents(), ElementsAre(Event::kUpdated));
  EXPECT_FALSE(source_->status().late);
}

TEST_F(SpiffeSourceTest, RenewalsInTimeAreNeverLate) {
  agent_.Say(Update(absl::Hours(2)));
  Start();
  for (int i = 0; i < 20; ++i) {
    loop_.RunFor(absl::Minutes(10));
    agent_.Say(Update(absl::Hours(2)));
  }
  for (const Event event : TakeEvents()) EXPECT_EQ(event, Event::kUpdated);
}

TEST_F(SpiffeSourceTest, ImpossibleOptionsAreErrors) {
  const auto fault = [this](auto change) {
    SpiffeSourceOptions options;
    options.agent = socket_;
    change(options);
    const auto source = SpiffeSource::Start(loop_, dialer_, std::move(options));
    return source.ok() ? "" : GetError(source.status()).value().detail;
  };
  using Options = SpiffeSourceOptions;
  EXPECT_EQ(fault([](Options&) {}), "");
  EXPECT_THAT(fault([](Options& o) { o.agent = *Endpoint::Parse("127.0.0.1:1"); }),
              HasSubstr("Unix-domain socket"));
  EXPECT_THAT(fault([](Options& o) { o.id = "edge"; }), HasSubstr("is no SPIFFE ID"));
  EXPECT_THAT(fault([](Options& o) { o.answer_timeout = absl::ZeroDuration(); }),
              HasSubstr("from a millisecond"));
  EXPECT_THAT(fault([](Options& o) { o.first_pause = absl::Hours(1); }),
              HasSubstr("at most the longest"));
  EXPECT_THAT(fault([](Options& o) { o.late_part = 1.5; }), HasSubstr("from 0 to 1"));
}

}  // namespace
}  // namespace trestle::testing
