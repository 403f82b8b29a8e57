// Version 2: commands, families, TLVs, checksum, limits.
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/wire/proxy_protocol_bytes.h"
#include "trestle/base/endpoint.h"
#include "trestle/wire/proxy_protocol.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string V2WithTlvs(absl::string_view tlvs) {
  return V2(0x21, 0x11, absl::StrCat(Ipv4Addresses(), tlvs));
}

void ExpectRefused(absl::string_view wire, ProxyHeaderState state, size_t decided_after,
                   absl::string_view detail, const ProxyHeaderLimits& limits = {}) {
  const Outcome outcome = Judge(wire, limits);
  EXPECT_EQ(outcome.state, state) << detail;
  EXPECT_EQ(outcome.header_bytes, decided_after) << outcome.detail;
  EXPECT_THAT(outcome.detail, HasSubstr(std::string(detail)));
}

void ExpectMalformed(absl::string_view wire, size_t decided_after, absl::string_view detail) {
  ExpectRefused(wire, ProxyHeaderState::kMalformed, decided_after, detail);
}

TEST(ProxyHeaderV2Test, ParsesAllFieldsOfHaproxy) {
  const std::string wire = HaproxyHeaderWithCertificate();
  const Outcome outcome = Judge(absl::StrCat(wire, "stream"));
  ASSERT_EQ(outcome.state, ProxyHeaderState::kDone) << outcome.detail;
  EXPECT_EQ(outcome.header_bytes, wire.size());
  const ProxyHeader& header = outcome.header;
  EXPECT_EQ(header.version, 2);
  EXPECT_EQ(header.command, ProxyCommand::kProxy);
  EXPECT_EQ(header.family, ProxyFamily::kIpv4);
  EXPECT_EQ(header.transport, ProxyTransport::kStream);
  EXPECT_EQ(header.source.ToString(), "127.0.0.1:38518");
  EXPECT_EQ(header.destination.ToString(), "127.0.0.1:18443");
  EXPECT_TRUE(header.has_crc32c);
  EXPECT_EQ(header.alpn, "h2");
  EXPECT_EQ(header.authority, "app.example");
  EXPECT_EQ(header.unique_id, "7345-0");
  EXPECT_FALSE(header.network_namespace.has_value());
  EXPECT_TRUE(header.unknown_tlvs.empty());
  ASSERT_TRUE(header.ssl.has_value());
  EXPECT_EQ(header.ssl->client, ProxySslInfo::kClientSsl | ProxySslInfo::kClientCertConnection |
                                    ProxySslInfo::kClientCertSession);
  EXPECT_EQ(header.ssl->verify, 0u);
  EXPECT_TRUE(header.ssl->client_certificate_verified());
  EXPECT_EQ(header.ssl->version, "TLSv1.3");
  EXPECT_EQ(header.ssl->common_name, "cli.test");
  EXPECT_EQ(header.ssl->cipher, "TLS_AES_256_GCM_SHA384");
  EXPECT_EQ(header.ssl->signature_algorithm, "RSA-SHA256");
  EXPECT_EQ(header.ssl->key_algorithm, "RSA2048");
  EXPECT_TRUE(header.ssl->unknown_tlvs.empty());
}

// HAProxy reports a missing certificate as "verified".
TEST(ProxyHeaderV2Test, AMissingCertificateIsNotVerified) {
  const Outcome outcome = Judge(HaproxyHeaderWithoutCertificate());
  ASSERT_EQ(outcome.state, ProxyHeaderState::kDone) << outcome.detail;
  EXPECT_EQ(outcome.header.ssl->client, ProxySslInfo::kClientSsl);
  EXPECT_EQ(outcome.header.ssl->verify, 0u);
  EXPECT_FALSE(outcome.header.ssl->client_certificate_verified());
  ProxySslInfo ssl;
  EXPECT_FALSE(ssl.client_certificate_verified());
  ssl.client = ProxySslInfo::kClientCertSession;
  EXPECT_FALSE(ssl.client_certificate_verified());
  ssl.verify = 0;
  EXPECT_TRUE(ssl.client_certificate_verified());
}

