// CertificateCompressor: compresses certificates for clients (RFC 8879). integrations/ has
// implementations: this layer links no compression library.
#ifndef TRESTLE_TLS_CERTIFICATE_COMPRESSOR_H_
#define TRESTLE_TLS_CERTIFICATE_COMPRESSOR_H_

#include <cstdint>
#include <optional>
#include <string>

#include "trestle/base/bytes.h"

namespace trestle {

/// The algorithms that RFC 8879 7.3 registers.
enum class CompressionAlgorithm : uint16_t { kZlib = 1, kBrotli = 2, kZstd = 3 };

/// An implementation must be thread-safe: any thread may call it, several at once.
class CertificateCompressor {
 public:
  virtual ~CertificateCompressor() = default;

  virtual CompressionAlgorithm algorithm() const = 0;

  /// Compresses `certificates`, a TLS message of some kilobytes. Runs within a handshake; the
  /// result is cached for the same message. An empty optional means failure and ends that
  /// handshake.
  virtual std::optional<std::string> Compress(ByteView certificates) const = 0;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CERTIFICATE_COMPRESSOR_H_
