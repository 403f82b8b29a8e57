#include "trestle/pki/finding.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace trestle {
namespace {

TEST(FindingTest, TheWorstComesFirstAndEqualOnesKeepTheirOrder) {
  std::vector<Finding> findings;
  EXPECT_EQ(WorstOf(findings), Severity::kFine);
  findings = {{Severity::kNote, "a", "", ""},
              {Severity::kCritical, "b", "", ""},
              {Severity::kNote, "c", "", ""},
              {Severity::kWarning, "d", "", ""}};
  SortFindings(findings);
  std::string order;
  for (const Finding& finding : findings) order += finding.code;
  EXPECT_EQ(order, "bdac");
  EXPECT_EQ(WorstOf(findings), Severity::kCritical);
}

TEST(FindingTest, SeveritiesHaveNames) {
  EXPECT_EQ(EnumName(Severity::kFine), "fine");
  EXPECT_EQ(EnumName(Severity::kNote), "note");
  EXPECT_EQ(EnumName(Severity::kWarning), "warning");
  EXPECT_EQ(EnumName(Severity::kCritical), "critical");
}

}  // namespace
}  // namespace trestle
