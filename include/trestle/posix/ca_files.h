// CA certificates from a file, a folder or the system's own place, and revocation lists, as the PEM
// text that ClientTlsOptions and TrustStore take.
#ifndef TRESTLE_POSIX_CA_FILES_H_
#define TRESTLE_POSIX_CA_FILES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace trestle {

/// The limit for all CA certificates of one path, and for all revocation lists of one file. All
/// public CAs together take 200 KB; some publish lists of tens of megabytes.
inline constexpr size_t kMaxTrustBytes = 256 << 20;

/// Reads the CA certificates at `path`: of a file, all of it; of a folder, all of its files that
/// end in .pem, .crt or .cer, and those that OpenSSL's rehash names ("4a6481c9.0"), what is there
/// under several names once; folders in it are passed over. Blocks, so it is for set-up. Fails with
/// ErrorCode::kConfiguration, naming the path, when anything can't be read, a folder has no such
/// file, or it all is more than `kMaxTrustBytes`.
absl::StatusOr<std::string> ReadCaCertificates(const std::string& path);

/// Reads the revocation lists in the file `path`. Fails with ErrorCode::kConfiguration, naming the
/// path, when it can't be read, is empty (which would switch revocation off), or has more than
/// `kMaxTrustBytes`.
absl::StatusOr<std::string> ReadRevocationLists(const std::string& path);

/// Lists the files that `ReadCaCertificates` reads for `path`, to tell which of them is at fault.
absl::StatusOr<std::vector<std::string>> ListCaFiles(const std::string& path);

/// Finds where this system keeps the CAs that its administrator trusts: the bundle of Debian,
/// Fedora, SUSE, Alpine or the BSDs. Fails when there is none.
absl::StatusOr<std::string> FindSystemCas();

}  // namespace trestle

#endif  // TRESTLE_POSIX_CA_FILES_H_
