// FrameReader: reads the HTTP/2 frames of one direction without HPACK, written apart from the
// gateway, and finds what a peer may not send (RFC 9113 5.1, 5.1.1).
#ifndef TRESTLE_TESTS_INTEGRATIONS_HTTP_FRAME_READER_H_
#define TRESTLE_TESTS_INTEGRATIONS_HTTP_FRAME_READER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace trestle {

enum Http2FrameType : uint8_t {
  kDataFrame = 0,
  kHeadersFrame = 1,
  kResetFrame = 3,
  kSettingsFrame = 4,
  kGoawayFrame = 7,
};
inline constexpr uint8_t kEndStreamFlag = 1;
inline constexpr uint8_t kEndHeadersFlag = 4;

inline constexpr absl::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Returns a frame with this payload, of less than 16 MiB.
inline std::string Http2Frame(uint8_t type, uint8_t flags, uint32_t stream,
                              absl::string_view payload) {
  std::string frame;
  for (const int shift : {16, 8, 0}) frame.push_back(static_cast<char>(payload.size() >> shift));
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) frame.push_back(static_cast<char>(stream >> shift));
  return absl::StrCat(frame, payload);
}

class FrameReader {
 public:
  struct Stream {
    std::string body;
    int heads = 0;       ///< HEADERS frames: interim and final ones, and trailers.
    bool ended = false;  ///< END_STREAM.
    bool reset = false;
  };

  /// `skip`: bytes before the first frame.
  explicit FrameReader(size_t skip = 0) : at_(skip) {}

  /// Reads the new part of `all`, which begins with the bytes of the last call.
  void Read(absl::string_view all) {
    while (fault_.empty() && at_ + 9 <= all.size()) {
      const size_t size = Number(all, at_, 3);
      if (size > 16384) {
        fault_ = "a frame over the size that every peer accepts";
      } else if (at_ + 9 + size <= all.size()) {
        Take(static_cast<uint8_t>(all[at_ + 3]), static_cast<uint8_t>(all[at_ + 4]),
             static_cast<uint32_t>(Number(all, at_ + 5, 4)), all.substr(at_ + 9, size));
        at_ += 9 + size;
      } else {
        return;
      }
    }
  }

  const std::map<uint32_t, Stream>& streams() const { return streams_; }
  /// Returns the last stream with a HEADERS frame; 0 before.
  uint32_t last_stream() const { return last_stream_; }
  bool goaway() const { return goaway_; }
  const std::string& fault() const { return fault_; }

 private:
  static size_t Number(absl::string_view bytes, size_t at, int count) {
    size_t number = 0;
    for (int i = 0; i < count; ++i) {
      number = number << 8 | static_cast<uint8_t>(bytes[at + static_cast<size_t>(i)]);
    }
    return number;
  }

  void Take(uint8_t type, uint8_t flags, uint32_t id, absl::string_view payload) {
    goaway_ = goaway_ || type == kGoawayFrame;
    if (type != kDataFrame && type != kHeadersFrame && type != kResetFrame) return;
    Stream& stream = streams_[id];
    if (id % 2 == 0) fault_ = absl::StrCat("a frame of stream ", id);
    if (stream.reset) fault_ = absl::StrCat("a frame after the reset of stream ", id);
    if (type == kResetFrame) {
      stream.reset = true;
      return;
    }
    if (stream.ended) fault_ = absl::StrCat("a frame after the end of stream ", id);
    if (type == kHeadersFrame) {
      ++stream.heads;
      last_stream_ = id;
    } else if (stream.heads == 0) {
      fault_ = absl::StrCat("a body before the head of stream ", id);
    } else {
      absl::StrAppend(&stream.body, payload);
    }
    stream.ended = (flags & kEndStreamFlag) != 0;
  }

  size_t at_;
  std::map<uint32_t, Stream> streams_;
  uint32_t last_stream_ = 0;
  bool goaway_ = false;
  std::string fault_;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_INTEGRATIONS_HTTP_FRAME_READER_H_
