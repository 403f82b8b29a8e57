// The reader before it knows the version, and version 1.
#include "trestle/wire/proxy_protocol.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/wire/proxy_protocol_bytes.h"
#include "trestle/base/bytes.h"
#include "trestle/base/endpoint.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

TEST(ProxyHeaderReaderTest, ParsesTheExampleOfTheSpecification) {
  const std::string header = "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";
  const Outcome outcome = Judge(absl::StrCat(header, "GET / HTTP/1.1\r\nHost: 192.168.0.11\r\n"));
  ASSERT_EQ(outcome.state, ProxyHeaderState::kDone) << outcome.detail;
  EXPECT_EQ(outcome.header_bytes, header.size());
  EXPECT_EQ(outcome.header.version, 1);
  EXPECT_EQ(outcome.header.command, ProxyCommand::kProxy);
  EXPECT_EQ(outcome.header.family, ProxyFamily::kIpv4);
  EXPECT_EQ(outcome.header.transport, ProxyTransport::kStream);
  EXPECT_EQ(outcome.header.source.ToString(), "192.168.0.1:56324");
  EXPECT_EQ(outcome.header.destination.ToString(), "192.168.0.11:443");
}

TEST(ProxyHeaderReaderTest, ConsumesNothingAfterTheHeader) {
  ProxyHeaderReader reader;
  EXPECT_EQ(reader.Feed({}).taken, 0u);
  const std::string wire = "PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n";
  const ProxyHeaderReader::Result first = reader.Feed(AsBytes(wire));
  EXPECT_EQ(first.state, ProxyHeaderState::kDone);
  EXPECT_EQ(first.taken, 15u);
  const ProxyHeaderReader::Result second = reader.Feed(AsBytes(wire).subspan(first.taken));
  EXPECT_EQ(second.state, ProxyHeaderState::kDone);
  EXPECT_EQ(second.taken, 0u);
  EXPECT_EQ(reader.TakeHeader().version, 1);
}

struct Case {
  absl::string_view wire;
  absl::string_view source;
  absl::string_view destination;
};

class GoodLineTest : public ::testing::TestWithParam<Case> {};

TEST_P(GoodLineTest, ReportsTheAddresses) {
  const Outcome outcome = Judge(GetParam().wire);
  ASSERT_EQ(outcome.state, ProxyHeaderState::kDone) << outcome.detail;
  EXPECT_EQ(outcome.header_bytes, GetParam().wire.size());
  EXPECT_EQ(outcome.header.source.ToString(), GetParam().source);
  EXPECT_EQ(outcome.header.destination.ToString(), GetParam().destination);
  const bool is_unknown = absl::StartsWith(GetParam().wire, "PROXY UNKNOWN");
  EXPECT_EQ(outcome.header.family == ProxyFamily::kUnspecified, is_unknown);
  EXPECT_EQ(outcome.header.transport == ProxyTransport::kUnspecified, is_unknown);
}

constexpr char kFullIpv6[] = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";

INSTANTIATE_TEST_SUITE_P(
    All, GoodLineTest,
    ::testing::Values(
        // As sent by curl 7.88 (--haproxy-protocol) and HAProxy 2.6 (send-proxy).
        Case{"PROXY TCP4 127.0.0.1 127.0.0.1 57334 19000\r\n", "127.0.0.1:57334",
             "127.0.0.1:19000"},
        Case{"PROXY TCP6 ::1 ::1 38932 18081\r\n", "[::1]:38932", "[::1]:18081"},
        // The longest of each kind (2.1).
        Case{"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535",
             "255.255.255.255:65535"},
        Case{"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
             "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
             "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
             "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
        Case{"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
             "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
             "-", "-"},
        Case{"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0", "0.0.0.0:0"},
        Case{"PROXY TCP6 2001:DB8::1 2001:0db8:0:0:0:0:0:2 1 2\r\n", "[2001:db8::1]:1",
             "[2001:db8::2]:2"},
        Case{"PROXY TCP6 ::ffff:192.0.2.1 :: 1 2\r\n", "192.0.2.1:1", "[::]:2"},
        Case{"PROXY UNKNOWN\r\n", "-", "-"}, Case{"PROXY UNKNOWN \r\n", "-", "-"},
        Case{"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n", "-", "-"},
        Case{"PROXY UNKNOWN  \x01\xff anything\t\r\n", "-", "-"},
        Case{absl::string_view("PROXY UNKNOWN a\0b\r\n", 19), "-", "-"}));

// A rejected header, and the number of bytes to its verdict.
struct BadCase {
  absl::string_view wire;
  size_t decided_after;
  absl::string_view detail;
};

class BadLineTest : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadLineTest, IsRejectedAtTheFirstWrongByte) {
  const Outcome outcome = Judge(GetParam().wire);
  EXPECT_EQ(outcome.state, ProxyHeaderState::kMalformed);
  EXPECT_EQ(outcome.header_bytes, GetParam().decided_after);
  EXPECT_THAT(outcome.detail, HasSubstr(GetParam().detail));
}

