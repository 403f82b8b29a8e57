// TrustStore: the CAs that peers must chain to, and their revocation lists. Parsed once, shared by
// all names and connections.
#ifndef TRESTLE_PKI_TRUST_STORE_H_
#define TRESTLE_PKI_TRUST_STORE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "trestle/pki/certificate_info.h"

typedef struct crypto_buffer_st CRYPTO_BUFFER;
typedef struct x509_store_st X509_STORE;

namespace trestle {

class TrustAnchors;

/// The CAs of one SPIFFE trust domain: its bundle.
struct TrustDomainCas {
  std::string trust_domain;  ///< "example.org".
  std::string ca_pem;        ///< PEM text, as for TrustStore::Create.
};

/// Trust anchors are the certificates of the CA file that are self-signed, or whose issuer is not
/// in the file. Their order doesn't matter.
///
/// An intermediate or a peer's own certificate may therefore be an anchor. Its dates are checked;
/// its issuer and revocation are not, nor is the purpose of a peer's own certificate. An
/// intermediate beside its root is trusted through the root only.
///
/// Immutable; may be used from several threads. To change one, make another.
class TrustStore {
 public:
  /// Reads CA certificates from PEM text, and revocation lists (RFC 5280 5) unless `crl_pem` is
  /// empty. To read both from one text, pass it twice. Blocks of other kinds are refused with their
  /// line; private keys and parameters are skipped. With revocation lists, each CA of a peer's
  /// chain must have one that is valid now; otherwise the peer is refused. Fails with
  /// ErrorCode::kConfiguration for a text without certificates or lists, and for one that doesn't
  /// parse.
  static absl::StatusOr<std::shared_ptr<const TrustStore>> Create(absl::string_view ca_pem,
                                                                  absl::string_view crl_pem = "");

  /// Makes a store for SPIFFE: each CA vouches for peers of its own trust domain only
  /// (X509-SVID 5). A peer's certificate must have a SPIFFE ID as its only URI, and must not be a
  /// CA's. The bundle of that trust domain verifies it, whatever else is trusted. Fails with
  /// ErrorCode::kConfiguration without any domain, for a name that is no trust domain or comes
  /// twice, and for CAs that `Create` refuses.
  static absl::StatusOr<std::shared_ptr<const TrustStore>> CreateForTrustDomains(
      absl::Span<const TrustDomainCas> domains);

  /// Checks CA certificates as `Create` does, to tell which of several files is at fault.
  static absl::Status CheckCas(absl::string_view ca_pem, bool crls_are_given);

  ~TrustStore();
  TrustStore(const TrustStore&) = delete;
  TrustStore& operator=(const TrustStore&) = delete;

  bool has_crls() const { return has_crls_; }

  /// Returns the moment at which the first revocation list ends. From then on, peers below its CA
  /// are refused. InfiniteFuture without lists, and for lists without an end.
  absl::Time crls_end() const { return crls_end_; }

  /// Describes the CA certificates, each once, in no order.
  std::vector<CertificateInfo> Certificates() const;

  /// The most bytes of CA names in a certificate request, beside its extensions (RFC 8446 4.3.2
  /// limits the message part to 65535 bytes).
  static constexpr size_t kMaxCaNamesBytes = 64'000;

  /// Returns whether a server can send the names of its CAs to clients. If not, it sends an empty
  /// list, and each client chooses its certificate itself.
  bool ca_names_fit() const { return ca_names_bytes_ <= kMaxCaNamesBytes; }

  /// Returns a digest of the CA certificates in any order, and of their trust domains, without the
  /// revocation lists.
  const std::string& digest() const { return digest_; }

 private:
  friend class PkiInternals;

  TrustStore();

  struct Added;
  absl::StatusOr<Added> AddCertificates(absl::string_view ca_pem, bool crls_are_given);
  void AddName(CRYPTO_BUFFER* name);
  absl::Status AddCrls(absl::string_view crl_pem);

  // Returns the certificates and revocation lists.
  X509_STORE* native() const { return native_; }

  // Returns the names of the CAs in DER, each once.
  const std::vector<CRYPTO_BUFFER*>& ca_names() const { return ca_names_; }

  // Null where trust domains have their own.
  const TrustAnchors* anchors() const { return anchors_.get(); }

  // Returns null for a trust domain that is unknown here.
  const TrustAnchors* AnchorsOf(absl::string_view trust_domain) const;

  X509_STORE* const native_;
  std::unique_ptr<const TrustAnchors> anchors_;  // Null with trust domains.
  std::map<std::string, std::unique_ptr<const TrustAnchors>> anchors_by_domain_;
  std::vector<CRYPTO_BUFFER*> ca_names_;
  size_t ca_names_bytes_ = 0;
  std::string digest_;
  bool has_crls_ = false;
  absl::Time crls_end_ = absl::InfiniteFuture();
};

}  // namespace trestle

#endif  // TRESTLE_PKI_TRUST_STORE_H_
