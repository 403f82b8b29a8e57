// TestPki: issues certificates for tests and demonstrations, with any names, dates and faults. Not
// for production.
#ifndef TRESTLE_TESTING_TEST_PKI_H_
#define TRESTLE_TESTING_TEST_PKI_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "trestle/tls/credential.h"

namespace trestle::testing {

/// The contents of a leaf certificate.
struct LeafSpec {
  std::vector<std::string> dns_names;             ///< SAN dNSName, `*.` wildcards included.
  std::vector<std::string> ip_names = {};         ///< SAN iPAddress.
  std::string common_name = {};                   ///< Subject CN; empty: the first DNS name.
  KeyType key_type = KeyType::kEcdsa;             ///< A NIST curve, RSA or Ed25519.
  int rsa_bits = 2048;                            ///< Of kRsa.
  absl::Time not_before = absl::InfinitePast();   ///< Default: a year before the CA's `now`.
  absl::Time not_after = absl::InfiniteFuture();  ///< Default: a year after the CA's `now`.
  bool server_auth = true;                  ///< Extended key usage serverAuth, else clientAuth.
  bool sha1 = false;                        ///< Signed with SHA-1 instead of SHA-256.
  bool self_signed = false;                 ///< Signed by its own key instead of by an authority.
  std::vector<std::string> uri_names = {};  ///< SAN uniformResourceIdentifier.
  bool must_staple = false;                 ///< Requires an OCSP staple (RFC 7633).
  int ec_bits = 256;                        ///< Of kEcdsa: 256, 384 or 521.
  bool key_encipherment_only = false;       ///< A key usage that allows no signatures.
  bool both_auths = false;                  ///< Extended key usages serverAuth and clientAuth.
  bool authority_key_id = false;            ///< Names the issuer's key (RFC 5280 4.2.1.1).
  std::string ca_issuers_url = {};          ///< Where the issuer's certificate is (4.2.2.1).
  bool is_ca = false;                       ///< Claims to be a CA's (4.2.1.9).
  std::string key_pem = {};                 ///< The key to certify, PKCS#8; empty: a new one.
};

/// The contents of an authority's certificate.
struct AuthoritySpec {
  std::string name;                               ///< Subject CN.
  absl::Time not_before = absl::InfinitePast();   ///< Default: five years before the CA's `now`.
  absl::Time not_after = absl::InfiniteFuture();  ///< Default: five years after the CA's `now`.
  /// If not empty, the only domain that it may issue for (RFC 5280 4.2.1.10).
  std::string permitted_dns_name = {};
  /// If false, its certificate is not a CA's, and peers must reject the leaves that it signs.
  bool is_ca = true;
  /// Ranges of addresses that it may issue for, and that it may not: "192.0.2.0/24".
  std::vector<std::string> permitted_ip_ranges = {};
  std::vector<std::string> excluded_ip_ranges = {};
  bool sha1 = false;  ///< Signed with SHA-1 instead of SHA-256.
  int rsa_bits = 0;   ///< An RSA key of so many bits; 0: ECDSA P-256.
};

/// An OCSP response about a leaf (RFC 6960).
struct StapleSpec {
  /// What the response says about the leaf.
  enum class Answer : unsigned char { kGood, kRevoked, kUnknown };
  Answer answer = Answer::kGood;
  absl::Time this_update = absl::InfinitePast();    ///< Default: a day before the CA's `now`.
  absl::Time next_update = absl::InfiniteFuture();  ///< Default: a week after the CA's `now`.
};

/// PEM texts of a leaf with its chain and key.
struct PemPair {
  std::string chain;  ///< Leaf first, then intermediates.
  std::string key;    ///< PKCS#8.
};

/// A certificate authority that exists as long as the object. Ends the program on failure.
class TestPki {
 public:
  /// Makes a root named `name`, valid for ten years around `now`.
  explicit TestPki(absl::Time now, const std::string& name = "Trestle Test CA");
  /// Makes a root as `spec` says.
  TestPki(absl::Time now, const AuthoritySpec& spec);

  /// Makes an intermediate authority below `issuer`. The chains of its leaves include it.
  /// `permitted_dns_name`, if not empty, is the only domain that it may issue for (RFC 5280
  /// 4.2.1.10).
  TestPki(const TestPki& issuer, const std::string& name,
          const std::string& permitted_dns_name = "");
  /// Makes an intermediate authority below `issuer`, as `spec` says.
  TestPki(const TestPki& issuer, const AuthoritySpec& spec);
  ~TestPki();
  TestPki(const TestPki&) = delete;
  TestPki& operator=(const TestPki&) = delete;

  /// Returns the root certificate, also for an intermediate authority.
  const std::string& ca_pem() const { return ca_pem_; }

  /// Returns this authority's own certificate, and those between it and the root.
  std::string chain_pem() const;

  /// Returns a cross-certificate, as PEM text: this authority signs `subject`'s name and key, so
  /// that chains of `subject` lead to this authority too.
  std::string CrossCertify(const TestPki& subject,
                           absl::Time not_after = absl::InfiniteFuture()) const;

  /// Certifies `subject`'s name and key as this authority, with all else as in `spec`. With this
  /// authority as subject: its own certificate, renewed.
  std::string CrossCertify(const TestPki& subject, AuthoritySpec spec) const;

  /// Issues a leaf, signed by this authority unless `self_signed`.
  PemPair Issue(const LeafSpec& leaf) const;

  /// Issues a leaf as a Credential.
  std::shared_ptr<const Credential> IssueCredential(const LeafSpec& leaf) const;

  /// Returns a revocation list, as PEM text, with the first certificate of each of `revoked`. It is
  /// valid from a day before the CA's `now` until `next_update`, by default a week after `now`.
  std::string IssueCrl(const std::vector<PemPair>& revoked,
                       absl::Time next_update = absl::InfiniteFuture()) const;

  /// Returns an OCSP response, in DER, about the first certificate of `leaf`, for stapling.
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
