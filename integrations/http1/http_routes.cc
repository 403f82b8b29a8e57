#include "integrations/http1/http_routes.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "trestle/base/error.h"
#include "trestle/proxy/route_text.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

std::string NameOf(const HttpRoute& route) { return HostPathName(route.host, route.path); }

absl::Status CheckRoute(const HttpRoute& route) {
  const std::string quoted = absl::StrCat("the route \"", EscapeForLog(NameOf(route)), "\" ");
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
  return absl::OkStatus();
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

absl::StatusOr<std::shared_ptr<const HttpRoutes>> HttpRoutes::Create(
    std::vector<HttpRoute> routes) {
  if (routes.empty()) return ConfigurationError("there is no HTTP route");
  auto result = std::make_shared<HttpRoutes>();
  std::vector<HostPathIndex::Entry> entries;
  for (const HttpRoute& route : routes) {
    if (absl::Status good = CheckRoute(route); !good.ok()) return good;
    entries.push_back({route.host, route.path});
    result->targets_.push_back(std::make_shared<const ContentTarget>(
        ContentTarget{route.backends, route.backend_name, NameOf(route)}));
  }
  absl::StatusOr<HostPathIndex> index = HostPathIndex::Create(entries);
  if (!index.ok()) return index.status();
  result->index_ = *std::move(index);
  result->routes_ = std::move(routes);
  return result;
}

std::shared_ptr<const ContentTarget> HttpRoutes::FindOnly(absl::string_view host) const {
  const std::optional<size_t> place = index_.FindOnly(host);
  return place.has_value() ? targets_[*place] : nullptr;
}

std::shared_ptr<const ContentTarget> HttpRoutes::Find(absl::string_view host,
                                                      absl::string_view path,
                                                      HttpRefusal& refusal) const {
  const std::optional<size_t> place = index_.Find(
      host, path, [](size_t) { return true; }, refusal);
  return place.has_value() ? targets_[*place] : nullptr;
}

absl::flat_hash_set<std::string> HttpRoutes::SplitRoutes() const {
  absl::flat_hash_set<std::string> names;
  for (const size_t place : index_.Split()) names.insert(targets_[place]->route);
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
