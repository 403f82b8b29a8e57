#include "lib/linux/path_trace.h"

#include <limits.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace trestle {
namespace {

constexpr int kMaxLinks = 40;

std::optional<std::string> ReadLink(const std::string& path) {
  std::array<char, PATH_MAX> target;
  const ssize_t bytes = readlink(path.c_str(), target.data(), target.size());
  if (bytes <= 0) return std::nullopt;
  return std::string(target.data(), static_cast<size_t>(bytes));
}

// Pushes the parts of `path` on `parts`, the first one on top.
void PushParts(absl::string_view path, std::vector<std::string>& parts) {
  const std::vector<std::string> split = absl::StrSplit(path, '/', absl::SkipEmpty());
  parts.insert(parts.end(), split.rbegin(), split.rend());
}

std::string Join(const std::string& directory, const std::string& name) {
  return absl::StrCat(directory == "/" ? "" : directory, "/", name);
}

std::string Parent(const std::string& directory) {
  const size_t slash = directory.rfind('/');
  return slash == 0 ? "/" : directory.substr(0, slash);
}

}  // namespace

std::vector<PathEntry> TracePath(const std::string& path) {
  std::vector<PathEntry> entries;
  std::vector<std::string> parts;
  PushParts(path, parts);
  std::string at = "/";
  int links = 0;
  while (!parts.empty()) {
    const std::string name = std::move(parts.back());
    parts.pop_back();
    if (name == ".") continue;
    if (name == "..") {
      at = Parent(at);
      continue;
    }
    const std::string next = Join(at, name);
    const std::optional<std::string> target = ReadLink(next);
    if (!target.has_value()) {
      if (parts.empty() || access(next.c_str(), F_OK) != 0) {
        entries.push_back({at, name});
        return entries;
      }
      at = next;
      continue;
    }
    entries.push_back({at, name});
    if (++links == kMaxLinks) return entries;
    if (target->front() == '/') at = "/";
    PushParts(*target, parts);
  }
  // The path ends in "." or "..".
  if (at != "/") entries.push_back({Parent(at), at.substr(at.rfind('/') + 1)});
  return entries;
}

}  // namespace trestle
