// The cc_library targets of a package, as bazel/tables.bzl writes them.
#ifndef TRESTLE_TESTS_BUILDS_TARGET_TABLE_H_
#define TRESTLE_TESTS_BUILDS_TARGET_TABLE_H_

#include <map>
#include <set>
#include <string>

namespace trestle::builds {

struct BazelTarget {
  bool internal = false;
  std::set<std::string> sources;         // .cc
  std::set<std::string> public_headers;  // below include/, or hdrs of a package that isn't the root
  std::set<std::string> deps;            // labels

  /// The parts of Abseil, by the names that CMake has for them.
  std::set<std::string> AbseilNames() const;

  /// The parts of BoringSSL: crypto, ssl, pki.
  std::set<std::string> BoringSslNames() const;
};

/// By name.
using TargetTable = std::map<std::string, BazelTarget>;

TargetTable ReadTargetTable(const std::string& text);

/// Returns the target that a label of the same package names, or null.
const BazelTarget* Find(const TargetTable& table, const std::string& label);

}  // namespace trestle::builds

#endif  // TRESTLE_TESTS_BUILDS_TARGET_TABLE_H_
