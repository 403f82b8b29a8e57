// EchLedger: the budget and the counts of an EchKeyOpener, shared by its loops and connections.
#ifndef TRESTLE_LIB_TLS_ECH_ECH_LEDGER_H_
#define TRESTLE_LIB_TLS_ECH_ECH_LEDGER_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "trestle/base/client_budget.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/tls/ech_key_opener.h"
#include "trestle/wire/ech_opener.h"

namespace trestle {

/// Thread-safe.
class EchLedger {
 public:
  explicit EchLedger(const EchBudget& budget);

  /// Returns whether one more hello may be opened, and takes it from the budget.
  bool Take(const Endpoint& client, MonotonicTime now);

  void CountFirst(const EchOpening& opening);
  void CountSecond(const EchOpening& opening);

  EchCounts counts() const;

 private:
  mutable absl::Mutex mutex_;
  const EchBudget budget_;
  TokenBucket overall_ ABSL_GUARDED_BY(mutex_);
  ClientBudget clients_ ABSL_GUARDED_BY(mutex_);
  EchCounts counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ECH_ECH_LEDGER_H_
