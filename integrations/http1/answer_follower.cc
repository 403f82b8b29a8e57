#include "integrations/http1/answer_follower.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "integrations/http1/http_message.h"

namespace trestle {
namespace {

// "HTTP/1.1 200": what comes next is no digit (RFC 9112 4).
constexpr size_t kStatusEnd = 12;

// Names of protocols that are asked for are shorter.
constexpr size_t kMaxFieldBytes = 64;

void AppendBounded(std::string& text, absl::string_view piece) {
  text.append(piece.data(), std::min(piece.size(), kMaxFieldBytes - text.size()));
}

}  // namespace

bool UpgradeField::Names(absl::string_view protocol) const {
  return upgrades_ == 1 && absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(upgrade_), protocol);
}

void UpgradeField::OnFieldName(absl::string_view piece) { AppendBounded(name_, piece); }

void UpgradeField::OnFieldValue(absl::string_view piece) { AppendBounded(value_, piece); }

void UpgradeField::OnFieldEnd() {
  if (absl::EqualsIgnoreCase(name_, "Upgrade")) {
    ++upgrades_;
    upgrade_ = value_.size() < kMaxFieldBytes ? value_ : "";
  }
  name_.clear();
  value_.clear();
}

Verdict AnswerFollower::Judge(absl::string_view pending) {
  if (agreed_ || pending.empty()) return Verdict::Forward(pending.size());
  // The client would take them for the answer to its next request.
  if (expected_.empty()) return Verdict::Block("the backend sent bytes that nobody had asked for");
  if (!in_message_) {
    reader_.BeginAnswer(expected_.front().head, expected_.front().connect);
    upgrade_.Begin();
    read_ = 0;
    in_message_ = true;
    passed_on_ = false;
  }
  MessageSink& fields = expected_.front().upgrade.empty() ? ignore_ : upgrade_;
  const size_t bytes = reader_.Read(pending, fields);
  // llhttp takes zeros in front of a status, which readers may then take for another one.
  if (read_ <= kStatusEnd && kStatusEnd < read_ + bytes &&
      absl::ascii_isdigit(static_cast<unsigned char>(pending[kStatusEnd - read_]))) {
    return NoHttp("a status of more than three digits");
  }
  if (reader_.state() == MessageReader::State::kFailed) return NoHttp(reader_.error());
  read_ += bytes;
  passed_on_ = true;
  const bool interim = reader_.status() / 100 == 1 && reader_.status() != 101;
  begun_ = begun_ || (reader_.head_done() && !interim);
  if (reader_.state() == MessageReader::State::kComplete) return OnMessageEnd(bytes);
  return Verdict::Forward(bytes);
}

Verdict AnswerFollower::NoHttp(absl::string_view problem) const {
  const bool page = !passed_on_ && !begun_;
  return Verdict::Block(absl::StrCat("the backend's answer is no HTTP: ", problem),
                        page ? RefusalPage(502, expected_.front().head) : "");
}

Verdict AnswerFollower::OnMessageEnd(size_t bytes) {
  in_message_ = false;
  const int status = reader_.status();
  const Expected& request = expected_.front();
  // A status alone can be what an attacker has a backend fetch and repeat.
  if (status == 101 && (request.upgrade.empty() || !upgrade_.Names(request.upgrade))) {
    return Verdict::Block("the backend changed to a protocol that nobody had asked for");
  }
  if (status / 100 == 1 && status != 101) return Verdict::Forward(bytes);
  agreed_ = status == 101 || (request.connect && status / 100 == 2);
  expected_.pop_front();
  begun_ = false;
  return Verdict::Forward(bytes);
}

}  // namespace trestle
