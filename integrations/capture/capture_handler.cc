#include "integrations/capture/capture_handler.h"

#include <utility>

namespace trestle {
namespace {

/// The client's transport, with a view of each byte that passes.
class CaptureTransport final : public Transport {
 public:
  CaptureTransport(Scheduler& scheduler, std::unique_ptr<Transport> transport,
                   std::unique_ptr<CaptureSink> sink)
      : transport_(std::move(transport)), capture_(scheduler, std::move(sink)) {}

  IoResult Read(MutableByteView out) override {
    const IoResult result = transport_->Read(out);
    if (result.state == IoState::kOk) {
      Show(Direction::kToBackend, out.subspan(0, result.bytes), false);
    } else if (result.state == IoState::kEndOfStream) {
      Show(Direction::kToBackend, {}, true);
    }
    return result;
  }

  IoResult Write(ByteView data) override { return Written(data, transport_->Write(data)); }

  IoResult WriteBeforeEnd(ByteView data) override {
    return Written(data, transport_->WriteBeforeEnd(data));
  }

  IoResult ShutdownWrite(StreamEnd end) override {
    if (end == StreamEnd::kClean) Show(Direction::kToClient, {}, true);
    return transport_->ShutdownWrite(end);
  }

  void Abort() override { transport_->Abort(); }
  void SetHandler(TransportHandler* handler) override { transport_->SetHandler(handler); }
  absl::Status status() const override { return transport_->status(); }
  TransportInfo info() const override { return transport_->info(); }

 private:
  IoResult Written(ByteView data, const IoResult& result) {
    if (result.state == IoState::kOk) {
      Show(Direction::kToClient, data.subspan(0, result.bytes), false);
    }
    return result;
  }

  void Show(Direction direction, ByteView bytes, bool end) {
    (void)capture_.Inspect(direction, bytes, end);
  }

  const std::unique_ptr<Transport> transport_;
  CaptureInspector capture_;
};

}  // namespace

CaptureHandler::CaptureHandler(Scheduler& scheduler, ConnectionHandler& next, NewSink new_sink)
    : scheduler_(scheduler), next_(next), new_sink_(std::move(new_sink)) {}

void CaptureHandler::Serve(Accepted connection) {
  std::unique_ptr<CaptureSink> sink = new_sink_(connection.origin);
  connection.transport = std::make_unique<CaptureTransport>(
      scheduler_, std::move(connection.transport), std::move(sink));
  next_.Serve(std::move(connection));
}

}  // namespace trestle
