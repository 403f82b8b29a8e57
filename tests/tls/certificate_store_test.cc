#include "trestle/tls/certificate_store.h"

#include <string>
#include <thread>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/testing/test_pki.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using CredentialPtr = std::shared_ptr<const Credential>;

class CertificateStoreTest : public ::testing::Test {
 protected:
  CredentialPtr Issue(std::vector<std::string> names, KeyType key_type = KeyType::kEcdsa,
                      absl::Duration days_left = absl::Hours(24 * 30)) {
    LeafSpec leaf;
    leaf.dns_names = std::move(names);
    leaf.key_type = key_type;
    leaf.not_after = now_ + days_left;
    return pki_.IssueCredential(leaf);
  }

  std::shared_ptr<CertificateStore> Create(std::vector<CredentialPtr> credentials) {
    auto store = CertificateStore::Create(std::move(credentials), now_);
    EXPECT_TRUE(store.ok()) << store.status();
    return *store;
  }

  // Returns the credentials for `name`.
  std::vector<CredentialPtr> Find(const CertificateStore& store, absl::string_view name) {
    return FindAt(store, name, now_);
  }

  // Returns the credentials for `name` at another time.
  std::vector<CredentialPtr> FindAt(const CertificateStore& store, absl::string_view name,
                                    absl::Time time) {
    const CertificateSet::Credentials found = store.current()->Choose(name, time);
    return {found.begin(), found.end()};
  }

  static constexpr absl::Duration kExpired = -absl::Hours(24);

