// Writes the output of --help and --version: flags grouped by subject, aligned, in 100 columns.
#ifndef TRESTLE_EXAMPLES_SUPPORT_HELP_TEXT_H_
#define TRESTLE_EXAMPLES_SUPPORT_HELP_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace trestle::examples {

struct FlagHelp {
  std::string name;           ///< Without "--".
  std::string text;           ///< Description.
  std::string default_value;  ///< Empty: not shown.
};

/// Returns a title and a paragraph for each flag, aligned.
std::string FlagGroupText(absl::string_view title, const std::vector<FlagHelp>& flags);

/// Returns `usage` and all Abseil flags of this program that are defined below examples/ and
/// bench/, grouped by subject.
std::string HelpText(absl::string_view usage);

/// Returns the versions of Trestle and BoringSSL, and the build settings of `program`.
std::string VersionText(absl::string_view program);

/// Handles --help (-h) and --version: if one is in the arguments, prints its output and exits with
/// status 0.
void AnswerHelpAndVersion(int argc, char** argv, absl::string_view usage);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_HELP_TEXT_H_
