#include "examples/support/key_uris.h"

#include <array>
#include <cstddef>
#include <cstdint>
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
#include "trestle/base/error.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/thread_pool.h"
#include "trestle/pki/failover_signer.h"
#include "trestle/pki/signer.h"
#include "trestle/pki/signer_proof.h"
#include "trestle/pki/thread_pool_signer.h"

ABSL_FLAG(int, pkcs11_threads, 4,
          "signatures that one token makes at the same time, 1 to 64. Further ones wait");
ABSL_FLAG(absl::Duration, signing_deadline, absl::Seconds(2),
          "longest time for the signature of a key outside this process (pkcs11:), waiting "
          "included. After it the next URI is asked, or the handshake fails");

namespace trestle::examples {
namespace {

constexpr size_t kMaxWaitingSignatures = 256;

using SpkiSha256 = std::array<uint8_t, 32>;

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

// Returns the source of a URI, the same for the same text.
absl::StatusOr<Source*> FindSource(const std::string& uri) {
  static auto* const sources = new std::map<std::string, Source>();
  if (const auto known = sources->find(uri); known != sources->end()) return &known->second;
  absl::StatusOr<Source> source = NewPkcs11Source(uri);
  if (!source.ok()) return source.status();
  return &sources->emplace(uri, *std::move(source)).first->second;
}

// Waits for a proof on a loop of its own.
absl::Status Prove(const Signer& signer, absl::string_view chain_pem, CredentialUse use) {
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
      absl::Status status = Prove(*source->signer, chain_pem, use);
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

bool IsKeyUri(absl::string_view key) { return absl::StartsWith(key, "pkcs11:"); }

absl::StatusOr<std::shared_ptr<const Credential>> CredentialByKeyUris(
    absl::string_view chain_pem, const std::string& uris, const CredentialOptions& options) {
  std::vector<Source*> sources;
  std::vector<std::shared_ptr<const Signer>> signers;
  std::vector<std::string> names;
  for (const absl::string_view uri : absl::StrSplit(uris, ' ', absl::SkipEmpty())) {
    absl::StatusOr<Source*> source = FindSource(std::string(uri));
    if (!source.ok()) return source.status();
    sources.push_back(*source);
    signers.push_back((*source)->signer);
    names.push_back((*source)->name);
  }
  FailoverOptions failover;
  failover.observer = std::make_shared<FailoverLog>(std::move(names));
  absl::StatusOr<std::shared_ptr<const FailoverSigner>> signer =
      FailoverSigner::Create(std::move(signers), std::move(failover));
  if (!signer.ok()) return signer.status();
  absl::StatusOr<std::shared_ptr<const Credential>> credential =
      Credential::FromSigner(chain_pem, *std::move(signer), options);
  if (!credential.ok()) return credential;
  const SpkiSha256& spki = (*credential)->chain().front().spki_sha256;
  if (absl::Status proven = ProveAll(sources, chain_pem, spki, options.use); !proven.ok()) {
    return proven;
  }
  return credential;
}

}  // namespace trestle::examples
