// Scenario: the plan of one simulated run: clients, backends, links, faults and events, all from
// one seed.
#ifndef TRESTLE_TESTS_SIMULATION_SCENARIO_H_
#define TRESTLE_TESTS_SIMULATION_SCENARIO_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "trestle/testing/memory_transport.h"

namespace trestle::simulation {

/// The block that serves a connection behind the router.
enum class Block : uint8_t { kOffload, kBridge, kPassthrough };

/// The first bytes of a client.
enum class Opening : uint8_t {
  kTls,
  kUnknownName,  ///< A hello whose name has no route.
  kGarbage,      ///< Bytes that are not TLS.
  kSilence,      ///< No byte at all.
};

/// One end of a connection.
struct EndPlan {
  size_t bytes = 8;                                  ///< What it sends; a request has at least 8.
  testing::MemoryLink out;                           ///< The link of its writes.
  bool truncates = false;                            ///< Marks its end as cut.
  absl::Duration leaves = absl::InfiniteDuration();  ///< Closes so long after it began.
  absl::Duration pauses_at = absl::InfiniteDuration();  ///< Stops reading then, for 20 seconds.

  /// Whether this end, or its link, may break the connection.
  bool faulty() const;
};

struct ClientPlan {
  absl::Duration start;
  Block block = Block::kOffload;
  Opening opening = Opening::kTls;
  EndPlan end;
};

/// The n-th dial of a run gets the n-th plan; further dials begin again with the first.
struct DialPlan {
  enum class Result : uint8_t { kAccept, kRefuse, kSilence };
  Result result = Result::kAccept;
  absl::Duration delay;
  bool answers_at_end = false;  ///< Answers once the request has ended, not at its beginning.
  testing::MemoryLink in;       ///< The link of the proxy's writes.
  EndPlan end;

  bool faulty() const;
};

struct EventPlan {
  enum class Kind : uint8_t {
    kClockStep,  ///< The system's clock is set, forward or back.
    kReload,     ///< Certificates, trust anchors and routes are replaced.
    kDrain,      ///< Every block drains, and no client comes any more.
    kShutdown,   ///< Every block is destroyed.
  };
  Kind kind = Kind::kReload;
  absl::Duration at;
  absl::Duration step;
};

struct Scenario {
  uint64_t seed = 0;
  std::vector<ClientPlan> clients;
  std::vector<DialPlan> dials;
  std::vector<EventPlan> events;
  size_t buffer_bytes = 48 * 1024;
  size_t turn_bytes = 256 * 1024;
  bool tls12 = false;
  bool resumes = false;
  size_t max_connections = 0;      ///< 0: no limit.
  size_t max_handshakes = 0;       ///< Likewise.
  absl::Duration signature_delay;  ///< Of the front's key.
  bool drops_a_byte = false;       ///< Tests the harness: a client's byte is lost on the way.
};

/// Makes the scenario of a seed.
Scenario MakeScenario(uint64_t seed);

/// Returns the scenario as text, a line for each part that differs from the defaults.
std::string Describe(const Scenario& scenario);

}  // namespace trestle::simulation

#endif  // TRESTLE_TESTS_SIMULATION_SCENARIO_H_
