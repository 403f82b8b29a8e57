#include "trestle/linux/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "lib/linux/system_error.h"
#include "trestle/base/error.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {
namespace {

absl::Status CannotRead(const std::string& path, absl::string_view why) {
  return ConfigurationError(absl::StrCat("cannot read ", path, ": ", why));
}

absl::Status CannotRead(const std::string& path, int error) {
  return MakeError(CanPass(error) ? ErrorCode::kTransport : ErrorCode::kConfiguration,
                   Phase::kSetUp, absl::StrCat("cannot read ", path, ": ", ErrnoText(error)));
}

// Opens a file without blocking: a FIFO without a writer or a device could block a plain open.
absl::StatusOr<OwnedFd> OpenRegularFile(const std::string& path) {
  OwnedFd fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd.valid()) return CannotRead(path, errno);
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return CannotRead(path, errno);
  if (S_ISDIR(info.st_mode)) return CannotRead(path, EISDIR);
  if (!S_ISREG(info.st_mode)) return CannotRead(path, "it is not a regular file");
  return fd;
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  const absl::StatusOr<OwnedFd> fd = OpenRegularFile(path);
  if (!fd.ok()) return fd.status();
  const std::string too_large = absl::StrCat("it is larger than ", max_bytes, " bytes");
  struct stat info;
  if (fstat(fd->get(), &info) == 0 && static_cast<uint64_t>(info.st_size) > max_bytes) {
    return CannotRead(path, too_large);
  }
  std::string text;
  std::array<char, 16 * 1024> block;
  while (true) {
    const ssize_t bytes = read(fd->get(), block.data(), block.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return CannotRead(path, errno);
    if (bytes == 0) return text;
    text.append(block.data(), static_cast<size_t>(bytes));
    if (text.size() > max_bytes) return CannotRead(path, too_large);
  }
}

absl::StatusOr<std::vector<std::string>> ListFolder(const std::string& path, size_t max_names) {
  DIR* const folder = opendir(path.c_str());
  if (folder == nullptr) return CannotRead(path, errno);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    if (names.size() > max_names) break;
  }
  const int error = errno;
  closedir(folder);
  if (names.size() > max_names) {
    return CannotRead(path, absl::StrCat("there are more than ", max_names, " files in it"));
  }
  if (error != 0) return CannotRead(path, error);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace trestle
