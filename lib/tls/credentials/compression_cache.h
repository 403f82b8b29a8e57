// CompressionCache: keeps compressed certificates, because BoringSSL compresses anew for each
// handshake.
#ifndef TRESTLE_LIB_TLS_CREDENTIALS_COMPRESSION_CACHE_H_
#define TRESTLE_LIB_TLS_CREDENTIALS_COMPRESSION_CACHE_H_

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/recent_map.h"
#include "trestle/base/bytes.h"
#include "trestle/tls/certificate_compressor.h"

namespace trestle {

/// Thread-safe.
class CompressionCache {
 public:
  /// Maximum number of entries; the least recently used one is dropped.
  static constexpr size_t kMaxEntries = 4096;

  /// Returns `certificates` compressed by `compressor`, from the cache if present; null if it
  /// fails.
  std::shared_ptr<const std::string> Get(const CertificateCompressor& compressor,
                                         ByteView certificates);

  size_t size() const;

 private:
  mutable absl::Mutex mutex_;
  // By algorithm and digest of the message: one credential's message varies with the client's
  // extensions.
  RecentMap<std::shared_ptr<const std::string>> entries_ ABSL_GUARDED_BY(mutex_);
};

/// Makes the connections of `context` compress with their record's ServerTlsConfig. Fails with
/// ErrorCode::kConfiguration for null and for a duplicate or unknown algorithm.
absl::Status InstallCompression(
    SSL_CTX* context, const std::vector<std::shared_ptr<const CertificateCompressor>>& compressors);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_CREDENTIALS_COMPRESSION_CACHE_H_
