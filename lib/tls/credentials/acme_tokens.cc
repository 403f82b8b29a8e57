#include "trestle/tls/acme_tokens.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/base/recent_map.h"
#include "lib/tls/credentials/acme_identifier.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/pki/sha256.h"

namespace trestle {
namespace {

// id-pe-acmeIdentifier (RFC 8737 6.1).
constexpr char kAcmeIdentifierOid[] = "1.3.6.1.5.5.7.1.31";
// The characters of a token (RFC 8555 8.1) and of a thumbprint (RFC 7638).
constexpr size_t kDigestBase64Bytes = 43;
constexpr size_t kMaxTokenBytes = 512;
// The validator ignores the dates; they need only be plausible.
constexpr absl::Duration kValidBefore = absl::Hours(1);
constexpr absl::Duration kValidAfter = absl::Hours(24 * 7);

bool IsBase64Url(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_';
  });
}

bssl::UniquePtr<EVP_PKEY> NewKey() {
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  const bool made = ec != nullptr && key != nullptr && EC_KEY_generate_key(ec.get()) &&
                    EVP_PKEY_set1_EC_KEY(key.get(), ec.get());
  return made ? std::move(key) : nullptr;
}

bool SetFrame(X509* certificate, EVP_PKEY* key, absl::Time now) {
  bssl::UniquePtr<BIGNUM> serial(BN_new());
  bssl::UniquePtr<X509_NAME> name(X509_NAME_new());
  static constexpr char kCommonName[] = "ACME challenge";
  return serial != nullptr && name != nullptr && X509_set_version(certificate, X509_VERSION_3) &&
         BN_rand(serial.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
         BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate)) != nullptr &&
         X509_NAME_add_entry_by_txt(name.get(), "CN", MBSTRING_UTF8, AsBytes(kCommonName).data(),
                                    sizeof(kCommonName) - 1, -1, 0) &&
         X509_set_subject_name(certificate, name.get()) &&
         X509_set_issuer_name(certificate, name.get()) && X509_set_pubkey(certificate, key) &&
         ASN1_TIME_set_posix(X509_getm_notBefore(certificate),
                             absl::ToUnixSeconds(now - kValidBefore)) &&
         ASN1_TIME_set_posix(X509_getm_notAfter(certificate),
                             absl::ToUnixSeconds(now + kValidAfter));
}

bool AddExtension(X509* certificate, const char* oid, bool critical, const CBB& value) {
  bssl::UniquePtr<ASN1_OBJECT> object(OBJ_txt2obj(oid, /*dont_search_names=*/1));
  bssl::UniquePtr<ASN1_OCTET_STRING> contents(ASN1_OCTET_STRING_new());
  if (object == nullptr || contents == nullptr ||
      !ASN1_OCTET_STRING_set(contents.get(), CBB_data(&value), static_cast<int>(CBB_len(&value)))) {
    return false;
  }
  bssl::UniquePtr<X509_EXTENSION> extension(
      X509_EXTENSION_create_by_OBJ(nullptr, object.get(), critical ? 1 : 0, contents.get()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1);
}

// The only name (RFC 8737 3).
bool AddName(X509* certificate, const AcmeIdentifier& identifier) {
  constexpr CBS_ASN1_TAG kDnsName = CBS_ASN1_CONTEXT_SPECIFIC | 2;
  constexpr CBS_ASN1_TAG kIpAddress = CBS_ASN1_CONTEXT_SPECIFIC | 7;
  const bool is_address = identifier.address.family() != Endpoint::Family::kNone;
  const ByteView contents =
      is_address ? identifier.address.address() : AsBytes(identifier.server_name);
  bssl::ScopedCBB value;
  CBB names;
  CBB name;
  return CBB_init(value.get(), 64) && CBB_add_asn1(value.get(), &names, CBS_ASN1_SEQUENCE) &&
         CBB_add_asn1(&names, &name, is_address ? kIpAddress : kDnsName) &&
         CBB_add_bytes(&name, contents.data(), contents.size()) && CBB_flush(value.get()) &&
         AddExtension(certificate, "2.5.29.17", /*critical=*/false, *value.get());
}

bool AddDigest(X509* certificate, ByteView digest) {
  bssl::ScopedCBB value;
  CBB octets;
  return CBB_init(value.get(), 64) && CBB_add_asn1(value.get(), &octets, CBS_ASN1_OCTETSTRING) &&
         CBB_add_bytes(&octets, digest.data(), digest.size()) && CBB_flush(value.get()) &&
         AddExtension(certificate, kAcmeIdentifierOid, /*critical=*/true, *value.get());
}

// Makes the certificate of RFC 8737 3 with its own key. Returns null if out of memory.
std::shared_ptr<SSL_CREDENTIAL> MakeAnswer(const AcmeIdentifier& identifier, ByteView digest,
                                           absl::Time now) {
  const bssl::UniquePtr<EVP_PKEY> key = NewKey();
  const bssl::UniquePtr<X509> certificate(X509_new());
  bssl::UniquePtr<SSL_CREDENTIAL> credential(SSL_CREDENTIAL_new_x509());
  if (key == nullptr || certificate == nullptr || credential == nullptr) return nullptr;
  if (!SetFrame(certificate.get(), key.get(), now) || !AddName(certificate.get(), identifier) ||
      !AddDigest(certificate.get(), digest) ||
      !X509_sign(certificate.get(), key.get(), EVP_sha256())) {
    return nullptr;
  }
  uint8_t* der = nullptr;
  const int der_bytes = i2d_X509(certificate.get(), &der);
  if (der_bytes <= 0) return nullptr;
  const bssl::UniquePtr<uint8_t> owned(der);
  const bssl::UniquePtr<CRYPTO_BUFFER> buffer(
      CRYPTO_BUFFER_new(der, static_cast<size_t>(der_bytes), nullptr));
  CRYPTO_BUFFER* const chain[] = {buffer.get()};
  // Never with SHA-1, which BoringSSL would sign with for some TLS 1.2 clients (RFC 9155).
  constexpr uint16_t kSchemes[] = {SSL_SIGN_ECDSA_SECP256R1_SHA256};
  if (buffer == nullptr || !SSL_CREDENTIAL_set1_cert_chain(credential.get(), chain, 1) ||
      !SSL_CREDENTIAL_set1_private_key(credential.get(), key.get()) ||
      !SSL_CREDENTIAL_set1_signing_algorithm_prefs(credential.get(), kSchemes, 1)) {
    return nullptr;
  }
  return std::shared_ptr<SSL_CREDENTIAL>(credential.release(), SSL_CREDENTIAL_free);
}

}  // namespace

