// ChainCache: shares one copy of certificates that several chains contain.
#ifndef TRESTLE_LIB_PKI_CHAIN_CACHE_H_
#define TRESTLE_LIB_PKI_CHAIN_CACHE_H_

#include <openssl/base.h>
#include <openssl/pool.h>

#include <cstddef>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace trestle {

/// Replaces BoringSSL's CRYPTO_BUFFER_POOL, which must outlive all of its buffers.
class ChainCache {
 public:
  /// Returns the stored buffer with the bytes of `certificate`, or stores `certificate`.
  bssl::UniquePtr<CRYPTO_BUFFER> Share(bssl::UniquePtr<CRYPTO_BUFFER> certificate) {
    // Usually one entry per CA. The limit bounds chains that all differ.
    if (certificates_.size() >= kMaxCertificates) certificates_.clear();
    const absl::string_view der(
        reinterpret_cast<const char*>(CRYPTO_BUFFER_data(certificate.get())),
        CRYPTO_BUFFER_len(certificate.get()));
    return bssl::UpRef(certificates_.try_emplace(der, std::move(certificate)).first->second);
  }

 private:
  static constexpr size_t kMaxCertificates = 1024;

  absl::flat_hash_map<absl::string_view, bssl::UniquePtr<CRYPTO_BUFFER>> certificates_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PKI_CHAIN_CACHE_H_
