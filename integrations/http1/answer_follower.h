// AnswerFollower: reads a backend's answers as far as it takes to know which request each belongs
// to, when it ends, and whether the backend agreed to another protocol.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_ANSWER_FOLLOWER_H_
#define TRESTLE_INTEGRATIONS_HTTP1_ANSWER_FOLLOWER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "integrations/http1/message_reader.h"
#include "trestle/io/inspector.h"

namespace trestle {

/// Collects the Upgrade field of a head: a backend that changes to another protocol says to which
/// (RFC 9110 7.8).
class UpgradeField final : public MessageSink {
 public:
  void Begin() { *this = {}; }

  /// Tells whether there is exactly one, and it names `protocol`.
  bool Names(absl::string_view protocol) const;

  void OnFieldName(absl::string_view piece) override;
  void OnFieldValue(absl::string_view piece) override;
  void OnFieldEnd() override;

 private:
  std::string name_;  // Of the field under way; cut where it is none of these anyway.
  std::string value_;
  std::string upgrade_;
  int upgrades_ = 0;
};

class AnswerFollower {
 public:
  /// A request that was passed on.
  struct Expected {
    bool head = false;
    bool connect = false;
    std::string upgrade = {};  ///< The protocol that was asked for; empty for none.
  };

  void Expect(Expected request) { expected_.push_back(std::move(request)); }

  /// Judges what the backend sent.
  Verdict Judge(absl::string_view pending);

  /// Counts the requests whose answers aren't complete.
  size_t expected() const { return expected_.size(); }
  /// Part of the answer to the oldest of them, beyond interim ones, has been passed on.
  bool begun() const { return begun_; }
  /// The last request that asked for another protocol was answered: agreed, or refused.
  bool agreed() const { return agreed_; }

 private:
  Verdict OnMessageEnd(size_t bytes);
  Verdict NoHttp(absl::string_view problem) const;

  std::deque<Expected> expected_;
  MessageReader reader_;
  MessageSink ignore_;
  UpgradeField upgrade_;  // Of the answer to a request for one.
  bool in_message_ = false;
  uint64_t read_ = 0;       // Bytes of this message.
  bool passed_on_ = false;  // Some bytes of this message.
  bool begun_ = false;
  bool agreed_ = false;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_ANSWER_FOLLOWER_H_
