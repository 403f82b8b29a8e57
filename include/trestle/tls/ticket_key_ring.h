// TicketKeyRing: seals and opens session tickets with keys that change with time. It outlives
// configs, so that a reload costs no session; with keys from outside it outlives restarts, too, and
// a fleet resumes each other's sessions.
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

/// Thread-safe. Tickets are sealed with XChaCha20-Poly1305 under keys derived from the secrets
/// (HKDF-SHA256); a ticket names its key, by 16 bytes that tell nothing of it.
class TicketKeyRing {
 public:
  /// Tells the keys that hold at `now`. Called on the thread and within the handshake that finds
  /// them due, so it must not block.
  using Source = absl::AnyInvocable<absl::StatusOr<std::vector<TicketKey>>(absl::Time now)>;

  /// How much longer a sealed ticket is than what is in it.
  static constexpr size_t kOverheadBytes = 16 + 24 + 16;

  /// Makes a ring with keys of its own, which never leave memory: each seals for `rotate_every` of
  /// the Scheduler's time and opens for as long again.
  static std::shared_ptr<TicketKeyRing> InMemory(absl::Duration rotate_every = absl::Hours(12));

  /// Makes a ring with the keys of a file, a Redis or whatever else; see `Replace`.
  static absl::StatusOr<std::shared_ptr<TicketKeyRing>> FromKeys(
      const std::vector<TicketKey>& keys);

  /// Makes a ring that asks `source` every `refresh_every`. Where that fails the keys from before
  /// go on, and the next refresh asks again. `Create` itself asks first and fails with it.
  static absl::StatusOr<std::shared_ptr<TicketKeyRing>> FromSource(Source source, absl::Time now,
                                                                   absl::Duration refresh_every);

  ~TicketKeyRing();
  TicketKeyRing(const TicketKeyRing&) = delete;
  TicketKeyRing& operator=(const TicketKeyRing&) = delete;

  /// Uses `keys` from now on, all or nothing. Fails with ErrorCode::kConfiguration for no keys,
  /// more than `kMaxTicketKeys`, or one that is there twice. Not for rings with keys of their own.
  absl::Status Replace(const std::vector<TicketKey>& keys);

  /// Counts how often `source` failed.
  uint64_t source_failures() const;

  /// Since when, at `now`, new tickets are sealed with the key that seals them: infinitely long ago
  /// before the first one, and for keys without times.
  absl::Time SealingSince(absl::Time now) const;

  /// Seals `plain` into `out`, which has room for `kOverheadBytes` more; returns the bytes written,
  /// 0 on failure. `plain` may lie at the start of `out`.
  size_t Seal(ByteView plain, MutableByteView out, absl::Time now);

  /// Opens a ticket into `out`, which has room for it; false where no key opens it. Which key it is
  /// takes the same time to find for all.
  bool Open(ByteView ticket, MutableByteView out, size_t& out_bytes, absl::Time now);

 private:
  struct Keys;

  explicit TicketKeyRing(absl::Duration every) : every_(every) {}

  static absl::StatusOr<std::shared_ptr<const Keys>> Derive(const std::vector<TicketKey>& keys);
  std::shared_ptr<const Keys> CurrentAt(absl::Time now);
  bool WasSetBack(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Refresh(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const absl::Duration every_;  // Infinite where keys come by Replace.
  mutable absl::Mutex mutex_;
  Source source_ ABSL_GUARDED_BY(mutex_);               // Null where keys are made here.
  std::vector<TicketKey> own_ ABSL_GUARDED_BY(mutex_);  // Those made here.
  std::shared_ptr<const Keys> current_ ABSL_GUARDED_BY(mutex_);
  absl::Time due_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  uint64_t source_failures_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_TICKET_KEY_RING_H_
