// CertificateStore: server name -> credentials, replaceable as a whole while connections are made.
// Threads share it.
#ifndef TRESTLE_TLS_CERTIFICATE_STORE_H_
#define TRESTLE_TLS_CERTIFICATE_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
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
#include "trestle/base/bytes.h"
#include "trestle/tls/credential.h"

namespace trestle {

/// One immutable set of credentials, indexed by name.
class CertificateSet {
 public:
  using Credentials = absl::InlinedVector<std::shared_ptr<const Credential>, 2>;

  /// A name whose new certificate is not valid yet. The previous one serves it until then.
  struct Pending {
    std::string name;  ///< "app.example", "*.app.example" or "192.0.2.1".
    absl::Time from;   ///< The new certificate's notBefore.
  };

  /// A credential that handshakes are shown, and the names that it is shown for.
  struct Shown {
    std::shared_ptr<const Credential> credential;
    std::vector<std::string> names;  ///< As in `Pending`. Empty: for hellos without a name only.
  };

  /// Chooses the credentials for a normalised server name at `now`: exact names before wildcards
  /// (one label, RFC 9525 6.3), one of each key type, the one that is valid longest, in the order
  /// in which they are to be offered: ECDSA, Ed25519, RSA. What isn't valid at `now` is only there
  /// where nothing valid covers the name. Empty when no credential has that name. Constant work in
  /// the number of names.
  Credentials Choose(absl::string_view server_name, absl::Time now) const;

  /// Chooses the credentials for a hello without a name by the address that the client connected
  /// to, in 4 or 16 bytes of network order. Empty when no credential has that address among its
  /// names.
  Credentials ChooseByAddress(ByteView address, absl::Time now) const;

  /// Chooses among the credentials that have neither DNS names nor addresses, such as SPIFFE SVIDs.
  /// Their clients don't verify the server name, so that they serve names that nothing else covers.
  /// Empty when there is no such credential.
  Credentials ChooseNameless(absl::Time now) const;

  /// Chooses the credentials for hellos without a name: those for the first name of the first
  /// credential given.
  Credentials ChooseFallback(absl::Time now) const;

  /// Lists the credentials that handshakes at `now` are shown: for each name and each key type the
  /// one that is valid, else the one that ended last. A credential that another one replaces for
  /// all of its names isn't listed. Work in the number of names.
  std::vector<Shown> ShownAt(absl::Time now) const;

  /// The names that wait for their new certificates to become valid, in no order.
  const std::vector<Pending>& pending() const { return pending_; }

  /// Counts up by one with every `Replace`; 1 is the first set.
  uint64_t generation() const { return generation_; }

  size_t size() const { return all_.size(); }
  const std::vector<std::shared_ptr<const Credential>>& all() const { return all_; }

 private:
  friend class CertificateStore;

  // What credentials are found by. A nameless credential has the one key kNameless.
  enum class KeyKind : unsigned char { kExact, kWildcard, kAddress, kNameless };
  struct Key {
    KeyKind kind;
    std::string text;  // Of a wildcard, what follows the "*.".
  };
  using Names = absl::flat_hash_map<std::string, Credentials>;

  static std::shared_ptr<CertificateSet> Make(
      std::vector<std::shared_ptr<const Credential>> credentials);
  static std::vector<Key> KeysOf(const CertificateInfo& leaf);
  static std::string NameOf(const Key& key);

  Credentials& ListFor(const Key& key);
  const Credentials* FindList(KeyKind kind, absl::string_view text, absl::Time now) const;
  const Credentials* FindCovering(absl::string_view server_name, absl::Time now) const;
  const Credentials* FindWildcard(absl::string_view server_name) const;
  Credentials ChooseFrom(KeyKind kind, absl::string_view text, absl::Time now) const;
  Credentials BestOfEachType(const Key& key, absl::Time now) const;
  bool HoldsOver(absl::Time now) const { return held_over_ != nullptr && now < held_until_; }
  absl::Status TakeOverFrom(const CertificateSet& before, absl::Time now);

  std::vector<std::shared_ptr<const Credential>> all_;
  std::vector<Key> keys_;        // Each once, in the order of `all_`.
  std::optional<Key> fallback_;  // The first of the first credential; none where it has none.
  // All for a name, also those that are not valid now: each in order of offer, then of validity.
  Names exact_;      // By name.
  Names wildcards_;  // By the name without its "*.".
  Names addresses_;  // By the address as text.
  Credentials nameless_;
  // Credentials of the set before, for `pending_` names.
  std::shared_ptr<const CertificateSet> held_over_;
  absl::Time held_until_ = absl::InfinitePast();
  std::vector<Pending> pending_;
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
  /// later not_after: also once one expires between two calls. A name that has a valid certificate
  /// now and a new one that becomes valid later keeps the present one until then: see
  /// `CertificateSet::pending`. Refused with ErrorCode::kConfiguration: an empty list, and a set in
  /// which a name that has a valid certificate now would be left without one, now or in between.
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
