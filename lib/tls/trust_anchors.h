// TrustAnchors: the certificates of a CA file by their subjects, and which of them end a path.
#ifndef TRESTLE_LIB_TLS_TRUST_ANCHORS_H_
#define TRESTLE_LIB_TLS_TRUST_ANCHORS_H_

#include <openssl/base.h>
#include <openssl/x509.h>

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "lib/tls/certificate_info.h"

namespace trestle {

/// Whether `certificate` says that its own key signed it.
bool IsSelfSigned(const X509* certificate);

/// Immutable; may be used from several threads.
class TrustAnchors {
 public:
  struct Entry {
    bssl::UniquePtr<X509> certificate;
    /// Trusted for itself. Without: an intermediate that others of the file lead on from.
    bool ends_path = true;
  };

  /// Takes the certificates of a CA file, in any order. Of equal ones, one counts. Self-signed ones
  /// end a path, and so do those whose issuer isn't in the file.
  explicit TrustAnchors(CertificateChain certificates);

  /// Returns all with the subject `name`; a few others may be among them.
  absl::Span<const Entry> WithSubject(const X509_NAME* name) const;

  /// Returns the entry of exactly `certificate`; null where there is none.
  const Entry* Find(const X509* certificate) const;

 private:
  void FindAnchors();

  absl::flat_hash_map<uint32_t, std::vector<Entry>> by_subject_;  // By X509_NAME_hash.
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_TRUST_ANCHORS_H_
