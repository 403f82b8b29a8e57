#include "trestle/tls/ech_key_opener.h"

#include <openssl/err.h>
#include <openssl/hpke.h>

#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/tls/ech/ech_key_set.h"
#include "lib/tls/ech/ech_ledger.h"
#include "lib/tls/engine/tls_internals.h"
#include "lib/wire/inner_hello.h"
#include "trestle/base/bytes.h"
#include "trestle/base/client_budget.h"

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
  explicit Context(std::shared_ptr<EchLedger> ledger) : ledger_(std::move(ledger)) {}

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
    for (absl::string_view protocol : inner.alpn) alpn_.emplace_back(protocol);
  }

  EchOpening OpenSecond(const ClientHello& outer) override {
    EchOpening opening = OpenSecondOuter(outer);
    opening.config_id = config_id_;
    ledger_->CountSecond(opening);
    return opening;
  }

 private:
  EchOpening OpenSecondOuter(const ClientHello& outer) {
    if (!outer.ech.has_value() || outer.ech->is_inner) return Malformed(EchFault::kSecondWithout);
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

  const std::shared_ptr<EchLedger> ledger_;
  bssl::ScopedEVP_HPKE_CTX hpke_;
  uint8_t config_id_ = 0;
  EchCipherSuite suite_ = {};
  std::string server_name_;
  std::vector<std::string> alpn_;
};

EchOpening WithVerdict(EchVerdict verdict) {
  EchOpening opening;
  opening.verdict = verdict;
  return opening;
}

EchOpening OpenWith(const EchKey& key, const ClientHello& outer,
                    const std::shared_ptr<EchLedger>& ledger) {
  auto context = std::make_unique<Context>(ledger);
  std::optional<std::string> encoded;
  if (context->SetUp(key, *outer.ech)) encoded = Decrypt(context->hpke(), outer);
  if (!encoded.has_value()) return WithVerdict(EchVerdict::kNotDecrypted);
  EchOpening opening = Restore(*encoded, outer);
  if (opening.verdict != EchVerdict::kOpened) return opening;
  context->RememberFirst(opening.inner->hello);
  opening.context = std::move(context);
  return opening;
}

EchOpening OpenFirst(const EchKeySet& keys, const ClientHello& outer, const Endpoint& client,
                     MonotonicTime now, const std::shared_ptr<EchLedger>& ledger) {
  if (outer.ech->is_inner) return Malformed(EchFault::kInnerInClear);
  const EchKey* const key = keys.Find(outer.ech->config_id);
  const EchCipherSuite suite = {outer.ech->kdf_id, outer.ech->aead_id};
  if (key == nullptr || !key->config.Supports(suite)) return WithVerdict(EchVerdict::kNoKey);
  if (!ledger->Take(client, now)) return WithVerdict(EchVerdict::kOverBudget);
  return OpenWith(*key, outer, ledger);
}

}  // namespace

absl::StatusOr<std::shared_ptr<EchKeyOpener>> EchKeyOpener::Create(
    std::shared_ptr<const EchKeys> keys, const EchBudget& budget) {
  for (const double rate : {budget.per_second, budget.per_second_per_client}) {
    if (absl::Status status = CheckRate(rate, "encrypted hellos"); !status.ok()) return status;
  }
  if (absl::Status status = CheckClientNetwork(budget.client_ipv4_bits, budget.client_ipv6_bits);
      !status.ok()) {
    return status;
  }
  return absl::WrapUnique(new EchKeyOpener(std::move(keys), budget));
}

EchKeyOpener::EchKeyOpener(std::shared_ptr<const EchKeys> keys, const EchBudget& budget)
    : keys_(std::move(keys)), ledger_(std::make_shared<EchLedger>(budget)) {}

EchOpening EchKeyOpener::Open(const ClientHello& outer, const Endpoint& client, MonotonicTime now) {
  if (!outer.ech.has_value()) return EchOpening();
  const std::shared_ptr<const EchKeySet> keys = TlsInternals::Current(*keys_);
  EchOpening opening = OpenFirst(*keys, outer, client, now, ledger_);
  opening.config_id = outer.ech->config_id;
  ledger_->CountFirst(opening);
  return opening;
}

EchCounts EchKeyOpener::counts() const {
  EchCounts counts = ledger_->counts();
  for (const EchKeys::Config& config : keys_->Configs()) counts.by_config_id[config.config_id];
  return counts;
}

}  // namespace trestle
