// The listening sockets that a service manager passes (socket activation, sd_listen_fds(3)).
#ifndef TRESTLE_EXAMPLES_SUPPORT_SERVICE_SOCKETS_H_
#define TRESTLE_EXAMPLES_SUPPORT_SERVICE_SOCKETS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "trestle/linux/owned_fd.h"

namespace trestle::examples {

/// Takes the passed sockets of a name, of which there may be several: FileDescriptorName= of a
/// .socket unit, or the unit's own name without it. Reads LISTEN_PID, LISTEN_FDS and
/// LISTEN_FDNAMES. Each socket can be taken once. Fails with a sentence that names the sockets that
/// there are.
absl::StatusOr<std::vector<OwnedFd>> TakeServiceSockets(const std::string& name);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_SERVICE_SOCKETS_H_
