#include "trestle/tls/ech_keys.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/tls/ech/ech_key_set.h"
#include "trestle/base/error.h"

namespace trestle {

absl::StatusOr<std::shared_ptr<EchKeys>> EchKeys::FromPem(absl::string_view pem) {
  absl::StatusOr<std::shared_ptr<const EchKeySet>> keys = EchKeySet::Read(pem);
  if (!keys.ok()) return keys.status();
  return std::shared_ptr<EchKeys>(new EchKeys(*std::move(keys)));
}

EchKeys::EchKeys(std::shared_ptr<const EchKeySet> keys) : keys_(std::move(keys)) {}

EchKeys::~EchKeys() = default;

absl::Status EchKeys::Replace(absl::string_view pem) {
  absl::StatusOr<std::shared_ptr<const EchKeySet>> keys = EchKeySet::Read(pem);
  if (!keys.ok()) return keys.status();
  Use(*std::move(keys));
  return absl::OkStatus();
}

void EchKeys::Use(std::shared_ptr<const EchKeySet> keys) {
  absl::MutexLock lock(&mutex_);
  keys_ = std::move(keys);
  // Takes a reference. It fails only if no key is published, and the first one always is.
  for (SSL_CTX* context : contexts_) SSL_CTX_set1_ech_keys(context, keys_->native.get());
  ERR_clear_error();
}

std::string EchKeys::PublishedConfigs() const { return absl::Base64Escape(current()->published); }

std::vector<EchKeys::Config> EchKeys::Configs() const {
  std::vector<Config> configs;
  for (const EchKey& key : current()->keys) {
    configs.push_back({key.config.config_id, key.config.public_name});
  }
  return configs;
}

std::shared_ptr<const EchKeySet> EchKeys::current() const {
  absl::MutexLock lock(&mutex_);
  return keys_;
}

absl::Status EchKeys::CheckPublicNames(const CertificateSet& certificates) const {
  return CheckPublicNamesOf(*current(), certificates);
}

absl::Status EchKeys::CheckPublicNamesOf(const EchKeySet& keys,
                                         const CertificateSet& certificates) {
  for (const EchKey& key : keys.keys) {
    const std::string& name = key.config.public_name;
    if (!certificates.Choose(name, absl::InfiniteFuture()).empty()) continue;
    return ConfigurationError(absl::StrCat("no certificate for \"", name,
                                           "\", the public name of an ECHConfig: clients with an "
                                           "outdated config could not get the new one"));
  }
  return absl::OkStatus();
}

absl::Status EchKeys::Attach(SSL_CTX* context) {
  absl::MutexLock lock(&mutex_);
  if (!SSL_CTX_set1_ech_keys(context, keys_->native.get())) {
    ERR_clear_error();
    return ConfigurationError("the ECH keys can't be used");
  }
  contexts_.push_back(context);
  return absl::OkStatus();
}

void EchKeys::Detach(SSL_CTX* context) {
  absl::MutexLock lock(&mutex_);
  contexts_.erase(std::remove(contexts_.begin(), contexts_.end(), context), contexts_.end());
}

}  // namespace trestle
