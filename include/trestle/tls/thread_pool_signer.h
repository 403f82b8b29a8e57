// ThreadPoolSigner: makes signatures on other threads, so that no loop stands still for the
// millisecond that one with RSA takes.
#ifndef TRESTLE_TLS_THREAD_POOL_SIGNER_H_
#define TRESTLE_TLS_THREAD_POOL_SIGNER_H_

#include <memory>

#include "trestle/io/task_runner.h"
#include "trestle/tls/private_key.h"
#include "trestle/tls/signer.h"

namespace trestle {

/// Thread-safe. Handshakes for which no thread can be had fail as `threads` says.
class ThreadPoolSigner final : public SignerMaker {
 public:
  /// Uses `threads`, which posix/thread_pool.h has, or the host.
  explicit ThreadPoolSigner(std::shared_ptr<TaskRunner> threads);
  ~ThreadPoolSigner() override;

  /// Makes a signer that signs with `key` on these threads.
  std::shared_ptr<const Signer> SignerFor(std::shared_ptr<const PrivateKey> key) const;

  /// The same for RSA keys. Null for others: they sign faster than a thread is woken.
  std::shared_ptr<const Signer> MakeSigner(std::shared_ptr<const PrivateKey> key) override;

 private:
  const std::shared_ptr<TaskRunner> threads_;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_THREAD_POOL_SIGNER_H_
