#include "lib/tls/ech/ech_inner_hello.h"

#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/wire/tls_records.h"
#include "trestle/base/error.h"
#include "trestle/tls/ech_key_opener.h"
#include "trestle/tls/ech_keys.h"
#include "trestle/tls/ech_pairs.h"
#include "trestle/wire/client_hello.h"

namespace trestle {
namespace {

constexpr size_t kRecordHeaderBytes = 5;
constexpr size_t kMaxRecordBytes = 16384;
constexpr size_t kMessageHeaderBytes = 4;
constexpr size_t kRandomAt = kMessageHeaderBytes + 2;
constexpr size_t kRandomBytes = 32;
constexpr size_t kConfirmationBytes = 8;  // RFC 9849 7.2.
constexpr uint8_t kAlertRecord = 21;
constexpr uint8_t kServerHelloMessage = 2;
constexpr uint8_t kMessageHash = 254;  // RFC 8446 4.4.1.
constexpr uint16_t kTls13 = 0x0304;
// RFC 8446 4.1.3: the SHA-256 of "HelloRetryRequest".
constexpr absl::string_view kRetryRandom(
    "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c"
    "\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c",
    kRandomBytes);

// A temporary pair: the client encrypts with it, and this opens the hello again.
constexpr char kPublicName[] = "outer.invalid";

constexpr absl::string_view kLacks =
    "as a backend for encrypted hellos (ECH) it must confirm inner hellos (RFC 9849 7.2), as "
    "servers "
    "with BoringSSL, AWS-LC or Go 1.24 do: the clients' handshakes would fail";

bssl::UniquePtr<SSL> NewClient(SSL_CTX* context, const std::string& server_name,
                               const std::vector<std::string>& alpn, absl::string_view configs) {
  bssl::UniquePtr<SSL> ssl(SSL_new(context));
  std::string protocols;
  for (const std::string& protocol : alpn) {
    protocols += static_cast<char>(protocol.size());
    protocols += protocol;
  }
  if (ssl == nullptr || !SSL_set_tlsext_host_name(ssl.get(), server_name.c_str()) ||
      SSL_set_alpn_protos(ssl.get(), AsBytes(protocols).data(), protocols.size()) != 0 ||
      !SSL_set1_ech_config_list(ssl.get(), AsBytes(configs).data(), configs.size())) {
    return nullptr;
  }
  SSL_set_connect_state(ssl.get());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  return ssl;
}

// Returns the records of a client's outer hello; empty if there is none.
std::string OuterHello(const std::string& server_name, const std::vector<std::string>& alpn,
                       absl::string_view configs) {
  const bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(TLS_method()));
  if (context == nullptr) return "";
  SSL_CTX_set_grease_enabled(context.get(), 1);
  const bssl::UniquePtr<SSL> ssl = NewClient(context.get(), server_name, alpn, configs);
  if (ssl == nullptr) return "";
  SSL_do_handshake(ssl.get());
  ERR_clear_error();
  const uint8_t* bytes = nullptr;
  size_t size = 0;
  if (!BIO_mem_contents(SSL_get_wbio(ssl.get()), &bytes, &size)) return "";
  return std::string(AsText(ByteView(bytes, size)));
}

// The parts of a ServerHello that a confirmation depends on.
struct ServerHello {
  uint16_t suite = 0;
  bool is_retry = false;
  bool is_tls13 = false;
  size_t confirmation_at = 0;  // In the message; 0 if there is none.
};

std::optional<ServerHello> ReadServerHello(ByteView message) {
  ServerHello hello;
  CBS in(bssl::Span<const uint8_t>(message.data(), message.size()));
  CBS random;
  CBS session_id;
  CBS extensions;
  uint8_t compression = 0;
  if (!CBS_skip(&in, kRandomAt) || !CBS_get_bytes(&in, &random, kRandomBytes) ||
      !CBS_get_u8_length_prefixed(&in, &session_id) || !CBS_get_u16(&in, &hello.suite) ||
      !CBS_get_u8(&in, &compression)) {
    return std::nullopt;
  }
  hello.is_retry = AsText(ByteView(CBS_data(&random), kRandomBytes)) == kRetryRandom;
  hello.confirmation_at = hello.is_retry ? 0 : kRandomAt + kRandomBytes - kConfirmationBytes;
  if (CBS_len(&in) == 0) return hello;  // Before TLS 1.3, extensions may be missing.
  if (!CBS_get_u16_length_prefixed(&in, &extensions)) return std::nullopt;
  while (CBS_len(&extensions) > 0) {
    uint16_t type = 0;
    uint16_t version = 0;
    CBS body;
    if (!CBS_get_u16(&extensions, &type) || !CBS_get_u16_length_prefixed(&extensions, &body)) {
      return std::nullopt;
    }
    if (type == kExtensionSupportedVersions) {
      hello.is_tls13 = CBS_get_u16(&body, &version) && version == kTls13;
    } else if (type == kExtensionEncryptedClientHello && hello.is_retry &&
               CBS_len(&body) == kConfirmationBytes) {
      hello.confirmation_at = static_cast<size_t>(CBS_data(&body) - message.data());
    }
  }
  return hello;
}

const EVP_MD* HashOf(uint16_t suite) {
  switch (suite) {
    case 0x1301:
    case 0x1303:
      return EVP_sha256();
    case 0x1302:
      return EVP_sha384();
    default:
      return nullptr;
  }
}

std::string HashText(const EVP_MD* hash, absl::string_view text) {
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, hash, nullptr);
  return std::string(AsText(ByteView(digest.data(), size)));
}

