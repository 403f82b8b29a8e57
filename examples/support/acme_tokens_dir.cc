#include "examples/support/acme_tokens_dir.h"

#include <errno.h>
#include <sys/stat.h>

#include <string>
#include <system_error>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "trestle/linux/file.h"

ABSL_FLAG(std::string, acme_tokens_dir, "",
          "directory for tls-alpn-01 challenges of an ACME client: one file per server name or IP "
          "address, with that name. It holds the key authorization (token.thumbprint, or its "
          "SHA-256 in base64url) until the ACME server has checked it");

namespace trestle::examples {
namespace {

// A token, a thumbprint, and room for white space.
constexpr size_t kMaxTokenFileBytes = 4096;

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  struct stat ignored;
  if (stat(path.c_str(), &ignored) != 0 && errno == ENOENT) return std::string();
  return ReadFile(path, kMaxTokenFileBytes);
}

}  // namespace

absl::StatusOr<std::shared_ptr<AcmeTokens>> AcmeTokensFromFlags() {
  const std::string folder = absl::GetFlag(FLAGS_acme_tokens_dir);
  if (folder.empty()) return nullptr;
  struct stat found = {};
  const int error = stat(folder.c_str(), &found) != 0 ? errno
                    : S_ISDIR(found.st_mode)          ? 0
                                                      : ENOTDIR;
  if (error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--acme_tokens_dir=", folder, ": ", std::generic_category().message(error)));
  }
  return std::make_shared<AcmeTokens>([folder](const std::string& identifier) {
    return ReadToken(absl::StrCat(folder, "/", identifier));
  });
}

}  // namespace trestle::examples
