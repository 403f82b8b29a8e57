// Parses the calls of one command in a CMake file, with their arguments by keyword.
#ifndef TRESTLE_TESTS_BUILDS_CMAKE_CALLS_H_
#define TRESTLE_TESTS_BUILDS_CMAKE_CALLS_H_

#include <map>
#include <set>
#include <string>
#include <vector>

namespace trestle::builds {

struct CMakeCall {
  std::string name;  // the first argument
  // By keyword, which is a word of capital letters. A keyword without arguments has an empty list.
  std::map<std::string, std::vector<std::string>> lists;

  std::set<std::string> SetOf(const std::string& keyword) const;
};

/// Reads the calls of `command` in a text of plain words: no quotes, variables or nested calls.
std::vector<CMakeCall> ReadCMakeCalls(const std::string& text, const std::string& command);

}  // namespace trestle::builds

#endif  // TRESTLE_TESTS_BUILDS_CMAKE_CALLS_H_
