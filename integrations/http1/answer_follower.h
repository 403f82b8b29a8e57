// AnswerFollower: reads a backend's answers as far as it takes to know that every reader takes them
// alike, which request each belongs to, when it ends, and whether the backend agreed to another
// protocol.
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
  /// A request that was passed on.
  struct Expected {
    bool head = false;
    bool connect = false;
    std::string upgrade = {};  ///< The protocol that was asked for; empty for none.
  };

  /// Heads and trailers are held until they are complete, and are bounded by `limits`, which must
  /// outlive this.
  explicit AnswerFollower(const Http1Limits& limits) : limits_(limits) {}

  void Expect(Expected request) { expected_.push_back(std::move(request)); }

  /// Judges what the backend sent. `end`: nothing follows.
  Verdict Judge(absl::string_view pending, bool end);

  /// Counts the requests whose answers aren't complete.
  size_t expected() const { return expected_.size(); }
  /// Part of the answer to the oldest of them, beyond interim ones, has been passed on.
  bool begun() const { return begun_; }
  /// The last request that asked for another protocol was answered: agreed, or refused.
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
  bool changes_protocol_ = false;  // The answer names the protocol that was asked for, alone.
  bool begun_ = false;
  bool agreed_ = false;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_ANSWER_FOLLOWER_H_
