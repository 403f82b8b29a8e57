// Clients that behave badly, on a thread of their own: they reset, stay silent, send garbage, leave
// in the middle of an answer, or read slowly.
#ifndef TRESTLE_BENCH_SOAK_ROUGH_CLIENTS_H_
#define TRESTLE_BENCH_SOAK_ROUGH_CLIENTS_H_

#include <openssl/base.h>

#include <atomic>
#include <cstdint>
#include <thread>

namespace trestle::bench {

class RoughClients final {
 public:
  /// Connects to a port of 127.0.0.1, one client after another. `seed` decides how each behaves.
  RoughClients(uint16_t port, SSL_CTX* tls, uint64_t seed);

  /// Ends the current client and the thread.
  ~RoughClients();
  RoughClients(const RoughClients&) = delete;
  RoughClients& operator=(const RoughClients&) = delete;

  int connections() const { return connections_; }

 private:
  void Run(uint64_t seed);

  const uint16_t port_;
  SSL_CTX* const tls_;
  std::atomic<bool> stop_{false};
  std::atomic<int> connections_{0};
  std::thread thread_;
};

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_SOAK_ROUGH_CLIENTS_H_
