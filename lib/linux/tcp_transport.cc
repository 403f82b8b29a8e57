#include "trestle/linux/tcp_transport.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "lib/linux/kernel_pipe.h"
#include "lib/linux/socket.h"
#include "lib/linux/system_error.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr absl::Duration kFirstSendQueueCheck = absl::Milliseconds(1);
constexpr absl::Duration kLastSendQueueCheck = absl::Milliseconds(50);

constexpr uint32_t kBroken = EPOLLERR | EPOLLHUP;

// Returns whether splice(2) itself failed, not the socket: bytes can still be read.
bool IsSpliceRefused(int error) {
  return error == EINVAL || error == ENOSYS || error == EPERM || error == EACCES ||
         IsExhaustion(error);
}

}  // namespace

absl::StatusOr<std::unique_ptr<TcpTransport>> TcpTransport::Create(FdLoop& loop, OwnedFd socket) {
  const Endpoint local = LocalEndpoint(socket.get());
  const Endpoint peer = PeerEndpoint(socket.get());
  return Create(loop, std::move(socket), local, peer);
}

absl::StatusOr<std::unique_ptr<TcpTransport>> TcpTransport::Create(FdLoop& loop, OwnedFd socket,
                                                                   const Endpoint& local,
                                                                   const Endpoint& peer,
                                                                   std::optional<uint32_t> ready) {
  auto transport = absl::WrapUnique(new TcpTransport(loop, std::move(socket), local, peer, ready));
  const absl::Status watched = loop.WatchForInput(transport->socket_.get(), *transport);
  if (!watched.ok()) return watched;
  return transport;
}

TcpTransport::TcpTransport(FdLoop& loop, OwnedFd socket, const Endpoint& local,
                           const Endpoint& peer, std::optional<uint32_t> ready)
    : loop_(loop),
      socket_(std::move(socket)),
      local_(local),
      peer_(peer),
      reading_(ready.has_value() ? Reading::kEmpty : ReadingBytes()) {
  if (ready.has_value()) NoteEvents(*ready);
}

TcpTransport::~TcpTransport() {
  if (destroyed_ != nullptr) *destroyed_ = true;
  if (socket_.valid()) loop_.Unwatch(socket_.get());
}

IoResult TcpTransport::Read(MutableByteView out) {
  if (reading_over()) return ReadEnd();
  if (out.empty()) return {0, IoState::kOk};
  if (reading_ == Reading::kEmpty) return BlockRead();
  ssize_t bytes;
  do {
    bytes = recv(socket_.get(), out.data(), out.size(), 0);
  } while (bytes < 0 && errno == EINTR);
  if (bytes < 0) return FailRead(errno);
  if (bytes == 0) {
    // After a write received a RST, the system reports a clean end.
    reading_ = writing_ == Writing::kReset ? Reading::kFailed : Reading::kEnded;
    return ReadEnd();
  }
  const bool is_short = static_cast<size_t>(bytes) < out.size();
  if (is_short && reading_ == Reading::kReady) reading_ = Reading::kEmpty;
  return {static_cast<size_t>(bytes), IoState::kOk};
}

IoResult TcpTransport::ReadEnd() const {
  return {0, reading_ == Reading::kEnded ? IoState::kEndOfStream : IoState::kFailed};
}

IoResult TcpTransport::FailRead(int error) {
  if (error == EAGAIN) {
    reading_ = Reading::kEmpty;
    return BlockRead();
  }
  SetStatus(error);
  reading_ = Reading::kFailed;
  return ReadEnd();
}

IoResult TcpTransport::BlockRead() {
  read_owed_ = true;
  loop_.Await(socket_.get(), EPOLLIN);
  return {0, IoState::kWouldBlock};
}

IoResult TcpTransport::BlockWrite() {
  write_owed_ = true;
  loop_.Await(socket_.get(), EPOLLOUT);
  return {0, IoState::kWouldBlock};
}

IoResult TcpTransport::Write(ByteView data) { return Send(data, 0); }

