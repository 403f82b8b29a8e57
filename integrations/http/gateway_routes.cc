#include "integrations/http/gateway_routes.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "integrations/http/route_target.h"
#include "integrations/http/sticky_cookie.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

// Requests have these in another place, or not at all.
bool IsNoCondition(absl::string_view name) {
  for (const absl::string_view never :
       {"host", "content-length", "transfer-encoding", "expect", "connection", "keep-alive",
        "proxy-connection", "upgrade", "te"}) {
    if (name == never) return true;
  }
  return false;
}

absl::Status CheckConditions(const GatewayRoute& route) {
  for (const std::string& method : route.methods) {
    if (!IsToken(method)) return ConfigurationError("has a method that isn't one");
  }
  for (const FieldCondition& condition : route.conditions) {
    const std::string& name = condition.name;
    if (!IsToken(name) || name != absl::AsciiStrToLower(name) || IsNoCondition(name)) {
      return ConfigurationError(
          absl::StrCat("can't depend on the field \"", EscapeForLog(name), "\""));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckRedirect(const GatewayRoute& route) {
  for (const int status : {301, 302, 303, 307, 308}) {
    if (route.redirect->status != status) continue;
    if (!route.backends.empty() || !route.backend_name.empty() || !route.verify_name.empty() ||
        route.rewrite.has_value() || !route.sticky_cookie.empty()) {
      return ConfigurationError("is a redirect, which has no use for backends and their options");
    }
    return CheckLocation(route.redirect->location);
  }
  return ConfigurationError("redirects with another status than 301, 302, 303, 307 or 308");
}

absl::Status CheckVerifyName(const GatewayRoute& route) {
  const std::string& name = route.verify_name;
  if (name.empty()) return absl::OkStatus();
  if (route.scheme != BackendScheme::kHttps) {
    return ConfigurationError("has a verify_name, which only https backends prove");
  }
  const bool uri =
      absl::StrContains(name, "://") &&
      std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (uri || NormalizeServerName(name).ok() || Endpoint::ParseIp(absl::StrCat(name, ":1")).ok()) {
    return absl::OkStatus();
  }
  return ConfigurationError("has a verify_name that is neither a DNS name, an address nor a URI");
}

absl::Status CheckTarget(const GatewayRoute& route) {
  const bool tls = route.scheme == BackendScheme::kHttps;
  if (tls && route.backend_name.empty()) {
    return ConfigurationError(
        "has no name to verify its https backends by: write https://IP:PORT@NAME");
  }
  if (!tls && !route.backend_name.empty()) {
    return ConfigurationError("has a name behind @, which only https backends prove");
  }
  if (!route.backend_name.empty()) {
    const absl::StatusOr<std::string> name = NormalizeServerName(route.backend_name);
    if (!name.ok()) {
      return ConfigurationError(absl::StrCat("has a bad backend name: ", name.status().message()));
    }
  }
  if (absl::Status bad = CheckVerifyName(route); !bad.ok()) return bad;
  if (route.rewrite.has_value() && !IsPlainPrefix(*route.rewrite)) {
    return ConfigurationError("needs a plain path to replace its own: rewrite=/PATH");
  }
  if (!route.sticky_cookie.empty() && !IsToken(route.sticky_cookie)) {
    return ConfigurationError("has a name of a cookie that isn't one");
  }
  const absl::Status usable = CheckBackends(route.backends);
  if (usable.ok()) return usable;
  return ConfigurationError(absl::StrCat("is wrong: ", GetError(usable)->detail));
}

absl::Status CheckAll(const GatewayRoute& route) {
  if (absl::Status conditions = CheckConditions(route); !conditions.ok()) return conditions;
  if (absl::Status fields = CheckResponseFields(route.response_fields); !fields.ok()) return fields;
  return route.redirect.has_value() ? CheckRedirect(route) : CheckTarget(route);
}

absl::Status AboutRoute(const GatewayRoute& route, absl::string_view problem) {
  return ConfigurationError(
      absl::StrCat("the route \"", EscapeForLog(route.name()), "\" ", problem));
}

// Returns the same text for routes of the same host and path.
std::string PlaceOf(const GatewayRoute& route) {
  const absl::StatusOr<NamePattern> host = NamePattern::Parse(route.host);
  return absl::StrCat(host.ok() ? host->ToString() : "", absl::StripSuffix(route.path, "/"), "/");
}

bool Holds(const FieldCondition& condition, const HttpFields& fields) {
  return std::any_of(fields.begin(), fields.end(), [&](const HttpFields::Field& field) {
    return field.name == condition.name &&
           (!condition.value.has_value() || field.value == *condition.value);
  });
}

bool Matches(const GatewayRoute& route, const RouteQuery& query) {
  const bool method = route.methods.empty() || std::find(route.methods.begin(), route.methods.end(),
                                                         query.method) != route.methods.end();
  return method && std::all_of(route.conditions.begin(), route.conditions.end(),
                               [&](const FieldCondition& c) { return Holds(c, query.fields); });
}

size_t ConditionsOf(const GatewayRoute& route) {
  return route.conditions.size() + (route.methods.empty() ? 0 : 1);
}

}  // namespace

std::string RequestsOf(const GatewayRoute& route) {
  std::vector<std::string> parts = route.methods;
  for (const FieldCondition& condition : route.conditions) {
    parts.push_back(condition.value.has_value()
                        ? absl::StrCat(condition.name, ":", *condition.value)
                        : condition.name);
  }
  std::sort(parts.begin(), parts.end());
  return absl::StrCat(PlaceOf(route), " ", absl::StrJoin(parts, " "));
}

absl::Status GatewayRoutes::Check(const GatewayRoute& route) {
  if (absl::Status bad = CheckAll(route); !bad.ok())
    return AboutRoute(route, GetError(bad)->detail);
  return HostPathIndex::Create({{route.host, route.path}}).status();
}

absl::StatusOr<std::shared_ptr<const GatewayRoutes>> GatewayRoutes::Create(
    std::vector<GatewayRoute> routes) {
  if (routes.empty()) return ConfigurationError("there is no HTTP route");
  auto result = std::make_shared<GatewayRoutes>();
  std::vector<HostPathIndex::Entry> entries;
  absl::flat_hash_map<std::string, size_t> places;
  for (GatewayRoute& route : routes) {
    if (absl::Status good = Check(route); !good.ok()) return good;
    const auto [place, added] = places.emplace(PlaceOf(route), entries.size());
    if (added) {
      entries.push_back({route.host, route.path});
      result->rules_.emplace_back();
    }
    result->list_.push_back(std::make_shared<const GatewayRoute>(std::move(route)));
    absl::Status fits = result->Add(result->list_.back(), result->rules_[place->second]);
    if (!fits.ok()) return fits;
  }
  for (std::vector<Rule>& rules : result->rules_) {
    if (absl::Status ordered = Order(rules); !ordered.ok()) return ordered;
  }
  absl::StatusOr<HostPathIndex> index = HostPathIndex::Create(entries);
  if (!index.ok()) return index.status();
  result->index_ = *std::move(index);
  return result;
}

absl::Status GatewayRoutes::Add(const std::shared_ptr<const GatewayRoute>& route,
                                std::vector<Rule>& rules) {
  const std::string requests = RequestsOf(*route);
  auto rule = std::find_if(rules.begin(), rules.end(), [&](const Rule& other) {
    return RequestsOf(*other.routes.front()) == requests;
  });
  if (rule == rules.end()) {
    rule = rules.insert(rules.end(), Rule());
  } else if (!route->weight.has_value() || !rule->routes.front()->weight.has_value()) {
    return AboutRoute(*route, "is listed twice; give each a weight to divide its requests");
  }
  rule->routes.push_back(route);
  rule->weight += route->weight.value_or(1);
  return absl::OkStatus();
}

absl::Status GatewayRoutes::Order(std::vector<Rule>& rules) {
  for (const Rule& rule : rules) {
    if (rule.weight == 0) return AboutRoute(*rule.routes.front(), "has no weight above 0");
  }
  std::stable_sort(rules.begin(), rules.end(), [](const Rule& a, const Rule& b) {
    return ConditionsOf(*a.routes.front()) > ConditionsOf(*b.routes.front());
  });
  return absl::OkStatus();
}

std::shared_ptr<const GatewayRoute> GatewayRoutes::Find(const RouteQuery& query,
                                                        HttpRefusal& refusal) const {
  const Rule* found = nullptr;
  const auto matches = [&](size_t place) {
    for (const Rule& rule : rules_[place]) {
      if (!Matches(*rule.routes.front(), query)) continue;
      found = &rule;
      return true;
    }
    return false;
  };
  index_.Find(query.host, query.path, matches, refusal);
  return found == nullptr ? nullptr : Choose(*found, query);
}

std::shared_ptr<const GatewayRoute> GatewayRoutes::Choose(const Rule& rule,
                                                          const RouteQuery& query) {
  if (rule.routes.size() == 1) return rule.routes.front();
  for (const std::shared_ptr<const GatewayRoute>& route : rule.routes) {
    if (route->sticky_cookie.empty()) continue;
    const std::vector<Endpoint> backends = EndpointsNow(route->backends);
    if (FindSticky(backends, route->sticky_cookie, query.fields) != nullptr) return route;
  }
  const bool by_client = rule.routes.front()->backends.balance == Balance::kClientAddress;
  // Independent of the choice among backends, which is by the hash of the address alone.
  constexpr int kOfWeight = 1;
  const uint64_t client = by_client ? absl::HashOf(query.client.AddressText(), kOfWeight) : 0;
  uint64_t point = (by_client ? client : query.random) % rule.weight;
  for (const std::shared_ptr<const GatewayRoute>& route : rule.routes) {
    if (point < *route->weight) return route;
    point -= *route->weight;
  }
  return rule.routes.back();
}

bool GatewayRoutes::needs_tls() const {
  return std::any_of(list_.begin(), list_.end(), [](const auto& route) {
    return route->scheme == BackendScheme::kHttps && !route->redirect.has_value();
  });
}

}  // namespace trestle
