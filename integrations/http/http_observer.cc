#include "integrations/http/http_observer.h"

namespace trestle {

absl::string_view EnumName(HttpReason reason) {
  switch (reason) {
    case HttpReason::kNone:
      return "";
    case HttpReason::kRedirected:
      return "redirected";
    case HttpReason::kBadRequest:
      return "bad_request";
    case HttpReason::kHeadTooLarge:
      return "head_too_large";
    case HttpReason::kTargetTooLong:
      return "target_too_long";
    case HttpReason::kBodyTooLarge:
      return "body_too_large";
    case HttpReason::kMethodNotAllowed:
      return "method_not_allowed";
    case HttpReason::kMisdirected:
      return "misdirected";
    case HttpReason::kNoRoute:
      return "no_route";
    case HttpReason::kLoop:
      return "loop";
    case HttpReason::kHeadTimeout:
      return "head_timeout";
    case HttpReason::kBodyTimeout:
      return "body_timeout";
    case HttpReason::kBodyTooSlow:
      return "body_too_slow";
    case HttpReason::kDenied:
      return "denied";
    case HttpReason::kResponseDenied:
      return "response_denied";
    case HttpReason::kJudgeBusy:
      return "judge_busy";
    case HttpReason::kPoolFull:
      return "pool_full";
    case HttpReason::kConnectTimeout:
      return "connect_timeout";
    case HttpReason::kUnreachable:
      return "unreachable";
    case HttpReason::kBackTlsFailed:
      return "back_tls_failed";
    case HttpReason::kBackendTimeout:
      return "backend_timeout";
    case HttpReason::kBadResponse:
      return "bad_response";
    case HttpReason::kBackendClosed:
      return "backend_closed";
    case HttpReason::kClientTimeout:
      return "client_timeout";
    case HttpReason::kClientTooSlow:
      return "client_too_slow";
    case HttpReason::kClientGone:
      return "client_gone";
  }
  return "";
}

}  // namespace trestle
