#include "integrations/remote_signer/remote_signer.h"

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "integrations/remote_signer/frame_stream.h"
#include "trestle/base/error.h"
#include "trestle/base/leg.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/tls/tls_stream.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

constexpr size_t kMaxReasonBytes = 200;

absl::Status SignerError(ErrorCode code, std::string detail) {
  return MakeError(code, Phase::kHandshake, std::move(detail));
}

// What the server's answer means for the caller.
absl::StatusOr<std::string> ResultOf(SigningAnswer answer) {
  switch (answer.verdict) {
    case SigningVerdict::kSigned:
      return std::move(answer.text);
    case SigningVerdict::kUnknownKey:
      return SignerError(ErrorCode::kInternal,
                         "the key server has no such key, or not for this client");
    case SigningVerdict::kNotAllowed:
      return SignerError(ErrorCode::kInternal, "the key server doesn't sign this kind of text");
    case SigningVerdict::kOverLimit:
      return SignerError(ErrorCode::kOverLimit, "too many signatures wait at the key server");
    case SigningVerdict::kFailed:
      break;
  }
  // Another token of the server, or another server, may sign.
  return SignerError(
      ErrorCode::kTransport,
      absl::StrCat("the key server can't sign: ", EscapeForLog(answer.text, kMaxReasonBytes)));
}

}  // namespace

// One signature, between the loop that asked and the loop of the connection.
class RemoteSigner::Job {
 public:
  Job(SigningRequest asked, Scheduler& loop, Signer::Done done)
      : request(std::move(asked)), loop_(loop), done_(std::move(done)) {}

  // Any thread.
  static void Answer(const std::shared_ptr<Job>& job, absl::StatusOr<std::string> result) {
    absl::MutexLock lock(&job->mutex_);
    if (job->over_) return;
    job->loop_.PostFromAnyThread(
        [job, result = std::move(result)]() mutable { job->Finish(std::move(result)); });
  }

  // The thread of the loop that asked.
  void Finish(absl::StatusOr<std::string> result) {
    if (Cancel()) std::exchange(done_, nullptr)(std::move(result));
  }

  // Returns false if it was over already.
  bool Cancel() {
    absl::MutexLock lock(&mutex_);
    return !std::exchange(over_, true);
  }

  bool over() {
    absl::MutexLock lock(&mutex_);
    return over_;
  }

  SigningRequest request;  // For the connection's loop.
  MonotonicTime sent;

 private:
  Scheduler& loop_;
  Signer::Done done_;
  absl::Mutex mutex_;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
};

// The connection. All functions except `Post` run on its loop.
class RemoteSigner::Client final : public std::enable_shared_from_this<Client>,
                                   public FrameStream::Owner {
 public:
  Client(Scheduler& loop, Dialer& dialer, RemoteSignerOptions options)
      : loop_(loop), dialer_(dialer), options_(std::move(options)) {}

  const RemoteSignerOptions& options() const { return options_; }

  // Any thread.
  void Post(std::shared_ptr<Job> job) {
    loop_.PostFromAnyThread(
        [self = shared_from_this(), job = std::move(job)]() mutable { self->Ask(std::move(job)); });
  }

  static void CloseOnLoop(const std::shared_ptr<Client>& client) {
    client->loop_.PostFromAnyThread([client] { client->Close(); });
  }

 private:
  void Ask(std::shared_ptr<Job> job) {
    if (job->over()) return;
    if (waiting_.size() >= options_.max_waiting) {
      Job::Answer(job, OverLimitError(Limit::kTasks, Phase::kHandshake,
                                      "too many signatures wait for the key server"));
      return;
    }
    job->request.id = next_id_++;
    job->sent = loop_.MonotonicNow();
    const std::string frame = EncodeFrame(job->request);
    waiting_[job->request.id] = std::move(job);
    if (frames_ != nullptr) {
      frames_->Send(frame);
    } else {
      absl::StrAppend(&held_, frame);
      Connect();
    }
    Watch();
  }

  void Connect() {
    if (dial_ != nullptr || tls_ != nullptr) return;
    dial_ = dialer_.Connect(options_.server, [this](absl::StatusOr<std::unique_ptr<Transport>> t) {
      OnDialed(std::move(t));
    });
  }

  void OnDialed(absl::StatusOr<std::unique_ptr<Transport>> transport) {
    dial_ = nullptr;
    if (!transport.ok()) return Drop(transport.status());
    if (options_.tls == nullptr) return Use(*std::move(transport));
    ClientTlsTarget target;
    target.server_name = options_.server_name;
    target.endpoint = options_.server;
    absl::StatusOr<std::unique_ptr<TlsEngine>> engine =
        TlsEngine::NewClient(options_.tls, target, loop_, Leg::kBack);
    if (!engine.ok()) return Drop(engine.status());
    tls_ = std::make_unique<TlsStream>(*std::move(engine), *std::move(transport), loop_);
    tls_->Handshake([this](absl::Status status) {
      if (!status.ok()) return Drop(status);
      Use(std::move(tls_));
    });
  }

  void Use(std::unique_ptr<Transport> transport) {
    frames_ = std::make_unique<FrameStream>(loop_, std::move(transport), *this);
    frames_->Send(std::exchange(held_, {}));
  }

  void OnFrame(ByteView content) override {
    std::optional<SigningAnswer> answer = DecodeAnswer(content);
    if (!answer.has_value()) {
      return frames_->End(SignerError(ErrorCode::kTransport, "its answer has not the form"));
    }
    // The answer to a request that was given up is for nobody.
    const auto job = waiting_.find(answer->id);
    if (job == waiting_.end()) return;
    Job::Answer(job->second, ResultOf(*std::move(answer)));
    waiting_.erase(job);
    Watch();
  }

  void OnEnd(absl::Status why) override {
    Drop(why.ok() ? SignerError(ErrorCode::kTransport, "it closed the connection") : why);
  }

  // Ends the connection, and fails all requests.
  void Drop(const absl::Status& why) {
    const absl::Status failure = SignerError(
        ErrorCode::kTransport,
        absl::StrCat("the key server ", options_.server.ToString(), ": ", ToError(why)->detail));
    for (const auto& [id, job] : std::exchange(waiting_, {})) Job::Answer(job, failure);
    Close();
  }

  void Close() {
    dial_ = nullptr;
    tls_ = nullptr;
    frames_ = nullptr;
    watch_ = nullptr;
    held_.clear();
  }

  // Drops the connection if the oldest request gets no answer in time. Ids grow with time.
  void Watch() {
    if (waiting_.empty()) {
      watch_ = nullptr;
      return;
    }
    const MonotonicTime end = waiting_.begin()->second->sent + options_.deadline;
    watch_ = loop_.RunAfter(end - loop_.MonotonicNow(), [this] {
      Drop(SignerError(ErrorCode::kTransport,
                       absl::StrCat("no answer for ", absl::FormatDuration(options_.deadline))));
    });
  }

  Scheduler& loop_;
  Dialer& dialer_;
  const RemoteSignerOptions options_;
  uint32_t next_id_ = 1;
  std::map<uint32_t, std::shared_ptr<Job>> waiting_;
  std::string held_;  // Frames for a connection that isn't there yet.
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<TlsStream> tls_;  // During its handshake.
  std::unique_ptr<FrameStream> frames_;
  Timer watch_;
};

