// What is measured, and the figures that come of it.
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

/// Returns whether `metric` measures handshakes: the only ones for which the key matters.
bool IsHandshake(Metric metric);

const char* MetricName(Metric metric);  ///< "full_handshake"
const char* MetricUnit(Metric metric);  ///< "us"

/// One square of the table: one metric of one peer in one place.
struct Figure {
  Mode mode;
  Key key;
  int connections;
  Metric metric;
  std::string peer;
  std::vector<double> samples;  ///< One a round.
  std::string failure;          ///< Not empty: there is no figure, and this is why.
  bool without_pq = false;      ///< The client offered X25519MLKEM768, and the peer chose X25519.

  double Median() const;
};

/// How much of `other`'s cost `ours` is: the median over rounds, each of which compares what was
/// measured moments apart. 0 where one of the two has no figure.
double MedianRatio(const Figure& ours, const Figure& other);

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_PEERS_MEASUREMENT_H_
