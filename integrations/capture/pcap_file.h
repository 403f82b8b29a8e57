// PcapFile: captures the clear text of connections in a libpcap file, for Wireshark and tcpdump.
// The file is as secret as the encrypted traffic.
#ifndef TRESTLE_INTEGRATIONS_CAPTURE_PCAP_FILE_H_
#define TRESTLE_INTEGRATIONS_CAPTURE_PCAP_FILE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "integrations/capture/capture_inspector.h"
#include "trestle/base/endpoint.h"
#include "trestle/linux/owned_fd.h"

namespace trestle {

class RecordQueue;

struct PcapFileOptions {
  /// The path of the file. It contains clients' and backends' clear text: passwords, cookies,
  /// responses.
  std::string dangerous_path;
  /// The maximum size of the file, at least that of its header (24 bytes).
  uint64_t max_bytes = 100 << 20;
  /// Maximum bytes pending for the disk. If there are more, the capture stops.
  size_t max_queued_bytes = 64 << 20;
  /// How long the destructor waits for the disk.
  absl::Duration end_limit = absl::Seconds(5);
  /// Called when the capture stops; connections go on. The status is
  /// absl::StatusCode::kResourceExhausted if the file is full or the disk is too slow, or another
  /// one if the file cannot be written. Called from any thread, once until `Reopen` restarts the
  /// capture. Must not call the file or the block.
  absl::AnyInvocable<void(const absl::Status&) const> on_stopped;
};

/// Thread-safe. Its own thread writes, so no loop waits for the disk. Between writes the file holds
/// whole packets. This is also true after a failure, if the system can cut off an incomplete
/// packet. A process with a file size limit (RLIMIT_FSIZE) should ignore SIGXFSZ.
class PcapFile {
 public:
  /// Creates a new file that only this process's user can read (mode 0600). Fails with
  /// ErrorCode::kConfiguration if the path exists, also as a symlink, or cannot be created; with
  /// kTransport if the system has no more threads.
  static absl::StatusOr<std::unique_ptr<PcapFile>> Create(PcapFileOptions options);

  /// Writes pending packets, for at most `end_limit`.
  ~PcapFile();
  PcapFile(const PcapFile&) = delete;
  PcapFile& operator=(const PcapFile&) = delete;

  /// Creates the sink of one connection; the file must outlive it. A clean end of a direction
  /// becomes a FIN, any other end a RST. After the loss of a packet, the rest of that connection is
  /// not written.
  std::unique_ptr<CaptureSink> NewSink(const Endpoint& client, const Endpoint& server);

  /// Creates a new file if the current one was renamed or deleted, and continues in it. Open
  /// connections continue without their beginnings. Does nothing if the file is still in its place.
  /// Fails as `Create` does, and then keeps the old file.
  absl::Status Reopen();

  /// Waits until all captured packets are written. Returns false if that takes longer than `limit`.
  bool Flush(absl::Duration limit);

  /// Returns the number of pieces of traffic that were not written.
  uint64_t lost() const { return lost_; }

 private:
  class Sink;
  class Writer;
  struct Shared;

  PcapFile(std::shared_ptr<Shared> shared, std::unique_ptr<RecordQueue> queue);

  static absl::StatusOr<OwnedFd> NewFile(const PcapFileOptions& options);

  // Returns false if `packets` are not written.
  bool Append(std::string packets);

  const std::shared_ptr<Shared> shared_;  // Shared with the thread, which may outlive this.
  const std::unique_ptr<RecordQueue> queue_;
  std::atomic<uint64_t> lost_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_CAPTURE_PCAP_FILE_H_
