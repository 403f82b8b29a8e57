// Ends: the clients and backends of a simulation, with the bytes that each must send and get.
#ifndef TRESTLE_TESTS_SIMULATION_ENDS_H_
#define TRESTLE_TESTS_SIMULATION_ENDS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/simulation/scenario.h"
#include "tests/simulation/sim_end.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/tls/tls_engine.h"

namespace trestle::simulation {

/// Plays the plans of all ends, and compares what they receive with what was sent.
class Ends {
 public:
  Ends(Scheduler& loop, const Scenario& scenario);

  /// Starts the client `index` on its end of a connection.
  void StartClient(size_t index, std::unique_ptr<Transport> raw, std::unique_ptr<TlsEngine> engine);

  /// Starts the backend of a dial.
  void StartBackend(size_t dial, const DialPlan& plan, std::unique_ptr<Transport> raw,
                    std::unique_ptr<TlsEngine> engine);

  /// Lets backends answer, and checks what arrived since the last call. Returns what is wrong.
  std::string Step();

  /// Returns what is missing at the end of a run: a client without any fault got its whole answer.
  std::string CheckComplete() const;

  /// Returns whether the client, its links, or what it sends can break its connection.
  bool ClientIsFaulty(size_t index) const;

  /// Returns whether the client got a clean end, but no backend read its request.
  bool EndedUnanswered(size_t client) const { return clients_[client].ended_unanswered; }

  /// Destroys all ends.
  void Clear();

 private:
  struct Client {
    std::unique_ptr<SimEnd> end;  // Null before the start, and once it has left.
    size_t checked = 0;
    bool sent_all = false;
    bool got_all = false;
    bool ended_unanswered = false;
    std::optional<size_t> dial;  // Of the backend that read its request.
    std::vector<Timer> timers;
  };
  struct Backend {
    const DialPlan* plan;
    std::unique_ptr<SimEnd> end;
    size_t checked = 0;
    bool sent_all = false;
    bool answered = false;
    std::optional<size_t> client;
    std::vector<Timer> timers;
  };

  absl::string_view Request(size_t client) const;
  absl::string_view Response(size_t client, size_t bytes) const;
  void Play(const EndPlan& plan, std::unique_ptr<SimEnd>& end, std::vector<Timer>& timers);
  // Clear text has no mark of its end but FIN: a backend that closes early looks complete.
  bool MayEndEarly(size_t client) const;
  std::string StepClient(size_t index);
  std::string StepBackend(size_t dial);
  std::string ReadRequest(size_t dial);

  Scheduler& loop_;
  const Scenario& scenario_;
  std::string noise_;
  std::vector<std::string> requests_;
  std::vector<Client> clients_;
  std::deque<Backend> backends_;
};

}  // namespace trestle::simulation

#endif  // TRESTLE_TESTS_SIMULATION_ENDS_H_
