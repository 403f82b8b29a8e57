#include "lib/wire/quic_hello_assembler.h"

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "lib/wire/byte_cursor.h"
#include "lib/wire/quic_frames.h"
#include "trestle/base/error.h"

namespace trestle {
namespace wire_internal {
namespace {

constexpr size_t kMessageHeaderBytes = 4;
constexpr uint8_t kClientHelloMessage = 1;

}  // namespace

std::optional<QuicHelloFault> QuicHelloAssembler::TakePacket(ByteView payload) {
  if (payload.empty()) return QuicHelloFault::kNoFrames;
  ByteCursor in(payload);
  while (!in.empty()) {
    QuicCryptoFrame crypto;
    std::optional<QuicHelloFault> fault = ReadQuicFrame(in, crypto);
    if (!fault && !crypto.data.empty()) fault = TakeCrypto(crypto.offset, crypto.data);
    if (fault) return fault;
  }
  const bool complete =
      message_bytes_ != 0 && arrived_.size() == 1 && arrived_[0].end == message_bytes_;
  return complete && !done_ ? Finish() : std::nullopt;
}

std::optional<QuicHelloFault> QuicHelloAssembler::TakeCrypto(uint64_t offset, ByteView data) {
  const size_t most = kMessageHeaderBytes + limits_.hello_bytes;
  if (offset > most || data.size() > most - offset) return QuicHelloFault::kHelloTooLarge;
  const auto begin = static_cast<size_t>(offset);
  const Range range = {begin, begin + data.size()};
  if (!Agrees(range, data)) return QuicHelloFault::kContradiction;
  if (message_.size() < range.end) message_.resize(range.end);
  std::memcpy(&message_[range.begin], data.data(), data.size());
  Merge(range);
  const size_t gaps = arrived_.size() - (arrived_[0].begin == 0 ? 1 : 0);
  if (gaps > limits_.gaps) return QuicHelloFault::kTooManyGaps;
  return ReadMessageHeader();
}

// Whether `data` has the bytes that have arrived already, where they overlap.
bool QuicHelloAssembler::Agrees(Range range, ByteView data) const {
  for (const Range& known : arrived_) {
    const size_t begin = std::max(range.begin, known.begin);
    const size_t end = std::min(range.end, known.end);
    if (begin >= end) continue;
    if (std::memcmp(&message_[begin], &data[begin - range.begin], end - begin) != 0) return false;
  }
  return true;
}

void QuicHelloAssembler::Merge(Range range) {
  // The ranges that touch `range` become one with it.
  const auto first = std::find_if(arrived_.begin(), arrived_.end(),
                                  [&](const Range& known) { return known.end >= range.begin; });
  auto last = first;
  for (; last != arrived_.end() && last->begin <= range.end; ++last) {
    range = {std::min(range.begin, last->begin), std::max(range.end, last->end)};
  }
  arrived_.insert(arrived_.erase(first, last), range);
}

std::optional<QuicHelloFault> QuicHelloAssembler::ReadMessageHeader() {
  if (arrived_[0].begin != 0) return std::nullopt;
  const ByteView header = AsBytes(message_);
  if (header[0] != kClientHelloMessage) return QuicHelloFault::kNotClientHello;
  if (arrived_[0].end < kMessageHeaderBytes) return std::nullopt;
  const auto body_bytes = static_cast<size_t>(header[1] << 16 | header[2] << 8 | header[3]);
  if (body_bytes > limits_.hello_bytes) return QuicHelloFault::kHelloTooLarge;
  message_bytes_ = kMessageHeaderBytes + body_bytes;
  if (message_.size() > message_bytes_) return QuicHelloFault::kBeyondHello;
  return std::nullopt;
}

std::optional<QuicHelloFault> QuicHelloAssembler::Finish() {
  const absl::Status status = ParseClientHello(AsBytes(message_), limits_.server_name, hello_);
  if (!status.ok()) {
    reason_ = GetError(status)->detail;
    return QuicHelloFault::kMalformedHello;
  }
  hello_.over_quic = true;
  done_ = true;
  return std::nullopt;
}

}  // namespace wire_internal
}  // namespace trestle
