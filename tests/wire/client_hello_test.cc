// The reader's results for a valid hello, the earliest verdict, and its limits.
#include "trestle/wire/client_hello.h"

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/testing/client_hello_kit.h"

namespace trestle {
namespace {

using testing::ClassicHello;
using testing::CutAt;
using ::testing::ElementsAre;
using testing::HelloBuilder;
using testing::InRecord;
using testing::InRecords;
using testing::PostQuantumHello;
using testing::Tls12Hello;

std::string Raw(std::initializer_list<int> bytes) {
  std::string raw;
  for (int byte : bytes) raw.push_back(static_cast<char>(byte));
  return raw;
}

// Feeds the pieces and expects a hello for a.test with the last one, not before.
void ExpectDoneWithTheLast(const std::vector<std::string>& segments,
                           const HelloLimits& limits = {}) {
  ClientHelloReader reader(limits);
  for (size_t i = 0; i + 1 < segments.size(); ++i) {
    ASSERT_EQ(reader.Feed(AsBytes(segments[i])), HelloState::kNeedMore) << i;
  }
  ASSERT_EQ(reader.Feed(AsBytes(segments.back())), HelloState::kDone) << reader.error();
  EXPECT_EQ(reader.hello().server_name, "a.test");
}

std::vector<size_t> EveryPlace(size_t size) {
  std::vector<size_t> cuts;
  for (size_t i = 1; i < size; ++i) cuts.push_back(i);
  return cuts;
}

TEST(ClientHelloReaderTest, Row02EveryByteMayBeASegment) {
  const std::string wire = InRecords(ClassicHello("a.test").Message());
  ExpectDoneWithTheLast(CutAt(wire, EveryPlace(wire.size())));
}

TEST(ClientHelloReaderTest, Row03To07SplitsAtHeadersNameAndEnd) {
  const std::string wire = InRecords(ClassicHello("a.test").Message());
  const size_t in_name = wire.find("a.test") + 3;
  for (size_t cut : {size_t{2}, size_t{5}, size_t{9}, in_name, wire.size() - 1}) {
    ExpectDoneWithTheLast(CutAt(wire, {cut}));
  }
}

TEST(ClientHelloReaderTest, Row09PostQuantumSplitAt1400) {
  const std::string wire =
      InRecords(PostQuantumHello("a.test").AddEchOuter(7, 239).MoveToEnd(0).Message());
  ExpectDoneWithTheLast(CutAt(wire, {1400}));
}

TEST(ClientHelloReaderTest, Row12TwoRecordsInTwoSegments) {
  const std::string message = ClassicHello("a.test").Message();
  const size_t in_name = message.find("a.test") + 3;
  ExpectDoneWithTheLast(CutAt(InRecords(message, {in_name}), {5 + in_name}));
}

TEST(ClientHelloReaderTest, Row14And15OneByteRecordsUpToTheLimit) {
  const std::string message = ClassicHello("a.test").Message();
  const std::string wire = InRecords(message, EveryPlace(message.size()));
  HelloLimits limits;
  limits.records = message.size();
  ExpectDoneWithTheLast({wire}, limits);
  ExpectDoneWithTheLast(CutAt(wire, EveryPlace(wire.size())), limits);
  ClientHelloReader by_default;
  EXPECT_EQ(by_default.Feed(AsBytes(wire)), HelloState::kTooLarge);
}

TEST(ClientHelloReaderTest, Row30LaterEarlyDataIsNotRead) {
  const std::string wire = InRecords(ClassicHello("a.test").AddTicket(99).AddEarlyData().Message());
  ClientHelloReader reader;
  ASSERT_EQ(reader.Feed(AsBytes(wire)), HelloState::kDone);
  EXPECT_EQ(reader.Feed(AsBytes(InRecord(23, "early"))), HelloState::kDone);
  EXPECT_EQ(AsText(reader.replay()), wire);
}

TEST(ClientHelloReaderTest, Row101To104NeedMoreUntilTheEnd) {
  const std::string wire = InRecords(ClassicHello("a.test").Message());
  ClientHelloReader reader;
  EXPECT_EQ(reader.Feed({}), HelloState::kNeedMore);
  EXPECT_EQ(reader.segments(), 0u);
  EXPECT_EQ(reader.Feed(AsBytes(wire.substr(0, 5))), HelloState::kNeedMore);
  EXPECT_EQ(reader.Feed(AsBytes(wire.substr(5, wire.size() / 2))), HelloState::kNeedMore);
  EXPECT_TRUE(reader.error().ok());
  EXPECT_EQ(reader.Feed(AsBytes(wire.substr(5 + wire.size() / 2))), HelloState::kDone);
  EXPECT_EQ(reader.segments(), 3u);
}

// Returns the number of these bytes that the reader needs for its verdict.
size_t BytesToVerdict(absl::string_view bytes) {
  ClientHelloReader reader;
  size_t count = 0;
  for (const char& byte : bytes) {
    ++count;
    if (reader.Feed(AsBytes(absl::string_view(&byte, 1))) != HelloState::kNeedMore) return count;
  }
  return 0;
}

TEST(ClientHelloReaderTest, DecidesAsEarlyAsTheBytesAllow) {
  EXPECT_EQ(BytesToVerdict("GET / HTTP/1.1"), 3u);
  EXPECT_EQ(BytesToVerdict("POST / HTTP/1.1"), 3u);
  EXPECT_EQ(BytesToVerdict("SSH-2.0-x"), 3u);
  EXPECT_EQ(BytesToVerdict("PROXY TCP4"), 4u);
  EXPECT_EQ(BytesToVerdict("\r\n\r\n"), 0u);
  EXPECT_EQ(BytesToVerdict(absl::string_view("\r\n\r\n\0\r\nQUIT\n", 12)), 5u);
  EXPECT_EQ(BytesToVerdict("\xff\xff\xff"), 3u);
  EXPECT_EQ(BytesToVerdict("zzz"), 1u);
  EXPECT_EQ(BytesToVerdict(InRecord(21, "xx")), 2u);
  EXPECT_EQ(BytesToVerdict(Raw({22, 0xfe, 0xff, 0})), 2u);
  EXPECT_EQ(BytesToVerdict(Raw({22, 3, 1, 0xff, 0xff, 1})), 5u);
  EXPECT_EQ(BytesToVerdict(Raw({22, 3, 1, 0, 50, 2, 0})), 6u);
  EXPECT_EQ(BytesToVerdict(Raw({22, 3, 1, 2, 0, 1, 0xff, 0xff, 0xff, 0})), 9u);
}

TEST(ClientHelloReaderTest, FirstBytesNeverHaveTwoVerdicts) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string bytes = Raw({a, b, 'E', 'T', ' ', '/', 0, 1, 3});
      ClientHelloReader whole;
      whole.Feed(AsBytes(bytes));
      ClientHelloReader reader;
      for (const char& byte : bytes) reader.Feed(AsBytes(absl::string_view(&byte, 1)));
      ASSERT_EQ(reader.error(), whole.error()) << a << " " << b;
    }
  }
}

