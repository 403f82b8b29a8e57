// Finds the directory entries that determine the file of a path. Private to the linux edge.
#ifndef TRESTLE_LIB_LINUX_PATH_TRACE_H_
#define TRESTLE_LIB_LINUX_PATH_TRACE_H_

#include <string>
#include <vector>

namespace trestle {

/// One entry of a directory. `directory` is free of symlinks and existed when it was traced.
struct PathEntry {
  std::string directory;
  std::string name;
};

inline bool operator==(const PathEntry& a, const PathEntry& b) {
  return a.directory == b.directory && a.name == b.name;
}

/// Follows the absolute `path`. Returns the entry of each symlink on it, and last that of the file
/// itself or of the first missing part. Follows at most 40 symlinks, like Linux, and stops at the
/// last of them. Empty for the root directory.
std::vector<PathEntry> TracePath(const std::string& path);

}  // namespace trestle

#endif  // TRESTLE_LIB_LINUX_PATH_TRACE_H_
