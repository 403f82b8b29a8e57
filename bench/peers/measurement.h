// The metrics, and the measured figures.
#ifndef TRESTLE_BENCH_PEERS_MEASUREMENT_H_
#define TRESTLE_BENCH_PEERS_MEASUREMENT_H_

#include <string>
#include <vector>

#include "bench/peers/peer.h"

namespace trestle::bench {

enum class Metric {
  kFull,  ///< CPU µs per full handshake, small request and response, close. The client offers
          ///< X25519MLKEM768 and X25519, as browsers do.
  kFullX25519,  ///< The same with a client that offers X25519 only.
  kResumed,     ///< As kFull, with a resumed session.
  kKept,        ///< CPU µs per small request on a kept connection.
  kDown,        ///< CPU s per GB from the backend to the client.
  kUp,          ///< CPU s per GB from the client to the backend.
  kIdle,        ///< KiB (PSS) per idle connection.
};

constexpr Metric kAllMetrics[] = {Metric::kFull, Metric::kFullX25519, Metric::kResumed,
                                  Metric::kKept, Metric::kDown,       Metric::kUp,
                                  Metric::kIdle};

/// Returns whether `metric` measures handshakes. The key matters for these only.
bool IsHandshake(Metric metric);

const char* MetricName(Metric metric);  ///< "full_handshake"
const char* MetricUnit(Metric metric);  ///< "us"

/// One cell of the table: one metric of one peer in one mode.
struct Figure {
  Mode mode;
  Key key;
  int connections;
  Metric metric;
  std::string peer;
  std::vector<double> samples;  ///< One per round.
  std::string failure;          ///< The reason for a missing figure; empty if there is one.
  bool without_pq = false;      ///< The client offered X25519MLKEM768, and the peer chose X25519.

  double Median() const;
};

/// Returns the cost of `ours` as a fraction of `other`: the median of the ratios of each round. A
/// round measures both shortly after each other. 0 if one has no figure.
double MedianRatio(const Figure& ours, const Figure& other);

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_PEERS_MEASUREMENT_H_