TEST(ClientHelloReaderTest, ReportsAllFieldsOfAHello) {
  const std::string wire = InRecords(
      PostQuantumHello("A.Test").AddGrease().AddTicket(100).AddEarlyData().Message(), {50});
  ClientHelloReader reader;
  ASSERT_EQ(reader.Feed(AsBytes(wire)), HelloState::kDone) << reader.error();
  const ClientHello& hello = reader.hello();
  EXPECT_EQ(hello.legacy_version, 0x0303);
  EXPECT_EQ(hello.record_version, 0x0301);
  EXPECT_EQ(hello.records, 2u);
  EXPECT_EQ(hello.message.size(), wire.size() - 10);
  EXPECT_EQ(hello.random.size(), 32u);
  EXPECT_EQ(AsText(hello.session_id), std::string(32, '\x5a'));
  EXPECT_EQ(hello.cipher_suites.size(), 16u);
  EXPECT_EQ(hello.cipher_suites[1], 0x1301);
  EXPECT_EQ(AsText(hello.compression_methods), std::string(1, '\0'));
  EXPECT_EQ(hello.server_name, "a.test");
  EXPECT_THAT(hello.alpn, ElementsAre("\x4a\x4a", "h2", "http/1.1"));
  EXPECT_THAT(std::vector<uint16_t>({hello.supported_versions[0], hello.supported_versions[1],
                                     hello.supported_versions[2]}),
              ElementsAre(0x6a6a, 0x0304, 0x0303));
  EXPECT_EQ(hello.MaxVersion(), 0x0304);
  EXPECT_TRUE(hello.supported_groups.Contains(0x11ec));
  EXPECT_FALSE(hello.supported_groups.Contains(0x0019));
  ASSERT_EQ(hello.key_shares.size(), 3u);
  EXPECT_EQ(hello.key_shares[0].group, 0xbaba);
  EXPECT_EQ(hello.key_shares[0].share_bytes, 1);
  EXPECT_EQ(hello.key_shares[1].group, 0x11ec);
  EXPECT_EQ(hello.key_shares[1].share_bytes, 1216);
  EXPECT_EQ(hello.key_shares[2].group, 0x001d);
  EXPECT_EQ(hello.key_shares[2].share_bytes, 32);
  EXPECT_EQ(hello.signature_algorithms.size(), 8u);
  EXPECT_TRUE(hello.has_pre_shared_key);
  EXPECT_TRUE(hello.has_early_data);
  EXPECT_TRUE(hello.HasGrease());
  EXPECT_FALSE(hello.ech.has_value());
  EXPECT_EQ(hello.extensions.front().type, 0x2a2a);
  EXPECT_EQ(hello.extensions.back().type, kExtensionPreSharedKey);
  ASSERT_NE(hello.Find(kExtensionEcPointFormats), nullptr);
  EXPECT_EQ(AsText(hello.Find(kExtensionEcPointFormats)->body), std::string("\x01\x00", 2));
  EXPECT_EQ(hello.Find(99), nullptr);
}

