#include "tests/builds/cmake_calls.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace trestle::builds {
namespace {

std::string WithoutComments(const std::string& text) {
  std::string kept;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    absl::StrAppend(&kept, line.substr(0, line.find('#')), "\n");
  }
  return kept;
}

bool IsKeyword(absl::string_view word) {
  for (char letter : word) {
    if (!absl::ascii_isupper(letter)) return false;
  }
  return true;
}

CMakeCall ReadArguments(absl::string_view arguments) {
  CMakeCall call;
  std::string keyword;
  for (absl::string_view word :
       absl::StrSplit(arguments, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    if (call.name.empty()) {
      call.name = std::string(word);
    } else if (IsKeyword(word)) {
      keyword = std::string(word);
      call.lists[keyword];
    } else {
      call.lists[keyword].emplace_back(word);
    }
  }
  return call;
}

}  // namespace

std::set<std::string> CMakeCall::SetOf(const std::string& keyword) const {
  auto found = lists.find(keyword);
  if (found == lists.end()) return {};
  return {found->second.begin(), found->second.end()};
}

std::vector<CMakeCall> ReadCMakeCalls(const std::string& text, const std::string& command) {
  const std::string code = WithoutComments(text);
  const std::string opening = absl::StrCat("\n", command, "(");
  std::vector<CMakeCall> calls;
  for (size_t at = code.find(opening); at != std::string::npos; at = code.find(opening, at)) {
    at += opening.size();
    const size_t end = code.find(')', at);
    calls.push_back(ReadArguments(absl::string_view(code).substr(at, end - at)));
  }
  return calls;
}

}  // namespace trestle::builds
