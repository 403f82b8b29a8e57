#include "examples/support/front_tls.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/flags/flag.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "examples/support/acme_tokens_dir.h"
#include "examples/support/client_auth_flags.h"
#include "examples/support/front_options.h"
#include "examples/support/log.h"
#include "examples/support/pem_files.h"
#include "examples/support/program.h"
#include "trestle/posix/file.h"
#include "trestle/posix/thread_pool.h"
#include "trestle/tls/ticket_keys.h"

ABSL_FLAG(std::string, cert, "", "PEM file with the certificate chain for clients, leaf first");
ABSL_FLAG(std::string, key, "", "PEM file with the private key of --cert");
ABSL_FLAG(std::string, ocsp_file, "",
          "file with an OCSP response in DER for --cert, which is stapled while it is valid");
ABSL_FLAG(
    std::string, certs_dir, "",
    "directory with NAME.pem (or .crt, .cer) certificate chains, their private keys inside or in "
    "NAME.key, OCSP responses in NAME.ocsp. A name may have several chains, and --cert may be "
    "given too. Also reads the directories of certbot, acme.sh and Kubernetes secrets");
ABSL_FLAG(int, signing_threads, 0,
          "threads that sign with RSA keys, so that other connections need not wait; 0: the "
          "threads that serve connections sign");
ABSL_FLAG(std::string, ticket_keys_file, "",
          "file with session ticket keys, one per line in base64 (openssl rand -base64 48), each "
          "with the time from which it encrypts, or in order: previous, current, next; processes "
          "that share it resume each other's sessions; default: keys that end with the process");

ABSL_FLAG(std::string, ech_keys_file, "",
          "file with keys for encrypted ClientHellos: PRIVATE KEY and ECHCONFIG blocks (RFC 9934), "
          "first the pair of the published config; default: ECH is off");

