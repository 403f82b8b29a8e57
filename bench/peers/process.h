// Process: a proxy under measurement with its child processes: starts, observes and ends it.
#ifndef TRESTLE_BENCH_PEERS_PROCESS_H_
#define TRESTLE_BENCH_PEERS_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace trestle::bench {

class Process final {
 public:
  /// Runs `arguments` with output to the file `log`. Runs on the last CPU if `pinned`, else on any.
  Process(const std::vector<std::string>& arguments, const std::string& log, bool pinned);

  /// Ends it and its children: SIGTERM, then SIGKILL.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// Waits until it accepts connections on a loopback port. Returns false if it ended or took too
  /// long.
  bool AwaitPort(uint16_t port);

  void Signal(int signal) const;

  /// Returns the number of open descriptors or threads of the process, without its children.
  int Descriptors() const;
  int Threads() const;

  /// Returns the CPU time so far, user and system, of all its threads and living children, in
  /// seconds.
  double CpuSeconds() const;

  /// Returns the proportional set size of it and its children, in KiB.
  double PssKib() const;

 private:
  bool Ended();

  pid_t pid_ = -1;
  bool ended_ = false;
};

/// Raises this process's limit of descriptors. Binds it and its later child processes to the first
/// CPU; a pinned `Process` uses the last one. Otherwise the system's placement would affect results
/// more than the proxies do.
void PrepareToMeasure();

/// Creates a folder for temporary files, readable for a proxy that drops root.
std::string MakeFolder();

/// Runs a program to its end, and returns its output.
std::string OutputOf(const std::string& command);

/// Finds a program on PATH or in the sbin folders; returns an empty string if there is none.
std::string FindProgram(const std::string& name);

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_PEERS_PROCESS_H_
