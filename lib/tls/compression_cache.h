// CompressionCache: what certificates were compressed to. BoringSSL would ask anew each handshake.
#ifndef TRESTLE_LIB_TLS_COMPRESSION_CACHE_H_
#define TRESTLE_LIB_TLS_COMPRESSION_CACHE_H_

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "trestle/base/bytes.h"
#include "trestle/tls/certificate_compressor.h"

namespace trestle {

/// Thread-safe.
class CompressionCache {
 public:
  /// More credentials than so many take turns.
  static constexpr size_t kMaxEntries = 4096;

  /// What `compressor` makes of `certificates`; null where it fails.
  std::shared_ptr<const std::string> Get(const CertificateCompressor& compressor,
                                         ByteView certificates);

  size_t size() const;

 private:
  mutable absl::Mutex mutex_;
  // By algorithm and digest: a credential's message differs with what the client asked for.
  absl::flat_hash_map<std::string, std::shared_ptr<const std::string>> entries_
      ABSL_GUARDED_BY(mutex_);
};

/// Makes the connections of `context` compress by their record's ServerTlsConfig. Fails with
/// ErrorCode::kConfiguration for null and for an algorithm that is there twice or unknown.
absl::Status InstallCompression(
    SSL_CTX* context, const std::vector<std::shared_ptr<const CertificateCompressor>>& compressors);

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_COMPRESSION_CACHE_H_
