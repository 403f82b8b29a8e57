#include "trestle/pki/failover_signer.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/io/scheduler.h"

namespace trestle {
namespace {

// Whether the signer itself is away, so that other signatures would fail as well.
bool IsAway(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  return error.has_value() &&
         (error->code == ErrorCode::kTransport || error->code == ErrorCode::kTimeout);
}

// What is known of one signer.
struct Health {
  absl::Duration pause = absl::ZeroDuration();  // Zero: it works.
  MonotonicTime paused_until;
  absl::Status failure;
};

}  // namespace

struct FailoverSigner::State {
  State(std::vector<std::shared_ptr<const Signer>> given, FailoverOptions given_options)
      : signers(std::move(given)), options(std::move(given_options)), healths(signers.size()) {}

  // Returns a signer to ask, and notes it in `tried`. A signer whose pause has ended gets one call;
  // others pass it by until that call has ended.
  std::optional<size_t> Take(MonotonicTime now, std::vector<bool>& tried) {
    absl::MutexLock lock(&mutex);
    for (size_t i = 0; i < signers.size(); ++i) {
      Health& health = healths[i];
      if (tried[i] || now < health.paused_until) continue;
      if (health.pause > absl::ZeroDuration()) health.paused_until = now + health.pause;
      tried[i] = true;
      return i;
    }
    return std::nullopt;
  }

  void NoteAway(size_t index, MonotonicTime now, const absl::Status& why) {
    absl::Duration pause;
    {
      absl::MutexLock lock(&mutex);
      Health& health = healths[index];
      pause = std::clamp(health.pause * 2, options.min_pause, options.max_pause);
      health = {pause, now + pause, why};
    }
    if (options.observer != nullptr) options.observer->OnFailure(index, why, pause);
  }

  void NoteAnswer(size_t index) {
    {
      absl::MutexLock lock(&mutex);
      if (healths[index].pause == absl::ZeroDuration()) return;
      healths[index] = {};
    }
    if (options.observer != nullptr) options.observer->OnRecovery(index);
  }

  // The error of a call that finds no signer to ask.
  absl::Status AllPause(MonotonicTime now) {
    absl::MutexLock lock(&mutex);
    Error error = GetError(healths.front().failure).value_or(Error());
    absl::StrAppend(&error.detail, "; it is asked again in ",
                    absl::FormatDuration(
                        absl::Trunc(healths.front().paused_until - now, absl::Milliseconds(1))));
    return MakeError(error);
  }

  const std::vector<std::shared_ptr<const Signer>> signers;
  const FailoverOptions options;
  absl::Mutex mutex;
  std::vector<Health> healths ABSL_GUARDED_BY(mutex);
};

// One signature. For the thread of its loop.
class FailoverSigner::Call : public std::enable_shared_from_this<Call> {
 public:
  Call(std::shared_ptr<State> state, SignatureScheme scheme, ByteView input, Scheduler& loop,
       Done done)
      : state_(std::move(state)),
        scheme_(scheme),
        input_(AsText(input)),
        loop_(loop),
        done_(std::move(done)),
        tried_(state_->signers.size()) {}

  // Asks the next signer. Without one it fails: as the last one did, if any was asked.
  void Ask() {
    const std::optional<size_t> index = state_->Take(loop_.MonotonicNow(), tried_);
    if (!index.has_value()) {
      return Finish(failure_.ok() ? state_->AllPause(loop_.MonotonicNow()) : failure_);
    }
    const size_t round = ++round_;
    pending_ = nullptr;
    std::unique_ptr<PendingCall> pending = state_->signers[*index]->Sign(
        scheme_, AsBytes(input_), loop_,
        [self = shared_from_this(), index = *index](absl::StatusOr<std::string> answer) {
          self->OnAnswer(index, std::move(answer));
        });
    // It may have answered already.
    if (done_ != nullptr && round == round_) pending_ = std::move(pending);
  }

  bool finished() const { return done_ == nullptr; }

  void Cancel() {
    done_ = nullptr;
    pending_ = nullptr;
  }

 private:
  void OnAnswer(size_t index, absl::StatusOr<std::string> answer) {
    if (done_ == nullptr) return;
    if (answer.ok()) {
      state_->NoteAnswer(index);
      return Finish(std::move(answer));
    }
    if (IsAway(answer.status())) {
      state_->NoteAway(index, loop_.MonotonicNow(), answer.status());
    }
    failure_ = answer.status();
    Ask();
  }

  void Finish(absl::StatusOr<std::string> answer) {
    pending_ = nullptr;
    std::exchange(done_, nullptr)(std::move(answer));
  }

  const std::shared_ptr<State> state_;
  const SignatureScheme scheme_;
  const std::string input_;
  Scheduler& loop_;
  Done done_;  // Null after the answer and after cancellation.
  std::vector<bool> tried_;
  absl::Status failure_;  // Of the signer that was asked last.
  size_t round_ = 0;
  std::unique_ptr<PendingCall> pending_;
};

class FailoverSigner::Handle final : public PendingCall {
 public:
  explicit Handle(std::shared_ptr<Call> call) : call_(std::move(call)) {}
  ~Handle() override { call_->Cancel(); }

 private:
  const std::shared_ptr<Call> call_;
};

absl::StatusOr<std::shared_ptr<const FailoverSigner>> FailoverSigner::Create(
    std::vector<std::shared_ptr<const Signer>> signers, FailoverOptions options) {
  if (signers.empty()) return ConfigurationError("there is no signer");
  for (const std::shared_ptr<const Signer>& signer : signers) {
    if (signer == nullptr) return ConfigurationError("a signer is null");
  }
  if (options.min_pause <= absl::ZeroDuration() || options.max_pause < options.min_pause) {
    return ConfigurationError("the pauses of a failed signer must be positive, and in order");
  }
  return absl::WrapUnique(
      new FailoverSigner(std::make_shared<State>(std::move(signers), std::move(options))));
}

FailoverSigner::FailoverSigner(std::shared_ptr<State> state) : state_(std::move(state)) {}

FailoverSigner::~FailoverSigner() = default;

std::unique_ptr<PendingCall> FailoverSigner::Sign(SignatureScheme scheme, ByteView input,
                                                  Scheduler& loop, Done done) const {
  auto call = std::make_shared<Call>(state_, scheme, input, loop, std::move(done));
  call->Ask();
  if (call->finished()) return nullptr;
  return std::make_unique<Handle>(std::move(call));
}

}  // namespace trestle
