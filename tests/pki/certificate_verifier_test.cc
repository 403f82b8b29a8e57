// Servers' certificates, valid and invalid, and the error texts about them.
#include "lib/pki/certificate_verifier.h"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/peer_name.h"
#include "tests/pki/pki_fixture.h"
#include "trestle/pki/trust_store.h"

namespace trestle::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class CertificateVerifierTest : public PkiTest {
 protected:
  // Verifies the chain of `pair` as a client that requested `wanted_name`.
  absl::Status Verify(const PemPair& pair, const std::string& wanted_name,
                      ChainRequirements requirements = {}) const {
    const std::shared_ptr<const TrustStore> trust = *TrustStore::Create(cas_);
    const PeerName name = *PeerName::Parse(wanted_name);
    requirements.trust = trust.get();
    requirements.name = &name;
    const ChainVerdict verdict = VerifyChain(ChainOf(pair.chain), requirements, when_);
    return verdict.failure.has_value() ? MakeError(verdict.failure->error) : absl::OkStatus();
  }

  absl::Status Verify(const LeafSpec& leaf, const std::string& wanted_name) const {
    return Verify(pki_.Issue(leaf), wanted_name);
  }

  static void ExpectFailure(const absl::Status& status, ErrorCode code,
                            const ::testing::Matcher<std::string>& detail) {
    const std::optional<Error> error = GetError(status);
    ASSERT_TRUE(error.has_value()) << status;
    EXPECT_EQ(error->code, code) << status;
    EXPECT_THAT(error->detail, detail);
  }

  std::string cas_ = pki_.ca_pem();
  absl::Time when_ = now_;
};

TEST_F(CertificateVerifierTest, AcceptsMatchingNames) {
  LeafSpec leaf;
  leaf.common_name = "something else";
  leaf.dns_names = {"other.test", "a.test", "*.wild.test"};
  leaf.ip_names = {"192.0.2.1", "2001:db8::1"};
  for (const char* name : {"a.test", "A.TEST", "a.test.", "x.wild.test", "192.0.2.1", "2001:db8::1",
                           "2001:0db8:0::1"}) {
    EXPECT_EQ(Verify(leaf, name), absl::OkStatus()) << name;
  }
}

TEST_F(CertificateVerifierTest, AcceptsIntermediatesAndSeveralRoots) {
  TestPki upper(pki_, "Upper");
  TestPki lower(upper, "Lower");
  EXPECT_EQ(Verify(lower.Issue(LeafFor("a.test")), "a.test"), absl::OkStatus());

  TestPki other(now_, "Other CA");
  cas_ = other.ca_pem() + pki_.ca_pem();
  EXPECT_EQ(Verify(pki_.Issue(LeafFor("a.test")), "a.test"), absl::OkStatus());
  EXPECT_EQ(Verify(other.Issue(LeafFor("a.test")), "a.test"), absl::OkStatus());
}

TEST_F(CertificateVerifierTest, AnExpiryErrorHasTheDateAndTheAge) {
  LeafSpec leaf = LeafFor("a.test");
  leaf.not_after = now_ - absl::Hours(24 * 12 + 1);
  ExpectFailure(Verify(leaf, "a.test"), ErrorCode::kCertificateExpired,
                "certificate \"CN=a.test\" expired on 2025-12-19 (12 days ago); it was issued by "
                "\"CN=Trestle Test CA\", is valid from 2025-01-01 to 2025-12-19, and has the names "
                "\"DNS:a.test\"");
  leaf.not_after = now_ - absl::Minutes(61);
  ExpectFailure(Verify(leaf, "a.test"), ErrorCode::kCertificateExpired, HasSubstr("(1 hour ago)"));
}

TEST_F(CertificateVerifierTest, ANotYetValidErrorHasTheStartDate) {
  LeafSpec leaf = LeafFor("a.test");
  leaf.not_before = now_ + absl::Hours(24 * 2);
  ExpectFailure(Verify(leaf, "a.test"), ErrorCode::kCertificateExpired,
                HasSubstr("certificate \"CN=a.test\" is not valid before 2026-01-03 (in 2 days)"));
}

