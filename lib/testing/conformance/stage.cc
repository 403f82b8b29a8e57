#include "lib/testing/conformance/stage.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace trestle::testing {
namespace {

constexpr uint8_t kCanary = 0xa5;
constexpr size_t kMostPieceBytes = 40 * 1024;
constexpr size_t kFillPieceBytes = 16 * 1024;
constexpr int kMostWritesToNobody = 50;
// Longer than the latency of a host's links and the delays of a TLS stream.
constexpr absl::Duration kSettleTime = absl::Milliseconds(20);

}  // namespace

StageEnd::StageEnd(std::unique_ptr<Transport> transport, Scheduler& scheduler, uint64_t seed)
    : transport_(std::move(transport)), scheduler_(scheduler), random_(seed) {
  transport_->SetHandler(this);
}

StageEnd::~StageEnd() {
  EXPECT_EQ(nested, 0) << "callbacks came inside a call (rule 2 of Transport)";
}

IoResult StageEnd::Note(IoResult result, size_t most_bytes) {
  const bool fits = result.state == IoState::kOk ? result.bytes <= most_bytes : result.bytes == 0;
  if (!fits) ++odd_counts;
  result.bytes = std::min(result.bytes, most_bytes);
  return result;
}

IoState StageEnd::Read(size_t most_bytes) {
  if (transport_ == nullptr) return IoState::kFailed;
  std::vector<uint8_t> buffer(most_bytes + 8, kCanary);
  in_call_ = true;
  const IoResult raw = transport_->Read(MutableByteView(buffer.data(), most_bytes));
  in_call_ = false;
  const IoResult result = Note(raw, most_bytes);
  if (result.state == IoState::kOk && result.bytes == 0) ++odd_counts;
  if (std::count(buffer.end() - 8, buffer.end(), kCanary) != 8) ++overruns;
  received.append(reinterpret_cast<const char*>(buffer.data()), result.bytes);
  return result.state;
}

IoState StageEnd::Write(absl::string_view bytes) {
  if (transport_ == nullptr) return IoState::kFailed;
  in_call_ = true;
  const IoResult raw = transport_->Write(AsBytes(bytes));
  in_call_ = false;
  const IoResult result = Note(raw, bytes.size());
  if (result.state == IoState::kOk && result.bytes == 0) ++odd_counts;
  accepted.append(bytes.data(), result.bytes);
  return result.state;
}

IoState StageEnd::Shutdown(StreamEnd end) {
  if (transport_ == nullptr) return IoState::kFailed;
  in_call_ = true;
  const IoResult result = Note(transport_->ShutdownWrite(end), 0);
  in_call_ = false;
  return result.state;
}

void StageEnd::Abort() {
  in_call_ = true;
  transport_->Abort();
  in_call_ = false;
}

std::optional<ErrorCode> StageEnd::code() const {
  const std::optional<Error> error = GetError(transport_->status());
  return error.has_value() ? std::make_optional(error->code) : std::nullopt;
}

void StageEnd::ReadOn() {
  reads_on_ = true;
  Kick();
}

void StageEnd::Send(std::string bytes, std::optional<StreamEnd> end) {
  sends_ = true;
  unsent_ += bytes;
  end_ = end;
  Kick();
}

void StageEnd::Kick() {
  kick_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] {
    PumpReads();
    PumpWrites();
  });
}

void StageEnd::PumpReads() {
  while (reads_on_ && !read_waits_ && !read_end_.has_value() && transport_ != nullptr) {
    const IoState state = Read(1 + random_() % kMostPieceBytes);
    if (state == IoState::kWouldBlock) read_waits_ = true;
    if (state == IoState::kEndOfStream || state == IoState::kFailed) read_end_ = state;
  }
}

