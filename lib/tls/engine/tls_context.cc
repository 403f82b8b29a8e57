#include "lib/tls/engine/tls_context.h"

#include <openssl/err.h>
#include <openssl/pool.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/pki/x509_certificate.h"
#include "lib/tls/engine/connection_state.h"
#include "lib/tls/sessions/session_clock.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr size_t kMaxAlpnBytes = 0xffff;

// The server has no preference among ciphers in one bracket, so that clients without AES
// instructions get ChaCha20. BoringSSL's own TLS 1.3 list follows the same rule.
constexpr char kTls12Ciphers[] =
    "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]:"
    "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";

// The ciphers above for servers with a key of one type.
constexpr char kEcdsaCiphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384";
constexpr char kRsaCiphers[] =
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES256-GCM-SHA384";

// The lifetime of a TLS 1.3 session, if its ticket keys live as long. BoringSSL would allow two
// days.
constexpr uint32_t kSessionSeconds = 24 * 60 * 60;

// BoringSSL's default without SHA-1, and with Ed25519 and P-521.
constexpr uint16_t kSignatureAlgorithms[] = {
    SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ED25519,
    SSL_SIGN_RSA_PSS_RSAE_SHA256,    SSL_SIGN_RSA_PKCS1_SHA256,
    SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA384,
    SSL_SIGN_RSA_PKCS1_SHA384,       SSL_SIGN_RSA_PSS_RSAE_SHA512,
    SSL_SIGN_RSA_PKCS1_SHA512,       SSL_SIGN_ECDSA_SECP521R1_SHA512,
};

uint16_t NativeVersion(TlsVersion version) {
  return version == TlsVersion::kTls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

uint16_t NativeGroup(TlsGroup group) {
  switch (group) {
    case TlsGroup::kX25519MlKem768:
      return SSL_GROUP_X25519_MLKEM768;
    case TlsGroup::kX25519:
      return SSL_GROUP_X25519;
    case TlsGroup::kP256:
      return SSL_GROUP_SECP256R1;
    case TlsGroup::kP384:
      return SSL_GROUP_SECP384R1;
    case TlsGroup::kP521:
      return SSL_GROUP_SECP521R1;
  }
  return SSL_GROUP_X25519;
}

absl::Status TooShort(absl::string_view option, int bits, int least) {
  return ConfigurationError(
      absl::StrCat(option, " is ", bits, "; it may be raised above ", least, ", not lowered"));
}

absl::Status CheckParameters(const TlsParameters& parameters) {
  if (parameters.min_version > parameters.max_version) {
    return ConfigurationError("the lowest TLS version is above the highest");
  }
  if (parameters.min_rsa_bits < kMinRsaBits) {
    return TooShort("min_rsa_bits", parameters.min_rsa_bits, kMinRsaBits);
  }
  if (parameters.min_ec_bits < kMinEcBits) {
    return TooShort("min_ec_bits", parameters.min_ec_bits, kMinEcBits);
  }
  if (parameters.groups.empty()) return ConfigurationError("there are no key exchange groups");
  std::vector<TlsGroup> groups = parameters.groups;
  std::sort(groups.begin(), groups.end());
  if (std::adjacent_find(groups.begin(), groups.end()) != groups.end()) {
    return ConfigurationError("a key exchange group is listed twice");
  }
  // The hybrid needs TLS 1.3: with it alone, TLS 1.2 has no group.
  if (parameters.min_version == TlsVersion::kTls12 && groups.size() == 1 &&
      groups.front() == TlsGroup::kX25519MlKem768) {
    return ConfigurationError("TLS 1.2 needs a group beside X25519MLKEM768");
  }
  return absl::OkStatus();
}

bool ApplyParameters(const TlsParameters& parameters, SSL_CTX* context) {
  std::vector<uint16_t> groups;
  for (TlsGroup group : parameters.groups) groups.push_back(NativeGroup(group));
  return SSL_CTX_set_min_proto_version(context, NativeVersion(parameters.min_version)) &&
         SSL_CTX_set_max_proto_version(context, NativeVersion(parameters.max_version)) &&
         SSL_CTX_set1_group_ids(context, groups.data(), groups.size()) &&
         SSL_CTX_set_strict_cipher_list(context, kTls12Ciphers);
}

// One pool per context: equal peer certificates share memory.
bool ApplyBufferPool(SSL_CTX* context) {
  bssl::UniquePtr<CRYPTO_BUFFER_POOL> pool(CRYPTO_BUFFER_POOL_new());
  if (pool == nullptr) return false;
  SSL_CTX_set0_buffer_pool(context, pool.get());
  return true;
}

}  // namespace

absl::StatusOr<bssl::UniquePtr<SSL_CTX>> MakeContext(const TlsParameters& parameters) {
  if (absl::Status status = CheckParameters(parameters); !status.ok()) return status;
  // Without X.509 in BoringSSL: certificate_verifier.cc verifies chains, and no connection keeps
  // parsed certificates.
  bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(TLS_with_buffers_method()));
  if (context == nullptr || !ApplyParameters(parameters, context.get()) ||
      !ApplyBufferPool(context.get())) {
    ERR_clear_error();
    return ConfigurationError("the TLS parameters can't be used");
  }
  SSL_CTX_set_options(context.get(), SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Servers resume by ticket; BoringSSL's cache would not follow our limits.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_psk_dhe_timeout(context.get(), kSessionSeconds);
  SessionClock::Install(context.get());
  InstallRecordCallbacks(context.get());
  return context;
}

void SetPeerSignatureAlgorithms(SSL_CTX* context) {
  SSL_CTX_set_verify_algorithm_prefs(context, kSignatureAlgorithms,
                                     sizeof(kSignatureAlgorithms) / sizeof(uint16_t));
}

bool OfferOnlyKeyType(SSL_CTX* context, KeyType type) {
  const int wanted = type == KeyType::kRsa     ? EVP_PKEY_RSA
                     : type == KeyType::kEcdsa ? EVP_PKEY_EC
                                               : EVP_PKEY_ED25519;
  std::vector<uint16_t> algorithms;
  for (const uint16_t algorithm : kSignatureAlgorithms) {
    if (SSL_get_signature_algorithm_key_type(algorithm) == wanted) algorithms.push_back(algorithm);
  }
  // TLS 1.2 names the key type in the cipher, too; Ed25519 uses those of ECDSA (RFC 8422 5.10).
  return SSL_CTX_set_verify_algorithm_prefs(context, algorithms.data(), algorithms.size()) &&
         SSL_CTX_set_strict_cipher_list(context,
                                        type == KeyType::kRsa ? kRsaCiphers : kEcdsaCiphers);
}

absl::StatusOr<std::string> EncodeAlpn(const std::vector<std::string>& protocols) {
  std::string encoded;
  for (size_t i = 0; i < protocols.size(); ++i) {
    const std::string& protocol = protocols[i];
    if (protocol.empty() || protocol.size() > 255) {
      return ConfigurationError("an application protocol must have 1 to 255 bytes");
    }
    if (std::find(protocols.begin(), protocols.begin() + i, protocol) != protocols.begin() + i) {
      return ConfigurationError("an application protocol is listed twice");
    }
    encoded.push_back(static_cast<char>(protocol.size()));
    encoded.append(protocol);
  }
  if (encoded.size() > kMaxAlpnBytes) return ConfigurationError("too many application protocols");
  return encoded;
}

}  // namespace trestle
