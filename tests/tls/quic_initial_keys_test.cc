// Compares the keys, the decryption and the kit with the sample packets of the RFCs.
#include "lib/tls/quic/quic_initial_keys.h"

#include <optional>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/support/hex.h"
#include "tests/tls/quic_vectors.h"
#include "trestle/base/bytes.h"
#include "trestle/testing/quic_hello_kit.h"
#include "trestle/wire/quic_packet.h"

namespace trestle {
namespace {

using testing::QuicInitialHeader;

std::string Bytes(absl::string_view hex) { return testing::FromHex(hex); }

template <typename Container>
std::string Hex(const Container& bytes) {
  return absl::BytesToHexString(AsText(bytes));
}

class QuicVectorTest : public ::testing::TestWithParam<QuicVector> {
 protected:
  QuicInitialKeys Keys(QuicSender sender) const {
    return DeriveQuicInitialKeys(GetParam().version, AsBytes(client_id_), sender);
  }
  std::optional<OpenedQuicInitial> Open(absl::string_view datagram, QuicSender sender) const {
    QuicPacket packet;
    if (!ReadQuicPacket(AsBytes(datagram), packet)) return std::nullopt;
    EXPECT_EQ(packet.type, QuicPacketType::kInitial);
    EXPECT_EQ(packet.bytes.size(), datagram.size());
    return QuicInitialOpener(Keys(sender)).Open(packet);
  }
  QuicInitialHeader ClientHeader() const {
    QuicInitialHeader header;
    header.version = GetParam().version;
    header.destination_id = header.key_id = client_id_;
    header.source_id = "";
    header.packet_number = 2;
    header.number_bytes = 4;
    return header;
  }
  QuicInitialHeader ServerHeader() const {
    QuicInitialHeader header;
    header.version = GetParam().version;
    header.destination_id = "";
    header.source_id = Bytes(kVectorServerId);
    header.key_id = client_id_;
    header.packet_number = 1;
    header.from_server = true;
    return header;
  }

  const std::string client_id_ = Bytes(kVectorClientId);
  const std::string client_packet_ = Bytes(GetParam().client_packet);
  const std::string server_packet_ = Bytes(GetParam().server_packet);
};

INSTANTIATE_TEST_SUITE_P(Rfc9001, QuicVectorTest, ::testing::Values(kVectorV1));
INSTANTIATE_TEST_SUITE_P(Rfc9369, QuicVectorTest, ::testing::Values(kVectorV2));

TEST_P(QuicVectorTest, DerivesTheKeys) {
  for (const QuicSender sender : {QuicSender::kClient, QuicSender::kServer}) {
    const bool client = sender == QuicSender::kClient;
    const QuicVectorKeys& expected = client ? GetParam().client : GetParam().server;
    const QuicInitialKeys keys = Keys(sender);
    EXPECT_EQ(Hex(keys.key), expected.key);
    EXPECT_EQ(Hex(keys.iv), expected.iv);
    EXPECT_EQ(Hex(keys.header_key), expected.header_key);
  }
}

TEST_P(QuicVectorTest, ComputesTheHeaderMask) {
  AES_KEY header_key;
  AES_set_encrypt_key(Keys(QuicSender::kClient).header_key.data(), 128, &header_key);
  const std::string sample = Bytes(GetParam().sample);
  EXPECT_EQ(Hex(QuicHeaderMask(header_key, AsBytes(sample))), GetParam().mask);
}

TEST_P(QuicVectorTest, ClientPacketIsOpened) {
  const std::optional<OpenedQuicInitial> opened = Open(client_packet_, QuicSender::kClient);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->number, 2u);
  EXPECT_TRUE(opened->reserved_bits_zero);
  std::string frames = Bytes(kVectorClientFrame);
  frames.resize(1162);
  EXPECT_EQ(opened->payload, frames);
}

TEST_P(QuicVectorTest, ServerPacketIsOpened) {
  const std::optional<OpenedQuicInitial> opened = Open(server_packet_, QuicSender::kServer);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->number, 1u);
  EXPECT_EQ(opened->payload, Bytes(kVectorServerFrames));
  EXPECT_FALSE(Open(server_packet_, QuicSender::kClient));
}

TEST_P(QuicVectorTest, KitMakesTheSamePackets) {
  EXPECT_EQ(testing::QuicInitialDatagram(ClientHeader(), Bytes(kVectorClientFrame)),
            client_packet_);
  EXPECT_EQ(testing::QuicInitial(ServerHeader(), Bytes(kVectorServerFrames)), server_packet_);
  QuicInitialHeader retry = ServerHeader();
  retry.token = "token";
  EXPECT_EQ(Hex(AsBytes(testing::QuicRetry(retry, client_id_))), GetParam().retry_packet);
}

TEST_P(QuicVectorTest, EachChangedByteIsDetected) {
  for (size_t at = 0; at < client_packet_.size(); ++at) {
    std::string changed = client_packet_;
    changed[at] = static_cast<char>(changed[at] ^ 0x01);
    QuicPacket packet;
    if (!ReadQuicPacket(AsBytes(changed), packet)) continue;
    if (packet.type != QuicPacketType::kInitial) continue;
    EXPECT_FALSE(QuicInitialOpener(Keys(QuicSender::kClient)).Open(packet)) << at;
  }
}

TEST(QuicInitialOpenerTest, PacketsTooShortForASampleAreRejected) {
  const QuicInitialKeys keys = DeriveQuicInitialKeys(kQuicV1, {}, QuicSender::kClient);
  for (size_t bytes = 0; bytes < 24; ++bytes) {
    const std::string datagram =
        testing::QuicOpaquePacket(QuicPacketType::kHandshake, QuicInitialHeader(), bytes);
    QuicPacket packet;
    ASSERT_TRUE(ReadQuicPacket(AsBytes(datagram), packet));
    EXPECT_FALSE(QuicInitialOpener(keys).Open(packet));
  }
}

// RFC 9000 A.3.
TEST(QuicInitialOpenerTest, PacketNumbersAreRestored) {
  QuicInitialHeader header;
  QuicInitialOpener opener(
      DeriveQuicInitialKeys(kQuicV1, AsBytes(header.key_id), QuicSender::kClient));
  const struct {
    uint64_t number;
    size_t bytes;
  } rows[] = {{0, 1},     {100, 1},   {228, 1},        {300, 1},        {200, 1},       {40000, 3},
              {40100, 1}, {39990, 1}, {0xa82f30ea, 4}, {0xa82f9b32, 2}, {0xa82f8b32, 2}};
  for (const auto& row : rows) {
    header.packet_number = row.number;
    header.number_bytes = row.bytes;
    const std::string datagram = testing::QuicInitialDatagram(header, "\x01");
    QuicPacket packet;
    ASSERT_TRUE(ReadQuicPacket(AsBytes(datagram), packet));
    const std::optional<OpenedQuicInitial> opened = opener.Open(packet);
    ASSERT_TRUE(opened) << row.number;
    EXPECT_EQ(opened->number, row.number);
  }
}

}  // namespace
}  // namespace trestle
