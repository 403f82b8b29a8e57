// CertificateCompressor: makes certificates smaller on their way to a client (RFC 8879). Ready-made
// ones are in integrations/, because the floors link no compression library.
#ifndef TRESTLE_TLS_CERTIFICATE_COMPRESSOR_H_
#define TRESTLE_TLS_CERTIFICATE_COMPRESSOR_H_

#include <cstdint>
#include <optional>
#include <string>

#include "trestle/base/bytes.h"

namespace trestle {

/// The algorithms that RFC 8879 7.3 registers.
enum class CompressionAlgorithm : uint16_t { kZlib = 1, kBrotli = 2, kZstd = 3 };

/// Called on any thread, so it has no state that changes.
class CertificateCompressor {
 public:
  virtual ~CertificateCompressor() = default;

  virtual CompressionAlgorithm algorithm() const = 0;

  /// Compresses `certificates`, a TLS message of some kilobytes. Called once for each that differs,
  /// within a handshake. Nothing means failure, and ends that handshake.
  virtual std::optional<std::string> Compress(ByteView certificates) const = 0;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_CERTIFICATE_COMPRESSOR_H_
