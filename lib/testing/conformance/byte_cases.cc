// Cases about the bytes of a transport.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "lib/testing/conformance/cases.h"
#include "trestle/io/splice_buffer.h"

namespace trestle::testing {
namespace {

constexpr size_t kManyBytes = 400'000;

void EveryAcceptedByteArrivesOnceAndInOrder(Stage& s) {
  for (StageEnd* end : {s.a.get(), s.b.get()}) {
    end->ReadOn();
    end->Send(s.RandomBytes(s.RandomSize(kManyBytes)), StreamEnd::kClean);
  }
  EXPECT_TRUE(s.Until([&] { return s.a->reading_is_over() && s.b->reading_is_over(); }))
      << s.a->received.size() << " of " << s.b->accepted.size() << " and " << s.b->received.size()
      << " of " << s.a->accepted.size() << " bytes arrived";
  EXPECT_TRUE(s.a->received == s.b->accepted);
  EXPECT_TRUE(s.b->received == s.a->accepted);
}

void ABlockedWriteHasAcceptedNothing(Stage& s) {
  ASSERT_TRUE(s.FillUp());
  const std::string accepted = s.a->accepted;
  s.b->ReadOn();
  s.Until([&] { return s.b->received.size() >= accepted.size(); });
  s.Settle();
  EXPECT_EQ(s.b->received.size(), accepted.size());
  EXPECT_TRUE(s.b->received == accepted);
}

void BytesWaitForAReaderThatPauses(Stage& s) {
  const std::string bytes = s.RandomBytes(kManyBytes);
  s.a->Send(bytes);
  for (int i = 0; i < 3; ++i) {
    s.b->ReadOn();
    const size_t part = std::min(s.b->received.size() + s.RandomSize(50'000), bytes.size());
    EXPECT_TRUE(s.Until([&] { return s.b->received.size() >= part; }));
    s.b->PauseReading();
    s.Settle();
  }
  s.b->ReadOn();
  EXPECT_TRUE(s.Until([&] { return s.b->received.size() == bytes.size(); }));
  EXPECT_TRUE(s.b->received == bytes);
}

void AReadStaysInItsBuffer(Stage& s) {
  const std::string bytes = s.RandomBytes(5'000);
  s.b->Send(bytes);
  while (s.a->received.size() < bytes.size()) {
    const int before = s.a->readable;
    const IoState state = s.a->Read(s.RandomSize(100));
    if (state == IoState::kOk) continue;
    ASSERT_EQ(state, IoState::kWouldBlock);
    ASSERT_TRUE(s.Until([&] { return s.a->readable > before; }));
  }
  EXPECT_EQ(s.a->overruns, 0);
  EXPECT_EQ(s.a->odd_counts, 0);
  EXPECT_TRUE(s.a->received == bytes);
}

void BytesAreCountedOnlyWithOk(Stage& s) {
  EXPECT_EQ(s.a->Read(), IoState::kWouldBlock);
  ASSERT_TRUE(s.FillUp());
  s.b->ReadOn();
  s.b->Send("x", StreamEnd::kClean);
  s.a->ReadOn();
  s.a->Send("", StreamEnd::kClean);
  EXPECT_TRUE(s.Until([&] { return s.a->reading_is_over() && s.b->reading_is_over(); }));
  EXPECT_EQ(s.a->odd_counts + s.b->odd_counts, 0);
}

void ASingleByteLeavesAtOnce(Stage& s) {
  for (const char* const byte : {"1", "2", "3"}) {
    ASSERT_EQ(s.a->Write(byte), IoState::kOk);
    ASSERT_EQ(s.ReadWhenReady(*s.b), IoState::kOk) << "the byte waits for more";
  }
  EXPECT_EQ(s.b->received, "123");
}

void InfoNamesBothEnds(Stage& s) {
  const TransportInfo a = s.a->transport().info();
  const TransportInfo b = s.b->transport().info();
  // A client's Unix-domain socket has no name.
  if (a.local.is_ip() || a.peer.is_ip()) {
    EXPECT_EQ(a.local.ToString(), b.peer.ToString());
    EXPECT_EQ(a.peer.ToString(), b.local.ToString());
  }
  EXPECT_TRUE(a.local == s.listening || a.peer == s.listening);
  s.a->Abort();
  EXPECT_EQ(s.a->transport().info().peer.ToString(), a.peer.ToString());
}

// Moves the contents of `pipe` out of `b`, as its peer reads.
bool EmptyPipe(Stage& s, SpliceBuffer& pipe) {
  while (pipe.size() > 0) {
    const int before = s.b->writable;
    const IoResult out = s.b->transport().WriteFrom(pipe);
    if (out.state == IoState::kFailed) return false;
    const bool blocked = out.state == IoState::kWouldBlock;
    if (blocked && !s.Until([&] { return s.b->writable > before; })) return false;
  }
  return true;
}

// Reads the input of `b` into `pipe` and sends it back, until `a` has `size` bytes.
bool EchoThrough(Stage& s, SpliceBuffer& pipe, size_t size) {
  while (s.b->received.size() < size) {
    const int before = s.b->readable;
    const IoResult in = s.b->transport().ReadInto(pipe, s.RandomSize(16 * 1024));
    if (in.state == IoState::kWouldBlock) {
      if (!s.Until([&] { return s.b->readable > before; })) return false;
    } else if (in.state != IoState::kOk) {
      return false;
    } else if (in.bytes > 0) {
      s.b->received.append(in.bytes, '?');
      if (!EmptyPipe(s, pipe)) return false;
    } else {
      // By the contract, kOk without bytes requires `Read`.
      const size_t had = s.b->received.size();
      if (s.ReadWhenReady(*s.b) != IoState::kOk) return false;
      s.b->Send(s.b->received.substr(had));
      if (!s.Until([&] { return s.b->all_sent(); })) return false;
    }
  }
  return true;
}

void BytesPassThroughPipes(Stage& s) {
  SplicePool* const pool = s.b->transport().splice_pool();
  if (pool == nullptr) return;  // An implementation may have no pipes.
  std::unique_ptr<SpliceBuffer> pipe = pool->Take();
  if (pipe == nullptr) return;
  const std::string bytes = s.RandomBytes(s.RandomSize(60'000));
  s.a->ReadOn();
  s.a->Send(bytes);
  EXPECT_TRUE(EchoThrough(s, *pipe, bytes.size()));
  pool->Return(std::move(pipe));
  EXPECT_TRUE(s.Until([&] { return s.a->received.size() == bytes.size(); }));
  EXPECT_TRUE(s.a->received == bytes);
}

constexpr ConformanceCase kCases[] = {
    {"EveryAcceptedByteArrivesOnceAndInOrder",
     "Write: at least one byte was accepted and will be sent.",
     Connected<EveryAcceptedByteArrivesOnceAndInOrder>},
    {"ABlockedWriteHasAcceptedNothing", "Write: kWouldBlock means none was accepted.",
     Connected<ABlockedWriteHasAcceptedNothing>},
    {"BytesWaitForAReaderThatPauses", "Rule 4: a caller applies back-pressure by not reading.",
     Connected<BytesWaitForAReaderThatPauses>},
    {"AReadStaysInItsBuffer", "Read: at most out.size() bytes. kOk means at least one byte.",
     Connected<AReadStaysInItsBuffer>},
    {"BytesAreCountedOnlyWithOk", "IoResult: bytes is above 0 only with kOk.",
     Connected<BytesAreCountedOnlyWithOk>},
    {"ASingleByteLeavesAtOnce", "Write: the bytes will be sent.",
     Connected<ASingleByteLeavesAtOnce>},
    {"InfoNamesBothEnds", "TransportInfo: the addresses of a transport.",
     Connected<InfoNamesBothEnds>},
    {"BytesPassThroughPipes", "ReadInto and WriteFrom: results are those of Read and Write.",
     Connected<BytesPassThroughPipes>},
};

}  // namespace

absl::Span<const ConformanceCase> ByteCases() { return kCases; }

}  // namespace trestle::testing
