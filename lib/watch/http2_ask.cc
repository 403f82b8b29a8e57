#include "lib/watch/http2_ask.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace trestle {
namespace {

constexpr size_t kFrameHead = 9;
constexpr size_t kMaxFrame = 16384;
constexpr size_t kMaxBlock = 64 * 1024;
constexpr uint32_t kStream = 1;

enum Type : uint8_t {
  kData = 0,
  kHeaders = 1,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoaway = 7,
  kContinuation = 9,
};

enum Flag : uint8_t {
  kAck = 0x1,
  kEndStream = 0x1,
  kEndHeaders = 0x4,
  kPadded = 0x8,
  kPriority = 0x20,
};

std::string FrameText(uint8_t type, uint8_t flags, uint32_t stream, absl::string_view payload) {
  std::string text;
  for (const int shift : {16, 8, 0}) text.push_back(static_cast<char>(payload.size() >> shift));
  text.push_back(static_cast<char>(type));
  text.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) text.push_back(static_cast<char>(stream >> shift));
  absl::StrAppend(&text, payload);
  return text;
}

// A field that is not indexed (RFC 7541 6.2.2), with a name of the static table, in plain text.
void AppendField(std::string& block, size_t name, absl::string_view value) {
  const auto append = [&block](size_t number, size_t prefix_max) {
    if (number < prefix_max) return block.push_back(static_cast<char>(number));
    block.push_back(static_cast<char>(prefix_max));
    for (number -= prefix_max; number >= 128; number /= 128) {
      block.push_back(static_cast<char>(number % 128 + 128));
    }
    block.push_back(static_cast<char>(number));
  };
  append(name, 15);
  append(value.size(), 127);
  absl::StrAppend(&block, value);
}

// The part of the Huffman code (RFC 7541 B) that ":status" and its values need.
struct Code {
  char symbol;
  uint32_t bits;
  int length;
};
constexpr Code kCodes[] = {{'0', 0x0, 5},  {'1', 0x1, 5},  {'2', 0x2, 5},  {'3', 0x19, 6},
                           {'4', 0x1a, 6}, {'5', 0x1b, 6}, {'6', 0x1c, 6}, {'7', 0x1d, 6},
                           {'8', 0x1e, 6}, {'9', 0x1f, 6}, {':', 0x5c, 7}, {'a', 0x3, 5},
                           {'s', 0x8, 5},  {'t', 0x9, 5},  {'u', 0x2d, 6}};

// Returns what is known of the text: an unknown symbol ends it.
std::string FromHuffman(absl::string_view bytes) {
  std::string text;
  uint32_t bits = 0;
  int length = 0;
  for (const char byte : bytes) {
    for (int shift = 7; shift >= 0; --shift) {
      bits = bits * 2 + ((static_cast<uint8_t>(byte) >> shift) & 1);
      ++length;
      const auto* const code = std::find_if(
          std::begin(kCodes), std::end(kCodes),
          [&](const Code& known) { return known.length == length && known.bits == bits; });
      if (code == std::end(kCodes)) continue;
      text.push_back(code->symbol);
      bits = 0;
      length = 0;
    }
  }
  return text;
}

// Reads the fields of a block one after another, without a dynamic table: the request's settings
// allow none.
class BlockReader {
 public:
  explicit BlockReader(absl::string_view block) : left_(block) {}

  // Returns the status, which is the first field (RFC 9113 8.3.2); nothing if it isn't.
  std::optional<int> Status() {
    while (!left_.empty() && (First() & 0xe0) == 0x20) {
      if (!Number(5).has_value()) return std::nullopt;
    }
    if (left_.empty()) return std::nullopt;
    if ((First() & 0x80) != 0) return Indexed();
    const std::optional<size_t> name = Number((First() & 0xc0) == 0x40 ? 6 : 4);
    if (!name.has_value()) return std::nullopt;
    const bool named = *name == 0 ? String() == ":status" : IsStatus(*name);
    const std::string value = named ? String() : "";
    int status = 0;
    const bool three_digits =
        value.size() == 3 && std::all_of(value.begin(), value.end(), absl::ascii_isdigit);
    if (!three_digits || !absl::SimpleAtoi(value, &status)) return std::nullopt;
    return status;
  }

 private:
  static constexpr size_t kFirstStatus = 8;  // In the static table.
  static constexpr int kStatuses[] = {200, 204, 206, 304, 400, 404, 500};
  static bool IsStatus(size_t index) {
    return index >= kFirstStatus && index < kFirstStatus + std::size(kStatuses);
  }

  uint8_t First() const { return static_cast<uint8_t>(left_.front()); }

  std::optional<int> Indexed() {
    const std::optional<size_t> index = Number(7);
    if (!index.has_value() || !IsStatus(*index)) return std::nullopt;
    return kStatuses[*index - kFirstStatus];
  }

  // Reads a number whose prefix has `bits` (RFC 7541 5.1).
  std::optional<size_t> Number(int bits) {
    const size_t most = (size_t{1} << bits) - 1;
    size_t number = First() & most;
    left_.remove_prefix(1);
    if (number < most) return number;
    for (int shift = 0; shift <= 14 && !left_.empty(); shift += 7) {
      const uint8_t byte = First();
      left_.remove_prefix(1);
      number += static_cast<size_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return number;
    }
    return std::nullopt;
  }

