// The command line of the example programs, and their failures: one sentence on standard error and
// exit status 1.
#ifndef TRESTLE_EXAMPLES_SUPPORT_PROGRAM_H_
#define TRESTLE_EXAMPLES_SUPPORT_PROGRAM_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/base/endpoint.h"

namespace trestle::examples {

/// Parses the flags; other arguments are an error. `--help` prints `usage`, all flags of the
/// program and their defaults, and exits with status 0; `--version` prints versions.
void ParseCommandLine(int argc, char** argv, absl::string_view usage);

/// The same for a program that takes a command before, between or after its flags. Returns the
/// command; empty for none. A second one is an error.
std::string ParseCommand(int argc, char** argv, absl::string_view usage);

/// Parses an IP:PORT or unix:PATH to listen on; an error names `flag`.
absl::StatusOr<Endpoint> EndpointFromFlag(absl::string_view flag, absl::string_view value);

/// The same for a server to dial: neither the address nor the port may be 0.
absl::StatusOr<Endpoint> ServerFromFlag(absl::string_view flag, absl::string_view value);

/// Returns `value`; an empty one is an error.
absl::StatusOr<std::string> RequiredFlag(absl::string_view flag, std::string value);

/// Returns an error about a flag: "--client_auth has …".
absl::Status FlagError(absl::string_view flag, absl::string_view what);

/// Returns an error that `what` (a file) cannot be used, with the reason. A failure that may pass
/// by itself stays as it is.
absl::Status CannotUse(absl::string_view what, const absl::Status& why);

/// Returns the error as one sentence, without the codes for programs.
std::string Sentence(const absl::Status& status);

/// Returns whether the failed operation may succeed later without a change, for example after
/// descriptors or memory ran out.
bool MayPassByItself(const absl::Status& status);

/// Ends the program with `status` as one sentence on standard error, unless it is OK.
void OrExit(const absl::Status& status);

template <typename T>
T OrExit(absl::StatusOr<T> result) {
  OrExit(result.status());
  return *std::move(result);
}

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_PROGRAM_H_
