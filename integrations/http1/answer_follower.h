// AnswerFollower: reads a backend's responses. It verifies that their framing is unambiguous,
// assigns each to its request, finds its end, and detects a change of protocol.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_ANSWER_FOLLOWER_H_
#define TRESTLE_INTEGRATIONS_HTTP1_ANSWER_FOLLOWER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "integrations/http1/http_message.h"
#include "integrations/http1/message_reader.h"
#include "trestle/io/inspector.h"

namespace trestle {

class AnswerFollower {
 public:
  /// A request that was sent to the backend.
  struct Expected {
    bool head = false;
    bool connect = false;
    std::string upgrade = {};  ///< The requested protocol; empty for none.
  };

  /// Holds heads and trailers until they are complete. `limits` bounds them, and must outlive this.
  explicit AnswerFollower(const Http1Limits& limits) : limits_(limits) {}

  void Expect(Expected request) { expected_.push_back(std::move(request)); }

  /// Checks the backend's pending bytes. `end` is true if nothing follows.
  Verdict Judge(absl::string_view pending, bool end);

  /// Returns the number of requests whose responses are not complete.
  size_t expected() const { return expected_.size(); }
  /// Returns whether part of the oldest pending request's final response has been passed on.
  bool begun() const { return begun_; }
  /// Returns whether the last request for a protocol change was answered: accepted or rejected.
  bool agreed() const { return agreed_; }

 private:
  enum class State : uint8_t { kHead, kBody, kTrailers };

  Verdict OnHead(absl::string_view pending, bool end);
  Verdict OnWholeHead(absl::string_view head);
  Verdict OnBody(absl::string_view pending);
  Verdict OnTrailers(absl::string_view pending, bool end);
  Verdict OnMessageEnd(size_t bytes);
  Verdict NoHttp(absl::string_view problem) const;

  const Http1Limits& limits_;
  std::deque<Expected> expected_;
  State state_ = State::kHead;
  HeadScanner scanner_;
  MessageReader reader_;
  bool changes_protocol_ = false;  // The response names the requested protocol and no other.
  bool begun_ = false;
  bool agreed_ = false;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_ANSWER_FOLLOWER_H_
