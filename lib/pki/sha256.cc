#include "trestle/pki/sha256.h"

#include <openssl/sha.h>

namespace trestle {

std::array<uint8_t, 32> Sha256(ByteView bytes) {
  std::array<uint8_t, 32> digest;
  SHA256(bytes.data(), bytes.size(), digest.data());
  return digest;
}

}  // namespace trestle
