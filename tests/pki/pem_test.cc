// Every "-----BEGIN" of a PEM text is used, or rejected with its line, in all readers of the pki
// floor.
#include "lib/pki/pem.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/pki/pem_rules.h"
#include "tests/pki/pki_fixture.h"
#include "trestle/pki/chain_checker.h"
#include "trestle/pki/private_key.h"
#include "trestle/pki/trust_store.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;

class PemTest : public PkiTest {
 protected:
  TestPki intermediate_{pki_, "Intermediate"};
};

TEST_F(PemTest, TheRulesHoldForChains) {
  ExpectPemRules(
      {"the chain", intermediate_.Issue(LeafFor("a.test")).chain,
       [](const std::string& text) { return ReadCertificatesPem(text, "the chain").status(); }});
}

TEST_F(PemTest, TheRulesHoldForPrivateKeys) {
  ExpectPemRules({"the private key's text", pki_.Issue(LeafFor("a.test")).key,
                  [](const std::string& text) { return PrivateKey::FromPem(text).status(); }});
}

TEST_F(PemTest, TheRulesHoldForCas) {
  ExpectPemRules({"the CA file", pki_.ca_pem() + intermediate_.chain_pem(),
                  [](const std::string& text) { return TrustStore::Create(text).status(); }});
}

TEST_F(PemTest, TheRulesHoldForRevocationLists) {
  ExpectPemRules({"the CRL file", pki_.IssueCrl({}) + intermediate_.IssueCrl({}),
                  [this](const std::string& text) {
                    return TrustStore::Create(pki_.ca_pem(), text).status();
                  }});
}

TEST_F(PemTest, TheRulesHoldForKnownIntermediates) {
  ExpectPemRules(
      {"the file of known intermediates", intermediate_.chain_pem(),
       [this](const std::string& text) {
         return ChainChecker::Create({*TrustStore::Create(pki_.ca_pem()), text}).status();
       }});
}

TEST_F(PemTest, DerIsReported) {
  EXPECT_THAT(ConfigurationFault(TrustStore::Create("0\x82\x01").status()),
              HasSubstr("is it DER?"));
}

TEST_F(PemTest, RevocationListsAmongCasAreAllowedOnlyIfRead) {
  const std::string both = pki_.ca_pem() + pki_.IssueCrl({});
  EXPECT_THAT(ConfigurationFault(TrustStore::Create(both).status()),
              HasSubstr("found a PEM block \"X509 CRL\", which is not used here: revocation lists "
                        "are given separately"));
  EXPECT_EQ(ConfigurationFault(TrustStore::Create(both, both).status()), "");
}

}  // namespace
}  // namespace trestle::testing
