#include "trestle/base/ip_range.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

bool Contains(absl::string_view range, absl::string_view endpoint) {
  return IpRange::Parse(range)->Contains(*Endpoint::Parse(endpoint));
}

TEST(IpRangeTest, ContainsAddressesWithItsFirstBits) {
  EXPECT_TRUE(Contains("127.0.0.0/8", "127.255.255.255:1"));
  EXPECT_FALSE(Contains("127.0.0.0/8", "128.0.0.0:1"));
  EXPECT_FALSE(Contains("127.0.0.0/8", "126.255.255.255:1"));
  EXPECT_TRUE(Contains("192.0.2.128/25", "192.0.2.128:1"));
  EXPECT_FALSE(Contains("192.0.2.128/25", "192.0.2.127:1"));
  EXPECT_TRUE(Contains("192.0.2.6/31", "192.0.2.7:1"));
  EXPECT_FALSE(Contains("192.0.2.6/31", "192.0.2.8:1"));
  EXPECT_TRUE(Contains("2001:db8::/32", "[2001:db8:ffff::1]:1"));
  EXPECT_FALSE(Contains("2001:db8::/32", "[2001:db9::1]:1"));
  EXPECT_TRUE(Contains("2001:db8::/33", "[2001:db8:7fff::1]:1"));
  EXPECT_FALSE(Contains("2001:db8::/33", "[2001:db8:8000::1]:1"));
}

TEST(IpRangeTest, WithoutAPrefixIsOneAddress) {
  for (const std::string range : {"192.0.2.1", "192.0.2.1/32"}) {
    EXPECT_TRUE(Contains(range, "192.0.2.1:0"));
    EXPECT_TRUE(Contains(range, "192.0.2.1:65535"));
    EXPECT_FALSE(Contains(range, "192.0.2.2:0"));
    EXPECT_FALSE(Contains(range, "192.0.2.0:0"));
  }
  EXPECT_TRUE(Contains("::1", "[::1]:1"));
  EXPECT_FALSE(Contains("::1/128", "[::2]:1"));
}

TEST(IpRangeTest, WithAPrefixOfZeroContainsItsFamily) {
  EXPECT_TRUE(Contains("0.0.0.0/0", "255.255.255.255:1"));
  EXPECT_FALSE(Contains("0.0.0.0/0", "[::1]:1"));
  EXPECT_TRUE(Contains("::/0", "[ffff::1]:1"));
  EXPECT_FALSE(Contains("::/0", "127.0.0.1:1"));
  EXPECT_FALSE(IpRange::Parse("0.0.0.0/0")->Contains(Endpoint()));
  EXPECT_FALSE(IpRange::Parse("::/0")->Contains(Endpoint()));
}

TEST(IpRangeTest, TreatsIpv4MappedAddressesAsIpv4) {
  EXPECT_TRUE(Contains("127.0.0.0/8", "[::ffff:127.0.0.1]:1"));
  EXPECT_FALSE(Contains("127.0.0.0/8", "[::ffff:128.0.0.1]:1"));
  EXPECT_FALSE(Contains("::/0", "[::ffff:127.0.0.1]:1"));
  EXPECT_TRUE(Contains("::ffff:127.0.0.0/104", "127.0.0.1:1"));
  EXPECT_TRUE(Contains("::ffff:127.0.0.1", "[::ffff:7f00:1]:1"));
  EXPECT_EQ(*IpRange::Parse("::ffff:127.0.0.0/104"), *IpRange::Parse("127.0.0.0/8"));
  EXPECT_NE(*IpRange::Parse("127.0.0.0/9"), *IpRange::Parse("127.0.0.0/8"));
}

TEST(IpRangeTest, IgnoresBitsAfterThePrefix) {
  EXPECT_EQ(IpRange::Parse("127.0.0.1/8")->ToString(), "127.0.0.0/8");
  EXPECT_EQ(IpRange::Parse("192.0.2.255/25")->ToString(), "192.0.2.128/25");
  EXPECT_EQ(IpRange::Parse("2001:db8::1/32")->ToString(), "2001:db8::/32");
  EXPECT_EQ(IpRange::Parse("10.1.2.3")->ToString(), "10.1.2.3/32");
  EXPECT_EQ(IpRange::Parse("255.255.255.255/0")->ToString(), "0.0.0.0/0");
}