  // Reads a text; empty if it isn't complete.
  std::string String() {
    if (left_.empty()) return "";
    const bool huffman = (First() & 0x80) != 0;
    const std::optional<size_t> length = Number(7);
    if (!length.has_value() || *length > left_.size()) return "";
    const absl::string_view text = left_.substr(0, *length);
    left_.remove_prefix(*length);
    return huffman ? FromHuffman(text) : std::string(text);
  }

  absl::string_view left_;
};

}  // namespace

std::string Http2Ask::Request(absl::string_view scheme, absl::string_view authority,
                              absl::string_view path) {
  // SETTINGS_HEADER_TABLE_SIZE and SETTINGS_ENABLE_PUSH are 0.
  constexpr absl::string_view kNoTableNoPush("\0\1\0\0\0\0\0\2\0\0\0\0", 12);
  std::string block = "\x82";                            // :method GET
  block.push_back(scheme == "https" ? '\x87' : '\x86');  // :scheme
  AppendField(block, 4, path);
  AppendField(block, 1, authority);
  AppendField(block, 58, "trestle-health-check");  // user-agent
  AppendField(block, 19, "*/*");                   // accept
  return absl::StrCat("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                      FrameText(kSettings, 0, 0, kNoTableNoPush),
                      FrameText(kHeaders, kEndStream | kEndHeaders, kStream, block));
}

void Http2Ask::Read(absl::string_view bytes) {
  absl::StrAppend(&buffer_, bytes);
  absl::string_view left = buffer_;
  while (!ended() && left.size() >= kFrameHead) {
    const auto at = [left](size_t i) {
      return static_cast<uint32_t>(static_cast<uint8_t>(left[i]));
    };
    const size_t length = at(0) << 16 | at(1) << 8 | at(2);
    if (!settings_read_ && at(3) != kSettings) return Fail("it does not speak HTTP/2");
    if (length > kMaxFrame) return Fail("a frame is too long");
    if (left.size() < kFrameHead + length) break;
    const uint32_t stream = (at(5) << 24 | at(6) << 16 | at(7) << 8 | at(8)) & 0x7fffffff;
    OnFrame({static_cast<uint8_t>(at(3)), static_cast<uint8_t>(at(4)), stream,
             left.substr(kFrameHead, length)});
    left.remove_prefix(kFrameHead + length);
  }
  buffer_.erase(0, buffer_.size() - left.size());
}

void Http2Ask::OnFrame(const Frame& frame) {
  if (in_block_ && (frame.type != kContinuation || frame.stream != kStream)) {
    return Fail("a head is not complete");
  }
  switch (frame.type) {
    case kSettings:
      return OnSettings(frame);
    case kHeaders:
      return OnHeaders(frame);
    case kContinuation:
      return in_block_ ? OnBlockPart(frame, frame.payload) : Fail("a frame without a head");
    case kPing:
      if (frame.payload.size() != 8) return Fail("a PING of a wrong length");
      if ((frame.flags & kAck) == 0) reply_ += FrameText(kPing, kAck, 0, frame.payload);
      return;
    case kGoaway:
      return Fail("it ended the connection (GOAWAY)");
    case kRstStream:
      return frame.stream == kStream ? Fail("it reset the request") : void();
    case kPushPromise:
      return Fail("it pushes, which the settings forbid");
    default:
      return;  // Data, windows, priorities and unknown frames say nothing about health.
  }
}

void Http2Ask::OnSettings(const Frame& frame) {
  settings_read_ = true;
  if (frame.payload.size() % 6 != 0 || frame.stream != 0) return Fail("malformed settings");
  if ((frame.flags & kAck) == 0) reply_ += FrameText(kSettings, kAck, 0, "");
}

void Http2Ask::OnHeaders(const Frame& frame) {
  if (frame.stream != kStream) return Fail("a response that nobody asked for");
  absl::string_view part = frame.payload;
  size_t padding = 0;
  if ((frame.flags & kPadded) != 0) {
    if (part.empty()) return Fail("malformed padding");
    padding = static_cast<uint8_t>(part.front());
    part.remove_prefix(1);
  }
  const size_t priority = (frame.flags & kPriority) != 0 ? 5 : 0;
  if (part.size() < priority + padding) return Fail("malformed padding");
  part.remove_prefix(priority);
  part.remove_suffix(padding);
  block_.clear();
  OnBlockPart(frame, part);
}

void Http2Ask::OnBlockPart(const Frame& frame, absl::string_view part) {
  absl::StrAppend(&block_, part);
  if (block_.size() > kMaxBlock) return Fail("the response has too long a head");
  in_block_ = (frame.flags & kEndHeaders) == 0;
  if (in_block_) return;
  const std::optional<int> status = BlockReader(block_).Status();
  if (!status.has_value()) return Fail("the response has no status");
  // An informational one comes before the response (RFC 9110 15.2).
  if (*status >= 200) status_ = status;
}

void Http2Ask::Fail(absl::string_view why) {
  if (failure_.empty()) failure_ = std::string(why);
}

}  // namespace trestle
