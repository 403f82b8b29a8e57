#include "trestle/tls/certificate_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/tls/pem.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

using Credentials = CertificateSet::Credentials;

// The order in which credentials are offered: the first one that the client can verify is used.
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

// Whether `a` is offered before `b`, or instead of it.
bool GoesBefore(const Credential& a, const Credential& b) {
  const int rank_a = OfferRank(a.key_type());
  const int rank_b = OfferRank(b.key_type());
  return rank_a != rank_b ? rank_a < rank_b : NotAfter(a) > NotAfter(b);
}

// The first of each key type, of those that are valid at `now` if any is.
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

absl::Status WouldExpireError(absl::string_view name, const Credentials& left) {
  return ConfigurationError(absl::StrCat(
      "\"", name, "\" is served with a valid certificate now and would be left with \"",
      left.front()->chain().front().subject, "\", which expired or is not valid yet"));
}

}  // namespace

Credentials CertificateSet::Choose(absl::string_view server_name, absl::Time now) const {
  const auto place = exact_.find(server_name);
  const Credentials* exact = place == exact_.end() ? nullptr : &place->second;
  if (exact != nullptr && AnyValid(*exact, now)) return Pick(*exact, now);
  const Credentials* wildcard = FindWildcard(server_name);
  if (wildcard != nullptr && (exact == nullptr || AnyValid(*wildcard, now))) {
    return Pick(*wildcard, now);
  }
  return exact == nullptr ? Credentials() : Pick(*exact, now);
}

Credentials CertificateSet::ChooseFallback(absl::Time now) const {
  const std::vector<std::string>& names = all_.front()->names();
  if (names.empty()) return {all_.front()};
  const absl::StatusOr<NamePattern> pattern = NamePattern::Parse(names.front());
  if (!pattern.ok() || pattern->kind() == NamePattern::Kind::kAnyDepth) return {all_.front()};
  if (pattern->kind() == NamePattern::Kind::kExact) return Choose(pattern->base(), now);
  return Pick(wildcards_.at(pattern->base()), now);
}

const Credentials* CertificateSet::FindWildcard(absl::string_view server_name) const {
  const Credentials* found = nullptr;
  VisitCoveringPatterns(server_name, [&](NamePattern::Kind kind, absl::string_view base) {
    if (kind != NamePattern::Kind::kOneLabel) return false;
    auto wildcard = wildcards_.find(base);
    if (wildcard != wildcards_.end()) found = &wildcard->second;
    return true;
  });
  return found;
}

std::shared_ptr<CertificateSet> CertificateSet::Make(
    std::vector<std::shared_ptr<const Credential>> credentials) {
  auto set = std::make_shared<CertificateSet>();
  for (const auto& credential : credentials) set->Add(credential);
  set->all_ = std::move(credentials);
  return set;
}

void CertificateSet::Add(const std::shared_ptr<const Credential>& credential) {
  for (const std::string& name : credential->names()) {
    // A name that no client could ask for is no reason to refuse the names beside it.
    absl::StatusOr<NamePattern> pattern = NamePattern::Parse(name);
    if (!pattern.ok() || pattern->kind() == NamePattern::Kind::kAnyDepth) continue;
    Names& names = pattern->kind() == NamePattern::Kind::kExact ? exact_ : wildcards_;
    Credentials& all = names[pattern->base()];
    const auto place = std::find_if(
        all.begin(), all.end(), [&](const auto& other) { return GoesBefore(*credential, *other); });
    if (std::find(all.begin(), all.end(), credential) == all.end()) all.insert(place, credential);
  }
}

absl::Status CertificateSet::CheckReplacedBy(const CertificateSet& next, absl::Time now) const {
  for (const auto& [name, credentials] : exact_) {
    const Credentials left = next.Choose(name, now);
    if (left.empty() || AnyValid(left, now) || !AnyValid(Choose(name, now), now)) continue;
    return WouldExpireError(name, left);
  }
  for (const auto& [base, credentials] : wildcards_) {
    auto left = next.wildcards_.find(base);
    if (left == next.wildcards_.end() || AnyValid(left->second, now)) continue;
    if (AnyValid(credentials, now)) return WouldExpireError(absl::StrCat("*.", base), left->second);
  }
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
  if (credentials.empty()) return ConfigurationError("there are no certificates to serve");
  if (std::find(credentials.begin(), credentials.end(), nullptr) != credentials.end()) {
    return ConfigurationError("one of the credentials is null");
  }
  absl::MutexLock replacing(&replace_mutex_);
  std::shared_ptr<CertificateSet> next = CertificateSet::Make(std::move(credentials));
  std::shared_ptr<const CertificateSet> before = current();
  if (before != nullptr) {
    if (absl::Status status = before->CheckReplacedBy(*next, now); !status.ok()) return status;
    next->generation_ = before->generation_;
  }
  ++next->generation_;
  absl::MutexLock lock(&mutex_);
  current_ = std::move(next);
  return absl::OkStatus();
}

std::shared_ptr<const CertificateSet> CertificateStore::current() const {
  absl::MutexLock lock(&mutex_);
  return current_;
}

}  // namespace trestle
