// Cases about truncated ends: the peer detects them, and gets all bytes before them.

#include "gtest/gtest.h"
#include "lib/testing/conformance/cases.h"

namespace trestle::testing {
namespace {

// Reads `b` to its end, and expects all bytes that `a` accepted, then a truncation.
void ExpectAllAndACut(Stage& s) {
  s.b->ReadOn();
  EXPECT_TRUE(s.Until([&] { return s.b->reading_is_over(); }));
  EXPECT_EQ(s.b->received.size(), s.a->accepted.size()) << "accepted bytes were lost";
  EXPECT_TRUE(s.b->received == s.a->accepted);
  if (!s.traits().shows_truncation) return;
  EXPECT_TRUE(s.b->saw_failure()) << "the stream looks complete";
  EXPECT_EQ(s.b->code(), ErrorCode::kTruncated) << s.b->transport().status();
}

// The peer reads only after the call: an immediate reset would overtake the bytes.
void ATruncatedEndLosesNoAcceptedByte(Stage& s) {
  ASSERT_TRUE(s.FillUp());
  const IoState first = s.a->Shutdown(StreamEnd::kTruncated);
  EXPECT_NE(first, IoState::kFailed);
  s.Settle();
  s.b->ReadOn();
  if (first == IoState::kWouldBlock) {
    EXPECT_EQ(s.ShutdownWhenReady(*s.a, StreamEnd::kTruncated), IoState::kOk);
  }
  ExpectAllAndACut(s);
}

void ATruncatedEndShowsAsACut(Stage& s) {
  s.a->Send(s.RandomBytes(s.RandomSize(20'000)), StreamEnd::kTruncated);
  ExpectAllAndACut(s);
  EXPECT_EQ(s.a->end_state(), IoState::kOk);
}

void ATruncatedEndIsAllowedAfterACleanOne(Stage& s) {
  ASSERT_EQ(s.a->Write("x"), IoState::kOk);
  ASSERT_EQ(s.ShutdownWhenReady(*s.a, StreamEnd::kClean), IoState::kOk);
  EXPECT_EQ(s.ShutdownWhenReady(*s.a, StreamEnd::kTruncated), IoState::kOk);
  s.b->ReadOn();
  EXPECT_TRUE(s.Until([&] { return s.b->reading_is_over(); }));
  EXPECT_EQ(s.b->received, "x");
  // The peer's last read may return either, but the peer must detect the end.
  EXPECT_TRUE(s.WriteUntilFailure(*s.b));
}

void RepeatingACompleteTruncationHasNoEffect(Stage& s) {
  ASSERT_EQ(s.ShutdownWhenReady(*s.a, StreamEnd::kTruncated), IoState::kOk);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(s.a->Shutdown(StreamEnd::kTruncated), IoState::kOk);
    s.Settle();
  }
}

void ReadsAfterATruncatedEndFailAsCancelled(Stage& s) {
  EXPECT_EQ(s.a->Read(), IoState::kWouldBlock);
  ASSERT_EQ(s.ShutdownWhenReady(*s.a, StreamEnd::kTruncated), IoState::kOk);
  // It may also end one direction only; then reading continues.
  s.Settle();
  const IoState state = s.a->Read();
  if (state == IoState::kWouldBlock) return;
  EXPECT_EQ(state, IoState::kFailed);
  EXPECT_EQ(s.a->code(), ErrorCode::kCancelled) << s.a->transport().status();
  EXPECT_GE(s.a->readable, 1) << "the blocked read did not hear of it";
}

void AbortEndsATruncationThatWaits(Stage& s) {
  ASSERT_TRUE(s.FillUp());
  s.a->Shutdown(StreamEnd::kTruncated);
  const int before = s.a->writable;
  s.a->Abort();
  s.b->ReadOn();
  EXPECT_TRUE(s.Until([&] { return s.b->reading_is_over(); }));
  s.Settle();
  EXPECT_EQ(s.a->writable, before) << "a callback came after Abort";
}

// The peer ends while its bytes are unread here: the bytes come first, then the failure.
void BytesBeforeAResetAreReadAfterAFailedWrite(Stage& s) {
  // Few enough for the buffers of the peer's system.
  ASSERT_EQ(s.b->Write(s.RandomBytes(s.RandomSize(1'000))), IoState::kOk);
  ASSERT_EQ(s.ShutdownWhenReady(*s.b, StreamEnd::kTruncated), IoState::kOk);
  if (!s.traits().shows_truncation) s.b->Destroy();
  ASSERT_TRUE(s.WriteUntilFailure(*s.a));
  s.a->ReadOn();
  EXPECT_TRUE(s.Until([&] { return s.a->reading_is_over(); }));
  EXPECT_EQ(s.a->received.size(), s.b->accepted.size()) << "bytes before the reset were lost";
  EXPECT_TRUE(s.a->received == s.b->accepted);
  if (!s.traits().shows_truncation) return;
  EXPECT_TRUE(s.a->saw_failure());
  EXPECT_EQ(s.a->code(), ErrorCode::kTruncated) << s.a->transport().status();
}

constexpr ConformanceCase kCases[] = {
    {"ATruncatedEndLosesNoAcceptedByte",
     "ShutdownWrite: kTruncated returns kWouldBlock until the peer's system has all bytes.",
     Connected<ATruncatedEndLosesNoAcceptedByte>},
    {"ATruncatedEndShowsAsACut", "StreamEnd: the stream was cut short and the peer must notice.",
     Connected<ATruncatedEndShowsAsACut>},
    {"ATruncatedEndIsAllowedAfterACleanOne",
     "ShutdownWrite: after kClean, kTruncated is allowed later.",
     Connected<ATruncatedEndIsAllowedAfterACleanOne>},
    {"RepeatingACompleteTruncationHasNoEffect",
     "ShutdownWrite: repeating an end that is complete has no effect.",
     Connected<RepeatingACompleteTruncationHasNoEffect>},
    {"ReadsAfterATruncatedEndFailAsCancelled",
     "ShutdownWrite: reads then fail with ErrorCode::kCancelled.",
     Connected<ReadsAfterATruncatedEndFailAsCancelled>},
    {"AbortEndsATruncationThatWaits",
     "ShutdownWrite: that may take for ever: set a time limit, then call Abort.",
     Connected<AbortEndsATruncationThatWaits>},
    {"BytesBeforeAResetAreReadAfterAFailedWrite",
     "After a write has failed, reads still return the bytes that arrived before a reset.",
     Connected<BytesBeforeAResetAreReadAfterAFailedWrite>},
};

}  // namespace

absl::Span<const ConformanceCase> TruncationCases() { return kCases; }

}  // namespace trestle::testing
