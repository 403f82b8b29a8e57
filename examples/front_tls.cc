#include "examples/front_tls.h"

#include <utility>

#include "absl/flags/flag.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "examples/acme_tokens_dir.h"
#include "examples/client_auth_flags.h"
#include "examples/pem_files.h"
#include "examples/proxy_flags.h"
#include "trestle/posix/file.h"
#include "trestle/tls/ticket_keys.h"

ABSL_FLAG(std::string, cert, "", "PEM file with the certificate chain for clients, leaf first");
ABSL_FLAG(std::string, key, "", "PEM file with the certificate's private key");
ABSL_FLAG(std::string, ticket_keys_file, "",
          "file with the keys of session tickets, one in base64 a line (openssl rand -base64 48), "
          "each with the time from which it seals, or in order: previous, current, next; processes "
          "that share it resume each other's sessions; default: keys that end with the process");

namespace trestle::examples {

struct FrontTls::Loaded {
  std::vector<std::shared_ptr<const Credential>> credentials;
  std::unique_ptr<ClientAuthOptions> clients;  // Null where nobody is asked.
  std::vector<TicketKey> ticket_keys;  // Empty without a file.
};

absl::StatusOr<std::unique_ptr<FrontTls>> FrontTls::FromFlags() {
  for (const auto& [flag, value] :
       {std::pair("cert", absl::GetFlag(FLAGS_cert)), std::pair("key", absl::GetFlag(FLAGS_key))}) {
    if (absl::StatusOr<std::string> given = RequiredFlag(flag, value); !given.ok()) {
      return given.status();
    }
  }
  auto front = absl::WrapUnique(new FrontTls());
  absl::StatusOr<Loaded> loaded = front->Load();
  if (!loaded.ok()) return loaded.status();
  ServerTlsOptions options;
  auto certificates = CertificateStore::Create(std::move(loaded->credentials), absl::Now());
  if (!certificates.ok()) return certificates.status();
  options.certificates = front->certificates_ = *std::move(certificates);
  if (loaded->clients != nullptr) {
    auto clients = ClientAuthentication::Create(*std::move(loaded->clients));
    if (!clients.ok()) return clients.status();
    options.client_authentication = front->clients_ = *std::move(clients);
  }
  if (!loaded->ticket_keys.empty()) {
    auto ring = TicketKeyRing::FromKeys(loaded->ticket_keys);
    if (!ring.ok()) return ring.status();
    options.ticket_keys = front->ticket_keys_ = *std::move(ring);
  }
  auto acme_tokens = AcmeTokensFromFlags();
  if (!acme_tokens.ok()) return acme_tokens.status();
  options.acme_tokens = *std::move(acme_tokens);
  auto config = ServerTlsConfig::Create(std::move(options));
  if (!config.ok()) return config.status();
  front->config_ = *std::move(config);
  return front;
}

absl::StatusOr<FrontTls::Loaded> FrontTls::Load() const {
  Loaded loaded;
  auto credential = LoadCredential(absl::GetFlag(FLAGS_cert), absl::GetFlag(FLAGS_key));
  if (!credential.ok()) return credential.status();
  loaded.credentials.push_back(*std::move(credential));
  auto clients = ClientAuthFromFlags();
  if (!clients.ok()) return clients.status();
  loaded.clients = *std::move(clients);
  const std::string keys_path = absl::GetFlag(FLAGS_ticket_keys_file);
  if (keys_path.empty()) return loaded;
  absl::StatusOr<std::vector<TicketKey>> keys = LoadTicketKeys(keys_path);
  if (!keys.ok()) return keys.status();
  loaded.ticket_keys = *std::move(keys);
  return loaded;
}

absl::StatusOr<std::string> FrontTls::Reload() {
  absl::StatusOr<Loaded> loaded = Load();
  if (!loaded.ok()) return loaded.status();
  std::string line = DescribeCredential(*loaded->credentials.front());
  // What can still fail comes first: Load has tried the rest.
  absl::Status status = certificates_->Replace(std::move(loaded->credentials), absl::Now());
  if (status.ok() && clients_ != nullptr) status = clients_->Replace(*std::move(loaded->clients));
  if (status.ok() && ticket_keys_ != nullptr) status = ticket_keys_->Replace(loaded->ticket_keys);
  if (!status.ok()) return status;
  return line;
}

std::vector<std::string> FrontTls::files() const {
  std::vector<std::string> files = ClientAuthFiles();
  for (const std::string& path : {absl::GetFlag(FLAGS_cert), absl::GetFlag(FLAGS_key),
                                  absl::GetFlag(FLAGS_ticket_keys_file)}) {
    if (!path.empty()) files.push_back(path);
  }
  return files;
}

}  // namespace trestle::examples
