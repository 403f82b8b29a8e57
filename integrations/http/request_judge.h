// RequestJudge: judges whole requests before a backend sees any of them, and responses before a
// client does, such as by a web application firewall. A verdict may take its time; the loop's other
// requests go on.
#ifndef TRESTLE_INTEGRATIONS_HTTP_REQUEST_JUDGE_H_
#define TRESTLE_INTEGRATIONS_HTTP_REQUEST_JUDGE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
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

/// A response with the beginning of its body. It owns everything, so another thread may read it.
struct JudgedResponse {
  HttpResponse head;
  std::string body;  ///< As many bytes as `RequestJudge::ResponseBytes` says, or all.
};

/// Empty: the request or the response goes on. Else the client gets the status.
using JudgeVerdict = absl::AnyInvocable<void(std::optional<HttpRefusal>)>;

/// A request that is judged, or was. Destroying it cancels the question: no answer follows.
class JudgeCall {
 public:
  virtual ~JudgeCall() = default;

  /// Begins to judge the response to the accepted request. Only for a judge of responses. Calls
  /// `verdict` once, from the loop and never inside this call. Fails with ErrorCode::kOverLimit if
  /// too many questions wait.
  virtual absl::Status JudgeResponse(JudgedResponse response, JudgeVerdict verdict);
};

/// Judges the requests of one loop.
class RequestJudge {
 public:
  virtual ~RequestJudge() = default;

  /// Returns the maximum size of a body that is kept for a verdict. Longer bodies get 413.
  virtual size_t body_bytes() const = 0;

  /// Begins to judge. Calls `verdict` once, from the loop and never inside this call. Fails with
  /// ErrorCode::kOverLimit if too many requests wait.
  virtual absl::StatusOr<std::unique_ptr<JudgeCall>> Judge(JudgedRequest request,
                                                           JudgeVerdict verdict) = 0;

  /// Returns whether responses are judged too. Clients' Accept-Encoding then reaches no backend,
  /// because a compressed body can't be judged.
  virtual bool judges_responses() const { return false; }

  /// Returns how many bytes of a response's body are kept for its verdict. The client gets nothing
  /// before, and the rest of the body unjudged.
  virtual size_t ResponseBytes(const HttpResponse& head) const { return (void)head, 0; }
};

/// Creates the guard of one request. Called on the threads of the task runner.
using GuardMaker =
    absl::AnyInvocable<std::unique_ptr<HttpGuard>(const ConnectionReport& connection) const>;

/// What a `NewGuardJudge` keeps of responses for its guards.
struct ResponseJudging {
  /// Maximum bytes of a body that are judged. 0: responses are not judged.
  size_t bytes = 0;
  /// Returns whether bodies of this Content-Type are judged. Null: all. Thread-safe.
  std::shared_ptr<const absl::AnyInvocable<bool(absl::string_view content_type) const>> wants_type;
};

/// Creates a judge that runs a guard for each request on `runner`, which, as `scheduler`, must
/// outlive it. Its destructor waits for running guards. The guard sees the request as HTTP/1.1,
/// with Host and Content-Length. Of responses with Content-Encoding it sees the head only.
std::unique_ptr<RequestJudge> NewGuardJudge(Scheduler& scheduler, TaskRunner& runner,
                                            std::shared_ptr<const GuardMaker> new_guard,
                                            size_t body_bytes, ResponseJudging responses = {});

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_REQUEST_JUDGE_H_
