// Fields that only a proxy may set. A client's own ones reach no backend, in any spelling. The
// proxy sets fields with the client's certificate.
#include "integrations/http1/proxy_fields.h"

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/http1/http1_fixture.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Get(absl::string_view fields) {
  return absl::StrCat("GET / HTTP/1.1\r\nHost: app.test\r\n", fields, "\r\n");
}

// Returns the request that a backend receives for a GET with `fields`.
std::string Passed(absl::string_view fields, Http1Options options = QuietOptions(),
                   const ConnectionReport& report = ReportOfAppTest()) {
  Http1Connection c(std::move(options), report);
  c.FromClient(Get(fields));
  EXPECT_EQ(c.blocked(), "");
  return c.at_backend();
}

// Returns a name for each entry of the list.
std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (absl::string_view entry : ProxyFields()) {
    const bool prefix = absl::ConsumeSuffix(&entry, "*");
    names.push_back(absl::StrCat(entry, prefix ? "anything" : ""));
  }
  return names;
}

TEST(ProxyFieldsTest, AClientsProxyFieldsNeverReachTheBackend) {
  ASSERT_GT(Names().size(), 50u);
  for (const std::string& name : Names()) {
    SCOPED_TRACE(name);
    for (const std::string& spelling :
         {name, absl::AsciiStrToUpper(name), absl::StrReplaceAll(name, {{"-", "_"}}),
          absl::StrReplaceAll(name, {{"-", "."}}), absl::StrReplaceAll(name, {{"-", "~"}})}) {
      EXPECT_EQ(Passed(absl::StrCat(spelling, ": 1\r\n")), Get("")) << spelling;
    }
  }
}

TEST(ProxyFieldsTest, WellKnownFieldsAreInTheList) {
  for (const char* name : {"Client-Cert",
                           "Client-Cert-Chain",
                           "X-Forwarded-Client-Cert",
                           "X-Forwarded-For",
                           "X-Forwarded-Tls-Client-Cert",
                           "X-SSL-Client-CN",
                           "SSL_CLIENT_S_DN",
                           "X-ARR-ClientCert",
                           "X-Amzn-Mtls-Clientcert-Leaf",
                           "CF-Connecting-IP",
                           "Fastly-Client-IP",
                           "X-Remote-User",
                           "X-Original-URL",
                           "X-Rewrite-URL",
                           "X-HTTP-Method-Override",
                           "X-Original-Forwarded-For",
                           "X-Envoy-Original-Dst-Host",
                           "Remote-User",
                           "Client-IP",
                           "Forwarded"}) {
    EXPECT_TRUE(IsProxyField(FoldedName(name))) << name;
  }
  for (const char* name : {"Accept", "Authorization", "Cookie", "Origin", "Via", "X-Requested-With",
                           "Client-Certain", "Sec-CH-UA", "Traceparent", "X-Api-Key"}) {
    EXPECT_FALSE(IsProxyField(FoldedName(name))) << name;
    const std::string field = absl::StrCat(name, ": 1\r\n");
    EXPECT_EQ(Passed(field), Get(field));
  }
}

TEST(ProxyFieldsTest, EachFieldIsDocumented) {
  std::stringstream text;
  text << std::ifstream("docs/http.md").rdbuf();
  const std::string document = absl::AsciiStrToLower(text.str());
  ASSERT_FALSE(document.empty());
  for (const absl::string_view entry : ProxyFields()) {
    EXPECT_THAT(document, HasSubstr(absl::StrCat("`", entry, "`")));
  }
}

TEST(ProxyFieldsTest, NoSecondSpellingOfAFieldReadHerePasses) {
  for (const char* name : {"Content_Length", "Content.Type", "Content_Encoding",
                           "Transfer_Encoding", "Content_Disposition"}) {
    EXPECT_EQ(Passed(absl::StrCat(name, ": 1\r\n")), Get("")) << name;
  }
  EXPECT_EQ(Passed("X_Api_Key: 1\r\n"), Get("X_Api_Key: 1\r\n")) << "a client's own field";
}

TEST(ProxyFieldsTest, ConnectionAndTrailersCannotAddOrRemoveThem) {
  for (const char* name : {"Client-Cert", "client_cert", "X-Original-URL", "X.Forwarded.For"}) {
    SCOPED_TRACE(name);
    Http1Connection trailer(QuietOptions());
    trailer.FromClient(
        absl::StrCat("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
                     name, ": 1\r\n\r\n"));
    EXPECT_EQ(trailer.blocked(), "a trailer field that belongs into the head");
    Http1Connection option(QuietOptions());
    option.FromClient(Get(absl::StrCat("Connection: close, ", name, "\r\n")));
    EXPECT_EQ(option.blocked(), "Connection names a field that isn't its own");
  }
}

