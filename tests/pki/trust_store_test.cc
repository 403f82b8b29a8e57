#include "trestle/pki/trust_store.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pki/pki_fixture.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

using TrustStoreTest = PkiTest;

// CVE-2026-27586: an unusable CA file must not accept every client.
TEST_F(TrustStoreTest, UnusableFilesAreRejected) {
  const auto refusal = [](const std::string& cas, const std::string& crls) {
    const auto made = TrustStore::Create(cas, crls);
    return ConfigurationFault(made.status());
  };
  const std::string ca = pki_.ca_pem();
  const std::string crl = pki_.IssueCrl({});
  EXPECT_EQ(refusal(ca, ""), "");
  EXPECT_EQ(refusal(ca + crl, ca + crl), "") << "both may be in one file";
  EXPECT_THAT(refusal("", ""), HasSubstr("no CA certificates"));
  EXPECT_THAT(refusal("hello", ""), HasSubstr("no PEM block \"CERTIFICATE\""));
  EXPECT_THAT(refusal(ca.substr(0, ca.size() / 2), ""), HasSubstr("damaged"));
  EXPECT_THAT(refusal("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ""),
              HasSubstr("doesn't parse"));
  EXPECT_THAT(refusal(ca, "hello"), HasSubstr("no PEM block \"X509 CRL\""));
  EXPECT_THAT(refusal(ca, crl.substr(0, crl.size() / 2)), HasSubstr("damaged"));
  EXPECT_THAT(refusal(ca, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
              HasSubstr("doesn't parse"));
}

// Returns the same certificate with a signature algorithm that is not a SEQUENCE.
std::string Spoilt(const std::string& pem) {
  constexpr absl::string_view kBegin = "-----BEGIN CERTIFICATE-----\n";
  constexpr absl::string_view kEnd = "\n-----END CERTIFICATE-----\n";
  std::string der;
  EXPECT_TRUE(
      absl::Base64Unescape(absl::StrReplaceAll(pem, {{kBegin, ""}, {kEnd, ""}, {"\n", ""}}), &der));
  // The signed part is a SEQUENCE of 128 to 255 bytes within that of the certificate.
  EXPECT_EQ(static_cast<unsigned char>(der[5]), 0x81);
  der[7 + static_cast<unsigned char>(der[6])] = 0x31;
  std::string text = absl::Base64Escape(der);
  for (size_t at = 64; at < text.size(); at += 65) text.insert(at, "\n");
  return absl::StrCat(kBegin, text, kEnd);
}

TEST_F(TrustStoreTest, ACertificateThatDoesNotParseIsReported) {
  const TestPki broken(now_, "Broken CA");
  const auto made = TrustStore::Create(pki_.ca_pem() + Spoilt(broken.ca_pem()) + pki_.ca_pem());
  ASSERT_FALSE(made.ok());
  const auto lines = std::count(pki_.ca_pem().begin(), pki_.ca_pem().end(), '\n');
  EXPECT_EQ(GetError(made.status())->detail,
            absl::StrCat("the CA file, line ", lines + 1,
                         ": certificate 2, of \"CN=Broken CA\", doesn't parse"));
}

TEST_F(TrustStoreTest, DescribesItsCasAndTheEndOfTheFirstList) {
  const TestPki other(now_, "Other CA");
  const std::string cas = pki_.ca_pem() + other.ca_pem() + pki_.ca_pem();
  const absl::Time end = now_ + absl::Hours(30);
  const auto store =
      *TrustStore::Create(cas, pki_.IssueCrl({}) + other.IssueCrl({}, end) + pki_.IssueCrl({}));
  std::vector<std::string> subjects;
  for (const CertificateInfo& ca : store->Certificates()) subjects.push_back(ca.subject);
  EXPECT_THAT(subjects, UnorderedElementsAre("CN=Trestle Test CA", "CN=Other CA"));
  EXPECT_EQ(store->crls_end(), end);
  EXPECT_EQ((*TrustStore::Create(cas))->crls_end(), absl::InfiniteFuture());
}

TEST_F(TrustStoreTest, StoresWithEqualCasAreEqual) {
  TestPki other(now_, "Other CA");
  const auto digest = [](const std::string& cas, const std::string& crls = "") {
    return (*TrustStore::Create(cas, crls))->digest();
  };
  const std::string both = digest(pki_.ca_pem() + other.ca_pem());
  EXPECT_EQ(both, digest(other.ca_pem() + pki_.ca_pem() + pki_.ca_pem()));
  EXPECT_EQ(both, digest(pki_.ca_pem() + other.ca_pem(), pki_.IssueCrl({})));
  EXPECT_NE(both, digest(pki_.ca_pem()));
}

}  // namespace
}  // namespace trestle::testing
