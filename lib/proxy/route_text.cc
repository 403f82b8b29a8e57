#include "trestle/proxy/route_text.h"

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

absl::Status ApplyOption(absl::string_view option, Backends& backends, Route& route) {
  absl::string_view value = option;
  if (absl::ConsumePrefix(&value, "alpn=")) {
    if (value.empty() || value.size() > 255) {
      return ConfigurationError("alpn= takes 1 to 255 bytes");
    }
    route.alpn = std::string(value);
  } else if (absl::ConsumePrefix(&value, "tries=")) {
    if (!ParseTries(value, backends)) {
      return ConfigurationError("tries= takes a number from 1 to 255");
    }
  } else if (absl::ConsumePrefix(&value, "balance=") && ParseBalance(value, backends)) {
    return absl::OkStatus();
  } else {
    return ConfigurationError(absl::StrCat("unknown option \"", EscapeForLog(option),
                                           "\"; there are alpn=, tries= and balance=round_robin, "
                                           "least_connections or client_address"));
  }
  return absl::OkStatus();
}

// "" is the default route.
std::string Pattern(absl::string_view name) {
  return absl::EqualsIgnoreCase(name, "default") ? std::string() : std::string(name);
}

absl::StatusOr<Route> ParseLine(absl::string_view line) {
  const std::vector<absl::string_view> fields =
      absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (fields.size() < 2) {
    return ConfigurationError("a route is NAME BACKEND[+BACKEND…] [OPTION…]");
  }
  Route route;
  route.pattern = Pattern(fields[0]);
  absl::StatusOr<Backends> backends = ParseBackends(fields[1]);
  if (!backends.ok()) return backends.status();
  for (size_t i = 2; i < fields.size(); ++i) {
    if (absl::Status status = ApplyOption(fields[i], *backends, route); !status.ok()) return status;
  }
  route.target = *std::move(backends);
  return route;
}

std::string DetailOf(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  return error.has_value() ? error->detail : std::string(status.message());
}

}  // namespace

absl::StatusOr<Backends> ParseBackends(absl::string_view text) {
  Backends backends;
  for (const absl::string_view item : absl::StrSplit(text, '+')) {
    if (NamedTarget::LooksLikeName(item)) {
      absl::StatusOr<NamedTarget> target = NamedTarget::Parse(item);
      if (!target.ok()) return target.status();
      backends.names.push_back(*std::move(target));
      continue;
    }
    const absl::StatusOr<Endpoint> endpoint = Endpoint::Parse(item);
    if (!endpoint.ok()) return endpoint.status();
    if (absl::Status dialable = endpoint->CheckDialable(); !dialable.ok()) return dialable;
    backends.endpoints.push_back(*endpoint);
  }
  return backends;
}

bool ParseBalance(absl::string_view text, Backends& backends) {
  constexpr std::pair<absl::string_view, Balance> kNames[] = {
      {"round_robin", Balance::kRoundRobin},
      {"least_connections", Balance::kLeastConnections},
      {"client_address", Balance::kClientAddress}};
  for (const auto& [name, balance] : kNames) {
    if (text != name) continue;
    backends.balance = balance;
    return true;
  }
  return false;
}

bool ParseTries(absl::string_view text, Backends& backends) {
  uint32_t tries = 0;
  if (!absl::SimpleAtoi(text, &tries) || tries < 1 || tries > 255) return false;
  backends.max_tries = static_cast<uint8_t>(tries);
  return true;
}

absl::StatusOr<std::vector<Route>> ParseRouteList(absl::string_view text) {
  std::vector<Route> routes;
  for (const absl::string_view item : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(absl::StripAsciiWhitespace(item), absl::MaxSplits('=', 1));
    if (parts.first.empty() || parts.second.empty()) {
      return ConfigurationError(absl::StrCat("\"", EscapeForLog(item), "\" is not NAME=BACKEND"));
    }
    absl::StatusOr<Backends> backends = ParseBackends(parts.second);
    if (!backends.ok()) return backends.status();
    routes.push_back({Pattern(parts.first), *std::move(backends)});
  }
  return routes;
}

absl::StatusOr<std::vector<Route>> ParseRoutesFile(absl::string_view text) {
  std::vector<Route> routes;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    absl::StatusOr<Route> route = ParseLine(line);
    if (!route.ok()) {
      return ConfigurationError(absl::StrCat("line ", number, ": ", DetailOf(route.status())));
    }
    routes.push_back(*std::move(route));
  }
  return routes;
}

}  // namespace trestle
