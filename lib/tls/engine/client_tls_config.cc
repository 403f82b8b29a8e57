#include "trestle/tls/client_tls_config.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/memory/memory.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/pki/certificate_verifier.h"
#include "lib/tls/engine/client_callbacks.h"
#include "lib/tls/engine/tls_context.h"
#include "lib/tls/engine/tls_internals.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

// Returns null if no CA is trusted.
absl::StatusOr<std::shared_ptr<const TrustStore>> ReadTrust(const ClientTlsOptions& options) {
  if (!options.trust_domains.empty()) {
    if (options.ca_pem.empty() && options.crl_pem.empty()) {
      return TrustStore::CreateForTrustDomains(options.trust_domains);
    }
    return ConfigurationError("trust domains exclude other CAs, and revocation lists");
  }
  if (!options.dangerous_skip_verify || !options.ca_pem.empty()) {
    return TrustStore::Create(options.ca_pem, options.crl_pem);
  }
  if (options.crl_pem.empty()) return nullptr;
  return ConfigurationError("revocation lists need CA certificates: not with skip_verify alone");
}

absl::StatusOr<std::vector<std::array<uint8_t, 32>>> ReadPins(
    const std::vector<std::string>& texts) {
  std::vector<std::array<uint8_t, 32>> pins;
  for (const std::string& text : texts) {
    std::string digest;
    std::array<uint8_t, 32> pin = {};
    if (!absl::Base64Unescape(absl::StripPrefix(text, "sha256/"), &digest) ||
        digest.size() != pin.size()) {
      return ConfigurationError(absl::StrCat("the pin \"", EscapeForLog(text),
                                             "\" is not the base64 of a SHA-256 (44 characters)"));
    }
    absl::c_copy(AsBytes(digest), pin.begin());
    pins.push_back(pin);
  }
  return pins;
}

absl::Status CheckClientOptions(const ClientTlsOptions& options) {
  if (options.dangerous_skip_verify && (!options.pins.empty() || !options.peer_uris.empty())) {
    return ConfigurationError(
        "pins and URIs are checked in verified chains only: not with skip_verify");
  }
  for (const std::string& uri : options.peer_uris) {
    if (absl::StrContains(uri, "://")) continue;
    return ConfigurationError(
        absl::StrCat("the allowed server \"", EscapeForLog(uri), "\" is no URI"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> ClientTlsConfig::Create(
    ClientTlsOptions options) {
  if (absl::Status status = CheckClientOptions(options); !status.ok()) return status;
  absl::StatusOr<Pins> pins = ReadPins(options.pins);
  if (!pins.ok()) return pins.status();
  absl::StatusOr<bssl::UniquePtr<SSL_CTX>> context = MakeContext(options.parameters);
  if (!context.ok()) return context.status();
  absl::StatusOr<std::shared_ptr<const TrustStore>> trust = ReadTrust(options);
  if (!trust.ok()) return trust.status();
  if (options.credential != nullptr &&
      !SSL_CTX_add1_credential(context->get(), TlsInternals::Native(*options.credential))) {
    ERR_clear_error();
    return ConfigurationError("the client's certificate can't be used");
  }
  InstallClientCallbacks(context->get());
  if (options.peer_key_type.has_value() &&
      !OfferOnlyKeyType(context->get(), *options.peer_key_type)) {
    ERR_clear_error();
    return ConfigurationError("the peer's key type can't be used");
  }
  auto config = absl::WrapUnique(new ClientTlsConfig(std::move(options), *std::move(pins),
                                                     context->release(), *std::move(trust)));
  return std::shared_ptr<const ClientTlsConfig>(std::move(config));
}

ClientTlsConfig::ClientTlsConfig(ClientTlsOptions options, Pins pins, SSL_CTX* native,
                                 std::shared_ptr<const TrustStore> trust)
    : options_(std::move(options)),
      pins_(std::move(pins)),
      policy_(ClientPolicyDigest(options_)),
      native_(native),
      trust_(std::move(trust)) {}

ClientTlsConfig::~ClientTlsConfig() { SSL_CTX_free(native_); }

}  // namespace trestle
