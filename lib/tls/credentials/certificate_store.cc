#include "trestle/tls/certificate_store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/pki/x509_certificate.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

using Credentials = CertificateSet::Credentials;

// The order of offer: the client uses the first credential that it can verify.
int OfferRank(KeyType type) {
  switch (type) {
    case KeyType::kEcdsa:
      return 0;
    case KeyType::kEd25519:
      return 1;
    case KeyType::kRsa:
      return 2;
  }
  return 3;
}

absl::Time NotAfter(const Credential& credential) { return credential.chain().front().not_after; }

bool AnyValid(const Credentials& credentials, absl::Time now) {
  return std::any_of(credentials.begin(), credentials.end(),
                     [now](const auto& credential) { return credential->ValidAt(now); });
}

// Returns whether `a` comes before `b`, or replaces it.
bool GoesBefore(const Credential& a, const Credential& b) {
  const int rank_a = OfferRank(a.key_type());
  const int rank_b = OfferRank(b.key_type());
  return rank_a != rank_b ? rank_a < rank_b : NotAfter(a) > NotAfter(b);
}

// Returns the first of each key type among those valid at `now`, or among all if none is valid.
Credentials Pick(const Credentials& all, absl::Time now) {
  const bool any_valid = AnyValid(all, now);
  Credentials picked;
  for (const auto& credential : all) {
    if (any_valid && !credential->ValidAt(now)) continue;
    if (!picked.empty() && picked.back()->key_type() == credential->key_type()) continue;
    picked.push_back(credential);
  }
  return picked;
}

// Returns the earliest time at which one of `credentials` becomes valid; InfiniteFuture if all
// expired.
absl::Time FirstBegin(const Credentials& credentials, absl::Time now) {
  absl::Time first = absl::InfiniteFuture();
  for (const auto& credential : credentials) {
    const absl::Time begin = credential->chain().front().not_before;
    if (begin > now) first = std::min(first, begin);
  }
  return first;
}

absl::Time LastEnd(const Credentials& credentials) {
  absl::Time last = absl::InfinitePast();
  for (const auto& credential : credentials) last = std::max(last, NotAfter(*credential));
  return last;
}

absl::Status WouldBeLeftError(absl::string_view name, const Credentials& left, absl::Time now) {
  const absl::Time begin = FirstBegin(left, now);
  const std::string why =
      begin == absl::InfiniteFuture()
          ? "which has expired"
          : absl::StrCat("which is not valid before ",
                         absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", begin, absl::UTCTimeZone()),
                         ", when the present one has expired");
  return ConfigurationError(absl::StrCat(
      "\"", name, "\" is served with a valid certificate now and would be left with \"",
      left.front()->chain().front().subject, "\", ", why));
}

}  // namespace

Credentials CertificateSet::Choose(absl::string_view server_name, absl::Time now) const {
  return ChooseFrom(KeyKind::kExact, server_name, now);
}

Credentials CertificateSet::ChooseByAddress(ByteView address, absl::Time now) const {
  if (addresses_.empty()) return {};
  return ChooseFrom(KeyKind::kAddress, IpText(address), now);
}

Credentials CertificateSet::ChooseNameless(absl::Time now) const {
  return ChooseFrom(KeyKind::kNameless, "", now);
}

Credentials CertificateSet::ChooseFallback(absl::Time now) const {
  if (!fallback_.has_value()) return {all_.front()};
  return ChooseFrom(fallback_->kind, fallback_->text, now);
}

Credentials CertificateSet::ChooseFrom(KeyKind kind, absl::string_view text, absl::Time now) const {
  const Credentials* const list = FindList(kind, text, now);
  if (list == nullptr) return {};
  if (HoldsOver(now) && !AnyValid(*list, now)) {
    Credentials held = held_over_->ChooseFrom(kind, text, now);
    if (AnyValid(held, now)) return held;
  }
  return Pick(*list, now);
}

const Credentials* CertificateSet::FindList(KeyKind kind, absl::string_view text,
                                            absl::Time now) const {
  switch (kind) {
    case KeyKind::kExact:
      return FindCovering(text, now);
    case KeyKind::kWildcard: {
      const std::optional<uint32_t> place = by_name_.ValueOf(NamePattern::Kind::kOneLabel, text);
      return place.has_value() ? &named_[*place] : nullptr;
    }
    case KeyKind::kAddress: {
      const auto place = addresses_.find(text);
      return place == addresses_.end() ? nullptr : &place->second;
    }
    case KeyKind::kNameless:
      return nameless_.empty() ? nullptr : &nameless_;
  }
  return nullptr;
}

