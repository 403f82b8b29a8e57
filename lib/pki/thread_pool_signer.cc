#include "trestle/pki/thread_pool_signer.h"

#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "trestle/base/bytes.h"
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

  // Runs on the loop's thread, before any pool thread has the job.
  void Refuse(absl::Status why) { Tell(std::move(why)); }

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
  explicit PendingJob(std::shared_ptr<Job> job) : job_(std::move(job)) {}
  ~PendingJob() override { job_->Cancel(); }

 private:
  const std::shared_ptr<Job> job_;
};

class PooledKey final : public Signer {
 public:
  PooledKey(std::shared_ptr<TaskRunner> threads, std::shared_ptr<const PrivateKey> key)
      : threads_(std::move(threads)), key_(std::move(key)) {}

  std::unique_ptr<PendingCall> Sign(SignatureScheme scheme, ByteView input, Scheduler& loop,
                                    Done done) const override {
    auto job = std::make_shared<Job>(key_, scheme, input, loop, std::move(done));
    absl::Status taken = threads_->Run([job] { Job::Run(job); });
    if (!taken.ok()) job->Refuse(std::move(taken));
    return std::make_unique<PendingJob>(std::move(job));
  }

 private:
  const std::shared_ptr<TaskRunner> threads_;
  const std::shared_ptr<const PrivateKey> key_;
};

}  // namespace

ThreadPoolSigner::ThreadPoolSigner(std::shared_ptr<TaskRunner> threads)
    : threads_(std::move(threads)) {}

ThreadPoolSigner::~ThreadPoolSigner() = default;

std::shared_ptr<const Signer> ThreadPoolSigner::SignerFor(
    std::shared_ptr<const PrivateKey> key) const {
  return std::make_shared<const PooledKey>(threads_, std::move(key));
}

std::shared_ptr<const Signer> ThreadPoolSigner::MakeSigner(std::shared_ptr<const PrivateKey> key) {
  if (!key->is_rsa()) return nullptr;
  return SignerFor(std::move(key));
}

}  // namespace trestle
