#include "integrations/compression/brotli_compressor.h"

#include <brotli/encode.h>

#include <cstdint>

namespace trestle {

std::optional<std::string> BrotliCompressor::Compress(ByteView certificates) const {
  std::string out(BrotliEncoderMaxCompressedSize(certificates.size()), '\0');
  size_t bytes = out.size();
  if (!BrotliEncoderCompress(BROTLI_MAX_QUALITY, BROTLI_DEFAULT_WINDOW, BROTLI_DEFAULT_MODE,
                             certificates.size(), certificates.data(), &bytes,
                             reinterpret_cast<uint8_t*>(&out[0]))) {
    return std::nullopt;
  }
  out.resize(bytes);
  return out;
}

}  // namespace trestle
