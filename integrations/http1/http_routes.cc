#include "integrations/http1/http_routes.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "trestle/base/error.h"
#include "trestle/proxy/route_text.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

// Returns "HOST/PATH", the name of a route in reports.
std::string NameOf(const HttpRoute& route) {
  return absl::StrCat(route.host.empty() ? "default" : route.host, route.path);
}

// Removes the percent-encoding. Empty for a path that readers could interpret differently.
std::optional<std::string> PlainPath(absl::string_view path) {
  std::string plain;
  for (size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    if (c == '%') {
      const absl::string_view digits = path.substr(i + 1, 2);
      uint32_t code = 0;
      if (digits.size() != 2 || !absl::ascii_isxdigit(static_cast<unsigned char>(digits[0])) ||
          !absl::SimpleHexAtoi(digits, &code)) {
        return std::nullopt;
      }
      c = static_cast<char>(code);
      // Decoded again by another reader, these would be part of the path's structure.
      if (c == '/' || c == '%') return std::nullopt;
      i += 2;
    }
    if (c == '\\' || c == ';' || absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      return std::nullopt;
    }
    plain += c;
  }
  if (absl::StrContains(plain, "//")) return std::nullopt;
  for (const absl::string_view segment : absl::StrSplit(plain, '/')) {
    if (segment == "." || segment == "..") return std::nullopt;
  }
  return plain;
}

bool Covers(absl::string_view prefix, absl::string_view path) {
  return absl::StartsWith(path, prefix) &&
         (path.size() == prefix.size() || path[prefix.size()] == '/');
}

/// Accepts only requests for the connection's backend.
class RouteGuard final : public HttpGuard {
 public:
  RouteGuard(std::shared_ptr<const HttpRoutes> routes, std::string route)
      : routes_(std::move(routes)), route_(std::move(route)) {}

  std::optional<HttpRefusal> OnHead(const HttpRequestHead& head) override {
    HttpRefusal refusal;
    const auto target = routes_->Find(head.host, head.path(), refusal);
    if (target == nullptr) return refusal;
    if (target->route == route_) return std::nullopt;
    return HttpRefusal{421, "the request is for another backend than the connection's first one"};
  }

 private:
  const std::shared_ptr<const HttpRoutes> routes_;
  const std::string route_;
};

/// Rejects a connection whose protocol is not read.
class Http2Refusal final : public ContentReader {
 public:
  ContentAnswer Read(ByteView, bool) override {
    return ContentAnswer::Refuse("HTTP/2 was agreed on, and only HTTP/1.1 is read here", "");
  }
};

/// Reads the first request's head.
class HttpRouteReader final : public ContentReader {
 public:
  HttpRouteReader(std::shared_ptr<const HttpRoutes> routes, const Http1Limits& limits)
      : routes_(std::move(routes)), limits_(limits) {}

  ContentAnswer Read(ByteView bytes, bool end_of_stream) override {
    absl::string_view text = AsText(bytes);
    while (absl::ConsumePrefix(&text, "\r\n")) {
    }
    HttpRefusal refusal;
    switch (scanner_.Scan(text, limits_, refusal)) {
      case HeadScanner::State::kNeedMore:
        if (end_of_stream && !text.empty()) return Refused({400, "the client ended in mid-head"});
        return ContentAnswer::ReadMore();
      case HeadScanner::State::kRefused:
        return Refused(refusal);
      case HeadScanner::State::kComplete:
        return Choose(text.substr(0, scanner_.scanned()));
    }
    return ContentAnswer::ReadMore();
  }

 private:
  static ContentAnswer Refused(const HttpRefusal& refusal) {
    return ContentAnswer::Refuse(refusal.reason, RefusalPage(refusal.status, false));
  }

  ContentAnswer Choose(absl::string_view head_bytes) {
    HttpRefusal refusal;
    const std::optional<HttpRequestHead> head = ReadRequestHead(head_bytes, limits_, refusal);
    if (!head.has_value()) return Refused(refusal);
    auto target = routes_->Find(head->host, head->path(), refusal);
    if (target != nullptr) return ContentAnswer::Go(std::move(target));
    return ContentAnswer::NoRoute(refusal.reason,
                                  RefusalPage(refusal.status, head->method == "HEAD"));
  }

  const std::shared_ptr<const HttpRoutes> routes_;
  const Http1Limits limits_;
  HeadScanner scanner_;
};

