#include "integrations/pkcs11/pkcs11_token.h"

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>

#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "integrations/pkcs11/pkcs11_failure.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

// The longest is that of RSA with 16384 bits.
constexpr size_t kMaxSignatureBytes = 2048;

std::vector<CK_SLOT_ID> SlotsWithTokens(CK_FUNCTION_LIST* functions) {
  // The first call makes modules look for new tokens.
  CK_ULONG count = 0;
  if (functions->C_GetSlotList(CK_TRUE, nullptr, &count) != CKR_OK) return {};
  std::vector<CK_SLOT_ID> slots(count);
  if (functions->C_GetSlotList(CK_TRUE, slots.data(), &count) != CKR_OK) return {};
  slots.resize(count);
  return slots;
}

bool ModuleFits(const Pkcs11Uri& uri, CK_FUNCTION_LIST* functions) {
  CK_INFO info;
  return functions->C_GetInfo(&info) == CKR_OK &&
         p11_kit_uri_match_module_info(uri.native(), &info) != 0;
}

bool SlotFits(const Pkcs11Uri& uri, CK_FUNCTION_LIST* functions, CK_SLOT_ID slot,
              CK_TOKEN_INFO& token) {
  CK_SLOT_INFO info;
  const CK_SLOT_ID wanted = p11_kit_uri_get_slot_id(uri.native());
  return (wanted == static_cast<CK_SLOT_ID>(-1) || wanted == slot) &&
         functions->C_GetSlotInfo(slot, &info) == CKR_OK &&
         p11_kit_uri_match_slot_info(uri.native(), &info) != 0 &&
         functions->C_GetTokenInfo(slot, &token) == CKR_OK &&
         (token.flags & CKF_TOKEN_INITIALIZED) != 0 &&
         p11_kit_uri_match_token_info(uri.native(), &token) != 0;
}

// Returns the value of a flag; false if the object has no such attribute.
bool HasFlag(CK_FUNCTION_LIST* functions, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
             CK_ATTRIBUTE_TYPE type) {
  CK_BBOOL value = CK_FALSE;
  CK_ATTRIBUTE attribute = {type, &value, sizeof(value)};
  return functions->C_GetAttributeValue(session, object, &attribute, 1) == CKR_OK &&
         value != CK_FALSE;
}

bool IsRefusalOfPin(CK_RV result) {
  switch (result) {
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
    case CKR_PIN_EXPIRED:
    case CKR_PIN_LOCKED:
      return true;
    default:
      return false;
  }
}

CK_UTF8CHAR* AsPin(std::string& pin) { return reinterpret_cast<CK_UTF8CHAR*>(&pin[0]); }

