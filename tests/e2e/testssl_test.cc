// testssl.sh with the terminating proxy's default flags: no finding above LOW.

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"

namespace trestle::e2e {
namespace {

// It makes some thousand connections.
constexpr absl::Duration kLimit = absl::Minutes(12);

// Findings about the test CA, which names no source of revocation lists.
constexpr absl::string_view kOfTheTestCa[] = {"cert_revocation"};

struct Finding {
  std::string id;
  std::string severity;
  std::string text;
};

// Parses testssl's CSV: six quoted fields per line.
std::vector<Finding> ReadFindings(const std::string& path) {
  std::vector<Finding> findings;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    const std::vector<std::string> fields = absl::StrSplit(line, "\",\"");
    if (fields.size() < 5 || fields[0] == "\"id") continue;
    findings.push_back({fields[0].substr(1), fields[3], fields[4]});
  }
  return findings;
}

using TestsslTest = ProxyTest;

TEST_F(TestsslTest, NoFindingIsAboveLow) {
  const std::string testssl = FindProgram("testssl");
  ASSERT_FALSE(testssl.empty());
  const auto backend = StartBackend(Mode::kOffload);
  const auto proxy = StartProxy(Mode::kOffload, backend->address(), {"--log_connections=none"});
  const std::string report = PathOf("report.csv");
  const CommandResult result = RunCommand({testssl,
                                           "--quiet",
                                           "--color",
                                           "0",
                                           "--warnings",
                                           "off",
                                           "--ip",
                                           "127.0.0.1",
                                           "--add-ca",
                                           PathOf("ca.pem"),
                                           "--csvfile",
                                           report,
                                           "--openssl-timeout",
                                           "10",
                                           "--protocols",
                                           "--std",
                                           "--pfs",
                                           "--server-preference",
                                           "--server-defaults",
                                           "--vulnerable",
                                           absl::StrCat(kFrontName, ":", proxy->port)},
                                          kLimit);
  const std::vector<Finding> findings = ReadFindings(report);
  // A complete run has far more.
  ASSERT_GT(findings.size(), 60u) << result.output << result.errors;
  std::map<std::string, int> by_severity;
  for (const Finding& finding : findings) {
    ++by_severity[finding.severity];
    const bool ours = std::find(std::begin(kOfTheTestCa), std::end(kOfTheTestCa), finding.id) ==
                      std::end(kOfTheTestCa);
    if (!ours) continue;
    for (const char* bad : {"MEDIUM", "HIGH", "CRITICAL", "FATAL"}) {
      EXPECT_NE(finding.severity, bad) << finding.id << ": " << finding.text;
    }
  }
  for (const auto& [severity, count] : by_severity) RecordProperty(severity, count);
  EXPECT_GT(by_severity["OK"], 20);
}

}  // namespace
}  // namespace trestle::e2e
