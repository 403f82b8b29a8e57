// Cases about clean ends, destruction and abort of a stream.

#include <csignal>
#include <string>

#include "gtest/gtest.h"
#include "lib/testing/conformance/cases.h"

namespace trestle::testing {
namespace {

constexpr size_t kManyBytes = 200'000;

volatile std::sig_atomic_t signals_raised = 0;

void ACleanEndFollowsAllBytes(Stage& s) {
  const std::string bytes = s.RandomBytes(s.RandomSize(kManyBytes));
  s.b->ReadOn();
  s.a->Send(bytes, StreamEnd::kClean);
  EXPECT_TRUE(s.Until([&] { return s.b->reading_is_over() && s.a->end_state().has_value(); }));
  EXPECT_EQ(s.a->end_state(), IoState::kOk);
  EXPECT_TRUE(s.b->saw_end()) << s.b->transport().status();
  EXPECT_TRUE(s.b->received == bytes);
  EXPECT_TRUE(s.b->transport().status().ok()) << s.b->transport().status();
}

void AfterACleanEndReadingGoesOn(Stage& s) {
  ASSERT_EQ(s.ShutdownWhenReady(*s.a, StreamEnd::kClean), IoState::kOk);
  EXPECT_EQ(s.ReadWhenReady(*s.b), IoState::kEndOfStream);
  const std::string answer = s.RandomBytes(s.RandomSize(kManyBytes));
  s.a->ReadOn();
  s.b->Send(answer, StreamEnd::kClean);
  EXPECT_TRUE(s.Until([&] { return s.a->reading_is_over(); }));
  EXPECT_TRUE(s.a->saw_end()) << s.a->transport().status();
  EXPECT_TRUE(s.a->received == answer);
}

void RepeatingACompleteEndHasNoEffect(Stage& s) {
  ASSERT_EQ(s.ShutdownWhenReady(*s.a, StreamEnd::kClean), IoState::kOk);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(s.a->Shutdown(StreamEnd::kClean), IoState::kOk);
    s.Settle();
  }
  EXPECT_EQ(s.ReadWhenReady(*s.b), IoState::kEndOfStream);
  ASSERT_EQ(s.b->Write("x"), IoState::kOk);
  EXPECT_EQ(s.ReadWhenReady(*s.a), IoState::kOk);
}

void AnEndIsPermanent(Stage& s) {
  ASSERT_EQ(s.ShutdownWhenReady(*s.b, StreamEnd::kClean), IoState::kOk);
  ASSERT_EQ(s.ReadWhenReady(*s.a), IoState::kEndOfStream);
  const int before = s.a->readable;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(s.a->Read(), IoState::kEndOfStream);
    s.Settle();
  }
  EXPECT_EQ(s.a->readable, before) << "a callback came after the end";
}

void AFailureIsPermanent(Stage& s) {
  s.b->Abort();
  while (s.ReadWhenReady(*s.a) == IoState::kOk) continue;
  const IoState ended = s.a->Read();
  EXPECT_TRUE(ended == IoState::kFailed || !s.traits().shows_truncation);
  const int before = s.a->readable;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(s.a->Read(), ended);
    s.Settle();
  }
  EXPECT_EQ(s.a->readable, before) << "a callback came after the failure";
  ASSERT_TRUE(s.WriteUntilFailure(*s.a));
  EXPECT_EQ(s.a->Write("x"), IoState::kFailed);
}

void AnAbortIsATruncation(Stage& s) {
  EXPECT_TRUE(s.a->transport().status().ok()) << "there was no failure yet";
  s.b->Abort();
  IoState state = s.ReadWhenReady(*s.a);
  while (state == IoState::kOk) state = s.ReadWhenReady(*s.a);
  if (!s.traits().shows_truncation) return;
  EXPECT_EQ(state, IoState::kFailed);
  EXPECT_EQ(s.a->code(), ErrorCode::kTruncated) << s.a->transport().status();
}

void AfterAbortHarmlessCallsAreAllowed(Stage& s) {
  ASSERT_TRUE(s.FillUp());
  s.a->Abort();
  s.a->Abort();
  s.a->transport().info();
  s.a->transport().SetHandler(nullptr);
  s.a->transport().SetHandler(s.a.get());
  s.a->transport().status().IgnoreError();
  s.a->Abort();
  s.Settle();
  EXPECT_EQ(s.a->readable + s.a->writable, 0);
  s.a->Destroy();
}

