// ByteCursor: reads the fields of a TLS message or a QUIC packet.
#ifndef TRESTLE_LIB_WIRE_BYTE_CURSOR_H_
#define TRESTLE_LIB_WIRE_BYTE_CURSOR_H_

#include <cstddef>
#include <cstdint>

#include "trestle/base/bytes.h"

namespace trestle {
namespace wire_internal {

// Reads fields from the front of some bytes. Every call returns false if there are too few bytes;
// the cursor is not usable after that.
class ByteCursor {
 public:
  explicit ByteCursor(ByteView bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool empty() const { return at_ == end_; }
  size_t size() const { return static_cast<size_t>(end_ - at_); }

  bool U8(uint8_t& value) {
    if (size() < 1) return false;
    value = *at_++;
    return true;
  }
  bool U16(uint16_t& value) {
    if (size() < 2) return false;
    value = static_cast<uint16_t>(at_[0] << 8 | at_[1]);
    at_ += 2;
    return true;
  }
  bool Bytes(size_t size_wanted, ByteView& bytes) {
    if (size() < size_wanted) return false;
    bytes = ByteView(at_, size_wanted);
    at_ += size_wanted;
    return true;
  }
  // Reads a length of one or two bytes, and as many bytes as it says (RFC 8446 3.4).
  bool Prefixed8(ByteView& bytes) {
    uint8_t length;
    return U8(length) && Bytes(length, bytes);
  }
  bool Prefixed16(ByteView& bytes) {
    uint16_t length;
    return U16(length) && Bytes(length, bytes);
  }
  // Reads an integer of 1, 2, 4 or 8 bytes, as its first two bits say (RFC 9000 16).
  bool Varint(uint64_t& value) {
    ByteView bytes;
    if (empty() || !Bytes(size_t{1} << (*at_ >> 6), bytes)) return false;
    value = bytes[0] & 0x3f;
    for (uint8_t byte : bytes.subspan(1)) value = value << 8 | byte;
    return true;
  }
  bool PrefixedVarint(ByteView& bytes) {
    uint64_t length;
    return Varint(length) && length <= size() && Bytes(static_cast<size_t>(length), bytes);
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

}  // namespace wire_internal
}  // namespace trestle

#endif  // TRESTLE_LIB_WIRE_BYTE_CURSOR_H_
