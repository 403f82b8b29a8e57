// PcapFile: a file in the format of libpcap that gets the clear text of connections, from any
// number of threads: for Wireshark and tcpdump. It is a secret as much as what was encrypted.
#ifndef TRESTLE_POSIX_PCAP_FILE_H_
#define TRESTLE_POSIX_PCAP_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/capture_inspector.h"
#include "trestle/posix/owned_fd.h"

namespace trestle {

struct PcapFileOptions {
  /// What clients and backends said to each other can be read there: passwords, cookies, answers.
  std::string dangerous_path;
  /// The file gets no longer than that. At least that of its header, 24 bytes.
  uint64_t max_bytes = 100 << 20;
  /// Called once, when the file has come to its limit (absl::StatusCode::kResourceExhausted) or
  /// can't be written: nothing is written any more, and connections go on. From the thread that
  /// wanted to write, in the middle of a call of that connection's relay; must not call the block.
  absl::AnyInvocable<void(const absl::Status&) const> on_stopped;
};

/// Holds whole packets at any time that nobody writes; after a failure too, where the system lets
/// the rest of one be cut off. Writing is to the page cache, on the loop's thread. A process with a
/// limit on the size of files (RLIMIT_FSIZE) should ignore SIGXFSZ.
class PcapFile {
 public:
  /// Makes a new file that only this process's user may read (mode 0600). Fails with
  /// ErrorCode::kConfiguration where there is one already, or a symlink, or none can be made.
  static absl::StatusOr<std::unique_ptr<PcapFile>> Create(PcapFileOptions options);

  /// Makes what writes one connection; the file must outlive it. A clean end of both directions
  /// becomes a FIN each, any other end an RST.
  std::unique_ptr<CaptureSink> NewSink(const Endpoint& client, const Endpoint& server);

 private:
  class Sink;

  PcapFile(PcapFileOptions options, OwnedFd fd);

  void Append(absl::string_view packets) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status AppendLocked(absl::string_view packets) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const PcapFileOptions options_;
  const OwnedFd fd_;
  absl::Mutex mutex_;
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace trestle

#endif  // TRESTLE_POSIX_PCAP_FILE_H_
