#include "lib/tls/quic/quic_initial_keys.h"

#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace trestle {
namespace {

constexpr uint8_t kReservedBits = 0x0c;  // RFC 9000 17.2.

// RFC 9001 5.2.
constexpr uint8_t kSaltV1[] = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                               0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
// RFC 9369 3.3.1.
constexpr uint8_t kSaltV2[] = {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
                               0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9};

// HKDF-Expand-Label with SHA-256 and an empty context (RFC 8446 7.1).
template <size_t kBytes>
std::array<uint8_t, kBytes> ExpandLabel(ByteView secret, absl::string_view label) {
  const std::string full_label = absl::StrCat("tls13 ", label);
  std::string info;
  for (size_t byte : {size_t{0}, kBytes, full_label.size()}) {
    info.push_back(static_cast<char>(byte));
  }
  absl::StrAppend(&info, full_label, absl::string_view("\0", 1));
  std::array<uint8_t, kBytes> out = {};
  HKDF_expand(out.data(), out.size(), EVP_sha256(), secret.data(), secret.size(),
              AsBytes(info).data(), info.size());
  return out;
}

// Restores a packet number from its low bits (RFC 9000 A.3). `expected` is one more than the
// highest number so far.
uint64_t FullNumber(uint64_t expected, uint64_t low, size_t low_bytes) {
  const uint64_t window = uint64_t{1} << (8 * low_bytes);
  const uint64_t candidate = (expected & ~(window - 1)) | low;
  if (candidate + window / 2 <= expected) return candidate + window;
  if (candidate > expected + window / 2 && candidate >= window) return candidate - window;
  return candidate;
}

}  // namespace

std::array<uint8_t, 12> QuicInitialKeys::NonceOf(uint64_t packet_number) const {
  std::array<uint8_t, 12> nonce = iv;
  for (size_t i = 0; i < 8; ++i) {
    nonce[nonce.size() - 1 - i] ^= static_cast<uint8_t>(packet_number >> (8 * i));
  }
  return nonce;
}

QuicInitialKeys DeriveQuicInitialKeys(uint32_t version, ByteView destination_id,
                                      QuicSender sender) {
  const bool v2 = version == kQuicV2;
  const ByteView salt = v2 ? ByteView(kSaltV2) : ByteView(kSaltV1);
  std::array<uint8_t, 32> initial_secret = {};
  size_t secret_bytes = initial_secret.size();
  HKDF_extract(initial_secret.data(), &secret_bytes, EVP_sha256(), destination_id.data(),
               destination_id.size(), salt.data(), salt.size());
  const auto secret =
      ExpandLabel<32>(initial_secret, sender == QuicSender::kClient ? "client in" : "server in");
  QuicInitialKeys keys;
  keys.key = ExpandLabel<16>(secret, v2 ? "quicv2 key" : "quic key");
  keys.iv = ExpandLabel<12>(secret, v2 ? "quicv2 iv" : "quic iv");
  keys.header_key = ExpandLabel<16>(secret, v2 ? "quicv2 hp" : "quic hp");
  return keys;
}

std::array<uint8_t, 5> QuicHeaderMask(const AES_KEY& header_key, ByteView sample) {
  std::array<uint8_t, AES_BLOCK_SIZE> block;
  AES_encrypt(sample.data(), block.data(), &header_key);
  std::array<uint8_t, 5> mask;
  std::copy_n(block.begin(), mask.size(), mask.begin());
  return mask;
}

QuicInitialOpener::QuicInitialOpener(const QuicInitialKeys& keys) : keys_(keys) {
  AES_set_encrypt_key(keys.header_key.data(), 128, &header_key_);
  EVP_AEAD_CTX_init(aead_.get(), EVP_aead_aes_128_gcm(), keys.key.data(), keys.key.size(),
                    EVP_AEAD_DEFAULT_TAG_LENGTH, nullptr);
}

std::optional<OpenedQuicInitial> QuicInitialOpener::Open(const QuicPacket& packet) {
  const size_t sample_at = packet.number_at + kQuicSampleAt;
  if (packet.bytes.size() < sample_at + kQuicSampleBytes) return std::nullopt;
  const std::array<uint8_t, 5> mask =
      QuicHeaderMask(header_key_, packet.bytes.subspan(sample_at, kQuicSampleBytes));
  const uint8_t first_byte = packet.bytes[0] ^ (mask[0] & 0x0f);
  const size_t number_bytes = (first_byte & 3) + 1;
  // The header without its protection is authenticated.
  std::string header(AsText(packet.bytes.subspan(0, packet.number_at + number_bytes)));
  header[0] = static_cast<char>(first_byte);
  uint64_t low = 0;
  for (size_t i = 0; i < number_bytes; ++i) {
    const uint8_t byte = packet.bytes[packet.number_at + i] ^ mask[1 + i];
    header[packet.number_at + i] = static_cast<char>(byte);
    low = low << 8 | byte;
  }
  OpenedQuicInitial opened;
  opened.number = FullNumber(next_number_, low, number_bytes);
  opened.reserved_bits_zero = (first_byte & kReservedBits) == 0;
  const ByteView sealed = packet.bytes.subspan(header.size());
  opened.payload.resize(sealed.size());
  const std::array<uint8_t, 12> nonce = keys_.NonceOf(opened.number);
  size_t payload_bytes = 0;
  const bool authentic =
      EVP_AEAD_CTX_open(aead_.get(), reinterpret_cast<uint8_t*>(&opened.payload[0]), &payload_bytes,
                        opened.payload.size(), nonce.data(), nonce.size(), sealed.data(),
                        sealed.size(), AsBytes(header).data(), header.size()) == 1;
  ERR_clear_error();
  if (!authentic) return std::nullopt;
  opened.payload.resize(payload_bytes);
  next_number_ = std::max(next_number_, opened.number + 1);
  return opened;
}

}  // namespace trestle