// The system holds the last packet until the FIN is sent with it.
IoResult TcpTransport::WriteBeforeEnd(ByteView data) { return Send(data, MSG_MORE); }

IoResult TcpTransport::Send(ByteView data, int flags) {
  if (cut_asked()) return {0, IoState::kFailed};
  if (data.empty()) return {0, IoState::kOk};
  if (writing_ == Writing::kFull) return BlockWrite();
  ssize_t bytes;
  do {
    bytes = send(socket_.get(), data.data(), data.size(), MSG_NOSIGNAL | flags);
  } while (bytes < 0 && errno == EINTR);
  if (bytes < 0) return FailWrite(errno);
  // The send buffer is full; an edge follows when it has room again.
  if (static_cast<size_t>(bytes) < data.size()) writing_ = Writing::kFull;
  return {static_cast<size_t>(bytes), IoState::kOk};
}

IoResult TcpTransport::FailWrite(int error) {
  if (error == EAGAIN) {
    writing_ = Writing::kFull;
    return BlockWrite();
  }
  SetStatus(error);
  // The system knows all that will ever arrive: bytes, an end or a failure can be read at once.
  ExpectEnd();
  // EPIPE without ECONNRESET means that the peer's FIN came before its RST: its direction ended
  // cleanly.
  if (writing_ == Writing::kReady || writing_ == Writing::kFull) {
    writing_ = error == EPIPE ? Writing::kFailed : Writing::kReset;
  }
  return {0, IoState::kFailed};
}

SplicePool* TcpTransport::splice_pool() {
  return may_splice_ && !closed() ? &loop_.kernel_pipe_pool() : nullptr;
}

IoResult TcpTransport::ReadInto(SpliceBuffer& pipe, size_t max_bytes) {
  if (reading_over()) return ReadEnd();
  if (!may_splice_) return {0, IoState::kOk};
  if (reading_ == Reading::kEmpty) return BlockRead();
  const ssize_t bytes = static_cast<KernelPipe&>(pipe).Fill(socket_.get(), max_bytes);
  // A short count is not conclusive: the pipe may run out of slots before the socket is empty.
  if (bytes > 0) return {static_cast<size_t>(bytes), IoState::kOk};
  // No bytes: the end of the stream, or an urgent mark before more bytes. recv(2) distinguishes
  // them.
  if (bytes == 0) return {0, IoState::kOk};
  if (IsSpliceRefused(errno)) {
    may_splice_ = false;
    return {0, IoState::kOk};
  }
  return FailRead(errno);
}

IoResult TcpTransport::WriteFrom(SpliceBuffer& pipe) {
  if (cut_asked()) return {0, IoState::kFailed};
  if (writing_ == Writing::kFull) return BlockWrite();
  const ssize_t bytes = static_cast<KernelPipe&>(pipe).Drain(socket_.get());
  if (bytes > 0) return {static_cast<size_t>(bytes), IoState::kOk};
  return FailWrite(bytes < 0 ? errno : EIO);
}

void TcpTransport::SetStatus(int error) {
  if (!status_.ok()) return;
  if (error == ECONNRESET || error == EPIPE) {
    status_ = MakeError(ErrorCode::kTruncated, Phase::kRelay, "the peer reset the connection");
  } else {
    status_ = MakeError(ErrorCode::kTransport, Phase::kRelay, ErrnoText(error));
  }
}

void TcpTransport::SetCancelled() {
  if (!status_.ok()) return;
  status_ = MakeError(ErrorCode::kCancelled, Phase::kRelay, "this side cut the connection");
}

IoResult TcpTransport::ShutdownWrite(StreamEnd end) {
  if (writing_ == Writing::kCut) return {0, IoState::kOk};
  if (writing_ == Writing::kAborted) return {0, IoState::kFailed};
  if (end == StreamEnd::kTruncated) return CutWhenSent();
  // Also directly before a close(2): it tells whether a RST came for the last bytes.
  if (shutdown(socket_.get(), SHUT_WR) == 0) return {0, IoState::kOk};
  return FailWrite(errno == ENOTCONN ? EPIPE : errno);
}

