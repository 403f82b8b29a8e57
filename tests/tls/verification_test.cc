// Backends' certificates, good and bad, as a client sees them.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"

namespace trestle::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kBadCertificate = 42;
constexpr int kUnsupportedCertificate = 43;
constexpr int kCertificateExpired = 45;
constexpr int kCertificateUnknown = 46;
constexpr int kUnknownCa = 48;

class VerificationTest : public TlsTest {
 protected:
  // What the client makes of a server that shows `pair`. Also checks that nothing is read before.
  absl::Status Verify(const PemPair& pair, const std::string& wanted_name,
                      ClientTlsOptions options = {}) {
    bssl::UniquePtr<SSL_CTX> context = MakeRawContext();
    UsePem(context.get(), pair);
    RawPeer server(context.get(), /*is_server=*/true);
    std::unique_ptr<TlsEngine> client = MakeClient(std::move(options), {wanted_name, {}});
    server.Handshake(*client);
    info_ = client->info();
    EXPECT_EQ(client->handshake_done(), client->status().ok());
    // The refused server hears why.
    if (!client->status().ok()) {
      client->received().Clear();
      EXPECT_NE(server.Handshake(), SSL_ERROR_NONE);
    }
    return client->status();
  }

  absl::Status Verify(const LeafSpec& leaf, const std::string& wanted_name) {
    return Verify(pki_.Issue(leaf), wanted_name);
  }

  void ExpectFailure(const absl::Status& status, ErrorCode code, int alert,
                     const ::testing::Matcher<std::string>& detail) {
    const std::optional<TlsError> error = GetTlsError(status);
    ASSERT_TRUE(error.has_value()) << status;
    EXPECT_EQ(error->code, code) << status;
    EXPECT_EQ(error->leg, Leg::kBack);
    EXPECT_EQ(error->phase, Phase::kHandshake);
    EXPECT_EQ(AlertOf(status), alert);
    EXPECT_THAT(error->detail, detail);
  }

  TlsInfo info_;
};

TEST_F(VerificationTest, AcceptsWhatTheNameSays) {
  LeafSpec leaf;
  leaf.common_name = "something else";
  leaf.dns_names = {"other.test", "a.test", "*.wild.test"};
  leaf.ip_names = {"192.0.2.1", "2001:db8::1"};
  for (const char* name : {"a.test", "A.TEST", "a.test.", "x.wild.test", "192.0.2.1", "2001:db8::1",
                           "2001:0db8:0::1"}) {
    EXPECT_TRUE(Verify(leaf, name).ok()) << name << ": " << Verify(leaf, name);
    ASSERT_EQ(info_.peer_chain.size(), 1u);
    EXPECT_THAT(info_.peer_chain[0].dns_names, ElementsAre("other.test", "a.test", "*.wild.test"));
  }
}

TEST_F(VerificationTest, SendsNoServerNameForAddresses) {
  LeafSpec leaf = LeafFor("a.test");
  leaf.ip_names = {"192.0.2.1"};
  ServerTlsOptions options;
  options.certificates = MakeStore({leaf});
  EnginePair pair = MakePair(std::move(options), {}, {"192.0.2.1", {}});
  pair.Handshake();
  EXPECT_TRUE(pair.client->handshake_done()) << pair.client->status();
  EXPECT_EQ(pair.server->info().server_name, "");
  EXPECT_EQ(pair.client->info().server_name, "");
}

TEST_F(VerificationTest, AcceptsIntermediatesAndSeveralRoots) {
  TestPki upper(pki_, "Upper");
  TestPki lower(upper, "Lower");
  EXPECT_TRUE(Verify(lower.Issue(LeafFor("a.test")), "a.test").ok());
  EXPECT_EQ(info_.peer_chain.size(), 3u);

  TestPki other(loop_.Now(), "Other CA");
  ClientTlsOptions both;
  both.ca_pem = other.ca_pem() + pki_.ca_pem();
  EXPECT_TRUE(Verify(pki_.Issue(LeafFor("a.test")), "a.test", both).ok());
  EXPECT_TRUE(Verify(other.Issue(LeafFor("a.test")), "a.test", both).ok());
}