absl::StatusOr<HttpRoute> ParseRoute(absl::string_view item) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(item, absl::MaxSplits('=', 1));
  if (parts.first.empty() || parts.second.empty()) {
    return ConfigurationError(absl::StrCat("\"", EscapeForLog(item), "\" is no HOST/PATH=IP:PORT"));
  }
  HttpRoute route;
  const size_t slash = parts.first.find('/');
  const absl::string_view host = parts.first.substr(0, slash);
  if (slash != absl::string_view::npos) route.path = std::string(parts.first.substr(slash));
  if (!absl::EqualsIgnoreCase(host, "default")) route.host = std::string(host);
  if (host.empty()) {
    return ConfigurationError(
        absl::StrCat("\"", EscapeForLog(item), "\" has no host; \"default\" is any"));
  }
  const std::pair<absl::string_view, absl::string_view> target =
      absl::StrSplit(parts.second, absl::MaxSplits('@', 1));
  route.backend_name = std::string(target.second);
  if (target.second.empty() && absl::StrContains(parts.second, '@')) {
    return ConfigurationError(
        absl::StrCat("\"", EscapeForLog(item), "\" has no name behind its @"));
  }
  absl::StatusOr<Backends> backends = ParseBackends(target.first);
  if (!backends.ok()) return backends.status();
  route.backends = *std::move(backends);
  return route;
}

}  // namespace

// Collects routes by host, and builds the index.
class HttpRoutes::Builder {
 public:
  explicit Builder(HttpRoutes& result) : result_(result) {}

  absl::Status Add(const HttpRoute& route);
  absl::Status Finish();

 private:
  struct Host {
    std::optional<NamePattern> pattern;
    size_t place;
  };

  std::vector<PathRoute>& PathsOf(std::optional<NamePattern> pattern);

  HttpRoutes& result_;
  absl::flat_hash_map<std::string, Host> hosts_;  // By "a.test", "*.a.test", "" (any).
};

std::vector<HttpRoutes::PathRoute>& HttpRoutes::Builder::PathsOf(
    std::optional<NamePattern> pattern) {
  const std::string key = pattern.has_value() ? pattern->ToString() : "";
  const auto [host, added] = hosts_.emplace(key, Host{std::move(pattern), result_.hosts_.size()});
  if (added) result_.hosts_.emplace_back();
  return result_.hosts_[host->second.place];
}

absl::Status HttpRoutes::Builder::Finish() {
  std::vector<PatternIndex::Item> items;
  for (const auto& [text, host] : hosts_) {
    if (!host.pattern.has_value()) {
      result_.any_host_ = host.place;
      continue;
    }
    items.push_back(
        {host.pattern->kind(), host.pattern->base(), static_cast<uint32_t>(host.place)});
  }
  absl::StatusOr<PatternIndex> by_host = PatternIndex::Create(
      items, [](size_t) { return absl::InternalError("the hosts of HTTP routes are not unique"); });
  if (!by_host.ok()) return by_host.status();
  result_.by_host_ = *std::move(by_host);
  return absl::OkStatus();
}

