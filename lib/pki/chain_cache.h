// ChainCache: shares one copy of certificates that several chains contain.
#ifndef TRESTLE_LIB_PKI_CHAIN_CACHE_H_
#define TRESTLE_LIB_PKI_CHAIN_CACHE_H_

#include <openssl/base.h>
#include <openssl/pool.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "lib/base/recent_map.h"
#include "trestle/base/bytes.h"
#include "trestle/pki/sha256.h"

namespace trestle {

/// Replaces BoringSSL's CRYPTO_BUFFER_POOL, which must outlive all of its buffers. Usually has one
/// entry per CA. Above `kMaxCertificates`, the least recently used one goes.
class ChainCache {
 public:
  /// Returns the stored buffer with the bytes of `certificate`, or stores `certificate`.
  bssl::UniquePtr<CRYPTO_BUFFER> Share(bssl::UniquePtr<CRYPTO_BUFFER> certificate) {
    const std::array<uint8_t, 32> digest = Sha256(
        ByteView(CRYPTO_BUFFER_data(certificate.get()), CRYPTO_BUFFER_len(certificate.get())));
    const auto [shared, added] = certificates_.UseOrAdd(AsText(digest));
    if (added) *shared = std::move(certificate);
    if (certificates_.size() > kMaxCertificates) certificates_.DropOldest();
    return bssl::UpRef(*shared);
  }

  size_t size() const { return certificates_.size(); }

  static constexpr size_t kMaxCertificates = 1024;

 private:
  RecentMap<bssl::UniquePtr<CRYPTO_BUFFER>> certificates_;  // By SHA-256.
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_CHAIN_CACHE_H_
