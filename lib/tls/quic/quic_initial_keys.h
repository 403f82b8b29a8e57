// Keys of QUIC Initial packets. Any observer of a client's first packet can derive them (RFC 9001
// 5, RFC 9369 3.3).
#ifndef TRESTLE_LIB_TLS_QUIC_QUIC_INITIAL_KEYS_H_
#define TRESTLE_LIB_TLS_QUIC_QUIC_INITIAL_KEYS_H_

#include <openssl/aead.h>
#include <openssl/aes.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "trestle/base/bytes.h"
#include "trestle/wire/quic_packet.h"

namespace trestle {

enum class QuicSender : uint8_t { kClient, kServer };

// The keys of one sender.
struct QuicInitialKeys {
  std::array<uint8_t, 16> key;  // Of AES-128-GCM.
  std::array<uint8_t, 12> iv;
  std::array<uint8_t, 16> header_key;  // Of AES-ECB.

  // Returns the nonce of a packet (RFC 9001 5.3).
  std::array<uint8_t, 12> NonceOf(uint64_t packet_number) const;
};

// Derives the keys from the destination connection ID of a client's first packet. `version` must be
// kQuicV1 or kQuicV2.
QuicInitialKeys DeriveQuicInitialKeys(uint32_t version, ByteView destination_id, QuicSender sender);

// Returns the five bytes that hide the first byte and the packet number (RFC 9001 5.4.3). `sample`
// has 16 bytes.
std::array<uint8_t, 5> QuicHeaderMask(const AES_KEY& header_key, ByteView sample);

// The offset of a sample from the packet number (RFC 9001 5.4.2).
constexpr size_t kQuicSampleAt = 4;
constexpr size_t kQuicSampleBytes = 16;

// A decrypted packet.
struct OpenedQuicInitial {
  uint64_t number = 0;
  bool reserved_bits_zero = true;
  std::string payload;
};

// Decrypts the Initial packets of one sender.
class QuicInitialOpener {
 public:
  explicit QuicInitialOpener(const QuicInitialKeys& keys);

  // Decrypts a packet of type kInitial. Returns none if the packet isn't authentic.
  std::optional<OpenedQuicInitial> Open(const QuicPacket& packet);

 private:
  const QuicInitialKeys keys_;
  AES_KEY header_key_;
  bssl::ScopedEVP_AEAD_CTX aead_;
  uint64_t next_number_ = 0;  // One more than the highest so far.
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_QUIC_QUIC_INITIAL_KEYS_H_
