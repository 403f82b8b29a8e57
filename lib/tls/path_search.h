// PathSearch: the ways from a leaf to certificates that are trusted, the most promising first.
#ifndef TRESTLE_LIB_TLS_PATH_SEARCH_H_
#define TRESTLE_LIB_TLS_PATH_SEARCH_H_

#include <openssl/base.h>
#include <openssl/x509.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "lib/tls/certificate_info.h"
#include "lib/tls/trust_anchors.h"

namespace trestle {

/// One way up, by names and key identifiers: no signature was checked.
struct PathCandidate {
  std::vector<X509*> certificates;  ///< Leaf first; owned by others.
  bool anchored = false;  ///< Ends at a trust anchor; else where nothing leads on, or too far up.
};

class PathSearch {
 public:
  /// Steps from a certificate to an issuer, before a search is given up.
  static constexpr int kMaxSteps = 2000;

  /// What a search may use.
  enum class Dates : uint8_t { kValid, kAny };

  /// `chain` has a leaf; the order of what follows doesn't matter. All arguments outlive this.
  PathSearch(const CertificateChain& chain, const TrustAnchors& anchors, int max_intermediates,
             absl::Time now);
  ~PathSearch();

  /// Calls `visit` with each candidate, in an order that depends on the certificates alone, until
  /// it returns true. With Dates::kValid, candidates have certificates that are within their dates
  /// only, and all of them are anchored.
  void Visit(Dates dates, absl::FunctionRef<bool(const PathCandidate&)> visit);

  /// Whether a search came to kMaxSteps.
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
  std::vector<Node*> shown_;  // The leaf first.
  absl::flat_hash_map<const X509*, std::unique_ptr<Node>> nodes_;
  bool gave_up_ = false;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_PATH_SEARCH_H_