  const absl::Time now_ = absl::FromUnixSeconds(1'767'225'600);
  TestPki pki_{now_};
};

std::string FailureOf(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  if (!error.has_value()) return "no failure";
  EXPECT_EQ(error->code, ErrorCode::kConfiguration);
  return error->detail;
}

TEST_F(CertificateStoreTest, ExactNamesPrecedeWildcardsOfOneLabel) {
  const CredentialPtr exact = Issue({"a.wild.test"});
  const CredentialPtr wildcard = Issue({"*.wild.test"});
  const auto store = Create({wildcard, exact});
  EXPECT_THAT(Find(*store, "a.wild.test"), ElementsAre(exact));
  EXPECT_THAT(Find(*store, "b.wild.test"), ElementsAre(wildcard));
  EXPECT_THAT(Find(*store, "wild.test"), IsEmpty());
  EXPECT_THAT(Find(*store, "x.b.wild.test"), IsEmpty());
  EXPECT_THAT(Find(*store, "xwild.test"), IsEmpty());
  EXPECT_THAT(Find(*store, "test"), IsEmpty());
  EXPECT_THAT(Find(*store, ""), IsEmpty());
}

TEST_F(CertificateStoreTest, OffersOneOfEachKeyTypeInOrder) {
  const CredentialPtr rsa = Issue({"a.test"}, KeyType::kRsa);
  const CredentialPtr ed25519 = Issue({"A.test"}, KeyType::kEd25519);
  const CredentialPtr ecdsa = Issue({"a.TEST"}, KeyType::kEcdsa);
  const auto store = Create({rsa, ed25519, ecdsa});
  EXPECT_THAT(Find(*store, "a.test"), ElementsAre(ecdsa, ed25519, rsa));
  EXPECT_THAT(store->current()->ChooseFallback(now_), ElementsAre(ecdsa, ed25519, rsa));
  EXPECT_EQ(store->current()->size(), 3u);
}

TEST_F(CertificateStoreTest, TheFallbackServesTheFirstCredentialsName) {
  const CredentialPtr first = Issue({"*.first.test", "first.test"});
  const CredentialPtr first_rsa = Issue({"*.first.test"}, KeyType::kRsa);
  const CredentialPtr second = Issue({"second.test"});
  const auto store = Create({first, second, first_rsa});
  EXPECT_THAT(store->current()->ChooseFallback(now_), ElementsAre(first, first_rsa));

  LeafSpec address_only;
  address_only.ip_names = {"192.0.2.1"};
  const CredentialPtr nameless = pki_.IssueCredential(address_only);
  EXPECT_THAT(Create({nameless, second})->current()->ChooseFallback(now_), ElementsAre(nameless));
}

TEST_F(CertificateStoreTest, PrefersValidThenLaterExpiry) {
  const CredentialPtr expired = Issue({"a.test"}, KeyType::kEcdsa, kExpired);
  const CredentialPtr sooner = Issue({"a.test"}, KeyType::kEcdsa, absl::Hours(24));
  const CredentialPtr later = Issue({"a.test"}, KeyType::kEcdsa, absl::Hours(48));
  for (const auto& order : {std::vector<CredentialPtr>{expired, sooner, later},
                            std::vector<CredentialPtr>{later, sooner, expired},
                            std::vector<CredentialPtr>{sooner, later, expired}}) {
    EXPECT_THAT(Find(*Create(order), "a.test"), ElementsAre(later));
  }
  EXPECT_THAT(Find(*Create({expired}), "a.test"), ElementsAre(expired));
}

TEST_F(CertificateStoreTest, ExpiredCredentialsAreNotOfferedWithValidOnes) {
  const CredentialPtr expired = Issue({"a.test"}, KeyType::kEcdsa, kExpired);
  const CredentialPtr rsa = Issue({"a.test"}, KeyType::kRsa);
  EXPECT_THAT(Find(*Create({expired, rsa}), "a.test"), ElementsAre(rsa));

  const CredentialPtr wildcard = Issue({"*.test"});
  EXPECT_THAT(Find(*Create({expired, wildcard}), "a.test"), ElementsAre(wildcard));

  // A name without a dot has no wildcard above it.
  const CredentialPtr local = Issue({"localhost"}, KeyType::kEcdsa, kExpired);
  const CredentialPtr below = Issue({"*.localhost"});
  EXPECT_THAT(Find(*Create({local, below}), "localhost"), ElementsAre(local));
}

// haproxy#1433: the choice among valid ones is made for each client, not when the set was created.
TEST_F(CertificateStoreTest, AnExpiredCredentialIsReplacedWithoutAReload) {
  const CredentialPtr short_exact = Issue({"a.test"}, KeyType::kEcdsa, absl::Hours(24));
  const CredentialPtr rsa = Issue({"a.test"}, KeyType::kRsa, absl::Hours(48));
  const CredentialPtr wildcard = Issue({"*.test"}, KeyType::kEcdsa, absl::Hours(72));
  const auto store = Create({short_exact, rsa, wildcard});
  EXPECT_THAT(Find(*store, "a.test"), ElementsAre(short_exact, rsa));
  EXPECT_THAT(FindAt(*store, "a.test", now_ + absl::Hours(36)), ElementsAre(rsa));
  EXPECT_THAT(FindAt(*store, "a.test", now_ + absl::Hours(60)), ElementsAre(wildcard));
  EXPECT_THAT(FindAt(*store, "a.test", now_ + absl::Hours(99)), ElementsAre(short_exact, rsa));
  EXPECT_THAT(store->current()->ChooseFallback(now_ + absl::Hours(60)), ElementsAre(wildcard));
}

// A successor that was added before its time, beside its predecessor.
TEST_F(CertificateStoreTest, ACredentialThatBecomesValidIsUsed) {
  LeafSpec leaf;
  leaf.dns_names = {"a.test"};
  leaf.not_before = now_ + absl::Hours(12);
  leaf.not_after = now_ + absl::Hours(90);
  const CredentialPtr next = pki_.IssueCredential(leaf);
  const CredentialPtr current = Issue({"a.test"}, KeyType::kEcdsa, absl::Hours(24));
  const auto store = Create({next, current});
  EXPECT_THAT(Find(*store, "a.test"), ElementsAre(current));
  EXPECT_THAT(FindAt(*store, "a.test", now_ + absl::Hours(13)), ElementsAre(next));
}

TEST_F(CertificateStoreTest, ReplacesAllOrNothing) {
  const CredentialPtr old_a = Issue({"a.test"});
  const CredentialPtr old_b = Issue({"b.test"});
  const auto store = Create({old_a, old_b});
  const auto before = store->current();
  EXPECT_EQ(before->generation(), 1u);

  const CredentialPtr new_a = Issue({"a.test"});
  ASSERT_TRUE(store->Replace({new_a}, now_).ok());
  EXPECT_EQ(store->current()->generation(), 2u);
  EXPECT_THAT(Find(*store, "a.test"), ElementsAre(new_a));
  EXPECT_THAT(Find(*store, "b.test"), IsEmpty());
  // Holders of the old set continue with it.
  EXPECT_THAT(before->Choose("a.test", now_), ElementsAre(old_a));

  EXPECT_EQ(FailureOf(store->Replace({}, now_)), "there are no certificates to serve");
  EXPECT_EQ(FailureOf(store->Replace({nullptr}, now_)), "one of the credentials is null");
  EXPECT_EQ(store->current()->generation(), 2u);
  EXPECT_THAT(Find(*store, "a.test"), ElementsAre(new_a));
  EXPECT_EQ(FailureOf(CertificateStore::Create({}, now_).status()),
            "there are no certificates to serve");
}

TEST_F(CertificateStoreTest, NeverReplacesValidByExpired) {
  const auto store = Create({Issue({"a.test", "*.wild.test"})});
  const CredentialPtr expired = Issue({"a.test"}, KeyType::kEcdsa, kExpired);
  EXPECT_THAT(FailureOf(store->Replace({expired}, now_)),
              HasSubstr("\"a.test\" is served with a valid certificate now"));
  EXPECT_THAT(FailureOf(store->Replace({Issue({"*.wild.test"}, KeyType::kEcdsa, kExpired)}, now_)),
              HasSubstr("\"*.wild.test\" is served"));
  EXPECT_EQ(store->current()->generation(), 1u);
  // The same for a wildcard that covers the exact name.
  EXPECT_THAT(FailureOf(store->Replace({Issue({"*.test"}, KeyType::kEcdsa, kExpired)}, now_)),
              HasSubstr("\"a.test\" is served"));

  // After the old one has expired too, the replacement loses nothing.
  EXPECT_TRUE(store->Replace({expired}, now_ + absl::Hours(24 * 60)).ok());
  // A valid credential for the name makes the expired one harmless.
  EXPECT_TRUE(store->Replace({Issue({"a.test"})}, now_).ok());
  EXPECT_TRUE(store->Replace({expired, Issue({"a.test"}, KeyType::kRsa)}, now_).ok());
}

TEST_F(CertificateStoreTest, AHelloWithoutANameIsAnsweredByAddress) {
  LeafSpec v4;
  v4.ip_names = {"192.0.2.1", "2001:db8::1"};
  const CredentialPtr addressed = pki_.IssueCredential(v4);
  const auto store = Create({Issue({"a.test"}), addressed});
  const auto set = store->current();
  const auto by_address = [&](absl::string_view text) {
    const auto endpoint = Endpoint::Parse(text);
    EXPECT_TRUE(endpoint.ok()) << text;
    const auto found = set->ChooseByAddress(endpoint->address(), now_);
    return std::vector<CredentialPtr>(found.begin(), found.end());
  };
  EXPECT_THAT(by_address("192.0.2.1:443"), ElementsAre(addressed));
  EXPECT_THAT(by_address("[2001:db8::1]:443"), ElementsAre(addressed));
  EXPECT_THAT(by_address("[::ffff:192.0.2.1]:443"), ElementsAre(addressed));
  EXPECT_THAT(by_address("192.0.2.2:443"), IsEmpty());
  EXPECT_THAT(set->ChooseByAddress({}, now_), IsEmpty());
  EXPECT_THAT(Find(*store, "192.0.2.1"), IsEmpty()) << "an address is no server name";
}

TEST_F(CertificateStoreTest, UriOnlyCredentialsServeUncoveredNames) {
  LeafSpec leaf;
  leaf.uri_names = {"spiffe://example.test/front"};
  const CredentialPtr svid = pki_.IssueCredential(leaf);
  const CredentialPtr named = Issue({"a.test"});
  const auto store = Create({named, svid});
  EXPECT_THAT(Find(*store, "b.test"), IsEmpty());
  EXPECT_THAT(store->current()->ChooseNameless(now_), ElementsAre(svid));
  EXPECT_THAT(Create({named})->current()->ChooseNameless(now_), IsEmpty());
  EXPECT_THAT(Create({svid})->current()->ChooseFallback(now_), ElementsAre(svid));
}

TEST_F(CertificateStoreTest, ARenewalIsUsedWhenItBecomesValid) {
  const CredentialPtr present =
      Issue({"a.test", "*.a.test"}, KeyType::kEcdsa, absl::Hours(24 * 80));
  const auto store = Create({present, Issue({"b.test"})});
  LeafSpec leaf;
  leaf.dns_names = {"a.test", "*.a.test"};
  leaf.not_before = now_ + absl::Seconds(5);
  leaf.not_after = now_ + absl::Hours(24 * 6);  // Expires before the current one.
  const CredentialPtr next = pki_.IssueCredential(leaf);
  ASSERT_TRUE(store->Replace({next}, now_).ok());
  EXPECT_EQ(store->current()->generation(), 2u);
  std::vector<std::string> pending;
  for (const auto& wait : store->current()->pending()) {
    pending.push_back(wait.name);
    EXPECT_EQ(wait.from, leaf.not_before);
  }
  EXPECT_THAT(pending, ::testing::UnorderedElementsAre("a.test", "*.a.test"));
  EXPECT_THAT(Find(*store, "b.test"), IsEmpty()) << "a removed name is not kept";
  for (const char* name : {"a.test", "x.a.test"}) {
    EXPECT_THAT(FindAt(*store, name, now_ + absl::Seconds(4)), ElementsAre(present)) << name;
    EXPECT_THAT(FindAt(*store, name, now_ + absl::Seconds(5)), ElementsAre(next)) << name;
    // The current one is no longer used, whatever its dates are.
    EXPECT_THAT(FindAt(*store, name, now_ + absl::Hours(24 * 7)), ElementsAre(next)) << name;
  }
  EXPECT_THAT(store->current()->ChooseFallback(now_), ElementsAre(present));
  ASSERT_EQ(store->current()->ShownAt(now_).size(), 1u);
  EXPECT_EQ(store->current()->ShownAt(now_)[0].credential, present);
  EXPECT_EQ(store->current()->ShownAt(leaf.not_before)[0].credential, next);

  // Once more, while the first one is still in use.
  leaf.not_before = now_ + absl::Seconds(10);
  const CredentialPtr after_next = pki_.IssueCredential(leaf);
  ASSERT_TRUE(store->Replace({after_next}, now_).ok());
  EXPECT_THAT(FindAt(*store, "a.test", now_ + absl::Seconds(9)), ElementsAre(present));
  EXPECT_THAT(FindAt(*store, "a.test", now_ + absl::Seconds(10)), ElementsAre(after_next));
}

TEST_F(CertificateStoreTest, ARenewalThatBecomesValidTooLateIsRejected) {
  const auto store = Create({Issue({"a.test"}, KeyType::kEcdsa, absl::Hours(24))});
  LeafSpec leaf;
  leaf.dns_names = {"a.test"};
  leaf.not_before = now_ + absl::Hours(25);
  EXPECT_THAT(FailureOf(store->Replace({pki_.IssueCredential(leaf)}, now_)),
              HasSubstr("not valid before 2026-01-02 01:00:00 UTC, when the present one has"));
  EXPECT_EQ(store->current()->generation(), 1u);
}

TEST_F(CertificateStoreTest, MayBeReplacedDuringLookUps) {
  const CredentialPtr one = Issue({"a.test"});
  const CredentialPtr two = Issue({"a.test"});
  const auto store = Create({one});
  std::thread replacer([&] {
    for (int i = 0; i < 500; ++i) {
      EXPECT_TRUE(store->Replace({i % 2 == 0 ? two : one}, now_).ok());
    }
  });
  uint64_t last = 0;
  while (last <= 500) {
    const auto set = store->current();
    ASSERT_GE(set->generation(), last);
    last = set->generation();
    ASSERT_EQ(set->Choose("a.test", now_).size(), 1u);
    if (last == 501) break;
  }
  replacer.join();
}

TEST_F(CertificateStoreTest, AcceptsARenewalWithAnUnneededExpiredCrossCertificate) {
  const TestPki old_root(now_, "Old Root");
  const auto store = Create({Issue({"a.test"})});
  LeafSpec leaf;
  leaf.dns_names = {"a.test"};
  const PemPair pair = pki_.Issue(leaf);
  auto renewed =
      Credential::FromPem(pair.chain + old_root.CrossCertify(pki_, now_ + kExpired), pair.key);
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  EXPECT_EQ(FailureOf(store->Replace({*renewed}, now_)), "no failure");
  EXPECT_THAT(Find(*store, "a.test"), ElementsAre(*renewed));
}

}  // namespace
}  // namespace trestle::testing
