// The flag --check: the program checks its configuration, and ends.
#ifndef TRESTLE_EXAMPLES_SUPPORT_CHECK_FLAG_H_
#define TRESTLE_EXAMPLES_SUPPORT_CHECK_FLAG_H_

namespace trestle::examples {

/// Returns whether --check is set. The program then reads its files and resolves the names of its
/// backends, but opens no port, connects to nothing, and writes no file.
bool CheckOnly();

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_CHECK_FLAG_H_
