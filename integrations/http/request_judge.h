// RequestJudge: judges whole requests before a backend sees any of them, such as by a web
// application firewall. A verdict may take its time; the loop's other requests go on.
#ifndef TRESTLE_INTEGRATIONS_HTTP_REQUEST_JUDGE_H_
#define TRESTLE_INTEGRATIONS_HTTP_REQUEST_JUDGE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "integrations/http/http_exchange.h"
#include "integrations/http1/http_guard.h"
#include "integrations/http1/http_message.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/task_runner.h"
#include "trestle/proxy/observer.h"

namespace trestle {

/// A request with its whole body. It owns everything, so another thread may read it.
struct JudgedRequest {
  ConnectionReport connection;  ///< The client's: addresses and TLS.
  HttpRequest request;          ///< As the client sent it.
  std::string body;
};

/// A question under way. Destroying it cancels the question: no answer follows.
class JudgeCall {
 public:
  virtual ~JudgeCall() = default;
};

/// Judges the requests of one loop.
class RequestJudge {
 public:
  /// Empty: the request goes on. Else the client gets the status.
  using Verdict = absl::AnyInvocable<void(std::optional<HttpRefusal>)>;

  virtual ~RequestJudge() = default;

  /// Returns the maximum size of a body that is kept for a verdict. Longer bodies get 413.
  virtual size_t body_bytes() const = 0;

  /// Begins to judge. Calls `verdict` once, from the loop and never inside this call. Fails with
  /// ErrorCode::kOverLimit if too many requests wait.
  virtual absl::StatusOr<std::unique_ptr<JudgeCall>> Judge(JudgedRequest request,
                                                           Verdict verdict) = 0;
};

/// Creates the guard of one request. Called on the threads of the task runner.
using GuardMaker =
    absl::AnyInvocable<std::unique_ptr<HttpGuard>(const ConnectionReport& connection) const>;

/// Creates a judge that runs a guard for each request on `runner`, which, as `scheduler`, must
/// outlive it. Its destructor waits for running guards. The guard sees the request as HTTP/1.1,
/// with Host and Content-Length.
std::unique_ptr<RequestJudge> NewGuardJudge(Scheduler& scheduler, TaskRunner& runner,
                                            std::shared_ptr<const GuardMaker> new_guard,
                                            size_t body_bytes);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_REQUEST_JUDGE_H_
