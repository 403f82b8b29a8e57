#include "lib/pki/path_search.h"

#include <openssl/asn1.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstddef>
#include <tuple>

#include "absl/algorithm/container.h"

namespace trestle {
namespace {

absl::Time ReadTime(const ASN1_TIME* time, absl::Time if_unreadable) {
  int64_t seconds = 0;
  if (!ASN1_TIME_to_posix(time, &seconds)) return if_unreadable;
  return absl::FromUnixSeconds(seconds);
}

// Returns whether both are one authority: a path with both could be shorter.
bool IsSameEntity(const X509* a, const X509* b) {
  if (X509_NAME_cmp(X509_get_subject_name(a), X509_get_subject_name(b)) != 0) return false;
  const EVP_PKEY* const key_a = X509_get0_pubkey(a);
  const EVP_PKEY* const key_b = X509_get0_pubkey(b);
  return key_a != nullptr && key_b != nullptr && EVP_PKEY_eq(key_a, key_b) == 1;
}

// Returns whether `subject` names the key of `issuer` by identifier, which X509_check_issued does
// not require.
bool NamesKeyOf(X509* issuer, X509* subject) {
  const ASN1_OCTET_STRING* const wanted = X509_get0_authority_key_id(subject);
  const ASN1_OCTET_STRING* const there = X509_get0_subject_key_id(issuer);
  return wanted != nullptr && there != nullptr && ASN1_OCTET_STRING_cmp(wanted, there) == 0;
}

}  // namespace

struct PathSearch::Node {
  X509* certificate = nullptr;
  bool ends_path = false;
  bool in_dates = false;
  absl::Time not_after;
  bool linked = false;
  std::vector<Node*> issuers;  // Valid if `linked`: most promising first.
};

struct PathSearch::Walk {
  Dates dates;
  absl::FunctionRef<bool(const PathCandidate&)> visit;
  int steps = 0;
  std::vector<Node*> path = {};
};

PathSearch::PathSearch(const CertificateChain& chain, const TrustAnchors& anchors,
                       int max_intermediates, absl::Time now)
    : anchors_(anchors),
      max_certificates_(static_cast<size_t>(max_intermediates) + 2),
      now_(absl::FromUnixSeconds(absl::ToUnixSeconds(now))) {
  for (const bssl::UniquePtr<X509>& certificate : chain) {
    const TrustAnchors::Entry* const trusted = anchors_.Find(certificate.get());
    const bool known = absl::c_any_of(shown_, [&](const Node* other) {
      return X509_cmp(other->certificate, certificate.get()) == 0;
    });
    if (known) continue;
    shown_.push_back(trusted == nullptr ? Add(certificate.get(), /*ends_path=*/false)
                                        : Add(trusted->certificate.get(), trusted->ends_path));
  }
}

PathSearch::~PathSearch() = default;

PathSearch::Node* PathSearch::Add(X509* certificate, bool ends_path) {
  std::unique_ptr<Node>& node = nodes_[certificate];
  if (node != nullptr) return node.get();
  node = std::make_unique<Node>();
  node->certificate = certificate;
  node->ends_path = ends_path;
  node->not_after = ReadTime(X509_get0_notAfter(certificate), absl::InfinitePast());
  node->in_dates = ReadTime(X509_get0_notBefore(certificate), absl::InfiniteFuture()) <= now_ &&
                   now_ < node->not_after;
  return node.get();
}

const std::vector<PathSearch::Node*>& PathSearch::IssuersOf(Node& node) {
  if (node.linked) return node.issuers;
  node.linked = true;
  if (IsSelfSigned(node.certificate)) return node.issuers;
  std::vector<Node*> candidates(shown_.begin() + 1, shown_.end());
  for (const TrustAnchors::Entry& entry :
       anchors_.WithSubject(X509_get_issuer_name(node.certificate))) {
    X509* const certificate = entry.certificate.get();
    // A leaf that is an anchor is trusted by itself; its key may not issue others.
    if (entry.ends_path && !IsSelfSigned(certificate) && X509_check_ca(certificate) != 1) continue;
    Node* const trusted = Add(certificate, entry.ends_path);
    if (!absl::c_linear_search(candidates, trusted)) candidates.push_back(trusted);
  }
  for (Node* candidate : candidates) {
    if (candidate != &node &&
        X509_check_issued(candidate->certificate, node.certificate) == X509_V_OK) {
      node.issuers.push_back(candidate);
    }
  }
  absl::c_sort(node.issuers, [&node](const Node* a, const Node* b) {
    const auto rank = [&node](const Node* issuer) {
      return std::make_tuple(!issuer->in_dates, !issuer->ends_path,
                             !NamesKeyOf(issuer->certificate, node.certificate),
                             absl::InfiniteFuture() - issuer->not_after);
    };
    const auto rank_a = rank(a);
    const auto rank_b = rank(b);
    return rank_a != rank_b ? rank_a < rank_b : X509_cmp(a->certificate, b->certificate) < 0;
  });
  return node.issuers;
}

void PathSearch::Visit(Dates dates, absl::FunctionRef<bool(const PathCandidate&)> visit) {
  Node* const leaf = shown_.front();
  if (dates == Dates::kValid && !leaf->in_dates) return;
  Walk walk{dates, visit};
  walk.path.push_back(leaf);
  Step(walk);
}

// Returns true to end the walk.
bool PathSearch::Step(Walk& walk) {
  if (++walk.steps > kMaxSteps) {
    gave_up_ = true;
    return true;
  }
  Node& last = *walk.path.back();
  bool led_on = false;
  if (!last.ends_path && walk.path.size() < max_certificates_) {
    for (Node* issuer : IssuersOf(last)) {
      if (walk.dates == Dates::kValid && !issuer->in_dates) continue;
      if (absl::c_any_of(walk.path, [issuer](const Node* below) {
            return below == issuer || IsSameEntity(below->certificate, issuer->certificate);
          })) {
        continue;
      }
      led_on = true;
      walk.path.push_back(issuer);
      const bool stop = Step(walk);
      walk.path.pop_back();
      if (stop) return true;
    }
  }
  if (led_on || (!last.ends_path && walk.dates == Dates::kValid)) return false;
  PathCandidate candidate;
  candidate.anchored = last.ends_path;
  for (const Node* node : walk.path) candidate.certificates.push_back(node->certificate);
  return walk.visit(candidate);
}

}  // namespace trestle
