// The command line that the example proxies share: flags, --help, and how they fail: with one
// sentence on standard error and exit status 1.
#ifndef TRESTLE_EXAMPLES_PROXY_FLAGS_H_
#define TRESTLE_EXAMPLES_PROXY_FLAGS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "examples/proxy_host.h"
#include "trestle/base/endpoint.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle::examples {

/// Reads the flags; anything else on the command line is an error. `--help` prints `usage`, all
/// flags of the program and their defaults, and exits with status 0.
void ParseCommandLine(int argc, char** argv, absl::string_view usage);

/// What the shared flags say: --listen, --join, --threads, --drain_timeout, --log_connections.
absl::StatusOr<ProxyHostOptions> HostOptionsFromFlags();

/// What the shared flags say: --hello_timeout, --handshake_timeout, --idle_timeout,
/// --proxy_protocol, --max_connections, --max_full_handshakes, --max_handshakes_per_second,
/// --max_handshakes_per_second_per_client.
absl::StatusOr<ConnectionOptions> ConnectionOptionsFromFlags();

/// Reads an IP:PORT; `flag` is named if that fails.
absl::StatusOr<Endpoint> EndpointFromFlag(absl::string_view flag, absl::string_view value);

/// Returns `value`; an empty one is an error.
absl::StatusOr<std::string> RequiredFlag(absl::string_view flag, std::string value);

/// An error about a flag: "--client_auth has …".
absl::Status FlagError(absl::string_view flag, absl::string_view what);

/// Says what is wrong in one sentence, without the codes that are meant for programs.
std::string Sentence(const absl::Status& status);

/// Ends the program with `status` as one sentence on standard error, unless it is OK.
void OrExit(const absl::Status& status);

template <typename T>
T OrExit(absl::StatusOr<T> result) {
  OrExit(result.status());
  return *std::move(result);
}

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_PROXY_FLAGS_H_
