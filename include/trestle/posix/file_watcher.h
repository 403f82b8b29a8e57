// FileWatcher: tells a loop when files changed, however that was done: written in place, replaced
// by a rename, deleted and made anew, or reached through a symlink that now leads elsewhere; and
// when anything in a folder did.
#ifndef TRESTLE_POSIX_FILE_WATCHER_H_
#define TRESTLE_POSIX_FILE_WATCHER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "trestle/io/scheduler.h"
#include "trestle/posix/epoll_loop.h"
#include "trestle/posix/owned_fd.h"

namespace trestle {

struct FileWatcherOptions {
  /// A change counts as settled when nothing happened for so long, or when it goes on for ten times
  /// as long.
  absl::Duration settle_time = absl::Milliseconds(200);
};

/// Watches files by the directories that their paths lead through (inotify(7)): that of the file,
/// that of each symlink on the way, and where a part of the path is missing, the one in which it
/// would appear. Not noticed are writes through a mapping or another hard link, on network file
/// systems those of other machines, and the renaming of a directory further up.
class FileWatcher final : private FdWatcher {
 public:
  using Callback = absl::AnyInvocable<void(const std::string& path)>;

  static constexpr size_t kMaxPaths = 256;

  /// Calls `on_change` from the loop once for each settled change of one of `paths`, with the path
  /// as it was given; also when the file has appeared or gone. A path that ends in "/" stands for
  /// the folder and all that is in it, but not in folders within. Comparing is by identity, size
  /// and times, the content is not read. Files and their directories need not exist yet; relative
  /// paths start where the process is now. The watcher may be destroyed inside the callback. `loop`
  /// must outlive it. Fails with ErrorCode::kConfiguration and a sentence that names the path where
  /// that can't be watched, or where there are no paths or more than `kMaxPaths`; with kTransport
  /// where the system has no more descriptors or watches.
  static absl::StatusOr<std::unique_ptr<FileWatcher>> Create(
      EpollLoop& loop, absl::Span<const std::string> paths, Callback on_change,
      const FileWatcherOptions& options = {});

  ~FileWatcher();
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;

  /// Counts how often a directory on the way to a file could not be watched any more. Until it can
  /// be again, the files are compared now and then, so that changes are noticed late.
  uint64_t failures() const { return failures_; }

 private:
  // Device, inode, size, and the nanoseconds of the last change of content and of the inode.
  using Identity = std::tuple<uint64_t, uint64_t, int64_t, int64_t, int64_t>;
  struct File {
    std::string path;      // As given.
    std::string absolute;  // Without symlinks resolved.
    std::optional<Identity> seen;
    int folder_watch = -1;  // Of a path that ends in "/", while the folder is there.
    bool touched = false;   // Something happened in that folder.
  };

  FileWatcher(EpollLoop& loop, OwnedFd inotify, Callback on_change,
              const FileWatcherOptions& options);

  static std::optional<Identity> Identify(const std::string& path);
  void OnFdReady(uint32_t events) override;
  bool TakeEvents();
  bool TouchFolders(int watch);
  absl::Status WatchFolder(File& file, std::map<int, std::set<std::string>>* watched);
  absl::Status WatchPaths();
  absl::Status WatchPathsOnce(std::map<int, std::set<std::string>>* watched);
  void OnEvent();
  void OnSettled();
  void ReportChanges();

  EpollLoop& loop_;
  const OwnedFd inotify_;
  const FileWatcherOptions options_;
  std::vector<File> files_;
  std::map<int, std::set<std::string>> watched_;  // Per watch: names in its directory that matter.
  Callback on_change_;
  Timer settled_;
  Timer more_events_;
  MonotonicTime first_event_;  // Of those that the timer stands for.
  uint64_t failures_ = 0;
  bool* destroyed_ = nullptr;  // Points to a flag on the stack while a callback runs.
};

}  // namespace trestle

#endif  // TRESTLE_POSIX_FILE_WATCHER_H_
