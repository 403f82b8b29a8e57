// The text of routes.

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "integrations/http/gateway_routes.h"
#include "trestle/base/error.h"
#include "trestle/proxy/route_text.h"

namespace trestle {
namespace {

constexpr BackendScheme kSchemes[] = {BackendScheme::kHttp, BackendScheme::kHttps,
                                      BackendScheme::kH2c};
constexpr uint32_t kMaxWeight = 1'000'000;
constexpr char kOptions[] =
    "balance=round_robin, balance=least_connections, balance=client_address, tries=1…255, "
    "weight=0…1000000, "
    "method=NAME[,NAME...], header=NAME[:VALUE], rewrite=/PATH, sticky_cookie=NAME, "
    "verify_name=NAME, "
    "response_set=NAME:VALUE, response_remove=NAME[,NAME...], name=TEXT and status=CODE of a "
    "redirect";

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

// Returns the name that all certificates of `backends` must have; empty if there isn't one.
std::string CommonName(const Backends& backends) {
  if (!backends.endpoints.empty() || backends.names.empty()) return "";
  const std::string name = backends.names.front().certificate_name();
  const bool common =
      std::all_of(backends.names.begin(), backends.names.end(),
                  [&](const NamedTarget& target) { return target.certificate_name() == name; });
  return common ? name : "";
}

absl::Status ParseTarget(absl::string_view text, GatewayRoute& route) {
  if (absl::string_view location = text; absl::ConsumePrefix(&location, "redirect:")) {
    route.redirect = GatewayRedirect{std::string(location)};
    return absl::OkStatus();
  }
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
  if (*scheme == BackendScheme::kHttps && route.backend_name.empty()) {
    route.backend_name = CommonName(route.backends);
  }
  return absl::OkStatus();
}

bool ParseWeight(absl::string_view text, GatewayRoute& route) {
  uint32_t weight = 0;
  if (!absl::SimpleAtoi(text, &weight) || weight > kMaxWeight) return false;
  route.weight = weight;
  return true;
}

bool ParseCondition(absl::string_view text, GatewayRoute& route) {
  const size_t colon = text.find(':');
  FieldCondition condition;
  condition.name = absl::AsciiStrToLower(text.substr(0, colon));
  if (colon != absl::string_view::npos) {
    condition.value = std::string(absl::StripAsciiWhitespace(text.substr(colon + 1)));
  }
  route.conditions.push_back(std::move(condition));
  return true;
}

bool ParseResponseSet(absl::string_view text, GatewayRoute& route) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  if (parts.second.empty()) return false;
  route.response_fields.set.push_back(
      {absl::AsciiStrToLower(parts.first), std::string(absl::StripAsciiWhitespace(parts.second))});
  return true;
}

bool ParseResponseRemove(absl::string_view text, GatewayRoute& route) {
  for (const absl::string_view name : absl::StrSplit(text, ',')) {
    route.response_fields.remove.push_back(absl::AsciiStrToLower(name));
  }
  return true;
}

// Returns false for an unknown option or a value that it can't have.
bool ParseOption(absl::string_view name, absl::string_view value, GatewayRoute& route) {
  if (value.empty()) return false;
  if (name == "balance") return ParseBalance(value, route.backends);
  if (name == "tries") return ParseTries(value, route.backends);
  if (name == "weight") return ParseWeight(value, route);
  if (name == "header") return ParseCondition(value, route);
  if (name == "response_set") return ParseResponseSet(value, route);
  if (name == "response_remove") return ParseResponseRemove(value, route);
  if (name == "status" && route.redirect.has_value()) {
    return absl::SimpleAtoi(value, &route.redirect->status);
  }
  if (name == "method") {
    route.methods = absl::StrSplit(value, ',');
  } else if (name == "rewrite") {
    route.rewrite = std::string(value);
  } else if (name == "verify_name") {
    route.verify_name = std::string(value);
  } else if (name == "sticky_cookie") {
    route.sticky_cookie = std::string(value);
  } else if (name == "name") {
    route.label = std::string(value);
  } else {
    return false;
  }
  return true;
}

// Divides a line at its white space. Text in double quotes is taken as it is.
absl::StatusOr<std::vector<std::string>> WordsOf(absl::string_view line) {
  std::vector<std::string> words;
  bool quoted = false;
  bool in_word = false;
  for (const char c : line) {
    if (!quoted && c == '#') break;
    if (!quoted && absl::ascii_isspace(static_cast<unsigned char>(c))) {
      in_word = false;
      continue;
    }
    if (!std::exchange(in_word, true)) words.emplace_back();
    if (c == '"') {
      quoted = !quoted;
    } else {
      words.back().push_back(c);
    }
  }
  if (quoted) return ConfigurationError("a double quote has no end");
  return words;
}

absl::StatusOr<GatewayRoute> ParseWords(const std::vector<std::string>& words) {
  absl::StatusOr<GatewayRoute> route = ParseGatewayRoute(words.front());
  for (size_t i = 1; route.ok() && i < words.size(); ++i) {
    const std::pair<absl::string_view, absl::string_view> option =
        absl::StrSplit(words[i], absl::MaxSplits('=', 1));
    if (!ParseOption(option.first, option.second, *route)) {
      return ConfigurationError(
          absl::StrCat(Quoted(words[i]), " is no option: there are ", kOptions));
    }
  }
  if (!route.ok()) return route;
  // Now, so that an error has its line. Names are resolved later.
  GatewayRoute resolved = *route;
  if (!resolved.backends.names.empty()) {
    resolved.backends.group = std::make_shared<BackendGroup>();
  }
  if (absl::Status checked = GatewayRoutes::Check(resolved); !checked.ok()) return checked;
  return route;
}

// Reads the routes of a file line by line, and finds those that are there twice.
class FileReader {
 public:
  absl::Status Add(absl::string_view line) {
    ++line_;
    const absl::StatusOr<std::vector<std::string>> words = WordsOf(line);
    if (!words.ok()) return words.status();
    if (words->empty()) return absl::OkStatus();
    absl::StatusOr<GatewayRoute> route = ParseWords(*words);
    if (!route.ok()) return route.status();
    const Earlier now = {line_, route->weight.has_value()};
    const auto [earlier, added] = earlier_.emplace(RequestsOf(*route), now);
    if (!added && !(now.weighted && earlier->second.weighted)) {
      return ConfigurationError(absl::StrCat("the route ", Quoted(route->name()),
                                             " is also in line ", earlier->second.line,
                                             "; give each a weight to divide its requests"));
    }
    routes_.push_back(*std::move(route));
    return absl::OkStatus();
  }

  int line() const { return line_; }
  std::vector<GatewayRoute> Take() { return std::move(routes_); }

 private:
  struct Earlier {
    int line;
    bool weighted;
  };

  int line_ = 0;
  absl::flat_hash_map<std::string, Earlier> earlier_;
  std::vector<GatewayRoute> routes_;
};

}  // namespace

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
  FileReader reader;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const absl::Status added = reader.Add(line);
    if (added.ok()) continue;
    const std::optional<Error> error = GetError(added);
    return ConfigurationError(
        absl::StrCat("line ", reader.line(), ": ",
                     error.has_value() ? error->detail : std::string(added.message())));
  }
  return reader.Take();
}

}  // namespace trestle
