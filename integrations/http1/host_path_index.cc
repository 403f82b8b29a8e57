#include "integrations/http1/host_path_index.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

bool Covers(absl::string_view prefix, absl::string_view path) {
  return absl::StartsWith(path, prefix) &&
         (path.size() == prefix.size() || path[prefix.size()] == '/');
}

}  // namespace

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

std::string HostPathName(absl::string_view host, absl::string_view path) {
  return absl::StrCat(host.empty() ? "default" : host, path);
}

// Collects entries by host, and builds the index.
class HostPathIndex::Builder {
 public:
  explicit Builder(HostPathIndex& result) : result_(result) {}

  absl::Status Add(const Entry& entry, size_t value);
  absl::Status Finish();

 private:
  struct Host {
    std::optional<NamePattern> pattern;
    size_t place;
  };

  std::vector<Path>& PathsOf(std::optional<NamePattern> pattern);

  HostPathIndex& result_;
  absl::flat_hash_map<std::string, Host> hosts_;  // By "a.test", "*.a.test", "" (any).
};

std::vector<HostPathIndex::Path>& HostPathIndex::Builder::PathsOf(
    std::optional<NamePattern> pattern) {
  const std::string key = pattern.has_value() ? pattern->ToString() : "";
  const auto [host, added] = hosts_.emplace(key, Host{std::move(pattern), result_.hosts_.size()});
  if (added) result_.hosts_.emplace_back();
  return result_.hosts_[host->second.place];
}

absl::Status HostPathIndex::Builder::Add(const Entry& entry, size_t value) {
  const std::string quoted =
      absl::StrCat("the route \"", EscapeForLog(HostPathName(entry.host, entry.path)), "\" ");
  std::optional<NamePattern> host;
  if (!entry.host.empty()) {
    absl::StatusOr<NamePattern> pattern = NamePattern::Parse(entry.host);
    if (!pattern.ok()) {
      return ConfigurationError(
          absl::StrCat(quoted, "has a bad host: ", pattern.status().message()));
    }
    host = *std::move(pattern);
  }
  std::optional<std::string> prefix = PlainPath(entry.path);
  const bool plain = prefix.has_value() && *prefix == entry.path &&
                     absl::StartsWith(*prefix, "/") &&
                     entry.path.find_first_of("?# ") == std::string::npos;
  if (!plain) {
    return ConfigurationError(absl::StrCat(quoted,
                                           "needs a plain path: /segments, without . and .., "
                                           "percent-encoding or query"));
  }
  if (prefix->back() == '/') prefix->pop_back();
  std::vector<Path>& paths = PathsOf(std::move(host));
  for (const Path& other : paths) {
    if (other.prefix == *prefix) {
      return ConfigurationError(absl::StrCat(quoted, "is listed twice"));
    }
  }
  paths.push_back({*std::move(prefix), value});
  std::sort(paths.begin(), paths.end(),
            [](const Path& a, const Path& b) { return a.prefix.size() > b.prefix.size(); });
  return absl::OkStatus();
}

absl::Status HostPathIndex::Builder::Finish() {
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

absl::StatusOr<HostPathIndex> HostPathIndex::Create(absl::Span<const Entry> entries) {
  HostPathIndex index;
  Builder builder(index);
  for (size_t i = 0; i < entries.size(); ++i) {
    if (absl::Status added = builder.Add(entries[i], i); !added.ok()) return added;
  }
  if (absl::Status finished = builder.Finish(); !finished.ok()) return finished;
  return index;
}

const std::vector<HostPathIndex::Path>* HostPathIndex::PathsOf(absl::string_view host) const {
  if (const std::optional<PatternIndex::Match> match = by_host_.Find(host)) {
    return &hosts_[match->value];
  }
  return any_host_.has_value() ? &hosts_[*any_host_] : nullptr;
}

bool HostPathIndex::AnyPath(const std::vector<Path>& paths) {
  return paths.size() == 1 && paths.front().prefix.empty();
}

std::optional<size_t> HostPathIndex::FindOnly(absl::string_view host) const {
  const std::vector<Path>* const paths = PathsOf(host);
  if (paths == nullptr || !AnyPath(*paths)) return std::nullopt;
  return paths->front().value;
}

std::optional<size_t> HostPathIndex::Find(absl::string_view host, absl::string_view path,
                                          absl::FunctionRef<bool(size_t)> accepts,
                                          HttpRefusal& refusal) const {
  const std::vector<Path>* const paths = PathsOf(host);
  if (paths == nullptr) {
    refusal = {421, "no route for the request's host"};
    return std::nullopt;
  }
  std::string plain(absl::StartsWith(path, "/") ? path : "/");
  if (!AnyPath(*paths)) {
    std::optional<std::string> decoded = PlainPath(plain);
    if (!decoded.has_value()) {
      refusal = {400, "a path that routes and backends may read differently"};
      return std::nullopt;
    }
    plain = *std::move(decoded);
  }
  for (const Path& candidate : *paths) {
    if (Covers(candidate.prefix, plain) && accepts(candidate.value)) return candidate.value;
  }
  refusal = {404, "no route for the request's path"};
  return std::nullopt;
}

std::vector<size_t> HostPathIndex::Split() const {
  std::vector<size_t> values;
  for (const std::vector<Path>& paths : hosts_) {
    if (paths.size() < 2) continue;
    for (const Path& path : paths) values.push_back(path.value);
  }
  return values;
}

}  // namespace trestle
