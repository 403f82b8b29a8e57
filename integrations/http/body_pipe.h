// BodyPipe: a body in transit between two legs: bytes, then an end with trailers.
#ifndef TRESTLE_INTEGRATIONS_HTTP_BODY_PIPE_H_
#define TRESTLE_INTEGRATIONS_HTTP_BODY_PIPE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "integrations/http/http_fields.h"

namespace trestle {

/// A queue of bytes that holds no memory while it is empty. The codec that fills it limits its size
/// by ending reads.
class BodyPipe {
 public:
  void Append(absl::string_view bytes) {
    bytes_.append(bytes.data(), bytes.size());
    passed_ += bytes.size();
  }

  /// Marks the end. No byte follows.
  void End(HttpFields trailers = {}) {
    ended_ = true;
    trailers_ = std::move(trailers);
  }

  /// Views all bytes; valid until the next call that is not const.
  absl::string_view view() const { return absl::string_view(bytes_).substr(taken_); }

  void Consume(size_t bytes) {
    taken_ += bytes;
    if (taken_ == bytes_.size()) {
      std::string().swap(bytes_);
      taken_ = 0;
    } else if (taken_ >= kCompactBytes) {
      bytes_.erase(0, taken_);
      taken_ = 0;
    }
  }

  size_t size() const { return bytes_.size() - taken_; }
  bool empty() const { return size() == 0; }

  /// Returns whether the end was marked.
  bool ended() const { return ended_; }
  /// Returns whether all bytes up to the end were taken.
  bool finished() const { return ended_ && empty(); }

  const HttpFields& trailers() const { return trailers_; }

  /// Returns the number of bytes that were put in so far.
  uint64_t passed() const { return passed_; }

 private:
  static constexpr size_t kCompactBytes = 64 * 1024;

  std::string bytes_;
  size_t taken_ = 0;
  bool ended_ = false;
  HttpFields trailers_;
  uint64_t passed_ = 0;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_BODY_PIPE_H_
