#include "bench/peers/report.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace trestle::bench {
namespace {

constexpr int kColumn = 18;

bool SamePlace(const Figure& a, const Figure& b) {
  return std::tie(a.mode, a.key, a.connections) == std::tie(b.mode, b.key, b.connections);
}

std::string Number(double value) {
  return absl::StrFormat("%.*f", value >= 100 ? 0 : value >= 10 ? 1 : 2, value);
}

std::string Square(const std::vector<Figure>& figures, const Figure& figure) {
  if (!figure.failure.empty()) return "-";
  const Figure* ours = TrestleBeside(figures, figure);
  const std::string number = absl::StrCat(Number(figure.Median()), figure.without_pq ? "*" : "");
  if (ours == nullptr || ours == &figure || MedianRatio(*ours, figure) == 0) return number;
  return absl::StrFormat("%s (%.2f)", number, MedianRatio(*ours, figure));
}

std::string TableHead(const Figure& first) {
  std::string head =
      absl::StrFormat("\n%s, %s, %d connection%s\n%-22s", ModeName(first.mode), KeyName(first.key),
                      first.connections, first.connections == 1 ? "" : "s", "");
  for (Metric metric : kAllMetrics) {
    absl::StrAppendFormat(&head, "%*s", kColumn, MetricName(metric));
  }
  absl::StrAppendFormat(&head, "\n%-22s", "");
  for (Metric metric : kAllMetrics) {
    absl::StrAppendFormat(&head, "%*s", kColumn, MetricUnit(metric));
  }
  return absl::StrCat(head, "\n");
}

std::string JsonText(const std::string& text) {
  std::string escaped = absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}});
  std::replace_if(
      escaped.begin(), escaped.end(), [](char c) { return static_cast<unsigned char>(c) < 32; },
      ' ');
  return absl::StrCat("\"", escaped, "\"");
}

}  // namespace

const Figure* TrestleBeside(const std::vector<Figure>& figures, const Figure& figure) {
  for (const Figure& other : figures) {
    if (other.peer == kTrestleLabel && other.metric == figure.metric && SamePlace(other, figure)) {
      return &other;
    }
  }
  return nullptr;
}

std::string AsTable(const std::vector<Figure>& figures) {
  std::string table =
      "The proxy's own CPU time (user and system, children included), medians. In brackets: what\n"
      "Trestle needs of it; below 1 Trestle is cheaper. A star: the peer has no X25519MLKEM768 "
      "and\n"
      "chose X25519.\n";
  std::string failures;
  const Figure* last = nullptr;
  for (const Figure& figure : figures) {
    if (last == nullptr || !SamePlace(*last, figure)) table += TableHead(figure);
    if (last == nullptr || last->peer != figure.peer || !SamePlace(*last, figure)) {
      absl::StrAppendFormat(&table, "%-22s", figure.peer);
      for (Metric metric : kAllMetrics) {
        const auto found = std::find_if(figures.begin(), figures.end(), [&](const Figure& other) {
          return SamePlace(other, figure) && other.peer == figure.peer && other.metric == metric;
        });
        absl::StrAppendFormat(&table, "%*s", kColumn,
                              found == figures.end() ? "" : Square(figures, *found));
      }
      table += "\n";
    }
    if (!figure.failure.empty()) {
      absl::StrAppendFormat(&failures, "  %s, %s, %d connections, %s, %s: %s\n",
                            ModeName(figure.mode), KeyName(figure.key), figure.connections,
                            figure.peer, MetricName(figure.metric), figure.failure);
    }
    last = &figure;
  }
  if (!failures.empty()) absl::StrAppend(&table, "\nNo figure (-) because:\n", failures);
  return table;
}

std::string AsJson(const std::vector<Figure>& figures) {
  std::vector<std::string> objects;
  for (const Figure& figure : figures) {
    std::string object = absl::StrFormat(
        R"(  {"mode": "%s", "key": "%s", "connections": %d, "metric": "%s", "unit": "%s", )",
        ModeName(figure.mode), KeyName(figure.key), figure.connections, MetricName(figure.metric),
        MetricUnit(figure.metric));
    absl::StrAppend(&object, "\"peer\": ", JsonText(figure.peer));
    if (!figure.failure.empty()) {
      absl::StrAppend(&object, ", \"failure\": ", JsonText(figure.failure), "}");
      objects.push_back(std::move(object));
      continue;
    }
    if (figure.metric == Metric::kFull) {
      absl::StrAppend(&object, ", \"post_quantum\": ", figure.without_pq ? "false" : "true");
    }
    absl::StrAppend(&object, ", \"median\": ", figure.Median(), ", \"samples\": [",
                    absl::StrJoin(figure.samples, ", "), "]");
    const Figure* ours = TrestleBeside(figures, figure);
    if (ours != nullptr) {
      absl::StrAppend(&object, ", \"trestle_share\": ", MedianRatio(*ours, figure));
    }
    objects.push_back(absl::StrCat(object, "}"));
  }
  return absl::StrCat("[\n", absl::StrJoin(objects, ",\n"), "\n]\n");
}

}  // namespace trestle::bench
