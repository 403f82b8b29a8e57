#include "trestle/linux/file_watcher.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "tests/linux/loopback.h"

namespace trestle {
namespace {

class FileWatcherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = absl::StrCat(::testing::TempDir(), "/watchXXXXXX");
    ASSERT_NE(mkdtemp(&name[0]), nullptr);
    directory_ = name;
  }

  std::string In(absl::string_view name) const { return absl::StrCat(directory_, "/", name); }

  static void Write(const std::string& path, absl::string_view text) {
    std::ofstream file(path, std::ios::trunc);
    file << text;
    file.close();
    ASSERT_TRUE(file.good()) << path;
  }

  static void MakeDirectory(const std::string& path) { ASSERT_EQ(mkdir(path.c_str(), 0700), 0); }

  static void Link(const std::string& target, const std::string& path) {
    ASSERT_EQ(symlink(target.c_str(), path.c_str()), 0);
  }

  static void Move(const std::string& from, const std::string& to) {
    ASSERT_EQ(rename(from.c_str(), to.c_str()), 0);
  }

  // Points the symlink `path` to `target` in one step.
  static void Relink(const std::string& target, const std::string& path) {
    Link(target, path + ".new");
    Move(path + ".new", path);
  }

  void Watch(const std::vector<std::string>& paths) {
    FileWatcherOptions options;
    options.settle_time = absl::Milliseconds(20);
    auto watcher = FileWatcher::Create(
        *loop_, paths,
        [this](absl::Span<const std::string> changed) {
          ++calls_;
          seen_.insert(seen_.end(), changed.begin(), changed.end());
        },
        options);
    ASSERT_TRUE(watcher.ok()) << watcher.status();
    watcher_ = *std::move(watcher);
  }

  // Returns the reports once there are `count`.
  std::vector<std::string> Seen(size_t count) {
    EXPECT_TRUE(TurnUntil(*loop_, [&] { return seen_.size() >= count; }));
    return std::exchange(seen_, {});
  }

  std::unique_ptr<EpollLoop> loop_ = *EpollLoop::Create();
  std::string directory_;
  std::unique_ptr<FileWatcher> watcher_;
  std::vector<std::string> seen_;
  int calls_ = 0;
};

using Paths = std::vector<std::string>;

TEST_F(FileWatcherTest, DetectsAWriteInPlace) {
  Write(In("routes"), "one");
  Watch({In("routes")});
  std::ofstream(In("routes"), std::ios::app) << "more";
  EXPECT_EQ(Seen(1), Paths{In("routes")});
  Write(In("routes"), "two");
  EXPECT_EQ(Seen(1), Paths{In("routes")});
}

TEST_F(FileWatcherTest, DetectsARename) {
  Write(In("routes"), "one");
  Watch({In("routes")});
  for (int i = 0; i < 3; ++i) {
    Write(In("routes.new"), "two");
    Move(In("routes.new"), In("routes"));
    EXPECT_EQ(Seen(1), Paths{In("routes")});
  }
}

TEST_F(FileWatcherTest, DetectsARemovedAndARecreatedFile) {
  Write(In("routes"), "one");
  Watch({In("routes")});
  unlink(In("routes").c_str());
  EXPECT_EQ(Seen(1), Paths{In("routes")});
  Write(In("routes"), "one");
  EXPECT_EQ(Seen(1), Paths{In("routes")});
}

TEST_F(FileWatcherTest, AQuickRecreationIsOneChange) {
  Write(In("routes"), "one");
  Write(In("last"), "one");
  Watch({In("routes"), In("last")});
  unlink(In("routes").c_str());
  Write(In("routes"), "one");
  EXPECT_EQ(Seen(1), Paths{In("routes")});
  Write(In("last"), "two");
  EXPECT_EQ(Seen(1), Paths{In("last")});
}

TEST_F(FileWatcherTest, DetectsTheSwapOfAMountedConfigMap) {
  MakeDirectory(In("..v1"));
  MakeDirectory(In("..v2"));
  Write(In("..v1/routes"), "one");
  Write(In("..v2/routes"), "two");
  Link("..v1", In("..data"));
  Link("..data/routes", In("routes"));
  Watch({In("routes")});
  Relink("..v2", In("..data"));
  EXPECT_EQ(Seen(1), Paths{In("routes")});
  Write(In("..v2/routes"), "written where the link leads now");
  EXPECT_EQ(Seen(1), Paths{In("routes")});
  EXPECT_EQ(watcher_->failures(), 0u);
}

