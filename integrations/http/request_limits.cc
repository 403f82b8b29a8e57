// The time limits of a RequestExchange.

#include <algorithm>

#include "integrations/http/gateway_core.h"
#include "integrations/http/request_exchange.h"

namespace trestle {

void RequestExchange::Progress() { progress_ = core_.scheduler.MonotonicNow(); }

// Returns how long the state may last without progress.
absl::Duration RequestExchange::LimitNow() const {
  const HttpTimeouts& timeouts = core_.options.timeouts;
  if (tunnel_ && held_ == nullptr) {
    return request_body.ended() ? timeouts.response : timeouts.tunnel;
  }
  switch (state_) {
    case State::kJudging:
      return judge_call_ != nullptr ? timeouts.judging : timeouts.body;
    case State::kConnecting:
      return timeouts.connect;
    case State::kWaiting:
      return ClientOwesBody() ? timeouts.body : timeouts.first_byte;
    case State::kJudgingResponse:
      return held_ != nullptr && held_->asked ? timeouts.judging : timeouts.response;
    case State::kResponding:
    case State::kOver:
      return timeouts.response;
  }
  return timeouts.response;
}

bool RequestExchange::ClientOwesBody() const {
  return request_.has_body && !request_body.ended() && request_body.empty();
}

// Measures the client's rate after it has sent `bytes`. Returns whether the request was answered.
bool RequestExchange::RefuseSlowBody(uint64_t bytes) {
  const bool kept = state_ == State::kJudging && judge_call_ == nullptr;
  const bool owes = request_.has_body && !request_body.ended() &&
                    (kept || (state_ == State::kWaiting && request_body.empty()));
  const MonotonicTime now = core_.scheduler.MonotonicNow();
  const bool over = state_ == State::kResponding || state_ == State::kOver || tunnel_;
  if (!request_rate_.IsTooSlow(core_.options.body_rate, now, bytes, owes) || over) return false;
  Answer(408, HttpReason::kBodyTooSlow, "the client sent its body below the minimum rate");
  return true;
}

// Measures the client's rate after it has read `bytes`. Returns whether the response was cut.
bool RequestExchange::CutSlowReader(uint64_t bytes) {
  const bool owes = state_ == State::kResponding && !tunnel_ && !response_body.empty();
  const MonotonicTime now = core_.scheduler.MonotonicNow();
  if (!response_rate_.IsTooSlow(core_.options.body_rate, now, bytes, owes)) return false;
  AbortFront(HttpReason::kClientTooSlow, "the client read its response below the minimum rate");
  return true;
}

// An earlier timer finds out that it is early, and arms the next one.
void RequestExchange::Arm() {
  const MonotonicTime due = progress_ + LimitNow();
  if (limit_ != nullptr && armed_until_ <= due) return;
  armed_until_ = due;
  const absl::Duration left = due - core_.scheduler.MonotonicNow();
  limit_ = core_.scheduler.RunAfter(std::max(left, absl::Milliseconds(1)), [this] {
    const TurnQueue::Turn turn(core_.turns);
    limit_.reset();
    OnLimit();
  });
}

void RequestExchange::OnLimit() {
  const absl::Duration silence = core_.scheduler.MonotonicNow() - progress_;
  if (silence < LimitNow()) return Arm();
  switch (state_) {
    case State::kJudging:
      if (judge_call_ != nullptr) {
        return Answer(503, HttpReason::kJudgeBusy, "the verdict did not come in time");
      }
      return Answer(408, HttpReason::kBodyTimeout, "the client sent nothing of its body in time");
    case State::kConnecting:
      if (waits_for_fetch_) {
        LeaveFetch();
        Progress();
        return Connect();
      }
      return Answer(504, HttpReason::kConnectTimeout, "no backend was connected to in time");
    case State::kWaiting:
      if (ClientOwesBody()) {
        return Answer(408, HttpReason::kBodyTimeout, "the client sent nothing of its body in time");
      }
      if (ServeStale()) return;
      return Answer(504, HttpReason::kBackendTimeout, "the backend did not answer in time");
    case State::kJudgingResponse:
      if (held_->asked) {
        return Answer(503, HttpReason::kJudgeBusy,
                      "the verdict on the response did not come in time");
      }
      return Answer(504, HttpReason::kBackendTimeout,
                    "the backend sent nothing of its response in time");
    case State::kResponding: {
      const bool client = !response_body.empty() || response_body.ended();
      return AbortFront(client ? HttpReason::kClientTimeout : HttpReason::kBackendTimeout,
                        client ? "the client did not read its response in time"
                               : "the backend sent nothing of its response in time");
    }
    case State::kOver:
      return;
  }
}

}  // namespace trestle
