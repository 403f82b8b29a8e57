// First flights that other routers handled incorrectly, one by one. Names have the row of the
// project's table of such cases; "refused" rows have the reader's reason.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/wire/client_hello.h"

namespace trestle {
namespace {

using testing::ClassicHello;
using ::testing::HasSubstr;
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

std::string U16(size_t value) {
  return Raw({static_cast<int>(value >> 8), static_cast<int>(value & 0xff)});
}

// Returns the reader's result for a server name sent as `host_name`.
std::string Named(absl::string_view host_name) {
  return InRecords(ClassicHello("a.test").SetServerName(host_name).Message());
}

// A hello with a server_name extension of this body.
std::string WithNameBody(absl::string_view body) {
  return InRecords(ClassicHello("a.test").Replace(kExtensionServerName, body).Message());
}

// Returns a hello whose message length, or whose extension block length, is off by `delta`.
std::string WithMessageLength(int delta) {
  std::string message = Tls12Hello("a.test").Message();
  const size_t length = message.size() - 4 + delta;
  message.replace(2, 2, U16(length));
  return InRecords(message);
}
std::string WithBlockLength(int delta) {
  const std::string whole = Tls12Hello("a.test").Message();
  std::string message = whole;
  const size_t block_at = Tls12Hello("a.test").OmitExtensionBlock().Message().size();
  message.replace(block_at, 2, U16(whole.size() - block_at - 2 + delta));
  return InRecords(message);
}

struct Row {
  std::string name;
  std::string bytes;
  HelloState state = HelloState::kDone;
  std::string server_name;  // kDone
  std::string detail;       // refused: text that the reason must contain
};

std::vector<Row> NameRows() {
  std::vector<Row> rows;
  const auto good = [&](std::string name, absl::string_view host_name, std::string normal) {
    rows.push_back({std::move(name), Named(host_name), HelloState::kDone, std::move(normal), ""});
  };
  const auto bad = [&](std::string name, absl::string_view host_name, std::string reason) {
    rows.push_back(
        {std::move(name), Named(host_name), HelloState::kMalformed, "", std::move(reason)});
  };
  good("Row33Capitals", "A.TEST", "a.test");
  good("Row34MixedCase", "a.TeSt", "a.test");
  good("Row35OtherName", "b.test", "b.test");
  good("Row36UnderWildcard", "x.wild.test", "x.wild.test");
  good("Row37UnderWildcardCapitals", "X.WILD.TEST", "x.wild.test");
  good("Row38ALabel", "xn--bcher-kva.wild.test", "xn--bcher-kva.wild.test");
  good("Row44TrailingDotIsDropped", "a.test.", "a.test");
  bad("Row45LeadingDot", ".wild.test", "empty label");
  bad("Row46StarLiteral", "*.wild.test", "'*'");
  bad("Row47Ipv4", "127.0.0.1", "IPv4");
  bad("Row48Ipv6", "::1", "IPv6");
  bad("Row49Ipv6InBrackets", "[::1]", "IPv6");
  bad("Row50NulAtEnd", absl::string_view("a.test\0", 7), "NUL");
  bad("Row51NulInside", absl::string_view("a.test\0.evil", 12), "NUL");
  bad("Row52NulInFront", absl::string_view("\0a.test", 7), "NUL");
  bad("Row53Utf8", "b\xc3\xbc\x63her.test", "outside ASCII");
  bad("Row54Bell", "a\a.test", "not a letter");
  bad("Row55Escape", "\x1b[31ma.test", "not a letter");
  bad("Row56LeadingSpace", " a.test", "not a letter");
  bad("Row57TrailingSpace", "a.test ", "not a letter");
  bad("Row58Port", "a.test:443", "port");
  bad("Row59EmptyLabel", "a..test", "empty label");
  bad("Row60LeadingHyphen", "-a.test", "hyphen");
  bad("Row61LabelOf64", std::string(64, 'a') + ".wild.test", "63 bytes");
  std::string name253;
  while (name253.size() < 240) name253 += "abcdefghijklmno.";
  name253 += "abcdefgh.test";
  good("Row62NameOf253", name253, name253);
  bad("Row63NameOf300", absl::StrCat(name253, ".", std::string(46, 'a')), "253 bytes");
  bad("Row64NameOf15000", std::string(15000, 'a'), "253 bytes");
  bad("Row65EmptyName", "", "empty name");
  return rows;
}

std::vector<Row> RefusedExtensionRows() {
  const HelloState kBad = HelloState::kMalformed;
  const std::string host = absl::StrCat(Raw({0}), U16(6), "a.test");
  std::vector<Row> rows = {
      {"Row66EmptyList", WithNameBody(U16(0)), kBad, "", "without a name"},
      {"Row67EmptyExtension", WithNameBody(""), kBad, "", "malformed server_name"},
      {"Row68ListLengthTooLong", WithNameBody(U16(10) + host), kBad, "", "malformed server_name"},
      {"Row69TrailingData", WithNameBody(U16(9) + host + "x"), kBad, "", "malformed server_name"},
      {"Row69NameLengthTooLong", WithNameBody(absl::StrCat(U16(9), Raw({0}), U16(7), "a.test")),
       kBad, "", "malformed server_name"},
      {"Row70TwoHostNames", WithNameBody(U16(18) + host + host), kBad, "", "more than one name"},
      {"Row71UnknownNameTypeFirst",
       WithNameBody(absl::StrCat(U16(13), Raw({7}), U16(1), "x", host)), kBad, "",
       "not a host name"},
      {"Row72DuplicateExtensionOneAfterTheOther",
       InRecords(
           Tls12Hello("a.test").Remove(0).Add(0, U16(9) + host).Add(0, U16(9) + host).Message()),
       kBad, "", "two extensions of type 0"},
      {"Row73DuplicateExtensionApart",
       InRecords(Tls12Hello("b.test").Add(0, U16(9) + host).Message()), kBad, "",
       "two extensions of type 0"},
      {"Row94BlockTooLong", WithBlockLength(+1), kBad, "", "exceeds the hello"},
      {"Row95BlockTooShort", WithBlockLength(-1), kBad, "", "after the extension block"},
      {"Row95BlockTooShortByAnExtension", WithBlockLength(-26), kBad, "",
       "after the extension block"},
      {"Row96HandshakeLengthTooShort", WithMessageLength(-1), kBad, "", "continues after"},
      {"Row96HandshakeLengthTiny", InRecord(22, Raw({1, 0, 0, 1, 3})), kBad, "", "too short"},
      {"Row97SessionIdOf33",
       InRecords(Tls12Hello("a.test").SetSessionId(std::string(33, 'x')).Message()), kBad, "",
       "session id of more than 32"},
      {"Row98NoCipherSuites", InRecords(Tls12Hello("a.test").SetCipherSuites({}).Message()), kBad,
       "", "cipher suites"},
  };
  std::string odd = Tls12Hello("a.test").Message();
  odd[4 + 2 + 32 + 1 + 1] = 13;  // The length of the cipher suites, which was 12.
  rows.push_back({"Row98OddCipherSuites", InRecords(odd), kBad, "", "cipher suites"});
  return rows;
}

std::vector<Row> GoodRows() {
  const HelloState kDone = HelloState::kDone;
  const std::string classic = ClassicHello("a.test").Message();
  const std::string pq = PostQuantumHello("a.test").Message();
  const std::string pq_grease = PostQuantumHello("a.test").AddGrease().Message();
  const size_t name_at = classic.find("a.test");
  HelloBuilder crowded = ClassicHello("a.test").Remove(0);
  for (uint16_t type = 0x4000; type < 0x4000 + 60; ++type) crowded.Add(type, "x");
  const std::string early =
      absl::StrCat(InRecords(ClassicHello("a.test").AddTicket(192).AddEarlyData().Message()),
                   InRecord(20, Raw({1}), 0x0303), InRecord(23, std::string(500, 'e'), 0x0303));
  return {
      {"Row01Tls13", InRecords(classic), kDone, "a.test", ""},
      {"Row08PostQuantum", InRecords(pq), kDone, "a.test", ""},
      {"Row10PostQuantumNameLast", InRecords(PostQuantumHello("a.test").MoveToEnd(0).Message()),
       kDone, "a.test", ""},
      {"Row11HelloInTwoRecords", InRecords(classic, {name_at + 3}), kDone, "a.test", ""},
      {"Row13HandshakeHeaderOverFourRecords", InRecords(classic, {1, 2, 3}), kDone, "a.test", ""},
      {"Row16RecordVersion0300", InRecords(classic, {}, 0x0300), kDone, "a.test", ""},
      {"Row17RecordVersion0302", InRecords(classic, {}, 0x0302), kDone, "a.test", ""},
      {"Row18RecordVersion0303", InRecords(classic, {}, 0x0303), kDone, "a.test", ""},
      {"Row19RecordVersion03ff", InRecords(classic, {}, 0x03ff), kDone, "a.test", ""},
      {"Row21LegacyVersion0304",
       InRecords(ClassicHello("a.test").SetLegacyVersion(0x0304).Message()), kDone, "a.test", ""},
      {"Row22Grease", InRecords(ClassicHello("a.test").AddGrease().Message()), kDone, "a.test", ""},
      {"Row23GreasePostQuantumTwoRecords", InRecords(pq_grease, {700}), kDone, "a.test", ""},
      {"Row24NameAfter60Extensions", InRecords(crowded.SetServerName("a.test").Message()), kDone,
       "a.test", ""},
      {"Row25EchOuter", InRecords(PostQuantumHello("a.test").AddEchOuter(7, 239).Message()), kDone,
       "a.test", ""},
      {"Row26EchInnerMarker", InRecords(PostQuantumHello("a.test").Add(0xfe0d, Raw({1})).Message()),
       kDone, "a.test", ""},
      {"Row27PreSharedKeyLast", InRecords(ClassicHello("a.test").AddTicket(192).Message()), kDone,
       "a.test", ""},
      {"Row28AcmeAlpn", InRecords(ClassicHello("a.test").SetAlpn({"acme-tls/1"}).Message()), kDone,
       "a.test", ""},
      {"Row29EarlyDataBehind", early, kDone, "a.test", ""},
      {"Row74NoServerName", InRecords(ClassicHello("a.test").Remove(0).Message()), kDone, "", ""},
      {"Row75NoExtensionBlock", InRecords(Tls12Hello("").OmitExtensionBlock().Message()), kDone, "",
       ""},
      {"Row75EmptyExtensionBlock", InRecords(HelloBuilder().Message()), kDone, "", ""},
      {"Row90Hello16KiBInOneRecord", InRecords(PostQuantumHello("a.test").PadTo(16384).Message()),
       kDone, "a.test", ""},
      {"Row91Hello15500NameLast",
       InRecords(PostQuantumHello("a.test").PadTo(15500).MoveToEnd(0).Message()), kDone, "a.test",
       ""},
      {"Row90HelloAtTheLimitOverTwoRecords",
       InRecords(PostQuantumHello("a.test").PadTo(4 + 16384).Message()), kDone, "a.test", ""},
  };
}

std::vector<Row> RefusedRecordRows() {
  const HelloState kBad = HelloState::kMalformed;
  const HelloState kNotTls = HelloState::kNotTls;
  const HelloState kTooLarge = HelloState::kTooLarge;
  const std::string hello = ClassicHello("a.test").Message();
  const std::string wire = InRecords(hello);
  const std::string half = InRecord(22, hello.substr(0, 200));
  const std::string rest = InRecord(22, hello.substr(200));
  std::string empty_records;
  for (int i = 0; i < 2000; ++i) empty_records += InRecord(22, "");
  return {
      {"Row14OneByteRecordsOverTheLimit",
       InRecords(hello,
                 [&] {
                   std::vector<size_t> cuts;
                   for (size_t i = 1; i < hello.size(); ++i) cuts.push_back(i);
                   return cuts;
                 }()),
       kTooLarge, "", "more than 64 records"},
      {"Row20RecordMajorVersion4", InRecords(hello, {}, 0x0400), kNotTls, "", "not a TLS version"},
      {"Row32SecondMessageInTheRecord", InRecord(22, hello + Raw({20, 0, 0, 0})), kBad, "",
       "continues after the ClientHello"},
      {"Row32SecondMessageInASecondRecord",
       InRecord(22, hello.substr(0, 9)) + InRecord(22, hello.substr(9) + "x"), kBad, "",
       "continues after the ClientHello"},
      {"Row76SslV2", Raw({0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10}), kNotTls, "", "SSLv2"},
      {"Row76SslV2WithTlsVersion", Raw({0x80, 0x2e, 1, 3, 1, 0, 0x15, 0, 0, 0, 0x10}), kNotTls, "",
       "SSLv2"},
      {"Row77Http", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", kNotTls, "", "plaintext HTTP"},
      {"Row77HttpPost", "POST / HTTP/1.1\r\n", kNotTls, "", "plaintext HTTP"},
      {"Row77HttpConnect", "CONNECT a.test:443 HTTP/1.1\r\n", kNotTls, "", "plaintext HTTP"},
      {"Row77HttpPropfind", "PROPFIND / HTTP/1.1\r\n", kNotTls, "", "plaintext HTTP"},
      {"Row77Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", kNotTls, "", "HTTP/2"},
      {"Row78Ssh", "SSH-2.0-OpenSSH_9.2p1\r\n", kNotTls, "", "SSH"},
      {"Row79DtlsOverTcp", Raw({22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50, 1}), kNotTls, "",
       "DTLS"},
      {"Row80AlertFirst", InRecord(21, Raw({2, 40})), kBad, "", "alert record came before"},
      {"Row81ApplicationDataFirst", InRecord(23, "GET /"), kBad, "",
       "application_data record came before"},
      {"Row82ChangeCipherSpecFirst", InRecord(20, Raw({1})) + wire, kBad, "",
       "change_cipher_spec record came before"},
      {"Row82HeartbeatFirst", InRecord(24, Raw({1, 0, 3})), kBad, "", "heartbeat"},
      {"AlertAmid", half + InRecord(21, Raw({1, 0})) + rest, kBad, "",
       "an alert record came within"},
      {"ChangeCipherSpecAmid", half + InRecord(20, Raw({1})) + rest, kBad, "",
       "a change_cipher_spec record came within"},
      {"ApplicationDataAmid", half + InRecord(23, "x") + rest, kBad, "",
       "an application_data record came within"},
      {"UnknownRecordAmid", half + InRecord(99, "x") + rest, kBad, "",
       "an unknown record came within"},
      {"HttpAmid", half + "GET / HTTP/1.1\r\n\r\n", kBad, "", "an unknown record came within"},
      {"MajorVersionChangesAmid", half + InRecord(22, hello.substr(200), 0x0203), kBad, "",
       "not a TLS version"},
      {"Row83ServerHello", InRecord(22, Raw({2, 0, 0, 70}) + std::string(70, 'x')), kBad, "",
       "message of type 2"},
      {"Row84HelloRequestThenHello", InRecord(22, Raw({0, 0, 0, 0})) + wire, kBad, "",
       "message of type 0"},
      {"Row85EmptyRecordThenHello", InRecord(22, "") + wire, kBad, "", "empty handshake record"},
      {"Row85EmptyRecordAmid", half + InRecord(22, "") + rest, kBad, "", "empty handshake record"},
      {"Row86EmptyRecords2000", empty_records, kBad, "", "empty handshake record"},
      {"Row87RecordOf16385", Raw({22, 3, 1, 0x40, 1}) + hello, kBad, "", "more than 16384 bytes"},
      {"Row88RecordOf65535With100", Raw({22, 3, 1, 0xff, 0xff}) + std::string(100, 'x'), kBad, "",
       "more than 16384 bytes"},
      {"Row89RecordOf0", Raw({22, 3, 1, 0, 0}), kBad, "", "empty handshake record"},
      {"Row92HelloOf60000OverFour", InRecords(PostQuantumHello("a.test").PadTo(60000).Message()),
       kTooLarge, "", "59996 bytes; the limit is 16384"},
      {"Row93HandshakeLengthFfffff",
       InRecord(22, Raw({1, 0xff, 0xff, 0xff}) + std::string(16000, 'x')), kTooLarge, "",
       "16777215 bytes"},
      {"Row99ProxyV1", "PROXY TCP4 192.0.2.1 192.0.2.2 1 443\r\n" + wire, kNotTls, "",
       "PROXY protocol v1"},
      {"Row100ProxyV2", Raw({13, 10, 13, 10, 0, 13, 10, 'Q', 'U', 'I', 'T', 10, 0x21}) + wire,
       kNotTls, "", "PROXY protocol v2"},
      {"PostgresSslRequest", Raw({0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f}), kNotTls, "", "PostgreSQL"},
      {"PostgresGssRequest", Raw({0, 0, 0, 8, 4, 0xd2, 0x16, 0x30}), kNotTls, "", "PostgreSQL"},
      {"Smtp", "EHLO a.test\r\n", kNotTls, "", "SMTP"},
      {"Rdp", Raw({3, 0, 0, 0x13, 0x0e}), kNotTls, "", "RDP"},
      {"RandomBytes", Raw({0x5e, 0x11, 0x99}), kNotTls, "", "the first byte is not"},
      {"AlmostHttp", "GEX", kNotTls, "", "the first byte is not"},
  };
}

std::vector<Row> RefusedFieldRows() {
  const HelloState kBad = HelloState::kMalformed;
  const auto with = [](uint16_t type, absl::string_view body) {
    return InRecords(PostQuantumHello("a.test").Replace(type, body).Message());
  };
  const std::string share = absl::StrCat(U16(29), U16(1), "x");
  return {
      {"NoNullCompression", InRecords(Tls12Hello("a.test").SetCompressionMethods("\x01").Message()),
       kBad, "", "null method"},
      {"NoCompression", InRecords(Tls12Hello("a.test").SetCompressionMethods("").Message()), kBad,
       "", "null method"},
      {"LegacyVersionSslV2", InRecords(Tls12Hello("a.test").SetLegacyVersion(0x0002).Message()),
       kBad, "", "legacy_version"},
      {"LegacyVersionDtls", InRecords(Tls12Hello("a.test").SetLegacyVersion(0xfefd).Message()),
       kBad, "", "legacy_version"},
      {"AlpnEmptyList", with(16, U16(0)), kBad, "", "ALPN"},
      {"AlpnEmptyName", with(16, U16(4) + Raw({0, 2, 'h', '2'})), kBad, "", "empty protocol name"},
      {"AlpnNameTooLong", with(16, U16(3) + Raw({3, 'h', '2'})), kBad, "", "ALPN"},
      {"AlpnTrailing", with(16, U16(3) + Raw({2, 'h', '2', 'x'})), kBad, "", "ALPN"},
      {"VersionsEmpty", with(43, Raw({0})), kBad, "", "supported_versions"},
      {"VersionsOdd", with(43, Raw({3, 3, 4, 3})), kBad, "", "supported_versions"},
      {"GroupsEmpty", with(10, U16(0)), kBad, "", "supported_groups"},
      {"GroupsOdd", with(10, U16(3) + "xyz"), kBad, "", "supported_groups"},
      {"SignaturesTrailing", with(13, U16(2) + "xyz"), kBad, "", "signature_algorithms"},
      {"KeyShareTwice", with(51, U16(10) + share + share), kBad, "", "two key shares"},
      {"KeyShareEmpty", with(51, U16(4) + U16(29) + U16(0)), kBad, "", "key_share"},
      {"KeyShareCut", with(51, U16(3) + "\x01\x02\x03"), kBad, "", "key_share"},
      {"EchUnknownType", with(0xfe0d, Raw({2})), kBad, "", "encrypted_client_hello"},
      {"EchEmpty", with(0xfe0d, ""), kBad, "", "encrypted_client_hello"},
      {"EchInnerWithBody", with(0xfe0d, Raw({1, 0})), kBad, "", "encrypted_client_hello"},
      {"EchOuterCut", with(0xfe0d, Raw({0, 0, 1, 0, 1, 7, 0, 0, 0, 9})), kBad, "",
       "encrypted_client_hello"},
      {"EarlyDataWithBody", with(42, "x"), kBad, "", "early_data"},
      {"PreSharedKeyNotLast", InRecords(ClassicHello("a.test").AddTicket(9).Add(99, "").Message()),
       kBad, "", "not the last"},
      {"ExtensionLeadsOut",
       InRecords(HelloBuilder().Add(99, "").Message().replace(
           HelloBuilder().Add(99, "").Message().size() - 2, 2, U16(1))),
       kBad, "", "exceeds the extension block"},
  };
}

// Returns everything that a reader reports about some bytes, except `segments`.
std::string Describe(const ClientHelloReader& reader) {
  std::string text(EnumName(reader.state()));
  if (reader.state() != HelloState::kDone) {
    return absl::StrCat(text, " ", reader.error().message());
  }
  const ClientHello& hello = reader.hello();
  absl::StrAppend(&text, " ", hello.server_name, " ", hello.legacy_version, " ", hello.records, " ",
                  AsText(hello.message));
  return text;
}

class ClientHelloRowTest : public ::testing::TestWithParam<Row> {};

TEST_P(ClientHelloRowTest, HasTheStatedResult) {
  const Row& row = GetParam();
  ClientHelloReader reader;
  EXPECT_EQ(reader.Feed(AsBytes(row.bytes)), row.state) << reader.error();
  EXPECT_EQ(AsText(reader.replay()), row.bytes);
  if (row.state == HelloState::kDone) {
    EXPECT_EQ(reader.hello().server_name, row.server_name);
    EXPECT_TRUE(reader.error().ok());
    return;
  }
  const std::optional<Error> error = GetError(reader.error());
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, row.state == HelloState::kNotTls      ? ErrorCode::kNotTls
                         : row.state == HelloState::kMalformed ? ErrorCode::kMalformedHello
                                                               : ErrorCode::kHelloTooLarge);
  EXPECT_EQ(error->leg, Leg::kFront);
  EXPECT_EQ(error->phase, Phase::kHello);
  EXPECT_THAT(error->detail, HasSubstr(row.detail));
}

TEST_P(ClientHelloRowTest, HasTheSameResultByteByByte) {
  const Row& row = GetParam();
  ClientHelloReader whole;
  whole.Feed(AsBytes(row.bytes));
  ClientHelloReader reader;
  for (const char& byte : row.bytes) {
    if (reader.Feed(AsBytes(absl::string_view(&byte, 1))) != HelloState::kNeedMore) break;
  }
  EXPECT_EQ(Describe(reader), Describe(whole));
  EXPECT_LE(reader.replay().size(), row.bytes.size());
  EXPECT_EQ(AsText(reader.replay()), row.bytes.substr(0, reader.replay().size()));
}

std::string RowName(const ::testing::TestParamInfo<Row>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Good, ClientHelloRowTest, ::testing::ValuesIn(GoodRows()), RowName);
INSTANTIATE_TEST_SUITE_P(Names, ClientHelloRowTest, ::testing::ValuesIn(NameRows()), RowName);
INSTANTIATE_TEST_SUITE_P(BadExtensions, ClientHelloRowTest,
                         ::testing::ValuesIn(RefusedExtensionRows()), RowName);
INSTANTIATE_TEST_SUITE_P(BadRecords, ClientHelloRowTest, ::testing::ValuesIn(RefusedRecordRows()),
                         RowName);
INSTANTIATE_TEST_SUITE_P(BadFields, ClientHelloRowTest, ::testing::ValuesIn(RefusedFieldRows()),
                         RowName);

}  // namespace
}  // namespace trestle
