// RequestExchange: one request of a gateway from its head to its report: checks, route, backend,
// tries, time limits, and the bodies in both directions.
#ifndef TRESTLE_INTEGRATIONS_HTTP_REQUEST_EXCHANGE_H_
#define TRESTLE_INTEGRATIONS_HTTP_REQUEST_EXCHANGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "integrations/http/backend_pool.h"
#include "integrations/http/gateway_routes.h"
#include "integrations/http/http_cache.h"
#include "integrations/http/http_exchange.h"
#include "integrations/http/http_observer.h"
#include "integrations/http/rate_meter.h"
#include "integrations/http/request_judge.h"
#include "integrations/http/turn_queue.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/backend_chooser.h"

namespace trestle {

struct GatewayCore;
class FrontConnection;

/// Lives from the head of a request until the front stream is over.
class RequestExchange final : public Buried, public HttpExchange, public BackendWaiter {
 public:
  /// All outlive the exchange, but `front` and `stream` only until the stream is over.
  RequestExchange(GatewayCore& core, FrontConnection& front, FrontStream& stream);

  /// Begins with a valid head.
  void Begin(HttpRequest request);
  /// Answers a request that can't be read.
  void BeginRefused(HttpRequest request, HttpRefusal refusal);

  void OnRequestBody() override;
  void OnRequestRefused(HttpRefusal refusal) override;
  void OnResponseTaken(size_t bytes) override;
  void OnClientGone(const absl::Status& why) override;
  void OnResponseSent() override;
  void OnRequestTaken(size_t bytes) override;
  void OnInformational(HttpResponse response) override;
  void OnResponse(HttpResponse response) override;
  void OnResponseBody() override;
  void OnBackDone() override;
  void OnBackFailed(BackFailure failure, const absl::Status& why) override;

  void OnConnection(BackendConnection& connection) override;
  void OnNoConnection(const absl::Status& why) override;

 private:
  enum class State : uint8_t {
    kJudging,  // Or before.
    kConnecting,
    kWaiting,          // For the response's head.
    kJudgingResponse,  // Or before: its body comes in.
    kResponding,
    kOver,
  };

  void Note(const HttpRequest& request);
  std::optional<HttpRefusal> Check(const HttpRequest& request) const;
  void MakeBackRequest(HttpRequest request);
  void BeginJudging(const HttpRequest& request);
  void KeepForJudge();
  void AskJudge();
  void OnVerdict(std::optional<HttpRefusal> refusal);
  void PassResponse(HttpResponse response);
  void Forward();
  void Connect();
  BackendChooser::Shown ShownToBackend() const;
  bool MayRetry(BackFailure failure) const;
  void SendResponse(HttpResponse response);
  void SendPage(HttpResponse response);
  void Answer(int status, HttpReason reason, std::string detail);
  void Refuse(const HttpRefusal& refusal);
  void AbortFront(HttpReason reason, std::string detail);
  void CountOut();
  void DropBack();
  void Finish();

  // request_route.cc
  std::optional<HttpRefusal> ChooseRoute(const HttpRequest& request);
  void Redirect(const HttpRequest& request);
  void AddStickyCookie(HttpResponse& response) const;

  // request_cache.cc
  bool AskCache();
  void AddValidators();
  void ServeCached(const CachedResponse& cached);
  bool TakeFromCache(const HttpResponse& response);
  bool ServeStale();
  void KeepForCache();
  void StoreComplete();
  void EndFetch();
  void LeaveFetch();

  // request_tunnel.cc
  void AddTunnelFields();
  void ProveHandshake(HttpResponse& response) const;
  bool NeedsHttp2(const absl::Status& why) const;

  // request_response_judge.cc
  bool HoldForJudge(HttpResponse& response);
  void KeepHeld();
  void AskAboutResponse();
  void OnResponseVerdict(std::optional<HttpRefusal> refusal);

  // request_limits.cc
  void Progress();
  bool ClientOwesBody() const;
  bool RefuseSlowBody(uint64_t bytes);
  bool CutSlowReader(uint64_t bytes);
  absl::Duration LimitNow() const;
  void Arm();
  void OnLimit();

  GatewayCore& core_;
  FrontConnection* const connection_;
  FrontStream* front_;  // Null once it is over.
  BackStream* back_ = nullptr;
  State state_ = State::kJudging;
  bool in_pool_ = false;  // Waits for a connection.
  std::shared_ptr<const GatewayRoute> route_;
  std::optional<std::string> back_target_;  // If it differs from the client's.
  HttpRequest request_;                     // As the backend gets it.
  bool from_http2_tunnel_ = false;
  bool tunnel_needs_http2_ = false;  // The backend refused HTTP/1.1 alone.
  bool to_head_ = false;
  bool tunnel_ = false;
  bool own_page_ = false;                  // The response is this gateway's.
  bool continued_ = false;                 // The client got a 100.
  uint64_t taken_by_back_ = 0;             // Bytes of the request's body.
  std::unique_ptr<JudgedRequest> judged_;  // While its body comes in.
  std::unique_ptr<JudgeCall> judge_call_;
  std::string kept_;      // The body, while the judge has a copy.
  size_t to_replay_ = 0;  // Bytes of the body that are acknowledged to the front stream.
  struct HeldResponse {
    HttpResponse head;
    std::string body;
    size_t wanted = 0;  // Bytes of the body.
    bool asked = false;
  };
  std::unique_ptr<HeldResponse> held_;  // Until its verdict.
  size_t held_to_send_ = 0;  // Bytes of the response that are acknowledged to the back stream.
  int retries_ = 0;
  BackendChooser::Candidates candidates_;
  size_t candidate_ = 0;
  bool counted_ = false;  // As open at the current candidate.
  std::string cache_key_;
  std::shared_ptr<const CachedResponse> stored_;  // Fresh or stale; null without one.
  std::shared_ptr<CachedResponse> to_store_;      // While its body comes in.
  HttpFields conditions_;                         // Of the client, if the request has the cache's.
  bool validates_ = false;        // The request asks whether `stored_` is still good.
  bool fetches_ = false;          // The response may be stored.
  bool leads_fetch_ = false;      // Others wait for it.
  bool waits_for_fetch_ = false;  // For the response of another request.
  bool waited_ = false;
  HttpRequestReport report_;
  MonotonicTime began_;
  MonotonicTime progress_;
  MonotonicTime armed_until_;
  RateMeter request_rate_;
  RateMeter response_rate_;
  Timer limit_;
  Timer continuation_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_REQUEST_EXCHANGE_H_