struct AcmeTokens::Tokens {
  struct Token {
    Digest digest = {};
    std::shared_ptr<SSL_CREDENTIAL> answer;  // Made at the first challenge.
  };
  RecentMap<Token> by_name;
};

AcmeTokens::AcmeTokens() : AcmeTokens(nullptr) {}
AcmeTokens::AcmeTokens(Source source)
    : source_(std::move(source)), tokens_(std::make_unique<Tokens>()) {}
AcmeTokens::~AcmeTokens() = default;

absl::StatusOr<AcmeTokens::Digest> AcmeTokens::ReadKeyAuthorization(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  const size_t dot = text.find('.');
  Digest digest;
  if (dot == absl::string_view::npos) {
    std::string decoded;
    if (text.size() == kDigestBase64Bytes && IsBase64Url(text) &&
        absl::WebSafeBase64Unescape(text, &decoded) && decoded.size() == digest.size()) {
      std::copy(decoded.begin(), decoded.end(), digest.begin());
      return digest;
    }
  } else if (IsBase64Url(text.substr(0, dot)) && dot <= kMaxTokenBytes &&
             IsBase64Url(text.substr(dot + 1)) && text.size() - dot - 1 == kDigestBase64Bytes) {
    return Sha256(AsBytes(text));
  }
  return ConfigurationError(
      "no key authorization (token.thumbprint, as in RFC 8555 8.1), nor the SHA-256 of one in "
      "base64url");
}

absl::Status AcmeTokens::Set(absl::string_view identifier, absl::string_view key_authorization) {
  absl::StatusOr<AcmeIdentifier> parsed = AcmeIdentifier::Parse(identifier);
  if (!parsed.ok()) return parsed.status();
  const absl::StatusOr<Digest> digest = ReadKeyAuthorization(key_authorization);
  if (!digest.ok()) return digest.status();
  absl::MutexLock lock(&mutex_);
  auto& tokens = tokens_->by_name;
  if (tokens.size() >= kMaxTokens && tokens.Peek(parsed->server_name) == nullptr) {
    return ConfigurationError(absl::StrCat("there are ", kMaxTokens, " tokens already"));
  }
  *tokens.UseOrAdd(parsed->server_name).first = {*digest, nullptr};
  return absl::OkStatus();
}

void AcmeTokens::Remove(absl::string_view identifier) {
  const absl::StatusOr<AcmeIdentifier> parsed = AcmeIdentifier::Parse(identifier);
  if (!parsed.ok()) return;
  absl::MutexLock lock(&mutex_);
  tokens_->by_name.Drop(parsed->server_name);
}

size_t AcmeTokens::size() const {
  absl::MutexLock lock(&mutex_);
  return tokens_->by_name.size();
}

absl::Status AcmeTokens::AskSource(const std::string& server_name) {
  if (source_ == nullptr) return absl::OkStatus();
  const std::string identifier = AcmeIdentifier::FromServerName(server_name).text;
  const absl::StatusOr<std::string> key_authorization = source_(identifier);
  auto& tokens = tokens_->by_name;
  if (!key_authorization.ok() || key_authorization->empty()) {
    tokens.Drop(server_name);
    return key_authorization.status();
  }
  const absl::StatusOr<Digest> digest = ReadKeyAuthorization(*key_authorization);
  if (!digest.ok()) {
    return ConfigurationError(absl::StrCat("the ACME token for ", identifier,
                                           " is unusable: ", GetError(digest.status())->detail));
  }
  Tokens::Token& token = *tokens.UseOrAdd(server_name).first;
  if (token.digest != *digest) token = {*digest, nullptr};
  if (tokens.size() > kMaxTokens) tokens.DropOldest();
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<SSL_CREDENTIAL>> AcmeTokens::AnswerFor(absl::string_view server_name,
                                                                      absl::Time now) {
  if (server_name.empty()) return nullptr;
  absl::MutexLock lock(&mutex_);
  const std::string name(server_name);
  if (absl::Status asked = AskSource(name); !asked.ok()) return asked;
  Tokens::Token* const token = tokens_->by_name.Use(name);
  if (token == nullptr) return nullptr;
  if (token->answer == nullptr) {
    token->answer = MakeAnswer(AcmeIdentifier::FromServerName(name),
                               ByteView(token->digest.data(), token->digest.size()), now);
  }
  if (token->answer != nullptr) return token->answer;
  ERR_clear_error();
  Error error;
  error.code = ErrorCode::kInternal;
  error.detail = "no certificate could be made for an ACME challenge";
  return MakeError(std::move(error));
}

}  // namespace trestle
