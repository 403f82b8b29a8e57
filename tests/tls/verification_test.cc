// Backends' certificates, good and bad, as a client sees them.
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
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
    ClientTlsTarget target;
    (absl::StrContains(wanted_name, "://") ? target.verify_name : target.server_name) = wanted_name;
    std::unique_ptr<TlsEngine> client = MakeClient(std::move(options), target);
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
    const std::optional<Error> error = GetError(status);
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
                "certificate \"CN=a.test\" expired on 2025-12-19 (12 days ago); it was issued by "
                "\"CN=Trestle Test CA\", is valid from 2025-01-01 to 2025-12-19, and has the names "
                "\"DNS:a.test\"");
  leaf.not_after = loop_.Now() - absl::Minutes(61);
  ExpectFailure(Verify(leaf, "a.test"), ErrorCode::kCertificateExpired, kCertificateExpired,
                HasSubstr("(1 hour ago)"));
}

TEST_F(VerificationTest, NotYetValidSaysFromWhen) {
  LeafSpec leaf = LeafFor("a.test");
  leaf.not_before = loop_.Now() + absl::Hours(24 * 2);
  ExpectFailure(Verify(leaf, "a.test"), ErrorCode::kCertificateExpired, kCertificateExpired,
                HasSubstr("certificate \"CN=a.test\" is not valid before 2026-01-03 (in 2 days)"));
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
                HasSubstr("\"CN=a.test\" is self-signed, and not among the trusted roots"));
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
                AllOf(HasSubstr("certificate \"CN=a.test\" is not for \"DNS:b.test\""),
                      HasSubstr("has the names \"DNS:a.test\", \"IP:192.0.2.1\"")));
  for (const char* name : {"evil.a.test", "a.test.evil", "test", "192.0.2.2", "2001:db8::1"}) {
    EXPECT_EQ(CodeOf(Verify(leaf, name)), ErrorCode::kNameMismatch) << name;
  }
}

