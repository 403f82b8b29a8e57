// CertificateStore: maps server names to credentials. All threads share it; `Replace` changes the
// whole set at any time.
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
#include "trestle/wire/pattern_index.h"

namespace trestle {

/// One immutable set of credentials, indexed by name.
class CertificateSet {
 public:
  using Credentials = absl::InlinedVector<std::shared_ptr<const Credential>, 2>;

  /// A name whose new certificate is not valid yet. The previous certificate serves it until then.
  struct Pending {
    std::string name;  ///< "app.example", "*.app.example" or "192.0.2.1".
    absl::Time from;   ///< The new certificate's notBefore.
  };

  /// A credential that handshakes present, and the names that it serves.
  struct Shown {
    std::shared_ptr<const Credential> credential;
    std::vector<std::string> names;  ///< As in `Pending`. Empty: only hellos without a name.
  };

  /// Chooses the credentials for a normalised server name at `now`. Exact names come before
  /// wildcards (one label, RFC 9525 6.3). Returns one of each key type, the one that is valid
  /// longest, in order of offer: ECDSA, Ed25519, RSA. Returns expired or future credentials only if
  /// no valid one covers the name. Empty if no credential has the name. The time does not grow with
  /// the number of names.
  Credentials Choose(absl::string_view server_name, absl::Time now) const;

  /// Chooses the credentials for a hello without a name, by the address that the client connected
  /// to: 4 or 16 bytes in network order. Empty if no credential has that address among its names.
  Credentials ChooseByAddress(ByteView address, absl::Time now) const;

  /// Chooses among the credentials without DNS names and addresses, such as SPIFFE SVIDs. Their
  /// clients don't verify the server name, so they serve names that no other credential covers.
  /// Empty if there is none.
  Credentials ChooseNameless(absl::Time now) const;

  /// Chooses the credentials for hellos without a name: those of the first name of the first
  /// credential.
  Credentials ChooseFallback(absl::Time now) const;

  /// Lists the credentials that handshakes at `now` present. For each name and key type: the valid
  /// one, else the one that expired last. Omits a credential that others replace for all of its
  /// names. Takes time in the number of names.
  std::vector<Shown> ShownAt(absl::Time now) const;

  /// Returns the names that wait for their new certificates to become valid, in no order.
  const std::vector<Pending>& pending() const { return pending_; }

  /// Returns the number of this set: 1 for the first, one more with each `Replace`.
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
  static absl::StatusOr<std::shared_ptr<CertificateSet>> Make(
      std::vector<std::shared_ptr<const Credential>> credentials);
  static std::vector<Key> KeysOf(const CertificateInfo& leaf);
  static std::string NameOf(const Key& key);

  class Builder;

  const Credentials* FindList(KeyKind kind, absl::string_view text, absl::Time now) const;
  const Credentials* FindCovering(absl::string_view server_name, absl::Time now) const;
  Credentials ChooseFrom(KeyKind kind, absl::string_view text, absl::Time now) const;
  Credentials BestOfEachType(const Key& key, absl::Time now) const;
  bool HoldsOver(absl::Time now) const { return held_over_ != nullptr && now < held_until_; }
  absl::Status TakeOverFrom(const CertificateSet& before, absl::Time now);

  std::vector<std::shared_ptr<const Credential>> all_;
  std::vector<Key> keys_;        // Each once, in the order of `all_`.
  std::optional<Key> fallback_;  // The first of the first credential; none where it has none.
  // All for a name, also those that are not valid now: each in order of offer, then of validity.
  std::vector<Credentials> named_;
  PatternIndex by_name_;                                     // Places in named_.
  absl::flat_hash_map<std::string, Credentials> addresses_;  // By the address as text.
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
  /// Makes a store with its first set. Fails as `Replace` does.
  static absl::StatusOr<std::shared_ptr<CertificateStore>> Create(
      std::vector<std::shared_ptr<const Credential>> credentials, absl::Time now);

  /// Publishes a new set: all or nothing. May be called at any time; open connections and tickets
  /// survive. On an error the old set stays.
  ///
  /// Two credentials of one key type may have the same name. At each handshake the one that is
  /// valid wins, then the one with the later not_after. A name with a valid certificate now and a
  /// new one that becomes valid later keeps the present one until then: see
  /// `CertificateSet::pending`.
  ///
  /// Fails with ErrorCode::kConfiguration for an empty list. Also fails if a name with a valid
  /// certificate would have none, now or until its new one becomes valid.
  absl::Status Replace(std::vector<std::shared_ptr<const Credential>> credentials, absl::Time now);

  /// Returns the current set. Cheap; hold it no longer than a handshake needs it.
  std::shared_ptr<const CertificateSet> current() const;

 private:
  friend class TlsReload;

  CertificateStore() = default;

  // The two halves of `Replace`: all checks, then what can't fail.
  absl::StatusOr<std::shared_ptr<CertificateSet>> Prepare(
      std::vector<std::shared_ptr<const Credential>> credentials, absl::Time now) const;
  void Use(std::shared_ptr<CertificateSet> next);

  // Replacements come one after the other. Handshakes, which need `mutex_`, don't wait for them.
  absl::Mutex replace_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  mutable absl::Mutex mutex_;
  std::shared_ptr<const CertificateSet> current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CERTIFICATE_STORE_H_
