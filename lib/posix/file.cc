#include "trestle/posix/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "lib/posix/system_error.h"
#include "trestle/posix/owned_fd.h"

namespace trestle {
namespace {

absl::Status CannotRead(const std::string& path, absl::string_view why) {
  return EdgeError(ErrorCode::kConfiguration, Phase::kSetUp,
                   absl::StrCat("cannot read ", path, ": ", why));
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  const OwnedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return CannotRead(path, ErrnoText(errno));
  std::string text;
  std::array<char, 16 * 1024> block;
  while (true) {
    const ssize_t bytes = read(fd.get(), block.data(), block.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return CannotRead(path, ErrnoText(errno));
    if (bytes == 0) return text;
    text.append(block.data(), static_cast<size_t>(bytes));
    if (text.size() > max_bytes) {
      return CannotRead(path, absl::StrCat("it is larger than ", max_bytes, " bytes"));
    }
  }
}

}  // namespace trestle