// The compiler may not remove stores to volatile objects.
void Overwrite(std::string& secret) {
  for (volatile char& c : secret) c = 0;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Pkcs11Token>> Pkcs11Token::Open(const Pkcs11Uri& uri,
                                                               std::string& refused_pin) {
  auto token = absl::WrapUnique(new Pkcs11Token(uri));
  absl::StatusOr<std::unique_ptr<Pkcs11Modules>> modules = Pkcs11Modules::Load(uri);
  if (!modules.ok()) return modules.status();
  token->modules_ = *std::move(modules);
  if (absl::Status slot = token->FindSlot(); !slot.ok()) return slot;
  absl::StatusOr<CK_SESSION_HANDLE> session = token->NewSession();
  if (!session.ok()) return session.status();
  token->login_session_ = *session;
  if (absl::Status login = token->LogIn(refused_pin); !login.ok()) return login;
  if (absl::Status key = token->FindKey(); !key.ok()) return key;
  if (absl::Status key = token->ReadKey(); !key.ok()) return key;
  token->ForgetPinUnlessNeeded();
  return std::shared_ptr<Pkcs11Token>(std::move(token));
}

Pkcs11Token::~Pkcs11Token() {
  absl::MutexLock lock(&mutex_);
  Overwrite(pin_);
  if (functions_ == nullptr) return;
  for (const CK_SESSION_HANDLE session : idle_) functions_->C_CloseSession(session);
  if (login_session_ != CK_INVALID_HANDLE) functions_->C_CloseSession(login_session_);
}

absl::Status Pkcs11Token::FindSlot() {
  size_t found = 0;
  for (CK_FUNCTION_LIST* functions : modules_->all()) {
    if (!ModuleFits(uri_, functions)) continue;
    for (const CK_SLOT_ID slot : SlotsWithTokens(functions)) {
      CK_TOKEN_INFO info;
      if (!SlotFits(uri_, functions, slot, info)) continue;
      ++found;
      functions_ = functions;
      slot_ = slot;
      needs_login_ = (info.flags & CKF_LOGIN_REQUIRED) != 0;
    }
  }
  if (found == 1) return absl::OkStatus();
  functions_ = nullptr;
  if (found == 0) return TokenIsAway(uri_.name(), "no such token is present");
  return ConfigurationError(
      absl::StrCat(uri_.name(), ": ", found, " tokens fit; add serial or token to the URI"));
}

absl::Status Pkcs11Token::LogIn(std::string& refused_pin) {
  absl::StatusOr<std::string> pin = uri_.ReadPin();
  if (!pin.ok()) return pin.status();
  if (pin->empty()) {
    if (!needs_login_) return absl::OkStatus();
    return ConfigurationError(
        absl::StrCat(uri_.name(), uri_.pin_file().empty()
                                      ? ": the token needs a PIN; name its file by pin-source"
                                      : ": the file of pin-source has no PIN in its first line"));
  }
  if (*pin == refused_pin) {
    return ConfigurationError(absl::StrCat(
        uri_.name(), ": the token has refused the PIN in ", uri_.pin_file(),
        "; it is not tried again before the file changes, so that the token isn't locked"));
  }
  absl::MutexLock lock(&mutex_);
  const CK_RV result = functions_->C_Login(login_session_, CKU_USER, AsPin(*pin), pin->size());
  absl::Status status;
  if (IsRefusalOfPin(result)) {
    refused_pin = *pin;
    status = ConfigurationError(absl::StrCat(uri_.name(), ": the token refuses the PIN in ",
                                             uri_.pin_file(), ": ", p11_kit_strerror(result)));
  } else if (result != CKR_OK && result != CKR_USER_ALREADY_LOGGED_IN) {
    status = Pkcs11Failure(uri_.name(), "log in", result);
  }
  pin_.swap(*pin);
  return status;
}

absl::Status Pkcs11Token::FindKey() {
  CK_ULONG count = 0;
  CK_ATTRIBUTE* const given = p11_kit_uri_get_attributes(uri_.native(), &count);
  std::vector<CK_ATTRIBUTE> wanted;
  for (CK_ULONG i = 0; i < count; ++i) {
    if (given[i].type != CKA_CLASS) wanted.push_back(given[i]);
  }
  CK_OBJECT_CLASS private_key = CKO_PRIVATE_KEY;
  wanted.push_back({CKA_CLASS, &private_key, sizeof(private_key)});
  std::array<CK_OBJECT_HANDLE, 2> found = {};
  CK_ULONG found_count = 0;
  CK_RV result = functions_->C_FindObjectsInit(login_session_, wanted.data(), wanted.size());
  if (result == CKR_OK) {
    result = functions_->C_FindObjects(login_session_, found.data(), found.size(), &found_count);
    functions_->C_FindObjectsFinal(login_session_);
  }
  if (result != CKR_OK) return Pkcs11Failure(uri_.name(), "search for the key", result);
  key_ = found[0];
  if (found_count == 1) return absl::OkStatus();
  return ConfigurationError(absl::StrCat(
      uri_.name(), found_count == 0 ? ": the token has no such private key"
                                    : ": several private keys fit; add id or object to the URI"));
}

absl::Status Pkcs11Token::ReadKey() {
  CK_ATTRIBUTE type = {CKA_KEY_TYPE, &key_type_, sizeof(key_type_)};
  const CK_RV result = functions_->C_GetAttributeValue(login_session_, key_, &type, 1);
  if (result != CKR_OK) return Pkcs11Failure(uri_.name(), "tell the type of the key", result);
  if (key_type_ != CKK_RSA && key_type_ != CKK_EC && key_type_ != CKK_EC_EDWARDS) {
    return ConfigurationError(
        absl::StrCat(uri_.name(), ": the key is neither RSA, EC nor Ed25519"));
  }
  if (!HasFlag(functions_, login_session_, key_, CKA_SIGN)) {
    return ConfigurationError(absl::StrCat(uri_.name(), ": the key may not sign (CKA_SIGN)"));
  }
  asks_each_time_ = HasFlag(functions_, login_session_, key_, CKA_ALWAYS_AUTHENTICATE);
  return absl::OkStatus();
}

void Pkcs11Token::ForgetPinUnlessNeeded() {
  if (asks_each_time_) return;
  absl::MutexLock lock(&mutex_);
  Overwrite(pin_);
  pin_.clear();
}

absl::StatusOr<CK_SESSION_HANDLE> Pkcs11Token::NewSession() {
  CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
  const CK_RV result =
      functions_->C_OpenSession(slot_, CKF_SERIAL_SESSION, nullptr, nullptr, &session);
  if (result != CKR_OK) return Pkcs11Failure(uri_.name(), "open a session", result);
  return session;
}

absl::StatusOr<CK_SESSION_HANDLE> Pkcs11Token::TakeSession() {
  {
    absl::MutexLock lock(&mutex_);
    if (!idle_.empty()) {
      const CK_SESSION_HANDLE session = idle_.back();
      idle_.pop_back();
      return session;
    }
  }
  return NewSession();
}

absl::StatusOr<std::string> Pkcs11Token::Sign(SignatureScheme scheme, ByteView input) {
  std::optional<Pkcs11Mechanism> mechanism = Pkcs11Mechanism::For(key_type_, scheme, input);
  if (!mechanism.has_value()) {
    return MakeError(ErrorCode::kInternal, Phase::kHandshake,
                     absl::StrCat(uri_.name(), ": the key has no signatures of this scheme"));
  }
  absl::StatusOr<CK_SESSION_HANDLE> session = TakeSession();
  if (!session.ok()) return session.status();
  absl::StatusOr<std::string> signature = SignIn(*session, *mechanism);
  if (!signature.ok()) {
    // It may be in the middle of a signature.
    functions_->C_CloseSession(*session);
    return signature;
  }
  {
    absl::MutexLock lock(&mutex_);
    idle_.push_back(*session);
  }
  std::optional<std::string> made = mechanism->ToTls(*std::move(signature));
  if (made.has_value()) return *std::move(made);
  return MakeError(ErrorCode::kInternal, Phase::kHandshake,
                   absl::StrCat(uri_.name(), ": the token's signature has an unknown form"));
}

absl::StatusOr<std::string> Pkcs11Token::SignIn(CK_SESSION_HANDLE session,
                                                Pkcs11Mechanism& mechanism) {
  CK_MECHANISM native = {mechanism.type, nullptr, 0};
  if (mechanism.pss.has_value()) {
    native.pParameter = &*mechanism.pss;
    native.ulParameterLen = sizeof(*mechanism.pss);
  }
  CK_RV result = functions_->C_SignInit(session, &native, key_);
  if (result != CKR_OK) return Pkcs11Failure(uri_.name(), "begin a signature", result);
  if (asks_each_time_) {
    if (absl::Status login = LogInForOneSignature(session); !login.ok()) return login;
  }
  std::string signature(kMaxSignatureBytes, '\0');
  CK_ULONG bytes = signature.size();
  result =
      functions_->C_Sign(session, reinterpret_cast<CK_BYTE*>(&mechanism.data[0]),
                         mechanism.data.size(), reinterpret_cast<CK_BYTE*>(&signature[0]), &bytes);
  if (result != CKR_OK) return Pkcs11Failure(uri_.name(), "sign", result);
  signature.resize(bytes);
  return signature;
}

// The token accepted this PIN when it was opened, so the PIN has changed since then if it is
// refused. It is not sent again.
absl::Status Pkcs11Token::LogInForOneSignature(CK_SESSION_HANDLE session) {
  absl::MutexLock lock(&mutex_);
  if (pin_is_refused_) return Pkcs11Failure(uri_.name(), "sign", CKR_PIN_INCORRECT);
  const CK_RV result = functions_->C_Login(session, CKU_CONTEXT_SPECIFIC, AsPin(pin_), pin_.size());
  if (result == CKR_OK) return absl::OkStatus();
  pin_is_refused_ = IsRefusalOfPin(result);
  return Pkcs11Failure(uri_.name(), "log in for a signature", result);
}

}  // namespace trestle
