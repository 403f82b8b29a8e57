#include "trestle/pki/thread_pool_signer.h"

#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/io/scheduler.h"

namespace trestle {
namespace {

// One signature. A pool thread makes it. After cancellation the thread must not use the loop, which
// may be gone.
class Job {
 public:
  Job(std::shared_ptr<const PrivateKey> key, SignatureScheme scheme, ByteView input,
      Scheduler& loop, Signer::Done done)
      : key_(std::move(key)),
        scheme_(scheme),
        input_(AsText(input)),
        loop_(loop),
        done_(std::move(done)) {}

  // Runs on a pool thread.
  static void Run(const std::shared_ptr<Job>& job) {
    if (job->cancelled()) return;
    absl::StatusOr<std::string> signature = job->key_->Sign(job->scheme_, AsBytes(job->input_));
    absl::MutexLock lock(&job->mutex_);
    if (job->cancelled_) return;
    job->loop_.PostFromAnyThread(
        [job, signature = std::move(signature)]() mutable { job->Tell(std::move(signature)); });
  }

  // Runs on the loop's thread. No pool thread answers after it.
  void Refuse(absl::Status why) {
    if (cancelled()) return;
    Cancel();
    std::exchange(done_, nullptr)(std::move(why));
  }

  void Cancel() {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
  }

 private:
  bool cancelled() {
    absl::MutexLock lock(&mutex_);
    return cancelled_;
  }

  // Runs on the loop's thread, as `Cancel` does.
  void Tell(absl::StatusOr<std::string> signature) {
    if (cancelled()) return;
    Cancel();
    std::exchange(done_, nullptr)(std::move(signature));
  }

  const std::shared_ptr<const PrivateKey> key_;
  const SignatureScheme scheme_;
  const std::string input_;
  Scheduler& loop_;
  Signer::Done done_;
  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

class PendingJob final : public PendingCall {
 public:
  PendingJob(std::shared_ptr<Job> job, Timer timer)
      : job_(std::move(job)), timer_(std::move(timer)) {}
  ~PendingJob() override { job_->Cancel(); }

 private:
  const std::shared_ptr<Job> job_;
  const Timer timer_;
};

absl::Status TooLate(absl::Duration deadline) {
  return MakeError(
      ErrorCode::kTimeout, Phase::kHandshake,
      absl::StrCat("the signature was not there after ", absl::FormatDuration(deadline)));
}

class PooledKey final : public Signer {
 public:
  PooledKey(std::shared_ptr<TaskRunner> threads, absl::Duration deadline,
            std::shared_ptr<const PrivateKey> key)
      : threads_(std::move(threads)), deadline_(deadline), key_(std::move(key)) {}

  std::unique_ptr<PendingCall> Sign(SignatureScheme scheme, ByteView input, Scheduler& loop,
                                    Done done) const override {
    auto job = std::make_shared<Job>(key_, scheme, input, loop, std::move(done));
    absl::Status taken = threads_->Run([job] { Job::Run(job); });
    if (!taken.ok()) {
      job->Refuse(std::move(taken));
      return nullptr;
    }
    Timer timer;
    if (deadline_ < absl::InfiniteDuration()) {
      timer =
          loop.RunAfter(deadline_, [job, deadline = deadline_] { job->Refuse(TooLate(deadline)); });
    }
    return std::make_unique<PendingJob>(std::move(job), std::move(timer));
  }

 private:
  const std::shared_ptr<TaskRunner> threads_;
  const absl::Duration deadline_;
  const std::shared_ptr<const PrivateKey> key_;
};

}  // namespace

ThreadPoolSigner::ThreadPoolSigner(std::shared_ptr<TaskRunner> threads, absl::Duration deadline)
    : threads_(std::move(threads)), deadline_(deadline) {}

ThreadPoolSigner::~ThreadPoolSigner() = default;

std::shared_ptr<const Signer> ThreadPoolSigner::SignerFor(
    std::shared_ptr<const PrivateKey> key) const {
  return std::make_shared<const PooledKey>(threads_, deadline_, std::move(key));
}

std::shared_ptr<const Signer> ThreadPoolSigner::MakeSigner(std::shared_ptr<const PrivateKey> key) {
  if (!key->is_rsa()) return nullptr;
  return SignerFor(std::move(key));
}

}  // namespace trestle