INSTANTIATE_TEST_SUITE_P(
    Spacing, BadLineTest,
    ::testing::Values(BadCase{"PROXYTCP4", 6, "no space"}, BadCase{"PROXY\tTCP4", 6, "no space"},
                      BadCase{"PROXY\r\n", 6, "ends too early"},
                      BadCase{"PROXY  TCP4", 7, "protocol"},
                      BadCase{"PROXY TCP4  1.1.1.1", 12, "IPv4"},
                      BadCase{"PROXY TCP4 1.1.1.1  2.2.2.2", 20, "IPv4"},
                      BadCase{"PROXY TCP4 1.1.1.1 2.2.2.2  1 2\r\n", 28, "empty port"},
                      BadCase{"PROXY TCP4 1.1.1.1 2.2.2.2 1  2\r\n", 30, "port"},
                      BadCase{"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n", 31, "port"},
                      BadCase{"PROXY TCP4 1.1.1.1 2.2.2.2 1 \r\n", 30, "empty port"},
                      BadCase{"PROXY TCP4 1.1.1.1\t2.2.2.2", 19, "IPv4"}));

INSTANTIATE_TEST_SUITE_P(Protocol, BadLineTest,
                         ::testing::Values(BadCase{"PROXY tcp4 ", 7, "protocol"},
                                           BadCase{"PROXY TCP5 ", 10, "protocol"},
                                           BadCase{"PROXY UDP4 ", 8, "protocol"},
                                           BadCase{"PROXY TCP ", 10, "protocol"},
                                           BadCase{"PROXY TCP44 ", 11, "protocol"},
                                           BadCase{"PROXY UNKNOWNX\r\n", 14, "protocol"},
                                           BadCase{"PROXY UNKNOW\r\n", 13, "ends too early"},
                                           BadCase{"PROXY TCP4\r\n", 11, "ends too early"}));

INSTANTIATE_TEST_SUITE_P(
    Address, BadLineTest,
    ::testing::Values(BadCase{"PROXY TCP4 ::1 ::1 1 2\r\n", 12, "IPv4"},
                      BadCase{"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n", 19, "IPv6"},
                      BadCase{"PROXY TCP6 ::1 2.2.2.2 1 2\r\n", 23, "IPv6"},
                      BadCase{"PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n", 20, "IPv4"},
                      BadCase{"PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n", 20, "IPv4"},
                      BadCase{"PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n", 21, "IPv4"},
                      BadCase{"PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n", 17, "IPv4"},
                      BadCase{"PROXY TCP4 1.1.1.1. 2.2.2.2 1 2\r\n", 20, "IPv4"},
                      BadCase{"PROXY TCP4 1.1.1.1.1 2.2.2.2 1 2\r\n", 21, "IPv4"},
                      BadCase{"PROXY TCP4 16843009 2.2.2.2 1 2\r\n", 20, "IPv4"},
                      BadCase{"PROXY TCP4 0x1.1.1.1 2.2.2.2 1 2\r\n", 13, "IPv4"},
                      BadCase{"PROXY TCP4 1111111111111111", 27, "too long"},
                      BadCase{absl::string_view("PROXY TCP4 1.1.1.1\0 2.2.2.2", 27), 19, "IPv4"},
                      BadCase{"PROXY TCP6 ::1%1 ::1 1 2\r\n", 15, "IPv6"},
                      BadCase{"PROXY TCP6 [::1] ::1 1 2\r\n", 12, "IPv6"},
                      BadCase{"PROXY TCP6 ::1::2 ::1 1 2\r\n", 18, "IPv6"},
                      BadCase{"PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n", 25, "IPv6"},
                      BadCase{"PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n", 29, "IPv6"},
                      BadCase{"PROXY TCP6 1::2:3:4:5:6:7:8:9 ::1 1 2\r\n", 30, "IPv6"},
                      BadCase{"PROXY TCP6 00000::1 ::1 1 2\r\n", 20, "IPv6"},
                      BadCase{"PROXY TCP6 ::ffff:1.1.1.01 ::1 1 2\r\n", 27, "IPv6"},
                      BadCase{"PROXY TCP6 : ::1 1 2\r\n", 13, "IPv6"},
                      BadCase{"PROXY TCP6 0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0", 57,
                              "too long"}));

