#include "trestle/linux/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "tests/linux/loopback.h"
#include "trestle/linux/file.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {
namespace {

class PrivateFileTest : public ::testing::Test {
 protected:
  PrivateFileTest() : folder_(absl::StrCat(::testing::TempDir(), "/privateXXXXXX")) {
    EXPECT_NE(mkdtemp(&folder_[0]), nullptr);
    path_ = absl::StrCat(folder_, "/log");
  }

  static mode_t ModeOf(const std::string& path) {
    struct stat info = {};
    EXPECT_EQ(stat(path.c_str(), &info), 0);
    return info.st_mode & 07777;
  }

  std::string Refusal() const {
    const absl::Status refused = OpenPrivateFile(path_).status();
    EXPECT_EQ(CodeOf(refused), ErrorCode::kConfiguration);
    return DetailOf(refused);
  }

  std::string folder_;
  std::string path_;
};

TEST_F(PrivateFileTest, OnlyItsOwnerCanReadItWithEveryUmask) {
  const mode_t before = umask(0);
  const auto made = OpenPrivateFile(path_);
  const auto created = CreatePrivateFile(path_ + ".new");
  umask(before);
  ASSERT_TRUE(made.ok()) << made.status();
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(ModeOf(path_), 0600u);
  EXPECT_EQ(ModeOf(path_ + ".new"), 0600u);
}

TEST_F(PrivateFileTest, AppendsToAnExistingFile) {
  std::ofstream(path_) << "before,";
  ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  const auto file = OpenPrivateFile(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(write(file->get(), "after", 5), 5);
  EXPECT_EQ(ReadFile(path_).value_or("gone"), "before,after");
  EXPECT_EQ(
      DetailOf(CreatePrivateFile(path_).status()),
      absl::StrCat("cannot create ", path_, ": it exists already, and nothing is overwritten"));
}

TEST_F(PrivateFileTest, RejectsAFileThatOtherUsersCanAccess) {
  std::ofstream(path_) << "x";
  for (const mode_t wider : {0644, 0660, 0604, 0601}) {
    ASSERT_EQ(chmod(path_.c_str(), wider), 0);
    EXPECT_EQ(Refusal(), absl::StrFormat("cannot open %s: others have access to it (mode %04o); "
                                         "change that to 0600",
                                         path_, wider));
  }
  EXPECT_EQ(ReadFile(path_).value_or("gone"), "x");
}

TEST_F(PrivateFileTest, FollowsNoLink) {
  const std::string target = absl::StrCat(folder_, "/target");
  ASSERT_EQ(symlink(target.c_str(), path_.c_str()), 0);
  EXPECT_EQ(Refusal(), absl::StrCat("cannot open ", path_, ": it is a symlink"));
  EXPECT_NE(access(target.c_str(), F_OK), 0);
  unlink(path_.c_str());
  ASSERT_TRUE(OpenPrivateFile(target).ok());
  ASSERT_EQ(link(target.c_str(), path_.c_str()), 0);
  EXPECT_EQ(Refusal(), absl::StrCat("cannot open ", path_, ": it has further hard links"));
}

TEST_F(PrivateFileTest, WaitsForNoFifoAndWritesToNoDevice) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(Refusal(), absl::StrCat("cannot open ", path_, ": it is not a regular file"));
  // With a reader, the FIFO can be opened.
  const OwnedFd reader(open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  EXPECT_EQ(Refusal(), absl::StrCat("cannot open ", path_, ": it is not a regular file"));
  path_ = "/dev/null";
  EXPECT_EQ(Refusal(), "cannot open /dev/null: it is not a regular file");
  path_ = folder_;
  EXPECT_EQ(Refusal(), absl::StrCat("cannot open ", path_, ": Is a directory"));
}

}  // namespace
}  // namespace trestle
