#include "tests/bogo/exchange.h"

#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/bogo/below.h"
#include "tests/bogo/expectations.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/io/stream_closer.h"
#include "trestle/linux/tcp_dialer.h"

namespace trestle::bogo {
namespace {

// The first bytes on a connection tell the runner which shim it is.
std::string ShimId(uint64_t id) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(id >> (8 * i)));
  return bytes;
}

// A handler behind a router asks whether the name and protocols that TLS answers lead to it, too.
absl::Status CheckRoute(const RoutedHello& hello, const HelloToAnswer& answered) {
  for (const auto& check : hello.checks) {
    if (check->LeadsToSameHandler(answered.server_name, answered.alpn)) continue;
    return MakeError(ErrorCode::kNoRoute, Phase::kHandshake, "the name leads to another handler");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Exchange::Run(bool is_resume, const Memory& memory) {
  absl::Status status = Connect();
  if (!status.ok()) return status;
  status = Handshake();
  if (status.ok()) status = CheckHandshake(flags_, is_resume, side_, *stream_);
  if (status.ok()) status = Converse();
  if (status.ok()) status = CheckSessions(flags_, is_resume, memory);
  if (status.ok()) status = ShutDown();
  Close();
  return status;
}

void Exchange::RunUntil(const bool& done) {
  while (!done) loop_.RunTurn(absl::Minutes(1));
}

absl::Status Exchange::Connect() {
  const std::string address = absl::StrCat(flags_.ipv6 ? "[::1]:" : "127.0.0.1:", flags_.port);
  const absl::StatusOr<Endpoint> runner = Endpoint::Parse(address);
  if (!runner.ok()) return runner.status();
  TcpDialer dialer(loop_);
  absl::Status status;
  bool done = false;
  const std::unique_ptr<Dial> dial = dialer.Connect(*runner, [&](auto connection) {
    status = connection.status();
    if (connection.ok()) socket_ = *std::move(connection);
    done = true;
  });
  RunUntil(done);
  if (!status.ok()) return status;
  const std::string id = ShimId(flags_.shim_id);
  if (socket_->Write(AsBytes(id)).bytes == id.size()) return absl::OkStatus();
  return absl::InternalError("the socket did not take the shim's number");
}

absl::Status Exchange::OpenStream() {
  std::unique_ptr<Transport> below = std::move(socket_);
  if (flags_.async || flags_.chopped) {
    auto chopped = std::make_unique<ChoppedTransport>(std::move(below), loop_);
    chopped_ = chopped.get();
    below = std::move(chopped);
  }
  if (flags_.routed) {
    router_ = std::make_unique<HelloRouter>(loop_);
    absl::StatusOr<Accepted> routed = router_->PassThrough(std::move(below));
    if (!routed.ok()) return routed.status();
    below = std::move(routed->transport);
    side_.engine->SetHelloCheck([hello = routed->hello](const HelloToAnswer& answered) {
      return CheckRoute(*hello, answered);
    });
  }
  stream_ = std::make_unique<TlsStream>(std::move(side_.engine), std::move(below), loop_);
  stream_->SetHandler(this);
  return absl::OkStatus();
}

absl::Status Exchange::Handshake() {
  absl::Status status = OpenStream();
  if (!status.ok()) return status;
  bool done = false;
  stream_->Handshake([&](absl::Status ended) {
    status = std::move(ended);
    done = true;
  });
  // A handshake always begins with that call. What can go without a wait for it is the first read.
  std::array<uint8_t, 1> room = {};
  if (flags_.implicit_handshake && stream_->Read(absl::MakeSpan(room)).state == IoState::kOk) {
    return absl::InternalError("a read returned data before the handshake was done");
  }
  RunUntil(done);
  return status;
}

absl::Status Exchange::Converse() {
  const absl::StatusOr<std::string> exported = ExportBelow(flags_);
  if (!exported.ok()) return exported.status();
  if (absl::Status sent = WriteAll(AsBytes(*exported)); !sent.ok()) return sent;
  if (flags_.write_different_record_sizes) return WriteManySizes();
  absl::Status status = WriteFirst();
  return status.ok() && !flags_.shim_shuts_down ? Echo() : status;
}

absl::Status Exchange::WriteManySizes() {
  for (const size_t bytes : {0, 1, 255, 256, 257, 16383, 16384, 16385, 32767, 32768, 32769}) {
    const std::vector<uint8_t> data(bytes, 0x42);
    if (absl::Status status = WriteAll(data); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Exchange::WriteFirst() {
  if (!flags_.shim_writes_first && !flags_.read_with_unfinished_write) return absl::OkStatus();
  if (flags_.read_with_unfinished_write) {
    while (chopped_->writing()) loop_.RunTurn(absl::Minutes(1));  // The handshake's last flight.
    chopped_->HoldWritesAfter(1);
  }
  for (int i = 0; i < flags_.repeat_shim_initial_write; ++i) {
    absl::Status status = WriteAll(AsBytes(flags_.shim_initial_write));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// Returns all bits inverted, until the peer ends.
absl::Status Exchange::Echo() {
  std::vector<uint8_t> room(static_cast<size_t>(flags_.read_size));
  for (;;) {
    const IoResult result = Read(MutableByteView(room.data(), room.size()));
    if (result.state == IoState::kEndOfStream) return absl::OkStatus();
    if (result.state == IoState::kFailed) {
      const std::optional<Error> error = GetError(stream_->status());
      const bool cut = error.has_value() && error->code == ErrorCode::kTruncated;
      return cut && !flags_.check_close_notify ? absl::OkStatus() : stream_->status();
    }
    if (flags_.read_with_unfinished_write) chopped_->ReleaseWrites();
    for (size_t i = 0; i < result.bytes; ++i) room[i] ^= 0xff;
    absl::Status status = WriteAll(ByteView(room.data(), result.bytes));
    if (!status.ok()) return status;
  }
}

IoResult Exchange::Read(MutableByteView out) {
  for (;;) {
    readable_ = false;
    const IoResult result = stream_->Read(out);
    if (result.state != IoState::kWouldBlock) return result;
    RunUntil(readable_);
  }
}

absl::Status Exchange::WriteAll(ByteView data) {
  while (!data.empty()) {
    writable_ = false;
    const IoResult result = stream_->Write(data);
    if (result.state == IoState::kFailed) return stream_->status();
    if (result.state == IoState::kWouldBlock) RunUntil(writable_);
    data = data.subspan(result.bytes);
  }
  return absl::OkStatus();
}

// Ends this direction first, and with -check-close-notify reads the peer's end.
absl::Status Exchange::ShutDown() {
  if (!flags_.shim_shuts_down || !flags_.check_close_notify) return absl::OkStatus();
  for (;;) {
    writable_ = false;
    const IoState state = stream_->ShutdownWrite(StreamEnd::kClean).state;
    if (state == IoState::kFailed) return stream_->status();
    if (state == IoState::kOk) break;
    RunUntil(writable_);
  }
  std::array<uint8_t, 512> room = {};
  for (;;) {
    const IoState state = Read(absl::MakeSpan(room)).state;
    if (state == IoState::kEndOfStream) return absl::OkStatus();
    if (state == IoState::kFailed) return stream_->status();
  }
}

void Exchange::Close() {
  if (stream_ == nullptr) return;  // The router refused the client.
  StreamCloser closer(loop_, std::move(stream_));
  bool closed = false;
  if (!closer.Start([&] { closed = true; })) RunUntil(closed);
}

}  // namespace trestle::bogo
