#include "trestle/tls/ech_key_opener.h"

#include <openssl/err.h>
#include <openssl/hpke.h>

#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/tls/ech/ech_key_set.h"
#include "lib/tls/engine/tls_internals.h"
#include "lib/wire/inner_hello.h"
#include "trestle/base/bytes.h"

namespace trestle {
namespace {

constexpr size_t kMessageHeaderBytes = 4;
constexpr absl::string_view kInfoLabel("tls ech\0", 8);  // RFC 9849 6.1.

const EVP_HPKE_AEAD* AeadOf(uint16_t id) {
  for (const EVP_HPKE_AEAD* aead :
       {EVP_hpke_aes_128_gcm(), EVP_hpke_aes_256_gcm(), EVP_hpke_chacha20_poly1305()}) {
    if (EVP_HPKE_AEAD_id(aead) == id) return aead;
  }
  return nullptr;
}

// The payload's plaintext; empty if it can't be decrypted. The outer hello with zeros in place of
// the payload is authenticated too (RFC 9849 5.2).
std::optional<std::string> Decrypt(EVP_HPKE_CTX* context, const ClientHello& outer) {
  const ByteView payload = outer.ech->payload;
  std::string aad(AsText(outer.message.subspan(kMessageHeaderBytes)));
  const auto at = static_cast<size_t>(payload.data() - outer.message.data()) - kMessageHeaderBytes;
  std::memset(&aad[at], 0, payload.size());
  std::string plain(payload.size(), '\0');
  size_t bytes = 0;
  const bool opened =
      EVP_HPKE_CTX_open(context, reinterpret_cast<uint8_t*>(&plain[0]), &bytes, plain.size(),
                        payload.data(), payload.size(), AsBytes(aad).data(), aad.size()) == 1;
  ERR_clear_error();
  if (!opened) return std::nullopt;
  plain.resize(bytes);
  return plain;
}

EchOpening Malformed(EchFault fault, absl::string_view reason = "") {
  EchOpening opening;
  opening.verdict = EchVerdict::kMalformed;
  opening.fault = fault;
  opening.error = EchFaultError(fault, reason);
  return opening;
}

EchOpening Restore(absl::string_view encoded, const ClientHello& outer) {
  auto inner = std::make_unique<InnerHello>();
  std::string reason;
  const std::optional<EchFault> fault =
      wire_internal::RestoreInnerHello(AsBytes(encoded), outer, HelloLimits(), *inner, reason);
  if (fault.has_value()) return Malformed(*fault, reason);
  EchOpening opening;
  opening.verdict = EchVerdict::kOpened;
  opening.inner = std::move(inner);
  return opening;
}

class Context final : public EchContext {
 public:
  bool SetUp(const EchKey& key, const HelloEch& ech) {
    config_id_ = ech.config_id;
    suite_ = {ech.kdf_id, ech.aead_id};
    const EVP_HPKE_AEAD* const aead = AeadOf(ech.aead_id);
    const std::string info = absl::StrCat(kInfoLabel, key.config.bytes);
    const bool done = aead != nullptr && ech.kdf_id == EVP_HPKE_HKDF_SHA256 &&
                      EVP_HPKE_CTX_setup_recipient(
                          hpke_.get(), key.key.get(), EVP_hpke_hkdf_sha256(), aead, ech.enc.data(),
                          ech.enc.size(), AsBytes(info).data(), info.size()) == 1;
    ERR_clear_error();
    return done;
  }

  EVP_HPKE_CTX* hpke() { return hpke_.get(); }

  void RememberFirst(const ClientHello& inner) {
    server_name_ = inner.server_name;
    alpn_.assign(inner.alpn.begin(), inner.alpn.end());
  }

  EchOpening OpenSecond(const ClientHello& outer) override {
    if (!outer.ech.has_value() || outer.ech->is_inner) return Malformed(EchFault::kSecondWithout);
    EchOpening opening = OpenSecondOuter(outer);
    opening.config_id = outer.ech->config_id;
    return opening;
  }

 private:
  EchOpening OpenSecondOuter(const ClientHello& outer) {
    const HelloEch& ech = *outer.ech;
    if (ech.config_id != config_id_ || ech.kdf_id != suite_.kdf_id ||
        ech.aead_id != suite_.aead_id) {
      return Malformed(EchFault::kSecondParameters);
    }
    if (!ech.enc.empty()) return Malformed(EchFault::kSecondKey);
    const std::optional<std::string> encoded = Decrypt(hpke_.get(), outer);
    if (!encoded.has_value()) return Malformed(EchFault::kSecondUndecrypted);
    EchOpening opening = Restore(*encoded, outer);
    if (opening.verdict != EchVerdict::kOpened) return opening;
    // The route was chosen by the first hello.
    const ClientHello& inner = opening.inner->hello;
    if (inner.server_name != server_name_) return Malformed(EchFault::kSecondName);
    if (!absl::c_equal(inner.alpn, alpn_)) return Malformed(EchFault::kSecondAlpn);
    return opening;
  }

  bssl::ScopedEVP_HPKE_CTX hpke_;
  uint8_t config_id_ = 0;
  EchCipherSuite suite_ = {};
  std::string server_name_;
  std::vector<std::string> alpn_;
};

EchOpening OpenWith(const EchKey* key, const ClientHello& outer) {
  const HelloEch& ech = *outer.ech;
  EchOpening opening;
  opening.verdict = EchVerdict::kNoKey;
  if (key == nullptr || !key->config.Supports({ech.kdf_id, ech.aead_id})) return opening;
  auto context = std::make_unique<Context>();
  std::optional<std::string> encoded;
  if (context->SetUp(*key, ech)) encoded = Decrypt(context->hpke(), outer);
  opening.verdict = EchVerdict::kNotDecrypted;
  if (!encoded.has_value()) return opening;
  opening = Restore(*encoded, outer);
  if (opening.verdict != EchVerdict::kOpened) return opening;
  context->RememberFirst(opening.inner->hello);
  opening.context = std::move(context);
  return opening;
}

}  // namespace

EchOpening EchKeyOpener::Open(const ClientHello& outer, const Endpoint& /*client*/,
                              MonotonicTime /*now*/) {
  if (!outer.ech.has_value()) return EchOpening();
  if (outer.ech->is_inner) return Malformed(EchFault::kInnerInClear);
  const std::shared_ptr<const EchKeySet> keys = TlsInternals::Current(*keys_);
  EchOpening opening = OpenWith(keys->Find(outer.ech->config_id), outer);
  opening.config_id = outer.ech->config_id;
  return opening;
}

}  // namespace trestle
