// The files of ech_tool: the pairs of EchKeys, each after a line with its date.
#ifndef TRESTLE_EXAMPLES_ECH_TOOL_KEY_FILE_H_
#define TRESTLE_EXAMPLES_ECH_TOOL_KEY_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "trestle/tls/ech_pairs.h"

namespace trestle::examples {

struct FilePair {
  EchPairInfo info;
  std::string made;  ///< "2026-11-26T14:30:00Z"; empty if the file doesn't say.
};

/// Reads the pairs of the file `path`.
absl::StatusOr<std::vector<FilePair>> ReadPairs(const std::string& path);

/// Reads the pairs of `pem`, the text of a file.
absl::StatusOr<std::vector<FilePair>> ParsePairs(absl::string_view pem);

/// Makes a pair and writes it to the new file `path`, which only this user can read. Fails if the
/// file exists.
absl::Status WriteNewPair(const std::string& path, const EchPairOptions& options, absl::Time now);

/// Returns whether a config of `pairs` has this id.
bool HasConfigId(absl::Span<const FilePair> pairs, uint8_t config_id);

/// Describes the pairs in readable text, with a paragraph for each config.
std::string DescribePairs(absl::Span<const FilePair> pairs);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_ECH_TOOL_KEY_FILE_H_
