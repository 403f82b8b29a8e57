#include "examples/support/front_tls.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/flags/flag.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "examples/support/acme_tokens_dir.h"
#include "examples/support/client_auth_flags.h"
#include "examples/support/front_options.h"
#include "examples/support/key_uris.h"
#include "examples/support/log.h"
#include "examples/support/pem_files.h"
#include "examples/support/program.h"
#include "examples/support/public_roots.h"
#include "integrations/openssl_signer/openssl_signer.h"
#include "trestle/base/error.h"
#include "trestle/linux/file.h"
#include "trestle/linux/thread_pool.h"
#include "trestle/pki/chain_findings.h"
#include "trestle/pki/signer.h"
#include "trestle/pki/thread_pool_signer.h"
#include "trestle/tls/ticket_keys.h"

ABSL_FLAG(std::string, cert, "", "PEM file with the certificate chain for clients, leaf first");
ABSL_FLAG(std::string, key, "",
          "PEM file with the private key of --cert; or, for a key outside this process, "
          "remote:unix:PATH or remote:IP:PORT of a key_server, or the URI of a token (RFC 7512): "
          "'pkcs11:token=T;object=O?module-path=/M.so&pin-source=/PIN', or two URIs with a space "
          "between: the second is used while the first fails");
ABSL_FLAG(std::string, ocsp_file, "",
          "file with an OCSP response in DER for --cert, which is stapled while it is valid");
ABSL_FLAG(
    std::string, certs_dir, "",
    "directory with NAME.pem (or .crt, .cer) certificate chains, their private keys inside or in "
    "NAME.key, which may also be a URI as in --key, OCSP responses in NAME.ocsp. A name may have "
    "several chains, and --cert may be "
    "given too. Also reads the directories of certbot, acme.sh and Kubernetes secrets");
ABSL_FLAG(bool, refuse_lost_names, false,
          "refuses a reload whose certificates lack a name that the present ones have; else it is "
          "logged, and done");
ABSL_FLAG(int, signing_threads, 0,
          "threads that sign with RSA keys, so that other connections need not wait; 0: the "
          "threads that serve connections sign");
ABSL_FLAG(
    std::string, rsa_signer, "boringssl",
    "the library that signs with RSA keys: boringssl; or openssl, the system's libcrypto.so.3, "
    "which needs less than half the time on CPUs with AVX-512 IFMA");
ABSL_FLAG(std::string, ticket_keys_file, "",
          "file with session ticket keys, one per line in base64 (openssl rand -base64 48). Each "
          "line has the time from which the key encrypts; or the order is: previous, current, "
          "next. Processes that share the file resume each other's sessions. Default: keys that "
          "end with the process");

