#include "trestle/linux/ca_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/linux/loopback.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

class CaFilesTest : public ::testing::Test {
 protected:
  CaFilesTest() {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
  }

  const std::string folder_ = ::testing::TempDir() + "/ca_files";
};

TEST_F(CaFilesTest, ReadsAFileWhole) {
  Write("anything", "one\ntwo\n");
  EXPECT_EQ(ReadCaCertificates(folder_ + "/anything").value_or("failed"), "one\ntwo\n");
}

TEST_F(CaFilesTest, ReadsTheCertificatesOfAFolderOnce) {
  Write("b.pem", "second");
  Write("a.crt", "first");
  Write("c.cer", "third");
  Write("README", "not this");
  Write(".hidden.pem", "nor this");
  Write("4a6481c9.x", "nor this");
  Write("4a6481c.0", "nor this");
  Write("5a6481c9.0", "fourth");
  ASSERT_EQ(symlink("b.pem", (folder_ + "/4a6481c9.0").c_str()), 0);
  std::filesystem::create_directory(folder_ + "/old.pem");
  EXPECT_EQ(ReadCaCertificates(folder_).value_or("failed"), "second\nfourth\nfirst\nthird\n");
  EXPECT_EQ(ReadCaCertificates(folder_ + "/"), ReadCaCertificates(folder_));
  ASSERT_TRUE(ListCaFiles(folder_).ok());
  EXPECT_EQ(ListCaFiles(folder_)->size(), 5u);
  EXPECT_EQ(*ListCaFiles((*ListCaFiles(folder_))[0]),
            std::vector<std::string>{(*ListCaFiles(folder_))[0]});
}

TEST_F(CaFilesTest, NamesUnusableFiles) {
  const absl::Status missing = ReadCaCertificates(folder_ + "/none").status();
  EXPECT_EQ(CodeOf(missing), ErrorCode::kConfiguration);
  EXPECT_THAT(DetailOf(missing), HasSubstr(folder_ + "/none"));
  const absl::Status empty = ReadCaCertificates(folder_).status();
  EXPECT_EQ(CodeOf(empty), ErrorCode::kConfiguration);
  EXPECT_EQ(DetailOf(empty), folder_ + " has no file that ends in .pem, .crt or .cer");
  ASSERT_EQ(symlink("gone", (folder_ + "/dangling.pem").c_str()), 0);
  EXPECT_THAT(DetailOf(ReadCaCertificates(folder_).status()), HasSubstr("dangling.pem"));
}

TEST_F(CaFilesTest, HasALimitForAllFilesTogether) {
  Write("a.pem", "ten bytes.");
  Write("b.pem", "");
  std::filesystem::resize_file(folder_ + "/b.pem", kMaxTrustBytes);  // Uses no space on the disk.
  EXPECT_THAT(DetailOf(ReadCaCertificates(folder_).status()),
              HasSubstr("b.pem: it is larger than 268435445 bytes"));
  std::filesystem::resize_file(folder_ + "/b.pem", kMaxTrustBytes + 1);
  EXPECT_THAT(DetailOf(ReadCaCertificates(folder_ + "/b.pem").status()),
              HasSubstr("it is larger than 268435456 bytes"));
}

TEST_F(CaFilesTest, RevocationListsHaveTheSameLimitAndMustExist) {
  Write("crl.pem", "");
  EXPECT_THAT(DetailOf(ReadRevocationLists(folder_ + "/crl.pem").status()), HasSubstr("is empty"));
  Write("crl.pem", "a list");
  EXPECT_EQ(ReadRevocationLists(folder_ + "/crl.pem").value_or("failed"), "a list");
  std::filesystem::resize_file(folder_ + "/crl.pem", kMaxTrustBytes + 1);
  EXPECT_THAT(DetailOf(ReadRevocationLists(folder_ + "/crl.pem").status()),
              HasSubstr("it is larger than 268435456 bytes"));
}

TEST_F(CaFilesTest, FindsTheSystemsCasOrSaysWhatToDo) {
  const absl::StatusOr<std::string> found = FindSystemCas();
  if (found.ok()) {
    EXPECT_THAT(ReadCaCertificates(*found).value_or(""), HasSubstr("BEGIN CERTIFICATE"));
  } else {
    EXPECT_THAT(DetailOf(found.status()), HasSubstr("ca-certificates"));
  }
}

}  // namespace
}  // namespace trestle
