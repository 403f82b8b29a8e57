// SimDialer: the n-th dial of a simulation gets the n-th plan: its links, its delay, its failure.
#ifndef TRESTLE_TESTS_SIMULATION_SIM_DIALER_H_
#define TRESTLE_TESTS_SIMULATION_SIM_DIALER_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "tests/simulation/scenario.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"

namespace trestle::simulation {

class SimDialer final : public Dialer {
 public:
  /// Receives the backend's end of the `dial`-th dial.
  using Acceptor = absl::AnyInvocable<void(size_t dial, const Endpoint& backend,
                                           std::unique_ptr<Transport> end)>;

  /// `loop` and `plans`, which has at least one plan, must outlive the dialer.
  SimDialer(Scheduler& loop, const std::vector<DialPlan>& plans, Acceptor acceptor);

  [[nodiscard]] std::unique_ptr<Dial> Connect(const Endpoint& endpoint, Callback done) override;

  const DialPlan& plan(size_t dial) const { return plans_[dial % plans_.size()]; }

  /// Returns the dial of a leg by its local address: transports of a dial carry its number.
  static size_t DialOf(const Endpoint& local) { return local.port(); }

 private:
  class Attempt;

  Scheduler& loop_;
  const std::vector<DialPlan>& plans_;
  Acceptor acceptor_;
  size_t dials_ = 0;
};

}  // namespace trestle::simulation

#endif  // TRESTLE_TESTS_SIMULATION_SIM_DIALER_H_
