#include "lib/wire/hello_retry.h"

namespace trestle::wire_internal {
namespace {

constexpr size_t kLengthAt = 1;
constexpr size_t kLengthEnd = 4;
// A server's message: type, length, version 1.2, and the random value of a HelloRetryRequest.
constexpr uint8_t kHelloRetry[] = {2,    0,    0,    0,    0x03, 0x03, 0xcf, 0x21, 0xad, 0x74,
                                   0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65,
                                   0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
                                   0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

bool Fits(size_t at, uint8_t byte) {
  return byte == kHelloRetry[at] || (at >= kLengthAt && at < kLengthEnd);
}

}  // namespace

HelloRetryScanner::Answer HelloRetryScanner::Feed(ByteView bytes) {
  while (!bytes.empty()) {
    const RecordFollower::Part part = records_.Next(bytes);
    bytes.remove_prefix(part.bytes.size());
    if (answer_ != Answer::kUndecided) continue;
    if (records_.type() != kHandshakeRecord) {
      answer_ = Answer::kOther;
    } else if (part.is_body) {
      Judge(part.bytes);
    }
  }
  return answer_;
}

void HelloRetryScanner::Judge(ByteView fragment) {
  for (uint8_t byte : fragment) {
    if (!Fits(judged_, byte)) {
      answer_ = Answer::kOther;
    } else if (++judged_ == sizeof(kHelloRetry)) {
      answer_ = Answer::kRetry;
    }
    if (answer_ != Answer::kUndecided) return;
  }
}

}  // namespace trestle::wire_internal
