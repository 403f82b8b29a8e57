// Reading configuration files and folders: certificates, keys, route lists.
#ifndef TRESTLE_POSIX_FILE_H_
#define TRESTLE_POSIX_FILE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace trestle {

/// Reads the whole of the file (or pipe) `path`, at most `max_bytes` bytes. Blocks, so it is for
/// set-up and for other threads than a loop's. Fails with ErrorCode::kConfiguration and a sentence
/// that names the path and the reason: "cannot read /x.pem: No such file or directory".
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes = 1 << 20);

/// Lists the names in the folder `path`, sorted, without those that begin with a dot; at most
/// `max_names`. Fails like `ReadFile`.
absl::StatusOr<std::vector<std::string>> ListFolder(const std::string& path,
                                                    size_t max_names = 1 << 20);

}  // namespace trestle

#endif  // TRESTLE_POSIX_FILE_H_
