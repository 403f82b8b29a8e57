#include "integrations/http/gateway_routes.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "trestle/base/error.h"
#include "trestle/proxy/route_text.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

constexpr BackendScheme kSchemes[] = {BackendScheme::kHttp, BackendScheme::kHttps,
                                      BackendScheme::kH2c};

std::string Quoted(absl::string_view text) { return absl::StrCat("\"", EscapeForLog(text), "\""); }

// Removes "http://" and so on. Returns false for an unknown scheme.
bool ConsumeScheme(absl::string_view& text, std::optional<BackendScheme>& scheme) {
  const size_t end = text.find("://");
  if (end == absl::string_view::npos) return true;
  for (const BackendScheme known : kSchemes) {
    if (text.substr(0, end) != EnumName(known)) continue;
    if (scheme.has_value() && *scheme != known) return false;
    scheme = known;
    text.remove_prefix(end + 3);
    return true;
  }
  return false;
}

absl::Status ParseTarget(absl::string_view text, GatewayRoute& route) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('@', 1));
  if (parts.second.empty() && absl::StrContains(text, '@')) {
    return ConfigurationError(absl::StrCat(Quoted(text), " has no name behind its @"));
  }
  std::optional<BackendScheme> scheme;
  std::vector<absl::string_view> addresses;
  for (absl::string_view item : absl::StrSplit(parts.first, '+')) {
    if (!ConsumeScheme(item, scheme)) {
      return ConfigurationError(
          absl::StrCat(Quoted(text), " needs one of the schemes http, https and h2c"));
    }
    addresses.push_back(absl::StripSuffix(item, "/"));
  }
  if (!scheme.has_value()) {
    return ConfigurationError(absl::StrCat(Quoted(text), " has no scheme: write http://IP:PORT"));
  }
  absl::StatusOr<Backends> backends = ParseBackends(absl::StrJoin(addresses, "+"));
  if (!backends.ok()) return backends.status();
  route.scheme = *scheme;
  route.backends = *std::move(backends);
  route.backend_name = std::string(parts.second);
  return absl::OkStatus();
}

absl::Status ParseOption(absl::string_view option, GatewayRoute& route) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(option, absl::MaxSplits('=', 1));
  uint32_t tries = 0;
  if (parts.first == "balance" && parts.second == "round_robin") {
    route.backends.balance = Balance::kRoundRobin;
  } else if (parts.first == "balance" && parts.second == "client_address") {
    route.backends.balance = Balance::kClientAddress;
  } else if (parts.first == "tries" && absl::SimpleAtoi(parts.second, &tries) && tries >= 1 &&
             tries <= 255) {
    route.backends.max_tries = static_cast<uint8_t>(tries);
  } else {
    return ConfigurationError(absl::StrCat(
        Quoted(option),
        " is no option: there are balance=round_robin, balance=client_address and tries=1…255"));
  }
  return absl::OkStatus();
}

absl::StatusOr<GatewayRoute> ParseLine(absl::string_view line) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  absl::StatusOr<GatewayRoute> route = ParseGatewayRoute(words.front());
  for (size_t i = 1; route.ok() && i < words.size(); ++i) {
    if (absl::Status option = ParseOption(words[i], *route); !option.ok()) return option;
  }
  if (!route.ok()) return route;
  // Alone, so that an error has its line.
  const auto checked = GatewayRoutes::Create({*route});
  if (!checked.ok()) return checked.status();
  return route;
}

// Returns the same text for routes that match the same requests.
std::string KeyOf(const GatewayRoute& route) {
  const absl::StatusOr<NamePattern> host = NamePattern::Parse(route.host);
  return absl::StrCat(host.ok() ? host->ToString() : "", absl::StripSuffix(route.path, "/"), "/");
}

}  // namespace

std::string GatewayRoute::name() const {
  return absl::StrCat(host.empty() ? "default" : host, path);
}

