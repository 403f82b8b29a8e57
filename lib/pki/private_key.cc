#include "trestle/pki/private_key.h"

#include <openssl/evp.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/pki/pem.h"
#include "lib/pki/signature.h"
#include "trestle/base/error.h"

namespace trestle {

absl::StatusOr<std::shared_ptr<const PrivateKey>> PrivateKey::FromPem(
    absl::string_view pem, PassphraseCallback* passphrases, absl::string_view name) {
  absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> key = ReadPrivateKeyPem(pem, passphrases, name);
  if (!key.ok()) return key.status();
  return Share(key->get());
}

std::shared_ptr<const PrivateKey> PrivateKey::Share(EVP_PKEY* native) {
  return std::shared_ptr<const PrivateKey>(new PrivateKey(native));
}

PrivateKey::PrivateKey(EVP_PKEY* native) : native_(native) { EVP_PKEY_up_ref(native); }

PrivateKey::~PrivateKey() { EVP_PKEY_free(native_); }

absl::StatusOr<std::string> PrivateKey::Sign(SignatureScheme scheme, ByteView input) const {
  std::optional<std::string> signature = MakeSignature(native_, scheme, input);
  if (signature.has_value()) return *std::move(signature);
  Error error;
  error.code = ErrorCode::kInternal;
  error.detail = absl::StrFormat("the private key makes no signatures of the scheme 0x%04x",
                                 static_cast<uint16_t>(scheme));
  return MakeError(error);
}

bool PrivateKey::is_rsa() const { return EVP_PKEY_id(native_) == EVP_PKEY_RSA; }

}  // namespace trestle