TEST(ProxyHeaderV2Test, ParsesIpv6AndDatagrams) {
  std::string addresses(32, '\0');
  addresses[0] = 0x20;
  addresses[15] = 1;
  addresses[31] = 2;
  addresses += Raw({0xff, 0xff, 0, 0});
  const Outcome outcome = Judge(V2(0x21, 0x22, addresses));
  ASSERT_EQ(outcome.state, ProxyHeaderState::kDone) << outcome.detail;
  EXPECT_EQ(outcome.header.family, ProxyFamily::kIpv6);
  EXPECT_EQ(outcome.header.transport, ProxyTransport::kDatagram);
  EXPECT_EQ(outcome.header.source.ToString(), "[2000::1]:65535");
  EXPECT_EQ(outcome.header.destination.ToString(), "[::2]:0");
  EXPECT_FALSE(outcome.header.has_crc32c);
}

std::string Padded(std::string path) {
  path.resize(kMaxProxyUnixPathBytes, '\0');
  return path;
}

TEST(ProxyHeaderV2Test, ParsesUnixPaths) {
  const Outcome plain = Judge(V2(0x21, 0x31, Padded("/run/a.sock") + Padded("")));
  ASSERT_EQ(plain.state, ProxyHeaderState::kDone) << plain.detail;
  EXPECT_EQ(plain.header.family, ProxyFamily::kUnix);
  EXPECT_EQ(plain.header.transport, ProxyTransport::kStream);
  EXPECT_EQ(plain.header.source_path, "/run/a.sock");
  EXPECT_EQ(plain.header.destination_path, "");
  EXPECT_EQ(plain.header.source.family(), Endpoint::Family::kNone);

  const std::string full(kMaxProxyUnixPathBytes, 'p');
  const std::string abstract("\0name", 5);
  const Outcome other = Judge(V2(0x21, 0x32, full + Padded(abstract)));
  ASSERT_EQ(other.state, ProxyHeaderState::kDone) << other.detail;
  EXPECT_EQ(other.header.transport, ProxyTransport::kDatagram);
  EXPECT_EQ(other.header.source_path, full);
  EXPECT_EQ(other.header.destination_path, abstract);

  const Outcome garbage = Judge(V2(0x21, 0x31, Padded(std::string("/a\0left over", 12)) + full));
  EXPECT_EQ(garbage.header.source_path, "/a");
}

TEST(ProxyHeaderV2Test, UnspecMeansNoAddresses) {
  const Outcome bare = Judge(V2(0x21, 0x00, ""));
  ASSERT_EQ(bare.state, ProxyHeaderState::kDone) << bare.detail;
  EXPECT_EQ(bare.header_bytes, 16u);
  EXPECT_EQ(bare.header.command, ProxyCommand::kProxy);
  EXPECT_EQ(bare.header.family, ProxyFamily::kUnspecified);
  EXPECT_EQ(bare.header.source, Endpoint());
  const Outcome with_tlv = Judge(V2(0x21, 0x00, Tlv(kProxyTlvUniqueId, "id")));
  EXPECT_EQ(with_tlv.header.unique_id, "id");
  ExpectMalformed(V2(0x21, 0x00, "ab"), 16, "too few");
}

TEST(ProxyHeaderV2Test, AcceptsALocalHeaderWithAnyContents) {
  std::string many;
  for (int i = 0; i < 65; ++i) many += Tlv(0xe0, "");
  for (const std::string& wire :
       {V2(0x20, 0x00, ""), V2(0x20, 0x11, ""), V2(0x20, 0xff, ""), V2(0x20, 0x11, Ipv4Addresses()),
        V2(0x20, 0x21, "short"), V2(0x20, 0x11, Tlv(kProxyTlvUniqueId, "id")), V2(0x20, 0x00, "a"),
        V2(0x20, 0x00, Tlv(kProxyTlvUniqueId, "id") + "ab"),
        V2(0x20, 0x00, Tlv(kProxyTlvCrc32c, "xxxx") + Raw({1, 0, 1})),
        V2(0x20, 0x00, Tlv(kProxyTlvCrc32c, "xxx")),
        V2(0x20, 0x00, Tlv(kProxyTlvAlpn, "h2") + Tlv(kProxyTlvAlpn, "h2") + "abc"),
        V2(0x20, 0x00, Tlv(kProxyTlvSsl, "abc")), V2(0x20, 0x00, many),
        V2(0x20, 0x00, std::string(4080, '\xff'))}) {
    const Outcome outcome = Judge(absl::StrCat(wire, "stream"));
    ASSERT_EQ(outcome.state, ProxyHeaderState::kDone) << outcome.detail;
    EXPECT_EQ(outcome.header_bytes, wire.size());
    EXPECT_EQ(outcome.header, ProxyHeader::Local());
  }
  ExpectRefused(V2(0x20, 0x00, std::string(4081, 'x')), ProxyHeaderState::kTooLarge, 16, "4097");
}

