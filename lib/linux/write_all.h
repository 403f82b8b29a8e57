// Writes that wait for the reader but can be cancelled. Private to the linux edge.
#ifndef TRESTLE_LIB_LINUX_WRITE_ALL_H_
#define TRESTLE_LIB_LINUX_WRITE_ALL_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace trestle {

/// Writes all of `bytes`, across short writes and EINTR, and waits while `fd` accepts none. Returns
/// 0 or an errno value, and the number of written bytes in `*written`. Fails with ECANCELED once
/// `give_up` is readable; -1: never.
int WriteAll(int fd, absl::string_view bytes, int give_up, size_t* written);

}  // namespace trestle

#endif  // TRESTLE_LIB_LINUX_WRITE_ALL_H_
