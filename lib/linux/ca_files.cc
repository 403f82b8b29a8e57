#include "trestle/linux/ca_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/linux/system_error.h"
#include "trestle/base/error.h"
#include "trestle/linux/file.h"

namespace trestle {
namespace {

constexpr size_t kHashDigits = 8;

constexpr const char* kSystemBundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",                 // Debian
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  // Fedora
    "/etc/ssl/ca-bundle.pem",                             // SUSE
    "/etc/ssl/cert.pem",                                  // Alpine, BSDs
};

absl::Status Unusable(const std::string& path, absl::string_view why) {
  return ConfigurationError(absl::StrCat(path, " ", why));
}

bool IsHashName(absl::string_view name) {
  const size_t dot = name.find('.');
  return dot == kHashDigits && dot + 1 < name.size() &&
         absl::c_all_of(name.substr(0, dot), absl::ascii_isxdigit) &&
         absl::c_all_of(name.substr(dot + 1), absl::ascii_isdigit);
}

bool HoldsCertificates(absl::string_view name) {
  return absl::EndsWith(name, ".pem") || absl::EndsWith(name, ".crt") ||
         absl::EndsWith(name, ".cer") || IsHashName(name);
}

bool IsFolder(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

absl::StatusOr<std::vector<std::string>> ListFiles(const std::string& folder) {
  const absl::StatusOr<std::vector<std::string>> names = ListFolder(folder);
  if (!names.ok()) return names.status();
  std::vector<std::string> files;
  for (const std::string& name : *names) {
    std::string path = absl::StrCat(folder, "/", name);
    if (HoldsCertificates(name) && !IsFolder(path)) files.push_back(std::move(path));
  }
  if (files.empty()) return Unusable(folder, "has no file that ends in .pem, .crt or .cer");
  return files;
}

absl::StatusOr<std::string> ReadFolder(const std::string& folder) {
  const absl::StatusOr<std::vector<std::string>> files = ListFiles(folder);
  if (!files.ok()) return files.status();
  std::string text;
  std::set<std::string> seen;
  for (const std::string& path : *files) {
    const size_t room = kMaxTrustBytes - std::min(text.size(), kMaxTrustBytes);
    absl::StatusOr<std::string> file = ReadFile(path, room);
    if (!file.ok()) return file.status();
    if (!seen.insert(*file).second) continue;
    absl::StrAppend(&text, *file, "\n");
  }
  return text;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ListCaFiles(const std::string& path) {
  if (IsFolder(path)) return ListFiles(path);
  return std::vector<std::string>{path};
}

absl::StatusOr<std::string> ReadCaCertificates(const std::string& path) {
  return IsFolder(path) ? ReadFolder(path) : ReadFile(path, kMaxTrustBytes);
}

absl::StatusOr<std::string> ReadRevocationLists(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, kMaxTrustBytes);
  if (text.ok() && text->empty()) return Unusable(path, "is empty: it must hold revocation lists");
  return text;
}

absl::StatusOr<std::string> FindSystemCas() {
  for (const char* bundle : kSystemBundles) {
    if (access(bundle, R_OK) == 0) return std::string(bundle);
  }
  return Unusable(kSystemBundles[0],
                  "does not exist, nor does any other bundle of the system's CAs: install "
                  "ca-certificates, or name a file");
}

}  // namespace trestle
