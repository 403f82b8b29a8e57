#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "bench/peers/report.h"

namespace trestle::bench {
namespace {

constexpr int kColumns = 4;
constexpr int kPanelWidth = 330;
constexpr int kBarHeight = 16;
constexpr int kLabelWidth = 150;
constexpr int kBarWidth = 120;
constexpr int kHeadHeight = 34;

std::string Escape(const std::string& text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}});
}

// Rounds to about three digits.
std::string FigureText(double value) {
  return absl::StrFormat("%.*f", value >= 100 ? 0 : value >= 10 ? 1 : 2, value);
}

// The figures of one panel, in the order in which they were measured.
std::vector<const Figure*> PanelOf(const std::vector<Figure>& figures, Mode mode, Metric metric) {
  std::vector<const Figure*> panel;
  const Figure* place = nullptr;
  for (const Figure& figure : figures) {
    if (figure.mode != mode) continue;
    if (place == nullptr) place = &figure;
    const bool here = figure.key == place->key && figure.connections == place->connections;
    if (here && figure.metric == metric && figure.failure.empty()) panel.push_back(&figure);
  }
  return panel;
}

std::string DrawPanel(const std::vector<const Figure*>& panel, int x, int y) {
  double most = 0;
  for (const Figure* figure : panel) most = std::max(most, figure->Median());
  const Figure& first = *panel.front();
  std::string svg =
      absl::StrFormat("<text x='%d' y='%d' font-weight='bold'>%s: %s, %s</text>\n", x, y + 12,
                      ModeName(first.mode), MetricName(first.metric), MetricUnit(first.metric));
  for (size_t i = 0; i < panel.size(); ++i) {
    const Figure& figure = *panel[i];
    const int top = y + 18 + static_cast<int>(i) * kBarHeight;
    const int width = most > 0 ? static_cast<int>(figure.Median() / most * kBarWidth) : 0;
    absl::StrAppendFormat(&svg,
                          "<text x='%d' y='%d' text-anchor='end'>%s</text>"
                          "<rect x='%d' y='%d' width='%d' height='%d' fill='%s'/>"
                          "<text x='%d' y='%d'>%s</text>\n",
                          x + kLabelWidth - 4, top + 11, Escape(figure.peer), x + kLabelWidth, top,
                          std::max(width, 1), kBarHeight - 3,
                          figure.peer == kTrestleLabel ? "#1f6f8b" : "#b8c4cc",
                          x + kLabelWidth + width + 4, top + 11, FigureText(figure.Median()));
  }
  return svg;
}

}  // namespace

std::string AsSvg(const std::vector<Figure>& figures) {
  std::string panels;
  int y = 0;
  for (Mode mode : {Mode::kOffload, Mode::kPassthrough, Mode::kBridge}) {
    int column = 0;
    size_t rows = 0;
    const auto end_row = [&] {
      if (rows > 0) y += kHeadHeight + static_cast<int>(rows) * kBarHeight;
      column = 0;
      rows = 0;
    };
    for (Metric metric : kAllMetrics) {
      const std::vector<const Figure*> panel = PanelOf(figures, mode, metric);
      if (panel.empty()) continue;
      panels += DrawPanel(panel, column * kPanelWidth, y);
      rows = std::max(rows, panel.size());
      if (++column == kColumns) end_row();
    }
    end_row();
  }
  return absl::StrFormat(
      "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' font-family='sans-serif' "
      "font-size='11'>\n<rect width='100%%' height='100%%' fill='white'/>\n%s</svg>\n",
      kColumns * kPanelWidth, y, panels);
}

}  // namespace trestle::bench