// Returns the most specific list with a valid credential, else the most specific list.
const Credentials* CertificateSet::FindCovering(absl::string_view server_name,
                                                absl::Time now) const {
  const Credentials* found = nullptr;
  by_name_.Visit(server_name, [&](const PatternIndex::Match& match) {
    const Credentials& list = named_[match.value];
    const bool valid = AnyValid(list, now);
    if (found == nullptr || valid) found = &list;
    return valid;
  });
  return found;
}

Credentials CertificateSet::BestOfEachType(const Key& key, absl::Time now) const {
  Credentials best;
  for (const auto& credential : *FindList(key.kind, key.text, now)) {
    if (best.empty() || best.back()->key_type() != credential->key_type()) {
      best.push_back(credential);
    } else if (!best.back()->ValidAt(now) && credential->ValidAt(now)) {
      best.back() = credential;
    }
  }
  if (!HoldsOver(now)) return best;
  const Credentials held = held_over_->ChooseFrom(key.kind, key.text, now);
  for (auto& credential : best) {
    if (credential->ValidAt(now)) continue;
    for (const auto& other : held) {
      if (other->key_type() == credential->key_type()) credential = other;
    }
  }
  return best;
}

std::vector<CertificateSet::Shown> CertificateSet::ShownAt(absl::Time now) const {
  std::vector<Shown> shown;
  absl::flat_hash_map<const Credential*, size_t> places;
  const auto place_of = [&](const std::shared_ptr<const Credential>& credential) -> Shown& {
    const auto [place, added] = places.emplace(credential.get(), shown.size());
    if (added) shown.push_back({credential, {}});
    return shown[place->second];
  };
  for (const Key& key : keys_) {
    for (const auto& credential : BestOfEachType(key, now)) {
      Shown& entry = place_of(credential);
      if (key.kind != KeyKind::kNameless) entry.names.push_back(NameOf(key));
    }
  }
  for (const auto& credential : ChooseFallback(now)) place_of(credential);
  return shown;
}

// Sorts credentials by name, and builds the index.
class CertificateSet::Builder {
 public:
  explicit Builder(CertificateSet& set) : set_(set) {}

  Credentials& ListFor(const Key& key) {
    switch (key.kind) {
      case KeyKind::kExact:
      case KeyKind::kWildcard:
        return ListFor(
            key.kind == KeyKind::kExact ? NamePattern::Kind::kExact : NamePattern::Kind::kOneLabel,
            key.text);
      case KeyKind::kAddress:
        return set_.addresses_[key.text];
      case KeyKind::kNameless:
        break;
    }
    return set_.nameless_;
  }

  absl::Status Finish() {
    std::vector<PatternIndex::Item> items;
    items.reserve(places_.size());
    for (const auto& [pattern, place] : places_) {
      items.push_back({pattern.first, pattern.second, place});
    }
    absl::StatusOr<PatternIndex> index =
        PatternIndex::Create(items, [](size_t) { return absl::InternalError("not unique"); });
    if (!index.ok()) return index.status();
    set_.by_name_ = *std::move(index);
    return absl::OkStatus();
  }

 private:
  Credentials& ListFor(NamePattern::Kind kind, const std::string& base) {
    const auto [place, added] =
        places_.emplace(std::pair(kind, base), static_cast<uint32_t>(set_.named_.size()));
    if (added) set_.named_.emplace_back();
    return set_.named_[place->second];
  }

  CertificateSet& set_;
  absl::flat_hash_map<std::pair<NamePattern::Kind, std::string>, uint32_t> places_;
};

absl::StatusOr<std::shared_ptr<CertificateSet>> CertificateSet::Make(
    std::vector<std::shared_ptr<const Credential>> credentials) {
  auto set = std::make_shared<CertificateSet>();
  Builder builder(*set);
  for (const auto& credential : credentials) {
    std::vector<Key> keys = KeysOf(credential->chain().front());
    if (credential == credentials.front() && !keys.empty()) set->fallback_ = keys.front();
    for (Key& key : keys) {
      Credentials& all = builder.ListFor(key);
      const bool first = all.empty();
      const auto place = std::find_if(all.begin(), all.end(), [&](const auto& other) {
        return GoesBefore(*credential, *other);
      });
      if (std::find(all.begin(), all.end(), credential) == all.end()) all.insert(place, credential);
      if (first) set->keys_.push_back(std::move(key));
    }
  }
  if (absl::Status finished = builder.Finish(); !finished.ok()) return finished;
  set->all_ = std::move(credentials);
  return set;
}