TEST(ClientHelloReaderTest, ReportsAbsentFields) {
  const std::string wire = InRecords(Tls12Hello("").OmitExtensionBlock().Message());
  ClientHelloReader reader;
  ASSERT_EQ(reader.Feed(AsBytes(wire)), HelloState::kDone);
  const ClientHello& hello = reader.hello();
  EXPECT_TRUE(hello.server_name.empty());
  EXPECT_TRUE(hello.alpn.empty());
  EXPECT_TRUE(hello.extensions.empty());
  EXPECT_TRUE(hello.supported_versions.empty());
  EXPECT_EQ(hello.MaxVersion(), 0x0303);
  EXPECT_FALSE(hello.has_pre_shared_key);
  EXPECT_FALSE(hello.has_early_data);
  EXPECT_FALSE(hello.HasGrease());
}

TEST(ClientHelloReaderTest, ReportsTheOuterEch) {
  const std::string wire = InRecords(PostQuantumHello("public.test").AddEchOuter(7, 239).Message());
  ClientHelloReader reader;
  ASSERT_EQ(reader.Feed(AsBytes(wire)), HelloState::kDone);
  ASSERT_TRUE(reader.hello().ech.has_value());
  const HelloEch& ech = *reader.hello().ech;
  EXPECT_FALSE(ech.is_inner);
  EXPECT_EQ(ech.config_id, 7);
  EXPECT_EQ(ech.kdf_id, 1);
  EXPECT_EQ(ech.aead_id, 1);
  EXPECT_EQ(ech.enc.size(), 32u);
  EXPECT_EQ(ech.payload.size(), 239u);
}

