#include "integrations/compression/zlib_compressor.h"

#include <zlib.h>

namespace trestle {

std::optional<std::string> ZlibCompressor::Compress(ByteView certificates) const {
  uLongf bytes = compressBound(static_cast<uLong>(certificates.size()));
  std::string out(bytes, '\0');
  if (compress2(reinterpret_cast<Bytef*>(&out[0]), &bytes, certificates.data(),
                static_cast<uLong>(certificates.size()), Z_BEST_COMPRESSION) != Z_OK) {
    return std::nullopt;
  }
  out.resize(bytes);
  return out;
}

}  // namespace trestle