// The header of HAProxy 2.6 for a client on a Unix socket, with crc32c,unique-id.
TEST(ProxyHeaderV2Test, ParsesTheTlvsOfALocalHeader) {
  const std::string wire =
      FromHex("0d0a0d0a000d0a515549540a20000011030004f3aba93b05000731373532392d30");
  const Outcome outcome = Judge(wire);
  ASSERT_EQ(outcome.state, ProxyHeaderState::kDone) << outcome.detail;
  EXPECT_EQ(outcome.header.command, ProxyCommand::kLocal);
  EXPECT_EQ(outcome.header.family, ProxyFamily::kUnspecified);
  EXPECT_EQ(outcome.header.unique_id, "17529-0");
  EXPECT_TRUE(outcome.header.has_crc32c);
  EXPECT_EQ(*WriteProxyHeaderV2(outcome.header, {true}), wire);
  std::string wrong = wire;
  wrong.back() = '1';
  ExpectMalformed(wrong, wrong.size(), "the checksum is wrong");
}

TEST(ProxyHeaderV2Test, RejectsFaultsInTheFirstSixteenBytes) {
  for (size_t i = 0; i < 12; ++i) {
    std::string wire = V2(0x21, 0x11, Ipv4Addresses());
    wire[i] = static_cast<char>(wire[i] ^ 0x80);
    ExpectRefused(wire, ProxyHeaderState::kNotProxyHeader, i + 1, "not a PROXY protocol header");
  }
  ExpectMalformed(V2(0x11, 0x11, Ipv4Addresses()), 13, "version 1");
  ExpectMalformed(V2(0x31, 0x11, Ipv4Addresses()), 13, "version 3");
  ExpectMalformed(V2(0x22, 0x11, Ipv4Addresses()), 13, "unknown command 2");
  ExpectMalformed(V2(0x2f, 0x11, Ipv4Addresses()), 13, "unknown command 15");
  ExpectMalformed(V2(0x21, 0x11, ""), 16, "0 bytes where the addresses alone are 12");
  ExpectMalformed(V2(0x21, 0x12, "12345678901"), 16, "11 bytes");
  ExpectMalformed(V2(0x21, 0x21, std::string(35, 'x')), 16, "36");
  ExpectMalformed(V2(0x21, 0x31, std::string(215, 'x')), 16, "216");
}

TEST(ProxyHeaderV2Test, AcceptsTheSevenFamiliesOfTheSpecificationOnly) {
  int accepted = 0;
  for (int family = 0; family < 256; ++family) {
    const Outcome outcome = Judge(V2(0x21, family, Tlv(0xe0, std::string(300, '\0'))));
    if (outcome.header_bytes > 14) {
      ++accepted;
      continue;
    }
    EXPECT_EQ(outcome.state, ProxyHeaderState::kMalformed);
    EXPECT_THAT(outcome.detail, HasSubstr("unknown family and transport 0x"));
  }
  EXPECT_EQ(accepted, 7);
}

TEST(ProxyHeaderV2Test, PassesUnknownTlvsOn) {
  const std::string ssl = Raw({0xf1, 0, 0, 1, 2}) + Tlv(0x26, "X25519") + Tlv(0x01, "") +
                          Tlv(0x26, "again") + Tlv(kProxySubTlvSslVersion, "");
  const Outcome outcome =
      Judge(V2WithTlvs(Tlv(0xea, "vpce") + Tlv(kProxyTlvNoop, "zzz") + Tlv(0xea, "") +
                       Tlv(kProxyTlvNoop, "") + Tlv(kProxyTlvNetworkNamespace, "ns") +
                       Tlv(kProxyTlvSsl, ssl) + Tlv(0x21, "not within SSL") + Tlv(0xff, "\xff")));
  ASSERT_EQ(outcome.state, ProxyHeaderState::kDone) << outcome.detail;
  const std::vector<ProxyTlv> unknown = {
      {0xea, "vpce"}, {0xea, ""}, {0x21, "not within SSL"}, {0xff, "\xff"}};
  EXPECT_EQ(outcome.header.unknown_tlvs, unknown);
  EXPECT_EQ(outcome.header.network_namespace, "ns");
  const std::vector<ProxyTlv> ssl_unknown = {{0x26, "X25519"}, {0x01, ""}, {0x26, "again"}};
  EXPECT_EQ(outcome.header.ssl->unknown_tlvs, ssl_unknown);
  EXPECT_EQ(outcome.header.ssl->client, 0xf1);
  EXPECT_EQ(outcome.header.ssl->verify, 0x00000102u);
  EXPECT_EQ(outcome.header.ssl->version, "");
}

