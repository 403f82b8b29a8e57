#include "trestle/tls/ticket_key_ring.h"

#include <openssl/aead.h>
#include <openssl/crypto.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/memory/memory.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr size_t kNameBytes = 16;
constexpr size_t kNonceBytes = 24;
constexpr size_t kTagBytes = 16;
constexpr size_t kSealKeyBytes = 32;
// The shortest period: shorter ones would make keys for each handshake.
constexpr absl::Duration kMinPeriod = absl::Seconds(1);

// Keys without times get times in the first seconds of 1970, by position.
constexpr absl::Time kFirstTime = absl::FromUnixSeconds(kMaxTicketKeys);

constexpr char kDerivation[] = "trestle session tickets 1";
static_assert(kNameBytes + kNonceBytes + kTagBytes == TicketKeyRing::kOverheadBytes, "");

// A key ready for use. The destructor wipes it.
class Sealer {
 public:
  Sealer() { EVP_AEAD_CTX_zero(&aead_); }
  ~Sealer() {
    EVP_AEAD_CTX_cleanup(&aead_);
    OPENSSL_cleanse(&aead_, sizeof(aead_));
  }
  Sealer(const Sealer&) = delete;
  Sealer& operator=(const Sealer&) = delete;

  bool Init(const TicketKey& key) {
    seal_from = key.seal_from();
    std::array<uint8_t, kNameBytes + kSealKeyBytes> derived;
    const bool made =
        HKDF(derived.data(), derived.size(), EVP_sha256(), key.secret().data(), key.secret().size(),
             nullptr, 0, reinterpret_cast<const uint8_t*>(kDerivation), sizeof(kDerivation) - 1);
    std::memcpy(name.data(), derived.data(), name.size());
    const bool ready =
        made && EVP_AEAD_CTX_init(&aead_, EVP_aead_xchacha20_poly1305(),
                                  derived.data() + kNameBytes, kSealKeyBytes, kTagBytes, nullptr);
    OPENSSL_cleanse(derived.data(), derived.size());
    return ready;
  }

  const EVP_AEAD_CTX* aead() const { return &aead_; }

  std::array<uint8_t, kNameBytes> name = {};
  absl::Time seal_from;

 private:
  EVP_AEAD_CTX aead_;
};

}  // namespace

struct TicketKeyRing::Keys {
  std::vector<std::unique_ptr<Sealer>> sealers;

  /// Returns the key for new tickets: the latest active one, else the first to become active.
  const Sealer& Current(absl::Time now) const {
    const Sealer* best = nullptr;
    const Sealer* first = sealers.front().get();
    for (const std::unique_ptr<Sealer>& sealer : sealers) {
      if (sealer->seal_from < first->seal_from) first = sealer.get();
      if (sealer->seal_from > now) continue;
      if (best == nullptr || sealer->seal_from > best->seal_from) best = sealer.get();
    }
    return best == nullptr ? *first : *best;
  }

  /// Returns null if there is none. Compares all keys, so the time does not depend on which
  /// matches.
  const Sealer* Find(const uint8_t* name) const {
    const Sealer* found = nullptr;
    for (const std::unique_ptr<Sealer>& sealer : sealers) {
      if (CRYPTO_memcmp(sealer->name.data(), name, kNameBytes) == 0) found = sealer.get();
    }
    return found;
  }
};

std::shared_ptr<TicketKeyRing> TicketKeyRing::InMemory(absl::Duration rotate_every) {
  return absl::WrapUnique(new TicketKeyRing(std::max(rotate_every, kMinPeriod)));
}

absl::StatusOr<std::shared_ptr<TicketKeyRing>> TicketKeyRing::FromKeys(
    const std::vector<TicketKey>& keys) {
  std::shared_ptr<TicketKeyRing> ring =
      absl::WrapUnique(new TicketKeyRing(absl::InfiniteDuration()));
  if (absl::Status status = ring->Replace(keys); !status.ok()) return status;
  return ring;
}

absl::StatusOr<std::shared_ptr<TicketKeyRing>> TicketKeyRing::FromSource(
    Source source, absl::Time now, absl::Duration refresh_every) {
  absl::StatusOr<std::vector<TicketKey>> keys = source(now);
  if (!keys.ok()) return keys.status();
  std::shared_ptr<TicketKeyRing> ring =
      absl::WrapUnique(new TicketKeyRing(std::max(refresh_every, kMinPeriod)));
  if (absl::Status status = ring->Replace(*keys); !status.ok()) return status;
  absl::MutexLock lock(&ring->mutex_);
  ring->source_ = std::move(source);
  ring->due_ = now + ring->every_;
  return ring;
}

TicketKeyRing::~TicketKeyRing() = default;

