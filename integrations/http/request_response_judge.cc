// What a RequestExchange does with a response that is judged: nothing of it is sent before the
// verdict.

#include <algorithm>
#include <utility>

#include "integrations/http/gateway_core.h"
#include "integrations/http/request_exchange.h"
#include "trestle/base/error.h"

namespace trestle {

// Returns whether the response waits for its verdict.
bool RequestExchange::HoldForJudge(HttpResponse& response) {
  const RequestJudge* const judge = core_.options.judge;
  if (judge_call_ == nullptr || !judge->judges_responses()) return false;
  held_ = std::make_unique<HeldResponse>();
  const bool has_body = !HasNoBody(response.status, to_head_) && !tunnel_;
  held_->wanted = has_body ? judge->ResponseBytes(response) : 0;
  held_->head = std::move(response);
  state_ = State::kJudgingResponse;
  Arm();
  KeepHeld();
  return true;
}

// Takes the bytes that the back codec has put into `response_body`.
void RequestExchange::KeepHeld() {
  if (held_->asked) return;
  const size_t bytes = std::min(response_body.size(), held_->wanted - held_->body.size());
  held_->body.append(std::string(response_body.view().substr(0, bytes)));
  response_body.Consume(bytes);
  const bool whole = response_body.finished() || back_ == nullptr;
  if (whole || held_->body.size() == held_->wanted) AskAboutResponse();
  if (bytes > 0 && back_ != nullptr) back_->OnResponseTaken(bytes);
}

void RequestExchange::AskAboutResponse() {
  held_->asked = true;
  Progress();
  Arm();
  const absl::Status asked = judge_call_->JudgeResponse({held_->head, held_->body},
                                                        [this](std::optional<HttpRefusal> refusal) {
                                                          const TurnQueue::Turn turn(core_.turns);
                                                          OnResponseVerdict(std::move(refusal));
                                                        });
  if (!asked.ok()) Answer(503, HttpReason::kJudgeBusy, ErrorText(ToError(asked)));
}

void RequestExchange::OnResponseVerdict(std::optional<HttpRefusal> refusal) {
  if (refusal.has_value()) {
    return Answer(refusal->status, HttpReason::kResponseDenied, std::move(refusal->reason));
  }
  judge_call_.reset();
  const std::unique_ptr<HeldResponse> held = std::move(held_);
  BodyPipe replayed;
  replayed.Append(held->body);
  replayed.Append(response_body.view());
  if (response_body.ended()) replayed.End(response_body.trailers());
  response_body = std::move(replayed);
  held_to_send_ = held->body.size();
  Progress();
  PassResponse(std::move(held->head));
  if (own_page_) return;  // The cache answered.
  KeepForCache();
  if (back_ == nullptr) StoreComplete();
  report_.bytes_out = response_body.passed();
  if (front_ != nullptr) front_->OnResponseBody();
}

}  // namespace trestle
