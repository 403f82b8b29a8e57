#include "trestle/proxy/route_table.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "trestle/base/error.h"
#include "trestle/wire/pattern_index.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

std::string Described(const Route& route) {
  return absl::StrCat("the route \"",
                      route.pattern.empty() ? "default" : EscapeForLog(route.pattern), "\"",
                      route.alpn.empty() ? "" : " for protocol ", EscapeForLog(route.alpn));
}

}  // namespace

// The routes of one protocol, or of any.
struct RouteTable::Names {
  PatternIndex patterns;
  std::optional<uint32_t> fallback;
};

// Sorts routes by protocol, and builds the indexes.
class RouteTable::Builder {
 public:
  explicit Builder(const std::vector<Route>& routes) : routes_(routes) {
    patterns_.reserve(routes.size());  // Items are views into it.
  }

  absl::StatusOr<std::shared_ptr<const RouteTable>> Build() {
    for (const Route& route : routes_) {
      if (absl::Status status = Add(route); !status.ok()) return status;
    }
    std::shared_ptr<RouteTable> table(new RouteTable);
    for (const auto& [alpn, sorted] : sorted_) {
      auto names = std::make_unique<Names>();
      names->fallback = sorted.fallback;
      const auto& routes = sorted.routes;
      absl::StatusOr<PatternIndex> patterns = PatternIndex::Create(
          sorted.items, [&routes](size_t item) { return Twice(*routes[item]); });
      if (!patterns.ok()) return patterns.status();
      names->patterns = *std::move(patterns);
      (alpn.empty() ? table->any_protocol_ : table->by_protocol_[alpn]) = std::move(names);
    }
    table->size_ = routes_.size();
    table->targets_ = std::move(targets_);
    return table;
  }

 private:
  struct Sorted {
    std::vector<PatternIndex::Item> items;
    std::vector<const Route*> routes;  // Of each item.
    std::optional<uint32_t> fallback;
  };

  static absl::Status Twice(const Route& route) {
    return ConfigurationError(Described(route) + " is listed twice");
  }

  absl::Status Add(const Route& route) {
    const absl::StatusOr<uint32_t> target = TargetIndex(route);
    if (!target.ok()) return target.status();
    Sorted& sorted = sorted_[route.alpn];
    if (route.pattern.empty()) {
      if (sorted.fallback.has_value()) return Twice(route);
      sorted.fallback = *target;
      return absl::OkStatus();
    }
    absl::StatusOr<NamePattern> pattern = NamePattern::Parse(route.pattern);
    if (!pattern.ok()) {
      return ConfigurationError(
          absl::StrCat(Described(route), " has no valid name: ", pattern.status().message()));
    }
    patterns_.push_back(*std::move(pattern));
    sorted.items.push_back({patterns_.back().kind(), patterns_.back().base(), *target});
    sorted.routes.push_back(&route);
    return absl::OkStatus();
  }

  absl::StatusOr<uint32_t> TargetIndex(const Route& route) {
    const uint32_t next = static_cast<uint32_t>(targets_.size());
    if (const auto* handler = std::get_if<ConnectionHandler*>(&route.target)) {
      if (*handler == nullptr) return ConfigurationError(Described(route) + " leads to no handler");
    } else {
      const Backends& backends = std::get<Backends>(route.target);
      if (absl::Status usable = CheckBackends(backends); !usable.ok()) {
        return ConfigurationError(absl::StrCat(Described(route), ": ", GetError(usable)->detail));
      }
      if (backends.group == nullptr && backends.endpoints.size() == 1) {
        const auto [known, added] = single_backends_.emplace(backends.endpoints.front(), next);
        if (!added) return known->second;
      }
    }
    targets_.push_back(route.target);
    return next;
  }

  const std::vector<Route>& routes_;
  std::vector<NamePattern> patterns_;
  std::vector<RouteTarget> targets_;
  absl::flat_hash_map<Endpoint, uint32_t> single_backends_;  // Many names share few backends.
  absl::flat_hash_map<std::string, Sorted> sorted_;          // By protocol; "" is any.
};

RouteTable::RouteTable() : any_protocol_(std::make_unique<const Names>()) {}

RouteTable::~RouteTable() = default;

absl::StatusOr<std::shared_ptr<const RouteTable>> RouteTable::Create(
    const std::vector<Route>& routes) {
  if (routes.empty()) {
    return ConfigurationError("there is no route: give at least one, or a default");
  }
  return Builder(routes).Build();
}

bool RouteTable::has_default() const { return any_protocol_->fallback.has_value(); }

std::optional<RouteTable::Match> RouteTable::Find(absl::string_view server_name,
                                                  absl::Span<const std::string> alpn) const {
  if (!by_protocol_.empty()) {
    for (const std::string& protocol : alpn) {
      const auto names = by_protocol_.find(protocol);
      if (names == by_protocol_.end()) continue;
      const std::optional<Match> match = FindIn(*names->second, server_name, names->first);
      if (match.has_value()) return match;
    }
  }
  return FindIn(*any_protocol_, server_name, {});
}

bool RouteTable::LeadsTo(const Endpoint& listener) const {
  for (const RouteTarget& target : targets_) {
    const Backends* backends = std::get_if<Backends>(&target);
    if (backends != nullptr && trestle::LeadsTo(*backends, listener)) return true;
  }
  return false;
}

std::optional<RouteTable::Match> RouteTable::FindIn(const Names& names,
                                                    absl::string_view server_name,
                                                    absl::string_view alpn) const {
  if (const std::optional<PatternIndex::Match> found = names.patterns.Find(server_name)) {
    return Match{&targets_[found->value], found->pattern, alpn, /*is_default=*/false};
  }
  if (!names.fallback.has_value()) return std::nullopt;
  return Match{&targets_[*names.fallback], "default", alpn, /*is_default=*/true};
}

}  // namespace trestle
