#include "examples/support/capture.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "examples/support/check_flag.h"
#include "examples/support/log.h"
#include "integrations/capture/capture_handler.h"
#include "integrations/capture/capture_inspector.h"
#include "trestle/io/inspector_chain.h"

ABSL_FLAG(std::string, dangerous_capture_file, "",
          "new file for the clear text of all connections, including passwords and cookies, in "
          "the format of Wireshark and tcpdump. Reduces throughput. On SIGHUP it is created again "
          "if it was moved away");
ABSL_FLAG(uint64_t, dangerous_capture_bytes, 100 << 20,
          "maximum size of --dangerous_capture_file; connections then continue without it");

namespace trestle::examples {

Capture::Capture(std::unique_ptr<PcapFile> file) : WrittenFile("capture"), file_(std::move(file)) {}

absl::StatusOr<std::unique_ptr<Capture>> CaptureFromFlags() {
  PcapFileOptions options;
  options.dangerous_path = absl::GetFlag(FLAGS_dangerous_capture_file);
  if (options.dangerous_path.empty() || CheckOnly()) return nullptr;
  options.max_bytes = absl::GetFlag(FLAGS_dangerous_capture_bytes);
  options.on_stopped = [](const absl::Status& why) {
    LogLine(absl::StrCat("capture stopped: ", why.message()));
  };
  const std::string path = options.dangerous_path;
  absl::StatusOr<std::unique_ptr<PcapFile>> file = PcapFile::Create(std::move(options));
  if (!file.ok()) return file.status();
  LogLine(absl::StrCat("the clear text of all connections is written to ", path));
  return std::make_unique<Capture>(*std::move(file));
}

void AddCapture(Capture* capture, Scheduler& scheduler, InspectorFactory& new_inspector) {
  if (capture == nullptr) return;
  new_inspector = [file = &capture->file(), &scheduler, next = std::move(new_inspector)](
                      const ConnectionReport& connection) mutable -> std::unique_ptr<Inspector> {
    auto capture = std::make_unique<CaptureInspector>(
        scheduler, file->NewSink(connection.front.peer, connection.front.local));
    std::unique_ptr<Inspector> inspector = next ? next(connection) : nullptr;
    if (inspector == nullptr) return capture;
    std::vector<std::unique_ptr<Inspector>> chain;
    chain.push_back(std::move(capture));
    chain.push_back(std::move(inspector));
    return std::make_unique<InspectorChain>(std::move(chain));
  };
}

std::unique_ptr<ConnectionHandler> NewCaptureHandler(Capture& capture, Scheduler& scheduler,
                                                     ConnectionHandler& next) {
  return std::make_unique<CaptureHandler>(scheduler, next,
                                          [file = &capture.file()](const ConnectionOrigin& origin) {
                                            return file->NewSink(origin.peer, origin.local);
                                          });
}

}  // namespace trestle::examples
