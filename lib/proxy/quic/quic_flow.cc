#include "lib/proxy/quic/quic_flow.h"

#include <algorithm>
#include <cstring>

#include "absl/hash/hash.h"

namespace trestle {
namespace {

constexpr size_t kPortAt = 17;

// The bytes of a short header from which a connection ID begins.
constexpr size_t kShortIdAt = 1;

bool ShortHeaderHas(const QuicPacket& packet, ByteView id) {
  return packet.bytes.size() >= kShortIdAt + id.size() &&
         packet.bytes.subspan(kShortIdAt, id.size()) == id;
}

}  // namespace

CompactEndpoint::CompactEndpoint(const Endpoint& endpoint) {
  const ByteView address = endpoint.address();
  bytes_[0] = static_cast<uint8_t>(address.size());
  std::copy(address.begin(), address.end(), bytes_.begin() + 1);
  bytes_[kPortAt] = static_cast<uint8_t>(endpoint.port() >> 8);
  bytes_[kPortAt + 1] = static_cast<uint8_t>(endpoint.port());
}

Endpoint CompactEndpoint::ToEndpoint() const {
  if (bytes_[0] == 0) return Endpoint();
  return Endpoint(ByteView(bytes_.data() + 1, bytes_[0]),
                  static_cast<uint16_t>(bytes_[kPortAt] << 8 | bytes_[kPortAt + 1]));
}

void QuicBackendId::Set(ByteView id) {
  size_ = static_cast<uint8_t>(id.size());
  std::copy(id.begin(), id.end(), bytes_.begin());
}

uint64_t QuicIdNumber(ByteView id) { return absl::HashOf(AsText(id)); }

bool QuicFlow::Owns(const QuicPacket& packet) const {
  if (packet.type == QuicPacketType::kShortHeader) {
    const ByteView id = backend_id.bytes();
    return !id.empty() && ShortHeaderHas(packet, id);
  }
  if (QuicIdNumber(packet.source_id) != client_id) return false;
  // A client that begins anew from the same port has another ID for the server.
  const bool begins =
      packet.type == QuicPacketType::kInitial || packet.type == QuicPacketType::kZeroRtt;
  if (!begins) return true;
  if (backend_id.known() && packet.destination_id == backend_id.bytes()) return true;
  const uint64_t number = QuicIdNumber(packet.destination_id);
  return number == first_id || (retry_id != 0 && number == retry_id);
}

bool QuicFlow::IsProof(const QuicPacket& packet) const {
  const bool is_short = packet.type == QuicPacketType::kShortHeader;
  if (!is_short && retry_id != 0 && QuicIdNumber(packet.destination_id) == retry_id) return true;
  if (!backend_id.known()) return false;
  const ByteView id = backend_id.bytes();
  if (id.empty()) return is_short || packet.type == QuicPacketType::kHandshake;
  return is_short ? ShortHeaderHas(packet, id) : packet.destination_id == id;
}

}  // namespace trestle
