#include "lib/wire/quic_hello_assembler.h"

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/support/hex.h"
#include "trestle/base/bytes.h"
#include "trestle/testing/quic_hello_kit.h"
#include "trestle/wire/quic_hello.h"

namespace trestle {
namespace wire_internal {
namespace {

using Fault = std::optional<QuicHelloFault>;
using testing::QuicCryptoFrame;
using testing::QuicHello;
using testing::QuicVarint;

class QuicHelloAssemblerTest : public ::testing::Test {
 protected:
  Fault Take(absl::string_view frames) { return assembler_.TakePacket(AsBytes(frames)); }
  Fault TakeHex(absl::string_view hex) { return Take(testing::FromHex(hex)); }
  std::string Frame(size_t begin, size_t end) const {
    return QuicCryptoFrame(begin, absl::string_view(message_).substr(begin, end - begin));
  }

  const std::string message_ = QuicHello("a.test").Message();
  QuicHelloLimits limits_;
  QuicHelloAssembler assembler_{limits_};
};

// Returns the fault of one packet for a new assembler.
Fault FaultOf(absl::string_view frames) {
  const QuicHelloLimits limits;
  return QuicHelloAssembler(limits).TakePacket(AsBytes(frames));
}
Fault FaultOfHex(absl::string_view hex) { return FaultOf(testing::FromHex(hex)); }

TEST_F(QuicHelloAssemblerTest, AssemblesOneFrame) {
  EXPECT_EQ(Take(Frame(0, message_.size())), Fault());
  ASSERT_TRUE(assembler_.done());
  EXPECT_EQ(assembler_.hello().server_name, "a.test");
  EXPECT_EQ(AsText(assembler_.hello().message), message_);
  EXPECT_TRUE(assembler_.hello().over_quic);
}

TEST_F(QuicHelloAssemblerTest, AcceptsFramesBesideCrypto) {
  EXPECT_EQ(Take(absl::StrCat("\x01", std::string(3, '\0'), Frame(0, message_.size()), "\x01",
                              std::string(500, '\0'))),
            Fault());
  EXPECT_TRUE(assembler_.done());
}

TEST_F(QuicHelloAssemblerTest, AssemblesAnyPartitionInAnyOrderWithOverlaps) {
  std::mt19937_64 random(20260526);
  for (int round = 0; round < 500; ++round) {
    SCOPED_TRACE(round);
    QuicHelloAssembler assembler(limits_);
    std::vector<bool> have(message_.size());
    size_t missing = message_.size();
    while (missing > 0) {
      ASSERT_FALSE(assembler.done());
      const size_t begin = random() % message_.size();
      const size_t end = begin + random() % std::min<size_t>(60, message_.size() - begin + 1);
      for (size_t at = begin; at < end; ++at) {
        missing -= have[at] ? 0 : 1;
        have[at] = true;
      }
      ASSERT_EQ(assembler.TakePacket(AsBytes(Frame(begin, end))), Fault());
    }
    ASSERT_TRUE(assembler.done());
    EXPECT_EQ(AsText(assembler.hello().message), message_);
  }
}

TEST_F(QuicHelloAssemblerTest, RepeatsAfterTheEndChangeNothing) {
  EXPECT_EQ(Take(Frame(0, message_.size())), Fault());
  const void* random = assembler_.hello().random.data();
  EXPECT_EQ(Take(Frame(0, message_.size())), Fault());
  EXPECT_EQ(Take(Frame(10, 20)), Fault());
  EXPECT_EQ(assembler_.hello().random.data(), random);
}

TEST_F(QuicHelloAssemblerTest, EachContradictingByteIsFound) {
  for (size_t at = 0; at < 100; ++at) {
    QuicHelloAssembler assembler(limits_);
    ASSERT_EQ(assembler.TakePacket(AsBytes(Frame(0, 40) + Frame(60, 100))), Fault());
    std::string other = message_.substr(0, 100);
    other[at] = static_cast<char>(other[at] ^ 1);
    const bool known = at < 40 || at >= 60;
    if (at < 4) continue;  // The header has faults of its own.
    EXPECT_EQ(assembler.TakePacket(AsBytes(QuicCryptoFrame(0, other))),
              known ? Fault(QuicHelloFault::kContradiction) : Fault())
        << at;
  }
}

TEST_F(QuicHelloAssemblerTest, ContradictionsInOnePacketAreFound) {
  EXPECT_EQ(Take(QuicCryptoFrame(50, "abc") + QuicCryptoFrame(52, "d")),
            QuicHelloFault::kContradiction);
}

TEST(QuicFramesTest, AckFramesAreChecked) {
  EXPECT_EQ(FaultOfHex("0200000000"), Fault());
  EXPECT_EQ(FaultOfHex("030500010201020000010203"), QuicHelloFault::kMalformedFrame);  // Below 0.
  EXPECT_EQ(FaultOfHex("02400a0001020103"), Fault());        // 10 to 8, and 5 to 2.
  EXPECT_EQ(FaultOfHex("03400a0001020103010203"), Fault());  // With ECN counts.
  EXPECT_EQ(FaultOfHex("0201000002"), QuicHelloFault::kMalformedFrame);
  EXPECT_EQ(FaultOfHex("02400a0001020600"), Fault());
  EXPECT_EQ(FaultOfHex("02400a0001020700"), QuicHelloFault::kMalformedFrame);
  EXPECT_EQ(FaultOfHex("020aff"), QuicHelloFault::kMalformedFrame);
  EXPECT_EQ(FaultOfHex("020a00ffffffffffffffff02"), QuicHelloFault::kMalformedFrame);
}

TEST(QuicFramesTest, FramesThatExceedThePacketAreMalformed) {
  for (const char* hex : {"06", "0600", "060001", "06000541414141", "0600ffffffffffffffff41", "02",
                          "0200", "020000", "02000000", "030000000000", "03000000000000"}) {
    EXPECT_EQ(FaultOfHex(hex), QuicHelloFault::kMalformedFrame) << hex;
  }
  // Offset and length together over 2^62-1 (RFC 9000 19.6).
  EXPECT_EQ(FaultOfHex("06ffffffffffffffff0141"), QuicHelloFault::kMalformedFrame);
}

TEST(QuicFramesTest, FramesThatInitialsMustNotHaveAreForbidden) {
  for (int type = 0x04; type < 0x80; ++type) {
    if (type == 0x06 || type == 0x1c) continue;
    const std::string frames(20, static_cast<char>(type));
    EXPECT_EQ(FaultOf(frames), QuicHelloFault::kForbiddenFrame) << type;
  }
  // PADDING in a longer form.
  EXPECT_EQ(FaultOfHex("4000"), QuicHelloFault::kForbiddenFrame);
}

TEST(QuicFramesTest, EmptyPacketsAndClosesAreHandled) {
  EXPECT_EQ(FaultOf(""), QuicHelloFault::kNoFrames);
  EXPECT_EQ(FaultOfHex("1c000000"), QuicHelloFault::kClosed);
  EXPECT_EQ(FaultOfHex("060000"), Fault());  // An empty CRYPTO frame.
}

TEST_F(QuicHelloAssemblerTest, OtherMessagesAreFaults) {
  EXPECT_EQ(Take(QuicCryptoFrame(0, "\x02")), QuicHelloFault::kNotClientHello);
}

TEST_F(QuicHelloAssemblerTest, BytesAfterTheHelloAreFaults) {
  EXPECT_EQ(FaultOf(QuicCryptoFrame(0, message_ + "x")), QuicHelloFault::kBeyondHello);
  // The bytes after the hello come before the header that reveals them.
  EXPECT_EQ(FaultOf(QuicCryptoFrame(message_.size(), "x") + Frame(0, 4)),
            QuicHelloFault::kBeyondHello);
  EXPECT_EQ(Take(Frame(0, message_.size())), Fault());
  EXPECT_EQ(Take(QuicCryptoFrame(message_.size(), "x")), QuicHelloFault::kBeyondHello);
}

TEST_F(QuicHelloAssemblerTest, MalformedHelloHasAReason) {
  std::string message = message_;
  message[4] = '\xfe';  // The version of DTLS.
  EXPECT_EQ(Take(QuicCryptoFrame(0, message)), QuicHelloFault::kMalformedHello);
  EXPECT_EQ(assembler_.reason(), "a legacy_version that no TLS client sends");
  EXPECT_FALSE(assembler_.done());
}

TEST_F(QuicHelloAssemblerTest, TheHelloIsLimited) {
  const size_t most = 4 + limits_.hello_bytes;
  EXPECT_EQ(FaultOf(QuicCryptoFrame(most - 1, "x")), Fault());
  EXPECT_EQ(FaultOf(QuicCryptoFrame(most, "x")), QuicHelloFault::kHelloTooLarge);
  EXPECT_EQ(FaultOf(QuicCryptoFrame(uint64_t{1} << 61, "x")), QuicHelloFault::kHelloTooLarge);
  EXPECT_EQ(FaultOf(QuicCryptoFrame(0, absl::string_view("\x01\x00\x40\x00", 4))), Fault());
  EXPECT_EQ(FaultOf(QuicCryptoFrame(0, absl::string_view("\x01\x00\x40\x01", 4))),
            QuicHelloFault::kHelloTooLarge);
}

TEST_F(QuicHelloAssemblerTest, GapsAreLimited) {
  limits_.gaps = 3;
  EXPECT_EQ(Take(Frame(0, 4) + Frame(10, 11) + Frame(20, 21) + Frame(30, 31)), Fault());
  EXPECT_EQ(Take(Frame(4, 11) + Frame(40, 41)), Fault());
  EXPECT_EQ(Take(Frame(50, 51)), QuicHelloFault::kTooManyGaps);
  QuicHelloAssembler headless(limits_);
  EXPECT_EQ(headless.TakePacket(AsBytes(Frame(10, 11) + Frame(20, 21) + Frame(30, 31))), Fault());
  EXPECT_EQ(headless.TakePacket(AsBytes(Frame(40, 41))), QuicHelloFault::kTooManyGaps);
}

}  // namespace
}  // namespace wire_internal
}  // namespace trestle
