// Secrets that session tickets are sealed with, as values: made, written down for a fleet, read
// back, and rotated. ticket_key_ring.h puts them to use.
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

/// One secret. Its bytes are wiped when it goes.
class TicketKey {
 public:
  static constexpr size_t kMinBytes = 32;
  static constexpr size_t kMaxBytes = 96;

  /// Makes a key of random bytes.
  static TicketKey Random(absl::Time seal_from);

  /// Takes over `secret`. Fails with ErrorCode::kConfiguration for a length out of bounds, and for
  /// what is no secret: the same byte all over (CVE-2020-13777).
  static absl::StatusOr<TicketKey> Create(ByteView secret, absl::Time seal_from);

  TicketKey(const TicketKey& other) = default;
  TicketKey& operator=(const TicketKey& other) = default;
  ~TicketKey();

  ByteView secret() const { return ByteView(secret_.data(), bytes_); }

  /// From when on new tickets are made with it, until a later key's time comes. It opens tickets as
  /// long as it is there, before that time too: other machines' clocks may be ahead.
  absl::Time seal_from() const { return seal_from_; }

 private:
  TicketKey(ByteView secret, absl::Time seal_from);

  std::array<uint8_t, kMaxBytes> secret_ = {};
  size_t bytes_;
  absl::Time seal_from_;
};

/// The most keys that a set may have.
inline constexpr size_t kMaxTicketKeys = 16;

/// Reads one key a line: base64, and from when it seals (RFC 3339), as FormatTicketKeys writes it:
///     O8WqYcr2TnK0Lx…  2026-11-23T08:00:00Z
/// Either all lines have a time or none. Without times the keys are in order of age, and one is
/// ahead of its use: a lone key seals, else the last but one. `openssl rand -base64 48` makes a
/// secret. Empty lines and those that begin with "#" don't count. Fails with
/// ErrorCode::kConfiguration, naming the line and never its content.
absl::StatusOr<std::vector<TicketKey>> ParseTicketKeys(absl::string_view text);

/// Writes keys for ParseTicketKeys, with their times. The text is as secret as they are.
std::string FormatTicketKeys(const std::vector<TicketKey>& keys);

/// What follows after `keys` (none to begin with) at `now`, where each is to seal for `every`: one
/// that seals, the next one already there for machines whose clocks are ahead or that read late,
/// and each old one for as long again as it last sealed. Equal to `keys` while nothing is due. Of a
/// fleet one machine rotates, and the others read.
std::vector<TicketKey> RotateTicketKeys(std::vector<TicketKey> keys, absl::Time now,
                                        absl::Duration every);

}  // namespace trestle

#endif  // TRESTLE_TLS_TICKET_KEYS_H_
