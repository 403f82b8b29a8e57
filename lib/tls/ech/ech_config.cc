#include "lib/tls/ech/ech_config.h"

#include <openssl/bytestring.h>
#include <openssl/ssl.h>

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

std::string TextOf(const CBS& bytes) {
  return std::string(AsText(ByteView(CBS_data(&bytes), CBS_len(&bytes))));
}

bool ReadSuites(CBS suites, std::vector<EchCipherSuite>& out) {
  while (CBS_len(&suites) > 0) {
    EchCipherSuite& suite = out.emplace_back();
    if (!CBS_get_u16(&suites, &suite.kdf_id) || !CBS_get_u16(&suites, &suite.aead_id)) return false;
  }
  return !out.empty();
}

// Reads the part after the version and the length. BoringSSL gets the config next, and checks that
// it is well-formed to the end.
bool ReadContents(CBS contents, EchConfig& config) {
  CBS key;
  CBS suites;
  CBS name;
  if (!CBS_get_u8(&contents, &config.config_id) || !CBS_get_u16(&contents, &config.kem_id) ||
      !CBS_get_u16_length_prefixed(&contents, &key) ||
      !CBS_get_u16_length_prefixed(&contents, &suites) || !ReadSuites(suites, config.suites) ||
      !CBS_get_u8(&contents, &config.max_name_bytes) ||
      !CBS_get_u8_length_prefixed(&contents, &name)) {
    return false;
  }
  config.public_key = TextOf(key);
  config.public_name = TextOf(name);
  return true;
}

absl::StatusOr<EchConfig> ReadEchConfig(CBS* list) {
  CBS whole = *list;
  uint16_t version = 0;
  CBS contents;
  if (!CBS_get_u16(list, &version) || !CBS_get_u16_length_prefixed(list, &contents)) {
    return ConfigurationError("an ECHConfigList is damaged");
  }
  EchConfig config;
  if (version != TLSEXT_TYPE_encrypted_client_hello || !ReadContents(contents, config)) {
    return ConfigurationError("an ECHConfig is damaged, or not of RFC 9849");
  }
  config.bytes = TextOf(whole).substr(0, CBS_len(&whole) - CBS_len(list));
  absl::StatusOr<std::string> public_name = NormalizeServerName(config.public_name);
  if (!public_name.ok()) {
    return ConfigurationError(
        absl::StrCat("the public name of an ECHConfig: ", public_name.status().message()));
  }
  config.public_name = *std::move(public_name);
  return config;
}

}  // namespace

bool EchConfig::Supports(EchCipherSuite suite) const {
  return absl::c_any_of(suites, [&](const EchCipherSuite& own) {
    return own.kdf_id == suite.kdf_id && own.aead_id == suite.aead_id;
  });
}

absl::StatusOr<std::vector<EchConfig>> ReadEchConfigList(absl::string_view list) {
  CBS text;
  CBS configs;
  CBS_init(&text, AsBytes(list).data(), list.size());
  if (!CBS_get_u16_length_prefixed(&text, &configs) || CBS_len(&text) != 0 ||
      CBS_len(&configs) == 0) {
    return ConfigurationError("an ECHConfigList is damaged");
  }
  std::vector<EchConfig> read;
  while (CBS_len(&configs) > 0) {
    absl::StatusOr<EchConfig> config = ReadEchConfig(&configs);
    if (!config.ok()) return config.status();
    read.push_back(*std::move(config));
  }
  return read;
}

}  // namespace trestle
