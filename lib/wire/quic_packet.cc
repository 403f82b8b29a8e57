#include "trestle/wire/quic_packet.h"

#include "lib/wire/byte_cursor.h"

namespace trestle {
namespace {

using wire_internal::ByteCursor;

constexpr uint8_t kLongForm = 0x80;
constexpr size_t kMaxIdBytes = 20;         // RFC 9000 17.2.
constexpr size_t kIntegrityTagBytes = 16;  // Of a Retry packet: RFC 9000 17.2.5.

// RFC 9000 17.2, table 5; version 2 adds one (RFC 9369 3.2).
QuicPacketType LongType(uint8_t first_byte, uint32_t version) {
  constexpr QuicPacketType kTypes[] = {QuicPacketType::kInitial, QuicPacketType::kZeroRtt,
                                       QuicPacketType::kHandshake, QuicPacketType::kRetry};
  const unsigned shift = version == kQuicV2 ? 3 : 0;
  return kTypes[((first_byte >> 4) + shift) & 3];
}

bool ReadVersion(ByteCursor& in, uint32_t& version) {
  uint16_t high;
  uint16_t low;
  if (!in.U16(high) || !in.U16(low)) return false;
  version = uint32_t{high} << 16 | low;
  return true;
}

// Reads what follows the connection IDs in the long header of a known version.
bool ReadLongHeader(ByteView datagram, ByteCursor& in, QuicPacket& packet) {
  if (packet.destination_id.size() > kMaxIdBytes || packet.source_id.size() > kMaxIdBytes) {
    return false;
  }
  packet.type = LongType(datagram[0], packet.version);
  if (packet.type == QuicPacketType::kRetry) {
    return in.size() >= kIntegrityTagBytes &&
           in.Bytes(in.size() - kIntegrityTagBytes, packet.token);
  }
  if (packet.type == QuicPacketType::kInitial && !in.PrefixedVarint(packet.token)) return false;
  ByteView protected_part;
  if (!in.PrefixedVarint(protected_part)) return false;
  packet.number_at = static_cast<size_t>(protected_part.data() - datagram.data());
  packet.bytes = datagram.subspan(0, packet.number_at + protected_part.size());
  return true;
}

}  // namespace

absl::string_view EnumName(QuicPacketType type) {
  switch (type) {
    case QuicPacketType::kInitial:
      return "initial";
    case QuicPacketType::kZeroRtt:
      return "zero_rtt";
    case QuicPacketType::kHandshake:
      return "handshake";
    case QuicPacketType::kRetry:
      return "retry";
    case QuicPacketType::kVersionNegotiation:
      return "version_negotiation";
    case QuicPacketType::kUnknownVersion:
      return "unknown_version";
    case QuicPacketType::kShortHeader:
      return "short_header";
  }
  return "unknown";
}

bool ReadQuicPacket(ByteView datagram, QuicPacket& packet) {
  packet = QuicPacket();
  packet.bytes = datagram;
  ByteCursor in(datagram);
  uint8_t first_byte;
  if (!in.U8(first_byte)) return false;
  if ((first_byte & kLongForm) == 0) return true;
  if (!ReadVersion(in, packet.version) || !in.Prefixed8(packet.destination_id) ||
      !in.Prefixed8(packet.source_id)) {
    return false;
  }
  if (packet.version == kQuicV1 || packet.version == kQuicV2) {
    return ReadLongHeader(datagram, in, packet);
  }
  packet.type =
      packet.version == 0 ? QuicPacketType::kVersionNegotiation : QuicPacketType::kUnknownVersion;
  return true;
}

}  // namespace trestle
