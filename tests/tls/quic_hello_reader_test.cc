#include "trestle/tls/quic_hello_reader.h"

#include <openssl/sha.h>

#include <array>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/support/hex.h"
#include "tests/tls/quic_vectors.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/testing/quic_hello_kit.h"
#include "trestle/wire/hello_fingerprint.h"

namespace trestle {
namespace {

using testing::QuicCryptoFrame;
using testing::QuicHello;
using testing::QuicInitial;
using testing::QuicInitialDatagram;
using testing::QuicInitialHeader;
using testing::QuicOpaquePacket;

constexpr MonotonicTime kStart = MonotonicTime::FromStart(absl::Seconds(100));

std::array<uint8_t, 32> Sha256(ByteView in) {
  std::array<uint8_t, 32> digest;
  SHA256(in.data(), in.size(), digest.data());
  return digest;
}

class QuicHelloReaderTest : public ::testing::Test {
 protected:
  QuicHelloState Feed(absl::string_view datagram, MonotonicTime now = kStart) {
    return reader().Feed(AsBytes(datagram), now);
  }
  QuicHelloReader& reader() {
    if (!reader_) reader_.emplace(limits_);
    return *reader_;
  }
  // Returns the state, with its fault, of a new reader after one datagram.
  std::string After(absl::string_view datagram) {
    reader_.reset();
    Feed(datagram);
    return Verdict();
  }
  std::string Verdict() {
    if (reader().state() != QuicHelloState::kRefused)
      return std::string(EnumName(reader().state()));
    return absl::StrCat("refused: ", EnumName(reader().fault()));
  }
  std::string Frame(size_t begin, size_t end) const {
    return QuicCryptoFrame(begin, absl::string_view(message_).substr(begin, end - begin));
  }
  std::string Whole() const { return Frame(0, message_.size()); }
  std::string FirstHalf() const { return Frame(0, 100); }
  std::string SecondHalf() const { return Frame(100, message_.size()); }

