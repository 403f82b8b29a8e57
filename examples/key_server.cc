// Signs for proxies with private keys that only this process has.

#include <sys/socket.h>

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "examples/support/backend_names.h"
#include "examples/support/front_tls.h"
#include "examples/support/key_uris.h"
#include "examples/support/log.h"
#include "examples/support/pem_files.h"
#include "examples/support/program.h"
#include "examples/support/spiffe_agent.h"
#include "integrations/remote_signer/signing_protocol.h"
#include "integrations/remote_signer/signing_server.h"
#include "trestle/base/error.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/file.h"
#include "trestle/linux/signal_watcher.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/linux/tcp_transport.h"
#include "trestle/linux/thread.h"
#include "trestle/linux/thread_pool.h"
#include "trestle/pki/private_key.h"
#include "trestle/pki/thread_pool_signer.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/tls/tls_reload.h"

ABSL_DECLARE_FLAG(std::string, client_ca);

ABSL_FLAG(std::string, listen, "", "unix:PATH, or IP:PORT with TLS, to listen on");
ABSL_FLAG(std::string, keys_file, "",
          "file with a line for each key: CHAIN KEY CLIENT[,CLIENT...] [as_client]. CHAIN is the "
          "certificate's PEM file, KEY its private key or a URI (pkcs11:). A CLIENT is unix or "
          "uid:N on a Unix-domain socket, dns:NAME or uri:URI of a client certificate with TLS. "
          "as_client also signs for a TLS client");
ABSL_FLAG(int, key_threads, 2, "threads that sign with the keys of files, 1 to 64");
ABSL_FLAG(bool, audit, true, "writes a line about each request to the log");

namespace trestle::examples {
namespace {

constexpr char kUsage[] =
    "Signs for proxies with private keys that only this process has: what a TLS server signs, and\n"
    "nothing else. SIGHUP loads the keys and certificates again; SIGTERM and SIGINT end it.\n\n"
    "  key_server --listen=unix:/run/keys.sock --keys_file=keys.txt\n"
    "  terminating_proxy --key=remote:unix:/run/keys.sock --cert=chain.pem ...";

class AuditLog final : public SigningAudit {
 public:
  void OnRequest(const SigningRecord& record) override {
    if (!absl::GetFlag(FLAGS_audit)) return;
    LogLine(absl::StrCat(
        "sign: client=", record.client, " key=", record.key, " input=", EnumName(record.input),
        absl::StrFormat(" scheme=0x%04x", static_cast<unsigned>(record.scheme)),
        " result=", EnumName(record.verdict), " took=", absl::FormatDuration(record.took),
        record.detail.empty() ? "" : absl::StrCat(" detail=\"", record.detail),
        record.detail.empty() ? "" : "\""));
  }
};

// Returns the signer for a key file or a URI, after a proof of its key.
absl::StatusOr<std::shared_ptr<const Signer>> SignerOf(const std::string& chain,
                                                       const std::string& key, CredentialUse use,
                                                       const ThreadPoolSigner& threads) {
  if (IsKeyUri(key)) return SignerByKeyUris(chain, key, use);
  const absl::StatusOr<std::string> pem = ReadFile(key);
  if (!pem.ok()) return pem.status();
  PassphraseCallback passphrases = ReadKeyPassphrase;
  absl::StatusOr<std::shared_ptr<const PrivateKey>> read =
      PrivateKey::FromPem(*pem, &passphrases, key);
  if (!read.ok()) return CannotUse(key, read.status());
  std::shared_ptr<const Signer> signer = threads.SignerFor(*std::move(read));
  if (absl::Status proven = ProveKey(*signer, chain, use); !proven.ok()) {
    return CannotUse(key, proven);
  }
  return signer;
}

absl::StatusOr<ServedKey> ReadKey(absl::string_view line, const ThreadPoolSigner& threads) {
  const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
  const bool as_client = words.size() == 4 && words[3] == "as_client";
  if (words.size() != 3 && !as_client) {
    return ConfigurationError("it is not CHAIN KEY CLIENT[,CLIENT...] [as_client]");
  }
  const absl::StatusOr<std::string> chain = ReadFile(words[0]);
  if (!chain.ok()) return chain.status();
  const absl::StatusOr<SpkiSha256> spki = SpkiSha256Of(*chain);
  if (!spki.ok()) return CannotUse(words[0], spki.status());
  absl::StatusOr<std::shared_ptr<const Signer>> signer =
      SignerOf(*chain, words[1], CredentialUse::kServer, threads);
  if (!signer.ok()) return signer.status();
  ServedKey key;
  key.spki_sha256 = *spki;
  key.name = words[0];
  key.signer = *std::move(signer);
  key.clients = absl::StrSplit(words[2], ',', absl::SkipEmpty());
  key.signs_as_client = as_client;
  return key;
}

absl::StatusOr<std::vector<ServedKey>> ReadKeys(const ThreadPoolSigner& threads) {
  const absl::StatusOr<std::string> path =
      RequiredFlag("keys_file", absl::GetFlag(FLAGS_keys_file));
  if (!path.ok()) return path.status();
  const absl::StatusOr<std::string> text = ReadFile(*path);
  if (!text.ok()) return text.status();
  std::vector<ServedKey> keys;
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    ++number;
    if (absl::StripAsciiWhitespace(line).empty() || line.front() == '#') continue;
    absl::StatusOr<ServedKey> key = ReadKey(line, threads);
    if (!key.ok()) return CannotUse(absl::StrCat(*path, " line ", number), key.status());
    keys.push_back(*std::move(key));
  }
  return keys;
}

// The user at the other end of a Unix-domain socket, as the system tells it.
std::vector<std::string> UnixNames(const Transport& transport) {
  ucred peer = {};
  socklen_t bytes = sizeof(peer);
  // Listeners of this program deliver nothing else.
  const int fd = static_cast<const TcpTransport&>(transport).fd();
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) return {};
  return {absl::StrCat("uid:", peer.uid), "unix"};
}