std::vector<CertificateSet::Key> CertificateSet::KeysOf(const CertificateInfo& leaf) {
  if (leaf.dns_names.empty() && leaf.ip_names.empty()) return {{KeyKind::kNameless, ""}};
  std::vector<Key> keys;
  for (const std::string& name : leaf.dns_names) {
    // An unusable name does not reject the other names of the certificate.
    const absl::StatusOr<NamePattern> pattern = NamePattern::Parse(name);
    if (!pattern.ok() || pattern->kind() == NamePattern::Kind::kAnyDepth) continue;
    const bool exact = pattern->kind() == NamePattern::Kind::kExact;
    keys.push_back({exact ? KeyKind::kExact : KeyKind::kWildcard, pattern->base()});
  }
  for (const std::string& address : leaf.ip_names) keys.push_back({KeyKind::kAddress, address});
  return keys;
}

std::string CertificateSet::NameOf(const Key& key) {
  return key.kind == KeyKind::kWildcard ? absl::StrCat("*.", key.text) : key.text;
}

absl::Status CertificateSet::TakeOverFrom(const CertificateSet& before, absl::Time now) {
  std::vector<std::shared_ptr<const Credential>> held;
  for (const Key& key : before.keys_) {
    const Credentials present = before.ChooseFrom(key.kind, key.text, now);
    const Credentials* const left = FindList(key.kind, key.text, now);
    if (left == nullptr || AnyValid(*left, now) || !AnyValid(present, now)) continue;
    const absl::Time begin = FirstBegin(*left, now);
    if (begin > LastEnd(present)) return WouldBeLeftError(NameOf(key), *left, now);
    held.insert(held.end(), present.begin(), present.end());
    held_until_ = std::max(held_until_, begin);
    pending_.push_back({NameOf(key), begin});
  }
  if (held.empty()) return absl::OkStatus();
  absl::StatusOr<std::shared_ptr<CertificateSet>> held_over = Make(std::move(held));
  if (!held_over.ok()) return held_over.status();
  held_over_ = *std::move(held_over);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<CertificateStore>> CertificateStore::Create(
    std::vector<std::shared_ptr<const Credential>> credentials, absl::Time now) {
  std::shared_ptr<CertificateStore> store(new CertificateStore());
  if (absl::Status status = store->Replace(std::move(credentials), now); !status.ok()) {
    return status;
  }
  return store;
}

absl::Status CertificateStore::Replace(std::vector<std::shared_ptr<const Credential>> credentials,
                                       absl::Time now) {
  absl::MutexLock replacing(&replace_mutex_);
  absl::StatusOr<std::shared_ptr<CertificateSet>> next = Prepare(std::move(credentials), now);
  if (!next.ok()) return next.status();
  Use(*std::move(next));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<CertificateSet>> CertificateStore::Prepare(
    std::vector<std::shared_ptr<const Credential>> credentials, absl::Time now) const {
  if (credentials.empty()) return ConfigurationError("there are no certificates to serve");
  if (std::find(credentials.begin(), credentials.end(), nullptr) != credentials.end()) {
    return ConfigurationError("one of the credentials is null");
  }
  absl::StatusOr<std::shared_ptr<CertificateSet>> next =
      CertificateSet::Make(std::move(credentials));
  if (!next.ok()) return next.status();
  const std::shared_ptr<const CertificateSet> before = current();
  if (before != nullptr) {
    if (absl::Status status = (*next)->TakeOverFrom(*before, now); !status.ok()) return status;
  }
  return next;
}

void CertificateStore::Use(std::shared_ptr<CertificateSet> next) {
  absl::MutexLock lock(&mutex_);
  next->generation_ = current_ == nullptr ? 1 : current_->generation_ + 1;
  current_ = std::move(next);
}

std::shared_ptr<const CertificateSet> CertificateStore::current() const {
  absl::MutexLock lock(&mutex_);
  return current_;
}

}  // namespace trestle
