#include "trestle/base/endpoint.h"

#include <optional>
#include <string>

#include "absl/hash/hash.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

TEST(EndpointTest, ParsesAndFormatsBothFamilies) {
  for (const std::string text :
       {"127.0.0.1:0", "192.0.2.1:443", "[::1]:8443", "[2001:db8::1]:65535"}) {
    const absl::StatusOr<Endpoint> endpoint = Endpoint::Parse(text);
    ASSERT_TRUE(endpoint.ok()) << endpoint.status();
    EXPECT_EQ(endpoint->ToString(), text);
  }
}

TEST(EndpointTest, FormatsTheAddressAlone) {
  EXPECT_EQ(Endpoint::Parse("192.0.2.1:443")->AddressText(), "192.0.2.1");
  EXPECT_EQ(Endpoint::Parse("[2001:db8::1]:443")->AddressText(), "2001:db8::1");
  EXPECT_EQ(Endpoint().AddressText(), "");
}

TEST(EndpointTest, ReturnsTheAddressInNetworkByteOrder) {
  const Endpoint endpoint = *Endpoint::Parse("192.0.2.7:443");
  EXPECT_EQ(endpoint.family(), Endpoint::Family::kIpv4);
  EXPECT_THAT(endpoint.address(), ::testing::ElementsAre(192, 0, 2, 7));
  EXPECT_EQ(endpoint.port(), 443);
  EXPECT_EQ(Endpoint(endpoint.address(), 443), endpoint);
  EXPECT_NE(Endpoint(endpoint.address(), 444), endpoint);
}

TEST(EndpointTest, AnIpv4MappedAddressIsTheIpv4AddressWithinIt) {
  const Endpoint ipv4 = *Endpoint::Parse("192.0.2.7:443");
  for (const char* text : {"[::ffff:192.0.2.7]:443", "[::ffff:c000:207]:443"}) {
    const Endpoint mapped = *Endpoint::Parse(text);
    EXPECT_EQ(mapped, ipv4);
    EXPECT_EQ(absl::HashOf(mapped), absl::HashOf(ipv4));
    EXPECT_EQ(mapped.ToString(), "192.0.2.7:443");
  }
  // Neighbours of the prefix (RFC 4291 2.5.5.2) are IPv6.
  for (const char* text : {"[::fffe:192.0.2.7]:1", "[::1:ffff:c000:207]:1", "[::192.0.2.7]:1"}) {
    EXPECT_EQ(Endpoint::Parse(text)->family(), Endpoint::Family::kIpv6) << text;
  }
  EXPECT_TRUE(Endpoint::Parse("[::ffff:0.0.0.0]:1")->IsUnspecified());
}

TEST(EndpointTest, ParsesAndFormatsUnixDomainSockets) {
  for (const std::string text : {"unix:/run/app.sock", "unix:/s", "unix:@name", "unix:/a:1"}) {
    const absl::StatusOr<Endpoint> endpoint = Endpoint::Parse(text);
    ASSERT_TRUE(endpoint.ok()) << endpoint.status();
    EXPECT_EQ(endpoint->family(), Endpoint::Family::kUnix);
    EXPECT_EQ(endpoint->path(), text.substr(5));
    EXPECT_EQ(endpoint->ToString(), text);
    EXPECT_TRUE(endpoint->CheckDialable().ok());
    EXPECT_TRUE(endpoint->address().empty());
    EXPECT_EQ(endpoint->AddressText(), "");
    EXPECT_EQ(endpoint->port(), 0);
    EXPECT_FALSE(endpoint->is_ip());
    EXPECT_FALSE(endpoint->IsUnspecified());
    EXPECT_EQ(*endpoint, Endpoint::Unix(text.substr(5)));
    EXPECT_EQ(absl::HashOf(*endpoint), absl::HashOf(Endpoint::Unix(text.substr(5))));
    EXPECT_NE(*endpoint, Endpoint::Unix("/other"));
    EXPECT_FALSE(Endpoint::ParseIp(text).ok()) << "text from peers must not name files";
  }
  EXPECT_TRUE(Endpoint::Parse("unix:/" + std::string(106, 'x')).ok());
  EXPECT_TRUE(Endpoint::Parse("unix:@" + std::string(107, 'x')).ok());
}