TEST(ProxyHeaderV2Test, RejectsTlvsThatExceedTheHeader) {
  ExpectMalformed(V2WithTlvs(Raw({kProxyTlvAlpn, 0, 3}) + "h2"), 31, "type 0x01 that goes beyond");
  ExpectMalformed(V2WithTlvs(Raw({kProxyTlvAlpn, 0xff, 0xff})), 31, "goes beyond");
  ExpectMalformed(V2WithTlvs(Raw({0xe0, 0, 1})), 31, "type 0xe0 that goes beyond");
  // The bytes missing from the header are in the stream, but belong to the payload.
  ExpectMalformed(V2WithTlvs(Raw({kProxyTlvAlpn, 0, 3}) + "h2") + "streamstream", 31, "beyond");
  ExpectMalformed(V2WithTlvs(Raw({kProxyTlvAlpn})), 28, "too few");
  ExpectMalformed(V2WithTlvs(Tlv(kProxyTlvAlpn, "h2") + Raw({kProxyTlvNoop, 0})), 33, "too few");
}

TEST(ProxyHeaderV2Test, RejectsMalformedSslTlvs) {
  const std::string head = Raw({1, 0, 0, 0, 0});
  for (size_t size = 0; size < 5; ++size) {
    const std::string wire = V2WithTlvs(Tlv(kProxyTlvSsl, head.substr(0, size)));
    ExpectMalformed(wire, wire.size(), "too short for its flags");
  }
  for (const std::string& tail : {Raw({0x21}), Raw({0x21, 0}), Tlv(0x21, "x") + Raw({0x22, 0})}) {
    const std::string wire = V2WithTlvs(Tlv(kProxyTlvSsl, head + tail));
    ExpectMalformed(wire, wire.size(), "too few for a sub-TLV");
  }
  for (const std::string& tail : {Raw({0x21, 0, 1}), Raw({0x26, 0xff, 0xff}) + "x"}) {
    const std::string wire = V2WithTlvs(Tlv(kProxyTlvSsl, head + tail));
    ExpectMalformed(wire, wire.size(), "beyond the SSL TLV");
  }
}

TEST(ProxyHeaderV2Test, RejectsDuplicates) {
  const std::string ssl_head = Raw({1, 0, 0, 0, 0});
  for (int type : {kProxyTlvAlpn, kProxyTlvAuthority, kProxyTlvUniqueId, kProxyTlvSsl,
                   kProxyTlvNetworkNamespace}) {
    const std::string tlv = Tlv(type, ssl_head);
    EXPECT_EQ(Judge(V2WithTlvs(tlv)).state, ProxyHeaderState::kDone);
    EXPECT_EQ(Judge(V2WithTlvs(Tlv(type, type == kProxyTlvSsl ? ssl_head : ""))).state,
              ProxyHeaderState::kDone);
    const Outcome twice = Judge(V2WithTlvs(tlv + Tlv(0xe0, "between") + tlv));
    EXPECT_EQ(twice.state, ProxyHeaderState::kMalformed);
    EXPECT_THAT(twice.detail, StartsWith("PROXY v2 header: two "));
  }
  for (int type = kProxySubTlvSslVersion; type <= kProxySubTlvSslKeyAlgorithm; ++type) {
    const Outcome twice =
        Judge(V2WithTlvs(Tlv(kProxyTlvSsl, ssl_head + Tlv(type, "a") + Tlv(type, ""))));
    EXPECT_EQ(twice.state, ProxyHeaderState::kMalformed);
    EXPECT_THAT(twice.detail, StartsWith("PROXY v2 header: two "));
  }
  ExpectMalformed(V2WithTlvs(Tlv(kProxyTlvCrc32c, "1234") + Tlv(kProxyTlvCrc32c, "1234")), 38,
                  "two checksums");
}