// RFC 9849 7.2 and 7.2.1; the label of RFC 8446 7.1.
std::string Confirmation(const EVP_MD* hash, bool is_retry, absl::string_view client_random,
                         absl::string_view transcript) {
  const absl::string_view label =
      is_retry ? "tls13 hrr ech accept confirmation" : "tls13 ech accept confirmation";
  const std::string context = HashText(hash, transcript);
  const std::string info = absl::StrCat(
      std::string({'\0', static_cast<char>(kConfirmationBytes), static_cast<char>(label.size())}),
      label, std::string(1, static_cast<char>(context.size())), context);
  const std::string salt(EVP_MD_size(hash), '\0');
  std::array<uint8_t, EVP_MAX_MD_SIZE> secret;
  size_t secret_bytes = 0;
  std::string out(kConfirmationBytes, '\0');
  const bool made = HKDF_extract(secret.data(), &secret_bytes, hash, AsBytes(client_random).data(),
                                 client_random.size(), AsBytes(salt).data(), salt.size()) &&
                    HKDF_expand(reinterpret_cast<uint8_t*>(&out[0]), out.size(), hash,
                                secret.data(), secret_bytes, AsBytes(info).data(), info.size());
  return made ? out : "";
}

std::string Transcript(const EVP_MD* hash, bool is_retry, absl::string_view client_hello,
                       absl::string_view server_hello) {
  if (!is_retry) return absl::StrCat(client_hello, server_hello);
  const std::string digest = HashText(hash, client_hello);
  const std::string header = {static_cast<char>(kMessageHash), '\0', '\0',
                              static_cast<char>(digest.size())};
  return absl::StrCat(header, digest, server_hello);
}

}  // namespace

absl::StatusOr<std::unique_ptr<EchInnerHello>> EchInnerHello::Create(
    const std::string& server_name, const std::vector<std::string>& alpn) {
  EchPairOptions options;
  options.public_name = kPublicName;
  const absl::StatusOr<std::string> pem = MakeEchPair(options);
  if (!pem.ok()) return pem.status();
  absl::StatusOr<std::shared_ptr<EchKeys>> keys = EchKeys::FromPem(*pem);
  if (!keys.ok()) return keys.status();
  std::string configs;
  absl::Base64Unescape((*keys)->PublishedConfigs(), &configs);
  ClientHelloReader reader;
  const std::string outer = OuterHello(server_name, alpn, configs);
  absl::StatusOr<std::shared_ptr<EchKeyOpener>> opener = EchKeyOpener::Create(*std::move(keys));
  if (!opener.ok()) return opener.status();
  if (reader.Feed(AsBytes(outer)) == HelloState::kDone) {
    EchOpening opening = (*opener)->Open(reader.hello(), Endpoint(), MonotonicTime());
    if (opening.inner != nullptr) {
      return absl::WrapUnique(new EchInnerHello(std::move(opening.inner)));
    }
  }
  return ConfigurationError(absl::StrCat("no encrypted hello can be made for the name \"",
                                         absl::CHexEscape(server_name), "\""));
}

