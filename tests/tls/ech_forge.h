// EchForge: encrypts valid and invalid hellos as an ECH client does (RFC 9849 6.1).
#ifndef TRESTLE_TESTS_TLS_ECH_FORGE_H_
#define TRESTLE_TESTS_TLS_ECH_FORGE_H_

#include <openssl/err.h>
#include <openssl/hpke.h>

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tests/tls/ech_pair.h"
#include "trestle/base/bytes.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/tls/ech_key_opener.h"
#include "trestle/wire/client_hello.h"

namespace trestle::testing {

/// One client: its first hello, then its second one.
class EchForge {
 public:
  explicit EchForge(const EchPair& pair) : config_(pair.config_list.substr(2)) {}

  /// The values in the hello; tests change them.
  uint8_t config_id = 0;
  uint16_t kdf_id = EVP_HPKE_HKDF_SHA256;
  uint16_t aead_id = EVP_HPKE_AES_128_GCM;
  bool send_key = true;

  /// Returns the message of `outer` with `encoded` in its encrypted_client_hello, which is added if
  /// missing. The first call creates the encapsulated key.
  std::string Seal(HelloBuilder outer, absl::string_view encoded) {
    if (enc_.empty()) SetUp();
    const auto with = [&](absl::string_view payload) {
      return outer.Replace(kExtensionEncryptedClientHello, Extension(payload)).Message();
    };
    constexpr size_t kTagBytes = 16;
    const std::string aad = with(std::string(encoded.size() + kTagBytes, '\0')).substr(4);
    std::string payload(encoded.size() + kTagBytes, '\0');
    size_t bytes = 0;
    EXPECT_TRUE(EVP_HPKE_CTX_seal(context_.get(), reinterpret_cast<uint8_t*>(&payload[0]), &bytes,
                                  payload.size(), AsBytes(encoded).data(), encoded.size(),
                                  AsBytes(aad).data(), aad.size()));
    return with(payload);
  }

  /// Returns the encoded form of `inner`, with `padding` zeros.
  static std::string Encode(HelloBuilder inner, size_t padding = 0) {
    return inner.SetSessionId("").Message().substr(4) + std::string(padding, '\0');
  }

 private:
  static std::string U16(size_t value) {
    return {static_cast<char>(value >> 8), static_cast<char>(value)};
  }

  std::string Extension(absl::string_view payload) const {
    const std::string enc = send_key ? enc_ : "";
    return absl::StrCat(std::string(1, '\0'), U16(kdf_id), U16(aead_id),
                        std::string(1, static_cast<char>(config_id)), U16(enc.size()), enc,
                        U16(payload.size()), payload);
  }

  // RFC 9849 4: version, length, config id, KEM and the length of the key come before the key.
  void SetUp() {
    uint8_t enc[EVP_HPKE_MAX_ENC_LENGTH];
    size_t enc_bytes = 0;
    const std::string info = std::string("tls ech\0", 8) + config_;
    const EVP_HPKE_AEAD* aead = aead_id == EVP_HPKE_CHACHA20_POLY1305 ? EVP_hpke_chacha20_poly1305()
                                                                      : EVP_hpke_aes_128_gcm();
    const absl::string_view key = absl::string_view(config_).substr(9, 32);
    EXPECT_TRUE(EVP_HPKE_CTX_setup_sender(context_.get(), enc, &enc_bytes, sizeof(enc),
                                          EVP_hpke_x25519_hkdf_sha256(), EVP_hpke_hkdf_sha256(),
                                          aead, AsBytes(key).data(), key.size(),
                                          AsBytes(info).data(), info.size()));
    enc_ = std::string(AsText(ByteView(enc, enc_bytes)));
  }

  const std::string config_;
  std::string enc_;
  bssl::ScopedEVP_HPKE_CTX context_;
};

/// For tests that open more hellos than a client may.
inline constexpr EchBudget kNoBudget = {0, 0, 32, 64};

/// Returns hellos like a browser's: the outer one for "public.test", and the inner one for
/// `server_name`.
inline HelloBuilder OuterHello() {
  return PostQuantumHello("public.test").SetRandom(1).AddEchOuter(0, 1);
}
inline HelloBuilder InnerHelloFor(absl::string_view server_name) {
  return PostQuantumHello(server_name)
      .SetRandom(2)
      .SetVersions({0x0304})
      .Add(kExtensionEncryptedClientHello, "\x01");
}

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_TLS_ECH_FORGE_H_
