#include "trestle/proxy/route_table.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

absl::Status BadRoute(absl::string_view detail) {
  return MakeError(
      {ErrorCode::kConfiguration, std::nullopt, Phase::kSetUp, std::nullopt, std::string(detail)});
}

bool IsNullHandler(const RouteTarget& target) {
  ConnectionHandler* const* handler = std::get_if<ConnectionHandler*>(&target);
  return handler != nullptr && *handler == nullptr;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const RouteTable>> RouteTable::Create(
    const std::vector<Route>& routes) {
  if (routes.empty()) return BadRoute("there is no route: give at least one, or a default");
  std::shared_ptr<RouteTable> table(new RouteTable);
  for (const Route& route : routes) {
    if (absl::Status status = table->Add(route); !status.ok()) return status;
  }
  return table;
}

absl::Status RouteTable::Add(const Route& route) {
  ++size_;
  if (IsNullHandler(route.target)) {
    return BadRoute(absl::StrCat("the route \"", route.pattern, "\" leads to no handler"));
  }
  if (route.pattern.empty()) {
    if (default_.has_value()) return BadRoute("there are two default routes");
    default_ = Route{"default", route.target};
    return absl::OkStatus();
  }
  const absl::StatusOr<NamePattern> pattern = NamePattern::Parse(route.pattern);
  if (!pattern.ok()) {
    return BadRoute(absl::StrCat("the route \"", EscapeForLog(route.pattern),
                                 "\" has no valid name: ", pattern.status().message()));
  }
  const std::string text = pattern->ToString();
  Routes& routes = const_cast<Routes&>(RoutesOf(pattern->kind()));
  if (!routes.emplace(pattern->base(), Route{text, route.target}).second) {
    return BadRoute(absl::StrCat("the route \"", text, "\" is there twice"));
  }
  return absl::OkStatus();
}

const RouteTable::Routes& RouteTable::RoutesOf(NamePattern::Kind kind) const {
  switch (kind) {
    case NamePattern::Kind::kExact:
      return exact_;
    case NamePattern::Kind::kOneLabel:
      return one_label_;
    case NamePattern::Kind::kAnyDepth:
      return any_depth_;
  }
  return exact_;
}

absl::StatusOr<std::vector<Route>> RouteTable::ParseRoutes(absl::string_view text) {
  std::vector<Route> routes;
  for (const absl::string_view item : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(item, absl::MaxSplits('=', 1));
    if (parts.first.empty() || parts.second.empty()) {
      return BadRoute(absl::StrCat("\"", EscapeForLog(item), "\" is no NAME=IP:PORT"));
    }
    const absl::StatusOr<Endpoint> backend = Endpoint::Parse(parts.second);
    if (!backend.ok()) return backend.status();
    routes.push_back({std::string(parts.first), *backend});
  }
  return routes;
}

const Route* RouteTable::Find(absl::string_view server_name) const {
  const Route* found = default_.has_value() ? &*default_ : nullptr;
  if (server_name.empty()) return found;
  VisitCoveringPatterns(server_name, [&](NamePattern::Kind kind, absl::string_view base) {
    const Routes& routes = RoutesOf(kind);
    const auto route = routes.find(base);
    if (route == routes.end()) return false;
    found = &route->second;
    return true;
  });
  return found;
}

}  // namespace trestle
