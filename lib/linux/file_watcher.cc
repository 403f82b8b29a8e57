#include "trestle/linux/file_watcher.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "lib/linux/path_trace.h"
#include "lib/linux/system_error.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr uint32_t kOfDirectory = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT;
constexpr uint32_t kMask = IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_CREATE | IN_DELETE |
                           IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr int kLongestChange = 10;  // In units of the settle time.
constexpr int kMaxRounds = 8;
constexpr int kMaxReadsPerTurn = 4;
constexpr absl::Duration kRetryDelay = absl::Seconds(5);

absl::Status CannotWatch(const std::string& path, int error) {
  const bool exhausted = IsExhaustion(error) || error == ENOSPC;
  return MakeError(exhausted ? ErrorCode::kTransport : ErrorCode::kConfiguration, Phase::kSetUp,
                   error == ENOSPC ? absl::StrCat("cannot watch ", path, ": the system allows no ",
                                                  "more watches (fs.inotify.max_user_watches)")
                                   : absl::StrCat("cannot watch ", path, ": ", ErrnoText(error)));
}

int64_t Nanoseconds(const timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

absl::StatusOr<std::string> Absolute(const std::string& path) {
  if (path.empty()) return ConfigurationError("cannot watch a file without a name");
  if (path.front() == '/') return path;
  std::array<char, PATH_MAX> here;
  if (getcwd(here.data(), here.size()) == nullptr) return CannotWatch(path, errno);
  return absl::StrCat(here.data(), "/", path);
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileWatcher>> FileWatcher::Create(
    FdLoop& loop, absl::Span<const std::string> paths, Callback on_change,
    const FileWatcherOptions& options) {
  if (paths.empty()) return ConfigurationError("no files to watch");
  if (paths.size() > kMaxPaths) {
    return ConfigurationError(
        absl::StrCat("cannot watch ", paths.size(), " files: the limit is ", kMaxPaths));
  }
  OwnedFd inotify(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify.valid()) return SystemError("cannot open an inotify descriptor", errno);
  auto watcher =
      absl::WrapUnique(new FileWatcher(loop, std::move(inotify), std::move(on_change), options));
  const absl::Status readable = loop.Watch(watcher->inotify_.get(), *watcher);
  if (!readable.ok()) return readable;
  loop.Await(watcher->inotify_.get(), EPOLLIN);
  for (const std::string& path : paths) {
    absl::StatusOr<std::string> absolute = Absolute(path);
    if (!absolute.ok()) return absolute.status();
    watcher->files_.push_back({path, *std::move(absolute), std::nullopt});
  }
  if (const absl::Status watched = watcher->WatchPaths(); !watched.ok()) return watched;
  for (File& file : watcher->files_) file.seen = Identify(file.absolute);
  return watcher;
}

FileWatcher::FileWatcher(FdLoop& loop, OwnedFd inotify, Callback on_change,
                         const FileWatcherOptions& options)
    : loop_(loop),
      inotify_(std::move(inotify)),
      options_(options),
      on_change_(std::move(on_change)) {}

FileWatcher::~FileWatcher() {
  if (destroyed_ != nullptr) *destroyed_ = true;
  loop_.Unwatch(inotify_.get());
}

std::optional<FileWatcher::Identity> FileWatcher::Identify(const std::string& path) {
  struct stat file;
  if (stat(path.c_str(), &file) != 0) return std::nullopt;
  return Identity(file.st_dev, file.st_ino, file.st_size, Nanoseconds(file.st_mtim),
                  Nanoseconds(file.st_ctim));
}

absl::Status FileWatcher::WatchPaths() {
  // A path may change between its trace and the watches on its directories. The trace is repeated
  // until a round finds the same directories as the last one.
  absl::Status status;
  std::map<int, std::set<std::string>> watched;
  for (int round = 0; round < kMaxRounds; ++round) {
    std::map<int, std::set<std::string>> again;
    status = WatchPathsOnce(&again);
    const bool same = again == watched;
    for (const auto& [watch, names] : watched) {
      if (again.count(watch) == 0 && watched_.count(watch) == 0) {
        inotify_rm_watch(inotify_.get(), watch);
      }
    }
    watched = std::move(again);
    if (same && status.ok()) break;
  }
  for (const auto& [watch, names] : watched_) {
    if (watched.count(watch) == 0) inotify_rm_watch(inotify_.get(), watch);
  }
  watched_ = std::move(watched);
  return status;
}

absl::Status FileWatcher::WatchPathsOnce(std::map<int, std::set<std::string>>* watched) {
  absl::Status status;
  for (File& file : files_) {
    const std::vector<PathEntry> entries = TracePath(file.absolute);
    if (entries.empty()) status.Update(CannotWatch(file.path, EISDIR));
    for (const PathEntry& entry : entries) {
      const int watch = inotify_add_watch(inotify_.get(), entry.directory.c_str(), kMask);
      if (watch < 0) {
        status.Update(CannotWatch(file.path, errno));
      } else {
        (*watched)[watch].insert(entry.name);
      }
    }
    status.Update(WatchFolder(file, watched));
  }
  return status;
}

absl::Status FileWatcher::WatchFolder(File& file, std::map<int, std::set<std::string>>* watched) {
  if (file.absolute.back() != '/') return absl::OkStatus();
  file.folder_watch = inotify_add_watch(inotify_.get(), file.absolute.c_str(), kMask);
  if (file.folder_watch >= 0) {
    (*watched)[file.folder_watch];
    return absl::OkStatus();
  }
  // If the directory does not exist yet, its parent is watched.
  return errno == ENOENT || errno == ENOTDIR ? absl::OkStatus() : CannotWatch(file.path, errno);
}

void FileWatcher::OnFdReady(uint32_t /*events*/) {
  if (TakeEvents()) OnEvent();
}

bool FileWatcher::TakeEvents() {
  bool matters = false;
  alignas(inotify_event) std::array<char, 16 * 1024> block;
  for (int reads = 0; reads < kMaxReadsPerTurn; ++reads) {
    const ssize_t bytes = read(inotify_.get(), block.data(), block.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) {
      loop_.Await(inotify_.get(), EPOLLIN);
      return matters;
    }
    for (const char* at = block.data(); at < block.data() + bytes;) {
      inotify_event event;
      std::memcpy(&event, at, sizeof event);
      const char* name = at + sizeof event;
      at = name + event.len;
      if (event.mask & IN_Q_OVERFLOW) {
        TouchFolders(-1);
        matters = true;
      }
      const auto watch = watched_.find(event.wd);
      if (watch == watched_.end()) continue;
      if (event.mask & kOfDirectory) matters = true;
      if (event.len > 0 && watch->second.count(name) > 0) matters = true;
      if (event.len > 0 && TouchFolders(event.wd)) matters = true;
      if (event.mask & IN_IGNORED) watched_.erase(watch);
    }
  }
  // Other files in the directories may change constantly, and other calls of the loop must run.
  more_events_ = loop_.RunAfter(absl::ZeroDuration(), [this] { OnFdReady(0); });
  return matters;
}

// Marks the directories of `watch`, or of any watch, as changed; returns false if there are none.
bool FileWatcher::TouchFolders(int watch) {
  bool any = false;
  for (File& file : files_) {
    if (file.folder_watch < 0 || (watch >= 0 && file.folder_watch != watch)) continue;
    file.touched = any = true;
  }
  return any;
}

void FileWatcher::OnEvent() {
  const MonotonicTime now = loop_.MonotonicNow();
  if (settled_ == nullptr) first_event_ = now;
  const absl::Duration left = first_event_ + kLongestChange * options_.settle_time - now;
  settled_ = loop_.RunAfter(std::min(options_.settle_time, left), [this] { OnSettled(); });
}

void FileWatcher::OnSettled() {
  WatchAgain();
  ReportChanges();
}

void FileWatcher::WatchAgain() {
  settled_.reset();
  if (WatchPaths().ok()) return;
  ++failures_;
  first_event_ = loop_.MonotonicNow();
  settled_ = loop_.RunAfter(kRetryDelay, [this] { OnSettled(); });
}

void FileWatcher::MarkSeen() {
  TakeEvents();
  WatchAgain();
  for (File& file : files_) {
    file.seen = Identify(file.absolute);
    file.touched = false;
  }
}

void FileWatcher::ReportChanges() {
  std::vector<std::string> changed;
  for (File& file : files_) {
    std::optional<Identity> now = Identify(file.absolute);
    if (now == file.seen && !file.touched) continue;
    file.seen = std::move(now);
    file.touched = false;
    changed.push_back(file.path);
  }
  if (changed.empty()) return;
  bool destroyed = false;
  destroyed_ = &destroyed;
  // On the stack, because the call may destroy the watcher.
  Callback on_change = std::move(on_change_);
  on_change(changed);
  if (destroyed) return;
  destroyed_ = nullptr;
  on_change_ = std::move(on_change);
}

}  // namespace trestle
