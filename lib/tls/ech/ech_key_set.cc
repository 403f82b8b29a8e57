#include "lib/tls/ech/ech_key_set.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>

#include <array>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/tls/ech_keys.h"

namespace trestle {
namespace {

constexpr size_t kX25519KeyBytes = 32;

bssl::UniquePtr<EVP_HPKE_KEY> HpkeKeyOf(const EVP_PKEY* key) {
  std::array<uint8_t, kX25519KeyBytes> bytes;
  size_t length = bytes.size();
  bssl::UniquePtr<EVP_HPKE_KEY> made(EVP_HPKE_KEY_new());
  const bool read =
      made != nullptr && EVP_PKEY_id(key) == EVP_PKEY_X25519 &&
      EVP_PKEY_get_raw_private_key(key, bytes.data(), &length) == 1 &&
      EVP_HPKE_KEY_init(made.get(), EVP_hpke_x25519_hkdf_sha256(), bytes.data(), length) == 1;
  OPENSSL_cleanse(bytes.data(), bytes.size());
  ERR_clear_error();
  return read ? std::move(made) : nullptr;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const EchKeySet>> EchKeySet::Read(absl::string_view pem) {
  absl::StatusOr<std::vector<EchPemPair>> pairs = ReadEchPem(pem);
  if (!pairs.ok()) return pairs.status();
  if (pairs->size() > EchKeys::kMaxKeys) {
    return ConfigurationError(absl::StrCat("more than ", EchKeys::kMaxKeys, " ECH keys"));
  }
  auto set = std::make_shared<EchKeySet>();
  set->native.reset(SSL_ECH_KEYS_new());
  if (set->native == nullptr) return ConfigurationError("out of memory");
  for (const EchPemPair& pair : *pairs) {
    if (absl::Status added = set->Add(pair); !added.ok()) {
      return ConfigurationError(absl::StrCat(pair.place, ": ", GetError(added)->detail));
    }
  }
  set->published = pairs->front().config_list;
  return std::shared_ptr<const EchKeySet>(std::move(set));
}

absl::Status EchKeySet::Add(const EchPemPair& pair) {
  const bool publish = keys.empty();
  absl::StatusOr<std::vector<EchConfig>> configs = ReadEchConfigList(pair.config_list);
  if (!configs.ok()) return configs.status();
  for (EchConfig& config : *configs) {
    bssl::UniquePtr<EVP_HPKE_KEY> key = HpkeKeyOf(pair.key.get());
    if (key == nullptr) {
      return ConfigurationError("the private key for ECH is not an X25519 key");
    }
    const ByteView bytes = AsBytes(config.bytes);
    const bool added =
        SSL_ECH_KEYS_add(native.get(), publish ? 1 : 0, bytes.data(), bytes.size(), key.get()) == 1;
    ERR_clear_error();
    if (!added) {
      return ConfigurationError(
          absl::StrCat("the ECHConfig for \"", config.public_name,
                       "\" doesn't belong to the private key before it, or can't be used"));
    }
    if (Find(config.config_id) != nullptr) {
      return ConfigurationError(
          absl::StrCat("two ECHConfigs have the config id ", config.config_id,
                       ": each hello would be decrypted with both keys; make one with another id"));
    }
    keys.push_back({std::move(config), std::move(key)});
  }
  return absl::OkStatus();
}

const EchKey* EchKeySet::Find(uint8_t config_id) const {
  const auto found = absl::c_find_if(
      keys, [config_id](const EchKey& key) { return key.config.config_id == config_id; });
  return found == keys.end() ? nullptr : &*found;
}

}  // namespace trestle
