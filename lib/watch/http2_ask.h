// Http2Ask: one GET over HTTP/2, of which only the status is read (RFC 9113, RFC 7541). For health
// checks: pure text, without streams, windows or bodies.
#ifndef TRESTLE_LIB_WATCH_HTTP2_ASK_H_
#define TRESTLE_LIB_WATCH_HTTP2_ASK_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace trestle {

class Http2Ask {
 public:
  /// Returns what to send first: the preface, settings and the request. The texts must be visible
  /// ASCII, and shorter than a frame (16 KiB) together.
  static std::string Request(absl::string_view scheme, absl::string_view authority,
                             absl::string_view path);

  /// Reads bytes of the server, in pieces of any size. Has no effect after a status or a failure.
  void Read(absl::string_view bytes);

  /// Returns what to send now: acknowledgements. It is then forgotten.
  std::string TakeReply() { return std::exchange(reply_, {}); }

  /// Returns the status of the response, once it is known; never an informational one.
  std::optional<int> status() const { return status_; }

  /// Returns why there will be no status; empty while there may be one.
  const std::string& failure() const { return failure_; }

 private:
  struct Frame {
    uint8_t type;
    uint8_t flags;
    uint32_t stream;
    absl::string_view payload;
  };

  bool ended() const { return status_.has_value() || !failure_.empty(); }
  void OnFrame(const Frame& frame);
  void OnSettings(const Frame& frame);
  void OnHeaders(const Frame& frame);
  void OnBlockPart(const Frame& frame, absl::string_view part);
  void Fail(absl::string_view why);

  std::string buffer_;  // The beginning of a frame.
  bool settings_read_ = false;
  bool in_block_ = false;  // CONTINUATION frames follow.
  std::string block_;      // Of the response's head.
  std::string reply_;
  std::optional<int> status_;
  std::string failure_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_WATCH_HTTP2_ASK_H_