TEST(ProxyFieldsTest, ConfiguredFieldsAreKeptInOneSpellingOnly) {
  Http1Options options = QuietOptions();
  options.forwarding.dangerous_keep = {"CF-Connecting-IP", "X-HTTP-Method-Override"};
  EXPECT_EQ(Passed("cf-connecting-ip: 1\r\nCF_Connecting_IP: 2\r\nCF-Visitor: 3\r\n"
                   "X-HTTP-Method-Override: PUT\r\n",
                   std::move(options)),
            Get("cf-connecting-ip: 1\r\nX-HTTP-Method-Override: PUT\r\n"));
}

TEST(ProxyFieldsTest, FieldsThatAreWrittenOrPassAnywayCannotBeKept) {
  testing::SimulatedLoop loop;
  const auto refusal = [&](const std::string& name, bool client_cert) {
    Http1Options options;
    options.forwarding.client_cert = client_cert;
    options.forwarding.dangerous_keep = {name};
    const auto made = NewHttp1InspectorFactory(loop, std::move(options));
    return made.ok() ? "" : std::string(made.status().message());
  };
  for (const char* name : {"X-Forwarded-For", "forwarded", "X_Forwarded_Client_Cert"}) {
    EXPECT_THAT(refusal(name, false), HasSubstr("is written here")) << name;
  }
  EXPECT_THAT(refusal("Client-Cert", true), HasSubstr("is written here"));
  EXPECT_EQ(refusal("Client-Cert", false), "");
  EXPECT_THAT(refusal("Accept", false), HasSubstr("passes anyway"));
}

// Returns the report of a client with a certificate and two others that it sent.
ConnectionReport ReportOfAlice() {
  ConnectionReport report = ReportOfAppTest();
  auto identity = std::make_shared<PeerIdentity>();
  identity->subject = "CN=alice";
  identity->certificate_sha256.fill(0xab);
  identity->certificates = {"leaf?>", "issuer", "other"};
  TlsInfo tls = *report.front.tls;
  tls.peer_identity = std::move(identity);
  report.front.tls = std::make_shared<const TlsInfo>(std::move(tls));
  return report;
}

constexpr char kXfcc[] =
    "X-Forwarded-Client-Cert: "
    "Hash=abababababababababababababababababababababababababababababababab;";

TEST(ProxyFieldsTest, TheClientsCertificatesAreForwardedIfConfigured) {
  Http1Options options = QuietOptions();
  options.forwarding.client_cert = true;
  EXPECT_EQ(Passed("Client-Cert: :Zm9yZ2Vk:\r\nClient-Cert-Chain: :Zm9yZ2Vk:\r\n",
                   std::move(options), ReportOfAlice()),
            Get(absl::StrCat(kXfcc,
                             "Subject=\"CN=alice\"\r\nClient-Cert: :bGVhZj8+:\r\n"
                             "Client-Cert-Chain: :aXNzdWVy:, :b3RoZXI=:\r\n")));
  Http1Options without = QuietOptions();
  EXPECT_EQ(Passed("", std::move(without), ReportOfAlice()),
            Get(absl::StrCat(kXfcc, "Subject=\"CN=alice\"\r\n")));
  Http1Options of_nobody = QuietOptions();
  of_nobody.forwarding.client_cert = true;
  EXPECT_EQ(Passed("Client-Cert: :Zm9yZ2Vk:\r\n", std::move(of_nobody)), Get(""));
}

TEST(ProxyFieldsTest, XfccHasTheCertificateIfConfigured) {
  Http1Options options = QuietOptions();
  options.forwarding.xfcc_certificate = true;
  EXPECT_EQ(Passed("", std::move(options), ReportOfAlice()),
            Get(absl::StrCat(kXfcc,
                             "Cert=\"-----BEGIN%20CERTIFICATE-----%0AbGVhZj8%2B%0A"
                             "-----END%20CERTIFICATE-----%0A\";Subject=\"CN=alice\"\r\n")));
}

TEST(ProxyFieldsTest, CertificatesOverTheLimitAreRejectedNotOmitted) {
  for (const bool client_cert : {false, true}) {
    Http1Options options = QuietOptions();
    options.forwarding.client_cert = client_cert;
    options.forwarding.xfcc_certificate = !client_cert;
    options.forwarding.certificate_bytes = 100;
    Http1Connection c(std::move(options), ReportOfAlice());
    c.FromClient(Get(""));
    EXPECT_THAT(c.blocked(), HasSubstr("certificates is over the limit"));
    EXPECT_THAT(c.at_client(), StartsWith("HTTP/1.1 431 "));
    EXPECT_EQ(c.at_backend(), "");
  }
}

}  // namespace
}  // namespace trestle