namespace trestle::examples {

namespace {

// --certs_dir or an agent is sufficient; a --cert beside it must be complete.
absl::Status CheckCertificateFlags(bool has_agent) {
  const std::string cert = absl::GetFlag(FLAGS_cert);
  const std::string key = absl::GetFlag(FLAGS_key);
  const bool has_files = !cert.empty() || !absl::GetFlag(FLAGS_certs_dir).empty();
  if (has_agent && has_files && !SpiffeVerifiesClients() && !SpiffeVerifiesBackends()) {
    return FlagError("spiffe_agent",
                     "has no use: there are other certificates for clients, and neither "
                     "--spiffe_clients nor --spiffe_backends");
  }
  const bool has_other = has_agent || !absl::GetFlag(FLAGS_certs_dir).empty();
  if (has_other && cert.empty() && key.empty() && absl::GetFlag(FLAGS_ocsp_file).empty()) {
    return absl::OkStatus();
  }
  if (absl::Status status = RequiredFlag("cert", cert).status(); !status.ok()) return status;
  return RequiredFlag("key", key).status();
}

// Returns null if the loops sign.
absl::StatusOr<std::shared_ptr<TaskRunner>> SigningThreads() {
  ThreadPoolOptions options;
  options.threads = absl::GetFlag(FLAGS_signing_threads);
  if (options.threads == 0) return nullptr;
  absl::StatusOr<std::unique_ptr<ThreadPool>> pool = ThreadPool::Create(options);
  if (!pool.ok()) return pool.status();
  return std::shared_ptr<TaskRunner>(*std::move(pool));
}

// Returns null if the loops sign with BoringSSL.
absl::StatusOr<std::unique_ptr<SignerMaker>> SignersFromFlags() {
  absl::StatusOr<std::shared_ptr<TaskRunner>> threads = SigningThreads();
  if (!threads.ok()) return threads.status();
  const std::string library = absl::GetFlag(FLAGS_rsa_signer);
  if (library == "boringssl") {
    if (*threads == nullptr) return nullptr;
    return std::make_unique<ThreadPoolSigner>(*std::move(threads));
  }
  if (library != "openssl") {
    return ConfigurationError(
        absl::StrCat("--rsa_signer is boringssl or openssl, not \"", library, "\""));
  }
  OpenSslSignerOptions options;
  options.threads = *std::move(threads);
  absl::StatusOr<std::unique_ptr<OpenSslSigner>> signers =
      OpenSslSigner::Create(std::move(options));
  if (!signers.ok()) return signers.status();
  LogLine(absl::StrCat("RSA signatures by ", (*signers)->version()));
  return *std::move(signers);
}

// Finds a key of --certs_dir that is outside this process.
absl::StatusOr<std::shared_ptr<const Signer>> KeyOfUris(absl::string_view chain_pem,
                                                        absl::string_view where) {
  if (IsKeyUri(where)) {
    return SignerByKeyUris(chain_pem, std::string(where), CredentialUse::kServer);
  }
  return ConfigurationError("the key is neither PEM text nor the URI of a key (docs/keys.md)");
}

// Returns nothing if `path` is empty.
absl::StatusOr<std::optional<ReloadText>> ReadText(const std::string& path) {
  if (path.empty()) return std::nullopt;
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  return ReloadText{path, *std::move(text)};
}

}  // namespace

FrontTls::FrontTls(std::unique_ptr<SignerMaker> signers, SpiffeAgent* spiffe)
    : signers_(std::move(signers)),
      spiffe_(spiffe),
      folder_(ReadKeyPassphrase, signers_.get(), KeyOfUris) {}

absl::StatusOr<std::unique_ptr<FrontTls>> FrontTls::FromFlags(
    BackendNames& names, SpiffeAgent* spiffe, std::vector<std::string> default_alpn) {
  const absl::Status certificate = CheckCertificateFlags(spiffe != nullptr);
  if (!certificate.ok()) return certificate;
  if (absl::Status roots = CheckPublicRoots(); !roots.ok()) return roots;
  absl::StatusOr<std::unique_ptr<SignerMaker>> signers = SignersFromFlags();
  if (!signers.ok()) return signers.status();
  absl::StatusOr<std::unique_ptr<TicketKeysRedis>> redis = TicketKeysRedis::FromFlags(names);
  if (!redis.ok()) return redis.status();
  if (*redis != nullptr && !absl::GetFlag(FLAGS_ticket_keys_file).empty()) {
    return absl::InvalidArgumentError(
        "--ticket_keys_file and --ticket_keys_redis exclude each other");
  }
  auto front = absl::WrapUnique(new FrontTls(*std::move(signers), spiffe));
  front->redis_ = *std::move(redis);
  absl::StatusOr<ReloadSources> sources = front->Read();
  if (!sources.ok()) return sources.status();
  front->LogNotes();
  if (absl::Status made = front->MakeParts(*std::move(sources)); !made.ok()) return made;
  ServerTlsOptions options;
  if (absl::Status applied = ApplyFrontFlags(options); !applied.ok()) return applied;
  if (options.alpn.empty()) options.alpn = std::move(default_alpn);
  auto acme_tokens = AcmeTokensFromFlags();
  if (!acme_tokens.ok()) return acme_tokens.status();
  options.acme_tokens = *std::move(acme_tokens);
  options.certificates = front->certificates_;
  options.client_authentication = front->clients_;
  options.ticket_keys = front->redis_ != nullptr ? front->redis_->ring() : front->ticket_keys_;
  options.ech_keys = front->ech_keys_;
  auto config = ServerTlsConfig::Create(std::move(options));
  if (!config.ok()) return config.status();
  front->config_ = *std::move(config);
  front->LogNews();
  return front;
}

absl::StatusOr<ReloadSources> FrontTls::Read() {
  ReloadSources sources;
  notes_.clear();
  const std::string cert = absl::GetFlag(FLAGS_cert);
  if (!cert.empty()) {
    auto credential = LoadCredential(cert, absl::GetFlag(FLAGS_key), absl::GetFlag(FLAGS_ocsp_file),
                                     signers_.get(), CredentialUse::kServer);
    if (!credential.ok()) return credential.status();
    if (!(*credential)->staple_fault().empty()) {
      notes_.push_back(absl::StrCat(absl::GetFlag(FLAGS_ocsp_file),
                                    " is not stapled: ", (*credential)->staple_fault()));
    }
    sources.certificates.push_back(*std::move(credential));
  }
  const std::string folder = absl::GetFlag(FLAGS_certs_dir);
  if (!folder.empty()) {
    auto credentials = LoadCredentials(folder, folder_);
    if (!credentials.ok()) return credentials.status();
    sources.certificates.insert(sources.certificates.end(), credentials->begin(),
                                credentials->end());
    for (const std::string& note : folder_.notes()) {
      notes_.push_back(absl::StrCat(folder, "/", note));
    }
  }
  if (cert.empty() && folder.empty()) sources.certificates.push_back(spiffe_->Use()->server);
  auto clients = ClientAuthFromFlags(spiffe_);
  if (!clients.ok()) return clients.status();
  if (*clients != nullptr) sources.clients = std::move(**clients);
  read_client_cas_ = sources.clients.has_value() ? sources.clients->otherwise.trust : nullptr;
  if (sources.clients.has_value() && !sources.clients->otherwise.trust->ca_names_fit()) {
    notes_.push_back(
        "the names of the CAs of --client_ca are too long for one message: clients get none, "
        "and choose their certificates by themselves");
  }
  auto ech_keys = ReadText(EchKeysPath());
  if (!ech_keys.ok()) return ech_keys.status();
  sources.ech_keys = *std::move(ech_keys);
  auto ticket_keys = ReadText(absl::GetFlag(FLAGS_ticket_keys_file));
  if (!ticket_keys.ok()) return ticket_keys.status();
  sources.ticket_keys = *std::move(ticket_keys);
  return sources;
}

absl::Status FrontTls::MakeParts(ReloadSources sources) {
  auto certificates = CertificateStore::Create(std::move(sources.certificates), absl::Now());
  if (!certificates.ok()) return certificates.status();
  certificates_ = *std::move(certificates);
  if (sources.clients.has_value()) {
    auto clients = ClientAuthentication::Create(*std::move(sources.clients));
    if (!clients.ok()) return clients.status();
    clients_ = *std::move(clients);
  }
  if (sources.ticket_keys.has_value()) {
    const auto keys = ParseTicketKeys(sources.ticket_keys->text);
    if (!keys.ok()) return CannotUse(sources.ticket_keys->name, keys.status());
    auto ring = TicketKeyRing::FromKeys(*keys);
    if (!ring.ok()) return CannotUse(sources.ticket_keys->name, ring.status());
    ticket_keys_ = *std::move(ring);
  }
  if (sources.ech_keys.has_value()) {
    auto keys = EchKeys::FromPem(sources.ech_keys->text);
    if (!keys.ok()) return CannotUse(sources.ech_keys->name, keys.status());
    ech_keys_ = *std::move(keys);
  }
  return absl::OkStatus();
}

ReloadTargets FrontTls::targets() const {
  ReloadTargets targets;
  targets.certificates = certificates_;
  targets.clients = clients_;
  targets.ticket_keys = ticket_keys_;
  targets.ech_keys = ech_keys_;
  return targets;
}

TlsReloadOptions FrontTls::reload_options() {
  TlsReloadOptions options;
  options.refuse_lost_names = absl::GetFlag(FLAGS_refuse_lost_names);
  return options;
}

void FrontTls::LogNews() {
  client_cas_ = read_client_cas_;
  for (const Finding& finding : Findings()) notes_.push_back(TextOf(finding));
  LogNotes();
  if (ech_keys_ != nullptr) ech_configs_.Log(*ech_keys_);
}

std::vector<Finding> FrontTls::Findings() const {
  if (client_cas_ == nullptr) return {};
  const auto roots = PublicRoots();
  if (!roots.ok()) return {};
  return FindingsOfClientCas(*client_cas_, roots->get());
}

void FrontTls::LogNotes() {
  for (const std::string& note : notes_) {
    if (!absl::c_linear_search(logged_notes_, note)) LogWarning(note);
  }
  logged_notes_ = notes_;
}

std::vector<std::string> FrontTls::files() const {
  std::vector<std::string> files = ClientAuthFiles();
  for (const std::string& path :
       {absl::GetFlag(FLAGS_cert), absl::GetFlag(FLAGS_key), absl::GetFlag(FLAGS_ocsp_file),
        absl::GetFlag(FLAGS_ticket_keys_file), EchKeysPath(), KeyPassphraseFile()}) {
    if (!path.empty() && !IsKeyUri(path)) files.push_back(path);
  }
  const std::string folder = absl::GetFlag(FLAGS_certs_dir);
  if (!folder.empty()) files.push_back(absl::StrCat(folder, "/"));
  return files;
}

}  // namespace trestle::examples
