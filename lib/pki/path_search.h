// PathSearch: finds paths from a leaf to trust anchors, the most promising first.
#ifndef TRESTLE_LIB_PKI_PATH_SEARCH_H_
#define TRESTLE_LIB_PKI_PATH_SEARCH_H_

#include <openssl/base.h>
#include <openssl/x509.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "lib/pki/trust_anchors.h"
#include "lib/pki/x509_certificate.h"

namespace trestle {

/// A path by names and key identifiers; no signature is checked yet.
struct PathCandidate {
  std::vector<X509*> certificates;  ///< Leaf first; owned by others.
  bool anchored = false;            ///< Ends at a trust anchor, not at a dead end or limit.
};

class PathSearch {
 public:
  /// The most steps from a certificate to an issuer in one search.
  static constexpr int kMaxSteps = 2000;

  /// The certificates that a search may use.
  enum class Dates : uint8_t { kValid, kAny };

  /// `chain` has a leaf; the order of the others doesn't matter. All arguments must outlive the
  /// search.
  PathSearch(const CertificateChain& chain, const TrustAnchors& anchors, int max_intermediates,
             absl::Time now);
  ~PathSearch();

  /// Calls `visit` with each candidate until it returns true. The order depends on the certificates
  /// only. With Dates::kValid, every certificate is within its dates and every candidate is
  /// anchored.
  void Visit(Dates dates, absl::FunctionRef<bool(const PathCandidate&)> visit);

  /// Returns whether a search reached kMaxSteps.
  bool gave_up() const { return gave_up_; }

 private:
  struct Node;
  struct Walk;

  Node* Add(X509* certificate, bool ends_path);
  const std::vector<Node*>& IssuersOf(Node& node);
  bool Step(Walk& walk);

  const TrustAnchors& anchors_;
  const size_t max_certificates_;
  const absl::Time now_;
  std::vector<Node*> shown_;  // Leaf first.
  absl::flat_hash_map<const X509*, std::unique_ptr<Node>> nodes_;
  bool gave_up_ = false;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_PATH_SEARCH_H_
