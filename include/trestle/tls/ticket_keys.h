// Secrets that encrypt session tickets, as values: create, format, parse and rotate them.
// ticket_key_ring.h uses them.
#ifndef TRESTLE_TLS_TICKET_KEYS_H_
#define TRESTLE_TLS_TICKET_KEYS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/base/bytes.h"

namespace trestle {

/// One secret. The destructor wipes its bytes.
class TicketKey {
 public:
  static constexpr size_t kMinBytes = 32;
  static constexpr size_t kMaxBytes = 96;

  /// Makes a key of random bytes.
  static TicketKey Random(absl::Time seal_from);

  /// Copies `secret`. Fails with ErrorCode::kConfiguration for a length out of bounds, and for the
  /// same byte repeated, which is no secret (CVE-2020-13777).
  static absl::StatusOr<TicketKey> Create(ByteView secret, absl::Time seal_from);

  TicketKey(const TicketKey& other) = default;
  TicketKey& operator=(const TicketKey& other) = default;
  ~TicketKey();

  ByteView secret() const { return ByteView(secret_.data(), bytes_); }

  /// Returns the time from which the key encrypts new tickets, until a later key's time. The key
  /// decrypts tickets as long as it is in the set, also before that time: other machines' clocks
  /// may be ahead.
  absl::Time seal_from() const { return seal_from_; }

 private:
  TicketKey(ByteView secret, absl::Time seal_from);

  std::array<uint8_t, kMaxBytes> secret_ = {};
  size_t bytes_;
  absl::Time seal_from_;
};

/// The most keys in a set.
inline constexpr size_t kMaxTicketKeys = 16;

/// Reads one key a line: base64, and the time from which it encrypts (RFC 3339), as
/// FormatTicketKeys writes it:
///     O8WqYcr2TnK0Lx…  2026-11-23T08:00:00Z
/// Either all lines have a time or none. Without times the keys are in order of age, oldest first.
/// The newest is distributed ahead of its use: the last but one encrypts, or a single key. `openssl
/// rand -base64 48` makes a secret. Empty lines and lines that begin with "#" are ignored. Fails
/// with ErrorCode::kConfiguration and the line number, never the line's content; also for a key
/// that is listed twice.
absl::StatusOr<std::vector<TicketKey>> ParseTicketKeys(absl::string_view text);

/// Formats keys for ParseTicketKeys, with their times. The text is as secret as the keys.
std::string FormatTicketKeys(const std::vector<TicketKey>& keys);

/// Returns the set that follows `keys` (empty at first) at `now`, if each key encrypts for `every`.
/// The set has the active key and the next one, for machines whose clocks are ahead or that read
/// late. Each retired key stays for as long again as it last encrypted. Equal to `keys` while no
/// change is due. In a fleet one machine rotates; the others read.
std::vector<TicketKey> RotateTicketKeys(std::vector<TicketKey> keys, absl::Time now,
                                        absl::Duration every);

}  // namespace trestle

#endif  // TRESTLE_TLS_TICKET_KEYS_H_
