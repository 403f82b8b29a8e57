#include "integrations/pkcs11/pkcs11_failure.h"

#include <p11-kit/p11-kit.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

ErrorCode CodeOf(CK_RV result) {
  switch (result) {
    case CKR_CRYPTOKI_NOT_INITIALIZED:
    case CKR_DEVICE_ERROR:
    case CKR_DEVICE_MEMORY:
    case CKR_DEVICE_REMOVED:
    case CKR_FUNCTION_FAILED:
    case CKR_GENERAL_ERROR:
    case CKR_HOST_MEMORY:
    case CKR_KEY_HANDLE_INVALID:
    case CKR_OBJECT_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SLOT_ID_INVALID:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
    case CKR_USER_NOT_LOGGED_IN:
      return ErrorCode::kTransport;
    case CKR_SESSION_COUNT:
      return ErrorCode::kOverLimit;
    default:
      return ErrorCode::kInternal;
  }
}

}  // namespace

absl::Status Pkcs11Failure(absl::string_view name, absl::string_view purpose, CK_RV result) {
  const char* const reason = p11_kit_strerror(result);
  return MakeError(
      CodeOf(result), Phase::kSetUp,
      absl::StrCat("the token of ", name, " can't ", purpose, ": ",
                   reason == nullptr ? "unknown reason" : reason, " (0x", absl::Hex(result), ")"));
}

absl::Status TokenIsAway(absl::string_view name, absl::string_view why) {
  return MakeError(ErrorCode::kTransport, Phase::kSetUp, absl::StrCat(name, ": ", why));
}

bool IsAway(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  return error.has_value() && error->code == ErrorCode::kTransport;
}

}  // namespace trestle
