#include "examples/support/key_uris.h"

#include <cstddef>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "examples/support/log.h"
#include "examples/support/program.h"
#include "integrations/pkcs11/pkcs11_key.h"
#include "integrations/remote_signer/remote_signer.h"
#include "integrations/remote_signer/signing_protocol.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/linux/ca_files.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/file.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/linux/thread.h"
#include "trestle/linux/thread_pool.h"
#include "trestle/pki/failover_signer.h"
#include "trestle/pki/signer.h"
#include "trestle/pki/signer_proof.h"
#include "trestle/pki/thread_pool_signer.h"
#include "trestle/tls/client_tls_config.h"

ABSL_FLAG(int, pkcs11_threads, 4,
          "signatures that one token makes at the same time, 1 to 64. Further ones wait");
ABSL_FLAG(
    absl::Duration, signing_deadline, absl::Seconds(2),
    "longest time for the signature of a key outside this process (pkcs11:, remote:), waiting "
    "included. After it the next URI is asked, or the handshake fails");

ABSL_FLAG(std::string, key_server_ca, "", "PEM file with the CAs of key servers (remote:IP:PORT)");
ABSL_FLAG(std::string, key_server_name, "", "the name in key servers' certificates");
ABSL_FLAG(std::string, key_server_cert, "",
          "PEM file with the certificate and private key by which key servers know this program");

namespace trestle::examples {
namespace {

constexpr size_t kMaxWaitingSignatures = 256;
constexpr absl::string_view kRemote = "remote:";

/// A key elsewhere.
struct Source {
  std::string name;
  std::shared_ptr<const Signer> signer;
  std::optional<SpkiSha256> proven;  // The public key that it has proven.
};

// Returns the sentence of an error, with the name of the key.
std::string Named(const std::string& name, const absl::Status& why) {
  const std::string sentence = Sentence(why);
  return absl::StrContains(sentence, name) ? sentence : absl::StrCat(name, ": ", sentence);
}

class FailoverLog final : public FailoverObserver {
 public:
  explicit FailoverLog(std::vector<std::string> names) : names_(std::move(names)) {}

  void OnFailure(size_t index, const absl::Status& why, absl::Duration pause) override {
    LogLine(absl::StrCat("key ", Named(names_[index], why), "; it is asked again in ",
                         absl::FormatDuration(pause)));
  }
  void OnRecovery(size_t index) override {
    LogLine(absl::StrCat("key ", names_[index], ": it signs again"));
  }