absl::StatusOr<std::shared_ptr<const TicketKeyRing::Keys>> TicketKeyRing::Derive(
    const std::vector<TicketKey>& keys) {
  if (keys.empty()) return ConfigurationError("there are no ticket keys");
  if (keys.size() > kMaxTicketKeys) return ConfigurationError("there are too many ticket keys");
  auto derived = std::make_shared<Keys>();
  for (const TicketKey& key : keys) {
    auto sealer = std::make_unique<Sealer>();
    if (!sealer->Init(key)) {
      ERR_clear_error();
      return ConfigurationError("a ticket key can't be used");
    }
    if (derived->Find(sealer->name.data()) != nullptr) {
      return ConfigurationError("a ticket key is listed twice");
    }
    derived->sealers.push_back(std::move(sealer));
  }
  return std::shared_ptr<const Keys>(std::move(derived));
}

absl::Status TicketKeyRing::Replace(const std::vector<TicketKey>& keys) {
  absl::StatusOr<std::shared_ptr<const Keys>> derived = Derive(keys);
  if (!derived.ok()) return derived.status();
  Use(*std::move(derived));
  return absl::OkStatus();
}

void TicketKeyRing::Use(std::shared_ptr<const Keys> keys) {
  absl::MutexLock lock(&mutex_);
  current_ = std::move(keys);
  due_ = absl::InfiniteFuture();
}

uint64_t TicketKeyRing::source_failures() const {
  absl::MutexLock lock(&mutex_);
  return source_failures_;
}

absl::Time TicketKeyRing::SealingSince(absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  if (current_ == nullptr) return absl::InfinitePast();
  const absl::Time since = current_->Current(now).seal_from;
  const bool has_come = since <= now;
  return has_come && since >= kFirstTime ? since : absl::InfinitePast();
}

// A refresh is due within one period. A later one means that the clock was set back after it was
// scheduled. The second period allows for threads whose turns began earlier, and for small
// corrections.
bool TicketKeyRing::WasSetBack(absl::Time now) const {
  return due_ != absl::InfiniteFuture() && due_ - now > 2 * every_;
}

void TicketKeyRing::Refresh(absl::Time now) {
  if (source_ == nullptr) {
    if (WasSetBack(now)) {
      own_.erase(
          std::remove_if(own_.begin(), own_.end(),
                         [&](const TicketKey& key) { return key.seal_from() > now + every_; }),
          own_.end());
    }
    own_ = RotateTicketKeys(std::move(own_), now, every_);
    due_ = own_.back().seal_from();
    absl::StatusOr<std::shared_ptr<const Keys>> derived = Derive(own_);
    if (derived.ok()) current_ = *std::move(derived);
    return;
  }
  due_ = now + every_;
  absl::StatusOr<std::vector<TicketKey>> keys = source_(now);
  if (keys.ok()) {
    absl::StatusOr<std::shared_ptr<const Keys>> derived = Derive(*keys);
    if (derived.ok()) {
      current_ = *std::move(derived);
      return;
    }
  }
  ++source_failures_;
}

std::shared_ptr<const TicketKeyRing::Keys> TicketKeyRing::CurrentAt(absl::Time now) {
  absl::MutexLock lock(&mutex_);
  if (now >= due_ || WasSetBack(now)) Refresh(now);
  return current_;
}

size_t TicketKeyRing::Seal(ByteView plain, MutableByteView out, absl::Time now) {
  const std::shared_ptr<const Keys> keys = CurrentAt(now);
  if (keys == nullptr || out.size() < plain.size() + kOverheadBytes) return 0;
  const Sealer& sealer = keys->Current(now);
  uint8_t* const nonce = out.data() + kNameBytes;
  uint8_t* const sealed = nonce + kNonceBytes;
  std::memmove(sealed, plain.data(), plain.size());
  std::memcpy(out.data(), sealer.name.data(), kNameBytes);
  RAND_bytes(nonce, kNonceBytes);
  size_t sealed_bytes = 0;
  if (!EVP_AEAD_CTX_seal(sealer.aead(), sealed, &sealed_bytes, plain.size() + kTagBytes, nonce,
                         kNonceBytes, sealed, plain.size(), out.data(), kNameBytes)) {
    ERR_clear_error();
    return 0;
  }
  return kNameBytes + kNonceBytes + sealed_bytes;
}

bool TicketKeyRing::Open(ByteView ticket, MutableByteView out, size_t& out_bytes, absl::Time now) {
  if (ticket.size() < kOverheadBytes) return false;
  const std::shared_ptr<const Keys> keys = CurrentAt(now);
  const Sealer* sealer = keys == nullptr ? nullptr : keys->Find(ticket.data());
  if (sealer == nullptr) return false;
  const ByteView sealed = ticket.subspan(kNameBytes + kNonceBytes);
  const bool opened = EVP_AEAD_CTX_open(sealer->aead(), out.data(), &out_bytes, out.size(),
                                        ticket.data() + kNameBytes, kNonceBytes, sealed.data(),
                                        sealed.size(), ticket.data(), kNameBytes) == 1;
  ERR_clear_error();
  return opened;
}

}  // namespace trestle