IoResult TcpTransport::CutWhenSent() {
  if (writing_ != Writing::kCutting) next_check_ = kFirstSendQueueCheck;
  writing_ = Writing::kCutting;
  if (!SendQueueEmpty()) {
    write_owed_ = true;
    if (timer_ == nullptr) ArmSendQueueCheck();
    return {0, IoState::kWouldBlock};
  }
  CloseWithReset(Writing::kCut);
  write_owed_ = false;
  timer_.reset();
  if (!read_owed_) return {0, IoState::kOk};
  timer_ = loop_.RunAfter(absl::ZeroDuration(), [this] {
    read_owed_ = false;
    if (handler_ != nullptr) handler_->OnReadable();
  });
  return {0, IoState::kOk};
}

// Polls, because the system has no event for "all bytes acknowledged".
void TcpTransport::ArmSendQueueCheck() {
  timer_ = loop_.RunAfter(next_check_, [this] {
    next_check_ = std::min(2 * next_check_, kLastSendQueueCheck);
    timer_.reset();
    if (!SendQueueEmpty()) return ArmSendQueueCheck();
    if (!std::exchange(write_owed_, false)) return;
    if (handler_ != nullptr) handler_->OnWritable();
  });
}

bool TcpTransport::SendQueueEmpty() const {
  int queued = 0;
  if (ioctl(socket_.get(), SIOCOUTQ, &queued) != 0 || queued == 0) return true;
  // After a RST the count never changes.
  tcp_info info = {};
  socklen_t size = sizeof info;
  const bool known = getsockopt(socket_.get(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0;
  return !known || info.tcpi_state == TCP_CLOSE;
}

void TcpTransport::Abort() {
  timer_.reset();
  read_owed_ = write_owed_ = false;
  handler_ = nullptr;
  if (!closed()) CloseWithReset(Writing::kAborted);
}

void TcpTransport::CloseWithReset(Writing after) {
  SetCancelled();
  reading_ = Reading::kFailed;
  writing_ = after;
  const linger no_linger = {1, 0};
  setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &no_linger, sizeof no_linger);
  loop_.Unwatch(socket_.get());
  socket_.Reset();
}

bool TcpTransport::MayFinishWrite() const {
  if (writing_ == Writing::kCutting) return SendQueueEmpty();
  return writing_ != Writing::kFull;
}

TransportInfo TcpTransport::info() const {
  TransportInfo info;
  info.local = local_;
  info.peer = peer_;
  return info;
}

// Bytes may precede what is reported: the end comes when a read finds it.
void TcpTransport::ExpectEnd() {
  if (!reading_over()) reading_ = Reading::kEndAhead;
}

void TcpTransport::NoteEvents(uint32_t events) {
  if (events & (EPOLLPRI | EPOLLRDHUP | kBroken)) ExpectEnd();
  if ((events & EPOLLIN) && reading_ == Reading::kEmpty) reading_ = ReadingBytes();
  if (events & EPOLLPRI) may_splice_ = false;
  if ((events & (EPOLLOUT | kBroken)) && writing_ == Writing::kFull) writing_ = Writing::kReady;
}

void TcpTransport::OnFdReady(uint32_t events) {
  NoteEvents(events);
  bool destroyed = false;
  destroyed_ = &destroyed;
  if (read_owed_ && reading_ != Reading::kEmpty) {
    read_owed_ = false;
    if (handler_ != nullptr) handler_->OnReadable();
    if (destroyed) return;
  }
  if (write_owed_ && MayFinishWrite()) {
    write_owed_ = false;
    if (handler_ != nullptr) handler_->OnWritable();
    if (destroyed) return;
  }
  destroyed_ = nullptr;
  if (closed()) return;
  // A report ends all that was awaited. The end of a cut is polled.
  if (read_owed_) loop_.Await(socket_.get(), EPOLLIN);
  if (write_owed_ && writing_ != Writing::kCutting) loop_.Await(socket_.get(), EPOLLOUT);
}

}  // namespace trestle
