// The fields that describe the client to backends, also behind trusted proxies.
#include "integrations/http1/forwarded_fields.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/http1/rewritten_head.h"
#include "trestle/pki/peer_identity.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

TEST(ForwardedFieldsTest, BackendsReceiveTheClientsAddress) {
  EXPECT_EQ(Rewritten("GET / HTTP/1.1\r\nHost: app.test:8443\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
                      {}, ReportOfAppTest()),
            "Host: app.test:8443\r\nX-Forwarded-For: 192.0.2.7\r\n"
            "X-Forwarded-Proto: https\r\n"
            "Forwarded: for=192.0.2.7;proto=https;host=\"app.test:8443\"\r\n");
}

TEST(ForwardedFieldsTest, BackendsReceiveIpv6AddressesAndCertificates) {
  ConnectionReport report = ReportOfAppTest();
  report.front.peer = *Endpoint::Parse("[2001:db8::7]:40000");
  auto identity = std::make_shared<PeerIdentity>();
  identity->subject = "CN=ro\"ot\r\nX-Evil: 1";
  identity->uri_names = {"spiffe://client.test/app"};
  identity->dns_names = {"client.test"};
  identity->certificate_sha256.fill(0xab);
  TlsInfo tls = *report.front.tls;
  tls.peer_identity = std::move(identity);
  report.front.tls = std::make_shared<const TlsInfo>(std::move(tls));
  ForwardingOptions options;
  options.strip = {"X-Internal"};
  EXPECT_EQ(RewrittenGet("x_internal: 1\r\n", options, report),
            "X-Forwarded-For: 2001:db8::7\r\n"
            "X-Forwarded-Proto: https\r\n"
            "X-Forwarded-Client-Cert: Hash="
            "abababababababababababababababababababababababababababababababab;"
            "Subject=\"CN=ro\\22ot??X-Evil: 1\";URI=spiffe://client.test/app;DNS=client.test\r\n"
            "Forwarded: for=\"[2001:db8::7]\";proto=https;host=\"app.test\"\r\n");
}

TEST(ForwardedFieldsTest, FieldsBetweenClientAndProxyDoNotPass) {
  EXPECT_EQ(RewrittenGet("Connection: x-hop, TE, Upgrade, HTTP2-Settings\r\nX-Hop: 1\r\n"
                         "TE: trailers\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nA: b\r\n"
                         "HTTP2-Settings: AAMAAABk\r\nProxy-Connection: keep-alive\r\n",
                         QuietForwarding()),
            "A: b\r\n");
}

// Returns the fields for a request through a trusted proxy of 192.0.2.0/24, the client of these
// tests.
std::string FromTrusted(absl::string_view fields, const std::string& ranges = "192.0.2.0/24") {
  ForwardingOptions options;
  options.append_from = *TrustedPeers::Parse(ranges);
  return RewrittenGet(fields, options);
}

TEST(ForwardedFieldsTest, FieldsOfATrustedProxyAreExtended) {
  const std::string said =
      "X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1;proto=http\r\n"
      "x-forwarded-for: 10.0.0.2\r\nX-Forwarded-Proto: http\r\n";
  EXPECT_EQ(FromTrusted(said),
            "X-Forwarded-For: 10.0.0.1, 10.0.0.2, 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"
            "Forwarded: for=10.0.0.1;proto=http, for=192.0.2.7;proto=http;host=\"app.test\""
            "\r\n");
  const std::string own =
      "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n"
      "Forwarded: for=192.0.2.7;proto=https;host=\"app.test\"\r\n";
  EXPECT_EQ(FromTrusted(""), own);
  EXPECT_EQ(FromTrusted("X-Forwarded-For:\r\nForwarded:\r\n"), own);
  // Fields of all other peers are removed, as without the option.
  EXPECT_EQ(FromTrusted(said, "192.0.2.8,198.51.100.0/24"), own);
}

TEST(ForwardedFieldsTest, OtherFieldsOfATrustedProxyAreRemoved) {
  const std::string own =
      "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n"
      "Forwarded: for=192.0.2.7;proto=https;host=\"app.test\"\r\n";
  EXPECT_EQ(FromTrusted("X_Forwarded_For: 10.0.0.1\r\nX-Forwarded-Host: evil.test\r\n"
                        "X-Forwarded-Client-Cert: Subject=\"CN=root\"\r\nX-Real-IP: 10.0.0.1\r\n"),
            own);
  for (const char* proto : {"ftp", "https, http", "HTTPS\r\nX-Forwarded-Proto: http"}) {
    EXPECT_EQ(FromTrusted(absl::StrCat("X-Forwarded-Proto: ", proto, "\r\n")), own) << proto;
  }
  // The added part must not end up in a quoted string.
  for (const char* open : {"for=\"", "for=\"a\\\"", "for=a, for=\"b\"\""}) {
    EXPECT_EQ(FromTrusted(absl::StrCat("Forwarded: ", open, "\r\n")), own) << open;
  }
  EXPECT_THAT(FromTrusted("Forwarded: for=\"[2001:db8::1]\", for=\"_a\\\"b\"\r\n"),
              HasSubstr("Forwarded: for=\"[2001:db8::1]\", for=\"_a\\\"b\", for=192.0.2.7;"));
}

}  // namespace
}  // namespace trestle
