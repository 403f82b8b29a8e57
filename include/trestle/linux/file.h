// Reads configuration files and directories: certificates, keys, route lists.
#ifndef TRESTLE_LINUX_FILE_H_
#define TRESTLE_LINUX_FILE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace trestle {

/// Reads the whole regular file `path`, at most `max_bytes` bytes. Blocks for the disk, so use it
/// for set-up or on a thread without a loop. Refuses FIFOs and devices, and never waits for one.
/// Fails with ErrorCode::kConfiguration and a sentence with the path and the reason: "cannot read
/// /x.pem: No such file or directory". Fails with kTransport where a retry can succeed, for example
/// when the system has no more descriptors or memory.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes = 1 << 20);

/// Lists the names in the directory `path`, sorted, without those that begin with a dot; at most
/// `max_names`. Blocks. Fails like `ReadFile`.
absl::StatusOr<std::vector<std::string>> ListFolder(const std::string& path,
                                                    size_t max_names = 1 << 20);

}  // namespace trestle

#endif  // TRESTLE_LINUX_FILE_H_
