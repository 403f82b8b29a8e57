// Runner: measures all peers of one mode in turns, round after round, so that disturbances of the
// machine affect all of them.
#ifndef TRESTLE_BENCH_PEERS_RUNNER_H_
#define TRESTLE_BENCH_PEERS_RUNNER_H_

#include <openssl/base.h>

#include <memory>
#include <string>
#include <vector>

#include "bench/peers/backend.h"
#include "bench/peers/measurement.h"
#include "bench/peers/peer.h"
#include "trestle/testing/test_pki.h"

namespace trestle::bench {

struct RunnerOptions {
  std::vector<Peer> peers;
  std::vector<Metric> metrics;
  int rounds = 5;
  double effort = 1;  ///< Multiplies the requests of each sample.
  bool back_sessions = true;
  int idle_connections = 1000;
};

class Runner final {
 public:
  /// Makes certificates in `folder` and starts the backend.
  Runner(RunnerOptions options, std::string folder);
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /// Measures every peer that supports the mode, with `connections` at a time.
  std::vector<Figure> Measure(Mode mode, Key key, int connections);

 private:
  class Contestant;

  void WriteCertificates(Key key, const testing::PemPair& pem) const;
  Site NewSite(Mode mode, Key key) const;
  void TakeSample(const Contestant& contestant, Figure& figure) const;
  double SampleCpu(const Contestant& contestant, Figure& figure) const;
  double SampleIdle(const Contestant& contestant, Figure& figure) const;

  const RunnerOptions options_;
  const std::string folder_;
  bssl::UniquePtr<SSL_CTX> client_tls_;   // Offers X25519MLKEM768 and X25519.
  bssl::UniquePtr<SSL_CTX> classic_tls_;  // Offers X25519.
  bssl::UniquePtr<SSL_CTX> backend_tls_;
  std::unique_ptr<Backend> backend_;
};

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_PEERS_RUNNER_H_
