#include "trestle/tls/ech_keys.h"

#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/hpke.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/pki/pem.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

constexpr size_t kX25519KeyBytes = 32;

struct EchConfig {
  ByteView bytes;
  std::string public_name;
};

// RFC 9849 4: version, length; config id, KEM, public key, cipher suites, longest name, public
// name.
absl::StatusOr<EchConfig> ReadEchConfig(CBS* list) {
  EchConfig config;
  const uint8_t* begin = CBS_data(list);
  uint16_t version = 0;
  CBS contents;
  if (!CBS_get_u16(list, &version) || !CBS_get_u16_length_prefixed(list, &contents)) {
    return ConfigurationError("an ECHConfigList is damaged");
  }
  config.bytes = ByteView(begin, static_cast<size_t>(CBS_data(list) - begin));
  uint8_t byte = 0;
  uint16_t kem = 0;
  CBS skipped;
  CBS name;
  if (version != TLSEXT_TYPE_encrypted_client_hello || !CBS_get_u8(&contents, &byte) ||
      !CBS_get_u16(&contents, &kem) || !CBS_get_u16_length_prefixed(&contents, &skipped) ||
      !CBS_get_u16_length_prefixed(&contents, &skipped) || !CBS_get_u8(&contents, &byte) ||
      !CBS_get_u8_length_prefixed(&contents, &name)) {
    return ConfigurationError("an ECHConfig is damaged, or not of RFC 9849");
  }
  absl::StatusOr<std::string> public_name =
      NormalizeServerName(AsText(ByteView(CBS_data(&name), CBS_len(&name))));
  if (!public_name.ok()) {
    return ConfigurationError(
        absl::StrCat("the public name of an ECHConfig: ", public_name.status().message()));
  }
  config.public_name = *std::move(public_name);
  return config;
}

bool ReadHpkeKey(const EVP_PKEY* key, EVP_HPKE_KEY* out) {
  std::array<uint8_t, kX25519KeyBytes> bytes;
  size_t length = bytes.size();
  const bool read =
      EVP_PKEY_id(key) == EVP_PKEY_X25519 &&
      EVP_PKEY_get_raw_private_key(key, bytes.data(), &length) == 1 &&
      EVP_HPKE_KEY_init(out, EVP_hpke_x25519_hkdf_sha256(), bytes.data(), length) == 1;
  OPENSSL_cleanse(bytes.data(), bytes.size());
  ERR_clear_error();
  return read;
}

}  // namespace

struct EchKeys::Keys {
  bssl::UniquePtr<SSL_ECH_KEYS> native;
  std::vector<std::string> public_names;
  std::string published;  // The first pair's ECHConfigList.

  absl::Status Add(const EchPemPair& pair, bool publish);
};

absl::StatusOr<std::shared_ptr<const EchKeys::Keys>> EchKeys::Prepare(absl::string_view pem) {
  absl::StatusOr<std::vector<EchPemPair>> pairs = ReadEchPem(pem);
  if (!pairs.ok()) return pairs.status();
  if (pairs->size() > kMaxKeys) {
    return ConfigurationError(absl::StrCat("more than ", kMaxKeys, " ECH keys"));
  }
  auto keys = std::make_shared<Keys>();
  keys->native.reset(SSL_ECH_KEYS_new());
  if (keys->native == nullptr) return ConfigurationError("out of memory");
  for (const EchPemPair& pair : *pairs) {
    if (absl::Status added = keys->Add(pair, keys->published.empty()); !added.ok()) return added;
  }
  return std::shared_ptr<const Keys>(std::move(keys));
}

absl::Status EchKeys::Keys::Add(const EchPemPair& pair, bool publish) {
  bssl::ScopedEVP_HPKE_KEY key;
  if (!ReadHpkeKey(pair.key.get(), key.get())) {
    return ConfigurationError("the private key for ECH is not an X25519 key");
  }
  CBS text;
  CBS list;
  CBS_init(&text, AsBytes(pair.config_list).data(), pair.config_list.size());
  if (!CBS_get_u16_length_prefixed(&text, &list) || CBS_len(&text) != 0 || CBS_len(&list) == 0) {
    return ConfigurationError("an ECHConfigList is damaged");
  }
  while (CBS_len(&list) > 0) {
    absl::StatusOr<EchConfig> config = ReadEchConfig(&list);
    if (!config.ok()) return config.status();
    const bool added = SSL_ECH_KEYS_add(native.get(), publish ? 1 : 0, config->bytes.data(),
                                        config->bytes.size(), key.get()) == 1;
    ERR_clear_error();
    if (!added) {
      return ConfigurationError(
          absl::StrCat("the ECHConfig for \"", config->public_name,
                       "\" doesn't belong to the private key before it, or can't be used"));
    }
    public_names.push_back(std::move(config->public_name));
  }
  if (publish) published = pair.config_list;
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<EchKeys>> EchKeys::FromPem(absl::string_view pem) {
  absl::StatusOr<std::shared_ptr<const Keys>> keys = Prepare(pem);
  if (!keys.ok()) return keys.status();
  return std::shared_ptr<EchKeys>(new EchKeys(*std::move(keys)));
}

EchKeys::EchKeys(std::shared_ptr<const Keys> keys) : keys_(std::move(keys)) {}

EchKeys::~EchKeys() = default;

absl::Status EchKeys::Replace(absl::string_view pem) {
  absl::StatusOr<std::shared_ptr<const Keys>> keys = Prepare(pem);
  if (!keys.ok()) return keys.status();
  Use(*std::move(keys));
  return absl::OkStatus();
}

void EchKeys::Use(std::shared_ptr<const Keys> keys) {
  absl::MutexLock lock(&mutex_);
  keys_ = std::move(keys);
  // Takes a reference. It fails only if no key is published, and the first one always is.
  for (SSL_CTX* context : contexts_) SSL_CTX_set1_ech_keys(context, keys_->native.get());
  ERR_clear_error();
}

std::string EchKeys::PublishedConfigs() const {
  absl::MutexLock lock(&mutex_);
  return absl::Base64Escape(keys_->published);
}

absl::Status EchKeys::CheckPublicNames(const CertificateSet& certificates) const {
  absl::MutexLock lock(&mutex_);
  return CheckPublicNamesOf(*keys_, certificates);
}

absl::Status EchKeys::CheckPublicNamesOf(const Keys& keys, const CertificateSet& certificates) {
  for (const std::string& name : keys.public_names) {
    if (!certificates.Choose(name, absl::InfiniteFuture()).empty()) continue;
    return ConfigurationError(absl::StrCat("no certificate for \"", name,
                                           "\", the public name of an ECHConfig: clients with an "
                                           "outdated one could not be told the new one"));
  }
  return absl::OkStatus();
}

absl::Status EchKeys::Attach(SSL_CTX* context) {
  absl::MutexLock lock(&mutex_);
  if (!SSL_CTX_set1_ech_keys(context, keys_->native.get())) {
    ERR_clear_error();
    return ConfigurationError("the ECH keys can't be used");
  }
  contexts_.push_back(context);
  return absl::OkStatus();
}

void EchKeys::Detach(SSL_CTX* context) {
  absl::MutexLock lock(&mutex_);
  contexts_.erase(std::remove(contexts_.begin(), contexts_.end(), context), contexts_.end());
}

}  // namespace trestle
