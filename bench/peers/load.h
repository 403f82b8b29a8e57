// The load client: makes so many requests over so many connections and says what went wrong. One
// thread, bounded in number and time.
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
  int connections = 1;  ///< At a time.
  int requests = 1;     ///< In all.
  /// One request a connection, which is then closed cleanly, instead of all on kept connections.
  bool reconnect = false;
  /// Resumes sessions: each connection offers the newest ticket there is.
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

  /// Makes one request on each connection; `Run` then goes on with these. Only without `reconnect`.
  LoadResult Open();

  /// Makes all requests. Kept connections stay open until this object goes.
  LoadResult Run();

 private:
  class Client;
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_PEERS_LOAD_H_
