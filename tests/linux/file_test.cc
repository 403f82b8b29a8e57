#include "trestle/linux/file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/linux/loopback.h"

namespace trestle {
namespace {

std::string Write(const std::string& name, const std::string& text) {
  const std::string path = ::testing::TempDir() + "/" + name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

TEST(ReadFileTest, ReadsAllBytes) {
  const std::string text = std::string(100000, 'x') + std::string("\0\n", 2);
  EXPECT_EQ(ReadFile(Write("whole", text)).value_or("failed"), text);
  EXPECT_EQ(ReadFile(Write("empty", "")).value_or("failed"), "");
}

TEST(ReadFileTest, WaitsForNoFifoAndNoDevice) {
  const std::string fifo = absl::StrCat(::testing::TempDir(), "/fifo");
  unlink(fifo.c_str());
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  for (const std::string& path : {fifo, std::string("/dev/zero"), std::string("/dev/tty")}) {
    const absl::Status refused = ReadFile(path).status();
    EXPECT_EQ(CodeOf(refused), ErrorCode::kConfiguration) << path;
  }
  EXPECT_EQ(DetailOf(ReadFile(fifo).status()),
            absl::StrCat("cannot read ", fifo, ": it is not a regular file"));
}

TEST(ReadFileTest, TransientFailuresAreNoConfigurationErrors) {
  const std::string path = Write("famine", "x");
  const std::string folder = ::testing::TempDir();
  const DescriptorFamine famine;
  EXPECT_EQ(CodeOf(ReadFile(path).status()), ErrorCode::kTransport);
  EXPECT_EQ(DetailOf(ReadFile(path).status()),
            absl::StrCat("cannot read ", path, ": Too many open files"));
  EXPECT_EQ(CodeOf(ListFolder(folder).status()), ErrorCode::kTransport);
}

TEST(ReadFileTest, NamesThePathAndTheReason) {
  const absl::Status missing = ReadFile("/nonexistent/cert.pem").status();
  EXPECT_EQ(CodeOf(missing), ErrorCode::kConfiguration);
  EXPECT_EQ(DetailOf(missing), "cannot read /nonexistent/cert.pem: No such file or directory");
  EXPECT_EQ(DetailOf(ReadFile("/").status()), "cannot read /: Is a directory");
}

TEST(ReadFileTest, StopsAtTheLimit) {
  const std::string path = Write("large", std::string(11, 'x'));
  EXPECT_TRUE(ReadFile(path, 11).ok());
  EXPECT_EQ(DetailOf(ReadFile(path, 10).status()),
            "cannot read " + path + ": it is larger than 10 bytes");
  EXPECT_EQ(CodeOf(ReadFile("/dev/zero").status()), ErrorCode::kConfiguration);
}

TEST(ListFolderTest, ListsFilesThatAreNotHiddenInOrder) {
  std::string folder = absl::StrCat(::testing::TempDir(), "/listXXXXXX");
  ASSERT_NE(mkdtemp(&folder[0]), nullptr);
  for (const char* name : {"b", "a.pem", ".hidden", "c d"}) {
    std::ofstream(absl::StrCat(folder, "/", name)) << name;
  }
  const auto names = ListFolder(folder);
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_EQ(*names, (std::vector<std::string>{"a.pem", "b", "c d"}));
  EXPECT_TRUE(ListFolder(folder, 3).ok());
  EXPECT_EQ(DetailOf(ListFolder(folder, 2).status()),
            absl::StrCat("cannot read ", folder, ": there are more than 2 files in it"));
}

TEST(ListFolderTest, NamesThePathAndTheReason) {
  const absl::Status missing = ListFolder("/nonexistent").status();
  EXPECT_EQ(CodeOf(missing), ErrorCode::kConfiguration);
  EXPECT_EQ(DetailOf(missing), "cannot read /nonexistent: No such file or directory");
}

}  // namespace
}  // namespace trestle
