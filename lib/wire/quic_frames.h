// Reads the frames of a client's Initial packet (RFC 9000 19).
#ifndef TRESTLE_LIB_WIRE_QUIC_FRAMES_H_
#define TRESTLE_LIB_WIRE_QUIC_FRAMES_H_

#include <cstdint>
#include <optional>

#include "lib/wire/byte_cursor.h"
#include "trestle/base/bytes.h"
#include "trestle/wire/quic_hello.h"

namespace trestle {
namespace wire_internal {

struct QuicCryptoFrame {
  uint64_t offset = 0;
  ByteView data;  // Empty for other frames.
};

// Reads the frame at the front of `in`, which must not be empty. Fills in `crypto` if it is a
// CRYPTO frame.
std::optional<QuicHelloFault> ReadQuicFrame(ByteCursor& in, QuicCryptoFrame& crypto);

}  // namespace wire_internal
}  // namespace trestle

#endif  // TRESTLE_LIB_WIRE_QUIC_FRAMES_H_