TEST_F(VerificationTest, ExpiredSaysWhenAndHowLongAgo) {
  LeafSpec leaf = LeafFor("a.test");
  leaf.not_after = loop_.Now() - absl::Hours(24 * 12 + 1);
  ExpectFailure(Verify(leaf, "a.test"), ErrorCode::kCertificateExpired, kCertificateExpired,
                "certificate \"CN=a.test\" expired on 2025-12-19 (12 days ago)");
  leaf.not_after = loop_.Now() - absl::Minutes(61);
  ExpectFailure(Verify(leaf, "a.test"), ErrorCode::kCertificateExpired, kCertificateExpired,
                HasSubstr("(1 hour ago)"));
}

TEST_F(VerificationTest, NotYetValidSaysFromWhen) {
  LeafSpec leaf = LeafFor("a.test");
  leaf.not_before = loop_.Now() + absl::Hours(24 * 2);
  ExpectFailure(Verify(leaf, "a.test"), ErrorCode::kCertificateExpired, kCertificateExpired,
                "certificate \"CN=a.test\" is not valid before 2026-01-03 (in 2 days)");
}

TEST_F(VerificationTest, JudgesByTheSchedulersTime) {
  LeafSpec leaf = LeafFor("a.test");
  leaf.not_before = loop_.Now() + absl::Hours(1);
  leaf.not_after = loop_.Now() + absl::Hours(3);
  const PemPair pair = pki_.Issue(leaf);
  EXPECT_EQ(CodeOf(Verify(pair, "a.test")), ErrorCode::kCertificateExpired);
  loop_.RunFor(absl::Hours(2));
  EXPECT_TRUE(Verify(pair, "a.test").ok());
  loop_.RunFor(absl::Hours(2));
  EXPECT_EQ(CodeOf(Verify(pair, "a.test")), ErrorCode::kCertificateExpired);
}

TEST_F(VerificationTest, AnExpiredRootIsNamed) {
  const PemPair pair = pki_.Issue([&] {
    LeafSpec leaf = LeafFor("a.test");
    leaf.not_after = loop_.Now() + absl::Hours(24 * 365 * 20);
    return leaf;
  }());
  loop_.RunFor(absl::Hours(24 * 365 * 6));
  ExpectFailure(Verify(pair, "a.test"), ErrorCode::kCertificateExpired, kCertificateExpired,
                HasSubstr("certificate \"CN=Trestle Test CA\" expired on"));
}

TEST_F(VerificationTest, UntrustedNamesTheIssuer) {
  TestPki stranger(loop_.Now(), "Stranger CA");
  ExpectFailure(Verify(stranger.Issue(LeafFor("a.test")), "a.test"),
                ErrorCode::kCertificateUntrusted, kUnknownCa,
                AllOf(HasSubstr("\"CN=a.test\""), HasSubstr("issued by \"CN=Stranger CA\""),
                      HasSubstr("unable to get local issuer certificate")));

  // The same name on another key is another CA.
  TestPki namesake(loop_.Now());
  EXPECT_EQ(CodeOf(Verify(namesake.Issue(LeafFor("a.test")), "a.test")),
            ErrorCode::kCertificateUntrusted);

  LeafSpec self_signed = LeafFor("a.test");
  self_signed.self_signed = true;
  ExpectFailure(Verify(self_signed, "a.test"), ErrorCode::kCertificateUntrusted, kUnknownCa,
                "certificate \"CN=a.test\" is self-signed, and not among the trusted roots");
}

TEST_F(VerificationTest, AMissingIntermediateIsUntrusted) {
  TestPki intermediate(pki_, "Intermediate");
  PemPair pair = intermediate.Issue(LeafFor("a.test"));
  pair.chain.resize(pair.chain.find("-----BEGIN", 1));
  ExpectFailure(Verify(pair, "a.test"), ErrorCode::kCertificateUntrusted, kUnknownCa,
                HasSubstr("issued by \"CN=Intermediate\""));
}

TEST_F(VerificationTest, NameConstraintsAreKept) {
  TestPki intermediate(pki_, "Intermediate", "permitted.test");
  EXPECT_TRUE(Verify(intermediate.Issue(LeafFor("a.permitted.test")), "a.permitted.test").ok());
  ExpectFailure(Verify(intermediate.Issue(LeafFor("a.test")), "a.test"),
                ErrorCode::kCertificateUntrusted, kCertificateUnknown,
                HasSubstr("permitted subtree violation"));
}

