#include "examples/leg_probe/leg_table.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "examples/support/wrapped_text.h"
#include "trestle/base/error.h"

namespace trestle::examples {
namespace {

constexpr size_t kLabelWidth = 14;
constexpr size_t kColumnWidth = 42;

std::string Date(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d", time, absl::UTCTimeZone());
}

std::string Milliseconds(absl::Duration duration) {
  return absl::StrFormat("%.1f ms", absl::ToDoubleMilliseconds(duration));
}

std::string OrDash(absl::string_view text) { return text.empty() ? "-" : std::string(text); }

absl::string_view Colour(Severity severity) {
  switch (severity) {
    case Severity::kFine:
      return "\x1b[32m";
    case Severity::kNote:
      return "\x1b[36m";
    case Severity::kWarning:
      return "\x1b[33m";
    case Severity::kCritical:
      return "\x1b[31m";
  }
  return "";
}

std::string Painted(absl::string_view text, Severity severity, bool colours) {
  if (!colours) return std::string(text);
  return absl::StrCat(Colour(severity), text, "\x1b[0m");
}

const ChainReport* ChainOf(const ProbedLeg& leg) {
  return leg.report.chain.has_value() ? &*leg.report.chain : nullptr;
}

std::string AddressText(const ProbedLeg& leg) {
  const std::string address = leg.report.target.endpoint.ToString();
  if (leg.name.empty()) return address;
  return absl::StrCat(OrDash(address), " (", leg.name, ")");
}

std::string NameText(const ProbedLeg& leg) {
  const LegProbeTarget& target = leg.report.target;
  const std::string expected = target.expected_name();
  if (target.server_name == expected) return expected;
  return absl::StrCat(OrDash(target.server_name), ", must be for ", expected);
}

std::string VerdictText(const ProbedLeg& leg) {
  if (!leg.report.status.ok()) {
    const std::optional<Error> error = GetError(leg.report.status);
    return absl::StrCat("FAILED: ", error.has_value() ? EnumName(error->code) : "internal");
  }
  const ChainReport* chain = ChainOf(leg);
  if (chain == nullptr) return "FAILED: no certificate";
  if (chain->verdict.ok()) return "good";
  const std::optional<Error> error = GetError(chain->verdict);
  return absl::StrCat("FAILED: ", error.has_value() ? EnumName(error->code) : "internal");
}

std::string WillFailText(const ProbedLeg& leg, absl::Time now) {
  const ChainReport* chain = ChainOf(leg);
  if (chain == nullptr || !chain->verdict.ok()) return "-";
  if (!chain->first_failure.has_value()) return "never";
  return absl::StrCat("in ", TimeLeftText(chain->first_failure->when, now), ": ",
                      chain->first_failure->detail);
}

std::string CertificateText(const CertificateInfo& certificate, absl::Time now) {
  return absl::StrCat(certificate.subject, ", ", certificate.key, ", until ",
                      Date(certificate.not_after), " (", TimeLeftText(certificate.not_after, now),
                      ")");
}

std::string ServedText(const ProbedLeg& leg, absl::Time now) {
  const ChainReport* chain = ChainOf(leg);
  if (chain == nullptr) return "-";
  std::vector<std::string> lines;
  for (size_t i = 0; i < chain->served.size(); ++i) {
    const bool extra = i < chain->roles.size() && (chain->roles[i] == ServedRole::kUnused ||
                                                   chain->roles[i] == ServedRole::kDuplicate);
    lines.push_back(
        absl::StrCat(extra ? "(not needed) " : "", CertificateText(chain->served[i], now)));
  }
  return absl::StrJoin(lines, "\n");
}

std::string RootText(const ProbedLeg& leg, absl::Time now) {
  const ChainReport* chain = ChainOf(leg);
  if (chain == nullptr || chain->path.empty()) return "-";
  if (!chain->trusted) return "none that is trusted";
  return CertificateText(chain->path.back(), now);
}

std::string NamesText(const ProbedLeg& leg) {
  const ChainReport* chain = ChainOf(leg);
  if (chain == nullptr || chain->served.empty()) return "-";
  return OrDash(absl::StrJoin(SubjectAltNames(chain->served.front()), ", "));
}

std::string StapleText(const ProbedLeg& leg) {
  const ChainReport* chain = ChainOf(leg);
  if (chain == nullptr) return "-";
  const StapleReport& staple = chain->staple;
  if (staple.state == StapleState::kNone) return chain->must_staple ? "none, but demanded" : "none";
  if (staple.state != StapleState::kGood) {
    return absl::StrCat(EnumName(staple.state), ": ", staple.detail);
  }
  if (staple.next_update == absl::InfiniteFuture()) return "good";
  return absl::StrCat("good, until ", Date(staple.next_update));
}

std::string ExchangeText(const ProbedLeg& leg) {
  if (leg.report.tls.group.empty()) return "-";
  return absl::StrCat(leg.report.tls.group, leg.report.post_quantum ? " (post-quantum)" : "");
}

struct Row {
  absl::string_view label;
  std::function<std::string(const ProbedLeg&)> text;
};

std::vector<Row> RowsAt(absl::Time now) {
  return {
      {"address", AddressText},
      {"name", NameText},
      {"verdict", VerdictText},
      {"will fail", [now](const ProbedLeg& l) { return WillFailText(l, now); }},
      {"served", [now](const ProbedLeg& l) { return ServedText(l, now); }},
      {"root", [now](const ProbedLeg& l) { return RootText(l, now); }},
      {"is for", NamesText},
      {"OCSP staple", StapleText},
      {"TLS", [](const ProbedLeg& l) { return OrDash(l.report.tls.version); }},
      {"cipher", [](const ProbedLeg& l) { return OrDash(l.report.tls.cipher); }},
      {"key exchange", ExchangeText},
      {"ALPN", [](const ProbedLeg& l) { return OrDash(l.report.tls.alpn); }},
      {"resumption",
       [](const ProbedLeg& l) {
         if (!l.report.status.ok()) return "-";
         return l.report.resumption_offered ? "offered" : "not offered";
       }},
      {"dial", [](const ProbedLeg& l) { return Milliseconds(l.report.times.dial); }},
      {"handshake", [](const ProbedLeg& l) { return Milliseconds(l.report.times.handshake); }},
  };
}

// `columns` has the texts of one row, one per column, for `legs`.
std::string RowText(absl::string_view label, const std::vector<std::string>& columns,
                    const std::vector<const ProbedLeg*>& legs, bool colours) {
  std::vector<std::vector<std::string>> cells;
  size_t height = 1;
  for (const std::string& column : columns) {
    cells.push_back(Wrap(column, kColumnWidth));
    height = std::max(height, cells.back().size());
  }
  std::string text;
  for (size_t line = 0; line < height; ++line) {
    absl::StrAppend(&text, "  ", Padded(line == 0 ? label : "", kLabelWidth));
    for (size_t i = 0; i < cells.size(); ++i) {
      const bool last = i + 1 == cells.size();
      const std::string cell = line < cells[i].size() ? cells[i][line] : "";
      std::string padded = last ? cell : Padded(cell, kColumnWidth);
      if (label == "verdict") padded = Painted(padded, WorstOf(legs[i]->findings), colours);
      absl::StrAppend(&text, padded, last ? "" : "  ");
    }
    text.erase(text.find_last_not_of(' ') + 1);
    absl::StrAppend(&text, "\n");
  }
  return text;
}

std::string FindingsText(const ProbedLeg& leg, bool name_leg, bool colours) {
  std::string text;
  for (const Finding& finding : leg.findings) {
    absl::StrAppend(&text, "  ", Painted(EnumName(finding.severity), finding.severity, colours),
                    name_leg ? absl::StrCat(", ", EnumName(leg.leg), " leg") : "", ": ",
                    finding.text, "\n");
    if (!finding.advice.empty()) absl::StrAppend(&text, "    -> ", finding.advice, "\n");
  }
  return text;
}

std::string RouteText(const std::string& route, const std::vector<const ProbedLeg*>& legs,
                      absl::Time now, bool colours) {
  std::vector<std::string> titles;
  for (const ProbedLeg* leg : legs) titles.push_back(absl::StrCat(EnumName(leg->leg), " leg"));
  std::string text = absl::StrCat(route, "\n", RowText("", titles, legs, colours));
  for (const Row& row : RowsAt(now)) {
    std::vector<std::string> columns;
    for (const ProbedLeg* leg : legs) columns.push_back(row.text(*leg));
    absl::StrAppend(&text, RowText(row.label, columns, legs, colours));
  }
  for (const ProbedLeg* leg : legs) absl::StrAppend(&text, FindingsText(*leg, true, colours));
  return text;
}

}  // namespace

std::string LegsAsTables(const std::vector<ProbedLeg>& legs, absl::Time now, bool colours) {
  std::string text;
  for (size_t i = 0; i < legs.size();) {
    std::vector<const ProbedLeg*> route = {&legs[i]};
    // A route's legs are adjacent, the front first.
    if (i + 1 < legs.size() && legs[i].leg == Leg::kFront && legs[i + 1].leg == Leg::kBack &&
        legs[i + 1].route == legs[i].route) {
      route.push_back(&legs[i + 1]);
    }
    absl::StrAppend(&text, i == 0 ? "" : "\n", RouteText(legs[i].route, route, now, colours));
    i += route.size();
  }
  return text;
}

std::string LegsAsLines(const std::vector<ProbedLeg>& legs, absl::Time now, bool colours) {
  std::string text;
  for (const ProbedLeg& leg : legs) {
    absl::StrAppend(&text, Padded(leg.route, 24), " ", Padded(EnumName(leg.leg), 5), " ",
                    Padded(AddressText(leg), 22), " ",
                    Painted(VerdictText(leg), WorstOf(leg.findings), colours));
    const std::string will_fail = WillFailText(leg, now);
    if (will_fail != "-") absl::StrAppend(&text, ", will fail ", will_fail);
    absl::StrAppend(&text, "\n");
    // Notes are shown only in details.
    ProbedLeg serious = leg;
    serious.findings.erase(
        std::remove_if(serious.findings.begin(), serious.findings.end(),
                       [](const Finding& f) { return f.severity < Severity::kWarning; }),
        serious.findings.end());
    absl::StrAppend(&text, FindingsText(serious, false, colours));
  }
  return text;
}

}  // namespace trestle::examples
