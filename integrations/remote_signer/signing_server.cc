#include "integrations/remote_signer/signing_server.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "integrations/remote_signer/frame_stream.h"
#include "trestle/base/error.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/pki/peer_identity.h"

namespace trestle {
namespace {

std::vector<std::string> NamesOf(const PeerIdentity& identity) {
  std::vector<std::string> names;
  for (const std::string& name : identity.uri_names) names.push_back(absl::StrCat("uri:", name));
  for (const std::string& name : identity.dns_names) names.push_back(absl::StrCat("dns:", name));
  return names;
}

bool MayUse(const ServedKey& key, const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return std::find(key.clients.begin(), key.clients.end(), name) != key.clients.end();
  });
}

bool MaySign(const ServedKey& key, SignedInput input) {
  switch (input) {
    case SignedInput::kServerVerify:
    case SignedInput::kServerKeyExchange:
      return true;
    case SignedInput::kClientVerify:
      return key.signs_as_client;
    case SignedInput::kOther:
      return false;
  }
  return false;
}

absl::Status CheckKeys(const std::vector<ServedKey>& keys) {
  if (keys.empty()) return ConfigurationError("a key server needs keys");
  std::map<SpkiSha256, std::string> names;
  for (const ServedKey& key : keys) {
    if (key.signer == nullptr) {
      return ConfigurationError(absl::StrCat("the key ", key.name, " has no signer"));
    }
    if (key.clients.empty()) {
      return ConfigurationError(
          absl::StrCat("the key ", key.name, " has no clients that may use it"));
    }
    if (const auto [other, is_new] = names.emplace(key.spki_sha256, key.name); !is_new) {
      return ConfigurationError(
          absl::StrCat("the keys ", other->second, " and ", key.name, " are the same"));
    }
  }
  return absl::OkStatus();
}

std::string HexOf(const SpkiSha256& key) {
  return absl::BytesToHexString(AsText(ByteView(key.data(), key.size())));
}

}  // namespace

class SigningServer::Connection final : public FrameStream::Owner {
 public:
  Connection(SigningServer& server, std::unique_ptr<Transport> transport,
             std::vector<std::string> names)
      : server_(server),
        names_(std::move(names)),
        frames_(server.scheduler_, std::move(transport), *this) {}

  void OnFrame(ByteView content) override {
    std::optional<SigningRequest> request = DecodeRequest(content);
    if (!request.has_value()) {
      return frames_.End(ConfigurationError("a request has not the form"));
    }
    Question question;
    question.id = request->id;
    question.began = server_.scheduler_.MonotonicNow();
    question.record.client = names_.front();
    question.record.scheme = request->scheme;
    question.record.input = SignedInputOf(AsBytes(request->input));
    const ServedKey* const key = server_.Find(request->key);
    question.record.key = key == nullptr ? HexOf(request->key) : key->name;
    const SigningVerdict verdict = Judge(key, question.record.input);
    if (verdict != SigningVerdict::kSigned) return Answer(std::move(question), verdict, "");
    Sign(*key, *request, std::move(question));
  }

  // May destroy this.
  void OnEnd(absl::Status /*why*/) override {
    server_.connections_.remove_if(
        [this](const std::unique_ptr<Connection>& connection) { return connection.get() == this; });
  }

 private:
  struct Question {
    uint32_t id = 0;
    MonotonicTime began;
    SigningRecord record;
  };

  struct Pending {
    std::shared_ptr<const Signer> signer;  // Outlives the call.
    std::unique_ptr<PendingCall> call;
  };

  // Returns kSigned for a request that may be signed.
  SigningVerdict Judge(const ServedKey* key, SignedInput input) const {
    if (key == nullptr || !MayUse(*key, names_)) return SigningVerdict::kUnknownKey;
    if (!MaySign(*key, input)) return SigningVerdict::kNotAllowed;
    if (pending_.size() >= server_.options_.max_waiting_per_connection) {
      return SigningVerdict::kOverLimit;
    }
    return SigningVerdict::kSigned;
  }

