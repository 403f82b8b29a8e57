// The kit's datagrams have the sizes of real ones. tests/tls/ checks their contents:
// quic_initial_keys_test with the RFCs' samples, quic_hello_split_test with the reader.
#include "trestle/testing/quic_hello_kit.h"

#include <set>
#include <string>

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"
#include "trestle/base/bytes.h"
#include "trestle/wire/client_hello.h"
#include "trestle/wire/quic_packet.h"

namespace trestle::testing {
namespace {

std::string Hex(const std::string& bytes) { return absl::BytesToHexString(bytes); }

// RFC 9000 A.1.
TEST(QuicHelloKitTest, EncodesVarints) {
  EXPECT_EQ(Hex(QuicVarint(0)), "00");
  EXPECT_EQ(Hex(QuicVarint(37)), "25");
  EXPECT_EQ(Hex(QuicVarint(15293)), "7bbd");
  EXPECT_EQ(Hex(QuicVarint(494878333)), "9d7f3e7d");
  EXPECT_EQ(Hex(QuicVarint(151288809941952652)), "c2197c5eff14e88c");
}

TEST(QuicHelloKitTest, HellosHaveTheExtensionsOfQuicClients) {
  for (const HelloBuilder& builder : {QuicHello("a.test"), QuicPostQuantumHello("a.test")}) {
    const std::string message = builder.Message();
    ClientHello hello;
    ASSERT_TRUE(ParseClientHello(AsBytes(message), {}, hello).ok());
    EXPECT_EQ(hello.server_name, "a.test");
    EXPECT_EQ(hello.alpn.at(0), "h3");
    EXPECT_EQ(hello.MaxVersion(), 0x0304);
    EXPECT_TRUE(hello.session_id.empty());
    EXPECT_NE(hello.Find(57), nullptr);  // quic_transport_parameters.
  }
}

TEST(QuicHelloKitTest, PostQuantumHellosNeedSeveralDatagramsOfUsualSize) {
  QuicFlightPlan plan;
  plan.every_cut = plan.every_packet_cut = plan.every_datagram_cut = false;
  plan.every_order = plan.one_byte_frames = false;
  plan.shuffled = 300;
  std::set<std::string> flights;
  const auto visit = [&](const QuicFlight& flight) {
    if (flight.label == "whole") EXPECT_EQ(flight.datagrams.size(), 2u);
    EXPECT_GE(flight.datagrams.size(), 2u) << flight.label;
    EXPECT_LE(flight.datagrams.size(), 8u) << flight.label;
    for (const std::string& datagram : flight.datagrams) {
      EXPECT_GE(datagram.size(), kQuicMinInitialDatagramBytes) << flight.label;
      EXPECT_LE(datagram.size(), 1232u) << flight.label;  // Fits every IPv6 path.
    }
    flights.insert(flight.datagrams[0]);
  };
  EXPECT_EQ(ForEachQuicFlight(QuicPostQuantumHello("a.test").Message(), plan, visit), 301u);
  EXPECT_EQ(flights.size(), 301u);
}

TEST(QuicHelloKitTest, EqualSeedsGiveEqualFlights) {
  const std::string message = QuicHello("a.test").Message();
  EXPECT_EQ(ShuffledQuicFlight(message, {}, 7).datagrams,
            ShuffledQuicFlight(message, {}, 7).datagrams);
}

TEST(QuicHelloKitTest, DatagramsHaveTheRequestedSize) {
  for (size_t bytes = 100; bytes < 1300; bytes += 17) {
    EXPECT_EQ(QuicInitialDatagram({}, "\x01", bytes).size(), bytes);
  }
  EXPECT_GT(QuicInitialDatagram({}, std::string(20000, '\0'), 1200).size(), 20000u);
}

TEST(QuicHelloKitTest, MakesOtherPackets) {
  for (const QuicPacketType type : {QuicPacketType::kZeroRtt, QuicPacketType::kHandshake}) {
    for (const uint32_t version : {kQuicV1, kQuicV2}) {
      QuicInitialHeader header;
      header.version = version;
      const std::string datagram = QuicOpaquePacket(type, header, 100);
      QuicPacket packet;
      ASSERT_TRUE(ReadQuicPacket(AsBytes(datagram), packet));
      EXPECT_EQ(packet.type, type);
      EXPECT_EQ(packet.bytes.size(), datagram.size());
    }
  }
}

}  // namespace
}  // namespace trestle::testing