class BadRangeTest : public ::testing::TestWithParam<const char*> {};

TEST_P(BadRangeTest, IsRejectedAndQuoted) {
  for (const std::string& text : {std::string(GetParam()), "::1/128," + std::string(GetParam())}) {
    const absl::StatusOr<TrustedPeers> peers = TrustedPeers::Parse(text);
    ASSERT_FALSE(peers.ok());
    const std::optional<Error> error = GetError(peers.status());
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code, ErrorCode::kConfiguration);
    EXPECT_THAT(error->detail, HasSubstr(absl::StrCat("\"", GetParam(), "\"")));
  }
}

INSTANTIATE_TEST_SUITE_P(All, BadRangeTest,
                         ::testing::Values("", " ", "localhost", "127.0.0.1/", "127.0.0.1/33",
                                           "127.0.0.1/-1", "127.0.0.1/+8", "127.0.0.1/08",
                                           "127.0.0.1/8 ", " 127.0.0.1/8", "127.0.0.1/8/8",
                                           "127.0.0.1/255.0.0.0", "127.0.0/8", "127.0.0.1:80",
                                           "::1/129", "::1/0128", "[::1]/128", "fe80::1%eth0/64",
                                           "::ffff:127.0.0.1/8", "::ffff:0:0/95", "/8"));

TEST(IpRangeTest, RejectsTextWithANul) {
  EXPECT_FALSE(IpRange::Parse(absl::string_view("127.0.0.1\0/8", 12)).ok());
}

TEST(TrustedPeersTest, TrustsNoPeerByDefault) {
  const TrustedPeers nobody;
  EXPECT_FALSE(nobody.Contains(*Endpoint::Parse("127.0.0.1:1")));
  EXPECT_FALSE(nobody.Contains(Endpoint()));
  EXPECT_EQ(nobody.ToString(), "");
}

TEST(TrustedPeersTest, TrustsPeersInItsRanges) {
  const TrustedPeers peers = *TrustedPeers::Parse("127.0.0.0/8,::1/128,192.0.2.7");
  EXPECT_EQ(peers.ranges().size(), 3u);
  EXPECT_EQ(peers.ToString(), "127.0.0.0/8,::1/128,192.0.2.7/32");
  EXPECT_TRUE(peers.Contains(*Endpoint::Parse("127.1.2.3:1")));
  EXPECT_TRUE(peers.Contains(*Endpoint::Parse("[::1]:1")));
  EXPECT_TRUE(peers.Contains(*Endpoint::Parse("192.0.2.7:1")));
  EXPECT_TRUE(peers.Contains(*Endpoint::Parse("[::ffff:192.0.2.7]:1")));
  EXPECT_FALSE(peers.Contains(*Endpoint::Parse("192.0.2.8:1")));
  EXPECT_FALSE(peers.Contains(*Endpoint::Parse("[::2]:1")));
  EXPECT_FALSE(peers.Contains(Endpoint()));
}

TEST(TrustedPeersTest, TrustsUnixDomainSocketsIfConfigured) {
  const TrustedPeers peers = *TrustedPeers::Parse("127.0.0.0/8,unix:");
  EXPECT_EQ(peers.ToString(), "127.0.0.0/8,unix:");
  EXPECT_TRUE(peers.Contains(Endpoint::Unix("")));
  EXPECT_TRUE(peers.Contains(*Endpoint::Parse("127.0.0.1:1")));
  EXPECT_FALSE(peers.Contains(Endpoint()));
  EXPECT_FALSE(TrustedPeers::Parse("0.0.0.0/0,::/0")->Contains(Endpoint::Unix("")));
  EXPECT_TRUE(TrustedPeers::Parse("unix:")->Contains(Endpoint::Unix("/client")));
}

}  // namespace
}  // namespace trestle
