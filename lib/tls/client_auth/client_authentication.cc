#include "trestle/tls/client_authentication.h"

#include <utility>

#include "absl/memory/memory.h"
#include "lib/tls/client_auth/client_auth_rules.h"

namespace trestle {

absl::StatusOr<std::shared_ptr<ClientAuthentication>> ClientAuthentication::Create(
    ClientAuthOptions options) {
  absl::StatusOr<std::shared_ptr<const ClientAuthRules>> rules =
      ClientAuthRules::Make(std::move(options));
  if (!rules.ok()) return rules.status();
  return absl::WrapUnique(new ClientAuthentication(*std::move(rules)));
}

ClientAuthentication::ClientAuthentication(std::shared_ptr<const ClientAuthRules> rules)
    : current_(std::move(rules)) {}

ClientAuthentication::~ClientAuthentication() = default;

absl::Status ClientAuthentication::Replace(ClientAuthOptions options) {
  absl::StatusOr<std::shared_ptr<const ClientAuthRules>> rules =
      ClientAuthRules::Make(std::move(options));
  if (!rules.ok()) return rules.status();
  Use(*std::move(rules));
  return absl::OkStatus();
}

bool ClientAuthentication::differs_by_name() const { return current()->differ(); }

void ClientAuthentication::Use(std::shared_ptr<const ClientAuthRules> rules) {
  absl::MutexLock lock(&mutex_);
  current_ = std::move(rules);
}

std::shared_ptr<const ClientAuthRules> ClientAuthentication::current() const {
  absl::MutexLock lock(&mutex_);
  return current_;
}

}  // namespace trestle
