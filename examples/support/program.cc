#include "examples/support/program.h"

#include <errno.h>

#include <cstdlib>
#include <optional>
#include <vector>

#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "examples/support/help_text.h"
#include "examples/support/log.h"
#include "trestle/base/error.h"

namespace trestle::examples {

namespace {

// Returns the arguments other than flags, without the program's own name.
std::vector<std::string> ParseFlags(int argc, char** argv, absl::string_view usage) {
  // Abseil's own --help leaves out the flags of other files than main's, and exits with status 1.
  AnswerHelpAndVersion(argc, argv, usage);
  absl::SetProgramUsageMessage(usage);
  const std::vector<char*> arguments = absl::ParseCommandLine(argc, argv);
  return {arguments.begin() + 1, arguments.end()};
}

void RefuseArgument(absl::string_view argument) {
  OrExit(absl::InvalidArgumentError(
      absl::StrCat("\"", argument, "\" is no flag; see --help for what there is")));
}

}  // namespace

void ParseCommandLine(int argc, char** argv, absl::string_view usage) {
  const std::vector<std::string> arguments = ParseFlags(argc, argv, usage);
  if (!arguments.empty()) RefuseArgument(arguments.front());
}

std::string ParseCommand(int argc, char** argv, absl::string_view usage) {
  const std::vector<std::string> arguments = ParseFlags(argc, argv, usage);
  if (arguments.size() > 1) RefuseArgument(arguments[1]);
  return arguments.empty() ? "" : arguments.front();
}

absl::StatusOr<Endpoint> EndpointFromFlag(absl::string_view flag, absl::string_view value) {
  if (value.empty()) return FlagError(flag, "is required, as IP:PORT or unix:PATH");
  absl::StatusOr<Endpoint> endpoint = Endpoint::Parse(value);
  if (endpoint.ok()) return endpoint;
  return FlagError(flag, absl::StrCat("is wrong: ", Sentence(endpoint.status())));
}

absl::StatusOr<Endpoint> ServerFromFlag(absl::string_view flag, absl::string_view value) {
  absl::StatusOr<Endpoint> endpoint = EndpointFromFlag(flag, value);
  if (!endpoint.ok()) return endpoint;
  const absl::Status dialable = endpoint->CheckDialable();
  if (dialable.ok()) return endpoint;
  return FlagError(flag, absl::StrCat("is wrong: ", Sentence(dialable)));
}

absl::StatusOr<std::string> RequiredFlag(absl::string_view flag, std::string value) {
  if (value.empty()) return FlagError(flag, "is required and must not be empty");
  return value;
}

absl::Status FlagError(absl::string_view flag, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, " ", what));
}

absl::Status CannotUse(absl::string_view what, const absl::Status& why) {
  if (MayPassByItself(why)) return why;
  return absl::InvalidArgumentError(absl::StrCat("cannot use ", what, ": ", Sentence(why)));
}

std::string Sentence(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  return error.has_value() ? error->detail : std::string(status.message());
}

bool MayPassByItself(const absl::Status& status) {
  const std::optional<Error> error = GetError(status);
  return error.has_value() && error->code == ErrorCode::kTransport;
}

void OrExit(const absl::Status& status) {
  if (status.ok()) return;
  LogLine(absl::StrCat(program_invocation_short_name, ": ", Sentence(status)));
  std::exit(EXIT_FAILURE);
}

}  // namespace trestle::examples