TEST(ProxyHeaderV2Test, LimitsTheUniqueId) {
  const std::string longest(kMaxProxyUniqueIdBytes, 'u');
  EXPECT_EQ(Judge(V2WithTlvs(Tlv(kProxyTlvUniqueId, longest))).header.unique_id, longest);
  const std::string wire = V2WithTlvs(Tlv(kProxyTlvUniqueId, longest + "u"));
  ExpectMalformed(wire, wire.size(), "unique ID of more than 128 bytes");
}

TEST(ProxyHeaderV2Test, VerifiesTheChecksum) {
  const std::string good = HaproxyHeaderWithCertificate();
  // A wrong bit after the fixed head makes the header malformed or its checksum wrong.
  for (size_t bit = 16 * 8; bit < good.size() * 8; ++bit) {
    std::string wire = good;
    wire[bit / 8] = static_cast<char>(wire[bit / 8] ^ (1 << bit % 8));
    const Outcome outcome = Judge(wire);
    const bool is_crc_type = bit / 8 == 28;  // Then there is no checksum.
    if (is_crc_type && outcome.state == ProxyHeaderState::kDone) continue;
    ASSERT_EQ(outcome.state, ProxyHeaderState::kMalformed) << bit;
  }
  std::string wrong = good;
  wrong.back() = static_cast<char>(wrong.back() ^ 1);
  ExpectMalformed(wrong, wrong.size(), "the checksum is wrong");
  ExpectMalformed(V2WithTlvs(Tlv(kProxyTlvCrc32c, "123")), 31, "four bytes");
  ExpectMalformed(V2WithTlvs(Tlv(kProxyTlvCrc32c, "12345")), 31, "four bytes");
  ExpectMalformed(V2WithTlvs(Tlv(kProxyTlvCrc32c, "")), 31, "four bytes");
}

TEST(ProxyHeaderV2Test, LimitsTheHeaderByItsFirstSixteenBytes) {
  const std::string at_limit = V2WithTlvs(Tlv(kProxyTlvNoop, std::string(4096 - 31, 'n')));
  ASSERT_EQ(at_limit.size(), 4096u);
  EXPECT_EQ(Judge(at_limit).state, ProxyHeaderState::kDone);
  const std::string above = V2WithTlvs(Tlv(kProxyTlvNoop, std::string(4096 - 30, 'n')));
  ExpectRefused(above, ProxyHeaderState::kTooLarge, 16, "4097 bytes; the limit is 4096");
  ExpectRefused(V2Signature() + Raw({0x21, 0x11, 0xff, 0xff}), ProxyHeaderState::kTooLarge, 16,
                "65551 bytes");
  EXPECT_EQ(Judge(above, {4097, 1}).state, ProxyHeaderState::kDone);
  ExpectRefused(V2(0x21, 0x00, "123"), ProxyHeaderState::kTooLarge, 16, "19 bytes", {18, 64});
  const std::string largest = V2WithTlvs(Tlv(kProxyTlvNoop, std::string(65535 - 15, 'n')));
  EXPECT_EQ(Judge(largest, {1 << 20, 1}).state, ProxyHeaderState::kDone);
}

TEST(ProxyHeaderV2Test, LimitsTheNumberOfTlvs) {
  std::string tlvs;
  for (int i = 0; i < 64; ++i) tlvs += Tlv(i % 2 == 0 ? kProxyTlvNoop : 0xe0, "");
  EXPECT_EQ(Judge(V2WithTlvs(tlvs)).state, ProxyHeaderState::kDone);
  ExpectRefused(V2WithTlvs(tlvs + Tlv(0xe0, "")), ProxyHeaderState::kTooLarge, 28 + 64 * 3,
                "more than 64 TLVs");
  const std::string ssl = Tlv(kProxyTlvSsl, Raw({1, 0, 0, 0, 0}) + Tlv(0x21, "") + Tlv(0x26, ""));
  EXPECT_EQ(Judge(V2WithTlvs(ssl), {4096, 3}).state, ProxyHeaderState::kDone);
  ExpectRefused(V2WithTlvs(ssl), ProxyHeaderState::kTooLarge, V2WithTlvs(ssl).size(),
                "more than 2 TLVs", {4096, 2});
}

}  // namespace
}  // namespace trestle
