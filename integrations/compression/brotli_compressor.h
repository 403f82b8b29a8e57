// BrotliCompressor: compresses certificates with brotli, for browsers (RFC 8879).
#ifndef TRESTLE_INTEGRATIONS_COMPRESSION_BROTLI_COMPRESSOR_H_
#define TRESTLE_INTEGRATIONS_COMPRESSION_BROTLI_COMPRESSOR_H_

#include <optional>
#include <string>

#include "trestle/tls/certificate_compressor.h"

namespace trestle {

/// Uses the highest compression level, because it runs once per credential.
class BrotliCompressor final : public CertificateCompressor {
 public:
  CompressionAlgorithm algorithm() const override { return CompressionAlgorithm::kBrotli; }
  std::optional<std::string> Compress(ByteView certificates) const override;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_COMPRESSION_BROTLI_COMPRESSOR_H_
