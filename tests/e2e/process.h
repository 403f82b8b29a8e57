// Process: another program, run by a test with its output captured. It never outlives its object,
// nor the test.
#ifndef TRESTLE_TESTS_E2E_PROCESS_H_
#define TRESTLE_TESTS_E2E_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "trestle/linux/owned_fd.h"

namespace trestle::e2e {

/// A build with a sanitizer. Its runtime does not start in a process with a limited address space
/// or file size.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
inline constexpr bool kSanitized =
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool kSanitized = false;
#endif

class Process {
 public:
  /// Starts `argv`; `argv[0]` is a path. Its standard input is open until `CloseInput`.
  explicit Process(const std::vector<std::string>& argv);

  /// Kills the program if it still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void WriteInput(absl::string_view text);
  void CloseInput() { input_.Reset(); }
  void Signal(int signal);

  /// What the program wrote so far.
  std::string output() const ABSL_LOCKS_EXCLUDED(mutex_);
  std::string errors() const ABSL_LOCKS_EXCLUDED(mutex_);

  /// Waits until `text` is in the output / in what was written to standard error.
  bool WaitForOutput(absl::string_view text, absl::Duration limit) ABSL_LOCKS_EXCLUDED(mutex_);
  bool WaitForErrors(absl::string_view text, absl::Duration limit) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Waits for the end of the program and of its output: its exit status, 128 + n for one that
  /// signal n ended, nothing if it still runs.
  std::optional<int> WaitForExit(absl::Duration limit);

  bool running();

  pid_t pid() const { return pid_; }

  /// Counts the descriptors that the program has open.
  int open_descriptors() const;

  /// The memory that the program has in use (its resident set).
  size_t resident_bytes() const;

 private:
  void Capture();
  bool WaitForText(std::string Process::*where, absl::string_view text, absl::Duration limit)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Reap(int wait_flags);

  pid_t pid_ = -1;
  std::optional<int> exit_status_;
  OwnedFd input_;
  OwnedFd output_pipe_;
  OwnedFd errors_pipe_;
  mutable absl::Mutex mutex_;
  std::string output_ ABSL_GUARDED_BY(mutex_);
  std::string errors_ ABSL_GUARDED_BY(mutex_);
  bool output_ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread capturer_;
};

/// Waits until `condition` holds, and tells whether it does. For what can't be waited for in any
/// other way than by looking again: states of other processes. Gives up after `limit`.
bool WaitUntil(absl::FunctionRef<bool()> condition, absl::Duration limit = absl::Seconds(30));

struct CommandResult {
  /// As `Process::WaitForExit`; -1 when the command was killed at the limit.
  int exit_status = -1;
  std::string output;
  std::string errors;
};

/// Runs a command to its end with `input` as its standard input.
CommandResult RunCommand(const std::vector<std::string>& argv, absl::Duration limit,
                         absl::string_view input = {});

/// Finds a program on PATH. Where it is missing, fails the test naming the Debian package, and
/// returns an empty path. The test must have the tag "programs".
std::string FindProgram(const std::string& name);

}  // namespace trestle::e2e

#endif  // TRESTLE_TESTS_E2E_PROCESS_H_
