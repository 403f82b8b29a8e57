// Files that hold secrets or the traffic of others: logs of keys, requests and clear text. Only
// this process's user may read them.
#ifndef TRESTLE_POSIX_PRIVATE_FILE_H_
#define TRESTLE_POSIX_PRIVATE_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "trestle/posix/owned_fd.h"

namespace trestle {

/// Opens the file `path` for appending, and creates it with mode 0600 where there is none. Fails
/// with ErrorCode::kConfiguration, naming the path: where it is a symlink or no regular file, where
/// an existing file belongs to another user, has further hard links or lets others in by its mode,
/// and where it can't be opened.
absl::StatusOr<OwnedFd> OpenPrivateFile(const std::string& path);

/// Creates the file `path` with mode 0600. Also fails where anything is there already.
absl::StatusOr<OwnedFd> CreatePrivateFile(const std::string& path);

}  // namespace trestle

#endif  // TRESTLE_POSIX_PRIVATE_FILE_H_