 private:
  const std::vector<std::string> names_;
};

absl::StatusOr<Source> NewPkcs11Source(const std::string& uri) {
  absl::StatusOr<std::shared_ptr<const Pkcs11Key>> key = Pkcs11Key::Create(uri);
  if (!key.ok()) return key.status();
  ThreadPoolOptions options;
  options.threads = absl::GetFlag(FLAGS_pkcs11_threads);
  options.max_waiting = kMaxWaitingSignatures;
  // Each token has threads of its own: one that hangs holds up no other.
  absl::StatusOr<std::unique_ptr<ThreadPool>> threads = ThreadPool::Create(options);
  if (!threads.ok()) return threads.status();
  Source source;
  source.name = (*key)->name();
  source.signer =
      ThreadPoolSigner(*std::move(threads), absl::GetFlag(FLAGS_signing_deadline)).SignerFor(*key);
  return source;
}

// The thread of the connections to key servers. Runs until the program ends.
struct RemoteLoop {
  std::unique_ptr<EpollLoop> loop;
  std::unique_ptr<TcpDialer> dialer;
};

absl::StatusOr<RemoteLoop*> FindRemoteLoop() {
  static auto* const remote = new RemoteLoop();
  if (remote->loop != nullptr) return remote;
  absl::StatusOr<std::unique_ptr<EpollLoop>> loop = EpollLoop::Create();
  if (!loop.ok()) return loop.status();
  absl::StatusOr<Thread> thread = Thread::Start([running = loop->get()] { running->Run(); });
  if (!thread.ok()) return thread.status();
  thread->Detach();
  remote->dialer = std::make_unique<TcpDialer>(**loop);
  remote->loop = *std::move(loop);
  return remote;
}

// TLS to key servers on the network.
absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> KeyServerTls() {
  const std::string ca_path = absl::GetFlag(FLAGS_key_server_ca);
  const std::string cert_path = absl::GetFlag(FLAGS_key_server_cert);
  if (ca_path.empty() || cert_path.empty() || absl::GetFlag(FLAGS_key_server_name).empty()) {
    return ConfigurationError(
        "a key server on the network needs --key_server_ca, --key_server_name and "
        "--key_server_cert");
  }
  ClientTlsOptions options;
  absl::StatusOr<std::string> ca = ReadCaCertificates(ca_path);
  if (!ca.ok()) return ca.status();
  options.ca_pem = *std::move(ca);
  const absl::StatusOr<std::string> pem = ReadFile(cert_path);
  if (!pem.ok()) return pem.status();
  CredentialOptions use;
  use.use = CredentialUse::kClient;
  absl::StatusOr<std::shared_ptr<const Credential>> credential =
      Credential::FromPem(*pem, *pem, use);
  if (!credential.ok()) return CannotUse(cert_path, credential.status());
  options.credential = *std::move(credential);
  return ClientTlsConfig::Create(std::move(options));
}

absl::StatusOr<std::shared_ptr<const RemoteSigner>> NewRemote(const std::string& uri) {
  absl::StatusOr<Endpoint> server =
      ServerFromFlag("key", absl::string_view(uri).substr(kRemote.size()));
  if (!server.ok()) return server.status();
  RemoteSignerOptions options;
  options.server = *server;
  options.deadline = absl::GetFlag(FLAGS_signing_deadline);
  if (server->family() != Endpoint::Family::kUnix) {
    absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> tls = KeyServerTls();
    if (!tls.ok()) return tls.status();
    options.tls = *std::move(tls);
    options.server_name = absl::GetFlag(FLAGS_key_server_name);
  }
  absl::StatusOr<RemoteLoop*> remote = FindRemoteLoop();
  if (!remote.ok()) return remote.status();
  return RemoteSigner::Create(*(*remote)->loop, *(*remote)->dialer, std::move(options));
}

// Returns the source of a key at a key server. All its keys share one connection.
absl::StatusOr<Source> NewRemoteSource(const std::string& uri, const SpkiSha256& key) {
  static auto* const servers = new std::map<std::string, std::shared_ptr<const RemoteSigner>>();
  std::shared_ptr<const RemoteSigner>& server = (*servers)[uri];
  if (server == nullptr) {
    absl::StatusOr<std::shared_ptr<const RemoteSigner>> made = NewRemote(uri);
    if (!made.ok()) return made.status();
    server = *std::move(made);
  }
  Source source;
  source.name = uri;
  source.signer = server->SignerFor(key);
  return source;
}

// Returns the source of a URI, the same for the same text and key.
absl::StatusOr<Source*> FindSource(const std::string& uri, const SpkiSha256& key) {
  static auto* const sources = new std::map<std::pair<std::string, SpkiSha256>, Source>();
  // A token's URI names the key.
  const bool remote = absl::StartsWith(uri, kRemote);
  const std::pair<std::string, SpkiSha256> id(uri, remote ? key : SpkiSha256());
  if (const auto known = sources->find(id); known != sources->end()) return &known->second;
  absl::StatusOr<Source> source = remote ? NewRemoteSource(uri, key) : NewPkcs11Source(uri);
  if (!source.ok()) return source.status();
  return &sources->emplace(id, *std::move(source)).first->second;
}

bool IsAway(const absl::Status& status) {
  const ErrorCode code = GetError(status).value_or(Error()).code;
  return code == ErrorCode::kTransport || code == ErrorCode::kTimeout;
}

// Makes each source prove its key. One at least must do so.
absl::Status ProveAll(const std::vector<Source*>& sources, absl::string_view chain_pem,
                      const SpkiSha256& spki, CredentialUse use) {
  size_t proven = 0;
  absl::Status failure;
  for (Source* source : sources) {
    if (source->proven != spki) {
      absl::Status status = ProveKey(*source->signer, chain_pem, use);
      if (!status.ok() && !IsAway(status)) return CannotUse(source->name, status);
      if (!status.ok()) {
        LogLine(absl::StrCat("key ", Named(source->name, status)));
        failure = std::move(status);
        continue;
      }
      source->proven = spki;
    }
    ++proven;
  }
  return proven > 0 ? absl::OkStatus() : failure;
}

}  // namespace

bool IsKeyUri(absl::string_view key) {
  return absl::StartsWith(key, "pkcs11:") || absl::StartsWith(key, kRemote);
}

// Waits for a proof on a loop of its own.
absl::Status ProveKey(const Signer& signer, absl::string_view chain_pem, CredentialUse use) {
  absl::StatusOr<std::unique_ptr<EpollLoop>> loop = EpollLoop::Create();
  if (!loop.ok()) return loop.status();
  const SigningSide side =
      use == CredentialUse::kServer ? SigningSide::kServer : SigningSide::kClient;
  std::optional<absl::Status> result;
  const std::unique_ptr<PendingCall> pending =
      ProveSigner(signer, chain_pem, side, **loop, [&](absl::Status status) {
        result = std::move(status);
        (*loop)->Stop();
      });
  if (!result.has_value()) (*loop)->Run();
  return *std::move(result);
}

absl::StatusOr<std::shared_ptr<const Signer>> SignerByKeyUris(absl::string_view chain_pem,
                                                              const std::string& uris,
                                                              CredentialUse use) {
  const absl::StatusOr<SpkiSha256> spki = SpkiSha256Of(chain_pem);
  if (!spki.ok()) return spki.status();
  std::vector<Source*> sources;
  std::vector<std::shared_ptr<const Signer>> signers;
  std::vector<std::string> names;
  for (const absl::string_view uri : absl::StrSplit(uris, ' ', absl::SkipEmpty())) {
    absl::StatusOr<Source*> source = FindSource(std::string(uri), *spki);
    if (!source.ok()) return source.status();
    sources.push_back(*source);
    signers.push_back((*source)->signer);
    names.push_back((*source)->name);
  }
  if (absl::Status proven = ProveAll(sources, chain_pem, *spki, use); !proven.ok()) return proven;
  FailoverOptions failover;
  failover.observer = std::make_shared<FailoverLog>(std::move(names));
  return FailoverSigner::Create(std::move(signers), std::move(failover));
}

absl::StatusOr<std::shared_ptr<const Credential>> CredentialByKeyUris(
    absl::string_view chain_pem, const std::string& uris, const CredentialOptions& options) {
  absl::StatusOr<std::shared_ptr<const Signer>> signer =
      SignerByKeyUris(chain_pem, uris, options.use);
  if (!signer.ok()) return signer.status();
  return Credential::FromSigner(chain_pem, *std::move(signer), options);
}

}  // namespace trestle::examples
