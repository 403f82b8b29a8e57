#include "integrations/http/request_judge.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace trestle {
namespace {

/// Counts the tasks that may still use the loop.
class InFlight {
 public:
  void Add() {
    const absl::MutexLock lock(&mutex_);
    ++count_;
  }
  void Done() {
    const absl::MutexLock lock(&mutex_);
    --count_;
  }
  void AwaitNone() {
    const absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](int* count) { return *count == 0; }, &count_));
  }

 private:
  absl::Mutex mutex_;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
};

/// What the tasks and the calls of a judge share.
struct Shared {
  Shared(Scheduler& scheduler, TaskRunner& runner, std::shared_ptr<const GuardMaker> new_guard,
         ResponseJudging responses)
      : scheduler(scheduler),
        runner(&runner),
        new_guard(std::move(new_guard)),
        responses(std::move(responses)) {}

  Scheduler& scheduler;
  TaskRunner* runner;  // Null once the judge is gone; used on the loop's thread only.
  const std::shared_ptr<const GuardMaker> new_guard;
  const ResponseJudging responses;
  InFlight tasks;
};

/// Used on the loop's thread only, but for its destruction. A task has the guard while it runs.
struct Question {
  JudgeVerdict verdict;              // Empty once cancelled or answered.
  std::unique_ptr<HttpGuard> guard;  // After an accepted request, if responses are judged.
};

/// A task's part of the count, also if it never runs.
class Token {
 public:
  explicit Token(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {
    shared_->tasks.Add();
  }
  Token(Token&&) = default;
  Token& operator=(Token&&) = delete;
  ~Token() {
    if (shared_ != nullptr) shared_->tasks.Done();
  }

 private:
  std::shared_ptr<Shared> shared_;
};

// A guard's last phase may take time, so it ends on another thread than the loop's.
void EndGuard(const std::shared_ptr<Shared>& shared, std::unique_ptr<HttpGuard> guard) {
  if (guard == nullptr || shared->runner == nullptr) return;
  shared->runner
      ->Run([guard = std::move(guard), token = Token(shared)]() mutable { guard.reset(); })
      .IgnoreError();
}

// Passes the verdict to the loop, and the guard for a later question.
void Answer(const std::shared_ptr<Shared>& shared, std::shared_ptr<Question> question,
            std::optional<HttpRefusal> refusal, std::unique_ptr<HttpGuard> guard) {
  shared->scheduler.PostFromAnyThread([shared, question = std::move(question),
                                       refusal = std::move(refusal),
                                       guard = std::move(guard)]() mutable {
    JudgeVerdict verdict = std::exchange(question->verdict, nullptr);
    if (!verdict) return EndGuard(shared, std::move(guard));
    question->guard = std::move(guard);
    verdict(std::move(refusal));
  });
}

class Call final : public JudgeCall {
 public:
  Call(std::shared_ptr<Shared> shared, std::shared_ptr<Question> question)
      : shared_(std::move(shared)), question_(std::move(question)) {}

  ~Call() override {
    question_->verdict = nullptr;
    EndGuard(shared_, std::move(question_->guard));
  }

  absl::Status JudgeResponse(JudgedResponse response, JudgeVerdict verdict) override;

