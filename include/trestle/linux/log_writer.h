// LogWriter: writes log lines on its own thread. A logging thread never waits for a disk, or for a
// reader that has stopped reading. For programs; the library itself writes no log.
#ifndef TRESTLE_LINUX_LOG_WRITER_H_
#define TRESTLE_LINUX_LOG_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {

/// Options of a LogWriter.
struct LogWriterOptions {
  /// Maximum bytes of pending lines. When full, lines are dropped until half of the space is free.
  size_t max_queued_bytes = 1 << 20;
  /// Longer lines are truncated, and end in "…(N bytes)". At most `max_queued_bytes`.
  size_t max_line_bytes = 64 << 10;
  /// How long the destructor waits for pending lines.
  absl::Duration end_limit = absl::Seconds(1);
  /// Creates the line that replaces `lost` missing lines in the log. Called on the writer's thread.
  /// Null: no line.
  absl::AnyInvocable<std::string(uint64_t lost) const> loss_line;
};

/// Thread-safe. Lines of several threads never mix. In a pipe, lines of at most 4 KiB do not mix
/// with those of other processes either.
class LogWriter final {
 public:
  /// Starts writing to `fd`: a file, pipe, socket or terminal, blocking or not. Fails with
  /// ErrorCode::kConfiguration if an option is out of range, or with kTransport if the system has
  /// no more threads or descriptors.
  static absl::StatusOr<std::unique_ptr<LogWriter>> Start(OwnedFd fd,
                                                          LogWriterOptions options = {});

  /// Writes pending lines, for at most `end_limit`.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  /// Queues `line`, given without its line feed. Never waits for the file. A line that cannot be
  /// written completely is lost; the next one begins on a new line.
  void Write(absl::string_view line);

  /// Waits until all lines are written or lost. Returns false if that takes longer than `limit`.
  bool Flush(absl::Duration limit);

  /// Writes to `fd` from now on, for log rotation. Pending lines may go to either file.
  void Replace(OwnedFd fd);

  /// Returns the number of lines that were dropped or could not be written.
  uint64_t lines_lost() const;

 private:
  class Lines;
  struct Shared;
  struct Parts;

  explicit LogWriter(std::unique_ptr<Parts> parts);

  const std::unique_ptr<Parts> parts_;
};

}  // namespace trestle

#endif  // TRESTLE_LINUX_LOG_WRITER_H_
