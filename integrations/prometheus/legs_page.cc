#include "integrations/prometheus/legs_page.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "integrations/prometheus/spiffe_section.h"
#include "nlohmann/json.hpp"
#include "trestle/base/error.h"
#include "trestle/pki/renewal_info.h"
#include "trestle/watch/expiry_alarms.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kHead[] = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Trestle legs</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em; color: #1b1f24; background: #fff; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .5em .8em; border-bottom: 1px solid #d0d7de; }
th { background: #f6f8fa; }
td { width: 42%; }
td:first-child { width: 16%; }
ol { margin: .3em 0 0; padding-left: 1.4em; }
.leg { padding: .5em .8em; margin-bottom: .5em; border-radius: 4px; }
.fine { background: #dafbe1; } .warning { background: #fff8c5; } .critical { background: #ffebe9; }
.state { float: right; font-weight: 600; }
@media (max-width: 700px) {
  body { margin: .5em; } th { display: none; } tr { border-bottom: 1px solid #d0d7de; }
  tr, td, td:first-child { display: block; width: auto; } td { padding: .3em .5em; border: 0; }
}
</style></head><body>
<h1>Legs</h1>
)";

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

std::string Date(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d", time, absl::UTCTimeZone());
}

Json JsonTime(absl::Time time) {
  if (time == absl::InfinitePast() || time == absl::InfiniteFuture()) return nullptr;
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

std::string FailureText(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  if (!error.has_value()) return std::string(status.message());
  return absl::StrCat(EnumName(error->code), ": ", error->detail);
}

std::string StateText(const CertificateStatus& status, absl::Time now) {
  if (status.updated == absl::InfinitePast()) return "not looked at yet";
  if (!status.status.ok()) return "failing";
  if (!status.failure.has_value()) return "good";
  return absl::StrCat(TimeLeftText(status.failure->when, now),
                      status.failure->when > now ? " left" : "");
}

absl::Time EndOf(const CertificateStatus& status) {
  if (!status.status.ok()) return absl::InfinitePast();
  return status.failure.has_value() ? status.failure->when : absl::InfiniteFuture();
}

// Returns whether clients of the route may receive this credential of the proxy.
bool IsFor(const CertificateStatus& own, const std::string& route) {
  if (route.empty()) return true;
  return std::any_of(own.names.begin(), own.names.end(), [&](const std::string& name) {
    const absl::StatusOr<NamePattern> pattern = NamePattern::Parse(name);
    return name == route || (pattern.ok() && pattern->Matches(route));
  });
}

// A row of the page: a route, or certificates without a route. Indexes refer to the view.
struct Row {
  const RouteLegs* route = nullptr;
  std::vector<size_t> front;
  std::vector<size_t> back;
};

class RowMaker {
 public:
  explicit RowMaker(const LegsView& view)
      : view_(view), has_route_(view.certificates.size(), false) {
    for (size_t i = 0; i < view.certificates.size(); ++i) {
      const CertificateStatus& status = view.certificates[i];
      if (status.source == CertificateSource::kOwn && status.leg == Leg::kFront) {
        own_.push_back(i);
      } else {
        others_[status.name].push_back(i);
      }
    }
  }

  std::vector<Row> Make() {
    std::vector<Row> rows;
    for (const RouteLegs& route : view_.routes) rows.push_back(RowOf(route));
    for (size_t i = 0; i < has_route_.size(); ++i) {
      if (has_route_[i]) continue;
      Row& row = rows.emplace_back();
      (view_.certificates[i].leg == Leg::kFront ? row.front : row.back).push_back(i);
    }
    return rows;
  }

 private:
  Row RowOf(const RouteLegs& route) {
    Row row;
    row.route = &route;
    if (route.mode != ProxyMode::kPassthrough) {
      for (const size_t i : own_) {
        if (IsFor(view_.certificates[i], route.name)) row.front.push_back(i);
      }
      // The store has a default for other names.
      if (row.front.empty()) row.front = own_;
    }
    if (const auto found = others_.find(route.back_name); found != others_.end()) {
      for (const size_t i : found->second) {
        const Endpoint& at = view_.certificates[i].endpoint;
        const bool leads_there =
            std::find(route.backends.begin(), route.backends.end(), at) != route.backends.end();
        if (leads_there) row.back.push_back(i);
      }
    }
    for (const std::vector<size_t>* leg : {&row.front, &row.back}) {
      for (const size_t i : *leg) has_route_[i] = true;
    }
    return row;
  }

  const LegsView& view_;
  std::vector<size_t> own_;
  std::map<std::string, std::vector<size_t>> others_;
  std::vector<bool> has_route_;
};

absl::Time EndOf(const Row& row, const LegsView& view) {
  absl::Time end = absl::InfiniteFuture();
  for (const std::vector<size_t>* leg : {&row.front, &row.back}) {
    for (const size_t i : *leg) end = std::min(end, EndOf(view.certificates[i]));
  }
  return end;
}

std::string ChainHtml(const CertificateStatus& status, absl::Time now) {
  if (status.chain.empty()) return "";
  std::string html = "<ol>";
  for (const CertificateInfo& certificate : status.chain) {
    absl::StrAppend(&html, "<li>", Escaped(certificate.subject), "<br><small>",
                    Escaped(certificate.key), ", until ", Date(certificate.not_after), " (",
                    TimeLeftText(certificate.not_after, now), ")</small></li>");
  }
  return absl::StrCat(html, "</ol>");
}

std::string RenewalHtml(const RenewalInfo& renewal, absl::Time now) {
  return absl::StrCat(
      renewal.end <= now ? "<b>the renewal is late</b>: " : "", "the CA advises to renew between ",
      Date(renewal.start), " and ", Date(renewal.end),
      renewal.explanation_url.empty() ? ""
                                      : absl::StrCat(" (", Escaped(renewal.explanation_url), ")"));
}

// The current failure, the next one, and the last one.
std::string WhatHtml(const CertificateStatus& status, absl::Time now) {
  if (!status.status.ok()) {
    return absl::StrCat("<br><b>", Escaped(FailureText(status.status)), "</b>");
  }
  std::string html;
  if (status.failure.has_value()) html = absl::StrCat("<br>", Escaped(status.failure->detail));
  if (status.renewal.has_value()) absl::StrAppend(&html, "<br>", RenewalHtml(*status.renewal, now));
  if (status.last_error.ok()) return html;
  return absl::StrCat(html, "<br>last error, ", TimeLeftText(status.last_error_time, now), ": ",
                      Escaped(FailureText(status.last_error)));
}

std::string FindingsHtml(const std::vector<Finding>& findings) {
  std::string html;
  for (const Finding& finding : findings) {
    absl::StrAppend(&html, "<br>", EnumName(finding.severity), ": ", Escaped(finding.text),
                    " <small>[", Escaped(finding.code), "] ", Escaped(finding.advice), "</small>");
  }
  return html;
}

Json FindingsJson(const std::vector<Finding>& findings) {
  Json all = Json::array();
  for (const Finding& finding : findings) {
    all.push_back({{"severity", std::string(EnumName(finding.severity))},
                   {"code", finding.code},
                   {"text", finding.text},
                   {"advice", finding.advice}});
  }
  return all;
}

std::string LegHtml(const CertificateStatus& status, absl::Time now) {
  return absl::StrCat(
      "<div class=\"leg ", EnumName(SeverityOf(status, now)), "\"><span class=\"state\">",
      StateText(status, now), "</span>", Escaped(status.name), "<br><small>",
      EnumName(status.source),
      status.endpoint == Endpoint() ? "" : absl::StrCat(", ", status.endpoint.ToString()),
      "</small>", WhatHtml(status, now), FindingsHtml(status.findings), ChainHtml(status, now),
      "</div>");
}

std::string EndpointsText(const std::vector<Endpoint>& endpoints) {
  return absl::StrJoin(endpoints, ", ", [](std::string* out, const Endpoint& endpoint) {
    absl::StrAppend(out, endpoint.ToString());
  });
}

std::string BackendsText(const RouteLegs& route) {
  const std::string addresses =
      route.backends.empty() ? "no address" : EndpointsText(route.backends);
  if (route.names.empty()) return addresses;
  return absl::StrCat(addresses, " (", absl::StrJoin(route.names, ", "), ")");
}

std::string RowHtml(const Row& row, const LegsView& view, absl::Time now) {
  std::string route = "–";
  std::string front;
  std::string back;
  for (const size_t i : row.front) front += LegHtml(view.certificates[i], now);
  for (const size_t i : row.back) back += LegHtml(view.certificates[i], now);
  if (row.route != nullptr) {
    const ProxyMode mode = row.route->mode;
    route = absl::StrCat(row.route->name.empty() ? "any name" : Escaped(row.route->name),
                         "<br><small>", EnumName(mode), "</small>");
    if (mode == ProxyMode::kPassthrough) front = "the backend’s, passed through";
    if (back.empty()) {
      back = absl::StrCat(mode == ProxyMode::kOffload ? "clear text" : "not watched", "<br><small>",
                          BackendsText(*row.route), "</small>");
    }
  }
  return absl::StrCat("<tr><td>", route, "</td><td>", front, "</td><td>", back, "</td></tr>\n");
}

Json LegJson(const CertificateStatus& status, absl::Time now) {
  Json chain = Json::array();
  for (const CertificateInfo& certificate : status.chain) {
    chain.push_back({{"subject", certificate.subject},
                     {"issuer", certificate.issuer},
                     {"key", certificate.key},
                     {"not_before", JsonTime(certificate.not_before)},
                     {"not_after", JsonTime(certificate.not_after)}});
  }
  Json failure = nullptr;
  if (status.failure.has_value()) {
    failure = {{"when", JsonTime(status.failure->when)},
               {"warning_from", JsonTime(status.warning_time)},
               {"critical_from", JsonTime(status.critical_time)},
               {"seconds_left", absl::ToDoubleSeconds(status.failure->when - now)},
               {"part", std::string(EnumName(status.failure->part))},
               {"subject", status.failure->subject},
               {"detail", status.failure->detail}};
  }
  Json error = nullptr;
  if (!status.status.ok()) error = FailureText(status.status);
  Json last_error = nullptr;
  if (!status.last_error.ok()) {
    last_error = {{"time", JsonTime(status.last_error_time)},
                  {"text", FailureText(status.last_error)}};
  }
  Json renewal = nullptr;
  if (status.renewal.has_value()) {
    renewal = {{"start", JsonTime(status.renewal->start)},
               {"end", JsonTime(status.renewal->end)},
               {"explanation_url", status.renewal->explanation_url}};
  }
  Json renewal_id = nullptr;
  if (!status.renewal_id.empty()) renewal_id = status.renewal_id;
  Json endpoint = nullptr;
  if (status.endpoint != Endpoint()) endpoint = status.endpoint.ToString();
  return {{"leg", std::string(EnumName(status.leg))},
          {"name", status.name},
          {"source", std::string(EnumName(status.source))},
          {"endpoint", endpoint},
          {"severity", std::string(EnumName(SeverityOf(status, now)))},
          {"updated", JsonTime(status.updated)},
          {"error", error},
          {"last_error", last_error},
          {"first_failure", failure},
          {"renewal_id", renewal_id},
          {"renewal", renewal},
          {"findings", FindingsJson(status.findings)},
          {"chain", chain}};
}

Json RouteJson(const Row& row) {
  Json backends = Json::array();
  for (const Endpoint& endpoint : row.route->backends) backends.push_back(endpoint.ToString());
  Json route = {{"name", row.route->name},
                {"mode", std::string(EnumName(row.route->mode))},
                {"backends", backends},
                {"front", row.front},
                {"back", row.back}};
  if (!row.route->names.empty()) route["names"] = row.route->names;
  return route;
}

// Why connections don't use a backend, and what else is known of its failures.
std::string WhyHtml(const HealthStatus& backend) {
  const BackendStatus& state = backend.state;
  std::string html;
  if (state.condition >= BackendCondition::kEjected) {
    absl::StrAppend(&html, "<br><b>by ", Escaped(backend.Reason()), "</b>");
  } else if (backend.error.has_value()) {
    absl::StrAppend(&html, "<br>last check: ", Escaped(backend.error->detail));
  }
  if (state.condition == BackendCondition::kEjected) {
    absl::StrAppend(&html, "<br>tried again ",
                    state.ejected_for > absl::ZeroDuration()
                        ? absl::StrCat("in ", absl::FormatDuration(
                                                  absl::Ceil(state.ejected_for, absl::Seconds(1))))
                        : "by the next connection");
  }
  if (state.ejections > 0) absl::StrAppend(&html, "<br><small>", state.ejections, " ejections");
  if (state.ejections > 0) html += "</small>";
  if (state.partly > 0) {
    absl::StrAppend(&html, "<br><small>ejected for the data of ", state.partly,
                    state.partly == 1 ? " client</small>" : " clients</small>");
  }
  return html;
}

std::string HealthHtml(const std::vector<HealthStatus>& backends) {
  std::string html =
      "<h2>State of backends</h2>\n<table>\n<tr><th>Backend</th><th>State</th>"
      "<th>Checks</th></tr>\n";
  for (const HealthStatus& backend : backends) {
    const std::string& name = backend.server_name.empty() ? backend.name : backend.server_name;
    const absl::Duration age = absl::Trunc(backend.state_age, absl::Seconds(1));
    absl::StrAppend(&html, "<tr><td>", Escaped(backend.endpoint.ToString()), "<br><small>",
                    Escaped(name), "</small></td><td>", EnumName(backend.state.condition), " for ",
                    absl::FormatDuration(age), WhyHtml(backend), "</td><td>",
                    EnumName(backend.kind), ", ", backend.checks, ", ", backend.failures,
                    " failed, ", backend.changes, " changes<br><small>the last one took ",
                    absl::FormatDuration(absl::Trunc(backend.took, absl::Microseconds(10))),
                    "</small></td></tr>\n");
  }
  return absl::StrCat(html, "</table>\n");
}

Json HealthJson(const HealthStatus& backend) {
  Json error = nullptr;
  if (backend.error.has_value()) error = backend.error->detail;
  return {{"backend", backend.endpoint.ToString()},
          {"name", backend.name},
          {"server_name", backend.server_name},
          {"check", std::string(EnumName(backend.kind))},
          {"state", std::string(EnumName(backend.state.condition))},
          {"state_age_seconds", absl::ToDoubleSeconds(backend.state_age)},
          {"reason", backend.Reason()},
          {"drained_by", backend.state.drained_by},
          {"ejections", backend.state.ejections},
          {"ejected_for_seconds", absl::ToDoubleSeconds(backend.state.ejected_for)},
          {"partly_ejected", backend.state.partly},
          {"checks", backend.checks},
          {"failures", backend.failures},
          {"changes", backend.changes},
          {"took_seconds", absl::ToDoubleSeconds(backend.took)},
          {"error", error}};
}

std::string NamesHtml(const std::vector<NameStatus>& names) {
  std::string html =
      "<h2>Names of backends</h2>\n<table>\n<tr><th>Name</th><th>Addresses</th>"
      "<th>Look-ups</th></tr>\n";
  for (const NameStatus& name : names) {
    const bool known = !name.endpoints.empty();
    absl::StrAppend(
        &html, "<tr><td>", Escaped(name.target.ToString()), "<br><small>", EnumName(name.condition),
        "</small></td><td>", known ? EndpointsText(name.endpoints) : "none",
        name.error.has_value() ? absl::StrCat("<br><b>", Escaped(name.error->detail), "</b>") : "",
        "</td><td>", name.lookups, ", ", name.failures, " without an answer, ", name.changes,
        " changes",
        known ? absl::StrCat("<br><small>answered ",
                             absl::FormatDuration(absl::Trunc(name.answer_age, absl::Seconds(1))),
                             " ago</small>")
              : "",
        "</td></tr>\n");
  }
  return absl::StrCat(html, "</table>\n");
}

Json NameJson(const NameStatus& name) {
  Json addresses = Json::array();
  for (const Endpoint& endpoint : name.endpoints) addresses.push_back(endpoint.ToString());
  Json error = nullptr;
  if (name.error.has_value()) error = name.error->detail;
  return {{"name", name.target.ToString()},
          {"condition", std::string(EnumName(name.condition))},
          {"addresses", addresses},
          {"answer_age_seconds", absl::ToDoubleSeconds(name.answer_age)},
          {"lookups", name.lookups},
          {"failures", name.failures},
          {"changes", name.changes},
          {"refused", name.refused},
          {"error", error}};
}

std::string EchHtml(const EchCounts& counts) {
  std::string html =
      absl::StrCat("<h2>Encrypted hellos</h2>\n<p>", counts.no_key,
                   " without a key here (most are GREASE), ", counts.inner_in_clear,
                   " refused because the inner form came in clear</p>\n"
                   "<table>\n<tr><th>Config id</th><th>Opened</th><th>Not opened</th></tr>\n");
  for (const auto& [id, config] : counts.by_config_id) {
    absl::StrAppend(&html, "<tr><td>", static_cast<int>(id), "</td><td>", config.opened, ", and ",
                    config.second_opened, " second hellos</td><td>", config.not_decrypted,
                    " with another key, ", config.malformed, " malformed, ", config.over_budget,
                    " over the budget</td></tr>\n");
  }
  return absl::StrCat(html, "</table>\n");
}

Json EchJson(const EchCounts& counts) {
  Json configs = Json::array();
  for (const auto& [id, config] : counts.by_config_id) {
    configs.push_back({{"config_id", id},
                       {"opened", config.opened},
                       {"not_decrypted", config.not_decrypted},
                       {"malformed", config.malformed},
                       {"over_budget", config.over_budget},
                       {"second_opened", config.second_opened}});
  }
  return {
      {"configs", configs}, {"no_key", counts.no_key}, {"inner_in_clear", counts.inner_in_clear}};
}

std::string PoolsHtml(const std::vector<PoolLegs>& pools) {
  std::string html =
      "<h2>Kept connections</h2>\n<table>\n<tr><th>Backend</th><th>Connections</th>"
      "<th>Waiting requests</th></tr>\n";
  for (const PoolLegs& pool : pools) {
    absl::StrAppend(&html, "<tr><td>", Escaped(pool.scheme), "://", Escaped(pool.backend),
                    "<br><small>", Escaped(pool.name), "</small></td><td>", pool.connections,
                    ", idle ", pool.idle, "</td><td>", pool.waiting, "</td></tr>\n");
  }
  return absl::StrCat(html, "</table>\n");
}

Json PoolJson(const PoolLegs& pool) {
  return {{"scheme", pool.scheme},           {"backend", pool.backend}, {"name", pool.name},
          {"connections", pool.connections}, {"idle", pool.idle},       {"waiting", pool.waiting}};
}

}  // namespace

std::string LegsPage(const LegsView& view, absl::Time now) {
  std::vector<Row> rows = RowMaker(view).Make();
  std::stable_sort(rows.begin(), rows.end(),
                   [&](const Row& a, const Row& b) { return EndOf(a, view) < EndOf(b, view); });
  std::string text;
  for (const Row& row : rows) text += RowHtml(row, view, now);
  if (text.empty()) text = "<tr><td colspan=\"3\">No certificates are watched.</td></tr>\n";
  return absl::StrCat(
      kHead, "<p>", absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", now, absl::UTCTimeZone()),
      "; <a href=\"/legs\">JSON</a>, <a href=\"/metrics\">metrics</a></p>\n",
      view.findings.empty()
          ? ""
          : absl::StrCat("<p class=\"leg ", EnumName(WorstOf(view.findings)),
                         "\">The configuration", FindingsHtml(view.findings), "</p>\n"),
      "<table>\n<tr><th>Route</th><th>Front leg</th><th>Back leg</th></tr>\n", text, "</table>\n",
      view.spiffe.has_value() ? SpiffeHtml(*view.spiffe) : "",
      view.health.empty() ? "" : HealthHtml(view.health),
      view.names.empty() ? "" : NamesHtml(view.names),
      view.ech.has_value() ? EchHtml(*view.ech) : "",
      view.pools.empty() ? "" : PoolsHtml(view.pools), "</body></html>\n");
}

std::string LegsJson(const LegsView& view, absl::Time now) {
  Json routes = Json::array();
  for (const Row& row : RowMaker(view).Make()) {
    if (row.route != nullptr) routes.push_back(RouteJson(row));
  }
  Json legs = Json::array();
  for (const CertificateStatus& status : view.certificates) legs.push_back(LegJson(status, now));
  Json document = {{"time", JsonTime(now)}, {"routes", routes}, {"legs", legs}};
  document["findings"] = FindingsJson(view.findings);
  if (view.ech.has_value()) document["ech"] = EchJson(*view.ech);
  if (view.spiffe.has_value()) document["spiffe"] = SpiffeJson(*view.spiffe);
  for (const PoolLegs& pool : view.pools) document["pools"].push_back(PoolJson(pool));
  for (const HealthStatus& backend : view.health) {
    document["health"].push_back(HealthJson(backend));
  }
  for (const NameStatus& name : view.names) document["names"].push_back(NameJson(name));
  return document.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n";
}

}  // namespace trestle
