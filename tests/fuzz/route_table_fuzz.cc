// A routes file, a line "?", then one query per line: NAME PROTOCOL PROTOCOL…. Parsing ends in a
// table or in a typed error, for every order of the routes. The table's answers equal those of a
// search through all routes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "tests/fuzz/fuzz_input.h"
#include "trestle/base/error.h"
#include "trestle/proxy/route_table.h"
#include "trestle/proxy/route_text.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

struct Question {
  std::string name;
  std::vector<std::string> alpn;
};

struct Answer {
  std::string pattern;
  std::string alpn;
  std::string backend;
  bool is_default = false;  // Besides the default, a name may be "default".

  friend bool operator==(const Answer& a, const Answer& b) {
    return a.pattern == b.pattern && a.alpn == b.alpn && a.backend == b.backend &&
           a.is_default == b.is_default;
  }
};

std::string FirstBackend(const RouteTarget& target) {
  return std::get<Backends>(target).endpoints.front().ToString();
}

// Returns how specific `pattern` is for `name`; -1 if it doesn't match.
int Specificity(absl::string_view pattern, absl::string_view name) {
  if (pattern.empty()) return 0;
  if (!absl::ConsumePrefix(&pattern, "*")) return name == pattern ? 1 << 20 : -1;
  const bool any_depth = absl::ConsumePrefix(&pattern, "*");
  if (!absl::EndsWith(name, pattern) || name.size() == pattern.size()) return -1;
  const absl::string_view labels = name.substr(0, name.size() - pattern.size());
  if (!any_depth && absl::StrContains(labels, '.')) return -1;
  return static_cast<int>(2 * pattern.size()) + (any_depth ? 0 : 1);
}

std::optional<Answer> TryAll(const std::vector<Route>& routes, const std::string& name,
                             const std::string& alpn) {
  std::optional<Answer> best;
  int best_specificity = -1;
  for (const Route& route : routes) {
    if (route.alpn != alpn) continue;
    const std::string pattern =
        route.pattern.empty() ? "" : NamePattern::Parse(route.pattern)->ToString();
    const int specificity = Specificity(pattern, name);
    if (specificity <= best_specificity) continue;
    best_specificity = specificity;
    best = Answer{pattern.empty() ? "default" : pattern, alpn, FirstBackend(route.target),
                  pattern.empty()};
  }
  return best;
}

std::optional<Answer> TryAll(const std::vector<Route>& routes, const Question& question) {
  for (const std::string& protocol : question.alpn) {
    if (protocol.empty()) continue;
    std::optional<Answer> answer = TryAll(routes, question.name, protocol);
    if (answer.has_value()) return answer;
  }
  return TryAll(routes, question.name, "");
}

std::optional<Answer> Ask(const RouteTable& table, const Question& question) {
  const std::optional<RouteTable::Match> match = table.Find(question.name, question.alpn);
  if (!match.has_value()) return std::nullopt;
  return Answer{std::string(match->pattern), std::string(match->alpn), FirstBackend(*match->target),
                match->is_default};
}

Question ParseQuestion(absl::string_view line) {
  Question question;
  question.alpn = absl::StrSplit(line, ' ');
  absl::StatusOr<std::string> name = NormalizeServerName(question.alpn.front());
  if (name.ok()) question.name = *std::move(name);
  question.alpn.erase(question.alpn.begin());
  return question;
}

// Adds names close to the routes' patterns: a base itself, and a name below it.
void AddNearNames(const std::vector<Route>& routes, std::vector<Question>& questions) {
  for (const Route& route : routes) {
    if (route.pattern.empty()) continue;
    const std::string base = NamePattern::Parse(route.pattern)->base();
    for (const char* below : {"", "x.", "y.x."}) {
      const absl::StatusOr<std::string> name = NormalizeServerName(absl::StrCat(below, base));
      if (name.ok()) questions.push_back({*name, {route.alpn}});
    }
  }
}

void Check(absl::string_view file, const std::vector<absl::string_view>& question_lines) {
  const absl::StatusOr<std::vector<Route>> routes = ParseRoutesFile(file);
  if (!routes.ok()) return Require(GetError(routes.status()).has_value(), "errors are typed");
  const auto table = RouteTable::Create(*routes);
  const auto reversed = RouteTable::Create({routes->rbegin(), routes->rend()});
  Require(table.ok() == reversed.ok(), "the order of routes doesn't decide whether they are good");
  if (!table.ok()) return Require(GetError(table.status()).has_value(), "errors are typed");
  Require((*table)->size() == routes->size(), "every route counts");
  std::vector<Question> questions = {{"", {}}};
  for (const absl::string_view line : question_lines) questions.push_back(ParseQuestion(line));
  AddNearNames(*routes, questions);
  for (const Question& question : questions) {
    const std::optional<Answer> expected = TryAll(*routes, question);
    Require(Ask(**table, question) == expected, "the table answers as trying all routes does");
    Require(Ask(**reversed, question) == expected, "the order of routes decides nothing");
  }
}

}  // namespace
}  // namespace trestle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;  // The search through all routes takes quadratic time.
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t mark = std::min(text.find("\n?\n"), text.size());
  std::vector<absl::string_view> questions;
  if (mark < text.size()) questions = absl::StrSplit(text.substr(mark + 3), '\n');
  trestle::Check(text.substr(0, mark), questions);
  return 0;
}
