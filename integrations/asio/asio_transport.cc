#include "integrations/asio/asio_transport.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "integrations/asio/asio_endpoint.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr absl::Duration kFirstSendQueueCheck = absl::Milliseconds(1);
constexpr absl::Duration kLastSendQueueCheck = absl::Milliseconds(50);

bool WouldBlock(const asio::error_code& error) {
  return error == asio::error::would_block || error == asio::error::try_again;
}

}  // namespace

class AsioTransport::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(AsioScheduler& scheduler, Socket socket)
      : scheduler_(scheduler), socket_(std::move(socket)) {
    asio::error_code ignored;
    socket_.non_blocking(true, ignored);
    info_.local = FromAsio(socket_.local_endpoint(ignored));
    info_.peer = FromAsio(socket_.remote_endpoint(ignored));
    if (is_tcp()) socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  }

  IoResult Read(MutableByteView out);
  IoResult Write(ByteView data);
  IoResult ShutdownWrite(StreamEnd end);
  void Abort();
  void Close();

  TransportHandler* handler = nullptr;
  const absl::Status& status() const { return status_; }
  const TransportInfo& info() const { return info_; }

 private:
  bool is_tcp() const { return info_.local.is_ip(); }
  IoResult BlockRead();
  IoResult BlockWrite();
  IoResult FailRead(const asio::error_code& error);
  IoResult FailWrite(const asio::error_code& error);
  void SetStatus(const asio::error_code& error);
  void SetCancelled();
  void OnReadable();
  void OnWritable();
  IoResult CutWhenSent();
  void CheckSendQueueLater();
  bool SendQueueEmpty();
  void CloseWithReset();

  AsioScheduler& scheduler_;
  Socket socket_;
  TransportInfo info_;
  absl::Status status_;
  std::optional<IoState> read_end_;
  bool is_silent_ = false;   // Aborted or destroyed: no callbacks.
  bool read_waits_ = false;  // A handler for readiness is with Asio.
  bool write_waits_ = false;
  bool read_owed_ = false;  // The transport's handler is owed a callback.
  bool write_owed_ = false;
  bool write_broken_ = false;  // By a reset.
  bool cutting_ = false;
  Timer send_queue_check_;
  absl::Duration next_check_ = kFirstSendQueueCheck;
};

IoResult AsioTransport::Core::Read(MutableByteView out) {
  if (read_end_.has_value()) return {0, *read_end_};
  if (out.empty()) return {0, IoState::kOk};
  // Not ready yet, as far as Asio knows: no call is needed to see that.
  if (read_waits_) return BlockRead();
  asio::error_code error;
  size_t bytes;
  do {
    bytes = socket_.receive(asio::buffer(out.data(), out.size()), 0, error);
  } while (error == asio::error::interrupted);
  if (!error) return {bytes, IoState::kOk};
  if (WouldBlock(error)) return BlockRead();
  return FailRead(error);
}

IoResult AsioTransport::Core::FailRead(const asio::error_code& error) {
  if (error == asio::error::eof) {
    // After a write received a RST, the system reports a clean end.
    read_end_ = write_broken_ ? IoState::kFailed : IoState::kEndOfStream;
  } else {
    SetStatus(error);
    read_end_ = IoState::kFailed;
  }
  return {0, *read_end_};
}

IoResult AsioTransport::Core::BlockRead() {
  read_owed_ = true;
  if (!std::exchange(read_waits_, true)) {
    socket_.async_wait(Socket::wait_read,
                       [self = shared_from_this()](asio::error_code) { self->OnReadable(); });
  }
  return {0, IoState::kWouldBlock};
}

IoResult AsioTransport::Core::Write(ByteView data) {
  if (!socket_.is_open()) return {0, IoState::kFailed};
  if (data.empty()) return {0, IoState::kOk};
  if (write_waits_) return BlockWrite();
  asio::error_code error;
  size_t bytes;
  do {
    bytes = socket_.send(asio::buffer(data.data(), data.size()), 0, error);  // With MSG_NOSIGNAL.
  } while (error == asio::error::interrupted);
  if (!error) return {bytes, IoState::kOk};
  if (WouldBlock(error)) return BlockWrite();
  return FailWrite(error);
}

IoResult AsioTransport::Core::BlockWrite() {
  write_owed_ = true;
  if (!cutting_ && !std::exchange(write_waits_, true)) {
    socket_.async_wait(Socket::wait_write,
                       [self = shared_from_this()](asio::error_code) { self->OnWritable(); });
  }
  return {0, IoState::kWouldBlock};
}

