// ChainCache: keeps one copy of certificates that many chains have in common.
#ifndef TRESTLE_LIB_TLS_CHAIN_CACHE_H_
#define TRESTLE_LIB_TLS_CHAIN_CACHE_H_

#include <openssl/base.h>
#include <openssl/pool.h>

#include <cstddef>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace trestle {

/// Not BoringSSL's CRYPTO_BUFFER_POOL, which must outlive all that came from it.
class ChainCache {
 public:
  /// Returns what is here with the bytes of `certificate`; keeps that otherwise.
  bssl::UniquePtr<CRYPTO_BUFFER> Share(bssl::UniquePtr<CRYPTO_BUFFER> certificate) {
    // There are as many as CAs in use. Chains that all differ must not pile up here.
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

#endif  // TRESTLE_LIB_TLS_CHAIN_CACHE_H_