INSTANTIATE_TEST_SUITE_P(
    Port, BadLineTest,
    ::testing::Values(BadCase{"PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n", 32, "above 65535"},
                      BadCase{"PROXY TCP4 1.1.1.1 2.2.2.2 1 99999\r\n", 34, "above 65535"},
                      BadCase{"PROXY TCP4 1.1.1.1 2.2.2.2 123456 2\r\n", 33, "above 65535"},
                      BadCase{"PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", 29, "leading zero"},
                      BadCase{"PROXY TCP4 1.1.1.1 2.2.2.2 00 2\r\n", 29, "leading zero"},
                      BadCase{"PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n", 28, "decimal"},
                      BadCase{"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n", 28, "decimal"},
                      BadCase{"PROXY TCP4 1.1.1.1 2.2.2.2 0x1 2\r\n", 29, "decimal"},
                      BadCase{"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", 29, "ends too early"}));

INSTANTIATE_TEST_SUITE_P(
    LineEnd, BadLineTest,
    ::testing::Values(BadCase{"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", 31, "LF without CR"},
                      BadCase{"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rX", 32, "CR without LF"},
                      BadCase{"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r\n", 32, "CR without LF"},
                      BadCase{"PROXY UNKNOWN\n", 14, "LF without CR"},
                      BadCase{"PROXY UNKNOWN a\nb\r\n", 16, "LF without CR"},
                      BadCase{"PROXY UNKNOWN a\rb\r\n", 17, "CR without LF"}));

TEST(ProxyHeaderReaderTest, AcceptsALineOf107BytesAndNotOneOf108) {
  const std::string filler(kMaxProxyV1Bytes - 16, 'x');
  const Outcome longest = Judge(absl::StrCat("PROXY UNKNOWN ", filler, "\r\n"));
  EXPECT_EQ(longest.state, ProxyHeaderState::kDone);
  EXPECT_EQ(longest.header_bytes, 107u);
  const Outcome longer = Judge(absl::StrCat("PROXY UNKNOWN ", filler, "x\r\n"));
  EXPECT_EQ(longer.state, ProxyHeaderState::kTooLarge);
  EXPECT_EQ(longer.header_bytes, 106u) << "a CRLF no longer fits";
  EXPECT_THAT(longer.detail, HasSubstr("107"));
  EXPECT_EQ(Judge(absl::StrCat("PROXY UNKNOWN ", filler, "\rx\n")).state,
            ProxyHeaderState::kMalformed);
  const Outcome addresses =
      Judge(absl::StrCat("PROXY TCP6 ", kFullIpv6, " 0000:0000:0000:0000:0000:ffff:192.168.100.228",
                         " 65535 65535\r\n"));
  EXPECT_EQ(addresses.state, ProxyHeaderState::kTooLarge);
}

TEST(ProxyHeaderReaderTest, ConsumesAtMost107BytesWithoutCrlf) {
  for (absl::string_view start : {"PROXY UNKNOWN ", "PROXY TCP4 ", "PROXY TCP6 ", "PROXY "}) {
    ProxyHeaderReader reader;
    const std::string wire = absl::StrCat(start, std::string(64 * 1024, '1'));
    EXPECT_LE(reader.Feed(AsBytes(wire)).taken, kMaxProxyV1Bytes);
    EXPECT_FALSE(reader.error().ok());
  }
  EXPECT_EQ(Judge(absl::StrCat("PROXY UNKNOWN ", std::string(64 * 1024, '1'))).state,
            ProxyHeaderState::kTooLarge);
}

