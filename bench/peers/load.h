// The load client: makes a number of requests over a number of connections, and reports failures.
// It uses one thread and is limited in time.
#ifndef TRESTLE_BENCH_PEERS_LOAD_H_
#define TRESTLE_BENCH_PEERS_LOAD_H_

#include <openssl/base.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"

namespace trestle::bench {

struct LoadPlan {
  uint16_t port = 0;
  SSL_CTX* tls = nullptr;
  int connections = 1;  ///< Open at a time.
  int requests = 1;     ///< In total.
  /// Makes one request per connection, then closes it cleanly. False: keeps connections open.
  bool reconnect = false;
  /// Resumes sessions: each connection offers the latest ticket.
  bool resume = false;
  uint64_t request_body_bytes = 0;
  uint64_t response_body_bytes = 100;
  absl::Duration limit = absl::Seconds(60);
};

struct LoadResult {
  int responses = 0;
  int handshakes = 0;
  int resumptions = 0;
  int post_quantum = 0;  ///< Handshakes with X25519MLKEM768.
  int errors = 0;
  std::string first_error;
};

class Load final {
 public:
  explicit Load(const LoadPlan& plan);
  ~Load();

  /// Makes one request on each connection, which `Run` then uses. Only without `reconnect`.
  LoadResult Open();

  /// Makes all requests. Kept connections stay open until this object is destroyed.
  LoadResult Run();

 private:
  class Client;
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_PEERS_LOAD_H_
