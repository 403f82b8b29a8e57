// Writes that wait for whoever reads, but can be given up. Private to the posix edge.
#ifndef TRESTLE_LIB_POSIX_WRITE_ALL_H_
#define TRESTLE_LIB_POSIX_WRITE_ALL_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace trestle {

/// Writes all of `bytes`, over short writes and EINTR, and waits where `fd` takes none now. Returns
/// 0 or an errno value, and in `*written` how many bytes were written. Gives up with ECANCELED once
/// `give_up` is readable; -1: never.
int WriteAll(int fd, absl::string_view bytes, int give_up, size_t* written);

}  // namespace trestle

#endif  // TRESTLE_LIB_POSIX_WRITE_ALL_H_