// RFC 9849 7 requires an alert for an unknown type, and none for other damage.
TEST(ClientHelloReaderTest, AnUnknownTypeOfEchHasItsAlert) {
  const auto error_of = [](const std::string& body) {
    const std::string message =
        PostQuantumHello("a.test").Add(kExtensionEncryptedClientHello, body).Message();
    ClientHelloReader reader;
    EXPECT_EQ(reader.Feed(AsBytes(InRecords(message))), HelloState::kMalformed);
    const std::optional<Error> error = GetError(reader.error());
    ClientHello hello;
    EXPECT_EQ(GetError(ParseClientHello(AsBytes(message), {}, hello))->alert, error->alert);
    return *error;
  };
  for (const uint8_t type : {2, 255}) {
    const Error error = error_of(Raw({type, 0, 1, 0, 1, 7, 0, 0, 0, 1, 0}));
    EXPECT_EQ(error.alert, 47);
    EXPECT_EQ(error.detail, "an encrypted_client_hello extension of an unknown type");
  }
  for (const std::string& body : {std::string(), Raw({0}), Raw({1, 0})}) {
    EXPECT_EQ(error_of(body).alert, std::nullopt);
  }
}

// RFC 8446 5, 5.1, 6.2; 4.1.2, 4.2.8, 4.2.11. All others are decode_error, which no Error states.
TEST(ClientHelloReaderTest, SomeFaultsHaveTheAlertOfTheirRfc) {
  constexpr int kUnexpectedMessage = 10;
  constexpr int kRecordOverflow = 22;
  constexpr int kIllegalParameter = 47;
  const std::string hello = ClassicHello("a.test").Message();
  HelloBuilder without_null = ClassicHello("a.test");
  without_null.SetCompressionMethods(Raw({1}));
  HelloBuilder early_psk = PostQuantumHello("a.test");
  early_psk.AddTicket(100).MoveToEnd(kExtensionServerName);
  HelloBuilder two_shares = PostQuantumHello("a.test");
  two_shares.SetKeyShares({29, 29});
  struct Fault {
    std::string bytes;
    std::optional<int> alert;
  };
  for (const Fault& fault : std::vector<Fault>{
           {InRecord(21, Raw({2, 40})), kUnexpectedMessage},
           {InRecord(22, hello.substr(0, 100)) + InRecord(23, "x"), kUnexpectedMessage},
           {InRecord(22, Raw({2, 0, 0, 70}) + std::string(70, 'x')), kUnexpectedMessage},
           {InRecord(22, hello + Raw({20})), kUnexpectedMessage},
           {Raw({22, 3, 1, 0x40, 1}), kRecordOverflow},
           {InRecords(without_null.Message()), kIllegalParameter},
           {InRecords(early_psk.Message()), kIllegalParameter},
           {InRecords(two_shares.Message()), kIllegalParameter},
           {InRecord(22, ""), std::nullopt},
           {InRecords(ClassicHello("a.test").Add(kExtensionEarlyData, "x").Message()),
            std::nullopt},
       }) {
    ClientHelloReader reader;
    ASSERT_EQ(reader.Feed(AsBytes(fault.bytes)), HelloState::kMalformed);
    const std::optional<Error> error = GetError(reader.error());
    EXPECT_EQ(error->alert, fault.alert) << *error;
  }
}

TEST(ClientHelloReaderTest, ReplayIsExactAndEndsWithTheLastFeed) {
  const std::string wire = InRecords(ClassicHello("a.test").Message(), {100});
  const std::string surplus = InRecord(20, Raw({1}));
  ClientHelloReader reader;
  EXPECT_EQ(reader.Feed(AsBytes(wire.substr(0, 300))), HelloState::kNeedMore);
  EXPECT_EQ(reader.Feed(AsBytes(wire.substr(300) + surplus)), HelloState::kDone);
  EXPECT_EQ(reader.Feed(AsBytes("not taken any more")), HelloState::kDone);
  EXPECT_EQ(reader.TakeReplay(), wire + surplus);
  EXPECT_EQ(reader.hello().server_name, "a.test");
}

