#include "lib/tls/credentials/compression_cache.h"

#include <openssl/bytestring.h>
#include <openssl/err.h>

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/tls/engine/connection_state.h"
#include "lib/tls/engine/tls_internals.h"
#include "trestle/base/error.h"
#include "trestle/pki/sha256.h"
#include "trestle/tls/server_tls_config.h"

namespace trestle {
namespace {

// BoringSSL's callback names neither the algorithm nor the connection, so each algorithm has its
// own function.
template <CompressionAlgorithm algorithm>
int Compress(SSL* ssl, CBB* out, const uint8_t* in, size_t in_bytes) {
  const ConnectionState& record = ConnectionState::Of(ssl);
  if (record.handshake == nullptr) return 0;
  const ServerTlsConfig& config = *record.handshake->server;
  for (const auto& compressor : config.options().certificate_compressors) {
    if (compressor->algorithm() != algorithm) continue;
    const std::shared_ptr<const std::string> compressed =
        TlsInternals::Compressed(config).Get(*compressor, ByteView(in, in_bytes));
    return compressed != nullptr &&
           CBB_add_bytes(out, AsBytes(*compressed).data(), compressed->size());
  }
  return 0;
}

ssl_cert_compression_func_t FunctionOf(CompressionAlgorithm algorithm) {
  switch (algorithm) {
    case CompressionAlgorithm::kZlib:
      return Compress<CompressionAlgorithm::kZlib>;
    case CompressionAlgorithm::kBrotli:
      return Compress<CompressionAlgorithm::kBrotli>;
    case CompressionAlgorithm::kZstd:
      return Compress<CompressionAlgorithm::kZstd>;
  }
  return nullptr;
}

}  // namespace

std::shared_ptr<const std::string> CompressionCache::Get(const CertificateCompressor& compressor,
                                                         ByteView certificates) {
  const std::array<uint8_t, 32> digest = Sha256(certificates);
  const std::string key = absl::StrCat(static_cast<int>(compressor.algorithm()), ":",
                                       AsText(ByteView(digest.data(), digest.size())));
  {
    absl::MutexLock lock(&mutex_);
    if (const auto* const found = entries_.Use(key)) return *found;
  }
  // Compresses without the lock. Two threads may compress the same message once each.
  std::optional<std::string> made = compressor.Compress(certificates);
  if (!made.has_value()) return nullptr;
  auto compressed = std::make_shared<const std::string>(*std::move(made));
  absl::MutexLock lock(&mutex_);
  const auto [entry, added] = entries_.UseOrAdd(key);
  *entry = compressed;
  if (added && entries_.size() > kMaxEntries) entries_.DropOldest();
  return compressed;
}

size_t CompressionCache::size() const {
  absl::MutexLock lock(&mutex_);
  return entries_.size();
}

absl::Status InstallCompression(
    SSL_CTX* context,
    const std::vector<std::shared_ptr<const CertificateCompressor>>& compressors) {
  for (const auto& compressor : compressors) {
    if (compressor == nullptr) return ConfigurationError("a certificate compressor is null");
    const auto algorithm = static_cast<uint16_t>(compressor->algorithm());
    const ssl_cert_compression_func_t compress = FunctionOf(compressor->algorithm());
    if (compress != nullptr &&
        SSL_CTX_add_cert_compression_alg(context, algorithm, compress, nullptr)) {
      continue;
    }
    ERR_clear_error();
    return ConfigurationError(absl::StrCat("the certificate compression algorithm ", algorithm,
                                           " is repeated or unknown"));
  }
  return absl::OkStatus();
}

}  // namespace trestle
