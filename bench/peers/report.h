// The figures as a table for people, as JSON, and as a chart.
#ifndef TRESTLE_BENCH_PEERS_REPORT_H_
#define TRESTLE_BENCH_PEERS_REPORT_H_

#include <string>
#include <vector>

#include "bench/peers/measurement.h"

namespace trestle::bench {

/// The label of Trestle's own rows, which all ratios compare with.
constexpr char kTrestleLabel[] = "Trestle";

/// A row per peer, a column per metric: the median, and in brackets Trestle's share of it.
std::string AsTable(const std::vector<Figure>& figures);

/// An array with an object per figure.
std::string AsJson(const std::vector<Figure>& figures);

/// Bars, a panel per mode and metric, for the first key and number of connections measured.
std::string AsSvg(const std::vector<Figure>& figures);

/// The figure of Trestle in the same place as `figure`; null where there is none.
const Figure* TrestleBeside(const std::vector<Figure>& figures, const Figure& figure);

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_PEERS_REPORT_H_
