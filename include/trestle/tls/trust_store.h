// TrustStore: the CAs that peers must chain to, and their revocation lists: parsed once, shared by
// all who trust them, however many names and connections that are.
#ifndef TRESTLE_TLS_TRUST_STORE_H_
#define TRESTLE_TLS_TRUST_STORE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

typedef struct crypto_buffer_st CRYPTO_BUFFER;
typedef struct x509_store_st X509_STORE;

namespace trestle {

class TrustAnchors;

/// Which certificates of the CA file end a path: those that are self-signed, and those whose issuer
/// isn't in the file. So an intermediate, or the peer's own certificate, may stand there alone and
/// is trusted for itself: its dates are checked, its own issuer and its revocation aren't, and of a
/// peer's own certificate neither is its purpose. An intermediate beside its root is trusted
/// because of the root only. The order of the file doesn't matter.
///
/// Immutable; may be used from several threads. To change one, make another.
class TrustStore {
 public:
  /// Reads CA certificates, and revocation lists (RFC 5280 5) unless `crl_pem` is empty, from PEM
  /// text. Both may be in one text, which is then given twice. Blocks of other kinds are refused,
  /// with their line; private keys and parameters are passed over. Where there are revocation
  /// lists, each CA of a peer's chain must have one that is valid at the time: without one, nobody
  /// knows who was revoked. Fails with ErrorCode::kConfiguration when there is nothing to read, or
  /// something that doesn't parse.
  static absl::StatusOr<std::shared_ptr<const TrustStore>> Create(absl::string_view ca_pem,
                                                                  absl::string_view crl_pem = "");

  ~TrustStore();
  TrustStore(const TrustStore&) = delete;
  TrustStore& operator=(const TrustStore&) = delete;

  bool has_crls() const { return has_crls_; }

  /// The most bytes of CA names that a certificate request has room for, beside the extensions that
  /// it also has (RFC 8446 4.3.2 bounds all of them to 65535 bytes).
  static constexpr size_t kMaxCaNamesBytes = 64'000;

  /// Tells whether a server can tell clients the names of its CAs. If not, it sends an empty list,
  /// and each client chooses its certificate by itself.
  bool ca_names_fit() const { return ca_names_bytes_ <= kMaxCaNamesBytes; }

  /// A digest of the CA certificates, whatever their order. Revocation lists don't count.
  const std::string& digest() const { return digest_; }

  /// The BoringSSL objects, for the tls floor: certificates with CRLs; the CAs' names as DER.
  X509_STORE* native() const { return native_; }
  const std::vector<CRYPTO_BUFFER*>& ca_names() const { return ca_names_; }
  const TrustAnchors& anchors() const { return *anchors_; }

 private:
  TrustStore();

  absl::Status AddCertificates(absl::string_view ca_pem, bool crls_are_given);
  void AddName(CRYPTO_BUFFER* name);
  absl::Status AddCrls(absl::string_view crl_pem);

  X509_STORE* const native_;
  std::unique_ptr<const TrustAnchors> anchors_;
  std::vector<CRYPTO_BUFFER*> ca_names_;
  size_t ca_names_bytes_ = 0;
  std::string digest_;
  bool has_crls_ = false;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_TRUST_STORE_H_