// Loads everything again, all or nothing. Proofs of keys may take seconds, so that a thread makes
// them.
class KeyReload {
 public:
  /// All must outlive it; `front` is null without TLS.
  KeyReload(EpollLoop& loop, SigningServer& server, const ThreadPoolSigner& threads,
            FrontTls* front)
      : loop_(loop), server_(server), threads_(threads), front_(front) {
    if (front != nullptr) certificates_.emplace(front->targets(), FrontTls::reload_options());
  }

  void Begin() {
    again_ = running_;
    if (running_) return;
    running_ = true;
    absl::StatusOr<Thread> thread = Thread::Start([this] {
      loop_.PostFromAnyThread([this, loaded = Load()]() mutable { Finish(std::move(loaded)); });
    });
    if (!thread.ok()) return Finish(thread.status());
    thread_ = *std::move(thread);
  }

 private:
  struct Loaded {
    std::vector<ServedKey> keys;
    std::optional<PreparedReload> certificates;
  };

  absl::StatusOr<Loaded> Load() {
    absl::StatusOr<std::vector<ServedKey>> keys = ReadKeys(threads_);
    if (!keys.ok()) return keys.status();
    Loaded loaded;
    loaded.keys = *std::move(keys);
    if (front_ == nullptr) return loaded;
    absl::StatusOr<ReloadSources> sources = front_->Read();
    if (!sources.ok()) return sources.status();
    absl::StatusOr<PreparedReload> prepared =
        certificates_->Prepare(*std::move(sources), absl::Now());
    if (!prepared.ok()) return prepared.status();
    loaded.certificates = *std::move(prepared);
    return loaded;
  }

  void Finish(absl::StatusOr<Loaded> loaded) {
    thread_.Join();
    const size_t count = loaded.ok() ? loaded->keys.size() : 0;
    const absl::Status used =
        loaded.ok() ? server_.ReplaceKeys(std::move(loaded->keys)) : loaded.status();
    if (used.ok() && loaded->certificates.has_value()) {
      certificates_->Commit(*std::move(loaded->certificates));
      front_->LogNews();
    }
    LogLine(used.ok() ? absl::StrCat("reloaded: ", count, count == 1 ? " key" : " keys")
                      : absl::StrCat("reload failed, what was loaded before stays in use: ",
                                     Sentence(used)));
    running_ = false;
    if (again_) Begin();
  }

