// Opens private files, for logs of keys, requests and clear text: only this process's user can read
// them.
#ifndef TRESTLE_LINUX_PRIVATE_FILE_H_
#define TRESTLE_LINUX_PRIVATE_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {

/// Opens the file `path` for appending, and creates it with mode 0600 if it does not exist. Fails
/// with ErrorCode::kConfiguration, naming the path, if it cannot be opened, is a symlink or is not
/// a regular file. Also fails if an existing file belongs to another user, has other hard links, or
/// has a mode that gives access to others.
absl::StatusOr<OwnedFd> OpenPrivateFile(const std::string& path);

/// Creates the file `path` with mode 0600. Also fails if `path` exists.
absl::StatusOr<OwnedFd> CreatePrivateFile(const std::string& path);

}  // namespace trestle

#endif  // TRESTLE_LINUX_PRIVATE_FILE_H_