void AnEndIsAllowedAfterAFailure(Stage& s) {
  s.b->Abort();
  while (s.ReadWhenReady(*s.a) == IoState::kOk) continue;
  ASSERT_TRUE(s.WriteUntilFailure(*s.a));
  EXPECT_NE(s.ShutdownWhenReady(*s.a, StreamEnd::kClean), IoState::kWouldBlock);
}

void NothingIsLostIfBothReadToTheEnd(Stage& s) {
  for (StageEnd* end : {s.a.get(), s.b.get()}) {
    end->ReadOn();
    end->Send(s.RandomBytes(s.RandomSize(kManyBytes)), StreamEnd::kClean);
  }
  EXPECT_TRUE(s.Until([&] { return s.a->reading_is_over() && s.a->end_state().has_value(); }));
  s.a->Destroy();
  EXPECT_TRUE(s.Until([&] { return s.b->reading_is_over(); }));
  EXPECT_TRUE(s.b->saw_end()) << s.b->transport().status();
  EXPECT_TRUE(s.b->received == s.a->accepted);
}

void DestructionSendsWhatTheSystemHolds(Stage& s) {
  if (!s.traits().sends_after_destruction) return;
  ASSERT_EQ(s.a->Write(s.RandomBytes(s.RandomSize(30'000))), IoState::kOk);
  ASSERT_EQ(s.ShutdownWhenReady(*s.a, StreamEnd::kClean), IoState::kOk);
  s.a->Destroy();
  s.b->ReadOn();
  EXPECT_TRUE(s.Until([&] { return s.b->reading_is_over(); }));
  EXPECT_TRUE(s.b->saw_end()) << s.b->transport().status();
  EXPECT_TRUE(s.b->received == s.a->accepted);
}

void AWriteToAClosedPeerFailsWithoutASignal(Stage& s) {
  signals_raised = 0;
  const auto old_action = std::signal(SIGPIPE, [](int) { signals_raised = signals_raised + 1; });
  s.b->Destroy();
  s.a->ReadOn();
  EXPECT_TRUE(s.WriteUntilFailure(*s.a));
  std::signal(SIGPIPE, old_action);
  EXPECT_EQ(signals_raised, 0) << "the write raised SIGPIPE";
  EXPECT_FALSE(s.a->transport().status().ok()) << "there is no reason for the failure";
}

constexpr ConformanceCase kCases[] = {
    {"ACleanEndFollowsAllBytes",
     "ShutdownWrite: sends all accepted bytes, then the mark for `end`.",
     Connected<ACleanEndFollowsAllBytes>},
    {"AfterACleanEndReadingGoesOn", "ShutdownWrite: after kClean, reading goes on (half-close).",
     Connected<AfterACleanEndReadingGoesOn>},
    {"RepeatingACompleteEndHasNoEffect",
     "ShutdownWrite: repeating an end that is complete has no effect.",
     Connected<RepeatingACompleteEndHasNoEffect>},
    {"AnEndIsPermanent", "Ends are permanent: the same call always returns the same.",
     Connected<AnEndIsPermanent>},
    {"AFailureIsPermanent", "Ends are permanent: the same call always returns the same.",
     Connected<AFailureIsPermanent>},
    {"AnAbortIsATruncation",
     "Read: an end of the stream that is not clean is kFailed with ErrorCode::kTruncated.",
     Connected<AnAbortIsATruncation>},
    {"AfterAbortHarmlessCallsAreAllowed",
     "Abort: afterwards only Abort, status, info, SetHandler and destruction are allowed.",
     Connected<AfterAbortHarmlessCallsAreAllowed>},
    {"AnEndIsAllowedAfterAFailure", "ShutdownWrite: allowed after a failure too.",
     Connected<AnEndIsAllowedAfterAFailure>},
    {"NothingIsLostIfBothReadToTheEnd",
     "Call ShutdownWrite and read to the end before you destroy a transport.",
     Connected<NothingIsLostIfBothReadToTheEnd>},
    {"DestructionSendsWhatTheSystemHolds",
     "Destruction: the system still sends the accepted bytes that it holds.",
     Connected<DestructionSendsWhatTheSystemHolds>},
    {"AWriteToAClosedPeerFailsWithoutASignal",
     "A write to a closed peer fails and raises no signal.",
     Connected<AWriteToAClosedPeerFailsWithoutASignal>},
};

}  // namespace

absl::Span<const ConformanceCase> EndCases() { return kCases; }

}  // namespace trestle::testing