absl::Status HttpRoutes::Builder::Add(const HttpRoute& route) {
  const std::string quoted = absl::StrCat("the route \"", EscapeForLog(NameOf(route)), "\" ");
  std::optional<NamePattern> host;
  if (!route.host.empty()) {
    absl::StatusOr<NamePattern> pattern = NamePattern::Parse(route.host);
    if (!pattern.ok()) {
      return ConfigurationError(
          absl::StrCat(quoted, "has a bad host: ", pattern.status().message()));
    }
    host = *std::move(pattern);
  }
  std::optional<std::string> path = PlainPath(route.path);
  const bool plain = path.has_value() && *path == route.path && absl::StartsWith(*path, "/") &&
                     route.path.find_first_of("?# ") == std::string::npos;
  if (!plain) {
    return ConfigurationError(absl::StrCat(quoted,
                                           "needs a plain path: /segments, without . and .., "
                                           "percent-encoding or query"));
  }
  if (!route.backend_name.empty()) {
    const absl::StatusOr<std::string> name = NormalizeServerName(route.backend_name);
    if (!name.ok()) {
      return ConfigurationError(
          absl::StrCat(quoted, "has a bad backend name: ", name.status().message()));
    }
  }
  if (absl::Status usable = CheckBackends(route.backends); !usable.ok()) {
    return ConfigurationError(absl::StrCat(quoted, "is wrong: ", GetError(usable)->detail));
  }
  if (path->back() == '/') path->pop_back();
  std::vector<PathRoute>& paths = PathsOf(std::move(host));
  for (const PathRoute& other : paths) {
    if (other.path == *path) return ConfigurationError(absl::StrCat(quoted, "is listed twice"));
  }
  paths.push_back({*path, std::make_shared<const ContentTarget>(
                              ContentTarget{route.backends, route.backend_name, NameOf(route)})});
  std::sort(paths.begin(), paths.end(),
            [](const PathRoute& a, const PathRoute& b) { return a.path.size() > b.path.size(); });
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const HttpRoutes>> HttpRoutes::Create(
    std::vector<HttpRoute> routes) {
  if (routes.empty()) return ConfigurationError("there is no HTTP route");
  auto result = std::make_shared<HttpRoutes>();
  Builder builder(*result);
  for (const HttpRoute& route : routes) {
    if (absl::Status added = builder.Add(route); !added.ok()) return added;
  }
  if (absl::Status finished = builder.Finish(); !finished.ok()) return finished;
  result->routes_ = std::move(routes);
  return result;
}

const std::vector<HttpRoutes::PathRoute>* HttpRoutes::RoutesOf(absl::string_view host) const {
  if (const std::optional<PatternIndex::Match> match = by_host_.Find(host)) {
    return &hosts_[match->value];
  }
  return any_host_.has_value() ? &hosts_[*any_host_] : nullptr;
}

bool HttpRoutes::AnyPath(const std::vector<PathRoute>& paths) {
  return paths.size() == 1 && paths.front().path.empty();
}

std::shared_ptr<const ContentTarget> HttpRoutes::FindOnly(absl::string_view host) const {
  const std::vector<PathRoute>* const paths = RoutesOf(host);
  return paths != nullptr && AnyPath(*paths) ? paths->front().target : nullptr;
}

std::shared_ptr<const ContentTarget> HttpRoutes::Find(absl::string_view host,
                                                      absl::string_view path,
                                                      HttpRefusal& refusal) const {
  const std::vector<PathRoute>* const paths = RoutesOf(host);
  if (paths == nullptr) {
    refusal = {421, "no route for the request's host"};
    return nullptr;
  }
  std::string plain(absl::StartsWith(path, "/") ? path : "/");
  if (!AnyPath(*paths)) {
    std::optional<std::string> decoded = PlainPath(plain);
    if (!decoded.has_value()) {
      refusal = {400, "a path that routes and backends may read differently"};
      return nullptr;
    }
    plain = *std::move(decoded);
  }
  for (const PathRoute& route : *paths) {
    if (Covers(route.path, plain)) return route.target;
  }
  refusal = {404, "no route for the request's path"};
  return nullptr;
}

absl::flat_hash_set<std::string> HttpRoutes::SplitRoutes() const {
  absl::flat_hash_set<std::string> names;
  for (const std::vector<PathRoute>& paths : hosts_) {
    if (paths.size() < 2) continue;
    for (const PathRoute& path : paths) names.insert(path.target->route);
  }
  return names;
}

absl::StatusOr<std::vector<HttpRoute>> ParseHttpRoutes(absl::string_view text) {
  std::vector<HttpRoute> routes;
  for (const absl::string_view item : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    absl::StatusOr<HttpRoute> route = ParseRoute(absl::StripAsciiWhitespace(item));
    if (!route.ok()) return route.status();
    routes.push_back(*std::move(route));
  }
  return routes;
}

ContentReaderFactory NewHttpRouteReaderFactory(std::shared_ptr<const HttpRoutes> routes,
                                               const Http1Limits& limits) {
  return [routes = std::move(routes),
          limits](const ConnectionReport& connection) -> std::unique_ptr<ContentReader> {
    if (SpeaksHttp2(connection)) return std::make_unique<Http2Refusal>();
    return std::make_unique<HttpRouteReader>(routes, limits);
  };
}

void KeepToRoutes(std::shared_ptr<const HttpRoutes> routes, Http1Options& options) {
  options.one_request = [split = routes->SplitRoutes(), before = std::move(options.one_request)](
                            const ConnectionReport& connection) mutable {
    return split.contains(connection.route) || (before && before(connection));
  };
  options.guards.insert(options.guards.begin(),
                        [routes = std::move(routes)](const ConnectionReport& connection) {
                          return std::make_unique<RouteGuard>(routes, connection.route);
                        });
}

}  // namespace trestle
