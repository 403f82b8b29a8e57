// System calls that fail on demand. The linker sends each call of the test program to a function of
// this library (ld's --wrap, see system_calls.bzl), which fails or makes the real call.
#ifndef TRESTLE_TESTS_SYSTEM_FAULTS_SYSTEM_FAULTS_H_
#define TRESTLE_TESTS_SYSTEM_FAULTS_SYSTEM_FAULTS_H_

#include <cstddef>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"

namespace trestle {

/// A fault to inject: from the `nth` call on (0 is the first), `times` calls fail with `error`.
struct Fault {
  std::string call;
  int error = 0;
  size_t nth = 0;
  size_t times = 1;
};

/// Writes "2 × send() fails with ENOBUFS (No buffer space available) from call 3 on".
std::ostream& operator<<(std::ostream& out, const Fault& fault);

/// Returns the errors that tests inject for each call: those of its man page, and of tcp(7), ip(7)
/// and udp(7) for sockets. Left out, with the reason beside the table: faults of the program itself
/// (EBADF, EFAULT and so on), and answers that the kernel gives only in another state.
const std::map<std::string, std::vector<int>>& ErrorsOfCalls();

/// Counts calls on all threads and injects a fault, while it exists. One at a time.
class InjectedFault final {
 public:
  explicit InjectedFault(const Fault& fault);
  ~InjectedFault();
  InjectedFault(const InjectedFault&) = delete;
  InjectedFault& operator=(const InjectedFault&) = delete;

  /// Returns the number of calls that failed.
  static size_t Injected();
};

/// Runs `calls` and returns how often each system call was made.
std::map<std::string, size_t> CountCalls(absl::FunctionRef<void()> calls);

/// Lets this thread's calls pass, uncounted, while it exists: for the test's own calls.
class RealCalls final {
 public:
  RealCalls();
  ~RealCalls();
  RealCalls(const RealCalls&) = delete;
  RealCalls& operator=(const RealCalls&) = delete;
};

/// Calls `run` with each fault: each call that `counts` has, each of its errors, at each occurrence
/// (of more than `max_places`, a spread of them), once and three times in a row. Returns the
/// number.
size_t ForEachFault(const std::map<std::string, size_t>& counts, size_t max_places,
                    absl::FunctionRef<void(const Fault&)> run);

/// Returns the number of open descriptors of this process.
size_t OpenDescriptors();

}  // namespace trestle

#endif  // TRESTLE_TESTS_SYSTEM_FAULTS_SYSTEM_FAULTS_H_
