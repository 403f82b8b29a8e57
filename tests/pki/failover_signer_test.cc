#include "trestle/pki/failover_signer.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pki/pki_fixture.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

absl::Status Away() {
  return MakeError(ErrorCode::kTransport, Phase::kHandshake, "the token is gone");
}

// Answers as the test says: inside the call, or later by `Answer`.
class ScriptedSigner final : public Signer {
 public:
  std::unique_ptr<PendingCall> Sign(SignatureScheme, ByteView input, Scheduler&,
                                    Done done) const override {
    ++calls;
    if (holds) {
      held = std::move(done);
      return std::make_unique<Held>(*this);
    }
    if (failure.ok()) {
      done(absl::StrCat(name, ":", AsText(input)));
    } else {
      done(failure);
    }
    return nullptr;
  }

  void Answer(absl::StatusOr<std::string> answer) { std::exchange(held, nullptr)(answer); }

  std::string name;
  absl::Status failure;
  bool holds = false;
  mutable int calls = 0;
  mutable int dropped = 0;
  mutable Done held;

 private:
  class Held final : public PendingCall {
   public:
    explicit Held(const ScriptedSigner& signer) : signer_(signer) {}
    ~Held() override { ++signer_.dropped; }

   private:
    const ScriptedSigner& signer_;
  };
};

class Notes final : public FailoverObserver {
 public:
  void OnFailure(size_t index, const absl::Status& /*why*/, absl::Duration pause) override {
    lines.push_back(absl::StrCat(index, " failed, ", absl::FormatDuration(pause)));
  }
  void OnRecovery(size_t index) override { lines.push_back(absl::StrCat(index, " works")); }

  std::vector<std::string> lines;
};

class FailoverSignerTest : public ::testing::Test {
 protected:
  FailoverSignerTest() {
    first_->name = "first";
    second_->name = "second";
  }
  // A held callback owns its call, and that both signers.
  ~FailoverSignerTest() override {
    first_->held = nullptr;
    second_->held = nullptr;
  }

  std::shared_ptr<const FailoverSigner> Both() {
    FailoverOptions options;
    options.max_pause = absl::Seconds(4);
    options.observer = notes_;
    return *FailoverSigner::Create({first_, second_}, options);
  }

  std::unique_ptr<PendingCall> Ask(const Signer& signer) {
    answer_.reset();
    return signer.Sign(SignatureScheme::kEd25519, AsBytes("text"), loop_,
                       [this](absl::StatusOr<std::string> made) { answer_ = std::move(made); });
  }

  std::string Text() const {
    if (!answer_.has_value()) return "no answer";
    return answer_->ok() ? **answer_ : std::string(answer_->status().message());
  }

  SimulatedLoop loop_;
  const std::shared_ptr<ScriptedSigner> first_ = std::make_shared<ScriptedSigner>();
  const std::shared_ptr<ScriptedSigner> second_ = std::make_shared<ScriptedSigner>();
  const std::shared_ptr<Notes> notes_ = std::make_shared<Notes>();
  std::optional<absl::StatusOr<std::string>> answer_;
};

TEST_F(FailoverSignerTest, AsksTheFirstOne) {
  EXPECT_EQ(Ask(*Both()), nullptr) << "the answer came inside the call";
  EXPECT_EQ(Text(), "first:text");
  EXPECT_EQ(second_->calls, 0);
}

TEST_F(FailoverSignerTest, ASignerThatIsAwayGetsPausesThatDouble) {
  const auto signer = Both();
  first_->failure = Away();
  std::vector<int> calls;
  for (int second = 0; second < 12; ++second) {
    Ask(*signer);
    EXPECT_EQ(Text(), "second:text");
    calls.push_back(first_->calls);
    loop_.RunFor(absl::Seconds(1));
  }
  // After 1, 2, 4 and again 4 seconds, which is the longest pause.
  EXPECT_THAT(calls, ElementsAre(1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5));
  EXPECT_THAT(notes_->lines, ElementsAre("0 failed, 1s", "0 failed, 2s", "0 failed, 4s",
                                         "0 failed, 4s", "0 failed, 4s"));
}

