// The ends of a simulated gateway: clients and backends, each of one version. They act when they
// are polled. What they send in a body follows from the request's token, so that a byte of another
// request is found.
#ifndef TRESTLE_TESTS_SIMULATION_HTTP_GATEWAY_ENDS_H_
#define TRESTLE_TESTS_SIMULATION_HTTP_GATEWAY_ENDS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"

namespace trestle {

/// A request of a client, and what it tells its backend to do.
struct SimRequest {
  std::string token;  ///< Unique; the path is "/" and it.
  std::string host;
  std::string method = "GET";
  size_t sends = 0;     ///< Bytes of its body.
  size_t receives = 0;  ///< Bytes of the response's body.
  bool chunked = false;
};

/// The body of `bytes` bytes that belongs to a token.
std::string BodyOf(absl::string_view token, size_t bytes);

/// What went wrong, first; shared by all ends of a run.
struct SimFindings {
  void Add(std::string what) {
    if (wrong.empty()) wrong = std::move(what);
  }
  std::string wrong;
  uint64_t complete = 0;  ///< Complete responses of backends.
};

using SimRandom = std::mt19937_64;

/// A client that sends its requests, and checks its responses.
class SimClient {
 public:
  virtual ~SimClient() = default;
  virtual void Poll() = 0;
  /// Aborts the connection.
  virtual void Leave() = 0;
  virtual bool done() const = 0;
  /// The number of requests begun.
  virtual size_t begun() const = 0;
};

std::unique_ptr<SimClient> NewSimClient(bool http2, Scheduler& loop,
                                        std::unique_ptr<Transport> transport,
                                        std::vector<SimRequest> requests, SimRandom& random,
                                        SimFindings& findings);

/// A connection of a backend.
class SimBackend {
 public:
  virtual ~SimBackend() = default;
  virtual void Poll() = 0;
};

/// Called with the method and the token of each request that a backend got.
using SimSeen = std::function<void(const std::string& method, const std::string& token)>;

std::unique_ptr<SimBackend> NewSimBackend(bool http2, Scheduler& loop,
                                          std::unique_ptr<Transport> transport, bool faults,
                                          SimRandom& random, SimFindings& findings, SimSeen seen);

}  // namespace trestle

#endif  // TRESTLE_TESTS_SIMULATION_HTTP_GATEWAY_ENDS_H_
