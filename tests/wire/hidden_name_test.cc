#include "lib/wire/hidden_name.h"

#include "gtest/gtest.h"

namespace trestle::wire_internal {
namespace {

TEST(HiddenNameTest, EachOccurrenceIsReplacedInAnyCase) {
  EXPECT_EQ(HideName("for \"hidden.test\", not Hidden.TEST or www.hidden.test.", "hidden.test"),
            "for \"(ech)\", not (ech) or www.(ech).");
  EXPECT_EQ(HideName("hidden.testhidden.test", "HIDDEN.test"), "(ech)(ech)");
}

TEST(HiddenNameTest, OtherTextRemains) {
  EXPECT_EQ(HideName("no route for \"a.test\"", "hidden.test"), "no route for \"a.test\"");
  EXPECT_EQ(HideName("anything", ""), "anything");
  EXPECT_EQ(HideName("", "hidden.test"), "");
}

}  // namespace
}  // namespace trestle::wire_internal
