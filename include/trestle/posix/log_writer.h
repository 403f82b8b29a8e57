// LogWriter: writes the lines of a log on a thread of its own, so that nobody who logs ever waits
// for a disk, or for a reader that has stopped to read. For programs; the library writes no log.
#ifndef TRESTLE_POSIX_LOG_WRITER_H_
#define TRESTLE_POSIX_LOG_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/posix/owned_fd.h"

namespace trestle {

struct LogWriterOptions {
  /// Bytes of lines that may wait. Lines without room are dropped, until half of the room is free.
  size_t max_queued_bytes = 1 << 20;
  /// Longer lines are cut, and end in "…(N bytes)". At most `max_queued_bytes`.
  size_t max_line_bytes = 64 << 10;
  /// How long the destructor waits for lines to be written.
  absl::Duration end_limit = absl::Seconds(1);
  /// Makes the line that stands in the log where `lost` lines are missing. Called on the writer's
  /// thread. Null: nothing is written there.
  absl::AnyInvocable<std::string(uint64_t lost) const> loss_line;
};

/// Thread-safe. Lines of several threads never mix; lines of at most 4 KiB don't mix with those of
/// other processes in a pipe either.
class LogWriter final {
 public:
  /// Starts to write to `fd`: a file, pipe, socket or terminal, blocking or not. Fails with
  /// ErrorCode::kConfiguration where an option is out of range, with kTransport where the system
  /// has no more threads or descriptors.
  static absl::StatusOr<std::unique_ptr<LogWriter>> Start(OwnedFd fd,
                                                          LogWriterOptions options = {});

  /// Writes what waits, for at most `end_limit`.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  /// Adds `line`, without its line feed. Never waits for the file. A line that can't be written
  /// whole is lost: the next one begins on a line of its own.
  void Write(absl::string_view line);

  /// Waits until all lines are written or lost; false where that takes longer than `limit`.
  bool Flush(absl::Duration limit);

  /// Writes to `fd` from now on, as after a rotation. Lines that wait may go to either file.
  void Replace(OwnedFd fd);

  /// Counts the lines that found no room or couldn't be written.
  uint64_t lines_lost() const;

 private:
  class Lines;
  struct Shared;
  struct Parts;

  explicit LogWriter(std::unique_ptr<Parts> parts);

  const std::unique_ptr<Parts> parts_;
};

}  // namespace trestle

#endif  // TRESTLE_POSIX_LOG_WRITER_H_
