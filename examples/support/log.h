// The logs of an example program: standard error, and files with secrets. No caller waits for a
// write, and SIGHUP reopens the files.
#ifndef TRESTLE_EXAMPLES_SUPPORT_LOG_H_
#define TRESTLE_EXAMPLES_SUPPORT_LOG_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/linux/log_writer.h"

namespace trestle::examples {

/// Writes a line to standard error. Thread-safe; never waits for the reader. Lines that cannot be
/// written are counted and reported in a line. At exit, pending lines are written for at most a
/// second.
void LogLine(absl::string_view text);

/// Writes "warning: " and `text`, and counts it. Thread-safe.
void LogWarning(absl::string_view text);

/// Returns the number of warnings so far.
uint64_t WarningsLogged();

/// Waits until all lines are written to standard error, for at most a second.
void FlushLog();

/// A file with continuous output that SIGHUP reopens. Registered for `ReopenFiles` and
/// `LostRecords` during its lifetime.
class WrittenFile {
 public:
  /// `name` is the label of its metric: "audit".
  explicit WrittenFile(std::string name);
  virtual ~WrittenFile();
  WrittenFile(const WrittenFile&) = delete;
  WrittenFile& operator=(const WrittenFile&) = delete;

  const std::string& name() const { return name_; }

  /// Reopens the file by its path, after it was moved away. Thread-safe.
  virtual absl::Status Reopen() = 0;

  /// Returns the number of lines or pieces of traffic that were not written. Thread-safe.
  virtual uint64_t lost() const = 0;

 private:
  const std::string name_;
};

/// A log file that holds secrets: mode 0600, no symlink (trestle/linux/private_file.h).
class SecretLog final : public WrittenFile {
 public:
  /// Opens the file `path`. `loss_line` creates the line that replaces missing lines.
  static absl::StatusOr<std::unique_ptr<SecretLog>> Open(
      std::string name, const std::string& path,
      absl::AnyInvocable<std::string(uint64_t lost) const> loss_line);

  void Write(absl::string_view line) { writer_->Write(line); }

  absl::Status Reopen() override;
  uint64_t lost() const override { return writer_->lines_lost(); }

 private:
  SecretLog(std::string name, std::string path, std::unique_ptr<LogWriter> writer);

  const std::string path_;
  const std::unique_ptr<LogWriter> writer_;
};

/// Reopens all files, and logs failures. For SIGHUP.
void ReopenFiles();

/// Returns the number of lost records of each log, by name; standard error is "stderr".
std::map<std::string, uint64_t> LostRecords();

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_LOG_H_