TEST_F(CertificateVerifierTest, AnExpiredRootIsReported) {
  const PemPair pair = pki_.Issue([&] {
    LeafSpec leaf = LeafFor("a.test");
    leaf.not_after = now_ + absl::Hours(24 * 365 * 20);
    return leaf;
  }());
  when_ = now_ + absl::Hours(24 * 365 * 6);
  ExpectFailure(Verify(pair, "a.test"), ErrorCode::kCertificateExpired,
                HasSubstr("certificate \"CN=Trestle Test CA\" expired on"));
}

TEST_F(CertificateVerifierTest, AnUntrustedErrorNamesTheIssuer) {
  TestPki stranger(now_, "Stranger CA");
  ExpectFailure(Verify(stranger.Issue(LeafFor("a.test")), "a.test"),
                ErrorCode::kCertificateUntrusted,
                AllOf(HasSubstr("\"CN=a.test\""), HasSubstr("issued by \"CN=Stranger CA\""),
                      HasSubstr("unable to get local issuer certificate")));

  // A CA with the same name and another key is another CA.
  TestPki namesake(now_);
  EXPECT_EQ(CodeOf(Verify(namesake.Issue(LeafFor("a.test")), "a.test")),
            ErrorCode::kCertificateUntrusted);

  LeafSpec self_signed = LeafFor("a.test");
  self_signed.self_signed = true;
  ExpectFailure(Verify(self_signed, "a.test"), ErrorCode::kCertificateUntrusted,
                HasSubstr("\"CN=a.test\" is self-signed, and not among the trusted roots"));
}

TEST_F(CertificateVerifierTest, AMissingIntermediateIsUntrusted) {
  TestPki intermediate(pki_, "Intermediate");
  PemPair pair = intermediate.Issue(LeafFor("a.test"));
  pair.chain.resize(pair.chain.find("-----BEGIN", 1));
  ExpectFailure(Verify(pair, "a.test"), ErrorCode::kCertificateUntrusted,
                HasSubstr("issued by \"CN=Intermediate\""));
}

TEST_F(CertificateVerifierTest, NameConstraintsAreEnforced) {
  TestPki intermediate(pki_, "Intermediate", "permitted.test");
  EXPECT_EQ(Verify(intermediate.Issue(LeafFor("a.permitted.test")), "a.permitted.test"),
            absl::OkStatus());
  ExpectFailure(Verify(intermediate.Issue(LeafFor("a.test")), "a.test"),
                ErrorCode::kCertificateUntrusted, HasSubstr("permitted subtree violation"));
}

TEST_F(CertificateVerifierTest, TheWrongPurposeIsUntrusted) {
  LeafSpec leaf = LeafFor("a.test");
  leaf.server_auth = false;
  ExpectFailure(Verify(leaf, "a.test"), ErrorCode::kCertificateUntrusted,
                HasSubstr("unsupported certificate purpose"));
}

TEST_F(CertificateVerifierTest, WeakKeysAndSignaturesAreUntrusted) {
  LeafSpec short_key = LeafFor("a.test", KeyType::kRsa);
  short_key.rsa_bits = 1024;
  ExpectFailure(Verify(short_key, "a.test"), ErrorCode::kCertificateUntrusted,
                HasSubstr("RSA key has 1024 bits"));
  LeafSpec sha1 = LeafFor("a.test");
  sha1.sha1 = true;
  ExpectFailure(Verify(sha1, "a.test"), ErrorCode::kCertificateUntrusted, HasSubstr("SHA-1"));
}

TEST_F(CertificateVerifierTest, AMismatchErrorHasBothNames) {
  LeafSpec leaf = LeafFor("a.test");
  leaf.ip_names = {"192.0.2.1"};
  ExpectFailure(Verify(leaf, "b.test"), ErrorCode::kNameMismatch,
                AllOf(HasSubstr("certificate \"CN=a.test\" is not for \"DNS:b.test\""),
                      HasSubstr("has the names \"DNS:a.test\", \"IP:192.0.2.1\"")));
  for (const char* name : {"evil.a.test", "a.test.evil", "test", "192.0.2.2", "2001:db8::1"}) {
    EXPECT_EQ(CodeOf(Verify(leaf, name)), ErrorCode::kNameMismatch) << name;
  }
}

