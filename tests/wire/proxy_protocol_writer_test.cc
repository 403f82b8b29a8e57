// The writers, and headers that are written, split at random and parsed.
#include <algorithm>
#include <random>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/wire/proxy_protocol_bytes.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/wire/proxy_protocol.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

ProxyHeader Tcp(absl::string_view source, absl::string_view destination) {
  return ProxyHeader::ForTcp(*Endpoint::Parse(source), *Endpoint::Parse(destination));
}

void ExpectCannotWrite(const absl::StatusOr<std::string>& written, absl::string_view why) {
  ASSERT_FALSE(written.ok()) << why;
  const std::optional<Error> error = GetError(written.status());
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, ErrorCode::kConfiguration);
  EXPECT_THAT(error->detail, HasSubstr(std::string(why)));
}

TEST(ProxyHeaderWriterTest, WritesV1AsInTheSpecification) {
  EXPECT_EQ(*WriteProxyHeaderV1(Tcp("192.168.0.1:56324", "192.168.0.11:443")),
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
  EXPECT_EQ(*WriteProxyHeaderV1(Tcp("[2001:db8::1]:0", "[::1]:65535")),
            "PROXY TCP6 2001:db8::1 ::1 0 65535\r\n");
  const std::string longest = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
  EXPECT_EQ(WriteProxyHeaderV1(Tcp(longest, longest))->size(), 104u);
}

TEST(ProxyHeaderWriterTest, MapsTheOneIpv4AddressOfAPair) {
  const ProxyHeader header = Tcp("192.0.2.1:1", "[2001:db8::1]:2");
  EXPECT_EQ(header.family, ProxyFamily::kIpv6);
  // 2.1 allows only groups of hexadecimal digits.
  EXPECT_EQ(*WriteProxyHeaderV1(header), "PROXY TCP6 0:0:0:0:0:ffff:c000:201 2001:db8::1 1 2\r\n");
  EXPECT_EQ(Judge(*WriteProxyHeaderV1(header)).header.source, header.source);
  EXPECT_EQ(Judge(*WriteProxyHeaderV2(header)).header.source, header.source);
  EXPECT_EQ(header.source.ToString(), "192.0.2.1:1");
  EXPECT_EQ(Tcp("[2001:db8::1]:2", "192.0.2.1:1").destination, header.source);
}

// HAProxy sends this from a dual-stack listener.
TEST(ProxyHeaderWriterTest, AHeaderOfMappedAddressesIsPassedOnAsIpv4) {
  const ProxyHeader in = Judge("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n").header;
  EXPECT_EQ(*WriteProxyHeaderV1(ProxyHeader::ForTcp(in.source, in.destination)),
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
}

TEST(ProxyHeaderWriterTest, SendsNoAddressesIfOneIsMissing) {
  const Endpoint endpoint = *Endpoint::Parse("192.0.2.1:1");
  EXPECT_EQ(ProxyHeader::ForTcp(endpoint, Endpoint()), ProxyHeader::Local());
  EXPECT_EQ(ProxyHeader::ForTcp(Endpoint(), endpoint), ProxyHeader::Local());
}

// HAProxy does the same for clients of Unix-domain sockets.
TEST(ProxyHeaderWriterTest, SendsNoAddressesOfUnixDomainSockets) {
  const Endpoint tcp = *Endpoint::Parse("192.0.2.1:1");
  const Endpoint local = *Endpoint::Parse("unix:/s");
  for (const ProxyHeader& header :
       {ProxyHeader::ForTcp(Endpoint::Unix(""), local), ProxyHeader::ForTcp(tcp, local),
        ProxyHeader::ForTcp(local, tcp)}) {
    EXPECT_EQ(header, ProxyHeader::Local());
    EXPECT_EQ(*WriteProxyHeaderV1(header), "PROXY UNKNOWN\r\n");
  }
}

TEST(ProxyHeaderWriterTest, WritesUnknownForAddressesThatV1Lacks) {
  ProxyHeader datagram = Tcp("192.0.2.1:1", "192.0.2.2:2");
  datagram.transport = ProxyTransport::kDatagram;
  ProxyHeader over_unix;
  over_unix.family = ProxyFamily::kUnix;
  over_unix.transport = ProxyTransport::kStream;
  over_unix.source_path = "/run/a";
  for (const ProxyHeader& header : {ProxyHeader(), ProxyHeader::Local(), datagram, over_unix}) {
    EXPECT_EQ(*WriteProxyHeaderV1(header), "PROXY UNKNOWN\r\n");
  }
}

TEST(ProxyHeaderWriterTest, WritesV2ByteByByte) {
  EXPECT_EQ(*WriteProxyHeaderV2(Tcp("192.0.2.1:4660", "192.0.2.2:443")),
            V2(0x21, 0x11, Ipv4Addresses()));
  EXPECT_EQ(*WriteProxyHeaderV2(ProxyHeader()), V2(0x21, 0x00, ""));
  const ProxyHeader local = ProxyHeader::Local();
  EXPECT_EQ(*WriteProxyHeaderV2(Tcp("127.0.0.1:1", "127.0.0.1:2"), {true}),
            V2(0x21, 0x11, FromHex("7f0000017f00000100010002030004e9166d07")));
  EXPECT_EQ(*WriteProxyHeaderV2(local), V2(0x20, 0x00, ""));
  // As in HAProxy's health checks.
  EXPECT_EQ(*WriteProxyHeaderV2(local, {true}), V2(0x20, 0x00, FromHex("030004a9b87e8f")));
}

TEST(ProxyHeaderWriterTest, WritesAllFieldsOfHaproxy) {
  const std::string haproxy = HaproxyHeaderWithCertificate();
  const std::string written = *WriteProxyHeaderV2(Judge(haproxy).header, {true});
  EXPECT_EQ(absl::BytesToHexString(written), absl::BytesToHexString(haproxy));
}

TEST(ProxyHeaderWriterTest, NeverMarksAMissingCertificateAsVerified) {
  ProxyHeader header;
  header.ssl.emplace();
  for (int client = 0; client < 8; ++client) {
    header.ssl->client = static_cast<uint8_t>(client);
    header.ssl->verify = 0;
    const ProxySslInfo read = *Judge(*WriteProxyHeaderV2(header)).header.ssl;
    EXPECT_EQ(read.client, client);
    EXPECT_EQ(read.verify, client < 2 ? 1u : 0u);
    header.ssl->verify = 0x01020304;
    const ProxySslInfo refused = *Judge(*WriteProxyHeaderV2(header)).header.ssl;
    EXPECT_EQ(refused.verify, client < 2 ? 1u : 0x01020304u);
    EXPECT_FALSE(refused.client_certificate_verified());
  }
}

TEST(ProxyHeaderWriterTest, RejectsContradictingHeaders) {
  ProxyHeader header = Tcp("192.0.2.1:1", "[2001:db8::1]:2");
  header.family = ProxyFamily::kIpv4;
  ExpectCannotWrite(WriteProxyHeaderV1(header), "family");
  ExpectCannotWrite(WriteProxyHeaderV2(header), "family");
  header.destination = Endpoint();
  ExpectCannotWrite(WriteProxyHeaderV1(header), "family");
  ExpectCannotWrite(WriteProxyHeaderV2(header), "family");
  header = Tcp("192.0.2.1:1", "192.0.2.2:2");
  header.transport = ProxyTransport::kUnspecified;
  ExpectCannotWrite(WriteProxyHeaderV2(header), "don't go together");
  header.transport = ProxyTransport::kStream;
  header.command = ProxyCommand::kLocal;
  ExpectCannotWrite(WriteProxyHeaderV2(header), "LOCAL header has no addresses");
  header = ProxyHeader();
  header.transport = ProxyTransport::kStream;
  ExpectCannotWrite(WriteProxyHeaderV2(header), "don't go together");
  header = ProxyHeader();
  header.source = *Endpoint::Parse("192.0.2.1:1");
  ExpectCannotWrite(WriteProxyHeaderV2(header), "family");
  header = Tcp("192.0.2.1:1", "192.0.2.2:2");
  header.source_path = "/run/a";
  ExpectCannotWrite(WriteProxyHeaderV2(header), "isn't of family kUnix");
}

TEST(ProxyHeaderWriterTest, RejectsPathsThatParseAsOthers) {
  ProxyHeader header;
  header.family = ProxyFamily::kUnix;
  header.transport = ProxyTransport::kStream;
  for (absl::string_view good :
       {absl::string_view(), absl::string_view("/run/a"), absl::string_view("\0a\0b", 4)}) {
    header.source_path = std::string(good);
    EXPECT_EQ(Judge(*WriteProxyHeaderV2(header)).header, header);
  }
  header.source_path = std::string(108, 'p');
  EXPECT_EQ(Judge(*WriteProxyHeaderV2(header)).header, header);
  header.source_path += "p";
  ExpectCannotWrite(WriteProxyHeaderV2(header), "over 108 bytes");
  header.source_path = "";
  for (absl::string_view bad : {absl::string_view("a\0b", 3), absl::string_view("a\0", 2),
                                absl::string_view("\0", 1), absl::string_view("\0a\0", 3)}) {
    header.destination_path = std::string(bad);
    ExpectCannotWrite(WriteProxyHeaderV2(header), "NUL out of place");
  }
}

TEST(ProxyHeaderWriterTest, EnforcesItsLimits) {
  ProxyHeader header;
  header.unique_id = std::string(kMaxProxyUniqueIdBytes, 'u');
  EXPECT_TRUE(WriteProxyHeaderV2(header).ok());
  header.unique_id->push_back('u');
  ExpectCannotWrite(WriteProxyHeaderV2(header), "over 128 bytes");
  header.unique_id.reset();
  header.authority = std::string(4096 - 19, 'a');
  EXPECT_EQ(WriteProxyHeaderV2(header)->size(), 4096u);
  ExpectCannotWrite(WriteProxyHeaderV2(header, {true}), "4103 bytes; the limit is 4096");
  header.authority->push_back('a');
  ExpectCannotWrite(WriteProxyHeaderV2(header), "4097 bytes; the limit is 4096");
  header.authority = std::string(65535 - 3, 'a');
  EXPECT_EQ(WriteProxyHeaderV2(header, {false, 1 << 20})->size(), 65551u);
  for (size_t size : {65536 - 3, 65536, 70000, 131072}) {
    header.authority = std::string(size, 'a');
    ExpectCannotWrite(WriteProxyHeaderV2(header, {false, 1 << 20}), "the limit is 65551");
  }
  header.authority.reset();
  header.ssl.emplace().common_name = std::string(65536, 'c');
  ExpectCannotWrite(WriteProxyHeaderV2(header, {false, 1 << 20}), "the limit is 65551");
}

TEST(ProxyHeaderWriterTest, RejectsKnownTypesAmongUnknownOnes) {
  for (int type : {0x01, 0x02, 0x03, 0x04, 0x05, 0x20, 0x30}) {
    ProxyHeader header;
    header.unknown_tlvs.push_back({static_cast<uint8_t>(type), ""});
    ExpectCannotWrite(WriteProxyHeaderV2(header), "registered type");
  }
  for (int type = 0x21; type <= 0x25; ++type) {
    ProxyHeader header;
    header.ssl.emplace().unknown_tlvs.push_back({static_cast<uint8_t>(type), ""});
    ExpectCannotWrite(WriteProxyHeaderV2(header), "registered type");
  }
}

TEST(ProxyHeaderWriterTest, HeadersThatDifferAreNotEqual) {
  ProxyHeader header = Tcp("192.0.2.1:1", "192.0.2.2:2");
  header.ssl.emplace();
  ProxyHeader other = header;
  EXPECT_EQ(header, other);
  other.ssl->unknown_tlvs.push_back({0x26, "X25519"});
  EXPECT_NE(header, other);
  EXPECT_NE(*header.ssl, *other.ssl);
  EXPECT_NE((ProxyTlv{1, "a"}), (ProxyTlv{1, "b"}));
}

// Makes headers of all kinds.
class Maker {
 public:
  explicit Maker(uint32_t seed) : random_(seed) {}

  uint32_t Below(uint32_t bound) { return random_() % bound; }

  std::string Text(uint32_t longest) {
    std::string text(Below(longest + 1), '\0');
    for (char& byte : text) byte = static_cast<char>(random_());
    return text;
  }

  std::optional<std::string> MaybeText(uint32_t longest) {
    if (Below(2) == 0) return std::nullopt;
    return Text(longest);
  }

  Endpoint Address(size_t size) {
    std::string address(size, '\0');
    for (char& byte : address) byte = Below(2) == 0 ? '\0' : static_cast<char>(random_());
    return Endpoint(AsBytes(address), static_cast<uint16_t>(random_()));
  }

  std::string Path() {
    std::string path = Text(100);
    path.erase(std::remove(path.begin(), path.end(), '\0'), path.end());
    return Below(3) == 0 && !path.empty() ? absl::StrCat(absl::string_view("\0", 1), path) : path;
  }

  std::vector<ProxyTlv> UnknownTlvs() {
    std::vector<ProxyTlv> tlvs;
    while (Below(2) == 0) tlvs.push_back({static_cast<uint8_t>(0x40 + Below(0xc0)), Text(20)});
    return tlvs;
  }

  void AddAddresses(ProxyHeader& header) {
    header.family = static_cast<ProxyFamily>(Below(4));
    if (header.family == ProxyFamily::kUnspecified) return;
    header.transport = Below(4) == 0 ? ProxyTransport::kDatagram : ProxyTransport::kStream;
    if (header.family == ProxyFamily::kUnix) {
      header.source_path = Path();
      header.destination_path = Path();
      return;
    }
    const size_t size = header.family == ProxyFamily::kIpv4 ? 4 : 16;
    header.source = Address(size);
    header.destination = Address(size);
  }

  ProxyHeader Header() {
    ProxyHeader header;
    if (Below(8) == 0) {
      header.command = ProxyCommand::kLocal;
    } else {
      AddAddresses(header);
    }
    header.alpn = MaybeText(16);
    header.authority = MaybeText(253);
    header.unique_id = MaybeText(kMaxProxyUniqueIdBytes);
    header.network_namespace = MaybeText(16);
    header.unknown_tlvs = UnknownTlvs();
    header.has_crc32c = Below(2) == 0;
    if (Below(2) == 0) return header;
    ProxySslInfo& ssl = header.ssl.emplace();
    ssl.client = static_cast<uint8_t>(random_());
    ssl.verify = (ssl.client & 6) == 0 ? 1 : Below(2) * random_();
    ssl.version = MaybeText(8);
    ssl.common_name = MaybeText(64);
    ssl.cipher = MaybeText(32);
    ssl.signature_algorithm = MaybeText(16);
    ssl.key_algorithm = MaybeText(16);
    ssl.unknown_tlvs = UnknownTlvs();
    return header;
  }

  // Feeds `wire` in pieces of random sizes, some of them empty; returns the number of consumed
  // bytes.
  size_t FeedInPieces(absl::string_view wire, ProxyHeaderReader& reader) {
    const uint32_t longest = 1 + Below(64);
    size_t taken = 0;
    for (size_t fed = 0; fed < wire.size();) {
      const absl::string_view piece = wire.substr(fed, Below(longest + 1));
      taken += reader.Feed(AsBytes(piece)).taken;
      fed += piece.size();
    }
    return taken;
  }

 private:
  std::mt19937 random_;
};

TEST(ProxyHeaderPropertyTest, WrittenHeadersParseFromAnyPartition) {
  for (uint32_t seed = 0; seed < 2000; ++seed) {
    Maker maker(seed);
    ProxyHeader header = maker.Header();
    const absl::StatusOr<std::string> v2 = WriteProxyHeaderV2(header, {header.has_crc32c});
    ASSERT_TRUE(v2.ok()) << seed << " " << v2.status();
    for (int partition = 0; partition < 5; ++partition) {
      ProxyHeaderReader reader;
      const std::string stream = absl::StrCat(*v2, maker.Text(50));
      ASSERT_EQ(maker.FeedInPieces(stream, reader), v2->size()) << seed << " " << reader.error();
      ASSERT_EQ(reader.state(), ProxyHeaderState::kDone) << seed;
      ASSERT_EQ(reader.header(), header) << seed;
    }
    const std::string v1 = *WriteProxyHeaderV1(header);
    ProxyHeaderReader reader;
    ASSERT_EQ(maker.FeedInPieces(absl::StrCat(v1, maker.Text(50)), reader), v1.size()) << v1;
    ASSERT_EQ(reader.state(), ProxyHeaderState::kDone) << v1 << reader.error();
    if (v1 == "PROXY UNKNOWN\r\n") continue;
    ASSERT_EQ(reader.header().source, header.source) << v1;
    ASSERT_EQ(reader.header().destination, header.destination) << v1;
  }
}

TEST(ProxyHeaderPropertyTest, TheVerdictOnDamagedHeadersIsTheSameForAnyPartition) {
  int refused = 0;
  for (uint32_t seed = 0; seed < 4000; ++seed) {
    Maker maker(seed);
    const ProxyHeader header = maker.Header();
    std::string wire = seed % 2 == 0 ? *WriteProxyHeaderV1(header) : *WriteProxyHeaderV2(header);
    for (uint32_t damage = 1 + maker.Below(3); damage > 0; --damage) {
      wire[maker.Below(static_cast<uint32_t>(wire.size()))] = maker.Text(1).append("x")[0];
    }
    const Outcome outcome = Judge(wire);  // Whole and byte by byte.
    refused += outcome.detail.empty() ? 0 : 1;
    ProxyHeaderReader reader;
    ASSERT_EQ(maker.FeedInPieces(wire, reader), outcome.header_bytes) << seed;
    const Outcome in_pieces = OutcomeOf(reader);
    ASSERT_EQ(in_pieces.state, outcome.state) << seed;
    ASSERT_EQ(in_pieces.detail, outcome.detail) << seed;
    ASSERT_EQ(in_pieces.header, outcome.header) << seed;
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace trestle