namespace trestle::examples {

namespace {

// --certs_dir is sufficient; a --cert beside it must be complete.
absl::Status CheckCertificateFlags() {
  const std::string cert = absl::GetFlag(FLAGS_cert);
  const std::string key = absl::GetFlag(FLAGS_key);
  if (!absl::GetFlag(FLAGS_certs_dir).empty() && cert.empty() && key.empty() &&
      absl::GetFlag(FLAGS_ocsp_file).empty()) {
    return absl::OkStatus();
  }
  if (absl::Status status = RequiredFlag("cert", cert).status(); !status.ok()) return status;
  return RequiredFlag("key", key).status();
}

// Returns null if the loops sign.
absl::StatusOr<std::unique_ptr<ThreadPoolSigner>> SignersFromFlags() {
  const int threads = absl::GetFlag(FLAGS_signing_threads);
  if (threads == 0) return nullptr;
  ThreadPoolOptions options;
  options.threads = threads;
  absl::StatusOr<std::unique_ptr<ThreadPool>> pool = ThreadPool::Create(options);
  if (!pool.ok()) return pool.status();
  return std::make_unique<ThreadPoolSigner>(*std::move(pool));
}

// The config to publish in DNS.
void LogEchConfigs(const EchKeys& keys) { LogLine(absl::StrCat("ech=", keys.PublishedConfigs())); }

}  // namespace

struct FrontTls::Loaded {
  std::vector<std::shared_ptr<const Credential>> credentials;
  std::unique_ptr<ClientAuthOptions> clients;  // Null without client certificates.
  std::vector<TicketKey> ticket_keys;          // Empty without a file.
  std::string ech_pem;
  std::shared_ptr<EchKeys> ech_keys;  // Of `ech_pem`; null without a file.
  std::vector<std::string> notes;     // Problems that do not prevent the load.
};

FrontTls::FrontTls(std::unique_ptr<ThreadPoolSigner> signers)
    : signers_(std::move(signers)), folder_(ReadKeyPassphrase, signers_.get()) {}

absl::StatusOr<std::unique_ptr<FrontTls>> FrontTls::FromFlags(
    std::vector<std::string> default_alpn) {
  if (absl::Status certificate = CheckCertificateFlags(); !certificate.ok()) return certificate;
  absl::StatusOr<std::unique_ptr<ThreadPoolSigner>> signers = SignersFromFlags();
  if (!signers.ok()) return signers.status();
  absl::StatusOr<std::unique_ptr<TicketKeysRedis>> redis = TicketKeysRedis::FromFlags();
  if (!redis.ok()) return redis.status();
  if (*redis != nullptr && !absl::GetFlag(FLAGS_ticket_keys_file).empty()) {
    return absl::InvalidArgumentError(
        "--ticket_keys_file and --ticket_keys_redis exclude each other");
  }
  auto front = absl::WrapUnique(new FrontTls(*std::move(signers)));
  front->redis_ = *std::move(redis);
  absl::StatusOr<Loaded> loaded = front->Load();
  if (!loaded.ok()) return loaded.status();
  front->LogNotes(std::move(loaded->notes));
  ServerTlsOptions options;
  if (absl::Status applied = ApplyFrontFlags(options); !applied.ok()) return applied;
  if (options.alpn.empty()) options.alpn = std::move(default_alpn);
  auto certificates = CertificateStore::Create(std::move(loaded->credentials), absl::Now());
  if (!certificates.ok()) return certificates.status();
  options.certificates = front->certificates_ = *std::move(certificates);
  if (loaded->clients != nullptr) {
    auto clients = ClientAuthentication::Create(*std::move(loaded->clients));
    if (!clients.ok()) return clients.status();
    options.client_authentication = front->clients_ = *std::move(clients);
  }
  if (front->redis_ != nullptr) options.ticket_keys = front->redis_->ring();
  if (!loaded->ticket_keys.empty()) {
    auto ring = TicketKeyRing::FromKeys(loaded->ticket_keys);
    if (!ring.ok()) return ring.status();
    options.ticket_keys = front->ticket_keys_ = *std::move(ring);
  }
  auto acme_tokens = AcmeTokensFromFlags();
  if (!acme_tokens.ok()) return acme_tokens.status();
  options.acme_tokens = *std::move(acme_tokens);
  options.ech_keys = front->ech_keys_ = loaded->ech_keys;
  if (front->ech_keys_ != nullptr) LogEchConfigs(*front->ech_keys_);
  auto config = ServerTlsConfig::Create(std::move(options));
  if (!config.ok()) return config.status();
  front->config_ = *std::move(config);
  return front;
}

absl::StatusOr<FrontTls::Loaded> FrontTls::Load() {
  Loaded loaded;
  const std::string cert = absl::GetFlag(FLAGS_cert);
  if (!cert.empty()) {
    auto credential = LoadCredential(cert, absl::GetFlag(FLAGS_key), absl::GetFlag(FLAGS_ocsp_file),
                                     signers_.get(), CredentialUse::kServer);
    if (!credential.ok()) return credential.status();
    if (!(*credential)->staple_fault().empty()) {
      loaded.notes.push_back(absl::StrCat(absl::GetFlag(FLAGS_ocsp_file),
                                          " is not stapled: ", (*credential)->staple_fault()));
    }
    loaded.credentials.push_back(*std::move(credential));
  }
  const std::string folder = absl::GetFlag(FLAGS_certs_dir);
  if (!folder.empty()) {
    auto credentials = LoadCredentials(folder, folder_);
    if (!credentials.ok()) return credentials.status();
    loaded.credentials.insert(loaded.credentials.end(), credentials->begin(), credentials->end());
    for (const std::string& note : folder_.notes()) {
      loaded.notes.push_back(absl::StrCat(folder, "/", note));
    }
  }
  auto clients = ClientAuthFromFlags();
  if (!clients.ok()) return clients.status();
  loaded.clients = *std::move(clients);
  if (loaded.clients != nullptr && !loaded.clients->otherwise.trust->ca_names_fit()) {
    loaded.notes.push_back(
        "the names of the CAs of --client_ca are too long for one message: clients are told none, "
        "and choose their certificates by themselves");
  }
  const std::string ech_path = absl::GetFlag(FLAGS_ech_keys_file);
  if (!ech_path.empty()) {
    absl::StatusOr<std::string> pem = ReadFile(ech_path);
    if (!pem.ok()) return pem.status();
    auto keys = EchKeys::FromPem(*pem);
    if (!keys.ok()) return CannotUse(ech_path, keys.status());
    loaded.ech_pem = *std::move(pem);
    loaded.ech_keys = *std::move(keys);
  }
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
  if (loaded->credentials.size() > 1) {
    absl::StrAppend(&line, ", and ", loaded->credentials.size() - 1, " more certificates");
  }
  // Steps that can still fail come first; Load has verified the rest.
  if (ech_keys_ != nullptr) {
    // Tested alone, because the new keys and the new certificates belong together.
    auto certificates = CertificateStore::Create(loaded->credentials, absl::Now());
    if (!certificates.ok()) return certificates.status();
    absl::Status names = loaded->ech_keys->CheckPublicNames(*(*certificates)->current());
    if (!names.ok()) return names;
  }
  absl::Status status = certificates_->Replace(std::move(loaded->credentials), absl::Now());
  if (status.ok() && clients_ != nullptr) status = clients_->Replace(*std::move(loaded->clients));
  if (status.ok() && ticket_keys_ != nullptr) status = ticket_keys_->Replace(loaded->ticket_keys);
  if (status.ok() && ech_keys_ != nullptr) status = ReplaceEchKeys(loaded->ech_pem);
  if (!status.ok()) return status;
  LogNotes(std::move(loaded->notes));
  for (const CertificateSet::Pending& pending : certificates_->current()->pending()) {
    absl::StrAppend(&line, ", for ", pending.name, " from ",
                    absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", pending.from, absl::UTCTimeZone()));
  }
  return line;
}

void FrontTls::LogNotes(std::vector<std::string> notes) {
  for (const std::string& note : notes) {
    if (!absl::c_linear_search(notes_, note)) LogLine(note);
  }
  notes_ = std::move(notes);
}

absl::Status FrontTls::ReplaceEchKeys(const std::string& pem) {
  const std::string published = ech_keys_->PublishedConfigs();
  absl::Status replaced = ech_keys_->Replace(pem);
  if (replaced.ok() && ech_keys_->PublishedConfigs() != published) LogEchConfigs(*ech_keys_);
  return replaced;
}

std::vector<std::string> FrontTls::files() const {
  std::vector<std::string> files = ClientAuthFiles();
  for (const std::string& path :
       {absl::GetFlag(FLAGS_cert), absl::GetFlag(FLAGS_key), absl::GetFlag(FLAGS_ocsp_file),
        absl::GetFlag(FLAGS_ticket_keys_file), absl::GetFlag(FLAGS_ech_keys_file),
        KeyPassphraseFile()}) {
    if (!path.empty()) files.push_back(path);
  }
  const std::string folder = absl::GetFlag(FLAGS_certs_dir);
  if (!folder.empty()) files.push_back(absl::StrCat(folder, "/"));
  return files;
}

}  // namespace trestle::examples
