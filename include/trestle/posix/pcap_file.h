// PcapFile: a file in the format of libpcap that gets the clear text of connections, from any
// number of threads: for Wireshark and tcpdump. It is a secret as much as what was encrypted.
#ifndef TRESTLE_POSIX_PCAP_FILE_H_
#define TRESTLE_POSIX_PCAP_FILE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/capture_inspector.h"
#include "trestle/posix/owned_fd.h"

namespace trestle {

class RecordQueue;

struct PcapFileOptions {
  /// What clients and backends said to each other can be read there: passwords, cookies, answers.
  std::string dangerous_path;
  /// The file gets no longer than that. At least that of its header, 24 bytes.
  uint64_t max_bytes = 100 << 20;
  /// Bytes that may wait for the disk. Where there are more, the capture stops.
  size_t max_queued_bytes = 64 << 20;
  /// How long the destructor waits for the disk.
  absl::Duration end_limit = absl::Seconds(5);
  /// Called when the capture stops: the file has come to its limit or the disk is too slow
  /// (absl::StatusCode::kResourceExhausted), or the file can't be written. Connections go on.
  /// Called from any thread, once until `Reopen` starts anew. Must not call the file or the block.
  absl::AnyInvocable<void(const absl::Status&) const> on_stopped;
};

/// Thread-safe. A thread of its own writes, so that no loop waits for the disk. The file holds
/// whole packets at any time that nobody writes; after a failure too, where the system lets the
/// rest of one be cut off. A process with a limit on the size of files (RLIMIT_FSIZE) should ignore
/// SIGXFSZ.
class PcapFile {
 public:
  /// Makes a new file that only this process's user may read (mode 0600). Fails with
  /// ErrorCode::kConfiguration where there is one already, or a symlink, or none can be made; with
  /// kTransport where the system has no more threads.
  static absl::StatusOr<std::unique_ptr<PcapFile>> Create(PcapFileOptions options);

  /// Writes what waits, for at most `end_limit`.
  ~PcapFile();
  PcapFile(const PcapFile&) = delete;
  PcapFile& operator=(const PcapFile&) = delete;

  /// Makes what writes one connection; the file must outlive it. A clean end of both directions
  /// becomes a FIN each, any other end an RST. A connection of which something was lost is not
  /// written any more.
  std::unique_ptr<CaptureSink> NewSink(const Endpoint& client, const Endpoint& server);

  /// Makes a new file where the one that is written was renamed or deleted, and goes on in it;
  /// connections that are open go on without their beginnings. Does nothing where the file is still
  /// in its place. Fails as `Create`; then the old file is written further.
  absl::Status Reopen();

  /// Waits until what was captured is written; false where that takes longer than `limit`.
  bool Flush(absl::Duration limit);

  /// Counts the pieces of traffic that were not written.
  uint64_t lost() const { return lost_; }

 private:
  class Sink;
  class Writer;
  struct Shared;

  PcapFile(std::shared_ptr<Shared> shared, std::unique_ptr<RecordQueue> queue);

  static absl::StatusOr<OwnedFd> NewFile(const PcapFileOptions& options);

  // False where it isn't written.
  bool Append(std::string packets);

  const std::shared_ptr<Shared> shared_;  // With the thread, which may outlive this.
  const std::unique_ptr<RecordQueue> queue_;
  std::atomic<uint64_t> lost_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_POSIX_PCAP_FILE_H_
