// TestPki: certificates minted on the spot, for tests and demonstrations: any names, any dates,
// any fault. Nothing of it is fit for production.
#ifndef TRESTLE_TESTING_TEST_PKI_H_
#define TRESTLE_TESTING_TEST_PKI_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "trestle/tls/credential.h"

namespace trestle::testing {

/// What a leaf certificate says.
struct LeafSpec {
  std::vector<std::string> dns_names;             ///< SAN dNSName; `*.` wildcards as they are.
  std::vector<std::string> ip_names = {};         ///< SAN iPAddress.
  std::string common_name = {};                   ///< Subject CN; empty: the first DNS name.
  KeyType key_type = KeyType::kEcdsa;             ///< P-256, RSA or Ed25519.
  int rsa_bits = 2048;                            ///< Of kRsa.
  absl::Time not_before = absl::InfinitePast();   ///< Default: a year before the CA's `now`.
  absl::Time not_after = absl::InfiniteFuture();  ///< Default: a year after the CA's `now`.
  bool server_auth = true;                  ///< Extended key usage serverAuth, else clientAuth.
  bool sha1 = false;                        ///< Signed with SHA-1 instead of SHA-256.
  bool self_signed = false;                 ///< Signed by its own key instead of by an authority.
  std::vector<std::string> uri_names = {};  ///< SAN uniformResourceIdentifier.
  bool must_staple = false;                 ///< Demands an OCSP staple (RFC 7633).
};

/// What the certificate of an authority says.
struct AuthoritySpec {
  std::string name;                               ///< Subject CN.
  absl::Time not_before = absl::InfinitePast();   ///< Default: five years before the CA's `now`.
  absl::Time not_after = absl::InfiniteFuture();  ///< Default: five years after the CA's `now`.
  /// If given, the only domain that it may issue for (RFC 5280 4.2.1.10).
  std::string permitted_dns_name = {};
  bool is_ca =
      true;  ///< Without: an ordinary certificate that signs others, which nobody may trust.
};

/// What an OCSP responder says of a leaf (RFC 6960).
struct StapleSpec {
  enum class Answer : unsigned char { kGood, kRevoked, kUnknown };
  Answer answer = Answer::kGood;
  absl::Time this_update = absl::InfinitePast();    ///< Default: a day before the CA's `now`.
  absl::Time next_update = absl::InfiniteFuture();  ///< Default: a week after the CA's `now`.
};

/// PEM texts of a leaf and all that goes with it.
struct PemPair {
  std::string chain;  ///< Leaf first, then intermediates.
  std::string key;    ///< PKCS#8.
};

/// A certificate authority that lives as long as the object. Aborts on failure: it is for tests.
class TestPki {
 public:
  /// Makes a root named `name`, valid for ten years around `now`.
  explicit TestPki(absl::Time now, const std::string& name = "Trestle Test CA");
  TestPki(absl::Time now, const AuthoritySpec& spec);

  /// Makes an intermediate authority below `issuer`. Its leaves come with it in their chain.
  /// `permitted_dns_name`, if given, is the only domain that it may issue for (RFC 5280 4.2.1.10).
  TestPki(const TestPki& issuer, const std::string& name,
          const std::string& permitted_dns_name = "");
  TestPki(const TestPki& issuer, const AuthoritySpec& spec);
  ~TestPki();
  TestPki(const TestPki&) = delete;
  TestPki& operator=(const TestPki&) = delete;

  /// The root certificate, also of an intermediate.
  const std::string& ca_pem() const { return ca_pem_; }

  /// This authority's own certificate, and those between it and the root.
  std::string chain_pem() const;

  /// Certifies `subject`'s name and key once more, as this authority: the PEM text of a
  /// cross-certificate, by which chains of `subject` lead here too.
  std::string CrossCertify(const TestPki& subject,
                           absl::Time not_after = absl::InfiniteFuture()) const;

  /// Mints a leaf signed by this authority.
  PemPair Issue(const LeafSpec& leaf) const;

  /// `Issue`, read back into a Credential.
  std::shared_ptr<const Credential> IssueCredential(const LeafSpec& leaf) const;

  /// Signs a revocation list, as PEM text, of the first certificate of each of `revoked`. It is
  /// valid from a day before the CA's `now` until `next_update`; the default is a week after.
  std::string IssueCrl(const std::vector<PemPair>& revoked,
                       absl::Time next_update = absl::InfiniteFuture()) const;

  /// Signs an OCSP response, in DER, about the first certificate of `leaf`, as a server staples it.
  std::string IssueStaple(const PemPair& leaf, const StapleSpec& spec = {}) const;

 private:
  struct State;

  static std::unique_ptr<State> MakeAuthority(absl::Time now, const AuthoritySpec& spec,
                                              const State* issuer);

  std::unique_ptr<State> state_;
  std::string ca_pem_;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTING_TEST_PKI_H_