  const std::string message_ = QuicHello("a.test").Message();
  QuicHelloLimits limits_;
  QuicInitialHeader header_;
  std::optional<QuicHelloReader> reader_;
};

TEST_F(QuicHelloReaderTest, ReadsTheSamplesOfTheRfcs) {
  for (const QuicVector& vector : {kVectorV1, kVectorV2}) {
    EXPECT_EQ(After(testing::FromHex(vector.client_packet)), "done");
    EXPECT_EQ(reader().version(), vector.version);
    const ClientHello& hello = reader().hello();
    EXPECT_EQ(hello.server_name, "example.com");
    ASSERT_EQ(hello.alpn.size(), 1u);
    EXPECT_EQ(hello.alpn[0], "alpn");
    EXPECT_TRUE(reader().error().ok());
  }
}

TEST_F(QuicHelloReaderTest, ReadsTheSameHelloAsOverTcp) {
  EXPECT_EQ(After(QuicInitialDatagram(header_, Whole())), "done");
  ClientHello parsed;
  ASSERT_TRUE(ParseClientHello(AsBytes(message_), {}, parsed).ok());
  const ClientHello& hello = reader().hello();
  EXPECT_EQ(hello.message, parsed.message);
  EXPECT_EQ(hello.server_name, parsed.server_name);
  EXPECT_EQ(Ja4(parsed, Sha256).substr(0, 10), "t13d0307h3");
  EXPECT_EQ(Ja4(hello, Sha256), "q" + Ja4(parsed, Sha256).substr(1));
  EXPECT_EQ(Ja4Raw(hello), "q" + Ja4Raw(parsed).substr(1));
}

TEST_F(QuicHelloReaderTest, DatagramsAreKeptInTheirOrder) {
  const std::string first = QuicInitialDatagram(header_, SecondHalf());
  header_.packet_number = 1;
  const std::string second =
      QuicInitialDatagram(header_, FirstHalf()) + std::string("\x40garbage behind", 15);
  EXPECT_EQ(Feed(first), QuicHelloState::kNeedMore);
  EXPECT_EQ(reader().version(), 0u);
  EXPECT_EQ(Feed(second), QuicHelloState::kDone);
  EXPECT_EQ(Feed("more"), QuicHelloState::kDone);
  ASSERT_EQ(reader().datagrams(), 2u);
  EXPECT_EQ(AsText(reader().datagram(0)), first);
  EXPECT_EQ(AsText(reader().datagram(1)), second);
}

TEST_F(QuicHelloReaderTest, OtherFirstDatagramsAreIgnored) {
  EXPECT_EQ(After(""), "not_initial");
  EXPECT_EQ(After("\x16\x03\x01 TLS over UDP"), "not_initial");
  EXPECT_EQ(After("\x40 short header"), "not_initial");
  EXPECT_EQ(After(QuicOpaquePacket(QuicPacketType::kHandshake, header_, 1300)), "not_initial");
  EXPECT_EQ(After(testing::QuicRetry(header_, "12345678")), "not_initial");
  EXPECT_EQ(GetError(reader().error())->code, ErrorCode::kNotTls);
  EXPECT_EQ(After(testing::QuicVersionNegotiation(header_)), "version_negotiation");
  EXPECT_EQ(reader().error().message(),
            "front leg, hello: not_tls: QUIC: a Version Negotiation packet, which only servers "
            "send");
}

TEST_F(QuicHelloReaderTest, UnknownVersionsAreReported) {
  for (const uint32_t version : {0xff00001du, 0x1a2a3a4au, 2u}) {
    header_.version = version;
    EXPECT_EQ(After(QuicInitialDatagram(header_, Whole())), "unknown_version");
    EXPECT_EQ(reader().version(), version);
  }
  EXPECT_EQ(reader().error().message(),
            "front leg, hello: not_tls: QUIC: an unknown version, 0x00000002");
}

TEST_F(QuicHelloReaderTest, InvalidFirstInitialsAreRejected) {
  EXPECT_EQ(After("\xc0"), "refused: malformed_packet");
  EXPECT_EQ(After(QuicInitialDatagram(header_, Whole(), 1199)), "refused: small_datagram");
  EXPECT_EQ(After(QuicInitialDatagram(header_, Whole(), 1200)), "done");
  header_.key_id = "another ID";
  EXPECT_EQ(After(QuicInitialDatagram(header_, Whole())), "refused: not_decrypted");
  EXPECT_EQ(GetError(reader().error())->code, ErrorCode::kProtocol);
  EXPECT_EQ(GetError(reader().error())->phase, Phase::kHello);
  header_.destination_id = header_.key_id = "7 bytes";
  EXPECT_EQ(After(QuicInitialDatagram(header_, Whole())), "refused: short_connection_id");
  // A server may choose a short ID in its Retry.
  header_.token = "token";
  EXPECT_EQ(After(QuicInitialDatagram(header_, Whole())), "done");
  header_.destination_id = header_.key_id = "";
  EXPECT_EQ(After(QuicInitialDatagram(header_, Whole())), "done");
}

TEST_F(QuicHelloReaderTest, FaultsOfDecryptedPacketsAreReported) {
  const std::string server_hello = QuicCryptoFrame(0, "\x02");
  std::string malformed = message_;
  malformed[4] = '\xfe';
  EXPECT_EQ(After(QuicInitialDatagram(header_, "\x08 STREAM")), "refused: forbidden_frame");
  EXPECT_EQ(After(QuicInitialDatagram(header_, QuicCryptoFrame(0, "").substr(0, 2) + "\x7f\xff")),
            "refused: malformed_frame");
  EXPECT_EQ(After(QuicInitialDatagram(header_, "\x1c")), "refused: closed");
  EXPECT_EQ(After(QuicInitialDatagram(header_, server_hello)), "refused: not_client_hello");
  EXPECT_EQ(After(QuicInitialDatagram(header_, Whole() + QuicCryptoFrame(message_.size(), "x"))),
            "refused: beyond_hello");
  EXPECT_EQ(After(QuicInitialDatagram(header_, QuicCryptoFrame(0, malformed))),
            "refused: malformed_hello");
  EXPECT_EQ(reader().error().message(),
            "front leg, hello: malformed_hello: QUIC: a malformed ClientHello: a legacy_version "
            "that no TLS client sends");
  header_.reserved_bits = 1;
  EXPECT_EQ(After(QuicInitialDatagram(header_, Whole())), "refused: reserved_bits");
  header_.reserved_bits = 0;
  header_.number_bytes = 4;
  EXPECT_EQ(After(QuicInitial(header_, "") + std::string(1200, '\0')), "refused: no_frames");
}

TEST_F(QuicHelloReaderTest, AContradictionOverTwoDatagramsIsReported) {
  Feed(QuicInitialDatagram(header_, Frame(50, 100)));
  header_.packet_number = 1;
  Feed(QuicInitialDatagram(header_, QuicCryptoFrame(90, "contradiction")));
  EXPECT_EQ(Verdict(), "refused: contradiction");
  EXPECT_EQ(Feed(QuicInitialDatagram(header_, Whole())), QuicHelloState::kRefused);
  EXPECT_EQ(reader().datagrams(), 2u);
}

TEST_F(QuicHelloReaderTest, PacketsThatAreNotAuthenticEndNoFlow) {
  EXPECT_EQ(After(QuicInitialDatagram(header_, FirstHalf())), "need_more");
  QuicInitialHeader other = header_;
  other.key_id = "another ID";
  EXPECT_EQ(Feed(QuicInitialDatagram(other, SecondHalf())), QuicHelloState::kNeedMore);
  EXPECT_EQ(Feed(testing::QuicVersionNegotiation(header_)), QuicHelloState::kNeedMore);
  EXPECT_EQ(Feed("\xc0"), QuicHelloState::kNeedMore);
  EXPECT_EQ(Feed(""), QuicHelloState::kNeedMore);
  EXPECT_EQ(Feed("\x40"), QuicHelloState::kNeedMore);
  EXPECT_EQ(Feed(QuicInitialDatagram(header_, SecondHalf(), 1199)), QuicHelloState::kNeedMore);
  EXPECT_EQ(Feed(QuicInitialDatagram(header_, SecondHalf())), QuicHelloState::kDone);
  EXPECT_EQ(reader().datagrams(), 8u);
}

TEST_F(QuicHelloReaderTest, ZeroRttMayOvertakeTheInitial) {
  const std::string early = QuicOpaquePacket(QuicPacketType::kZeroRtt, header_, 600);
  EXPECT_EQ(Feed(early), QuicHelloState::kNeedMore);
  EXPECT_EQ(Feed(early), QuicHelloState::kNeedMore);
  EXPECT_EQ(Feed(QuicInitialDatagram(header_, Whole())), QuicHelloState::kDone);
  // In one datagram, in both orders.
  EXPECT_EQ(After(early + QuicInitialDatagram(header_, Whole(), 600)), "done");
  EXPECT_EQ(After(QuicInitialDatagram(header_, Whole(), 600) + early), "done");
  // It permits later Initials only.
  EXPECT_EQ(After(early), "need_more");
  Feed("\x40 short header");
  EXPECT_EQ(Verdict(), "not_initial");
}

TEST_F(QuicHelloReaderTest, CoalescedInitialsAreRead) {
  const std::string first = QuicInitial(header_, SecondHalf());
  QuicInitialHeader next = header_;
  next.packet_number = 1;
  EXPECT_EQ(After(first + QuicInitialDatagram(next, FirstHalf())), "done");
  // A following packet that can't be decrypted, or for another destination, is ignored.
  QuicInitialHeader wrong = next;
  wrong.key_id = "another ID";
  EXPECT_EQ(After(first + QuicInitialDatagram(wrong, FirstHalf())), "need_more");
  QuicInitialHeader elsewhere = next;
  elsewhere.destination_id = "elsewhere";
  EXPECT_EQ(After(first + QuicInitialDatagram(elsewhere, FirstHalf())), "need_more");
  EXPECT_EQ(After(first + QuicInitial(wrong, FirstHalf()) + QuicInitialDatagram(next, FirstHalf())),
            "done");
}

TEST_F(QuicHelloReaderTest, ARetryRestartsWithAnotherId) {
  EXPECT_EQ(After(QuicInitialDatagram(header_, FirstHalf())), "need_more");
  QuicInitialHeader retried = header_;
  retried.destination_id = retried.key_id = "by the server";
  retried.token = "token";
  retried.packet_number = 2;
  EXPECT_EQ(Feed(QuicInitialDatagram(retried, SecondHalf())), QuicHelloState::kNeedMore);
  EXPECT_EQ(Feed(QuicInitialDatagram(retried, FirstHalf())), QuicHelloState::kDone);
  EXPECT_EQ(AsText(reader().hello().message), message_);
}

TEST_F(QuicHelloReaderTest, HellosOfTwoIdsDoNotMix) {
  const std::string other = QuicHello("b.test").SetRandom(99).Message();
  QuicInitialHeader second = header_;
  second.destination_id = second.key_id = "second ID";
  EXPECT_EQ(After(QuicInitialDatagram(header_, FirstHalf())), "need_more");
  Feed(QuicInitialDatagram(second, QuicCryptoFrame(100, other.substr(100))));
  EXPECT_EQ(Verdict(), "need_more");
  Feed(QuicInitialDatagram(second, QuicCryptoFrame(0, other.substr(0, 100))));
  EXPECT_EQ(Verdict(), "done");
  EXPECT_EQ(reader().hello().server_name, "b.test");
}

TEST_F(QuicHelloReaderTest, AThirdIdIsIgnored) {
  for (const char* id : {"first ID", "second ID", "third ID"}) {
    header_.destination_id = header_.key_id = id;
    Feed(QuicInitialDatagram(header_, FirstHalf()));
  }
  EXPECT_EQ(Feed(QuicInitialDatagram(header_, SecondHalf())), QuicHelloState::kNeedMore);
  header_.destination_id = header_.key_id = "second ID";
  EXPECT_EQ(Feed(QuicInitialDatagram(header_, SecondHalf())), QuicHelloState::kDone);
}

TEST_F(QuicHelloReaderTest, TheServersIdUsesTheFirstKeys) {
  EXPECT_EQ(After(QuicInitialDatagram(header_, FirstHalf())), "need_more");
  header_.destination_id = "server";  // Shorter than a first ID may be.
  EXPECT_EQ(Feed(QuicInitialDatagram(header_, SecondHalf())), QuicHelloState::kDone);
}

TEST_F(QuicHelloReaderTest, VersionsAreKeptApart) {
  EXPECT_EQ(After(QuicInitialDatagram(header_, FirstHalf())), "need_more");
  header_.version = kQuicV2;
  EXPECT_EQ(Feed(QuicInitialDatagram(header_, SecondHalf())), QuicHelloState::kNeedMore);
  EXPECT_EQ(Feed(QuicInitialDatagram(header_, FirstHalf())), QuicHelloState::kDone);
  EXPECT_EQ(reader().version(), kQuicV2);
}

TEST_F(QuicHelloReaderTest, DatagramsAreLimited) {
  limits_.datagrams = 3;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Feed(QuicInitialDatagram(header_, FirstHalf())), QuicHelloState::kNeedMore);
  }
  Feed(QuicInitialDatagram(header_, SecondHalf()));
  EXPECT_EQ(Verdict(), "refused: too_many_datagrams");
  EXPECT_EQ(reader().datagrams(), 3u);
  EXPECT_EQ(GetError(reader().error())->code, ErrorCode::kHelloTooLarge);
}

