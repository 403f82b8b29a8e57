// CMake's lists of files, dependencies and borders match BUILD.bazel. A new floor_library must be
// added to cmake/libraries.cmake.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/builds/cmake_calls.h"
#include "tests/builds/target_table.h"
#include "trestle/linux/file.h"
#include "trestle/version.h"

namespace trestle::builds {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAreArray;

using Names = std::set<std::string>;

std::string Contents(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.value_or("");
}

void Add(const Names& from, Names& to) { to.insert(from.begin(), from.end()); }

Names Without(Names names, const Names& removed) {
  for (const std::string& name : removed) names.erase(name);
  return names;
}

class CMakeListsTest : public ::testing::Test {
 protected:
  CMakeListsTest()
      : table_(ReadTargetTable(Contents("target_table.txt"))),
        calls_(ReadCMakeCalls(Contents("cmake/libraries.cmake"), "trestle_library")) {
    for (const CMakeCall& call : calls_) {
      libraries_[call.name] = &call;
      for (const char* list : {"HEADERS", "SOURCES"}) {
        for (const std::string& file : call.SetOf(list)) library_of_file_[file] = call.name;
      }
    }
  }

  // Returns nothing for a target without its own files in CMake: one with private headers only.
  std::string LibraryOf(const BazelTarget& target) const {
    for (const Names* files : {&target.sources, &target.public_headers}) {
      for (const std::string& file : *files) {
        auto found = library_of_file_.find(file);
        if (found != library_of_file_.end()) return found->second;
      }
    }
    return "";
  }

  // Returns the library and its dependencies.
  Names Seen(const std::string& library) const {
    Names seen = {library};
    for (const std::string& dep : libraries_.at(library)->SetOf("DEPS")) Add(Seen(dep), seen);
    return seen;
  }

  struct Needs {
    Names libraries, abseil, boringssl;
  };

  // Returns the needs of a target, with the private headers of targets without a library.
  Needs NeedsOf(const BazelTarget& target) const {
    Needs needs = {{}, target.AbseilNames(), target.BoringSslNames()};
    for (const std::string& label : target.deps) {
      const BazelTarget* dep = Find(table_, label);
      if (dep == nullptr) continue;
      const std::string library = LibraryOf(*dep);
      if (!library.empty()) {
        needs.libraries.insert(library);
        continue;
      }
      const Needs further = NeedsOf(*dep);
      Add(further.libraries, needs.libraries);
      Add(further.abseil, needs.abseil);
      Add(further.boringssl, needs.boringssl);
    }
    return needs;
  }

  // Returns the common needs of all targets of a library.
  Needs NeedsOfLibrary(const std::string& library) const {
    Needs all;
    for (const auto& [name, target] : table_) {
      if (LibraryOf(target) != library) continue;
      const Needs needs = NeedsOf(target);
      Add(needs.libraries, all.libraries);
      Add(needs.abseil, all.abseil);
      Add(needs.boringssl, all.boringssl);
    }
    return all;
  }

  TargetTable table_;
  std::vector<CMakeCall> calls_;
  std::map<std::string, const CMakeCall*> libraries_;
  std::map<std::string, std::string> library_of_file_;
};

TEST_F(CMakeListsTest, EachSourceIsInOneLibrary) {
  Names of_bazel;
  for (const auto& [name, target] : table_) Add(target.sources, of_bazel);
  std::vector<std::string> of_cmake;  // with repetitions
  for (const CMakeCall& call : calls_) {
    auto sources = call.lists.find("SOURCES");
    if (sources == call.lists.end()) continue;
    of_cmake.insert(of_cmake.end(), sources->second.begin(), sources->second.end());
  }
  EXPECT_THAT(of_cmake, UnorderedElementsAreArray(of_bazel));
}

TEST_F(CMakeListsTest, ExactlyThePublicHeadersAreInstalled) {
  Names of_bazel;
  for (const auto& [name, target] : table_) Add(target.public_headers, of_bazel);
  std::vector<std::string> of_cmake;
  for (const CMakeCall& call : calls_) {
    const std::vector<std::string>& headers = call.lists.at("HEADERS");
    of_cmake.insert(of_cmake.end(), headers.begin(), headers.end());
  }
  EXPECT_THAT(of_cmake, UnorderedElementsAreArray(of_bazel));
}

TEST_F(CMakeListsTest, NoFileNeedsALibraryOutsideItsDependencies) {
  for (const auto& [name, target] : table_) {
    const std::string library = LibraryOf(target);
    if (library.empty()) continue;
    EXPECT_THAT(Without(NeedsOf(target).libraries, Seen(library)), IsEmpty())
        << "//:" << name << " is in trestle::" << library;
  }
}

TEST_F(CMakeListsTest, OnlyDeclaredLibrariesNeedBoringSsl) {
  for (const CMakeCall& call : calls_) {
    EXPECT_EQ(call.SetOf("BORINGSSL"), NeedsOfLibrary(call.name).boringssl) << call.name;
    const bool has_tls = call.lists.count("TLS") + call.lists.count("BORINGSSL") > 0;
    EXPECT_EQ(has_tls, Seen(call.name).count("tls") > 0) << call.name;
  }
}

TEST_F(CMakeListsTest, TheRouterNeedsNoTls) {
  for (const char* library : {"wire", "io", "router", "linux", "testing"}) {
    EXPECT_EQ(Seen(library).count("tls"), 0u) << library;
  }
}

TEST_F(CMakeListsTest, LibrariesDeclareTheirPartsOfAbseil) {
  const std::vector<CMakeCall> variables = ReadCMakeCalls(Contents("cmake/targets.cmake"), "set");
  ASSERT_EQ(variables.size(), 1u);
  ASSERT_EQ(variables[0].name, "TRESTLE_ABSEIL_EVERYWHERE");
  const Names common = variables[0].SetOf("");
  EXPECT_THAT(Without(common, NeedsOfLibrary("wire").abseil), IsEmpty());
  for (const CMakeCall& call : calls_) {
    EXPECT_EQ(call.SetOf("ABSEIL"), Without(NeedsOfLibrary(call.name).abseil, common))
        << "trestle::" << call.name;
  }
}

TEST_F(CMakeListsTest, TheUmbrellaIncludesEachHeaderThatIsNotForTests) {
  const std::string umbrella = Contents("include/trestle/trestle.h");
  for (const auto& [name, target] : table_) {
    for (absl::string_view header : target.public_headers) {
      absl::ConsumePrefix(&header, "include/");
      if (header == "trestle/trestle.h" || absl::StartsWith(header, "trestle/testing/")) continue;
      EXPECT_THAT(umbrella, HasSubstr(absl::StrCat("#include \"", header, "\"\n")));
    }
  }
}

TEST_F(CMakeListsTest, TheVersionIsThatOfTheHeader) {
  EXPECT_THAT(Contents("CMakeLists.txt"),
              HasSubstr(absl::StrCat("project(trestle VERSION ", kVersion, " ")));
}

}  // namespace
}  // namespace trestle::builds