TEST_F(FailoverSignerTest, ASignerThatIsBackIsUsedAgain) {
  const auto signer = Both();
  first_->failure = Away();
  Ask(*signer);
  first_->failure = absl::OkStatus();
  Ask(*signer);
  EXPECT_EQ(Text(), "second:text") << "it still has its pause";
  loop_.RunFor(absl::Seconds(1));
  Ask(*signer);
  EXPECT_EQ(Text(), "first:text");
  EXPECT_THAT(notes_->lines, ElementsAre("0 failed, 1s", "0 works"));
}

TEST_F(FailoverSignerTest, OneCallTriesASignerAfterItsPause) {
  const auto signer = Both();
  first_->failure = Away();
  Ask(*signer);
  loop_.RunFor(absl::Seconds(1));
  first_->holds = true;
  const auto trial = Ask(*signer);
  EXPECT_EQ(first_->calls, 2);
  Ask(*signer);
  EXPECT_EQ(Text(), "second:text") << "the others don't wait for it";
  EXPECT_EQ(first_->calls, 2);
}

TEST_F(FailoverSignerTest, WhileAllPauseCallsFailAtOnce) {
  const auto signer = Both();
  first_->failure = second_->failure = Away();
  Ask(*signer);
  EXPECT_THAT(Text(), HasSubstr("the token is gone"));
  loop_.RunFor(absl::Milliseconds(250));
  EXPECT_EQ(Ask(*signer), nullptr);
  EXPECT_THAT(Text(), HasSubstr("the token is gone; it is asked again in 750ms"));
  EXPECT_EQ(CodeOf(answer_->status()), ErrorCode::kTransport);
  EXPECT_EQ(first_->calls + second_->calls, 2);
}

TEST_F(FailoverSignerTest, OtherFailuresGiveNoPause) {
  const auto signer = Both();
  first_->failure = OverLimitError(Limit::kTasks, Phase::kHandshake, "all are busy");
  Ask(*signer);
  EXPECT_EQ(Text(), "second:text");
  Ask(*signer);
  EXPECT_EQ(first_->calls, 2);
  second_->failure = MakeError(ErrorCode::kInternal, Phase::kHandshake, "no such mechanism");
  Ask(*signer);
  EXPECT_EQ(CodeOf(answer_->status()), ErrorCode::kInternal) << "the last one's error";
  EXPECT_THAT(notes_->lines, IsEmpty());
}

TEST_F(FailoverSignerTest, ALateFailureLeadsToTheNextSigner) {
  const auto signer = Both();
  first_->holds = second_->holds = true;
  const auto pending = Ask(*signer);
  first_->Answer(MakeError(ErrorCode::kTimeout, Phase::kHandshake, "no answer"));
  EXPECT_EQ(first_->dropped, 1);
  EXPECT_EQ(Text(), "no answer");
  second_->Answer("late");
  EXPECT_EQ(Text(), "late");
}

TEST_F(FailoverSignerTest, CancellationReachesTheSigner) {
  const auto signer = Both();
  first_->holds = true;
  Ask(*signer).reset();
  EXPECT_EQ(first_->dropped, 1);
  first_->Answer(Away());  // Too late, but harmless.
  EXPECT_FALSE(answer_.has_value());
  EXPECT_EQ(second_->calls, 0);
}

TEST_F(FailoverSignerTest, UnusableOptionsAreRefused) {
  EXPECT_EQ(CodeOf(FailoverSigner::Create({}).status()), ErrorCode::kConfiguration);
  EXPECT_EQ(CodeOf(FailoverSigner::Create({first_, nullptr}).status()), ErrorCode::kConfiguration);
  FailoverOptions options;
  options.min_pause = absl::Minutes(2);
  EXPECT_EQ(CodeOf(FailoverSigner::Create({first_}, options).status()), ErrorCode::kConfiguration);
}

}  // namespace
}  // namespace trestle::testing
