#include "trestle/proxy/route_table.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

absl::Status BadRoute(absl::string_view detail) {
  return MakeError(
      {ErrorCode::kConfiguration, std::nullopt, Phase::kSetUp, std::nullopt, std::string(detail)});
}

std::string Described(const Route& route) {
  return absl::StrCat("the route \"",
                      route.pattern.empty() ? "default" : EscapeForLog(route.pattern), "\"",
                      route.alpn.empty() ? "" : " for protocol ", EscapeForLog(route.alpn));
}

// "*." and "**." stand before the base in the normal form.
size_t PrefixBytes(NamePattern::Kind kind) {
  switch (kind) {
    case NamePattern::Kind::kExact:
      return 0;
    case NamePattern::Kind::kOneLabel:
      return 2;
    case NamePattern::Kind::kAnyDepth:
      return 3;
  }
  return 0;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const RouteTable>> RouteTable::Create(
    const std::vector<Route>& routes) {
  if (routes.empty()) return BadRoute("there is no route: give at least one, or a default");
  std::shared_ptr<RouteTable> table(new RouteTable);
  // The keys are views into names_, so it must never move.
  size_t name_bytes = 0;
  for (const Route& route : routes) name_bytes += route.pattern.size();
  table->names_.reserve(name_bytes);
  for (const Route& route : routes) {
    if (absl::Status status = table->Add(route); !status.ok()) return status;
  }
  return table;
}

RouteTable::Targets& RouteTable::NameTable::OfKind(NamePattern::Kind kind) {
  switch (kind) {
    case NamePattern::Kind::kExact:
      return exact;
    case NamePattern::Kind::kOneLabel:
      return one_label;
    case NamePattern::Kind::kAnyDepth:
      return any_depth;
  }
  return exact;
}

absl::Status RouteTable::Add(const Route& route) {
  ++size_;
  const absl::StatusOr<uint32_t> target = TargetIndex(route);
  if (!target.ok()) return target.status();
  NameTable& table = route.alpn.empty() ? any_protocol_ : by_protocol_[route.alpn];
  if (route.pattern.empty()) {
    if (table.fallback.has_value()) return BadRoute(Described(route) + " is there twice");
    table.fallback = *target;
    return absl::OkStatus();
  }
  const absl::StatusOr<NamePattern> pattern = NamePattern::Parse(route.pattern);
  if (!pattern.ok()) {
    return BadRoute(
        absl::StrCat(Described(route), " has no valid name: ", pattern.status().message()));
  }
  Targets& targets = table.OfKind(pattern->kind());
  if (targets.contains(pattern->base())) return BadRoute(Described(route) + " is there twice");
  const size_t base_begin = names_.size() + PrefixBytes(pattern->kind());
  names_ += pattern->ToString();
  targets.emplace(absl::string_view(names_).substr(base_begin), *target);
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> RouteTable::TargetIndex(const Route& route) {
  const uint32_t next = static_cast<uint32_t>(targets_.size());
  if (const auto* handler = std::get_if<ConnectionHandler*>(&route.target)) {
    if (*handler == nullptr) return BadRoute(Described(route) + " leads to no handler");
  } else {
    const Backends& backends = std::get<Backends>(route.target);
    if (backends.endpoints.empty() || backends.max_tries == 0) {
      return BadRoute(Described(route) + " has no backend to try");
    }
    for (const Endpoint& endpoint : backends.endpoints) {
      if (endpoint == Endpoint()) return BadRoute(Described(route) + " has an empty backend");
    }
    if (backends.endpoints.size() == 1) {
      const auto [known, added] = single_backends_.emplace(backends.endpoints.front(), next);
      if (!added) return known->second;
    }
  }
  targets_.push_back(route.target);
  return next;
}

std::optional<RouteTable::Match> RouteTable::Find(absl::string_view server_name,
                                                  absl::Span<const std::string> alpn) const {
  if (!by_protocol_.empty()) {
    for (const std::string& protocol : alpn) {
      const auto table = by_protocol_.find(protocol);
      if (table == by_protocol_.end()) continue;
      const std::optional<Match> match = FindIn(table->second, server_name, table->first);
      if (match.has_value()) return match;
    }
  }
  return FindIn(any_protocol_, server_name, {});
}

bool RouteTable::LeadsTo(const Endpoint& listener) const {
  for (const RouteTarget& target : targets_) {
    const Backends* backends = std::get_if<Backends>(&target);
    if (backends != nullptr && trestle::LeadsTo(*backends, listener)) return true;
  }
  return false;
}

std::optional<RouteTable::Match> RouteTable::FindIn(const NameTable& table,
                                                    absl::string_view server_name,
                                                    absl::string_view alpn) const {
  std::optional<Match> match;
  if (!server_name.empty()) {
    VisitCoveringPatterns(server_name, [&](NamePattern::Kind kind, absl::string_view base) {
      const Targets& targets = table.OfKind(kind);
      const auto found = targets.find(base);
      if (found == targets.end()) return false;
      const size_t prefix = PrefixBytes(kind);
      const absl::string_view key = found->first;
      match = Match{&targets_[found->second],
                    absl::string_view(key.data() - prefix, key.size() + prefix), alpn,
                    /*is_default=*/false};
      return true;
    });
  }
  if (!match.has_value() && table.fallback.has_value()) {
    match = Match{&targets_[*table.fallback], "default", alpn, /*is_default=*/true};
  }
  return match;
}

}  // namespace trestle
