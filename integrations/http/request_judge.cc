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

/// A task's part of the count, also if it never runs.
class Token {
 public:
  explicit Token(std::shared_ptr<InFlight> tasks) : tasks_(std::move(tasks)) { tasks_->Add(); }
  Token(Token&&) = default;
  Token& operator=(Token&&) = delete;
  ~Token() {
    if (tasks_ != nullptr) tasks_->Done();
  }

 private:
  std::shared_ptr<InFlight> tasks_;
};

/// Used on the loop's thread only, but for its destruction.
struct Question {
  RequestJudge::Verdict verdict;  // Empty once cancelled or answered.
};

class Call final : public JudgeCall {
 public:
  explicit Call(std::shared_ptr<Question> question) : question_(std::move(question)) {}
  ~Call() override { question_->verdict = nullptr; }

 private:
  const std::shared_ptr<Question> question_;
};

std::optional<HttpRefusal> RunGuard(const GuardMaker& new_guard, const JudgedRequest& judged) {
  const std::unique_ptr<HttpGuard> guard = new_guard(judged.connection);
  if (guard == nullptr) return std::nullopt;
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
  if (std::optional<HttpRefusal> no = guard->OnHead(head)) return no;
  if (!guard->wants_body()) return guard->OnEnd();
  if (!judged.body.empty()) {
    if (std::optional<HttpRefusal> no = guard->OnBody(judged.body)) return no;
  }
  return guard->OnEnd();
}

class GuardJudge final : public RequestJudge {
 public:
  GuardJudge(Scheduler& scheduler, TaskRunner& runner, std::shared_ptr<const GuardMaker> new_guard,
             size_t body_bytes)
      : scheduler_(scheduler),
        runner_(runner),
        new_guard_(std::move(new_guard)),
        body_bytes_(body_bytes),
        tasks_(std::make_shared<InFlight>()) {}

  ~GuardJudge() override { tasks_->AwaitNone(); }

  size_t body_bytes() const override { return body_bytes_; }

  absl::StatusOr<std::unique_ptr<JudgeCall>> Judge(JudgedRequest request,
                                                   Verdict verdict) override {
    auto question = std::make_shared<Question>();
    question->verdict = std::move(verdict);
    absl::Status queued = runner_.Run([&scheduler = scheduler_, new_guard = new_guard_, question,
                                       request = std::move(request), token = Token(tasks_)] {
      std::optional<HttpRefusal> refusal = RunGuard(*new_guard, request);
      scheduler.PostFromAnyThread([question, refusal = std::move(refusal)]() mutable {
        if (auto verdict = std::exchange(question->verdict, nullptr)) verdict(std::move(refusal));
      });
    });
    if (!queued.ok()) return queued;
    return std::make_unique<Call>(std::move(question));
  }

 private:
  Scheduler& scheduler_;
  TaskRunner& runner_;
  const std::shared_ptr<const GuardMaker> new_guard_;
  const size_t body_bytes_;
  const std::shared_ptr<InFlight> tasks_;
};

}  // namespace

std::unique_ptr<RequestJudge> NewGuardJudge(Scheduler& scheduler, TaskRunner& runner,
                                            std::shared_ptr<const GuardMaker> new_guard,
                                            size_t body_bytes) {
  return std::make_unique<GuardJudge>(scheduler, runner, std::move(new_guard), body_bytes);
}

}  // namespace trestle
