#include "integrations/http/frame_budget.h"

#include <algorithm>

#include "absl/time/time.h"

namespace trestle {
namespace {

constexpr size_t kFrameHeaderBytes = 9;
constexpr int kMaxContinuations = 16;  // Of one header block.

// Frame types and flags (RFC 9113 6, RFC 9218 7.1).
enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriorityFrame = 2,
  kRstStream = 3,
  kSettingsFrame = 4,
  kPushPromise = 5,
  kPingFrame = 6,
  kGoaway = 7,
  kWindowUpdateFrame = 8,
  kContinuationFrame = 9,
  kPriorityUpdate = 16,
};
constexpr uint8_t kEndStream = 1;
constexpr uint8_t kAck = 1;

struct Allowance {
  double at_once;
  double per_second;
};

Allowance AllowanceOf(FrameKind kind) {
  switch (kind) {
    case FrameKind::kReset:
      return {200, 33};
    case FrameKind::kPing:
      return {100, 10};
    case FrameKind::kSettings:
      return {32, 1};
    case FrameKind::kPriority:
      return {1000, 100};
    case FrameKind::kWindowUpdate:
      return {20'000, 20'000};
    case FrameKind::kEmptyData:
      return {100, 10};
    case FrameKind::kContinuation:
    case FrameKind::kOther:
      return {100, 10};
  }
  return {100, 10};
}

}  // namespace

absl::string_view EnumName(FrameKind kind) {
  switch (kind) {
    case FrameKind::kReset:
      return "reset";
    case FrameKind::kPing:
      return "ping";
    case FrameKind::kSettings:
      return "settings";
    case FrameKind::kPriority:
      return "priority";
    case FrameKind::kWindowUpdate:
      return "window_update";
    case FrameKind::kEmptyData:
      return "empty_data";
    case FrameKind::kContinuation:
      return "continuation";
    case FrameKind::kOther:
      return "other";
  }
  return "";
}

size_t FrameBudget::WholeHeaders(absl::string_view bytes, MonotonicTime now) {
  size_t end = 0;
  while (true) {
    const size_t body = std::min(bytes.size() - end, unread_);
    end += body;
    unread_ -= body;
    if (unread_ > 0 || bytes.size() - end < kFrameHeaderBytes) return end;
    const absl::string_view header = bytes.substr(end, kFrameHeaderBytes);
    const auto byte = [&](size_t i) {
      return static_cast<size_t>(static_cast<uint8_t>(header[i]));
    };
    unread_ = kFrameHeaderBytes + (byte(0) << 16 | byte(1) << 8 | byte(2));
    CountHeader(header, now);
  }
}

void FrameBudget::CountHeader(absl::string_view header, MonotonicTime now) {
  const auto flags = static_cast<uint8_t>(header[4]);
  const bool empty = header.substr(0, 3) == absl::string_view("\0\0\0", 3);
  switch (static_cast<uint8_t>(header[3])) {
    case kData:
      if (empty && (flags & kEndStream) == 0) Count(FrameKind::kEmptyData, now);
      return;
    case kHeaders:
    case kPushPromise:
      continuations_ = 0;
      return;
    case kContinuationFrame:
      if (++continuations_ > kMaxContinuations) exceeded_ = FrameKind::kContinuation;
      return;
    case kRstStream:
      return Count(FrameKind::kReset, now);
    case kSettingsFrame:
      if ((flags & kAck) == 0) Count(FrameKind::kSettings, now);
      return;
    case kPingFrame:
      if ((flags & kAck) == 0) Count(FrameKind::kPing, now);
      return;
    case kPriorityFrame:
    case kPriorityUpdate:
      return Count(FrameKind::kPriority, now);
    case kWindowUpdateFrame:
      return Count(FrameKind::kWindowUpdate, now);
    case kGoaway:
      return;
    default:
      return Count(FrameKind::kOther, now);
  }
}

void FrameBudget::Count(FrameKind kind, MonotonicTime now) {
  const Allowance allowance = AllowanceOf(kind);
  Bucket& bucket = buckets_[static_cast<size_t>(kind)];
  if (bucket.used > 0) {
    const double refilled = absl::ToDoubleSeconds(now - bucket.at) * allowance.per_second;
    bucket.used = std::max(0.0, bucket.used - refilled);
  }
  bucket.at = now;
  bucket.used += 1;
  if (bucket.used > allowance.at_once && !exceeded_.has_value()) exceeded_ = kind;
}

}  // namespace trestle
