// ZlibCompressor: compresses certificates with zlib, for clients without brotli (RFC 8879).
#ifndef TRESTLE_INTEGRATIONS_COMPRESSION_ZLIB_COMPRESSOR_H_
#define TRESTLE_INTEGRATIONS_COMPRESSION_ZLIB_COMPRESSOR_H_

#include <optional>
#include <string>

#include "trestle/tls/certificate_compressor.h"

namespace trestle {

/// Uses the highest compression level, because it runs once per credential.
class ZlibCompressor final : public CertificateCompressor {
 public:
  CompressionAlgorithm algorithm() const override { return CompressionAlgorithm::kZlib; }
  std::optional<std::string> Compress(ByteView certificates) const override;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_COMPRESSION_ZLIB_COMPRESSOR_H_
