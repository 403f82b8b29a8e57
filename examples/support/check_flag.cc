#include "examples/support/check_flag.h"

#include "absl/flags/flag.h"

ABSL_FLAG(
    bool, check, false,
    "loads all files, prints what the proxy would serve, and ends: opens no port, connects to "
    "nothing, writes no file; asks DNS about names of backends. Exit status 0: good; 1: bad, the "
    "proxy or its clients would fail; 2: good, with warnings");

namespace trestle::examples {

bool CheckOnly() { return absl::GetFlag(FLAGS_check); }

}  // namespace trestle::examples
