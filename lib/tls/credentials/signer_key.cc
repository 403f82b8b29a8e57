#include "lib/tls/credentials/signer_key.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/pki/signature.h"
#include "lib/tls/credentials/signing_state.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

int KeyIndex() {
  static const int index = SSL_CREDENTIAL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

const SignerKey& KeyOf(const SSL* ssl) {
  return *static_cast<const SignerKey*>(
      SSL_CREDENTIAL_get_ex_data(SSL_get0_selected_credential(ssl), KeyIndex()));
}

ssl_private_key_result_t Fail(SigningState& record, Error why) {
  why.detail = absl::StrCat("the signer of the certificate's key failed: ", why.detail);
  record.signing_failure = std::make_unique<Error>(std::move(why));
  record.signature = nullptr;
  return ssl_private_key_failure;
}

ssl_private_key_result_t Fail(SigningState& record, absl::string_view why) {
  Error error;
  error.code = ErrorCode::kInternal;
  error.detail = std::string(why);
  return Fail(record, std::move(error));
}

// Verifies each signature here, so that a signer's mistake or a computation fault never leaves this
// process.
ssl_private_key_result_t Complete(SSL* ssl, uint8_t* out, size_t* out_bytes, size_t max_out_bytes) {
  SigningState& record = SigningState::Of(ssl);
  PendingSignature& pending = *record.signature;
  if (!pending.answer.answered()) return ssl_private_key_retry;
  const absl::StatusOr<std::string>& answer = pending.answer.answer();
  if (!answer.ok()) {
    if (std::optional<Error> error = GetError(answer.status())) {
      return Fail(record, *std::move(error));
    }
    return Fail(record, answer.status().message());
  }
  if (answer->size() > max_out_bytes ||
      !VerifySignature(KeyOf(ssl).public_key.get(), pending.scheme, AsBytes(pending.input),
                       AsBytes(*answer))) {
    return Fail(record, "its signature is not one by the certificate's key");
  }
  std::copy(answer->begin(), answer->end(), out);
  *out_bytes = answer->size();
  record.signature = nullptr;
  return ssl_private_key_success;
}

ssl_private_key_result_t Sign(SSL* ssl, uint8_t* out, size_t* out_bytes, size_t max_out_bytes,
                              uint16_t scheme, const uint8_t* in, size_t in_bytes) {
  SigningState& record = SigningState::Of(ssl);
  record.signature = std::make_unique<PendingSignature>(PendingSignature{
      static_cast<SignatureScheme>(scheme), std::string(AsText(ByteView(in, in_bytes)))});
  PendingSignature& pending = *record.signature;
  std::unique_ptr<PendingCall> call = KeyOf(ssl).signer->Sign(
      pending.scheme, AsBytes(pending.input), record.scheduler, pending.answer.Ask(record.wait));
  if (!pending.answer.answered()) record.wait.Keep("the signer", std::move(call));
  return Complete(ssl, out, out_bytes, max_out_bytes);
}

// Never called: RSA key exchange is off.
ssl_private_key_result_t Decrypt(SSL* /*ssl*/, uint8_t* /*out*/, size_t* /*out_bytes*/,
                                 size_t /*max_out_bytes*/, const uint8_t* /*in*/,
                                 size_t /*in_bytes*/) {
  return ssl_private_key_failure;
}

constexpr SSL_PRIVATE_KEY_METHOD kMethod = {Sign, Decrypt, Complete};

}  // namespace

bool SignerKey::AttachTo(SSL_CREDENTIAL* credential) {
  return SSL_CREDENTIAL_set_private_key_method(credential, &kMethod) == 1 &&
         SSL_CREDENTIAL_set_ex_data(credential, KeyIndex(), this) == 1;
}

}  // namespace trestle
