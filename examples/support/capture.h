// The example proxies' flags for capturing decrypted traffic in a file for Wireshark.
#ifndef TRESTLE_EXAMPLES_SUPPORT_CAPTURE_H_
#define TRESTLE_EXAMPLES_SUPPORT_CAPTURE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "examples/support/log.h"
#include "integrations/capture/pcap_file.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/connection_handler.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle::examples {

/// The file of --dangerous_capture_file.
class Capture final : public WrittenFile {
 public:
  explicit Capture(std::unique_ptr<PcapFile> file);

  PcapFile& file() { return *file_; }

  absl::Status Reopen() override { return file_->Reopen(); }
  uint64_t lost() const override { return file_->lost(); }

 private:
  const std::unique_ptr<PcapFile> file_;
};

/// Creates the file of --dangerous_capture_file; null without the flag, and with --check. Logs its
/// start and its end.
absl::StatusOr<std::unique_ptr<Capture>> CaptureFromFlags();

/// Inserts the capture before the inspectors of `new_inspector`. It then has all bytes that clients
/// and backends sent, including rejected requests. `capture` may be null; else it must outlive the
/// block on the loop of `scheduler`.
void AddCapture(Capture* capture, Scheduler& scheduler, InspectorFactory& new_inspector);

/// Creates a handler that captures the bytes of clients and those that `next` sends them, and
/// passes the connections to `next`. All must outlive it.
std::unique_ptr<ConnectionHandler> NewCaptureHandler(Capture& capture, Scheduler& scheduler,
                                                     ConnectionHandler& next);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_CAPTURE_H_
