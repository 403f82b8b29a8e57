#include "trestle/tls/server_tls_config.h"

#include <openssl/ssl.h>

#include <utility>

#include "lib/tls/credentials/compression_cache.h"
#include "lib/tls/engine/server_callbacks.h"
#include "lib/tls/engine/tls_context.h"
#include "lib/tls/sessions/resumption_callbacks.h"
#include "trestle/base/error.h"

namespace trestle {

absl::StatusOr<std::shared_ptr<const ServerTlsConfig>> ServerTlsConfig::Create(
    ServerTlsOptions options) {
  if (options.certificates == nullptr) {
    return ConfigurationError("a TLS server needs a certificate store");
  }
  if (options.max_key_updates_per_minute < 1) {
    return ConfigurationError("max_key_updates_per_minute must be at least 1");
  }
  if (options.answer_timeout <= absl::ZeroDuration()) {
    return ConfigurationError("answer_timeout must be above 0");
  }
  absl::StatusOr<std::string> alpn = EncodeAlpn(options.alpn);
  if (!alpn.ok()) return alpn.status();
  absl::StatusOr<bssl::UniquePtr<SSL_CTX>> context = MakeContext(options.parameters);
  if (!context.ok()) return context.status();
  if (options.ticket_keys == nullptr) options.ticket_keys = TicketKeyRing::InMemory();
  InstallServerCallbacks(context->get());
  InstallResumptionCallbacks(context->get(), options.session_cache != nullptr);
  if (options.dangerous_key_log != nullptr) {
    InstallKeyLog(context->get(), *options.dangerous_key_log);
  }
  absl::Status compression = InstallCompression(context->get(), options.certificate_compressors);
  if (!compression.ok()) return compression;
  if (options.ech_keys != nullptr) {
    absl::Status ech = options.ech_keys->CheckPublicNames(*options.certificates->current());
    if (ech.ok()) ech = options.ech_keys->Attach(context->get());
    if (!ech.ok()) return ech;
  }
  return std::shared_ptr<const ServerTlsConfig>(new ServerTlsConfig(
      std::move(options), PolicyDigest(*alpn, options.alpn_mismatch), context->release()));
}

ServerTlsConfig::ServerTlsConfig(ServerTlsOptions options, std::string policy, SSL_CTX* native)
    : options_(std::move(options)),
      policy_(std::move(policy)),
      native_(native),
      compressed_(std::make_unique<CompressionCache>()) {}

ServerTlsConfig::~ServerTlsConfig() {
  if (options_.ech_keys != nullptr) options_.ech_keys->Detach(native_);
  SSL_CTX_free(native_);
}

}  // namespace trestle