 private:
  const std::shared_ptr<Shared> shared_;
  const std::shared_ptr<Question> question_;
};

std::optional<HttpRefusal> AskGuard(HttpGuard& guard, const JudgedRequest& judged) {
  const HttpRequest& request = judged.request;
  HttpRequestHead head;
  head.method = request.method;
  head.target = request.target;
  head.minor_version = request.version == HttpVersion::kHttp10 ? 0 : 1;
  head.host = request.host;
  head.authority = request.authority;
  head.content_length = judged.body.size();
  const std::string length = absl::StrCat(judged.body.size());
  if (!request.authority.empty()) head.fields.push_back({"Host", request.authority});
  for (const HttpFields::Field& field : request.fields) {
    head.fields.push_back({field.name, field.value});
  }
  if (request.has_body) head.fields.push_back({"Content-Length", length});
  if (std::optional<HttpRefusal> no = guard.OnHead(head)) return no;
  if (guard.wants_body() && !judged.body.empty()) {
    if (std::optional<HttpRefusal> no = guard.OnBody(judged.body)) return no;
  }
  return guard.OnEnd();
}

std::optional<HttpRefusal> AskGuard(HttpGuard& guard, const JudgedResponse& judged) {
  HttpResponseHead head;
  head.status = judged.head.status;
  for (const HttpFields::Field& field : judged.head.fields) {
    head.fields.push_back({field.name, field.value});
  }
  const std::string length = absl::StrCat(judged.head.content_length.value_or(0));
  if (judged.head.content_length.has_value()) head.fields.push_back({"Content-Length", length});
  if (std::optional<HttpRefusal> no = guard.OnResponseHead(head)) return no;
  if (!judged.body.empty()) {
    if (std::optional<HttpRefusal> no = guard.OnResponseBody(judged.body)) return no;
  }
  return guard.OnResponseEnd();
}

absl::Status Call::JudgeResponse(JudgedResponse response, JudgeVerdict verdict) {
  question_->verdict = std::move(verdict);
  std::unique_ptr<HttpGuard> guard = std::move(question_->guard);
  if (guard == nullptr) {
    Answer(shared_, question_, std::nullopt, nullptr);
    return absl::OkStatus();
  }
  return shared_->runner->Run([shared = shared_, question = question_, guard = std::move(guard),
                               response = std::move(response), token = Token(shared_)]() mutable {
    std::optional<HttpRefusal> refusal = AskGuard(*guard, response);
    guard.reset();
    Answer(shared, std::move(question), std::move(refusal), nullptr);
  });
}

class GuardJudge final : public RequestJudge {
 public:
  GuardJudge(std::shared_ptr<Shared> shared, size_t body_bytes)
      : shared_(std::move(shared)), body_bytes_(body_bytes) {}

  ~GuardJudge() override {
    shared_->runner = nullptr;
    shared_->tasks.AwaitNone();
  }

  size_t body_bytes() const override { return body_bytes_; }
  bool judges_responses() const override { return shared_->responses.bytes > 0; }
  size_t ResponseBytes(const HttpResponse& head) const override;

  absl::StatusOr<std::unique_ptr<JudgeCall>> Judge(JudgedRequest request,
                                                   JudgeVerdict verdict) override {
    auto question = std::make_shared<Question>();
    question->verdict = std::move(verdict);
    absl::Status queued = shared_->runner->Run(
        [shared = shared_, question, request = std::move(request), token = Token(shared_)] {
          std::unique_ptr<HttpGuard> guard = (*shared->new_guard)(request.connection);
          std::optional<HttpRefusal> refusal;
          if (guard != nullptr) refusal = AskGuard(*guard, request);
          const bool goes_on = shared->responses.bytes > 0 && !refusal.has_value();
          if (guard != nullptr && !(goes_on && guard->wants_response())) guard.reset();
          Answer(shared, question, std::move(refusal), std::move(guard));
        });
    if (!queued.ok()) return queued;
    return std::make_unique<Call>(shared_, std::move(question));
  }

 private:
  const std::shared_ptr<Shared> shared_;
  const size_t body_bytes_;
};

size_t GuardJudge::ResponseBytes(const HttpResponse& head) const {
  const ResponseJudging& responses = shared_->responses;
  const std::string* const coding = head.fields.Find("content-encoding");
  if (coding != nullptr && *coding != "identity") return 0;
  const std::string* const type = head.fields.Find("content-type");
  const bool wanted = responses.wants_type == nullptr ||
                      (*responses.wants_type)(type == nullptr ? absl::string_view() : *type);
  return wanted ? responses.bytes : 0;
}

}  // namespace

absl::Status JudgeCall::JudgeResponse(JudgedResponse, JudgeVerdict) {
  return absl::UnimplementedError("this judge has no verdict on responses");
}

std::unique_ptr<RequestJudge> NewGuardJudge(Scheduler& scheduler, TaskRunner& runner,
                                            std::shared_ptr<const GuardMaker> new_guard,
                                            size_t body_bytes, ResponseJudging responses) {
  auto shared =
      std::make_shared<Shared>(scheduler, runner, std::move(new_guard), std::move(responses));
  return std::make_unique<GuardJudge>(std::move(shared), body_bytes);
}

}  // namespace trestle
