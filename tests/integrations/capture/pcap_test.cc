#include "integrations/capture/pcap.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/pcap_reader.h"

namespace trestle {
namespace {

using ::testing::SizeIs;

const absl::Time kNow = absl::FromUnixMicros(1'700'000'000'123'456);

Endpoint At(absl::string_view text) { return *Endpoint::Parse(text); }
const Endpoint& Client() {
  static const Endpoint endpoint = At("192.0.2.1:40000");
  return endpoint;
}
const Endpoint& Server() {
  static const Endpoint endpoint = At("192.0.2.2:443");
  return endpoint;
}

// A file with one conversation.
class Recording {
 public:
  Recording(const Endpoint& client, const Endpoint& server, uint32_t client_sequence = 7,
            uint32_t server_sequence = 70)
      : packets_(client, server, client_sequence, server_sequence), file_(PcapFileHeader()) {
    packets_.AppendOpen(kNow, file_);
  }
  Recording& Says(Leg from, absl::string_view text) {
    packets_.AppendBytes(from, AsBytes(text), kNow, file_);
    return *this;
  }
  Recording& Ends(Leg from) {
    packets_.AppendEnd(from, kNow, file_);
    return *this;
  }
  Recording& IsCut() {
    packets_.AppendCut(kNow, file_);
    return *this;
  }
  const std::string& file() const { return file_; }

  // Returns its only stream; an invalid file fails the test.
  PcapStream Stream() const {
    const absl::StatusOr<std::vector<PcapStream>> streams = ReadStreams(file_);
    EXPECT_TRUE(streams.ok()) << streams.status();
    EXPECT_TRUE(!streams.ok() || streams->size() == 1);
    return streams.ok() && !streams->empty() ? streams->front() : PcapStream{};
  }

 private:
  PcapConversation packets_;
  std::string file_;
};

// Compares bytes, so that the writer and the reader can't share an error.
TEST(PcapTest, TheFirstPacketHasTheExpectedBytes) {
  PcapConversation packets(Client(), Server(), 0x01020304, 0);
  std::string out;
  packets.AppendOpen(kNow, out);
  EXPECT_EQ(absl::BytesToHexString(PcapFileHeader()),
            "d4c3b2a1020004000000000000000000ffff000065000000");
  EXPECT_EQ(absl::BytesToHexString(out.substr(0, 56)),
            "00f1536540e201002800000028000000"  // 2023-11-14 22:13:20.123456, 40 bytes
            "45000028000040004006b6cc"          // IPv4 header and its checksum
            "c0000201c0000202"
            "9c4001bb01020304000000005002ffff"  // SYN
            "89dd0000");                        // Checksum
}

TEST(PcapTest, BothDirectionsAreComplete) {
  for (const auto& [client, server] :
       {std::pair(Client(), Server()), std::pair(At("[2001:db8::1]:40000"), At("[::1]:443"))}) {
    const PcapStream stream = Recording(client, server)
                                  .Says(Leg::kFront, "request")
                                  .Says(Leg::kBack, "answer, odd")
                                  .Says(Leg::kFront, "")
                                  .Says(Leg::kFront, "again")
                                  .Ends(Leg::kFront)
                                  .Ends(Leg::kBack)
                                  .Stream();
    EXPECT_EQ(stream.client, client);
    EXPECT_EQ(stream.server, server);
    EXPECT_EQ(stream.to_server, "requestagain");
    EXPECT_EQ(stream.to_client, "answer, odd");
    EXPECT_TRUE(stream.client_ended && stream.server_ended && !stream.reset);
  }
}

TEST(PcapTest, ASideThatEndedStillReceives) {
  const PcapStream stream = Recording(Client(), Server())
                                .Says(Leg::kFront, "all of it")
                                .Ends(Leg::kFront)
                                .Says(Leg::kBack, "answer")
                                .Stream();
  EXPECT_TRUE(stream.client_ended);
  EXPECT_FALSE(stream.server_ended);
  EXPECT_EQ(stream.to_client, "answer");
}

TEST(PcapTest, AnAbortIsWrittenAsAReset) {
  const Recording before(Client(), Server());
  const PcapStream cut = Recording(Client(), Server()).Says(Leg::kBack, "half").IsCut().Stream();
  EXPECT_TRUE(cut.reset);
  EXPECT_FALSE(cut.client_ended || cut.server_ended);
  EXPECT_EQ(cut.to_client, "half");
  // A side that has ended sends nothing, so the other side resets.
  const Recording half = Recording(Client(), Server()).Ends(Leg::kFront).IsCut();
  EXPECT_TRUE(half.Stream().reset);
  const auto packets = ReadPackets(half.file());
  ASSERT_TRUE(packets.ok()) << packets.status();
  EXPECT_EQ(packets->back().from, Server());
}

TEST(PcapTest, SequenceNumbersWrapAround) {
  const std::string text(100'000, 'x');
  Recording recording(Client(), Server(), 0xffff'ffff, 0xffff'0000);
  const PcapStream stream =
      recording.Says(Leg::kFront, text).Says(Leg::kBack, text).Ends(Leg::kBack).Stream();
  EXPECT_EQ(stream.to_server, text);
  EXPECT_EQ(stream.to_client, text);
  EXPECT_EQ(stream.client_sequence, 100'000u);
  EXPECT_EQ(stream.server_sequence, 100'000u - 0x10000 + 2);
}

TEST(PcapTest, LongPiecesBecomeSeveralSegments) {
  std::string text;
  for (size_t i = 0; i < 3 * PcapConversation::kMaxSegmentBytes + 1; ++i) {
    text += static_cast<char>(i * 31);
  }
  const Recording recording = Recording(Client(), Server()).Says(Leg::kBack, text);
  EXPECT_EQ(recording.Stream().to_client, text);
  const auto packets = ReadPackets(recording.file());
  ASSERT_TRUE(packets.ok()) << packets.status();
  ASSERT_THAT(*packets, SizeIs(3 + 2 * 4));
  EXPECT_EQ((*packets)[3].payload.size(), PcapConversation::kMaxSegmentBytes);
  EXPECT_EQ((*packets)[9].payload.size(), 1u);
}

TEST(PcapTest, MixedFamiliesUseIpv6) {
  const Recording mixed(Client(), At("[2001:db8::1]:443"));
  EXPECT_EQ(mixed.Stream().client.ToString(), "192.0.2.1:40000");
  const Recording nowhere(Endpoint(), Server());
  EXPECT_EQ(nowhere.Stream().client.ToString(), "0.0.0.0:0");
}

TEST(PcapTest, TimesOutsideTheFormatAreClamped) {
  for (const auto& [time, seconds] :
       {std::pair(absl::InfinitePast(), int64_t{0}), std::pair(kNow, int64_t{1'700'000'000}),
        std::pair(absl::InfiniteFuture(), int64_t{0xffff'ffff})}) {
    PcapConversation packets(Client(), Server(), 0, 0);
    std::string file = PcapFileHeader();
    packets.AppendOpen(time, file);
    const auto read = ReadPackets(file);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(absl::ToUnixSeconds(read->front().time), seconds);
  }
}

// A reader that accepts everything would prove nothing.
TEST(PcapTest, TheReaderDetectsEveryChangedByte) {
  const std::string good =
      Recording(Client(), Server()).Says(Leg::kFront, "text").Ends(Leg::kFront).file();
  ASSERT_TRUE(ReadStreams(good).ok());
  // Times may have any value.
  std::vector<bool> is_time(good.size(), false);
  size_t at = PcapFileHeader().size();
  const auto packets = ReadPackets(good);
  ASSERT_TRUE(packets.ok()) << packets.status();
  for (const PcapPacket& packet : *packets) {
    std::fill_n(is_time.begin() + static_cast<ptrdiff_t>(at), 8, true);
    at += 16 + 40 + packet.payload.size();
  }
  ASSERT_EQ(at, good.size());
  for (size_t i = 0; i < good.size(); ++i) {
    if (is_time[i]) continue;
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    EXPECT_FALSE(ReadStreams(bad).ok()) << "byte " << i;
  }
}

}  // namespace
}  // namespace trestle
