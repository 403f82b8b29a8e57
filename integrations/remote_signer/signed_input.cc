#include "integrations/remote_signer/signed_input.h"

#include <cstddef>
#include <string>

#include "trestle/pki/signer_proof.h"

namespace trestle {
namespace {

constexpr size_t kRandomBytes = 32;
constexpr uint8_t kNamedCurve = 3;

bool IsVerify(absl::string_view text, SigningSide side) {
  const std::string prefix = CertificateVerifyInput(side, {});
  if (text.substr(0, prefix.size()) != prefix) return false;
  const size_t hash_bytes = text.size() - prefix.size();
  return hash_bytes == 32 || hash_bytes == 48;
}

// Returns the length of a curve's points; 0 for other curves. `first` is the point's first byte.
size_t PointBytes(unsigned curve, uint8_t first) {
  constexpr uint8_t kUncompressed = 4;
  if (curve == 29) return 32;  // X25519 has no first byte of that kind.
  if (first != kUncompressed) return 0;
  switch (curve) {
    case 23:
      return 65;
    case 24:
      return 97;
    case 25:
      return 133;
    default:
      return 0;
  }
}

bool IsServerKeyExchange(ByteView input) {
  constexpr size_t kHeadBytes = 2 * kRandomBytes + 4;
  if (input.size() <= kHeadBytes) return false;
  const ByteView parameters = input.subspan(2 * kRandomBytes);
  const unsigned curve = static_cast<unsigned>(parameters[1] << 8 | parameters[2]);
  const size_t point_bytes = PointBytes(curve, parameters[4]);
  return parameters[0] == kNamedCurve && point_bytes > 0 && parameters[3] == point_bytes &&
         input.size() == kHeadBytes + point_bytes;
}

}  // namespace

absl::string_view EnumName(SignedInput kind) {
  switch (kind) {
    case SignedInput::kServerVerify:
      return "server_verify";
    case SignedInput::kClientVerify:
      return "client_verify";
    case SignedInput::kServerKeyExchange:
      return "server_key_exchange";
    case SignedInput::kOther:
      return "other";
  }
  return "other";
}

SignedInput SignedInputOf(ByteView input) {
  if (IsVerify(AsText(input), SigningSide::kServer)) return SignedInput::kServerVerify;
  if (IsVerify(AsText(input), SigningSide::kClient)) return SignedInput::kClientVerify;
  if (IsServerKeyExchange(input)) return SignedInput::kServerKeyExchange;
  return SignedInput::kOther;
}

}  // namespace trestle
