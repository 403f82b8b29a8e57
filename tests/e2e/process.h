// Process: another program that a test runs with its output captured. It ends with this object or
// with the test.
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

/// True in a build with a sanitizer. Its runtime does not start in a limited address space, and its
/// own memory grows with each allocation.
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

  /// Returns the program's output so far.
  std::string output() const ABSL_LOCKS_EXCLUDED(mutex_);
  std::string errors() const ABSL_LOCKS_EXCLUDED(mutex_);

  /// Waits until standard output or standard error contains `text`.
  bool WaitForOutput(absl::string_view text, absl::Duration limit) ABSL_LOCKS_EXCLUDED(mutex_);
  bool WaitForErrors(absl::string_view text, absl::Duration limit) ABSL_LOCKS_EXCLUDED(mutex_);

  /// Waits for the end of the program and of its output. Returns its exit status, 128 + n if signal
  /// n ended it, or nothing if it still runs.
  std::optional<int> WaitForExit(absl::Duration limit);

  bool running();

  pid_t pid() const { return pid_; }

  /// Returns the number of the program's open descriptors.
  int open_descriptors() const;

  /// Returns the memory that the program uses (its resident set).
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

/// Waits until `condition` holds, and returns whether it does. For conditions that must be polled,
/// such as states of other processes. Gives up after `limit`.
bool WaitUntil(absl::FunctionRef<bool()> condition, absl::Duration limit = absl::Seconds(30));

struct CommandResult {
  /// As `Process::WaitForExit`; -1 if the command was killed at the limit.
  int exit_status = -1;
  std::string output;
  std::string errors;
};

/// Runs a command to its end with `input` as its standard input.
CommandResult RunCommand(const std::vector<std::string>& argv, absl::Duration limit,
                         absl::string_view input = {});

/// Finds a program on PATH. If it is missing, fails the test with the name of its Debian package,
/// and returns an empty path. The test must have the tag "programs".
std::string FindProgram(const std::string& name);

}  // namespace trestle::e2e

#endif  // TRESTLE_TESTS_E2E_PROCESS_H_
