// ThreadPoolSigner: signs on other threads. An RSA signature takes about a millisecond, too long
// for a loop.
#ifndef TRESTLE_PKI_THREAD_POOL_SIGNER_H_
#define TRESTLE_PKI_THREAD_POOL_SIGNER_H_

#include <memory>

#include "absl/time/time.h"
#include "trestle/io/task_runner.h"
#include "trestle/pki/private_key.h"
#include "trestle/pki/signer.h"

namespace trestle {

/// Thread-safe. If `threads` refuses a task, the handshake fails with its error.
class ThreadPoolSigner final : public SignerMaker {
 public:
  /// Signs on `threads`: linux/thread_pool.h, or the host's own. A signature that isn't there after
  /// `deadline`, on the loop's clock, fails with ErrorCode::kTimeout. If no thread has begun with
  /// it, none does.
  explicit ThreadPoolSigner(std::shared_ptr<TaskRunner> threads,
                            absl::Duration deadline = absl::InfiniteDuration());
  ~ThreadPoolSigner() override;

  /// Makes a signer that signs with `key` on these threads.
  std::shared_ptr<const Signer> SignerFor(std::shared_ptr<const PrivateKey> key) const;

  /// Makes a signer for an RSA key. Returns null for other keys: they sign faster than a thread
  /// wakes.
  std::shared_ptr<const Signer> MakeSigner(std::shared_ptr<const PrivateKey> key) override;

 private:
  const std::shared_ptr<TaskRunner> threads_;
  const absl::Duration deadline_;
};

}  // namespace trestle

#endif  // TRESTLE_PKI_THREAD_POOL_SIGNER_H_
