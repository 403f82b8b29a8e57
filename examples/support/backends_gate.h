// BackendsGate: waits at a proxy's start until its backends accept connections.
#ifndef TRESTLE_EXAMPLES_SUPPORT_BACKENDS_GATE_H_
#define TRESTLE_EXAMPLES_SUPPORT_BACKENDS_GATE_H_

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "integrations/prometheus/legs_page.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"

namespace trestle::examples {

/// The backends that must be there.
enum class WantedBackends : unsigned char {
  kNone,
  kAny,  ///< One, of any route.
  kAll,  ///< One of each route.
};

/// Connects to the backends by TCP or a Unix-domain socket, and closes at once. Tries again every
/// second those that don't answer within three. Looks at the first 1,000 backends, 64 at a time.
/// Once open, it stays open, and connects to nothing.
class BackendsGate {
 public:
  /// Starts to look. `scheduler` and `dialer` must outlive it.
  BackendsGate(Scheduler& scheduler, Dialer& dialer, const std::vector<RouteLegs>& routes,
               WantedBackends wanted);

  /// Returns whether all wanted backends have answered.
  bool open() const { return open_; }

  /// Returns the names of at most eight routes without a backend; "all names" for an empty name.
  std::vector<std::string> Missing() const;

 private:
  struct Backend {
    Endpoint endpoint;
    bool answered = false;
  };

  struct Try {
    std::unique_ptr<Dial> dial;
    Timer limit;
  };

  void StartRound();
  void TryNext();
  void TryOne(size_t index);
  void EndTry(size_t index, bool answered);
  bool Satisfied() const;
  bool Answers(const std::vector<size_t>& backends) const;

  Scheduler& scheduler_;
  Dialer& dialer_;
  const WantedBackends wanted_;
  std::vector<Backend> backends_;
  std::map<std::string, std::vector<size_t>> routes_;  // Places in `backends_`, by name.
  bool open_ = false;
  size_t next_ = 0;  // In the round.
  std::map<size_t, Try> tries_;
  Timer next_round_;
  Timer burial_;
  std::vector<Try> over_;  // Ended inside their own calls.
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_BACKENDS_GATE_H_
