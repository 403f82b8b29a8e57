#include "trestle/pki/private_key.h"

#include <openssl/bytestring.h>
#include <openssl/evp.h>
#include <openssl/mem.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/pki/native_key.h"
#include "lib/pki/pem.h"
#include "lib/pki/signature.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

class NativeKey final : public PrivateKey {
 public:
  explicit NativeKey(EVP_PKEY* key) : key_(bssl::UpRef(key)) {}

  absl::StatusOr<std::string> Sign(SignatureScheme scheme, ByteView input) const override {
    std::optional<std::string> signature = MakeSignature(key_.get(), scheme, input);
    if (signature.has_value()) return *std::move(signature);
    Error error;
    error.code = ErrorCode::kInternal;
    error.detail = absl::StrFormat("the private key makes no signatures of the scheme 0x%04x",
                                   static_cast<uint16_t>(scheme));
    return MakeError(error);
  }

  bool is_rsa() const override { return EVP_PKEY_id(key_.get()) == EVP_PKEY_RSA; }

  std::string Pkcs8Der() const override {
    bssl::ScopedCBB cbb;
    uint8_t* der = nullptr;
    size_t bytes = 0;
    if (!CBB_init(cbb.get(), 2048) || !EVP_marshal_private_key(cbb.get(), key_.get()) ||
        !CBB_finish(cbb.get(), &der, &bytes)) {
      return "";
    }
    const bssl::UniquePtr<uint8_t> owned(der);  // OPENSSL_free overwrites it.
    return std::string(AsText(ByteView(der, bytes)));
  }

 private:
  const bssl::UniquePtr<EVP_PKEY> key_;
};

}  // namespace

std::shared_ptr<const PrivateKey> NewPrivateKey(EVP_PKEY* key) {
  return std::make_shared<NativeKey>(key);
}

absl::StatusOr<std::shared_ptr<const PrivateKey>> PrivateKey::FromPem(
    absl::string_view pem, PassphraseCallback* passphrases, absl::string_view name) {
  absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> key = ReadPrivateKeyPem(pem, passphrases, name);
  if (!key.ok()) return key.status();
  return NewPrivateKey(key->get());
}

}  // namespace trestle
