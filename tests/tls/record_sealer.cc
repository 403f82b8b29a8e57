#include "tests/tls/record_sealer.h"

#include <openssl/digest.h>
#include <openssl/hkdf.h>
#include <openssl/span.h>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "trestle/base/bytes.h"

namespace trestle::testing {
namespace {

constexpr size_t kKeyBytes = 16;
constexpr size_t kTagBytes = 16;
constexpr size_t kTls12IvBytes = 4;
constexpr size_t kTls13IvBytes = 12;
constexpr char kApplicationData = 23;

std::string BigEndian(uint64_t number, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text.push_back(static_cast<char>(number >> (8 * i)));
  return text;
}

// HKDF-Expand-Label without a context (RFC 8446 7.1).
std::string ExpandLabel(bssl::Span<const uint8_t> secret, absl::string_view label, size_t bytes) {
  const std::string full = absl::StrCat("tls13 ", label);
  const std::string info =
      absl::StrCat(BigEndian(bytes, 2), BigEndian(full.size(), 1), full, BigEndian(0, 1));
  std::string out(bytes, '\0');
  CHECK(HKDF_expand(reinterpret_cast<uint8_t*>(&out[0]), bytes, EVP_sha256(), secret.data(),
                    secret.size(), AsBytes(info).data(), info.size()));
  return out;
}

}  // namespace

RecordSealer::RecordSealer(SSL* ssl)
    : is_tls13_(SSL_version(ssl) == TLS1_3_VERSION), sequence_(SSL_get_write_sequence(ssl)) {
  const absl::string_view cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl));
  CHECK_NE(cipher.find("AES_128_GCM_SHA256"), absl::string_view::npos) << cipher;
  if (is_tls13_) {
    UseTls13Keys(ssl);
  } else {
    UseTls12Keys(ssl);
  }
}

void RecordSealer::UseTls12Keys(SSL* ssl) {
  // Keys of client and server, then their IVs (RFC 5246 6.3); an AEAD has no MAC keys.
  std::string block(2 * (kKeyBytes + kTls12IvBytes), '\0');
  CHECK_EQ(SSL_get_key_block_len(ssl), block.size());
  CHECK(SSL_generate_key_block(ssl, reinterpret_cast<uint8_t*>(&block[0]), block.size()));
  const size_t side = SSL_is_server(ssl) ? 1 : 0;
  const std::string key = block.substr(side * kKeyBytes, kKeyBytes);
  iv_ = block.substr(2 * kKeyBytes + side * kTls12IvBytes, kTls12IvBytes);
  CHECK(EVP_AEAD_CTX_init(aead_.get(), EVP_aead_aes_128_gcm(), AsBytes(key).data(), key.size(),
                          kTagBytes, nullptr));
}

void RecordSealer::UseTls13Keys(const SSL* ssl) {
  bssl::Span<const uint8_t> read_secret;
  bssl::Span<const uint8_t> write_secret;
  CHECK(bssl::SSL_get_traffic_secrets(ssl, &read_secret, &write_secret));
  const std::string key = ExpandLabel(write_secret, "key", kKeyBytes);
  iv_ = ExpandLabel(write_secret, "iv", kTls13IvBytes);
  CHECK(EVP_AEAD_CTX_init(aead_.get(), EVP_aead_aes_128_gcm(), AsBytes(key).data(), key.size(),
                          kTagBytes, nullptr));
}

std::string RecordSealer::Seal(uint8_t type, absl::string_view body) {
  const std::string sequence = BigEndian(sequence_++, 8);
  std::string header(1, is_tls13_ ? kApplicationData : static_cast<char>(type));
  header.append("\x03\x03");
  std::string plaintext(body);
  std::string nonce;
  std::string additional;
  std::string explicit_nonce;
  if (is_tls13_) {
    plaintext.push_back(static_cast<char>(type));
    nonce = iv_;
    for (size_t i = 0; i < 8; ++i) nonce[4 + i] = static_cast<char>(nonce[4 + i] ^ sequence[i]);
    header.append(BigEndian(plaintext.size() + kTagBytes, 2));
    additional = header;
  } else {
    explicit_nonce = sequence;
    nonce = iv_ + explicit_nonce;
    additional = absl::StrCat(sequence, header, BigEndian(plaintext.size(), 2));
    header.append(BigEndian(explicit_nonce.size() + plaintext.size() + kTagBytes, 2));
  }
  std::string sealed(plaintext.size() + kTagBytes, '\0');
  size_t sealed_bytes = 0;
  CHECK(EVP_AEAD_CTX_seal(aead_.get(), reinterpret_cast<uint8_t*>(&sealed[0]), &sealed_bytes,
                          sealed.size(), AsBytes(nonce).data(), nonce.size(),
                          AsBytes(plaintext).data(), plaintext.size(), AsBytes(additional).data(),
                          additional.size()));
  return absl::StrCat(header, explicit_nonce, sealed);
}

}  // namespace trestle::testing