TEST(ClientHelloReaderTest, KeepsItsVerdict) {
  ClientHelloReader reader;
  EXPECT_EQ(reader.Feed(AsBytes("GET")), HelloState::kNotTls);
  EXPECT_EQ(reader.Feed(AsBytes(InRecords(ClassicHello("a.test").Message()))), HelloState::kNotTls);
  EXPECT_EQ(AsText(reader.replay()), "GET");
}

TEST(ClientHelloReaderTest, EnforcesItsLimits) {
  const std::string message = ClassicHello("a.test").Message();
  const size_t body_bytes = message.size() - 4;
  HelloLimits limits;
  limits.hello_bytes = body_bytes;
  limits.records = 3;
  ClientHelloReader fits(limits);
  EXPECT_EQ(fits.Feed(AsBytes(InRecords(message, {1, 2}))), HelloState::kDone);
  ClientHelloReader too_many(limits);
  EXPECT_EQ(too_many.Feed(AsBytes(InRecords(message, {1, 2, 3}))), HelloState::kTooLarge);
  limits.hello_bytes = body_bytes - 1;
  ClientHelloReader too_long(limits);
  EXPECT_EQ(too_long.Feed(AsBytes(InRecords(message))), HelloState::kTooLarge);
}

TEST(ClientHelloReaderTest, ThousandsOfExtensionsAreParsedAndCompared) {
  HelloBuilder many;
  for (uint16_t type = 1000; type < 1000 + 4000; ++type) many.Add(type, "");
  const std::string good = InRecords(many.Message());
  ClientHelloReader reader;
  ASSERT_EQ(reader.Feed(AsBytes(good)), HelloState::kDone) << reader.error();
  EXPECT_EQ(reader.hello().extensions.size(), 4000u);
  for (uint16_t twice : {1000, 1015, 1016, 4999}) {
    HelloBuilder bad = many;
    ClientHelloReader refusing;
    EXPECT_EQ(refusing.Feed(AsBytes(InRecords(bad.Add(twice, "").Message()))),
              HelloState::kMalformed);
  }
}

TEST(ParseClientHelloTest, AcceptsOneWholeMessage) {
  const std::string message = ClassicHello("a.test").Message();
  ClientHello hello;
  ASSERT_TRUE(ParseClientHello(AsBytes(message), {}, hello).ok());
  EXPECT_EQ(hello.server_name, "a.test");
  EXPECT_EQ(hello.records, 0u);
  EXPECT_FALSE(ParseClientHello(AsBytes(message + "x"), {}, hello).ok());
  EXPECT_FALSE(ParseClientHello(AsBytes(message.substr(0, message.size() - 1)), {}, hello).ok());
  for (size_t size = 0; size < 4; ++size) {
    EXPECT_FALSE(ParseClientHello(AsBytes(message.substr(0, size)), {}, hello).ok());
  }
  const absl::Status status = ParseClientHello(AsBytes(Raw({1, 0, 0, 0})), {}, hello);
  EXPECT_EQ(GetError(status)->code, ErrorCode::kMalformedHello);
  ASSERT_TRUE(ParseClientHello(AsBytes(message), {}, hello).ok());
  EXPECT_EQ(hello.alpn.size(), 2u);
}

TEST(GreaseTest, RecognisesTheSixteenValues) {
  int count = 0;
  for (int value = 0; value < 0x10000; ++value) count += IsGrease(static_cast<uint16_t>(value));
  EXPECT_EQ(count, 16);
  EXPECT_TRUE(IsGrease(0x0a0a));
  EXPECT_TRUE(IsGrease(0xfafa));
  EXPECT_FALSE(IsGrease(0x0a1a));
}

}  // namespace
}  // namespace trestle
