#include "trestle/wire/ech_opener.h"

#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

// RFC 8446 6.2.
constexpr uint8_t kIllegalParameter = 47;
constexpr uint8_t kDecodeError = 50;
constexpr uint8_t kDecryptError = 51;
constexpr uint8_t kMissingExtension = 109;

struct FaultRow {
  absl::string_view name;
  uint8_t alert;
  absl::string_view detail;
};

FaultRow RowOf(EchFault fault) {
  switch (fault) {
    case EchFault::kInnerInClear:
      return {"inner_in_clear", kIllegalParameter,
              "a hello marked as inner, which only a router sends, to its backend"};
    case EchFault::kUnreadable:
      return {"unreadable", kDecodeError, "the encrypted part is not a ClientHello"};
    case EchFault::kPadding:
      return {"padding", kIllegalParameter, "the padding of the inner hello is not zero"};
    case EchFault::kSessionId:
      return {"session_id", kIllegalParameter, "the inner hello has its own session id"};
    case EchFault::kReferences:
      return {"references", kDecodeError, "a malformed ech_outer_extensions extension"};
    case EchFault::kReferenceMissing:
      return {"reference_missing", kIllegalParameter,
              "ech_outer_extensions refers to an extension that the outer hello lacks"};
    case EchFault::kReferenceRepeated:
      return {"reference_repeated", kIllegalParameter,
              "ech_outer_extensions refers to an extension twice"};
    case EchFault::kReferenceOrder:
      return {"reference_order", kIllegalParameter,
              "ech_outer_extensions has another order than the outer hello"};
    case EchFault::kReferenceToEch:
      return {"reference_to_ech", kIllegalParameter,
              "ech_outer_extensions refers to encrypted_client_hello"};
    case EchFault::kReferenceToList:
      return {"reference_to_list", kIllegalParameter, "ech_outer_extensions refers to itself"};
    case EchFault::kNoInnerMarker:
      return {"no_inner_marker", kIllegalParameter, "the inner hello is not marked as inner"};
    case EchFault::kOldVersion:
      return {"old_version", kIllegalParameter, "the inner hello offers TLS 1.2 or older"};
    case EchFault::kMalformedInner:
      return {"malformed_inner", kDecodeError, "a malformed inner hello"};
    case EchFault::kInnerTooLarge:
      return {"inner_too_large", kDecodeError, "the inner hello is too large"};
    case EchFault::kSecondWithout:
      return {"second_without", kMissingExtension, "the second hello is not encrypted"};
    case EchFault::kSecondParameters:
      return {"second_parameters", kIllegalParameter,
              "the second hello has another config id or cipher suite for ECH"};
    case EchFault::kSecondKey:
      return {"second_key", kIllegalParameter, "the second hello repeats the encapsulated key"};
    case EchFault::kSecondUndecrypted:
      return {"second_undecrypted", kDecryptError, "the second hello can't be decrypted"};
    case EchFault::kSecondName:
      return {"second_name", kIllegalParameter, "the second inner hello has another server name"};
    case EchFault::kSecondAlpn:
      return {"second_alpn", kIllegalParameter, "the second inner hello offers other protocols"};
  }
  return {"unknown", kIllegalParameter, "an unknown fault"};
}

}  // namespace

absl::string_view EnumName(EchVerdict verdict) {
  switch (verdict) {
    case EchVerdict::kNotOffered:
      return "not_offered";
    case EchVerdict::kNoKey:
      return "no_key";
    case EchVerdict::kNotDecrypted:
      return "not_decrypted";
    case EchVerdict::kOverBudget:
      return "over_budget";
    case EchVerdict::kOpened:
      return "opened";
    case EchVerdict::kMalformed:
      return "malformed";
  }
  return "unknown";
}

absl::string_view EnumName(EchFault fault) { return RowOf(fault).name; }

uint8_t EchFaultAlert(EchFault fault) { return RowOf(fault).alert; }

absl::Status EchFaultError(EchFault fault, absl::string_view reason) {
  const FaultRow row = RowOf(fault);
  return MakeError({ErrorCode::kMalformedHello, Leg::kFront, Phase::kHello, row.alert,
                    absl::StrCat("ECH: ", row.detail, reason.empty() ? "" : ": ", reason)});
}

}  // namespace trestle
