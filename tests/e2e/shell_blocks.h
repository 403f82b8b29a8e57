// Extracts the shell lines of a page of documentation, for the tests that run them.
#ifndef TRESTLE_TESTS_E2E_SHELL_BLOCKS_H_
#define TRESTLE_TESTS_E2E_SHELL_BLOCKS_H_

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace trestle::e2e {

/// Returns the text within each pair of ```sh and ```, unchanged.
inline std::vector<std::string> ShellBlocks(const std::string& page) {
  std::ifstream file(page);
  EXPECT_TRUE(file.good()) << page;
  std::vector<std::string> blocks;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line == "```sh") {
      inside = true;
      blocks.emplace_back();
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      absl::StrAppend(&blocks.back(), line, "\n");
    }
  }
  return blocks;
}

}  // namespace trestle::e2e

#endif  // TRESTLE_TESTS_E2E_SHELL_BLOCKS_H_