TEST_F(FileWatcherTest, FollowsEveryLinkOfAChain) {
  for (const char* name : {"a", "b", "c", "d"}) MakeDirectory(In(name));
  Write(In("c/file"), "one");
  Write(In("d/file"), "two");
  Link(In("c/file"), In("b/link"));
  Link("../b/link", In("a/link"));
  Watch({In("a/link")});
  Write(In("c/file"), "one, longer");
  EXPECT_EQ(Seen(1), Paths{In("a/link")});
  Relink(In("d/file"), In("b/link"));
  EXPECT_EQ(Seen(1), Paths{In("a/link")});
  Write(In("c/file"), "not on the way any more");
  Settle(*loop_);
  Write(In("d/file"), "two, longer");
  EXPECT_EQ(Seen(1), Paths{In("a/link")});
}

TEST_F(FileWatcherTest, FilesAndTheirDirectoriesMayAppearLater) {
  Watch({In("x/y/routes")});
  MakeDirectory(In("x"));
  MakeDirectory(In("x/y"));
  Write(In("x/y/routes"), "one");
  EXPECT_EQ(Seen(1), Paths{In("x/y/routes")});
}

TEST_F(FileWatcherTest, DetectsAReplacedDirectory) {
  MakeDirectory(In("config"));
  MakeDirectory(In("next"));
  Write(In("config/routes"), "one");
  Write(In("next/routes"), "two");
  Watch({In("config/routes")});
  Move(In("config"), In("old"));
  Move(In("next"), In("config"));
  EXPECT_EQ(Seen(1), Paths{In("config/routes")});
  Write(In("config/routes"), "three");
  EXPECT_EQ(Seen(1), Paths{In("config/routes")});
}

TEST_F(FileWatcherTest, FollowsALinkWhoseTargetAppearsLater) {
  Link("missing", In("routes"));
  Watch({In("routes")});
  Write(In("missing"), "one");
  EXPECT_EQ(Seen(1), Paths{In("routes")});
}

TEST_F(FileWatcherTest, ALoopOfLinksIsAMissingFile) {
  Link("b", In("a"));
  Link("a", In("b"));
  Watch({In("a")});
  unlink(In("b").c_str());
  Write(In("b"), "one");
  EXPECT_EQ(Seen(1), Paths{In("a")});
}

TEST_F(FileWatcherTest, ManyWritesAreOneChangeAndOtherFilesAreIgnored) {
  Write(In("routes"), "one");
  Write(In("last"), "one");
  Watch({In("routes"), In("last")});
  for (int i = 0; i < 100; ++i) {
    Write(In("routes"), std::string(i, 'x'));
    Write(In("other"), "other");
  }
  EXPECT_EQ(Seen(1), Paths{In("routes")});
  Write(In("last"), "two");
  EXPECT_EQ(Seen(1), Paths{In("last")});
}

TEST_F(FileWatcherTest, AFileThatNeverSettlesIsStillReported) {
  Write(In("routes"), "");
  Watch({In("routes")});
  EXPECT_TRUE(TurnUntil(*loop_, [&] {
    std::ofstream(In("routes"), std::ios::app) << "x";
    return !seen_.empty();
  }));
}

TEST_F(FileWatcherTest, MoreEventsThanTheSystemQueuesLoseNoChange) {
  Write(In("a"), "");
  Write(In("b"), "");
  Watch({In("a"), In("b")});
  // The queue holds 16384 events by default. The kernel merges equal consecutive events, so they
  // alternate.
  for (int i = 0; i < 9000; ++i) {
    chmod(In("a").c_str(), 0600);
    chmod(In("b").c_str(), 0600);
  }
  Write(In("a"), "one");
  EXPECT_EQ(Seen(2), (Paths{In("a"), In("b")}));
}

TEST_F(FileWatcherTest, MayBeDestroyedInsideItsCallback) {
  Write(In("a"), "one");
  Write(In("b"), "one");
  int calls = 0;
  FileWatcherOptions options;
  options.settle_time = absl::ZeroDuration();
  watcher_ = *FileWatcher::Create(
      *loop_, {In("a"), In("b")},
      [&](absl::Span<const std::string>) {
        watcher_.reset();
        ++calls;
      },
      options);
  Write(In("a"), "two");
  Write(In("b"), "two");
  EXPECT_TRUE(TurnUntil(*loop_, [&] { return calls > 0; }));
  Settle(*loop_);
  EXPECT_EQ(calls, 1);
}

