// CertificateStore: server name -> credentials, replaceable as a whole while connections are made.
// Threads share it.
#ifndef TRESTLE_TLS_CERTIFICATE_STORE_H_
#define TRESTLE_TLS_CERTIFICATE_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "trestle/tls/credential.h"

namespace trestle {

/// One immutable set of credentials, indexed by name.
class CertificateSet {
 public:
  using Credentials = absl::InlinedVector<std::shared_ptr<const Credential>, 2>;

  /// Chooses the credentials for a normalised server name at `now`: exact names before wildcards
  /// (one label, RFC 9525 6.3), one of each key type, the one that is valid longest, in the order
  /// in which they are to be offered: ECDSA, Ed25519, RSA. What isn't valid at `now` is only there
  /// where nothing valid covers the name. Empty when no credential has that name. Constant work in
  /// the number of names.
  Credentials Choose(absl::string_view server_name, absl::Time now) const;

  /// Chooses the credentials for hellos without a name: those for the first name of the first
  /// credential given.
  Credentials ChooseFallback(absl::Time now) const;

  /// Counts up by one with every `Replace`; 1 is the first set.
  uint64_t generation() const { return generation_; }

  size_t size() const { return all_.size(); }
  const std::vector<std::shared_ptr<const Credential>>& all() const { return all_; }

 private:
  friend class CertificateStore;

  using Names = absl::flat_hash_map<std::string, Credentials>;

  static std::shared_ptr<CertificateSet> Make(
      std::vector<std::shared_ptr<const Credential>> credentials);
  void Add(const std::shared_ptr<const Credential>& credential);
  const Credentials* FindWildcard(absl::string_view server_name) const;
  absl::Status CheckReplacedBy(const CertificateSet& next, absl::Time now) const;

  std::vector<std::shared_ptr<const Credential>> all_;
  // All for a name, also those that are not valid now: each in order of offer, then of validity.
  Names exact_;      // By name.
  Names wildcards_;  // By the name without its "*.".
  uint64_t generation_ = 0;
};

/// Thread-safe.
class CertificateStore {
 public:
  /// Makes a store with its first set; see `Replace` for what is refused.
  static absl::StatusOr<std::shared_ptr<CertificateStore>> Create(
      std::vector<std::shared_ptr<const Credential>> credentials, absl::Time now);

  /// Publishes a new set, all or nothing; on any error the old set stays. Where two credentials of
  /// one key type claim a name, the one that is valid at the time of a handshake wins, then the
  /// later not_after: also once one expires between two calls. Refused with
  /// ErrorCode::kConfiguration: an empty list, and a set in which a name that the current set
  /// serves with a certificate valid at `now` would be left with an expired one only.
  absl::Status Replace(std::vector<std::shared_ptr<const Credential>> credentials, absl::Time now);

  /// The current set. Cheap; hold it no longer than a handshake needs it.
  std::shared_ptr<const CertificateSet> current() const;

 private:
  CertificateStore() = default;

  // Replacements come one after the other. Handshakes, which need `mutex_`, don't wait for them.
  absl::Mutex replace_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  mutable absl::Mutex mutex_;
  std::shared_ptr<const CertificateSet> current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CERTIFICATE_STORE_H_
