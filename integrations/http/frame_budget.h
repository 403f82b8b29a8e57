// FrameBudget: follows the frame headers of an HTTP/2 peer, and limits frames that cost more than
// they carry. These are resets, PINGs, SETTINGS, CONTINUATIONs, empty DATA and others (RFC 9113
// 10.5).
#ifndef TRESTLE_INTEGRATIONS_HTTP_FRAME_BUDGET_H_
#define TRESTLE_INTEGRATIONS_HTTP_FRAME_BUDGET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "trestle/base/monotonic_time.h"

namespace trestle {

/// The kinds of frames with a budget.
enum class FrameKind : uint8_t {
  kReset,  ///< RST_STREAM of the peer, and those that its errors cause here.
  kPing,
  kSettings,
  kPriority,  ///< PRIORITY and PRIORITY_UPDATE.
  kWindowUpdate,
  kEmptyData,     ///< DATA without bytes and without END_STREAM.
  kContinuation,  ///< Of one header block.
  kOther,         ///< Frames of unknown types.
};

/// Returns the name of a kind for logs and metrics: "reset".
absl::string_view EnumName(FrameKind kind);

/// Splits received bytes at frame headers, and counts frames. Each kind has a number of frames that
/// may come at once, and a number for each second afterwards.
class FrameBudget {
 public:
  /// `preface_bytes`: the length of what precedes the first frame.
  explicit FrameBudget(size_t preface_bytes) : unread_(preface_bytes) {}

  /// Reads frame headers in `bytes`, which begin where the last call's result ended. Returns the
  /// number of bytes that do not end within a frame's header: pass the others again. Sets
  /// `exceeded()` if a budget is used up.
  size_t WholeHeaders(absl::string_view bytes, MonotonicTime now);

  /// Counts a frame that is caused by the peer.
  void Count(FrameKind kind, MonotonicTime now);

  /// Returns the first kind whose budget is used up; empty if there is none.
  std::optional<FrameKind> exceeded() const { return exceeded_; }

 private:
  struct Bucket {
    double used = 0;
    MonotonicTime at;
  };

  void CountHeader(absl::string_view header, MonotonicTime now);

  size_t unread_;  // Remaining bytes of the preface or of the current frame.
  int continuations_ = 0;
  std::array<Bucket, 8> buckets_;
  std::optional<FrameKind> exceeded_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_FRAME_BUDGET_H_
