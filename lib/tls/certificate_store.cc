#include "trestle/tls/certificate_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/tls/pem.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

using Credentials = CertificateSet::Credentials;

// Certificates for internal names may have underscores; what the SNI says is held to the same rule.
constexpr ServerNameRules kRules = {/*allow_underscore=*/true};

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

bool IsBetter(const Credential& a, const Credential& b, absl::Time now) {
  if (a.ValidAt(now) != b.ValidAt(now)) return a.ValidAt(now);
  return NotAfter(a) > NotAfter(b);
}

bool AnyValid(const Credentials& credentials, absl::Time now) {
  return std::any_of(credentials.begin(), credentials.end(),
                     [now](const auto& credential) { return credential->ValidAt(now); });
}

// Puts `credential` in its place by key type, unless a better one of that type is there.
void Insert(const std::shared_ptr<const Credential>& credential, absl::Time now,
            Credentials& credentials) {
  const int rank = OfferRank(credential->key_type());
  auto place = std::find_if(credentials.begin(), credentials.end(), [rank](const auto& other) {
    return OfferRank(other->key_type()) >= rank;
  });
  if (place == credentials.end() || OfferRank((*place)->key_type()) != rank) {
    credentials.insert(place, credential);
  } else if (IsBetter(*credential, **place, now)) {
    *place = credential;
  }
}

absl::Status WouldExpireError(absl::string_view name, const Credentials& left) {
  return ConfigurationError(absl::StrCat(
      "\"", name, "\" is served with a valid certificate now and would be left with \"",
      left.front()->chain().front().subject, "\", which expired or is not valid yet"));
}

}  // namespace

const Credentials* CertificateSet::Find(absl::string_view server_name) const {
  auto exact = exact_.find(server_name);
  return exact != exact_.end() ? &exact->second : FindWildcard(server_name);
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
    std::vector<std::shared_ptr<const Credential>> credentials, absl::Time now) {
  auto set = std::make_shared<CertificateSet>();
  for (const auto& credential : credentials) set->Add(credential, now);
  set->DropExpired(now);
  const std::vector<std::string>& names = credentials.front()->names();
  const Credentials* first = names.empty() ? nullptr : set->FindPattern(names.front());
  set->fallback_ = first != nullptr ? *first : Credentials{credentials.front()};
  set->all_ = std::move(credentials);
  return set;
}

void CertificateSet::Add(const std::shared_ptr<const Credential>& credential, absl::Time now) {
  for (const std::string& name : credential->names()) {
    // A name that no client could ask for is no reason to refuse the names beside it.
    absl::StatusOr<NamePattern> pattern = NamePattern::Parse(name, kRules);
    if (!pattern.ok() || pattern->kind() == NamePattern::Kind::kAnyDepth) continue;
    Names& names = pattern->kind() == NamePattern::Kind::kExact ? exact_ : wildcards_;
    Insert(credential, now, names[pattern->base()]);
  }
}

void CertificateSet::DropExpired(absl::Time now) {
  const auto expired = [now](const auto& credential) { return !credential->ValidAt(now); };
  for (Names* names : {&wildcards_, &exact_}) {
    for (auto& [name, credentials] : *names) {
      if (!AnyValid(credentials, now)) continue;
      credentials.erase(std::remove_if(credentials.begin(), credentials.end(), expired),
                        credentials.end());
    }
  }
  for (auto& [name, credentials] : exact_) {
    if (AnyValid(credentials, now)) continue;
    const Credentials* wildcard = FindWildcard(name);
    if (wildcard != nullptr && AnyValid(*wildcard, now)) credentials = *wildcard;
  }
}

const Credentials* CertificateSet::FindPattern(absl::string_view pattern) const {
  absl::StatusOr<NamePattern> parsed = NamePattern::Parse(pattern, kRules);
  if (!parsed.ok()) return nullptr;
  const Names& names = parsed->kind() == NamePattern::Kind::kExact ? exact_ : wildcards_;
  auto found = names.find(parsed->base());
  return found == names.end() ? nullptr : &found->second;
}

absl::Status CertificateSet::CheckReplacedBy(const CertificateSet& next, absl::Time now) const {
  for (const auto& [name, credentials] : exact_) {
    const Credentials* left = next.Find(name);
    if (left == nullptr || AnyValid(*left, now) || !AnyValid(credentials, now)) continue;
    return WouldExpireError(name, *left);
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
  std::shared_ptr<CertificateSet> next = CertificateSet::Make(std::move(credentials), now);
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
