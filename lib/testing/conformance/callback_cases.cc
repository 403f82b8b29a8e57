// Cases about the callbacks of a transport.

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/testing/conformance/cases.h"

namespace trestle::testing {
namespace {

void ReadOfNothingWouldBlock(Stage& s) {
  const Timer later = s.loop().RunAfter(absl::Milliseconds(20), [&s] { s.b->Write("later"); });
  EXPECT_EQ(s.a->Read(), IoState::kWouldBlock);
  EXPECT_EQ(s.a->received, "") << "the call waited for bytes";
  while (s.a->received.size() < 5 && s.ReadWhenReady(*s.a) == IoState::kOk) continue;
  EXPECT_EQ(s.a->received, "later");
}

void AWriteThatFindsNoRoomWouldBlock(Stage& s) {
  EXPECT_TRUE(s.FillUp()) << "after " << s.a->accepted.size() << " bytes";
  // Only the peer's reading may let the writer continue.
  s.b->ReadOn();
  EXPECT_TRUE(s.Until([&] { return s.a->writable > 0; }));
}

void NoCallbackComesFromInsideACall(Stage& s) {
  for (StageEnd* end : {s.a.get(), s.b.get()}) {
    end->ReadOn();
    end->Send(s.RandomBytes(s.RandomSize(300'000)), StreamEnd::kClean);
  }
  EXPECT_TRUE(s.Until([&] { return s.a->reading_is_over() && s.b->reading_is_over(); }));
  EXPECT_EQ(s.a->nested + s.b->nested, 0);
}

void NoCallbackWithoutABlockedCall(Stage& s) {
  ASSERT_EQ(s.b->Write("ab"), IoState::kOk);
  s.Settle();
  EXPECT_EQ(s.a->readable, 0) << "OnReadable although no read was blocked";
  EXPECT_EQ(s.a->writable, 0) << "OnWritable although no write was blocked";
  ASSERT_EQ(s.ReadWhenReady(*s.a), IoState::kOk);
  const int before = s.a->readable;
  ASSERT_EQ(s.b->Write("cd"), IoState::kOk);
  s.Settle();
  EXPECT_EQ(s.a->readable, before) << "OnReadable although the last read was not blocked";
}

void ManyBlockedReadsGetOneOnReadable(Stage& s) {
  const size_t reads = 1 + s.RandomSize(5);
  for (size_t i = 0; i < reads; ++i) EXPECT_EQ(s.a->Read(), IoState::kWouldBlock);
  ASSERT_EQ(s.b->Write("x"), IoState::kOk);
  EXPECT_TRUE(s.Until([&] { return s.a->readable > 0; }));
  ASSERT_EQ(s.b->Write("y"), IoState::kOk);
  s.Settle();
  EXPECT_EQ(s.a->readable, 1);
}

void ManyBlockedWritesGetOneOnWritable(Stage& s) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(s.FillUp());
  s.b->ReadOn();
  EXPECT_TRUE(s.Until([&] { return s.a->writable > 0; }));
  s.Settle();
  EXPECT_EQ(s.a->writable, 1);
}

void ABlockedWriteAndAShutdownGetOneOnWritable(Stage& s) {
  ASSERT_TRUE(s.FillUp());
  const bool waits = s.a->Shutdown(StreamEnd::kClean) == IoState::kWouldBlock;
  s.b->ReadOn();
  s.Until([&] { return s.a->writable > 0 || s.b->reading_is_over(); });
  s.Settle();
  EXPECT_LE(s.a->writable, 1);
  EXPECT_EQ(s.a->writable, waits ? 1 : s.a->writable) << "the blocked shutdown got no callback";
}

void EveryBlockedReadGetsACallback(Stage& s) {
  for (int i = 0; i < 30; ++i) {
    const size_t before = s.a->received.size();
    EXPECT_EQ(s.a->Read(), IoState::kWouldBlock);
    if (s.RandomSize(2) == 1) s.Settle();
    ASSERT_EQ(s.b->Write("x"), IoState::kOk);
    ASSERT_EQ(s.ReadWhenReady(*s.a), IoState::kOk) << "read " << i;
    ASSERT_EQ(s.a->received.size(), before + 1);
  }
}

void EveryBlockedWriteGetsACallback(Stage& s) {
  s.b->ReadOn();
  for (int i = 0; i < 5; ++i) {
    const int before = s.a->writable;
    ASSERT_TRUE(s.FillUp());
    ASSERT_TRUE(s.Until([&] { return s.a->writable > before; })) << "write " << i;
  }
  EXPECT_TRUE(s.Until([&] { return s.b->received.size() == s.a->accepted.size(); }));
}

void ABlockedReadHearsOfTheEnd(Stage& s) {
  EXPECT_EQ(s.a->Read(), IoState::kWouldBlock);
  ASSERT_EQ(s.ShutdownWhenReady(*s.b, StreamEnd::kClean), IoState::kOk);
  EXPECT_EQ(s.ReadWhenReady(*s.a), IoState::kEndOfStream);
}

void ABlockedReadHearsOfAFailure(Stage& s) {
  EXPECT_EQ(s.a->Read(), IoState::kWouldBlock);
  s.b->Abort();
  EXPECT_NE(s.ReadWhenReady(*s.a), IoState::kWouldBlock);
}

void ABlockedWriteHearsOfAFailure(Stage& s) {
  ASSERT_TRUE(s.FillUp());
  s.b->Abort();
  EXPECT_TRUE(s.Until([&] { return s.a->writable > 0; }));
  EXPECT_TRUE(s.WriteUntilFailure(*s.a));
}

void NoCallbackAfterAbort(Stage& s) {
  EXPECT_EQ(s.a->Read(), IoState::kWouldBlock);
  ASSERT_TRUE(s.FillUp());
  ASSERT_EQ(s.b->Write("x"), IoState::kOk);
  s.b->ReadOn();
  s.a->Abort();
  s.Settle();
  EXPECT_EQ(s.a->readable + s.a->writable, 0);
}

void NoCallbackAfterDestruction(Stage& s) {
  EXPECT_EQ(s.a->Read(), IoState::kWouldBlock);
  ASSERT_TRUE(s.FillUp());
  ASSERT_EQ(s.b->Write("x"), IoState::kOk);
  s.b->ReadOn();
  s.a->Destroy();
  s.Settle();
  EXPECT_EQ(s.a->readable + s.a->writable, 0);
}

// Both callbacks are due, and the second one must not follow.
void EndInside(Stage& s, void (*end)(StageEnd&)) {
  const auto end_now = [&] {
    if (!s.a->destroyed()) end(*s.a);
  };
  s.a->on_readable = end_now;
  s.a->on_writable = end_now;
  EXPECT_EQ(s.a->Read(), IoState::kWouldBlock);
  ASSERT_TRUE(s.FillUp());
  ASSERT_EQ(s.b->Write("x"), IoState::kOk);
  s.b->ReadOn();
  EXPECT_TRUE(s.Until([&] { return s.a->readable + s.a->writable > 0; }));
  s.Settle();
  EXPECT_EQ(s.a->readable + s.a->writable, 1);
}

void AbortIsAllowedInsideACallback(Stage& s) {
  EndInside(s, [](StageEnd& end) { end.Abort(); });
}

void DestructionIsAllowedInsideACallback(Stage& s) {
  EndInside(s, [](StageEnd& end) { end.Destroy(); });
}

void APendingCallbackGoesToTheHandlerOfItsTime(Stage& s) {
  struct Handler final : TransportHandler {
    void OnReadable() override { ++readable; }
    void OnWritable() override {}
    int readable = 0;
  } later;
  EXPECT_EQ(s.a->Read(), IoState::kWouldBlock);
  s.a->transport().SetHandler(&later);
  ASSERT_EQ(s.b->Write("x"), IoState::kOk);
  EXPECT_TRUE(s.Until([&] { return later.readable == 1; }));
  EXPECT_EQ(s.a->readable, 0);
  s.a->transport().SetHandler(s.a.get());
}

void ANullHandlerGetsNoCallback(Stage& s) {
  EXPECT_EQ(s.a->Read(), IoState::kWouldBlock);
  s.a->transport().SetHandler(nullptr);
  ASSERT_EQ(s.b->Write("x"), IoState::kOk);
  s.Settle();
  EXPECT_EQ(s.a->readable, 0);
}

constexpr ConformanceCase kCases[] = {
    {"ReadOfNothingWouldBlock", "Rule 1: no call blocks.", Connected<ReadOfNothingWouldBlock>},
    {"AWriteThatFindsNoRoomWouldBlock", "Rule 4: a caller applies back-pressure by not reading.",
     Connected<AWriteThatFindsNoRoomWouldBlock>},
    {"NoCallbackComesFromInsideACall",
     "Rule 2: the handler is called only from the loop, never from inside a call.",
     Connected<NoCallbackComesFromInsideACall>},
    {"NoCallbackWithoutABlockedCall", "Rule 3: after kWouldBlock, and only then.",
     Connected<NoCallbackWithoutABlockedCall>},
    {"ManyBlockedReadsGetOneOnReadable", "Rule 3: one OnReadable for any number of blocked reads.",
     Connected<ManyBlockedReadsGetOneOnReadable>},
    {"ManyBlockedWritesGetOneOnWritable",
     "Rule 3: one OnWritable for any number of blocked writes.",
     Connected<ManyBlockedWritesGetOneOnWritable>},
    {"ABlockedWriteAndAShutdownGetOneOnWritable",
     "Rule 3: one OnWritable for any number of blocked writes and shutdowns.",
     Connected<ABlockedWriteAndAShutdownGetOneOnWritable>},
    {"EveryBlockedReadGetsACallback",
     "Rule 3: after kWouldBlock a callback follows once progress is possible.",
     Connected<EveryBlockedReadGetsACallback>},
    {"EveryBlockedWriteGetsACallback",
     "Rule 3: after kWouldBlock a callback follows once progress is possible.",
     Connected<EveryBlockedWriteGetsACallback>},
    {"ABlockedReadHearsOfTheEnd", "OnReadable: a read may succeed now, or end, or fail.",
     Connected<ABlockedReadHearsOfTheEnd>},
    {"ABlockedReadHearsOfAFailure", "OnReadable: a read may succeed now, or end, or fail.",
     Connected<ABlockedReadHearsOfAFailure>},
    {"ABlockedWriteHearsOfAFailure", "Rule 3: a failure is progress.",
     Connected<ABlockedWriteHearsOfAFailure>},
    {"NoCallbackAfterAbort", "Rule 5: no callback comes after Abort.",
     Connected<NoCallbackAfterAbort>},
    {"NoCallbackAfterDestruction", "Rule 5: no callback comes after destruction.",
     Connected<NoCallbackAfterDestruction>},
    {"AbortIsAllowedInsideACallback", "Rule 5: both are allowed inside a callback.",
     Connected<AbortIsAllowedInsideACallback>},
    {"DestructionIsAllowedInsideACallback", "Rule 5: both are allowed inside a callback.",
     Connected<DestructionIsAllowedInsideACallback>},
    {"APendingCallbackGoesToTheHandlerOfItsTime",
     "SetHandler: a pending callback goes to the handler that is set when it is made.",
     Connected<APendingCallbackGoesToTheHandlerOfItsTime>},
    {"ANullHandlerGetsNoCallback", "SetHandler: null for none.",
     Connected<ANullHandlerGetsNoCallback>},
};

}  // namespace

absl::Span<const ConformanceCase> CallbackCases() { return kCases; }

}  // namespace trestle::testing
