#include "integrations/remote_signer/signing_protocol.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"
#include "trestle/pki/sha256.h"

namespace trestle {
namespace {

constexpr size_t kRequestHeadBytes = 4 + 32 + 2;
constexpr size_t kAnswerHeadBytes = 4 + 1;

void AppendNumber(std::string& out, uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(value >> shift));
  }
}

uint32_t NumberOf(ByteView bytes) {
  uint32_t value = 0;
  for (const uint8_t byte : bytes) value = value << 8 | byte;
  return value;
}

std::string WithLength(const std::string& content) {
  std::string frame;
  AppendNumber(frame, content.size(), 4);
  return frame + content;
}

}  // namespace

absl::StatusOr<SpkiSha256> SpkiSha256Of(absl::string_view chain_pem) {
  const bssl::UniquePtr<BIO> text(
      BIO_new_mem_buf(chain_pem.data(), static_cast<ossl_ssize_t>(chain_pem.size())));
  const bssl::UniquePtr<X509> leaf(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
  uint8_t* der = nullptr;
  const int bytes = leaf == nullptr ? -1 : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf.get()), &der);
  ERR_clear_error();
  if (bytes <= 0) return ConfigurationError("the chain does not begin with a certificate");
  const bssl::UniquePtr<uint8_t> owned(der);
  return Sha256(ByteView(der, static_cast<size_t>(bytes)));
}

absl::string_view EnumName(SigningVerdict verdict) {
  switch (verdict) {
    case SigningVerdict::kSigned:
      return "signed";
    case SigningVerdict::kUnknownKey:
      return "unknown_key";
    case SigningVerdict::kNotAllowed:
      return "not_allowed";
    case SigningVerdict::kOverLimit:
      return "over_limit";
    case SigningVerdict::kFailed:
      return "failed";
  }
  return "unknown";
}

std::string EncodeFrame(const SigningRequest& request) {
  std::string content;
  AppendNumber(content, request.id, 4);
  absl::StrAppend(&content, AsText(ByteView(request.key.data(), request.key.size())));
  AppendNumber(content, static_cast<uint16_t>(request.scheme), 2);
  absl::StrAppend(&content, request.input);
  return WithLength(content);
}

std::string EncodeFrame(const SigningAnswer& answer) {
  std::string content;
  AppendNumber(content, answer.id, 4);
  AppendNumber(content, static_cast<uint8_t>(answer.verdict), 1);
  absl::StrAppend(&content, answer.text);
  return WithLength(content);
}

std::optional<SigningRequest> DecodeRequest(ByteView content) {
  if (content.size() < kRequestHeadBytes) return std::nullopt;
  SigningRequest request;
  request.id = NumberOf(content.subspan(0, 4));
  std::copy_n(content.begin() + 4, request.key.size(), request.key.begin());
  request.scheme = static_cast<SignatureScheme>(NumberOf(content.subspan(36, 2)));
  request.input = std::string(AsText(content.subspan(kRequestHeadBytes)));
  return request;
}

std::optional<SigningAnswer> DecodeAnswer(ByteView content) {
  if (content.size() < kAnswerHeadBytes) return std::nullopt;
  if (content[4] > static_cast<uint8_t>(SigningVerdict::kFailed)) return std::nullopt;
  SigningAnswer answer;
  answer.id = NumberOf(content.subspan(0, 4));
  answer.verdict = static_cast<SigningVerdict>(content[4]);
  answer.text = std::string(AsText(content.subspan(kAnswerHeadBytes)));
  return answer;
}

}  // namespace trestle
