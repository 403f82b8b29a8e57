// TicketKeyRing: encrypts and decrypts session tickets with keys that rotate. It outlives configs:
// a reload loses no session. With external keys, sessions survive restarts, and servers resume each
// other's sessions.
#ifndef TRESTLE_TLS_TICKET_KEY_RING_H_
#define TRESTLE_TLS_TICKET_KEY_RING_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "trestle/base/bytes.h"
#include "trestle/tls/ticket_keys.h"

namespace trestle {

/// Thread-safe. Encrypts tickets with XChaCha20-Poly1305 under keys derived from the secrets
/// (HKDF-SHA256). A ticket names its key by 16 bytes that reveal nothing about it.
class TicketKeyRing {
 public:
  /// Returns the keys to use at `now`. Runs within the handshake that finds a refresh due, on its
  /// thread, under the ring's lock. It must not block and must not call the ring.
  using Source = absl::AnyInvocable<absl::StatusOr<std::vector<TicketKey>>(absl::Time now)>;

  /// The bytes that encryption adds to a ticket.
  static constexpr size_t kOverheadBytes = 16 + 24 + 16;

  /// Makes a ring with random keys that stay in memory. Each encrypts for `rotate_every` (at least
  /// one second) of the Scheduler's time, and decrypts for as long again.
  static std::shared_ptr<TicketKeyRing> InMemory(absl::Duration rotate_every = absl::Hours(12));

  /// Makes a ring with external keys, for example from a file or Redis. Fails as `Replace` does.
  static absl::StatusOr<std::shared_ptr<TicketKeyRing>> FromKeys(
      const std::vector<TicketKey>& keys);

  /// Makes a ring that calls `source` every `refresh_every` (at least one second). If a refresh
  /// fails, the earlier keys stay and the next refresh tries again. FromSource itself calls
  /// `source` first and fails with it.
  static absl::StatusOr<std::shared_ptr<TicketKeyRing>> FromSource(Source source, absl::Time now,
                                                                   absl::Duration refresh_every);

  ~TicketKeyRing();
  TicketKeyRing(const TicketKeyRing&) = delete;
  TicketKeyRing& operator=(const TicketKeyRing&) = delete;

  /// Uses `keys` from now on: all or nothing. May be called at any time; open connections survive,
  /// and tickets do while their key stays in the set. Fails with ErrorCode::kConfiguration for no
  /// keys, more than `kMaxTicketKeys`, or a duplicate. Only for rings from `FromKeys`: on other
  /// rings it ends rotation and refreshes.
  absl::Status Replace(const std::vector<TicketKey>& keys);

  /// Counts the failures of `source`.
  uint64_t source_failures() const;

  /// Returns the time since which the active key encrypts new tickets, as of `now`. InfinitePast
  /// before any key is active, and for keys without times.
  absl::Time SealingSince(absl::Time now) const;

  /// Encrypts `plain` into `out`, which has room for `kOverheadBytes` more. Returns the bytes
  /// written; 0 on failure. `plain` may lie at the start of `out`.
  size_t Seal(ByteView plain, MutableByteView out, absl::Time now);

  /// Decrypts a ticket into `out`, which has room for it. Returns false if no key decrypts it.
  /// Finding the key takes the same time for each key.
  bool Open(ByteView ticket, MutableByteView out, size_t& out_bytes, absl::Time now);

 private:
  friend class PreparedReload;
  friend class TlsReload;
  struct Keys;

  explicit TicketKeyRing(absl::Duration every) : every_(every) {}

  static absl::StatusOr<std::shared_ptr<const Keys>> Derive(const std::vector<TicketKey>& keys);
  // The half of `Replace` that can't fail.
  void Use(std::shared_ptr<const Keys> keys);
  std::shared_ptr<const Keys> CurrentAt(absl::Time now);
  bool WasSetBack(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Refresh(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const absl::Duration every_;  // Infinite if keys come by Replace.
  mutable absl::Mutex mutex_;
  Source source_ ABSL_GUARDED_BY(mutex_);               // Null if the ring makes its keys.
  std::vector<TicketKey> own_ ABSL_GUARDED_BY(mutex_);  // Keys that the ring made.
  std::shared_ptr<const Keys> current_ ABSL_GUARDED_BY(mutex_);
  absl::Time due_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  uint64_t source_failures_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_TICKET_KEY_RING_H_
