// Process: a proxy under measurement: started, watched and ended, with all that it forked.
#ifndef TRESTLE_BENCH_PEERS_PROCESS_H_
#define TRESTLE_BENCH_PEERS_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace trestle::bench {

class Process final {
 public:
  /// Runs `arguments` with its output in the file `log`: `pinned` to the last CPU, or anywhere.
  Process(const std::vector<std::string>& arguments, const std::string& log, bool pinned);

  /// Ends it and its children: SIGTERM, then SIGKILL.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// Waits until it accepts connections on a loopback port; false when it ended or took too long.
  bool AwaitPort(uint16_t port);

  /// CPU time so far, user and system, of all its threads and living children, in seconds.
  double CpuSeconds() const;

  /// Proportional set size of it and its children, in KiB.
  double PssKib() const;

 private:
  bool Ended();

  pid_t pid_ = -1;
  bool ended_ = false;
};

/// Lets this process have many descriptors, and keeps it, and what it forks from now on, to the
/// first CPU; a pinned `Process` has the last: where the system happens to put them would matter
/// more than what they do.
void PrepareToMeasure();

/// Makes a folder for temporary files, readable for a proxy that gives up root.
std::string MakeFolder();

/// Runs a program to its end and returns all that it printed.
std::string OutputOf(const std::string& command);

/// Finds a program on PATH or in the sbin folders; empty where there is none.
std::string FindProgram(const std::string& name);

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_PEERS_PROCESS_H_
