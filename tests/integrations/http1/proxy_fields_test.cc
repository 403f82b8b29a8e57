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
#include "tests/integrations/http1/rewritten_head.h"
#include "trestle/base/error.h"
#include "trestle/pki/peer_identity.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

// Returns the fields that a backend gets of a GET with `fields`.
std::string Passed(absl::string_view fields, const ForwardingOptions& options = QuietForwarding(),
                   const ConnectionReport& report = ReportOfAppTest()) {
  return RewrittenGet(fields, options, report);
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
      EXPECT_EQ(Passed(absl::StrCat(spelling, ": 1\r\n")), "") << spelling;
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
    EXPECT_EQ(Passed(field), field);
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
    EXPECT_EQ(Passed(absl::StrCat(name, ": 1\r\n")), "") << name;
  }
  EXPECT_EQ(Passed("X_Api_Key: 1\r\n"), "X_Api_Key: 1\r\n") << "a client's own field";
}

TEST(ProxyFieldsTest, ConnectionAndTrailersCannotAddOrRemoveThem) {
  for (const char* name : {"Client-Cert", "client_cert", "X-Original-URL", "X.Forwarded.For"}) {
    SCOPED_TRACE(name);
    const std::optional<HttpRefusal> trailer =
        CheckTrailers(absl::StrCat(name, ": 1\r\n\r\n"), Http1Limits());
    ASSERT_TRUE(trailer.has_value());
    EXPECT_EQ(trailer->reason, "a trailer field that belongs into the head");
    EXPECT_EQ(Passed(absl::StrCat("Connection: close, ", name, "\r\n")),
              "400 Connection names a field that isn't its own");
  }
}

TEST(ProxyFieldsTest, ConfiguredFieldsAreKeptInOneSpellingOnly) {
  ForwardingOptions options = QuietForwarding();
  options.dangerous_keep = {"CF-Connecting-IP", "X-HTTP-Method-Override"};
  EXPECT_EQ(Passed("cf-connecting-ip: 1\r\nCF_Connecting_IP: 2\r\nCF-Visitor: 3\r\n"
                   "X-HTTP-Method-Override: PUT\r\n",
                   options),
            "cf-connecting-ip: 1\r\nX-HTTP-Method-Override: PUT\r\n");
}

TEST(ProxyFieldsTest, FieldsThatAreWrittenOrPassAnywayCannotBeKept) {
  const auto refusal = [](const std::string& name, bool client_cert) {
    ForwardingOptions options;
    options.client_cert = client_cert;
    options.dangerous_keep = {name};
    return std::string(CheckForwarding(options).message());
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
  ForwardingOptions options = QuietForwarding();
  options.client_cert = true;
  EXPECT_EQ(Passed("Client-Cert: :Zm9yZ2Vk:\r\nClient-Cert-Chain: :Zm9yZ2Vk:\r\n", options,
                   ReportOfAlice()),
            absl::StrCat(kXfcc,
                         "Subject=\"CN=alice\"\r\nClient-Cert: :bGVhZj8+:\r\n"
                         "Client-Cert-Chain: :aXNzdWVy:, :b3RoZXI=:\r\n"));
  ForwardingOptions without = QuietForwarding();
  EXPECT_EQ(Passed("", without, ReportOfAlice()), absl::StrCat(kXfcc, "Subject=\"CN=alice\"\r\n"));
  ForwardingOptions of_nobody = QuietForwarding();
  of_nobody.client_cert = true;
  EXPECT_EQ(Passed("Client-Cert: :Zm9yZ2Vk:\r\n", of_nobody), "");
}

TEST(ProxyFieldsTest, XfccHasTheCertificateIfConfigured) {
  ForwardingOptions options = QuietForwarding();
  options.xfcc_certificate = true;
  EXPECT_EQ(Passed("", options, ReportOfAlice()),
            absl::StrCat(kXfcc,
                         "Cert=\"-----BEGIN%20CERTIFICATE-----%0AbGVhZj8%2B%0A"
                         "-----END%20CERTIFICATE-----%0A\";Subject=\"CN=alice\"\r\n"));
}

TEST(ProxyFieldsTest, CertificatesOverTheLimitAreRejectedNotOmitted) {
  for (const bool client_cert : {false, true}) {
    ForwardingOptions options = QuietForwarding();
    options.client_cert = client_cert;
    options.xfcc_certificate = !client_cert;
    options.certificate_bytes = 100;
    EXPECT_EQ(Passed("", options, ReportOfAlice()),
              "431 the size of the fields for the client's certificates is over the limit");
  }
}

}  // namespace
}  // namespace trestle
