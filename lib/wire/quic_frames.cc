#include "lib/wire/quic_frames.h"

namespace trestle {
namespace wire_internal {
namespace {

constexpr uint8_t kPadding = 0x00;
constexpr uint8_t kPing = 0x01;
constexpr uint8_t kAck = 0x02;
constexpr uint8_t kAckWithEcn = 0x03;
constexpr uint8_t kCrypto = 0x06;
constexpr uint8_t kConnectionClose = 0x1c;
constexpr uint64_t kMaxVarint = (uint64_t{1} << 62) - 1;

// Reads an ACK frame behind its type (RFC 9000 19.3). No packet number may be negative.
bool SkipAck(ByteCursor& in, bool with_ecn) {
  uint64_t smallest;  // First the largest number of a range, then its smallest.
  uint64_t delay;
  uint64_t ranges;
  uint64_t length;
  if (!in.Varint(smallest) || !in.Varint(delay) || !in.Varint(ranges)) return false;
  if (!in.Varint(length) || length > smallest) return false;
  smallest -= length;
  for (; ranges > 0; --ranges) {
    uint64_t gap;
    if (!in.Varint(gap) || !in.Varint(length) || gap + 2 + length > smallest) return false;
    smallest -= gap + 2 + length;
  }
  uint64_t count;
  for (int counts = with_ecn ? 3 : 0; counts > 0; --counts) {
    if (!in.Varint(count)) return false;
  }
  return true;
}

bool ReadCrypto(ByteCursor& in, QuicCryptoFrame& crypto) {
  return in.Varint(crypto.offset) && in.PrefixedVarint(crypto.data) &&
         crypto.offset <= kMaxVarint - crypto.data.size();
}

}  // namespace

std::optional<QuicHelloFault> ReadQuicFrame(ByteCursor& in, QuicCryptoFrame& crypto) {
  uint8_t type;  // A type has its shortest form (RFC 9000 12.4), which is one byte for those below.
  if (!in.U8(type)) return QuicHelloFault::kMalformedFrame;
  switch (type) {
    case kPadding:
    case kPing:
      return std::nullopt;
    case kAck:
    case kAckWithEcn:
      if (!SkipAck(in, type == kAckWithEcn)) return QuicHelloFault::kMalformedFrame;
      return std::nullopt;
    case kCrypto:
      if (!ReadCrypto(in, crypto)) return QuicHelloFault::kMalformedFrame;
      return std::nullopt;
    case kConnectionClose:
      return QuicHelloFault::kClosed;
    default:
      return QuicHelloFault::kForbiddenFrame;
  }
}

}  // namespace wire_internal
}  // namespace trestle
