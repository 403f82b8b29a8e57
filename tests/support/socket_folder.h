// SocketFolder: a folder for the Unix-domain sockets of a test. The test's own folder has a path
// that may not fit in a socket's address.
#ifndef TRESTLE_TESTS_SUPPORT_SOCKET_FOLDER_H_
#define TRESTLE_TESTS_SUPPORT_SOCKET_FOLDER_H_

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace trestle {

/// Makes an empty folder, and removes it with its content at the end.
class SocketFolder {
 public:
  SocketFolder() {
    char name[] = "/tmp/trestle-XXXXXX";
    PCHECK(mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~SocketFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  SocketFolder(const SocketFolder&) = delete;
  SocketFolder& operator=(const SocketFolder&) = delete;

  const std::string& path() const { return path_; }

  /// Returns the path of `name` in the folder.
  std::string PathOf(absl::string_view name) const { return absl::StrCat(path_, "/", name); }

 private:
  std::string path_;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_SUPPORT_SOCKET_FOLDER_H_