TEST(EndpointTest, ASocketWithoutANameCannotBeDialed) {
  const Endpoint unnamed = Endpoint::Unix("");
  EXPECT_EQ(unnamed.ToString(), "unix:");
  EXPECT_NE(unnamed, Endpoint());
  EXPECT_FALSE(unnamed.CheckDialable().ok());
}

TEST(EndpointTest, UnprintablePathsAreEscaped) {
  EXPECT_EQ(Endpoint::Unix("/a\n\x1b[31m").ToString(), "unix:/a\\n\\033[31m");
}

TEST(EndpointTest, ADefaultEndpointCannotBeDialed) {
  EXPECT_EQ(Endpoint().ToString(), "-");
  EXPECT_TRUE(Endpoint().address().empty());
}

class BadEndpointTest : public ::testing::TestWithParam<const char*> {};

TEST_P(BadEndpointTest, IsRejectedAndQuoted) {
  const absl::StatusOr<Endpoint> endpoint = Endpoint::Parse(GetParam());
  ASSERT_FALSE(endpoint.ok());
  const std::optional<Error> error = GetError(endpoint.status());
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, ErrorCode::kConfiguration);
  EXPECT_THAT(error->detail, HasSubstr(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(All, BadEndpointTest,
                         ::testing::Values("", "127.0.0.1", "127.0.0.1:", ":80", "127.0.0.1:65536",
                                           "127.0.0.1:+1", "127.0.0.1:0x50", "127.0.0.1:000080",
                                           "localhost:80", "::1:80", "[::1]", "[127.0.0.1]:80",
                                           "127.0.0.1:80 ", "1.2.3:80", "[::1:80",
                                           "unix:", "unix:app.sock", "unix:./app.sock", "unix:/",
                                           "unix:@", "unix:/run/", "unix", "UNIX:/s"));

TEST(EndpointTest, PathsThatTheSystemRejectsAreRejected) {
  EXPECT_FALSE(Endpoint::Parse("unix:/" + std::string(107, 'x')).ok());
  EXPECT_FALSE(Endpoint::Parse("unix:@" + std::string(108, 'x')).ok());
  EXPECT_FALSE(Endpoint::Parse(absl::string_view("unix:/a\0b", 9)).ok());
  EXPECT_FALSE(Endpoint::Parse("unix:/a\nb").ok());
}

TEST(EndpointTest, ANulInTheAddressIsRejected) {
  EXPECT_FALSE(Endpoint::Parse(absl::string_view("127.0.0.1\0.evil:80", 18)).ok());
  EXPECT_FALSE(Endpoint::Parse(absl::string_view("[::1\0]:80", 10)).ok());
}

TEST(EndpointTest, RecognisesUnspecifiedAddresses) {
  EXPECT_TRUE(Endpoint::Parse("0.0.0.0:1")->IsUnspecified());
  EXPECT_TRUE(Endpoint::Parse("[::]:1")->IsUnspecified());
  EXPECT_FALSE(Endpoint::Parse("127.0.0.1:1")->IsUnspecified());
  EXPECT_FALSE(Endpoint::Parse("[::1]:1")->IsUnspecified());
  EXPECT_FALSE(Endpoint().IsUnspecified());
}

TEST(EndpointTest, OnlyAnAddressWithAPortCanBeDialed) {
  EXPECT_TRUE(Endpoint::Parse("127.0.0.1:1")->CheckDialable().ok());
  EXPECT_TRUE(Endpoint::Parse("[::1]:65535")->CheckDialable().ok());
  const std::pair<Endpoint, const char*> rows[] = {
      {Endpoint(), "it has no address"},
      {*Endpoint::Parse("127.0.0.1:0"), "port 0"},
      {*Endpoint::Parse("[::1]:0"), "port 0"},
      {*Endpoint::Parse("0.0.0.0:1"), "every address of a machine"},
      {*Endpoint::Parse("[::]:1"), "every address of a machine"},
  };
  for (const auto& [endpoint, words] : rows) {
    const std::optional<Error> error = GetError(endpoint.CheckDialable());
    ASSERT_TRUE(error.has_value()) << endpoint.ToString();
    EXPECT_EQ(error->code, ErrorCode::kConfiguration);
    EXPECT_THAT(error->detail, HasSubstr(words));
    EXPECT_THAT(error->detail, HasSubstr(endpoint.ToString()));
  }
}

}  // namespace
}  // namespace trestle
