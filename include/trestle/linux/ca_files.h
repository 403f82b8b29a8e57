// Reads CA certificates from a file, a directory or the system's own location, and revocation
// lists. The result is PEM text for ClientTlsOptions and TrustStore.
#ifndef TRESTLE_LINUX_CA_FILES_H_
#define TRESTLE_LINUX_CA_FILES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace trestle {

/// The size limit for all CA certificates of one path, and for the revocation lists of one file.
/// All public CAs together take 200 KB; some CAs publish lists of tens of megabytes.
inline constexpr size_t kMaxTrustBytes = 256 << 20;

/// Reads the CA certificates at `path`: a file, or a directory. In a directory it reads the files
/// that end in .pem, .crt or .cer, and those named by OpenSSL's rehash ("4a6481c9.0"). It reads a
/// file with several names once, and skips subdirectories. Blocks, so use it for set-up. Fails with
/// ErrorCode::kConfiguration, naming the path, if a file cannot be read, a directory has no such
/// file, or the total exceeds `kMaxTrustBytes`.
absl::StatusOr<std::string> ReadCaCertificates(const std::string& path);

/// Reads the revocation lists in the file `path`. Blocks. Fails with ErrorCode::kConfiguration,
/// naming the path, if the file cannot be read, is empty (which would disable revocation), or
/// exceeds `kMaxTrustBytes`.
absl::StatusOr<std::string> ReadRevocationLists(const std::string& path);

/// Lists the files that `ReadCaCertificates` reads for `path`, to find the invalid one. Fails as it
/// does.
absl::StatusOr<std::vector<std::string>> ListCaFiles(const std::string& path);

/// Returns the path of the system's trusted CAs: the bundle of Debian, Fedora, SUSE, Alpine or the
/// BSDs. Fails if there is none.
absl::StatusOr<std::string> FindSystemCas();

}  // namespace trestle

#endif  // TRESTLE_LINUX_CA_FILES_H_