class RemoteSigner::Handle final : public PendingCall {
 public:
  Handle(std::shared_ptr<Job> job, Timer timer) : job_(std::move(job)), timer_(std::move(timer)) {}
  ~Handle() override { job_->Cancel(); }

 private:
  const std::shared_ptr<Job> job_;
  const Timer timer_;
};

class RemoteSigner::KeySigner final : public Signer {
 public:
  KeySigner(std::shared_ptr<const RemoteSigner> server, const SpkiSha256& key)
      : server_(std::move(server)), key_(key) {}

  std::unique_ptr<PendingCall> Sign(SignatureScheme scheme, ByteView input, Scheduler& loop,
                                    Done done) const override {
    SigningRequest request;
    request.key = key_;
    request.scheme = scheme;
    request.input = std::string(AsText(input));
    auto job = std::make_shared<Job>(std::move(request), loop, std::move(done));
    server_->client_->Post(job);
    const absl::Duration deadline = server_->client_->options().deadline;
    Timer timer = loop.RunAfter(deadline, [job, deadline] {
      job->Finish(SignerError(
          ErrorCode::kTimeout,
          absl::StrCat("the key server did not sign within ", absl::FormatDuration(deadline))));
    });
    return std::make_unique<Handle>(std::move(job), std::move(timer));
  }

 private:
  const std::shared_ptr<const RemoteSigner> server_;
  const SpkiSha256 key_;
};

absl::StatusOr<std::shared_ptr<const RemoteSigner>> RemoteSigner::Create(
    Scheduler& loop, Dialer& dialer, RemoteSignerOptions options) {
  if (options.deadline <= absl::ZeroDuration() || options.deadline == absl::InfiniteDuration() ||
      options.max_waiting == 0) {
    return ConfigurationError("the limits of a key server must be positive and finite");
  }
  if (options.tls == nullptr && options.server.family() != Endpoint::Family::kUnix) {
    return ConfigurationError(absl::StrCat("the key server ", options.server.ToString(),
                                           " is on the network, which needs TLS"));
  }
  if (options.tls != nullptr && options.server_name.empty()) {
    return ConfigurationError("the key server's name is missing");
  }
  return std::shared_ptr<const RemoteSigner>(
      new RemoteSigner(std::make_shared<Client>(loop, dialer, std::move(options))));
}

RemoteSigner::~RemoteSigner() { Client::CloseOnLoop(client_); }

std::shared_ptr<const Signer> RemoteSigner::SignerFor(const SpkiSha256& key) const {
  return std::make_shared<KeySigner>(shared_from_this(), key);
}

}  // namespace trestle
