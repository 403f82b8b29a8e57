// A client's verification of backends' certificates, valid and invalid.
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
  // Returns the client's result for a server that presents `pair`. Checks that no bytes are read
  // before.
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
    // The rejected server gets the alert.
    if (!client->status().ok()) {
      client->received().Clear();
      EXPECT_NE(server.Handshake(), SSL_ERROR_NONE);
    }
    return client->status();
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

TEST_F(VerificationTest, ReportsTheAcceptedChain) {
  const std::string id = "spiffe://example.org/ns/prod/sa/api";
  const TestPki intermediate(pki_, "Intermediate");
  LeafSpec leaf = LeafFor("a.test");
  leaf.uri_names = {"spiffe://example.org/other", id};
  EXPECT_EQ(Verify(intermediate.Issue(leaf), id), absl::OkStatus());
  ASSERT_EQ(info_.peer_chain.size(), 2u);
  EXPECT_THAT(info_.peer_chain[0].dns_names, ElementsAre("a.test"));
  EXPECT_THAT(info_.peer_chain[0].uri_names, ElementsAre("spiffe://example.org/other", id));
  EXPECT_EQ(info_.server_name, "") << "a URI is no server name";
}

TEST_F(VerificationTest, EachRejectionHasItsAlert) {
  const auto expect = [this](const PemPair& pair, ErrorCode code, int alert) {
    ExpectFailure(Verify(pair, "a.test"), code, alert, HasSubstr("CN="));
  };
  const auto issue = [this](absl::FunctionRef<void(LeafSpec&)> change) {
    LeafSpec leaf = LeafFor("a.test");
    change(leaf);
    return pki_.Issue(leaf);
  };
  expect(issue([this](LeafSpec& leaf) { leaf.not_after = loop_.Now() - absl::Hours(1); }),
         ErrorCode::kCertificateExpired, kCertificateExpired);
  expect(issue([this](LeafSpec& leaf) { leaf.not_before = loop_.Now() + absl::Hours(1); }),
         ErrorCode::kCertificateExpired, kCertificateExpired);
  expect(issue([](LeafSpec& leaf) { leaf.self_signed = true; }), ErrorCode::kCertificateUntrusted,
         kUnknownCa);
  expect(TestPki(loop_.Now(), "Stranger CA").Issue(LeafFor("a.test")),
         ErrorCode::kCertificateUntrusted, kUnknownCa);
  expect(TestPki(pki_, "Intermediate", "permitted.test").Issue(LeafFor("a.test")),
         ErrorCode::kCertificateUntrusted, kCertificateUnknown);
  expect(issue([](LeafSpec& leaf) { leaf.server_auth = false; }), ErrorCode::kCertificateUntrusted,
         kUnsupportedCertificate);
  expect(issue([](LeafSpec& leaf) { leaf.sha1 = true; }), ErrorCode::kCertificateUntrusted,
         kBadCertificate);
  expect(issue([](LeafSpec& leaf) { leaf.dns_names = {"b.test"}; }), ErrorCode::kNameMismatch,
         kBadCertificate);
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

TEST_F(VerificationTest, UsesTheSchedulersTime) {
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

TEST_F(VerificationTest, TheVerifiedNameMayDifferFromTheSentName) {
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

TEST_F(VerificationTest, AMissingNameNeverDisablesTheCheck) {
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
  // The message has the value to pin, for an operator.
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

TEST_F(VerificationTest, MinimumKeySizesMayBeRaised) {
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

TEST_F(VerificationTest, WeakAndMeaninglessOptionsAreRejected) {
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

TEST_F(VerificationTest, OnlyTheDangerousOptionAcceptsEveryCertificate) {
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

TEST_F(VerificationTest, AKeyUsageWithoutSignaturesIsNoProtocolViolation) {
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
