// Reading configuration files: certificates, keys, route lists.
#ifndef TRESTLE_POSIX_FILE_H_
#define TRESTLE_POSIX_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace trestle {

/// Reads the whole of the file (or pipe) `path`, at most `max_bytes` bytes. Blocks, so it is for
/// set-up and for other threads than a loop's. Fails with ErrorCode::kConfiguration and a sentence
/// that names the path and the reason: "cannot read /x.pem: No such file or directory".
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes = 1 << 20);

}  // namespace trestle

#endif  // TRESTLE_POSIX_FILE_H_
