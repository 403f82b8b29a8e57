#include "tests/builds/target_table.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace trestle::builds {
namespace {

constexpr absl::string_view kAbseil = "@com_google_absl//absl/";

// Bazel 4.2.3 omits the repository of a label whose package has the name of the own one.
constexpr absl::string_view kBoringSsl[] = {"@boringssl//:", ":"};
constexpr absl::string_view kBoringSslTargets[] = {"crypto", "ssl", "pki"};

// "algorithm:container" is algorithm_container in CMake; other parts have the name of the target.
std::string AbseilName(absl::string_view label) {
  if (label == "algorithm:container") return "algorithm_container";
  const size_t separator = label.find_last_of(":/");
  return std::string(separator == label.npos ? label : label.substr(separator + 1));
}

void AddFile(const std::string& file, bool is_public, BazelTarget& target) {
  if (absl::EndsWith(file, ".cc")) {
    target.sources.insert(file);
  } else if (is_public && absl::StartsWith(file, "include/")) {
    target.public_headers.insert(file);
  }
}

}  // namespace

std::set<std::string> BazelTarget::AbseilNames() const {
  std::set<std::string> names;
  for (absl::string_view dep : deps) {
    if (absl::ConsumePrefix(&dep, kAbseil)) names.insert(AbseilName(dep));
  }
  return names;
}

std::set<std::string> BazelTarget::BoringSslNames() const {
  std::set<std::string> names;
  for (absl::string_view prefix : kBoringSsl) {
    for (absl::string_view target : kBoringSslTargets) {
      if (deps.count(absl::StrCat(prefix, target)) > 0) names.emplace(target);
    }
  }
  return names;
}

TargetTable ReadTargetTable(const std::string& text) {
  TargetTable table;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> columns = absl::StrSplit(line, ' ');
    BazelTarget& target = table[columns.at(0)];
    target.internal = columns.at(1) == "internal";
    if (columns.at(2) == "deps") {
      target.deps.insert(columns.at(3));
    } else {
      AddFile(columns.at(3), columns.at(2) == "hdrs" && !target.internal, target);
    }
  }
  return table;
}

const BazelTarget* Find(const TargetTable& table, const std::string& label) {
  absl::string_view name = label;
  if (!absl::ConsumePrefix(&name, "//:") && !absl::ConsumePrefix(&name, ":")) return nullptr;
  auto found = table.find(std::string(name));
  return found == table.end() ? nullptr : &found->second;
}

}  // namespace trestle::builds
