// TrustAnchors: the certificates of a CA file by subject, and which of them are anchors.
#ifndef TRESTLE_LIB_PKI_TRUST_ANCHORS_H_
#define TRESTLE_LIB_PKI_TRUST_ANCHORS_H_

#include <openssl/base.h>
#include <openssl/x509.h>

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "lib/pki/x509_certificate.h"

namespace trestle {

/// Returns whether `certificate` claims to be self-signed.
bool IsSelfSigned(const X509* certificate);

/// Immutable; may be used from several threads.
class TrustAnchors {
 public:
  struct Entry {
    bssl::UniquePtr<X509> certificate;
    /// Trusted by itself. False: an intermediate whose issuer is in the file.
    bool ends_path = true;
  };

  /// Takes the certificates of a CA file, in any order; drops duplicates. Anchors are self-signed,
  /// or their issuer isn't in the file.
  explicit TrustAnchors(CertificateChain certificates);

  /// Returns all with the subject `name`, and possibly a few others.
  absl::Span<const Entry> WithSubject(const X509_NAME* name) const;

  /// Returns the entry of `certificate`, or null.
  const Entry* Find(const X509* certificate) const;

 private:
  void FindAnchors();

  absl::flat_hash_map<uint32_t, std::vector<Entry>> by_subject_;  // By X509_NAME_hash.
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_TRUST_ANCHORS_H_