IoResult AsioTransport::Core::FailWrite(const asio::error_code& error) {
  SetStatus(error);
  // EPIPE alone means that the peer's FIN came before its RST: its direction ended cleanly.
  if (error != asio::error::broken_pipe) write_broken_ = true;
  return {0, IoState::kFailed};
}

void AsioTransport::Core::SetStatus(const asio::error_code& error) {
  if (!status_.ok()) return;
  if (error == asio::error::connection_reset || error == asio::error::broken_pipe) {
    status_ = MakeError(ErrorCode::kTruncated, Phase::kRelay, "the peer reset the connection");
  } else {
    status_ = MakeError(ErrorCode::kTransport, Phase::kRelay, error.message());
  }
}

void AsioTransport::Core::SetCancelled() {
  if (!status_.ok()) return;
  status_ = MakeError(ErrorCode::kCancelled, Phase::kRelay, "this side cut the connection");
}

void AsioTransport::Core::OnReadable() {
  read_waits_ = false;
  if (is_silent_ || !std::exchange(read_owed_, false)) return;
  if (handler != nullptr) handler->OnReadable();
}

void AsioTransport::Core::OnWritable() {
  write_waits_ = false;
  // The end of a cut is polled.
  if (is_silent_ || cutting_ || !std::exchange(write_owed_, false)) return;
  if (handler != nullptr) handler->OnWritable();
}

IoResult AsioTransport::Core::ShutdownWrite(StreamEnd end) {
  if (!socket_.is_open()) return {0, cutting_ ? IoState::kOk : IoState::kFailed};
  if (end == StreamEnd::kTruncated) return CutWhenSent();
  asio::error_code error;
  socket_.shutdown(Socket::shutdown_send, error);
  if (!error) return {0, IoState::kOk};
  return FailWrite(error == asio::error::not_connected ? asio::error::broken_pipe : error);
}

// A reset at once would make the peer lose the bytes that its system does not have yet.
IoResult AsioTransport::Core::CutWhenSent() {
  cutting_ = true;
  if (!SendQueueEmpty()) {
    if (send_queue_check_ == nullptr) CheckSendQueueLater();
    return BlockWrite();
  }
  SetCancelled();
  read_end_ = IoState::kFailed;
  write_owed_ = false;
  send_queue_check_.reset();
  // A handler that waits to read is called by Asio, because the socket is closed.
  CloseWithReset();
  return {0, IoState::kOk};
}

// Polls, because the system has no event for "all bytes acknowledged".
void AsioTransport::Core::CheckSendQueueLater() {
  send_queue_check_ = scheduler_.RunAfter(next_check_, [this] {
    next_check_ = std::min(2 * next_check_, kLastSendQueueCheck);
    send_queue_check_.reset();
    if (!SendQueueEmpty()) return CheckSendQueueLater();
    if (std::exchange(write_owed_, false) && handler != nullptr) handler->OnWritable();
  });
}

bool AsioTransport::Core::SendQueueEmpty() {
  if (!is_tcp()) return true;  // What was accepted is in the peer's queue.
  int queued = 0;
  const int fd = socket_.native_handle();
  if (ioctl(fd, SIOCOUTQ, &queued) != 0 || queued == 0) return true;
  // After a RST the count never changes.
  tcp_info info = {};
  socklen_t size = sizeof info;
  const bool known = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0;
  return !known || info.tcpi_state == TCP_CLOSE;
}

void AsioTransport::Core::Abort() {
  is_silent_ = true;
  send_queue_check_.reset();
  if (!socket_.is_open()) return;
  SetCancelled();
  read_end_ = IoState::kFailed;
  CloseWithReset();
}

void AsioTransport::Core::CloseWithReset() {
  asio::error_code ignored;
  socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
}

void AsioTransport::Core::Close() {
  is_silent_ = true;
  handler = nullptr;
  send_queue_check_.reset();
  asio::error_code ignored;
  socket_.close(ignored);
}

AsioTransport::AsioTransport(AsioScheduler& scheduler, Socket socket)
    : core_(std::make_shared<Core>(scheduler, std::move(socket))) {}

AsioTransport::~AsioTransport() { core_->Close(); }

IoResult AsioTransport::Read(MutableByteView out) { return core_->Read(out); }
IoResult AsioTransport::Write(ByteView data) { return core_->Write(data); }
IoResult AsioTransport::ShutdownWrite(StreamEnd end) { return core_->ShutdownWrite(end); }
void AsioTransport::Abort() { core_->Abort(); }
void AsioTransport::SetHandler(TransportHandler* handler) { core_->handler = handler; }
absl::Status AsioTransport::status() const { return core_->status(); }
TransportInfo AsioTransport::info() const { return core_->info(); }

}  // namespace trestle