TEST(ProxyHeaderReaderTest, DetectsOtherProtocolsByTheirFirstBytes) {
  struct Other {
    absl::string_view wire;
    size_t decided_after;
  };
  for (const Other& other :
       {Other{"GET / HTTP/1.1\r\n", 1}, Other{"\x16\x03\x01\x02\x00", 1}, Other{"PRI * HTTP/2", 3},
        Other{"POST / HTTP/1.1", 2}, Other{"proxy TCP4", 1}, Other{" PROXY", 1}, Other{"PROXX", 5},
        Other{"\r\nPROXY", 3}, Other{"\r\n\r\nQUIT", 5}}) {
    const Outcome outcome = Judge(other.wire);
    EXPECT_EQ(outcome.state, ProxyHeaderState::kNotProxyHeader) << other.wire;
    EXPECT_EQ(outcome.header_bytes, other.decided_after) << other.wire;
  }
  EXPECT_THAT(Judge("\x16\x03\x01").detail, HasSubstr("TLS"));
}

TEST(ProxyHeaderReaderTest, WaitsForTheRestOfEveryPrefix) {
  for (const std::string& wire :
       {std::string("PROXY TCP4 192.0.2.1 192.0.2.2 4660 443\r\n"),
        std::string("PROXY TCP6 2001:db8::1 ::1 4660 443\r\n"), std::string("PROXY UNKNOWN a\r\n"),
        V2(0x21, 0x11, Ipv4Addresses() + Tlv(kProxyTlvNoop, "") + Tlv(kProxyTlvAlpn, "h2")),
        V2(0x20, 0x00, "")}) {
    for (size_t size = 0; size < wire.size(); ++size) {
      const Outcome outcome = Judge(absl::string_view(wire).substr(0, size));
      ASSERT_EQ(outcome.state, ProxyHeaderState::kNeedMore) << size;
      ASSERT_EQ(outcome.header_bytes, size);
    }
    EXPECT_EQ(Judge(wire).state, ProxyHeaderState::kDone);
  }
}

TEST(ProxyHeaderReaderTest, AcceptsEverySingleSplit) {
  const std::string ssl = Raw({1, 0, 0, 0, 1}) + Tlv(kProxySubTlvSslVersion, "TLSv1.3");
  for (const std::string& wire : {std::string("PROXY TCP4 192.0.2.1 192.0.2.2 4660 443\r\n"),
                                  V2(0x21, 0x11, Ipv4Addresses() + Tlv(kProxyTlvSsl, ssl))}) {
    const std::string stream = wire + "stream";
    for (size_t cut = 1; cut < stream.size(); ++cut) {
      ProxyHeaderReader reader;
      size_t taken = reader.Feed(AsBytes(stream).subspan(0, cut)).taken;
      taken += reader.Feed(AsBytes(stream).subspan(cut)).taken;
      ASSERT_EQ(reader.state(), ProxyHeaderState::kDone) << cut;
      EXPECT_EQ(taken, wire.size());
      EXPECT_EQ(reader.header().source.ToString(), "192.0.2.1:4660");
    }
  }
}

TEST(ProxyHeaderReaderTest, NamesItsStates) {
  EXPECT_EQ(EnumName(ProxyHeaderState::kNeedMore), "need_more");
  EXPECT_EQ(EnumName(ProxyHeaderState::kDone), "done");
  EXPECT_EQ(EnumName(ProxyHeaderState::kNotProxyHeader), "not_proxy_header");
  EXPECT_EQ(EnumName(ProxyHeaderState::kMalformed), "malformed");
  EXPECT_EQ(EnumName(ProxyHeaderState::kTooLarge), "too_large");
}

TEST(ProxyHeaderReaderTest, NeverQuotesBytesFromTheNetwork) {
  for (absl::string_view wire : {"\x1b[31m", "PROXY TCP4 \x1b", "PROXY \x1b"}) {
    EXPECT_EQ(Judge(wire).detail.find('\x1b'), std::string::npos);
  }
}

}  // namespace
}  // namespace trestle
