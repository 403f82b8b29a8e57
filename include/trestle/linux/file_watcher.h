// FileWatcher: reports changes of files and directories to a loop. It detects a write in place, a
// rename, a deletion, a new file, and a symlink that leads elsewhere.
#ifndef TRESTLE_LINUX_FILE_WATCHER_H_
#define TRESTLE_LINUX_FILE_WATCHER_H_

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
#include "trestle/linux/fd_loop.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {

/// Options of a FileWatcher.
struct FileWatcherOptions {
  /// A change is reported after this time without further events, or after ten times this time if
  /// events continue.
  absl::Duration settle_time = absl::Milliseconds(200);
};

/// Watches files through the directories on their paths (inotify(7)): the file's own, and that of
/// each symlink. If a part of the path is missing, it watches the directory where that part would
/// appear. It does not detect writes through a mapping or another hard link. On network file
/// systems it misses other machines' writes. It also misses the renaming of a directory further up.
class FileWatcher final : private FdWatcher {
 public:
  /// Receives the changed paths, as given.
  using Callback = absl::AnyInvocable<void(absl::Span<const std::string> paths)>;

  static constexpr size_t kMaxPaths = 256;

  /// Calls `on_change` from the loop once for each settled change of `paths`. Changes that settle
  /// together come in one call. A file that appears or disappears is a change. A path that ends in
  /// "/" is a directory with all its entries, but without the contents of subdirectories. Files are
  /// compared by identity, size and times; contents are not read. Files and directories need not
  /// exist yet. Relative paths start at the current working directory. The callback may destroy the
  /// watcher. `loop` must outlive it.
  ///
  /// Fails with ErrorCode::kConfiguration and a sentence with the path if that cannot be watched,
  /// or if there are no paths or more than `kMaxPaths`. Fails with kTransport if the system has no
  /// more descriptors or watches.
  static absl::StatusOr<std::unique_ptr<FileWatcher>> Create(
      FdLoop& loop, absl::Span<const std::string> paths, Callback on_change,
      const FileWatcherOptions& options = {});

  ~FileWatcher();
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;

  /// Ignores all changes up to now. Call it before you read all files for another reason: later
  /// changes only are reported.
  void MarkSeen();

  /// Returns how often a directory on the way to a file could no longer be watched. Until it can be
  /// watched again, files are compared from time to time, so changes are detected late.
  uint64_t failures() const { return failures_; }

 private:
  // Device, inode, size, and the nanoseconds of the last change of content and of the inode.
  using Identity = std::tuple<uint64_t, uint64_t, int64_t, int64_t, int64_t>;
  struct File {
    std::string path;      // As passed by the caller.
    std::string absolute;  // Without symlinks resolved.
    std::optional<Identity> seen;
    int folder_watch = -1;  // For a path that ends in "/", while the directory exists.
    bool touched = false;   // An entry of that directory changed.
  };

  FileWatcher(FdLoop& loop, OwnedFd inotify, Callback on_change, const FileWatcherOptions& options);

  static std::optional<Identity> Identify(const std::string& path);
  void OnFdReady(uint32_t events) override;
  bool TakeEvents();
  bool TouchFolders(int watch);
  absl::Status WatchFolder(File& file, std::map<int, std::set<std::string>>* watched);
  absl::Status WatchPaths();
  absl::Status WatchPathsOnce(std::map<int, std::set<std::string>>* watched);
  void OnEvent();
  void OnSettled();
  void WatchAgain();
  void ReportChanges();

  FdLoop& loop_;
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

#endif  // TRESTLE_LINUX_FILE_WATCHER_H_
