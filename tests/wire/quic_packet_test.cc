#include "trestle/wire/quic_packet.h"

#include <optional>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/support/hex.h"
#include "trestle/base/bytes.h"

namespace trestle {
namespace {

// A packet with the datagram that it views.
struct Read {
  explicit Read(absl::string_view hex) : datagram(testing::FromHex(hex)) {
    ok = ReadQuicPacket(AsBytes(datagram), packet);
  }
  const std::string datagram;
  QuicPacket packet;
  bool ok;
};

std::string Hex(ByteView bytes) { return absl::BytesToHexString(AsText(bytes)); }

// Returns first byte, version, a destination ID of 8 bytes, a source ID of 2.
std::string Long(absl::string_view first_byte, absl::string_view version = "00000001") {
  return absl::StrCat(first_byte, version, "08", "1122334455667788", "02", "aabb");
}

TEST(QuicPacketTest, ParsesAnInitial) {
  const Read read(Long("c3") + "03010203" + "4005" + "0000000001" + "ffff");
  ASSERT_TRUE(read.ok);
  EXPECT_EQ(read.packet.type, QuicPacketType::kInitial);
  EXPECT_EQ(read.packet.version, kQuicV1);
  EXPECT_EQ(Hex(read.packet.destination_id), "1122334455667788");
  EXPECT_EQ(Hex(read.packet.source_id), "aabb");
  EXPECT_EQ(Hex(read.packet.token), "010203");
  EXPECT_EQ(Hex(read.packet.bytes.subspan(read.packet.number_at)), "0000000001");
  EXPECT_EQ(read.packet.bytes.size() + 2, read.datagram.size());
}

TEST(QuicPacketTest, ParsesTheTypesOfBothVersions) {
  const struct {
    const char* first_byte;
    QuicPacketType v1;
    QuicPacketType v2;
  } rows[] = {
      {"c0", QuicPacketType::kInitial, QuicPacketType::kRetry},
      {"d0", QuicPacketType::kZeroRtt, QuicPacketType::kInitial},
      {"e0", QuicPacketType::kHandshake, QuicPacketType::kZeroRtt},
      {"f0", QuicPacketType::kRetry, QuicPacketType::kHandshake},
      {"80", QuicPacketType::kInitial, QuicPacketType::kRetry},  // The fixed bit may be 0.
  };
  for (const auto& row : rows) {
    for (const bool v2 : {false, true}) {
      const Read read(Long(row.first_byte, v2 ? "6b3343cf" : "00000001") + std::string(40, '0'));
      SCOPED_TRACE(row.first_byte);
      ASSERT_TRUE(read.ok);
      EXPECT_EQ(read.packet.type, v2 ? row.v2 : row.v1);
    }
  }
}

TEST(QuicPacketTest, ParsesLengthsOfEachSize) {
  for (const char* length : {"01", "4001", "80000001", "c000000000000001"}) {
    const Read read(Long("e0") + length + "7f" + "0000");
    ASSERT_TRUE(read.ok) << length;
    EXPECT_EQ(Hex(read.packet.bytes.subspan(read.packet.number_at)), "7f");
  }
}

TEST(QuicPacketTest, RetryHasATokenAndATag) {
  const Read read(Long("f0") + "746f6b656e" + std::string(32, 'a'));
  ASSERT_TRUE(read.ok);
  EXPECT_EQ(AsText(read.packet.token), "token");
  EXPECT_EQ(read.packet.bytes.size(), read.datagram.size());
  EXPECT_FALSE(Read(Long("f0") + std::string(30, 'a')).ok);
}

TEST(QuicPacketTest, OtherVersionsHaveTheirConnectionIds) {
  const Read negotiation(Long("8f", "00000000") + "00000001");
  ASSERT_TRUE(negotiation.ok);
  EXPECT_EQ(negotiation.packet.type, QuicPacketType::kVersionNegotiation);
  EXPECT_EQ(Hex(negotiation.packet.destination_id), "1122334455667788");
  const Read draft(Long("c0", "ff00001d") + "00");
  ASSERT_TRUE(draft.ok);
  EXPECT_EQ(draft.packet.type, QuicPacketType::kUnknownVersion);
  EXPECT_EQ(draft.packet.version, 0xff00001d);
  EXPECT_EQ(Hex(draft.packet.source_id), "aabb");
  // RFC 8999 allows IDs of 255 bytes.
  EXPECT_TRUE(Read("c01a2a3a4aff" + std::string(510, '1') + "00").ok);
}

TEST(QuicPacketTest, IdsOfKnownVersionsHaveAtMost20Bytes) {
  EXPECT_TRUE(Read("c00000000114" + std::string(40, '1') + "000000").ok);
  EXPECT_FALSE(Read("c00000000115" + std::string(42, '1') + "000000").ok);
  EXPECT_FALSE(Read("c0000000010015" + std::string(42, '1') + "0000").ok);
}

TEST(QuicPacketTest, ShortHeaderHasNoLength) {
  const Read read("40112233");
  ASSERT_TRUE(read.ok);
  EXPECT_EQ(read.packet.type, QuicPacketType::kShortHeader);
  EXPECT_EQ(read.packet.bytes.size(), 4u);
  EXPECT_TRUE(read.packet.destination_id.empty());
}

TEST(QuicPacketTest, HeadersThatExceedTheDatagramAreRejected) {
  const std::string whole = testing::FromHex(Long("c0") + "03010203" + "02" + "0001");
  for (size_t size = 0; size < whole.size(); ++size) {
    QuicPacket packet;
    EXPECT_FALSE(ReadQuicPacket(AsBytes(whole).subspan(0, size), packet)) << size;
  }
  EXPECT_FALSE(Read(Long("c0") + "ffffffffffffffff" + "00").ok);         // Token length.
  EXPECT_FALSE(Read(Long("c0") + "00" + "ffffffffffffffff" + "00").ok);  // Length.
}

TEST(QuicPacketTest, TypesHaveNames) {
  EXPECT_EQ(EnumName(QuicPacketType::kInitial), "initial");
  EXPECT_EQ(EnumName(QuicPacketType::kZeroRtt), "zero_rtt");
  EXPECT_EQ(EnumName(QuicPacketType::kHandshake), "handshake");
  EXPECT_EQ(EnumName(QuicPacketType::kRetry), "retry");
  EXPECT_EQ(EnumName(QuicPacketType::kVersionNegotiation), "version_negotiation");
  EXPECT_EQ(EnumName(QuicPacketType::kUnknownVersion), "unknown_version");
  EXPECT_EQ(EnumName(QuicPacketType::kShortHeader), "short_header");
}

}  // namespace
}  // namespace trestle