TEST_F(QuicHelloReaderTest, BytesAreLimited) {
  limits_.bytes = 2500;
  EXPECT_EQ(Feed(QuicInitialDatagram(header_, FirstHalf(), 1250)), QuicHelloState::kNeedMore);
  EXPECT_EQ(Feed(QuicInitialDatagram(header_, SecondHalf(), 1250)), QuicHelloState::kDone);
  EXPECT_EQ(After(QuicInitialDatagram(header_, FirstHalf(), 1250)), "need_more");
  Feed(QuicInitialDatagram(header_, SecondHalf(), 1251));
  EXPECT_EQ(Verdict(), "refused: too_many_bytes");
}

TEST_F(QuicHelloReaderTest, TimeIsLimited) {
  EXPECT_EQ(reader().deadline(), MonotonicTime::InfiniteFuture());
  Feed(QuicInitialDatagram(header_, FirstHalf()));
  EXPECT_EQ(reader().deadline(), kStart + absl::Seconds(1));
  Feed(QuicInitialDatagram(header_, FirstHalf()), kStart + absl::Seconds(1));
  EXPECT_EQ(Verdict(), "need_more");
  Feed(QuicInitialDatagram(header_, SecondHalf()), kStart + absl::Milliseconds(1001));
  EXPECT_EQ(Verdict(), "refused: timeout");
  EXPECT_EQ(GetError(reader().error())->code, ErrorCode::kTimeout);
  EXPECT_EQ(reader().datagrams(), 2u);
}

TEST_F(QuicHelloReaderTest, TheHelloHasLimits) {
  limits_.hello_bytes = message_.size() - 4;
  limits_.gaps = 1;
  EXPECT_EQ(After(QuicInitialDatagram(header_, Whole())), "done");
  EXPECT_EQ(After(QuicInitialDatagram(header_, Frame(10, 11) + Frame(20, 21))),
            "refused: too_many_gaps");
  --limits_.hello_bytes;
  EXPECT_EQ(After(QuicInitialDatagram(header_, Whole())), "refused: hello_too_large");
}

TEST_F(QuicHelloReaderTest, ServerNameRulesApply) {
  limits_.server_name.allow_underscore = false;
  const std::string message = QuicHello("a_b.test").Message();
  EXPECT_EQ(After(QuicInitialDatagram(header_, QuicCryptoFrame(0, message))),
            "refused: malformed_hello");
}

}  // namespace
}  // namespace trestle
