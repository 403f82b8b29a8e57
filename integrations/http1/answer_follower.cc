#include "integrations/http1/answer_follower.h"

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace trestle {

Verdict AnswerFollower::Judge(absl::string_view pending, bool end) {
  if (agreed_ || pending.empty()) return Verdict::Forward(pending.size());
  // The client would interpret them as the response to its next request.
  if (expected_.empty()) return Verdict::Block("the backend sent bytes that no request asked for");
  switch (state_) {
    case State::kHead:
      return OnHead(pending, end);
    case State::kBody:
      return OnBody(pending);
    case State::kTrailers:
      return OnTrailers(pending, end);
  }
  return Verdict::Hold();
}

Verdict AnswerFollower::OnHead(absl::string_view pending, bool end) {
  const std::string problem = ProblemOfStatusLine(pending);
  if (!problem.empty()) return NoHttp(problem);
  HttpRefusal refusal;
  switch (scanner_.Scan(pending, limits_, refusal)) {
    case HeadScanner::State::kRefused:
      return NoHttp(refusal.reason);
    case HeadScanner::State::kNeedMore:
      return end ? NoHttp("it ends in the middle of its head") : Verdict::Hold();
    case HeadScanner::State::kComplete:
      return OnWholeHead(pending.substr(0, scanner_.scanned()));
  }
  return Verdict::Hold();
}

Verdict AnswerFollower::OnWholeHead(absl::string_view head_bytes) {
  scanner_ = {};
  const Expected& request = expected_.front();
  reader_.BeginAnswer(request.head, request.connect);
  std::string problem;
  const std::optional<HttpAnswerHead> head = ReadAnswerHead(head_bytes, reader_, problem);
  if (!head.has_value()) return NoHttp(problem);
  changes_protocol_ =
      !request.upgrade.empty() && absl::EqualsIgnoreCase(head->Only("Upgrade"), request.upgrade);
  if (reader_.state() == MessageReader::State::kComplete) return OnMessageEnd(head_bytes.size());
  begun_ = true;
  state_ = State::kBody;
  return Verdict::Forward(head_bytes.size());
}

Verdict AnswerFollower::OnBody(absl::string_view pending) {
  MessageSink ignored;
  const size_t bytes = reader_.Read(pending, ignored);
  switch (reader_.state()) {
    case MessageReader::State::kFailed:
      return NoHttp(reader_.error());
    case MessageReader::State::kComplete:
      return OnMessageEnd(bytes);
    case MessageReader::State::kLastChunk:
      state_ = State::kTrailers;
      break;
    case MessageReader::State::kReading:
      break;
  }
  return Verdict::Forward(bytes);
}

Verdict AnswerFollower::OnTrailers(absl::string_view pending, bool end) {
  HttpRefusal refusal;
  switch (scanner_.Scan(pending, limits_, refusal)) {
    case HeadScanner::State::kRefused:
      return NoHttp(refusal.reason);
    case HeadScanner::State::kNeedMore:
      return end ? NoHttp("it ends in the middle of its trailers") : Verdict::Hold();
    case HeadScanner::State::kComplete:
      break;
  }
  const size_t bytes = scanner_.scanned();
  scanner_ = {};
  if (std::optional<HttpRefusal> no = CheckTrailers(pending.substr(0, bytes), limits_)) {
    return NoHttp(no->reason);
  }
  return OnMessageEnd(bytes);
}

// Send a page only if the client interprets it as the response.
Verdict AnswerFollower::NoHttp(absl::string_view problem) const {
  return Verdict::Block(absl::StrCat("the backend's answer is no HTTP: ", problem),
                        begun_ ? "" : RefusalPage(502, expected_.front().head));
}

Verdict AnswerFollower::OnMessageEnd(size_t bytes) {
  state_ = State::kHead;
  const int status = reader_.status();
  const Expected& request = expected_.front();
  // A 101 alone may be a response that an attacker made the backend fetch and repeat.
  if (status == 101 && !changes_protocol_) {
    return Verdict::Block("the backend changed to a protocol that no request asked for");
  }
  if (status / 100 == 1 && status != 101) return Verdict::Forward(bytes);
  agreed_ = status == 101 || (request.connect && status / 100 == 2);
  expected_.pop_front();
  begun_ = false;
  return Verdict::Forward(bytes);
}

}  // namespace trestle
