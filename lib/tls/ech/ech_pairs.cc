#include "trestle/tls/ech_pairs.h"

#include <openssl/bytestring.h>
#include <openssl/evp.h>
#include <openssl/hpke.h>
#include <openssl/mem.h>
#include <openssl/ssl.h>

#include <array>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/pki/pem.h"
#include "lib/tls/ech/ech_config.h"
#include "lib/tls/ech/ech_key_set.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

constexpr size_t kPemLineChars = 64;

std::string PemBlockOf(absl::string_view label, absl::string_view der) {
  const std::string base64 = absl::Base64Escape(der);
  std::string text = absl::StrCat("-----BEGIN ", label, "-----\n");
  for (size_t at = 0; at < base64.size(); at += kPemLineChars) {
    absl::StrAppend(&text, absl::string_view(base64).substr(at, kPemLineChars), "\n");
  }
  return absl::StrCat(text, "-----END ", label, "-----\n");
}

// Owns memory of BoringSSL or of a CBB, and wipes it before freeing it.
struct AllocatedBytes {
  bssl::UniquePtr<uint8_t> data;
  size_t size = 0;

  absl::string_view text() const { return AsText(ByteView(data.get(), size)); }
};

AllocatedBytes Finish(CBB* cbb) {
  AllocatedBytes bytes;
  uint8_t* data = nullptr;
  if (CBB_finish(cbb, &data, &bytes.size)) bytes.data.reset(data);
  return bytes;
}

AllocatedBytes Pkcs8Of(const EVP_HPKE_KEY& key) {
  std::array<uint8_t, EVP_HPKE_MAX_PRIVATE_KEY_LENGTH> raw;
  size_t length = 0;
  bssl::UniquePtr<EVP_PKEY> pkey;
  if (EVP_HPKE_KEY_private_key(&key, raw.data(), &length, raw.size())) {
    pkey.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, raw.data(), length));
  }
  OPENSSL_cleanse(raw.data(), raw.size());
  bssl::ScopedCBB cbb;
  if (pkey == nullptr || !CBB_init(cbb.get(), 0) ||
      !EVP_marshal_private_key(cbb.get(), pkey.get())) {
    return {};
  }
  return Finish(cbb.get());
}

AllocatedBytes ConfigListOf(const EVP_HPKE_KEY& key, const EchPairOptions& options) {
  uint8_t* config = nullptr;
  size_t config_bytes = 0;
  if (!SSL_marshal_ech_config(&config, &config_bytes, options.config_id, &key,
                              options.public_name.c_str(), options.max_name_bytes)) {
    return {};
  }
  const bssl::UniquePtr<uint8_t> owner(config);
  bssl::ScopedCBB cbb;
  CBB list;
  if (!CBB_init(cbb.get(), 0) || !CBB_add_u16_length_prefixed(cbb.get(), &list) ||
      !CBB_add_bytes(&list, config, config_bytes)) {
    return {};
  }
  return Finish(cbb.get());
}

std::string KemName(uint16_t id) {
  if (id == EVP_HPKE_DHKEM_X25519_HKDF_SHA256) return "X25519, HKDF-SHA256";
  return absl::StrFormat("KEM 0x%04x", id);
}

std::string SuiteName(const EchCipherSuite& suite) {
  const std::string kdf = suite.kdf_id == EVP_HPKE_HKDF_SHA256
                              ? "HKDF-SHA256"
                              : absl::StrFormat("KDF 0x%04x", suite.kdf_id);
  switch (suite.aead_id) {
    case EVP_HPKE_AES_128_GCM:
      return absl::StrCat(kdf, ", AES-128-GCM");
    case EVP_HPKE_AES_256_GCM:
      return absl::StrCat(kdf, ", AES-256-GCM");
    case EVP_HPKE_CHACHA20_POLY1305:
      return absl::StrCat(kdf, ", ChaCha20-Poly1305");
    default:
      return absl::StrFormat("%s, AEAD 0x%04x", kdf, suite.aead_id);
  }
}

}  // namespace

absl::StatusOr<std::string> MakeEchPair(const EchPairOptions& options) {
  const absl::StatusOr<std::string> name = NormalizeServerName(options.public_name);
  if (!name.ok()) {
    return ConfigurationError(absl::StrCat("the public name: ", name.status().message()));
  }
  EchPairOptions normal = options;
  normal.public_name = *name;
  bssl::ScopedEVP_HPKE_KEY key;
  if (!EVP_HPKE_KEY_generate(key.get(), EVP_hpke_x25519_hkdf_sha256())) {
    return ConfigurationError("no ECH key could be generated");
  }
  const AllocatedBytes pkcs8 = Pkcs8Of(*key.get());
  const AllocatedBytes list = ConfigListOf(*key.get(), normal);
  if (pkcs8.data == nullptr || list.data == nullptr) {
    return ConfigurationError(
        absl::StrCat("\"", *name, "\" can't be the public name of an ECHConfig (RFC 9849 4)"));
  }
  return absl::StrCat(PemBlockOf("PRIVATE KEY", pkcs8.text()),
                      PemBlockOf("ECHCONFIG", list.text()));
}

absl::StatusOr<std::vector<EchPairInfo>> DescribeEchPairs(absl::string_view pem) {
  // Rejects pairs that servers reject.
  if (const auto usable = EchKeySet::Read(pem); !usable.ok()) return usable.status();
  absl::StatusOr<std::vector<EchPemPair>> pairs = ReadEchPem(pem);
  if (!pairs.ok()) return pairs.status();
  std::vector<EchPairInfo> described;
  for (EchPemPair& pair : *pairs) {
    absl::StatusOr<std::vector<EchConfigInfo>> configs = DescribeEchConfigs(pair.config_list);
    if (!configs.ok()) return configs.status();
    described.push_back({std::move(pair.config_list), *std::move(configs)});
  }
  return described;
}

absl::StatusOr<std::vector<EchConfigInfo>> DescribeEchConfigs(absl::string_view list) {
  absl::StatusOr<std::vector<EchConfig>> configs = ReadEchConfigList(list);
  if (!configs.ok()) return configs.status();
  std::vector<EchConfigInfo> described;
  for (EchConfig& config : *configs) {
    EchConfigInfo& info = described.emplace_back();
    info.bytes = std::move(config.bytes);
    info.config_id = config.config_id;
    info.public_name = std::move(config.public_name);
    info.max_name_bytes = config.max_name_bytes;
    info.kem = KemName(config.kem_id);
    info.public_key = std::move(config.public_key);
    for (const EchCipherSuite& suite : config.suites) info.suites.push_back(SuiteName(suite));
  }
  return described;
}

}  // namespace trestle
