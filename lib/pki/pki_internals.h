// PkiInternals: gives the library access to private members of the pki floor's public classes.
#ifndef TRESTLE_LIB_PKI_PKI_INTERNALS_H_
#define TRESTLE_LIB_PKI_PKI_INTERNALS_H_

#include "trestle/pki/trust_store.h"

namespace trestle {

/// A friend of TrustStore, so that its public part names no type of BoringSSL or lib/.
class PkiInternals {
 public:
  /// Returns the certificates and revocation lists. The store keeps its reference.
  static X509_STORE* Native(const TrustStore& trust) { return trust.native(); }

  /// Returns the names of the CAs in DER, each once.
  static const std::vector<CRYPTO_BUFFER*>& CaNames(const TrustStore& trust) {
    return trust.ca_names();
  }

  /// Returns the trust anchors; null where trust domains have their own.
  static const TrustAnchors* Anchors(const TrustStore& trust) { return trust.anchors(); }

  /// Returns those of a trust domain; null if it is unknown.
  static const TrustAnchors* AnchorsOf(const TrustStore& trust, absl::string_view trust_domain) {
    return trust.AnchorsOf(trust_domain);
  }
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_PKI_INTERNALS_H_
