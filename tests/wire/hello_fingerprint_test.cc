#include "trestle/wire/hello_fingerprint.h"

#include <openssl/md5.h>
#include <openssl/sha.h>

#include <array>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "trestle/base/bytes.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/wire/client_hello.h"

namespace trestle {
namespace {

using testing::HelloBuilder;

std::array<uint8_t, 32> Sha256(ByteView in) {
  std::array<uint8_t, 32> digest;
  SHA256(in.data(), in.size(), digest.data());
  return digest;
}

std::string Md5Hex(absl::string_view text) {
  uint8_t digest[MD5_DIGEST_LENGTH];
  MD5(AsBytes(text).data(), text.size(), digest);
  return absl::BytesToHexString(AsText(ByteView(digest, sizeof(digest))));
}

// A parsed hello with the bytes that it views.
struct Parsed {
  explicit Parsed(const HelloBuilder& builder) : message(builder.Message()) {
    const absl::Status status = ParseClientHello(AsBytes(message), {}, hello);
    EXPECT_TRUE(status.ok()) << status;
  }
  const std::string message;
  ClientHello hello;
};

// Returns a hello with extensions of these types, in this order; each has a body if it needs one.
HelloBuilder WithExtensions(const std::vector<uint16_t>& types) {
  HelloBuilder hello;
  for (uint16_t type : types) hello.Add(type, "");
  for (uint16_t type : types) {
    if (type == kExtensionServerName) hello.SetServerName("example.com");
    if (type == kExtensionAlpn) hello.SetAlpn({"h2", "http/1.1"});
    if (type == kExtensionSupportedVersions) hello.SetVersions({0x0304, 0x0303});
    if (type == kExtensionSupportedGroups) hello.SetGroups({0x001d, 0x0017, 0x0018});
    if (type == kExtensionKeyShare) hello.SetKeyShares({0x001d});
    if (type == kExtensionEncryptedClientHello) hello.Replace(type, "\x01");
    if (type == kExtensionSignatureAlgorithms) hello.SetSignatureAlgorithms({0x0403});
  }
  return hello;
}

const std::vector<uint16_t>& ChromeSuites() {
  static const auto* const suites =
      new std::vector<uint16_t>{0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9,
                                0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035};
  return *suites;
}

// The example of the specification: technical_details/JA4.md.
TEST(Ja4Test, MatchesTheExampleOfTheSpecification) {
  const std::vector<uint16_t> types = {0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017,
                                       0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b,
                                       0xff01, 0x000b, 0x000a, 0x0015};
  HelloBuilder builder = WithExtensions(types).SetCipherSuites(ChromeSuites());
  builder.SetSignatureAlgorithms({0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601});
  const Parsed plain(builder);
  EXPECT_EQ(Ja4(plain.hello, Sha256), "t13d1516h2_8daaf6152771_e5627efa2ab1");
  EXPECT_EQ(Ja4Raw(plain.hello),
            "t13d1516h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9_"
            "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01_"
            "0403,0804,0401,0503,0805,0501,0806,0601");
  // GREASE in every list except ALPN's, where the fingerprint uses the first value.
  const Parsed grease(builder.AddGrease().SetAlpn({"h2", "\x4a\x4a"}).ReverseExtensions());
  EXPECT_TRUE(grease.hello.HasGrease());
  EXPECT_EQ(Ja4(grease.hello, Sha256), "t13d1516h2_8daaf6152771_e5627efa2ab1");
}

// From the published test data of the reference implementation: sigalg-grease.pcapng.
TEST(Ja4Test, MatchesAPublishedCaptureWithEchAndGreaseSignature) {
  const std::vector<uint16_t> types = {0xfe0d, 0x0010, 0x0017, 0x0033, 0x44cd, 0xff01,
                                       0x000a, 0x000d, 0x0023, 0x002b, 0x000b, 0xca34,
                                       0x002d, 0x0000, 0x0005, 0x001b, 0x0012};
  HelloBuilder builder = WithExtensions(types).SetCipherSuites(ChromeSuites());
  builder.SetSignatureAlgorithms({0x0a0a, 0x0904, 0x0905, 0x0906, 0x0403, 0x0804, 0x0401, 0x0503,
                                  0x0805, 0x0501, 0x0806, 0x0601});
  const Parsed parsed(builder);
  EXPECT_EQ(Ja4(parsed.hello, Sha256), "t13d1517h2_8daaf6152771_cb7bf5808d99");
  EXPECT_EQ(Ja4Raw(parsed.hello),
            "t13d1517h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9_"
            "0005,000a,000b,000d,0012,0017,001b,0023,002b,002d,0033,44cd,ca34,fe0d,ff01_"
            "0904,0905,0906,0403,0804,0401,0503,0805,0501,0806,0601");
}

TEST(Ja4Test, WithoutSignatureAlgorithmsThereIsNoUnderscore) {
  const Parsed parsed(WithExtensions({0x0005, 0x002b}));
  EXPECT_EQ(Ja4Raw(parsed.hello), "t13i040200_1301,1302,1303,c02f_0005,002b");
}

TEST(Ja4Test, WithoutExtensionsThereAreZeros) {
  const Parsed parsed(HelloBuilder().OmitExtensionBlock());
  const std::string ja4 = Ja4(parsed.hello, Sha256);
  EXPECT_EQ(ja4.substr(0, 11), "t12i040000_");
  EXPECT_EQ(ja4.substr(ja4.size() - 13), "_000000000000");
  const Parsed only_grease(HelloBuilder().SetCipherSuites({0x0a0a}).OmitExtensionBlock());
  EXPECT_EQ(Ja4(only_grease.hello, Sha256), "t12i000000_000000000000_000000000000");
}

TEST(Ja4Test, UsesTheHighestVersion) {
  EXPECT_EQ(Ja4Raw(Parsed(HelloBuilder().SetVersions({0x0a0a, 0x0302, 0x0301})).hello).substr(0, 3),
            "t11");
  EXPECT_EQ(Ja4Raw(Parsed(HelloBuilder().SetLegacyVersion(0x0301)).hello).substr(0, 3), "t10");
  EXPECT_EQ(Ja4Raw(Parsed(HelloBuilder().SetLegacyVersion(0x0300)).hello).substr(0, 3), "ts3");
  EXPECT_EQ(Ja4Raw(Parsed(HelloBuilder().SetVersions({0x7f1c})).hello).substr(0, 3), "t00");
}

TEST(Ja4Test, CountsStopAt99) {
  std::vector<uint16_t> suites;
  for (uint16_t i = 1; i <= 120; ++i) suites.push_back(i);
  HelloBuilder builder;
  for (uint16_t type = 5000; type < 5101; ++type) builder.Add(type, "");
  EXPECT_EQ(Ja4Raw(Parsed(builder.SetCipherSuites(suites)).hello).substr(0, 10), "t12i999900");
}

TEST(Ja4Test, UsesTheFirstAndLastCharactersOfAlpn) {
  const auto alpn = [](absl::string_view protocol) {
    return Ja4Raw(Parsed(HelloBuilder().SetAlpn({protocol})).hello).substr(8, 2);
  };
  EXPECT_EQ(alpn("h2"), "h2");
  EXPECT_EQ(alpn("http/1.1"), "h1");
  EXPECT_EQ(alpn("x"), "xx");
  EXPECT_EQ(alpn("\xab"), "ab");
  EXPECT_EQ(alpn("\xab\xcd"), "ad");
  EXPECT_EQ(alpn("\x30\xab"), "3b");
  EXPECT_EQ(alpn("\x30\x31\xab\xcd"), "3d");
  EXPECT_EQ(alpn("\x30\xab\xcd\x31"), "01");
}

// The two examples of JA3's own description.
TEST(Ja3Test, MatchesThePublishedExamples) {
  HelloBuilder builder;
  builder.SetLegacyVersion(769)
      .SetCipherSuites({47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4})
      .SetServerName("example.com")
      .SetGroups({23, 24, 25})
      .Add(kExtensionEcPointFormats, absl::string_view("\x01\x00", 2));
  const std::string full = Ja3String(Parsed(builder).hello);
  EXPECT_EQ(full, "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0");
  EXPECT_EQ(Md5Hex(full), "ada70206e40642a3e4461f35503241d5");
  HelloBuilder bare;
  bare.SetLegacyVersion(769)
      .SetCipherSuites({4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99})
      .OmitExtensionBlock();
  const std::string empty = Ja3String(Parsed(bare).hello);
  EXPECT_EQ(empty, "769,4-5-10-9-100-98-3-6-19-18-99,,,");
  EXPECT_EQ(Md5Hex(empty), "de350869b8c85de67a350c8d186f11e6");
}

TEST(Ja3Test, OmitsGreaseAndAcceptsMalformedPointFormats) {
  HelloBuilder builder;
  builder.SetCipherSuites({0x1301}).SetGroups({29}).Add(kExtensionEcPointFormats, "\x05");
  EXPECT_EQ(Ja3String(Parsed(builder.AddGrease()).hello), "771,4865,10-11,29,");
}

}  // namespace
}  // namespace trestle
