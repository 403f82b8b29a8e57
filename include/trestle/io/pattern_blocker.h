// PatternBlocker: blocks a connection whose clear text contains one of some byte strings, however
// they are cut into reads and records.
#ifndef TRESTLE_IO_PATTERN_BLOCKER_H_
#define TRESTLE_IO_PATTERN_BLOCKER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "trestle/io/inspector.h"

namespace trestle {

struct PatternBlockerOptions {
  /// Compared byte by byte. Empty ones are never found; those that don't fit into the relay's
  /// buffer are not, either.
  std::vector<std::string> patterns;
  bool to_backend = true;  ///< Looks at what clients send.
  bool to_client = false;  ///< Looks at what backends send.
  /// Sent to the client before its leg is closed; empty for nothing.
  std::string last_words;
};

/// Nothing of a match is let through. Bytes are held only while they may be the beginning of one,
/// so that what waits for an answer is not held up by what doesn't match.
class PatternBlocker final : public Inspector {
 public:
  /// The options may be shared by all connections.
  explicit PatternBlocker(std::shared_ptr<const PatternBlockerOptions> options)
      : options_(std::move(options)) {}

  Verdict Inspect(Direction direction, ByteView pending, bool end_of_stream) override;

 private:
  const std::shared_ptr<const PatternBlockerOptions> options_;
};

}  // namespace trestle

#endif  // TRESTLE_IO_PATTERN_BLOCKER_H_