  void Sign(const ServedKey& key, const SigningRequest& request, Question question) {
    const uint64_t place = next_place_++;
    // A key that is replaced meanwhile still answers.
    pending_[place].signer = key.signer;
    std::unique_ptr<PendingCall> call =
        key.signer->Sign(request.scheme, AsBytes(request.input), server_.scheduler_,
                         [this, place, question = std::move(question)](
                             absl::StatusOr<std::string> signature) mutable {
                           OnSigned(place, std::move(question), std::move(signature));
                         });
    // It may have answered already.
    const auto pending = pending_.find(place);
    if (pending != pending_.end()) pending->second.call = std::move(call);
  }

  void OnSigned(uint64_t place, Question question, absl::StatusOr<std::string> signature) {
    // Keeps the call until this function ends.
    const auto call = pending_.extract(place);
    if (signature.ok()) {
      return Answer(std::move(question), SigningVerdict::kSigned, *std::move(signature));
    }
    const Error error = *ToError(signature.status());
    const bool full = error.code == ErrorCode::kOverLimit;
    question.record.detail = error.detail;
    Answer(std::move(question), full ? SigningVerdict::kOverLimit : SigningVerdict::kFailed,
           error.detail.substr(0, kMaxReasonBytes));
  }

  void Answer(Question question, SigningVerdict verdict, std::string text) {
    frames_.Send(EncodeFrame(SigningAnswer{question.id, verdict, std::move(text)}));
    question.record.verdict = verdict;
    question.record.took = server_.scheduler_.MonotonicNow() - question.began;
    server_.audit_.OnRequest(question.record);
  }

  static constexpr size_t kMaxReasonBytes = 256;

  SigningServer& server_;
  const std::vector<std::string> names_;  // Not empty.
  uint64_t next_place_ = 0;
  FrameStream frames_;
  std::map<uint64_t, Pending> pending_;  // Last: its end cancels the calls.
};

absl::StatusOr<std::unique_ptr<SigningServer>> SigningServer::Create(Scheduler& scheduler,
                                                                     SigningServerOptions options,
                                                                     SigningAudit& audit) {
  if (absl::Status keys = CheckKeys(options.keys); !keys.ok()) return keys;
  if (options.max_connections == 0 || options.max_waiting_per_connection == 0) {
    return ConfigurationError("the limits of a key server must be positive");
  }
  return absl::WrapUnique(new SigningServer(scheduler, std::move(options), audit));
}

SigningServer::SigningServer(Scheduler& scheduler, SigningServerOptions options,
                             SigningAudit& audit)
    : scheduler_(scheduler), options_(std::move(options)), audit_(audit) {}

SigningServer::~SigningServer() = default;

absl::Status SigningServer::ReplaceKeys(std::vector<ServedKey> keys) {
  if (absl::Status checked = CheckKeys(keys); !checked.ok()) return checked;
  options_.keys = std::move(keys);
  return absl::OkStatus();
}

void SigningServer::Serve(Accepted connection) {
  std::vector<std::string> names;
  if (connection.tls != nullptr && connection.tls->peer_identity != nullptr) {
    names = NamesOf(*connection.tls->peer_identity);
  } else if (connection.tls == nullptr &&
             connection.origin.local.family() == Endpoint::Family::kUnix) {
    names = {"unix"};
  }
  Serve(std::move(connection.transport), std::move(names));
}

void SigningServer::Serve(std::unique_ptr<Transport> transport,
                          std::vector<std::string> client_names) {
  if (client_names.empty() || connections_.size() >= options_.max_connections) {
    transport->Abort();
    return;
  }
  connections_.push_back(
      std::make_unique<Connection>(*this, std::move(transport), std::move(client_names)));
}

const ServedKey* SigningServer::Find(const SpkiSha256& key) const {
  for (const ServedKey& served : options_.keys) {
    if (served.spki_sha256 == key) return &served;
  }
  return nullptr;
}

}  // namespace trestle
