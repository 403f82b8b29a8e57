// The protocol between RemoteSigner and SigningServer: requests for signatures and their answers,
// in any order, over one stream.
#ifndef TRESTLE_INTEGRATIONS_REMOTE_SIGNER_SIGNING_PROTOCOL_H_
#define TRESTLE_INTEGRATIONS_REMOTE_SIGNER_SIGNING_PROTOCOL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/base/bytes.h"
#include "trestle/pki/signer.h"

namespace trestle {

/// The SHA-256 of a public key, as in pins (RFC 7469 2.4). It names a key.
using SpkiSha256 = std::array<uint8_t, 32>;

/// Returns the digest of the public key of the first certificate in `chain_pem`. Fails with
/// ErrorCode::kConfiguration if that can't be read.
absl::StatusOr<SpkiSha256> SpkiSha256Of(absl::string_view chain_pem);

/// What a server says to a request.
enum class SigningVerdict : uint8_t {
  kSigned = 0,      ///< The text is the signature.
  kUnknownKey = 1,  ///< The server has no such key, or this client may not use it.
  kNotAllowed = 2,  ///< The input is nothing that a TLS server signs.
  kOverLimit = 3,   ///< Too many requests wait.
  kFailed = 4,      ///< The key can't make this signature now. The text has the reason.
};

/// Returns the name of a verdict, as the audit log has it: "unknown_key".
absl::string_view EnumName(SigningVerdict verdict);

struct SigningRequest {
  uint32_t id = 0;  ///< Chosen by the client; the answer has it.
  SpkiSha256 key = {};
  SignatureScheme scheme = {};
  std::string input;
};

struct SigningAnswer {
  uint32_t id = 0;
  SigningVerdict verdict = SigningVerdict::kFailed;
  std::string text;
};

// A frame is its length (32 bits, big-endian, without these four bytes) and its content. Integers
// are big-endian. A request: id (32 bits), key (32 bytes), scheme (16 bits), input. An answer: id
// (32 bits), verdict (8 bits), text.

/// The longest content of a frame. An RSA-16384 signature and every input that a server signs fit.
inline constexpr size_t kMaxSigningFrameBytes = 4096;

/// Returns the frame of a request or an answer. The caller keeps the limit.
std::string EncodeFrame(const SigningRequest& request);
std::string EncodeFrame(const SigningAnswer& answer);

/// Reads the content of a frame; nothing if it has not the form.
std::optional<SigningRequest> DecodeRequest(ByteView content);
std::optional<SigningAnswer> DecodeAnswer(ByteView content);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_REMOTE_SIGNER_SIGNING_PROTOCOL_H_