TEST_F(VerificationTest, ManyNamesAreCutShort) {
  LeafSpec leaf;
  for (int i = 0; i < 100; ++i) leaf.dns_names.push_back(absl::StrCat("n", i, ".test"));
  ExpectFailure(Verify(leaf, "b.test"), ErrorCode::kNameMismatch, kBadCertificate,
                HasSubstr("\"DNS:n7.test\" and 92 more"));
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

TEST_F(VerificationTest, UrisAreProvenByTheirOwnKind) {
  const std::string id = "spiffe://example.org/ns/prod/sa/api";
  LeafSpec leaf = LeafFor("a.test");
  leaf.uri_names = {"spiffe://example.org/other", id};
  EXPECT_TRUE(Verify(leaf, id).ok()) << Verify(leaf, id);
  EXPECT_THAT(info_.peer_chain[0].uri_names, ElementsAre("spiffe://example.org/other", id));
  EXPECT_EQ(info_.server_name, "") << "a URI is no server name";
  for (const std::string& wrong :
       {id + "/x", id.substr(0, id.size() - 1), std::string("spiffe://example.org/ns/prod/sa/API"),
        std::string("spiffe://example.org"), std::string("https://a.test")}) {
    ExpectFailure(Verify(leaf, wrong), ErrorCode::kNameMismatch, kBadCertificate,
                  AllOf(HasSubstr("is not for \"URI:" + wrong + "\""), HasSubstr(id)));
  }
  LeafSpec other_kinds = LeafFor("a.test");
  other_kinds.common_name = id;
  EXPECT_EQ(CodeOf(Verify(other_kinds, id)), ErrorCode::kNameMismatch);
}

TEST_F(VerificationTest, TheNameToProveMayDifferFromTheNameThatIsSent) {
  ClientTlsTarget target{"public.test", {}};
  target.verify_name = "a.test";
  EnginePair pair = MakePair({}, {}, target);
  pair.Handshake();
  EXPECT_TRUE(pair.client->handshake_done()) << pair.client->status();
  EXPECT_EQ(pair.server->info().server_name, "public.test");

  target.verify_name = "b.test";
  pair = MakePair({}, {}, target);
  pair.Handshake();
  EXPECT_EQ(CodeOf(pair.client->status()), ErrorCode::kNameMismatch);

  target.server_name = "";
  target.verify_name = "a.test";
  pair = MakePair({}, {}, target);
  pair.Handshake();
  EXPECT_TRUE(pair.client->handshake_done()) << pair.client->status();
  EXPECT_EQ(pair.server->info().server_name, "");
}

TEST_F(VerificationTest, NoNameAtAllIsNeverNoCheck) {
  for (const auto& [sent, proven] : std::vector<std::pair<std::string, std::string>>{
           {"", ""},
           {"spiffe://a/b", ""},
           {"spiffe://a/b", "a.test"},
           {"a.test", "not a name"},
           {"not a name", "a.test"},
           {"a.test", "://x"},
           {"a.test", "spiffe://a b"},
           {"a.test", "spiffe://" + std::string(3000, 'x')}}) {
    ClientTlsTarget target{sent, {}};
    target.verify_name = proven;
    const auto made = TlsEngine::NewClient(MakeClientConfig(), target, loop_, Leg::kBack);
    EXPECT_EQ(CodeOf(made.status()), ErrorCode::kConfiguration) << sent << " / " << proven;
  }
}

TEST_F(VerificationTest, OneOfThePinsMustBeInTheChain) {
  TestPki intermediate(pki_, "Intermediate");
  const PemPair pair = intermediate.Issue(LeafFor("a.test"));
  ClientTlsOptions options;
  options.pins = {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
  const absl::Status refused = Verify(pair, "a.test", options);
  ExpectFailure(refused, ErrorCode::kCertificateUntrusted, kBadCertificate,
                AllOf(HasSubstr("none of the pinned keys"), HasSubstr("sha256/")));
  // The message tells what to pin, which a person will want to know.
  const std::string detail = GetError(refused)->detail;
  const std::string shown = detail.substr(detail.find("sha256/"), 7 + 44);
  options.pins.push_back(shown);
  EXPECT_TRUE(Verify(pair, "a.test", options).ok()) << Verify(pair, "a.test", options);
  options.pins = {shown.substr(7)};
  EXPECT_TRUE(Verify(pair, "a.test", options).ok());
  EXPECT_EQ(CodeOf(Verify(intermediate.Issue(LeafFor("a.test")), "a.test", options)),
            ErrorCode::kCertificateUntrusted)
      << "another key of the same name";
}

TEST_F(VerificationTest, APinIsNotEnough) {
  TestPki stranger(loop_.Now(), "Stranger CA");
  const PemPair pair = stranger.Issue(LeafFor("a.test"));
  ClientTlsOptions learn;
  learn.ca_pem = stranger.ca_pem();
  learn.pins = {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
  const std::string detail = GetError(Verify(pair, "a.test", learn))->detail;
  ClientTlsOptions pinned;
  pinned.pins = {detail.substr(detail.find("sha256/"), 7 + 44)};
  EXPECT_EQ(CodeOf(Verify(pair, "a.test", pinned)), ErrorCode::kCertificateUntrusted);
}

TEST_F(VerificationTest, SizesOfKeysMayBeRaised) {
  ClientTlsOptions options;
  options.parameters.min_rsa_bits = 3072;
  options.parameters.min_ec_bits = 384;
  ExpectFailure(Verify(pki_.Issue(LeafFor("a.test", KeyType::kRsa)), "a.test", options),
                ErrorCode::kCertificateUntrusted, kBadCertificate,
                HasSubstr("RSA key has 2048 bits, fewer than 3072"));
  ExpectFailure(Verify(pki_.Issue(LeafFor("a.test")), "a.test", options),
                ErrorCode::kCertificateUntrusted, kBadCertificate,
                HasSubstr("EC key has 256 bits, fewer than 384"));
}

TEST_F(VerificationTest, OptionsThatWeakenOrMeanNothingAreRefused) {
  const auto refusal = [this](absl::FunctionRef<void(ClientTlsOptions&)> change) {
    ClientTlsOptions options;
    options.ca_pem = pki_.ca_pem();
    change(options);
    const auto made = ClientTlsConfig::Create(std::move(options));
    EXPECT_EQ(CodeOf(made.status()), ErrorCode::kConfiguration);
    return std::string(made.status().message());
  };
  EXPECT_THAT(refusal([](ClientTlsOptions& o) { o.parameters.min_rsa_bits = 2047; }),
              HasSubstr("lowered"));
  EXPECT_THAT(refusal([](ClientTlsOptions& o) { o.parameters.min_ec_bits = 255; }),
              HasSubstr("lowered"));
  EXPECT_THAT(refusal([](ClientTlsOptions& o) { o.pins = {"sha256/AAAA"}; }), HasSubstr("pin"));
  EXPECT_THAT(refusal([](ClientTlsOptions& o) { o.pins = {""}; }), HasSubstr("pin"));
  EXPECT_THAT(refusal([](ClientTlsOptions& o) {
                o.pins = {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
                o.dangerous_skip_verify = true;
              }),
              HasSubstr("skip_verify"));
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

TEST_F(VerificationTest, NamesTheExtendedKeyUsageThatIsThereAndTheOneThatIsMissing) {
  LeafSpec leaf = LeafFor("a.test");
  leaf.server_auth = false;
  ExpectFailure(Verify(leaf, "a.test"), ErrorCode::kCertificateUntrusted, kUnsupportedCertificate,
                HasSubstr("is refused: unsupported certificate purpose: its extended key usage is "
                          "clientAuth, and lacks serverAuth; it was issued by"));
}

TEST_F(VerificationTest, AKeyUsageWithoutSignaturesIsNoBreachOfTheProtocol) {
  LeafSpec leaf = LeafFor("a.test", KeyType::kRsa);
  leaf.key_encipherment_only = true;
  for (const TlsVersion version : {TlsVersion::kTls12, TlsVersion::kTls13}) {
    ClientTlsOptions options;
    options.parameters = Only(version);
    const absl::Status status = Verify(pki_.Issue(leaf), "a.test", std::move(options));
    EXPECT_EQ(CodeOf(status), ErrorCode::kCertificateUntrusted) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("its key usage allows no signatures"));
  }
}

}  // namespace
}  // namespace trestle::testing