TEST_F(FileWatcherTest, RelativePathsStartAtTheWorkingDirectory) {
  ASSERT_EQ(chdir(directory_.c_str()), 0);
  Watch({"./routes"});
  ASSERT_EQ(chdir("/"), 0);
  Write(In("routes"), "one");
  EXPECT_EQ(Seen(1), Paths{"./routes"});
}

TEST_F(FileWatcherTest, AFolderIncludesAllItsFiles) {
  const std::string folder = In("certs");
  MakeDirectory(folder);
  Write(folder + "/a", "one");
  const Paths changed = {folder + "/"};
  Watch(changed);
  Write(folder + "/a", "two");  // In place: the folder itself doesn't change.
  EXPECT_EQ(Seen(1), changed);
  Write(folder + "/b", "new");
  EXPECT_EQ(Seen(1), changed);
  Move(folder + "/b", folder + "/c");
  EXPECT_EQ(Seen(1), changed);
  ASSERT_EQ(unlink((folder + "/c").c_str()), 0);
  EXPECT_EQ(Seen(1), changed);
  Write(In("beside"), "not in it");
  Settle(*loop_);
  EXPECT_EQ(seen_, Paths());
}

TEST_F(FileWatcherTest, AFolderMayEndInDots) {
  const std::string folder = In("certs");
  MakeDirectory(folder);
  MakeDirectory(folder + "/within");
  Link(".", folder + "/self");
  for (const std::string& dots : {folder + "/./", folder + "/within/../", folder + "/self/"}) {
    SCOPED_TRACE(dots);
    Watch({dots});
    Write(folder + "/a", dots);
    EXPECT_EQ(Seen(1), Paths{dots});
  }
}

TEST_F(FileWatcherTest, AFolderMayAppearLaterOrBehindALink) {
  const std::string link = In("current");
  const Paths changed = {link + "/"};
  Watch(changed);
  MakeDirectory(In("one"));
  Link(In("one"), link);
  EXPECT_EQ(Seen(1), changed);
  Write(In("one/a"), "in it");
  EXPECT_EQ(Seen(1), changed);
  MakeDirectory(In("two"));
  Relink(In("two"), link);
  EXPECT_EQ(Seen(1), changed);
  Write(In("two/a"), "in it");
  EXPECT_EQ(Seen(1), changed);
}

TEST_F(FileWatcherTest, OneRotationOfCertificateAndKeyIsOneCall) {
  Write(In("cert"), "one");
  Write(In("key"), "one");
  Watch({In("cert"), In("key"), In("other")});
  Write(In("key"), "two");
  Write(In("cert"), "two");
  EXPECT_EQ(Seen(2), (Paths{In("cert"), In("key")}));
  EXPECT_EQ(calls_, 1);
}

TEST_F(FileWatcherTest, AChangeMarkedAsSeenIsNotReported) {
  const std::string folder = In("certs");
  MakeDirectory(folder);
  Write(In("cert"), "one");
  Watch({In("cert"), folder + "/", In("last")});
  Write(In("cert"), "two");
  Write(folder + "/a", "two");
  watcher_->MarkSeen();
  Write(In("last"), "after that");
  EXPECT_EQ(Seen(1), Paths{In("last")});
  Write(folder + "/a", "three");
  EXPECT_EQ(Seen(1), Paths{folder + "/"});
}

TEST_F(FileWatcherTest, RejectsPathsThatItCannotWatch) {
  const auto refusal = [&](const std::vector<std::string>& paths) {
    const auto watcher = FileWatcher::Create(*loop_, paths, [](absl::Span<const std::string>) {});
    EXPECT_EQ(CodeOf(watcher.status()), ErrorCode::kConfiguration);
    return DetailOf(watcher.status());
  };
  Write(In("file"), "one");
  EXPECT_EQ(refusal({}), "no files to watch");
  EXPECT_EQ(refusal({""}), "cannot watch a file without a name");
  EXPECT_EQ(refusal({"/"}), "cannot watch /: Is a directory");
  EXPECT_EQ(refusal({In("file/below")}),
            absl::StrCat("cannot watch ", In("file/below"), ": Not a directory"));
  EXPECT_EQ(refusal(Paths(FileWatcher::kMaxPaths + 1, In("file"))),
            "cannot watch 257 files: the limit is 256");
}

TEST_F(FileWatcherTest, FailsAfterDescriptorsRanOut) {
  const DescriptorFamine famine;
  const auto watcher =
      FileWatcher::Create(*loop_, {In("file")}, [](absl::Span<const std::string>) {});
  EXPECT_EQ(CodeOf(watcher.status()), ErrorCode::kTransport);
}

}  // namespace
}  // namespace trestle
