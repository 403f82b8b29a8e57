#include "integrations/spiffe/x509_context.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/spiffe/fake_agent.h"
#include "trestle/base/error.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;

class X509ContextTest : public ::testing::Test {
 protected:
  WorkloadSvid Svid(const std::string& id = "spiffe://example.org/edge") const {
    return IssueSvid(pki_, SvidSpec(id, now_));
  }

  static WorkloadUpdate Update(WorkloadSvid svid) {
    WorkloadUpdate update;
    update.svids.push_back(std::move(svid));
    return update;
  }

  void ExpectFault(const WorkloadUpdate& update, ErrorCode code, const std::string& detail,
                   const std::string& wanted = "") const {
    const auto context = MakeX509Context(update, wanted, now_);
    ASSERT_FALSE(context.ok());
    const std::optional<Error> error = GetError(context.status());
    ASSERT_TRUE(error.has_value()) << context.status();
    EXPECT_EQ(error->code, code) << context.status();
    EXPECT_THAT(error->detail, HasSubstr(detail));
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'767'225'600);
  const TestPki pki_{now_};
  const TestPki partner_{now_, "Partner CA"};
};

TEST_F(X509ContextTest, HasCredentialsAndBundlesForBothLegs) {
  WorkloadUpdate update = Update(Svid());
  update.svids[0].hint = "internal";
  update.federated_bundles = {{"spiffe://partner.test", DerOf(partner_.ca_pem())},
                              {"other.test", DerOf(pki_.ca_pem()) + DerOf(partner_.ca_pem())}};
  const auto context = MakeX509Context(update, "", now_);
  ASSERT_TRUE(context.ok()) << context.status();
  EXPECT_EQ(context->id.ToString(), "spiffe://example.org/edge");
  EXPECT_EQ(context->hint, "internal");
  EXPECT_EQ(context->server->chain().front().uri_names.front(), "spiffe://example.org/edge");
  EXPECT_TRUE(context->client->fit_for_clients());
  ASSERT_EQ(context->bundles.size(), 3u);
  EXPECT_EQ(context->bundles[0].trust_domain, "example.org");
  EXPECT_EQ(context->bundles[1].trust_domain, "other.test");
  EXPECT_EQ(context->bundles[2].trust_domain, "partner.test");
  EXPECT_EQ(context->trust->Certificates().size(), 2u);
  EXPECT_EQ(context->not_after() - context->not_before(), absl::Hours(2));
}

TEST_F(X509ContextTest, AnIntermediateMayBeInTheChain) {
  const TestPki intermediate(pki_, "Intermediate");
  const auto context = MakeX509Context(
      Update(IssueSvid(intermediate, SvidSpec("spiffe://example.org/edge", now_))), "", now_);
  ASSERT_TRUE(context.ok()) << context.status();
  EXPECT_EQ(context->server->chain().size(), 2u);
}

TEST_F(X509ContextTest, TheIdSelectsAmongSeveral) {
  WorkloadUpdate update = Update(Svid());
  update.svids.push_back(Svid("spiffe://example.org/other"));
  EXPECT_EQ(MakeX509Context(update, "", now_)->id.path, "/edge");
  EXPECT_EQ(MakeX509Context(update, "spiffe://example.org/other", now_)->id.path, "/other");
  ExpectFault(update, ErrorCode::kNoCertificate, "no SVID with the ID spiffe://example.org/third",
              "spiffe://example.org/third");
  ExpectFault({}, ErrorCode::kNoCertificate, "no SVID for this process");
}

TEST_F(X509ContextTest, DatesAreForTheStore) {
  const auto context = MakeX509Context(Update(Svid()), "", now_ + absl::Hours(24));
  EXPECT_TRUE(context.ok()) << context.status();
}

TEST_F(X509ContextTest, MalformedDerIsAnError) {
  const auto with = [this](auto change) {
    WorkloadSvid svid = Svid();
    change(svid);
    return Update(std::move(svid));
  };
  ExpectFault(with([](WorkloadSvid& svid) { svid.chain_der.pop_back(); }), ErrorCode::kProtocol,
              "the SVID is no sequence of DER");
  ExpectFault(with([](WorkloadSvid& svid) { svid.chain_der = "no DER"; }), ErrorCode::kProtocol,
              "the SVID is no sequence of DER");
  ExpectFault(with([](WorkloadSvid& svid) { svid.chain_der = "\x30\x80"; }), ErrorCode::kProtocol,
              "the SVID is no sequence of DER");
  ExpectFault(with([](WorkloadSvid& svid) { svid.chain_der = "\x30\x84\xff\xff\xff\xff"; }),
              ErrorCode::kProtocol, "the SVID is no sequence of DER");
  ExpectFault(with([](WorkloadSvid& svid) { svid.chain_der.clear(); }), ErrorCode::kProtocol,
              "the SVID has no certificate");
  ExpectFault(with([](WorkloadSvid& svid) { svid.key_der += "x"; }), ErrorCode::kProtocol,
              "the private key of the SVID is no DER");
  ExpectFault(with([](WorkloadSvid& svid) { svid.bundle_der += "x"; }), ErrorCode::kProtocol,
              "the bundle is no sequence of DER");
  ExpectFault(with([](WorkloadSvid& svid) { svid.spiffe_id = "edge"; }), ErrorCode::kProtocol,
              "is no SPIFFE ID");
  // A SEQUENCE that is no certificate, and one that is no key.
  const std::string empty_sequence("\x30\x00", 2);
  ExpectFault(with([&](WorkloadSvid& svid) { svid.chain_der = empty_sequence; }),
              ErrorCode::kCertificateUntrusted, "the SVID can't be used");
  ExpectFault(with([&](WorkloadSvid& svid) { svid.key_der = empty_sequence; }),
              ErrorCode::kCertificateUntrusted, "the SVID can't be used");
  ExpectFault(with([&](WorkloadSvid& svid) { svid.bundle_der = empty_sequence; }),
              ErrorCode::kCertificateUntrusted, "a bundle can't be used");
}

TEST_F(X509ContextTest, PartsThatContradictEachOtherAreErrors) {
  WorkloadSvid other_key = Svid();
  other_key.key_der = Svid().key_der;
  ExpectFault(Update(other_key), ErrorCode::kCertificateUntrusted, "the SVID can't be used");
  WorkloadSvid other_id = Svid();
  other_id.spiffe_id = "spiffe://example.org/root";
  ExpectFault(Update(other_id), ErrorCode::kCertificateUntrusted, "peers would refuse the SVID");
  WorkloadSvid other_domain = Svid();
  other_domain.spiffe_id = "spiffe://partner.test/edge";
  ExpectFault(Update(other_domain), ErrorCode::kCertificateUntrusted,
              "peers would refuse the SVID");
  WorkloadSvid other_ca = Svid();
  other_ca.bundle_der = DerOf(partner_.ca_pem());
  ExpectFault(Update(other_ca), ErrorCode::kCertificateUntrusted, "peers would refuse the SVID");
  WorkloadSvid no_bundle = Svid();
  no_bundle.bundle_der.clear();
  ExpectFault(Update(no_bundle), ErrorCode::kCertificateUntrusted, "the trust domain example.org");
  LeafSpec two = SvidSpec("spiffe://example.org/edge", now_);
  two.uri_names.push_back("spiffe://example.org/second");
  ExpectFault(Update(IssueSvid(pki_, two)), ErrorCode::kCertificateUntrusted, "has 2 URIs");
}

TEST_F(X509ContextTest, NoOtherBundleSpeaksForTheOwnDomain) {
  for (const char* const name : {"example.org", "spiffe://example.org"}) {
    WorkloadUpdate update = Update(Svid());
    update.federated_bundles = {{name, DerOf(partner_.ca_pem())}};
    ExpectFault(update, ErrorCode::kCertificateUntrusted,
                "two bundles of the trust domain example.org");
  }
  WorkloadUpdate bad_name = Update(Svid());
  bad_name.federated_bundles = {{"Partner.test", DerOf(partner_.ca_pem())}};
  ExpectFault(bad_name, ErrorCode::kCertificateUntrusted, "a bundle can't be used");
}

}  // namespace
}  // namespace trestle::testing