  EpollLoop& loop_;
  SigningServer& server_;
  const ThreadPoolSigner& threads_;
  FrontTls* const front_;
  std::optional<TlsReload> certificates_;  // With `front_`.
  bool running_ = false;
  bool again_ = false;  // Another reload was asked for meanwhile.
  Thread thread_;
};

absl::Status Serve() {
  constexpr int kSignals[] = {SIGHUP, SIGTERM, SIGINT};
  if (absl::Status blocked = BlockSignals(kSignals); !blocked.ok()) return blocked;
  const absl::StatusOr<Endpoint> listen = EndpointFromFlag("listen", absl::GetFlag(FLAGS_listen));
  if (!listen.ok()) return listen.status();
  ThreadPoolOptions thread_options;
  thread_options.threads = absl::GetFlag(FLAGS_key_threads);
  absl::StatusOr<std::unique_ptr<ThreadPool>> threads = ThreadPool::Create(thread_options);
  if (!threads.ok()) return threads.status();
  const ThreadPoolSigner signers(*std::move(threads));
  absl::StatusOr<std::vector<ServedKey>> keys = ReadKeys(signers);
  if (!keys.ok()) return keys.status();
  const size_t key_count = keys->size();
  absl::StatusOr<std::unique_ptr<EpollLoop>> loop = EpollLoop::Create();
  if (!loop.ok()) return loop.status();
  AuditLog audit;
  SigningServerOptions options;
  options.keys = *std::move(keys);
  absl::StatusOr<std::unique_ptr<SigningServer>> server =
      SigningServer::Create(**loop, std::move(options), audit);
  if (!server.ok()) return server.status();

  const absl::Status no_agent =
      RefuseSpiffe("has no effect on a key server: --client_ca verifies its clients");
  if (!no_agent.ok()) return no_agent;
  const absl::StatusOr<std::unique_ptr<BackendNames>> names = BackendNames::FromFlags(**loop);
  if (!names.ok()) return names.status();

  // With TLS, the certificates name the clients; else the system does.
  TcpDialer no_dialer(**loop);
  std::unique_ptr<FrontTls> front;
  std::unique_ptr<TlsTerminator> terminator;
  if (listen->family() != Endpoint::Family::kUnix) {
    // Without a certificate, a client has no name.
    absl::StatusOr<std::string> client_ca =
        RequiredFlag("client_ca", absl::GetFlag(FLAGS_client_ca));
    if (!client_ca.ok()) return client_ca.status();
    absl::StatusOr<std::unique_ptr<FrontTls>> tls =
        FrontTls::FromFlags(**names, /*spiffe=*/nullptr);
    if (!tls.ok()) return tls.status();
    front = *std::move(tls);
    if (front->main_loop_part() != nullptr) {
      return FlagError("ticket_keys_redis",
                       "has no effect on a key server; only this process resumes its sessions");
    }
    TlsTerminatorOptions tls_options;
    tls_options.front_tls = front->config();
    tls_options.handler = server->get();
    auto made = TlsTerminator::Create(**loop, no_dialer, std::move(tls_options));
    if (!made.ok()) return made.status();
    terminator = *std::move(made);
  }
  absl::StatusOr<std::unique_ptr<TcpListener>> listener =
      TcpListener::Create(**loop, *listen, [&](std::unique_ptr<Transport> transport) {
        if (terminator != nullptr) return terminator->Serve(std::move(transport));
        std::vector<std::string> names = UnixNames(*transport);
        (*server)->Serve(std::move(transport), std::move(names));
      });
  if (!listener.ok()) return listener.status();
  KeyReload reload(**loop, **server, signers, front.get());
  const auto signals = SignalWatcher::Create(
      **loop, kSignals, [&](int signal) { signal == SIGHUP ? reload.Begin() : (*loop)->Stop(); });
  if (!signals.ok()) return signals.status();
  LogLine(absl::StrCat("listening on ", (*listener)->local_endpoint().ToString(), " with ",
                       key_count, key_count == 1 ? " key" : " keys"));
  (*loop)->Run();
  return absl::OkStatus();
}

}  // namespace
}  // namespace trestle::examples

int main(int argc, char** argv) {
  trestle::examples::ParseCommandLine(argc, argv, trestle::examples::kUsage);
  trestle::examples::OrExit(trestle::examples::Serve());
}
