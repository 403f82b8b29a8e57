// QuicPacket: what a QUIC packet shows without keys (RFC 8999, RFC 9000 17, RFC 9369 3).
#ifndef TRESTLE_WIRE_QUIC_PACKET_H_
#define TRESTLE_WIRE_QUIC_PACKET_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"

namespace trestle {

constexpr uint32_t kQuicV1 = 0x00000001;  ///< RFC 9000.
constexpr uint32_t kQuicV2 = 0x6b3343cf;  ///< RFC 9369.

/// The smallest datagram in which a client may send an Initial packet (RFC 9000 14.1).
constexpr size_t kQuicMinInitialDatagramBytes = 1200;

enum class QuicPacketType : uint8_t {
  kInitial,
  kZeroRtt,
  kHandshake,
  kRetry,               ///< From servers only.
  kVersionNegotiation,  ///< From servers only.
  kUnknownVersion,      ///< A long header of another version than 1 and 2.
  kShortHeader,         ///< 1-RTT of any version, or a datagram that isn't QUIC.
};

/// Returns a type's name in snake_case: "zero_rtt".
absl::string_view EnumName(QuicPacketType type);

/// One packet. All views point into the datagram.
struct QuicPacket {
  QuicPacketType type = QuicPacketType::kShortHeader;
  uint32_t version = 0;  ///< 0 for kVersionNegotiation and kShortHeader.
  /// At most 20 bytes in versions 1 and 2, at most 255 in others. Empty for kShortHeader, because
  /// only the side that chose the connection ID knows its length.
  ByteView destination_id;
  ByteView source_id;
  ByteView token;  ///< Of kInitial and kRetry.
  ByteView bytes;  ///< The whole packet. Where the header has no length, all of the datagram.
  /// Where the protected part begins in `bytes`: the packet number. Only for kInitial, kZeroRtt and
  /// kHandshake.
  size_t number_at = 0;
};

/// Reads the packet at the front of `datagram` into `packet`. The next packet of the datagram
/// begins behind `packet.bytes` (RFC 9000 12.2). Returns false if there is none, or if its header
/// leads out of the datagram; `packet` is then unspecified. The fixed bit is not examined, because
/// it may have any value (RFC 9287).
bool ReadQuicPacket(ByteView datagram, QuicPacket& packet);

}  // namespace trestle

#endif  // TRESTLE_WIRE_QUIC_PACKET_H_
