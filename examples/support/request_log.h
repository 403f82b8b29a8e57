// RequestLog: one line of JSON about each request of an HttpGateway.
#ifndef TRESTLE_EXAMPLES_SUPPORT_REQUEST_LOG_H_
#define TRESTLE_EXAMPLES_SUPPORT_REQUEST_LOG_H_

#include <string>

#include "integrations/http/http_observer.h"

namespace trestle::examples {

/// Returns the line about one request, without its end; see docs/request_log.schema.json.
std::string RequestLine(const HttpRequestReport& report);

/// Writes the lines to standard error. Thread-safe.
class RequestLog final : public HttpObserver {
 public:
  void OnRequest(const HttpRequestReport& report) override;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_REQUEST_LOG_H_
