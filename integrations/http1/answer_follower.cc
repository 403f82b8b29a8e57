#include "integrations/http1/answer_follower.h"

#include "absl/strings/str_cat.h"
#include "integrations/http1/http_message.h"

namespace trestle {

Verdict AnswerFollower::Judge(absl::string_view pending) {
  if (agreed_ || pending.empty()) return Verdict::Forward(pending.size());
  // The client would take them for the answer to its next request.
  if (expected_.empty()) return Verdict::Block("the backend sent bytes that nobody had asked for");
  if (!in_message_) {
    reader_.BeginAnswer(expected_.front().head, expected_.front().connect);
    in_message_ = true;
    passed_on_ = false;
  }
  const size_t bytes = reader_.Read(pending, ignore_);
  if (reader_.state() == MessageReader::State::kFailed) {
    const bool page = !passed_on_ && !begun_;
    return Verdict::Block(absl::StrCat("the backend's answer is no HTTP: ", reader_.error()),
                          page ? RefusalPage(502, expected_.front().head) : "");
  }
  passed_on_ = true;
  const bool interim = reader_.status() / 100 == 1 && reader_.status() != 101;
  begun_ = begun_ || (reader_.head_done() && !interim);
  if (reader_.state() == MessageReader::State::kComplete) return OnMessageEnd(bytes);
  return Verdict::Forward(bytes);
}

Verdict AnswerFollower::OnMessageEnd(size_t bytes) {
  in_message_ = false;
  const int status = reader_.status();
  const Expected request = expected_.front();
  if (status == 101 && !request.upgrade) {
    return Verdict::Block("the backend changed to a protocol that nobody had asked for");
  }
  if (status / 100 == 1 && status != 101) return Verdict::Forward(bytes);
  agreed_ = status == 101 || (request.connect && status / 100 == 2);
  expected_.pop_front();
  begun_ = false;
  return Verdict::Forward(bytes);
}

}  // namespace trestle
