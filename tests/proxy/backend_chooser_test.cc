#include "lib/proxy/backend_chooser.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace trestle {
namespace {

class BackendChooserTest : public ::testing::Test {
 protected:
  void Fail(const BackendChooser::Shown& shown, int times) {
    for (int i = 0; i < times; ++i) chooser_.Failed(one_, shown, options_, now_);
  }
  bool IsEjectedFor(const BackendChooser::Shown& shown) const {
    return chooser_.IsEjected(one_, shown, now_);
  }

  const Endpoint one_ = *Endpoint::Parse("192.0.2.1:443");
  const EjectionOptions options_ = {};
  MonotonicTime now_ = MonotonicTime::FromStart(absl::Hours(1));
  BackendChooser chooser_;
};

TEST_F(BackendChooserTest, AFailureCountsForConnectionsWithTheSameData) {
  Fail("evil.test", 3);
  EXPECT_TRUE(IsEjectedFor("evil.test"));
  EXPECT_FALSE(IsEjectedFor("a.test"));
  EXPECT_FALSE(IsEjectedFor(""));
  Fail("", 3);
  EXPECT_TRUE(IsEjectedFor("a.test")) << "no client data was sent, so the backend is at fault";
  chooser_.Succeeded(one_, "");
  EXPECT_TRUE(IsEjectedFor("evil.test"));
  EXPECT_FALSE(IsEjectedFor("a.test"));
}

TEST_F(BackendChooserTest, AnAbandonedTryAllowsAnother) {
  Fail("", 3);
  now_ += options_.first;
  EXPECT_FALSE(IsEjectedFor(""));
  chooser_.Try(one_, "", now_);
  EXPECT_TRUE(IsEjectedFor("")) << "one at a time";
  chooser_.Abandoned(one_, "");
  EXPECT_FALSE(IsEjectedFor(""));
  chooser_.Try(one_, "", now_);
  Fail("", 1);
  chooser_.Abandoned(one_, "");
  EXPECT_TRUE(IsEjectedFor("")) << "that connection was not a try";
}

TEST_F(BackendChooserTest, ClientDataUsesBoundedMemoryAndEvictsNothing) {
  Fail("", 3);
  Fail("known.test", 3);
  for (int i = 0; i < 100'000; ++i) Fail(absl::StrCat(i, ".test"), 1);
  EXPECT_TRUE(IsEjectedFor(""));
  EXPECT_TRUE(IsEjectedFor("known.test"));
  for (int i = 0; i < 10'000; ++i) Fail(absl::StrCat(i, ".test"), 3);
  EXPECT_TRUE(IsEjectedFor(""));
  chooser_.Succeeded(one_, "");
  EXPECT_TRUE(IsEjectedFor("known.test"));
  EXPECT_FALSE(IsEjectedFor("9999.test")) << "without room it isn't ejected";
  now_ += options_.first;
  Fail("late.test", 3);
  EXPECT_TRUE(IsEjectedFor("late.test")) << "expired records make room";
}

}  // namespace
}  // namespace trestle
