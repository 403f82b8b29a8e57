#include "integrations/pkcs11/pkcs11_key.h"

#include <utility>

#include "absl/memory/memory.h"
#include "integrations/pkcs11/pkcs11_failure.h"
#include "integrations/pkcs11/pkcs11_token.h"

namespace trestle {

absl::StatusOr<std::shared_ptr<const Pkcs11Key>> Pkcs11Key::Create(const std::string& uri) {
  absl::StatusOr<Pkcs11Uri> parsed = Pkcs11Uri::Parse(uri);
  if (!parsed.ok()) return parsed.status();
  return absl::WrapUnique(new Pkcs11Key(*std::move(parsed)));
}

Pkcs11Key::~Pkcs11Key() = default;

absl::Status Pkcs11Key::Open() const {
  bool is_new = false;
  return OpenToken(is_new).status();
}

absl::StatusOr<std::string> Pkcs11Key::Sign(SignatureScheme scheme, ByteView input) const {
  for (;;) {
    bool is_new = false;
    absl::StatusOr<std::shared_ptr<Pkcs11Token>> token = OpenToken(is_new);
    if (!token.ok()) return token.status();
    absl::StatusOr<std::string> signature = (*token)->Sign(scheme, input);
    if (signature.ok() || !IsAway(signature.status())) return signature;
    Drop(*token);
    // A restarted token has lost its sessions. It works again once it is opened anew.
    if (is_new) return signature;
  }
}

bool Pkcs11Key::is_rsa() const {
  absl::MutexLock lock(&mutex_);
  return token_ != nullptr && token_->is_rsa();
}

// Returns the open token, and sets `is_new` if this call opened it.
absl::StatusOr<std::shared_ptr<Pkcs11Token>> Pkcs11Key::OpenToken(bool& is_new) const {
  absl::MutexLock opening(&opening_);
  {
    absl::MutexLock lock(&mutex_);
    if (token_ != nullptr) return token_;
  }
  is_new = true;
  absl::StatusOr<std::shared_ptr<Pkcs11Token>> token = Pkcs11Token::Open(uri_, refused_pin_);
  if (!token.ok()) return token;
  absl::MutexLock lock(&mutex_);
  token_ = *token;
  return token;
}

// Forgets `token`. It is closed when no other thread uses it.
void Pkcs11Key::Drop(const std::shared_ptr<Pkcs11Token>& token) const {
  absl::MutexLock lock(&mutex_);
  if (token_ == token) token_ = nullptr;
}

}  // namespace trestle
