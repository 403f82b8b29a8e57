// Converts errno values of the system. Private to the linux edge.
#ifndef TRESTLE_LIB_LINUX_SYSTEM_ERROR_H_
#define TRESTLE_LIB_LINUX_SYSTEM_ERROR_H_

#include <cerrno>
#include <optional>
#include <string>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "trestle/base/error.h"

namespace trestle {

/// Returns the text of an errno value in the C locale: "No such file or directory".
inline std::string ErrnoText(int error) { return std::generic_category().message(error); }

/// Returns whether the system or this process temporarily ran out of a resource.
inline bool IsExhaustion(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/// Returns whether reading the file again later can succeed.
inline bool CanPass(int error) {
  return IsExhaustion(error) || error == EINTR || error == EAGAIN || error == EIO ||
         error == ESTALE || error == ETIMEDOUT || error == EBUSY;
}

/// Creates "`what`: Too many open files".
inline absl::Status SystemError(absl::string_view what, int error) {
  return MakeError(ErrorCode::kTransport, Phase::kSetUp,
                   absl::StrCat(what, ": ", ErrnoText(error)));
}

}  // namespace trestle

#endif  // TRESTLE_LIB_LINUX_SYSTEM_ERROR_H_
