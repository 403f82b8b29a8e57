// What --help and --version print: flags in groups by subject, aligned, in 100 columns.
#ifndef TRESTLE_EXAMPLES_SUPPORT_HELP_TEXT_H_
#define TRESTLE_EXAMPLES_SUPPORT_HELP_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace trestle::examples {

struct FlagHelp {
  std::string name;           ///< Without "--".
  std::string text;           ///< What it does, in words.
  std::string default_value;  ///< Empty: none to tell.
};

/// Writes a title and a paragraph for each flag, aligned.
std::string FlagGroupText(absl::string_view title, const std::vector<FlagHelp>& flags);

/// Writes `usage` and all Abseil flags of this program that are defined below examples/ and bench/,
/// grouped by subject.
std::string HelpText(absl::string_view usage);

/// Writes the versions of Trestle and BoringSSL, and how `program` was built.
std::string VersionText(absl::string_view program);

/// Prints what is asked for and exits with status 0, where --help (-h) or --version is among the
/// arguments.
void AnswerHelpAndVersion(int argc, char** argv, absl::string_view usage);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_HELP_TEXT_H_
