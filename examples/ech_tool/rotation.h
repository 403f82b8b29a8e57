// Advice for operators of ECH keys: whether a published record matches the keys, and the steps of a
// rotation with their times.
#ifndef TRESTLE_EXAMPLES_ECH_TOOL_ROTATION_H_
#define TRESTLE_EXAMPLES_ECH_TOOL_ROTATION_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "examples/ech_tool/https_record.h"
#include "examples/ech_tool/key_file.h"

namespace trestle::examples {

struct RecordJudgement {
  bool good = false;     ///< The record publishes the configs of the first pair, and no other.
  std::string sentence;  ///< The result, and what to do.
};

/// Compares a published record with the pairs of a file.
RecordJudgement JudgeRecord(const PublishedRecord& record, absl::Span<const FilePair> pairs);

struct RotationOptions {
  std::string file;          ///< Path of the key file, for the commands.
  absl::Time start;          ///< Time of the first step.
  absl::Duration deploy;     ///< Time until all servers have loaded a changed file.
  uint32_t ttl_seconds = 0;  ///< Of the record.
};

/// Returns the steps of a rotation, each with its time and commands. A file with one pair starts a
/// rotation; with more pairs, the rotation has begun, and the result describes its end.
std::string PlanRotation(absl::Span<const FilePair> pairs, const RotationOptions& options);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_ECH_TOOL_ROTATION_H_