TEST_F(CertificateVerifierTest, ManyNamesAreAbbreviated) {
  LeafSpec leaf;
  for (int i = 0; i < 100; ++i) leaf.dns_names.push_back(absl::StrCat("n", i, ".test"));
  ExpectFailure(Verify(leaf, "b.test"), ErrorCode::kNameMismatch,
                HasSubstr("\"DNS:n7.test\" and 92 more"));
}

TEST_F(CertificateVerifierTest, CommonNamesDoNotCount) {
  LeafSpec leaf;
  leaf.common_name = "a.test";
  ExpectFailure(Verify(leaf, "a.test"), ErrorCode::kNameMismatch,
                HasSubstr("no subject alternative names"));
  leaf.common_name = "192.0.2.1";
  EXPECT_EQ(CodeOf(Verify(leaf, "192.0.2.1")), ErrorCode::kNameMismatch);
}

TEST_F(CertificateVerifierTest, WildcardsCoverOneWholeLabel) {
  LeafSpec leaf;
  leaf.dns_names = {"*.wild.test", "w*.part.test", "x.*.mid.test", "*", "*.*.two.test"};
  EXPECT_EQ(Verify(leaf, "x.wild.test"), absl::OkStatus());
  for (const char* name : {"wild.test", "x.y.wild.test", "ww.part.test", "x.y.mid.test",
                           "localhost", "x.y.two.test"}) {
    EXPECT_EQ(CodeOf(Verify(leaf, name)), ErrorCode::kNameMismatch) << name;
  }
}

TEST_F(CertificateVerifierTest, AddressesAndNamesAreSeparateKinds) {
  LeafSpec leaf;
  leaf.dns_names = {"192.0.2.1"};
  EXPECT_EQ(CodeOf(Verify(leaf, "192.0.2.1")), ErrorCode::kNameMismatch);
}

TEST_F(CertificateVerifierTest, UrisMatchUriNamesOnly) {
  const std::string id = "spiffe://example.org/ns/prod/sa/api";
  LeafSpec leaf = LeafFor("a.test");
  leaf.uri_names = {"spiffe://example.org/other", id};
  EXPECT_EQ(Verify(leaf, id), absl::OkStatus());
  for (const std::string& wrong :
       {id + "/x", id.substr(0, id.size() - 1), std::string("spiffe://example.org/ns/prod/sa/API"),
        std::string("spiffe://example.org"), std::string("https://a.test")}) {
    ExpectFailure(Verify(leaf, wrong), ErrorCode::kNameMismatch,
                  AllOf(HasSubstr("is not for \"URI:" + wrong + "\""), HasSubstr(id)));
  }
  LeafSpec other_kinds = LeafFor("a.test");
  other_kinds.common_name = id;
  EXPECT_EQ(CodeOf(Verify(other_kinds, id)), ErrorCode::kNameMismatch);
}

TEST_F(CertificateVerifierTest, NamesThePresentAndTheMissingKeyUsage) {
  LeafSpec leaf = LeafFor("a.test");
  leaf.server_auth = false;
  ExpectFailure(Verify(leaf, "a.test"), ErrorCode::kCertificateUntrusted,
                HasSubstr("is refused: unsupported certificate purpose: its extended key usage is "
                          "clientAuth, and lacks serverAuth; it was issued by"));
}

TEST_F(CertificateVerifierTest, APinIsNotEnough) {
  const TestPki stranger(now_, "Stranger CA");
  const PemPair pair = stranger.Issue(LeafFor("a.test"));
  const std::array<uint8_t, 32> pin = SpkiSha256(ChainOf(pair.chain).front().get());
  ChainRequirements pinned;
  pinned.pins = absl::MakeConstSpan(&pin, 1);
  EXPECT_EQ(CodeOf(Verify(pair, "a.test", pinned)), ErrorCode::kCertificateUntrusted);
  cas_ = stranger.ca_pem();
  EXPECT_EQ(Verify(pair, "a.test", pinned), absl::OkStatus());
  ExpectFailure(Verify(stranger.Issue(LeafFor("a.test")), "a.test", pinned),
                ErrorCode::kCertificateUntrusted, HasSubstr("none of the pinned keys"));
}

}  // namespace
}  // namespace trestle::testing
