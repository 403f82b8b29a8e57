// Writes the figures as a table, as JSON, and as a chart.
#ifndef TRESTLE_BENCH_PEERS_REPORT_H_
#define TRESTLE_BENCH_PEERS_REPORT_H_

#include <string>
#include <vector>

#include "bench/peers/measurement.h"

namespace trestle::bench {

/// The label of Trestle's own rows, the base of all ratios.
constexpr char kTrestleLabel[] = "Trestle";

/// Returns a row per peer and a column per metric: the median, and Trestle's ratio in brackets.
std::string AsTable(const std::vector<Figure>& figures);

/// Returns an array with one object per figure.
std::string AsJson(const std::vector<Figure>& figures);

/// Returns bars, in a panel per mode and metric, for the first key and number of connections.
std::string AsSvg(const std::vector<Figure>& figures);

/// Returns Trestle's figure for the same measurement as `figure`; null if there is none.
const Figure* TrestleBeside(const std::vector<Figure>& figures, const Figure& figure);

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_PEERS_REPORT_H_