EchInnerHello::EchInnerHello(std::unique_ptr<const InnerHello> hello)
    : hello_(std::move(hello)),
      to_send_(wire_internal::InHandshakeRecords(AsBytes(hello_->message), 0x0301)) {}

EchInnerHello::State EchInnerHello::Feed(ByteView bytes) {
  if (state_ != State::kNeedMore) return state_;
  received_.append(AsText(bytes).data(), bytes.size());
  while (state_ == State::kNeedMore && TakeRecord()) {
  }
  return state_;
}

EchInnerHello::State EchInnerHello::End() {
  if (state_ == State::kNeedMore) {
    Fail(absl::StrCat("the server closed the connection after an inner hello; ", kLacks));
  }
  return state_;
}

// Removes a whole record from `received_`; returns false if there is none.
bool EchInnerHello::TakeRecord() {
  if (received_.size() < kRecordHeaderBytes) return false;
  const ByteView record = AsBytes(received_);
  const size_t size = static_cast<size_t>(record[3] << 8 | record[4]);
  const bool is_tls = record[1] == 3 && size > 0 && size <= kMaxRecordBytes &&
                      (record[0] == wire_internal::kHandshakeRecord || record[0] == kAlertRecord);
  if (!is_tls) {
    Fail("the server doesn't answer an inner hello with TLS");
    return false;
  }
  if (record.size() < kRecordHeaderBytes + size) return false;
  const ByteView body = record.subspan(kRecordHeaderBytes, size);
  if (record[0] == kAlertRecord) {
    const uint8_t alert = body[body.size() - 1];
    Fail(absl::StrCat("the server rejects an inner hello with the alert ", AlertName(alert), "; ",
                      kLacks),
         alert);
    return false;
  }
  message_.append(AsText(body).data(), body.size());
  received_.erase(0, kRecordHeaderBytes + size);
  TakeMessage();
  return true;
}

void EchInnerHello::TakeMessage() {
  if (message_.size() < kMessageHeaderBytes) return;
  const ByteView message = AsBytes(message_);
  const size_t size =
      kMessageHeaderBytes + static_cast<size_t>(message[1] << 16 | message[2] << 8 | message[3]);
  if (message[0] != kServerHelloMessage || size > kMaxRecordBytes) {
    return Fail("the server doesn't answer an inner hello with a ServerHello");
  }
  if (message.size() >= size) Judge(message.first(size));
}

void EchInnerHello::Judge(ByteView server_hello) {
  const std::optional<ServerHello> read = ReadServerHello(server_hello);
  if (!read.has_value()) return Fail("the server sends a malformed ServerHello");
  const EVP_MD* const hash = HashOf(read->suite);
  if (!read->is_tls13 || hash == nullptr) {
    return Fail(absl::StrCat("the server doesn't speak TLS 1.3; ", kLacks));
  }
  if (read->confirmation_at != 0) {
    std::string without(AsText(server_hello));
    const std::string found = without.substr(read->confirmation_at, kConfirmationBytes);
    without.replace(read->confirmation_at, kConfirmationBytes, kConfirmationBytes, '\0');
    const absl::string_view hello = hello_->message;
    if (found == Confirmation(hash, read->is_retry, hello.substr(kRandomAt, kRandomBytes),
                              Transcript(hash, read->is_retry, hello, without))) {
      state_ = State::kConfirmed;
      return;
    }
  }
  Fail(absl::StrCat("the server doesn't confirm an inner hello; ", kLacks));
}

void EchInnerHello::Fail(std::string detail, std::optional<uint8_t> alert) {
  state_ = State::kFailed;
  Error error;
  error.code = alert.has_value() ? ErrorCode::kPeerAlert : ErrorCode::kProtocol;
  error.leg = Leg::kBack;
  error.phase = Phase::kHandshake;
  error.alert = alert;
  error.detail = std::move(detail);
  error_ = MakeError(error);
}

}  // namespace trestle