absl::StatusOr<std::shared_ptr<const GatewayRoutes>> GatewayRoutes::Create(
    std::vector<GatewayRoute> routes) {
  std::vector<HttpRoute> index;
  auto result = std::make_shared<GatewayRoutes>();
  for (GatewayRoute& route : routes) {
    const bool tls = route.scheme == BackendScheme::kHttps;
    const std::string quoted = absl::StrCat("the route ", Quoted(route.name()), " ");
    if (tls && route.backend_name.empty()) {
      return ConfigurationError(absl::StrCat(
          quoted, "has no name to verify its https backends by: write https://IP:PORT@NAME"));
    }
    if (!tls && !route.backend_name.empty()) {
      return ConfigurationError(
          absl::StrCat(quoted, "has a name behind @, which only https backends prove"));
    }
    index.push_back({route.host, route.path, route.backends, route.backend_name});
    const std::string name = route.name();
    result->list_.push_back(std::make_shared<const GatewayRoute>(std::move(route)));
    result->by_name_[name] = result->list_.back();
  }
  absl::StatusOr<std::shared_ptr<const HttpRoutes>> checked = HttpRoutes::Create(std::move(index));
  if (!checked.ok()) return checked.status();
  result->index_ = *std::move(checked);
  return result;
}

std::shared_ptr<const GatewayRoute> GatewayRoutes::Find(absl::string_view host,
                                                        absl::string_view path,
                                                        HttpRefusal& refusal) const {
  const auto target = index_->Find(host, path, refusal);
  if (target == nullptr) return nullptr;
  return by_name_.find(target->route)->second;
}

bool GatewayRoutes::needs_tls() const {
  return std::any_of(list_.begin(), list_.end(),
                     [](const auto& route) { return route->scheme == BackendScheme::kHttps; });
}

absl::StatusOr<GatewayRoute> ParseGatewayRoute(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('=', 1));
  if (parts.first.empty() || parts.second.empty()) {
    return ConfigurationError(absl::StrCat(Quoted(text), " is no HOST/PATH=http://IP:PORT"));
  }
  GatewayRoute route;
  const size_t slash = parts.first.find('/');
  const absl::string_view host = parts.first.substr(0, slash);
  if (slash != absl::string_view::npos) route.path = std::string(parts.first.substr(slash));
  if (host.empty()) {
    return ConfigurationError(absl::StrCat(Quoted(text), " has no host; \"default\" is any"));
  }
  if (!absl::EqualsIgnoreCase(host, "default")) route.host = std::string(host);
  if (absl::Status target = ParseTarget(parts.second, route); !target.ok()) return target;
  return route;
}

absl::StatusOr<std::vector<GatewayRoute>> ParseGatewayRoutes(absl::string_view text) {
  std::vector<GatewayRoute> routes;
  for (const absl::string_view item : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    absl::StatusOr<GatewayRoute> route = ParseGatewayRoute(absl::StripAsciiWhitespace(item));
    if (!route.ok()) return route.status();
    routes.push_back(*std::move(route));
  }
  return routes;
}

absl::StatusOr<std::vector<GatewayRoute>> ParseGatewayRoutesFile(absl::string_view text) {
  std::vector<GatewayRoute> routes;
  absl::flat_hash_map<std::string, int> lines;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    absl::StatusOr<GatewayRoute> route = ParseLine(line);
    if (route.ok()) {
      const auto [earlier, added] = lines.emplace(KeyOf(*route), number);
      if (!added) {
        route = ConfigurationError(absl::StrCat("the route ", Quoted(route->name()),
                                                " is also in line ", earlier->second));
      }
    }
    if (!route.ok()) {
      const std::optional<Error> error = GetError(route.status());
      return ConfigurationError(
          absl::StrCat("line ", number, ": ",
                       error.has_value() ? error->detail : std::string(route.status().message())));
    }
    routes.push_back(*std::move(route));
  }
  return routes;
}

}  // namespace trestle
