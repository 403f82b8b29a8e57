// FailoverSigner: one private key at several signers, such as two HSMs or two key servers. A
// signer that fails is left out for a while.
#ifndef TRESTLE_PKI_FAILOVER_SIGNER_H_
#define TRESTLE_PKI_FAILOVER_SIGNER_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trestle/pki/signer.h"

namespace trestle {

/// Learns of signers that fail and work again. Must be thread-safe: the calls come from the loops
/// on which signatures were asked for.
class FailoverObserver {
 public:
  virtual ~FailoverObserver() = default;

  /// The signer `index` failed with `why`. It is not asked for `pause`.
  virtual void OnFailure(size_t index, const absl::Status& why, absl::Duration pause) = 0;

  /// The signer `index` signed for the first time since its failure.
  virtual void OnRecovery(size_t index) = 0;
};

/// Options of a FailoverSigner.
struct FailoverOptions {
  /// How long a signer is left out after its first failure. Each further failure doubles it, up to
  /// `max_pause`.
  absl::Duration min_pause = absl::Seconds(1);
  absl::Duration max_pause = absl::Minutes(1);  ///< At least `min_pause`.
  std::shared_ptr<FailoverObserver> observer;   ///< Null for none.
};

/// Asks its signers in their order until one answers. With one signer it only adds the pauses: a
/// token or server that is away costs no time during them.
///
/// A signer that fails with ErrorCode::kTransport or kTimeout gets a pause, and then one call as a
/// trial. Other failures, such as a full queue, only lead to the next signer. Each signer must
/// limit the time of its answer by itself. Thread-safe; all its loops must have the same monotonic
/// clock, as EpollLoops have.
class FailoverSigner final : public Signer {
 public:
  /// Takes signers that sign with the same key. Fails with ErrorCode::kConfiguration without a
  /// signer, with a null one, or if the pauses are out of order.
  static absl::StatusOr<std::shared_ptr<const FailoverSigner>> Create(
      std::vector<std::shared_ptr<const Signer>> signers, FailoverOptions options = {});

  ~FailoverSigner() override;

  /// Answers with the last signer's error if none signs. If all pause, the error comes inside the
  /// call: that of the first signer, with the rest of its pause.
  std::unique_ptr<PendingCall> Sign(SignatureScheme scheme, ByteView input, Scheduler& loop,
                                    Done done) const override;

 private:
  struct State;
  class Call;
  class Handle;

  explicit FailoverSigner(std::shared_ptr<State> state);

  const std::shared_ptr<State> state_;
};

}  // namespace trestle

#endif  // TRESTLE_PKI_FAILOVER_SIGNER_H_
