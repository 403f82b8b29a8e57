// Generates keys for encrypted ClientHellos.
#ifndef TRESTLE_TESTS_TLS_ECH_PAIR_H_
#define TRESTLE_TESTS_TLS_ECH_PAIR_H_

#include <openssl/hpke.h>
#include <openssl/mem.h>
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace trestle::testing {

inline std::string PemBlock(const char* kind, const std::string& der) {
  return absl::StrCat("-----BEGIN ", kind, "-----\n", absl::Base64Escape(der), "\n-----END ", kind,
                      "-----\n");
}

// A key with its config, in the form that bssl generates.
struct EchPair {
  std::string key_pem;
  std::string config_list;
  std::shared_ptr<EVP_HPKE_KEY> key;

  std::string config_pem() const { return PemBlock("ECHCONFIG", config_list); }
  std::string pem() const { return key_pem + config_pem(); }
};

inline EchPair NewEchPair(uint8_t id, const char* public_name) {
  const std::shared_ptr<EVP_HPKE_KEY> key(EVP_HPKE_KEY_new(), EVP_HPKE_KEY_free);
  EXPECT_TRUE(EVP_HPKE_KEY_generate(key.get(), EVP_hpke_x25519_hkdf_sha256()));
  uint8_t* config = nullptr;
  size_t config_bytes = 0;
  EXPECT_TRUE(SSL_marshal_ech_config(&config, &config_bytes, id, key.get(), public_name, 64));
  std::string list = {static_cast<char>(config_bytes >> 8), static_cast<char>(config_bytes & 0xff)};
  list.append(reinterpret_cast<const char*>(config), config_bytes);
  OPENSSL_free(config);
  uint8_t raw[EVP_HPKE_MAX_PRIVATE_KEY_LENGTH];
  size_t raw_bytes = 0;
  EXPECT_TRUE(EVP_HPKE_KEY_private_key(key.get(), raw, &raw_bytes, sizeof(raw)));
  // PKCS#8 of an X25519 key (RFC 8410 7).
  std::string pkcs8;
  EXPECT_TRUE(absl::HexStringToBytes("302e020100300506032b656e04220420", &pkcs8));
  pkcs8.append(reinterpret_cast<const char*>(raw), raw_bytes);
  return {PemBlock("PRIVATE KEY", pkcs8), list, key};
}

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_TLS_ECH_PAIR_H_