TEST_F(VerificationTest, TheWrongPurposeIsUntrusted) {
  LeafSpec leaf = LeafFor("a.test");
  leaf.server_auth = false;
  ExpectFailure(Verify(leaf, "a.test"), ErrorCode::kCertificateUntrusted, kUnsupportedCertificate,
                HasSubstr("unsupported certificate purpose"));
}

TEST_F(VerificationTest, WeakKeysAndSignaturesAreUntrusted) {
  LeafSpec short_key = LeafFor("a.test", KeyType::kRsa);
  short_key.rsa_bits = 1024;
  ExpectFailure(Verify(short_key, "a.test"), ErrorCode::kCertificateUntrusted, kBadCertificate,
                HasSubstr("RSA key has 1024 bits"));
  LeafSpec sha1 = LeafFor("a.test");
  sha1.sha1 = true;
  ExpectFailure(Verify(sha1, "a.test"), ErrorCode::kCertificateUntrusted, kBadCertificate,
                HasSubstr("SHA-1"));
}

TEST_F(VerificationTest, TheWrongNameSaysBothNames) {
  LeafSpec leaf = LeafFor("a.test");
  leaf.ip_names = {"192.0.2.1"};
  ExpectFailure(Verify(leaf, "b.test"), ErrorCode::kNameMismatch, kBadCertificate,
                "certificate \"CN=a.test\" is not for \"b.test\"; it has the names \"a.test\", "
                "\"192.0.2.1\"");
  for (const char* name : {"evil.a.test", "a.test.evil", "test", "192.0.2.2", "2001:db8::1"}) {
    EXPECT_EQ(CodeOf(Verify(leaf, name)), ErrorCode::kNameMismatch) << name;
  }
}

TEST_F(VerificationTest, ManyNamesAreCutShort) {
  LeafSpec leaf;
  for (int i = 0; i < 100; ++i) leaf.dns_names.push_back(absl::StrCat("n", i, ".test"));
  ExpectFailure(Verify(leaf, "b.test"), ErrorCode::kNameMismatch, kBadCertificate,
                HasSubstr("\"n7.test\" and 92 more"));
}

TEST_F(VerificationTest, CommonNamesDoNotCount) {
  LeafSpec leaf;
  leaf.common_name = "a.test";
  ExpectFailure(Verify(leaf, "a.test"), ErrorCode::kNameMismatch, kBadCertificate,
                HasSubstr("no subject alternative names"));
  leaf.common_name = "192.0.2.1";
  EXPECT_EQ(CodeOf(Verify(leaf, "192.0.2.1")), ErrorCode::kNameMismatch);
}

TEST_F(VerificationTest, WildcardsCoverOneWholeLabel) {
  LeafSpec leaf;
  leaf.dns_names = {"*.wild.test", "w*.part.test", "x.*.mid.test", "*", "*.*.two.test"};
  EXPECT_TRUE(Verify(leaf, "x.wild.test").ok());
  for (const char* name : {"wild.test", "x.y.wild.test", "ww.part.test", "x.y.mid.test",
                           "localhost", "x.y.two.test"}) {
    EXPECT_EQ(CodeOf(Verify(leaf, name)), ErrorCode::kNameMismatch) << name;
  }
}

TEST_F(VerificationTest, AddressesAndNamesDoNotStandInForEachOther) {
  LeafSpec leaf;
  leaf.dns_names = {"192.0.2.1"};
  EXPECT_EQ(CodeOf(Verify(leaf, "192.0.2.1")), ErrorCode::kNameMismatch);
}

TEST_F(VerificationTest, OnlyTheDangerousOptionAcceptsAnything) {
  ClientTlsOptions trusting;
  trusting.dangerous_skip_verify = true;
  LeafSpec leaf;
  leaf.common_name = "nobody";
  leaf.not_after = loop_.Now() - absl::Hours(1);
  leaf.self_signed = true;
  EXPECT_TRUE(Verify(pki_.Issue(leaf), "a.test", trusting).ok());
  ASSERT_EQ(info_.peer_chain.size(), 1u);
  EXPECT_EQ(info_.peer_chain[0].subject, "CN=nobody");
}

}  // namespace
}  // namespace trestle::testing
