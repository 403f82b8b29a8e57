// PatternBlocker: blocks a connection whose clear text contains one of several byte strings, in any
// cut into reads and records.
#ifndef TRESTLE_IO_PATTERN_BLOCKER_H_
#define TRESTLE_IO_PATTERN_BLOCKER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "trestle/io/inspector.h"

namespace trestle {

/// Options of a PatternBlocker.
struct PatternBlockerOptions {
  /// Compared byte by byte. An empty pattern, and one that doesn't fit into the relay's buffer
  /// (`RelayOptions::buffer_bytes`), never matches.
  std::vector<std::string> patterns;
  bool to_backend = true;  ///< Inspects the bytes that clients send.
  bool to_client = false;  ///< Inspects the bytes that backends send.
  /// Sent to the client before its leg is closed; empty for nothing.
  std::string last_words;
};

/// Forwards no byte of a match. Holds bytes only while they may be the beginning of one, so that it
/// does not delay other bytes.
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