void StageEnd::PumpWrites() {
  while (sends_ && !write_waits_ && !unsent_.empty() && transport_ != nullptr) {
    const size_t size = std::min<size_t>(unsent_.size(), 1 + random_() % kMostPieceBytes);
    const bool last = size == unsent_.size() && end_ == StreamEnd::kClean;
    const absl::string_view piece(unsent_.data(), size);
    in_call_ = true;
    const IoResult raw =
        last ? transport_->WriteBeforeEnd(AsBytes(piece)) : transport_->Write(AsBytes(piece));
    in_call_ = false;
    const IoResult result = Note(raw, size);
    accepted.append(piece.data(), result.bytes);
    unsent_.erase(0, result.bytes);
    if (result.state == IoState::kWouldBlock) write_waits_ = true;
    if (result.state != IoState::kFailed) continue;
    write_failed_ = true;
    unsent_.clear();
  }
  if (!sends_ || write_waits_ || !unsent_.empty() || !end_.has_value() || end_state_.has_value()) {
    return;
  }
  const IoState state = Shutdown(*end_);
  if (state == IoState::kWouldBlock) {
    write_waits_ = true;
  } else {
    end_state_ = state;
  }
}

void StageEnd::OnReadable() {
  nested += in_call_;
  ++readable;
  read_waits_ = false;
  if (on_readable) on_readable();
  PumpReads();
}

void StageEnd::OnWritable() {
  nested += in_call_;
  ++writable;
  write_waits_ = false;
  if (on_writable) on_writable();
  PumpWrites();
}

Stage::Stage(ConformanceHostFactory& new_host, uint64_t seed)
    : random(seed), host_(new_host(seed)), traits_(host_->traits()) {}

Stage::~Stage() {
  dial_.reset();
  a.reset();
  b.reset();
  accepted_transports.clear();
}

bool Stage::Connect() {
  listening = host_->Listen([this](std::unique_ptr<Transport> transport) {
    accepted_transports.push_back(std::move(transport));
  });
  std::unique_ptr<Transport> dialed;
  dial_ = host_->dialer().Connect(listening,
                                  [&dialed](absl::StatusOr<std::unique_ptr<Transport>> result) {
                                    if (result.ok()) dialed = *std::move(result);
                                  });
  if (!Until([&] { return dialed != nullptr && !accepted_transports.empty(); })) return false;
  dial_.reset();
  const bool dialed_is_tested = random() % 2 == 0;
  auto near = std::make_unique<StageEnd>(std::move(dialed), loop(), random());
  auto far = std::make_unique<StageEnd>(std::move(accepted_transports.front()), loop(), random());
  accepted_transports.clear();
  a = dialed_is_tested ? std::move(near) : std::move(far);
  b = dialed_is_tested ? std::move(far) : std::move(near);
  return true;
}

void Stage::Settle() {
  for (const absl::Duration delay :
       {absl::ZeroDuration(), absl::ZeroDuration(), kSettleTime, absl::ZeroDuration()}) {
    bool passed = false;
    const Timer timer = loop().RunAfter(delay, [&passed] { passed = true; });
    Until([&passed] { return passed; });
  }
}

bool Stage::FillUp() {
  IoState state = IoState::kOk;
  while (state == IoState::kOk && a->accepted.size() <= traits_.most_accepted_bytes) {
    state = a->Write(RandomBytes(kFillPieceBytes));
  }
  return state == IoState::kWouldBlock;
}

IoState Stage::ReadWhenReady(StageEnd& end) {
  while (true) {
    const int before = end.readable;
    const IoState state = end.Read(RandomSize(kMostPieceBytes));
    if (state != IoState::kWouldBlock) return state;
    if (!Until([&] { return end.readable > before; })) return state;
  }
}

IoState Stage::ShutdownWhenReady(StageEnd& end, StreamEnd how) {
  while (true) {
    const int before = end.writable;
    const IoState state = end.Shutdown(how);
    if (state != IoState::kWouldBlock) return state;
    if (!Until([&] { return end.writable > before; })) return state;
  }
}

// The first writes may succeed, because the peer's reset is still in flight.
bool Stage::WriteUntilFailure(StageEnd& end) {
  for (int i = 0; i < kMostWritesToNobody && !end.write_failed(); ++i) {
    end.Send(RandomBytes(kFillPieceBytes));
    Settle();
  }
  return end.write_failed();
}

std::string Stage::RandomBytes(size_t size) {
  std::string bytes(size, '\0');
  const uint64_t start = random();
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((start + i * 2654435761u) >> 24);
  return bytes;
}

}  // namespace trestle::testing
