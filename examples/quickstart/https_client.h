// HttpsClient: sends one request over TLS and reads the response. Shows the client side of
// TlsStream: dial, handshake, exchange.
#ifndef TRESTLE_EXAMPLES_QUICKSTART_HTTPS_CLIENT_H_
#define TRESTLE_EXAMPLES_QUICKSTART_HTTPS_CLIENT_H_

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "examples/quickstart/conversation.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/tls_info.h"
#include "trestle/tls/tls_stream.h"

namespace trestle::examples {

/// The result of a request. The config requires verification of the certificate.
struct HttpsAnswer {
  absl::Status status;
  TlsInfo tls;
  std::string status_line;  ///< "HTTP/1.1 200 OK"
  std::string body;
};

class HttpsClient {
 public:
  /// `scheduler` and `dialer` must outlive it.
  HttpsClient(Scheduler& scheduler, Dialer& dialer, std::shared_ptr<const ClientTlsConfig> tls);

  /// Connects to `endpoint`, requests `server_name`, and sends a request with a header that
  /// contains `secret`. Calls `done` once, from the loop. One request at a time.
  void Get(const Endpoint& endpoint, const std::string& server_name, const std::string& secret,
           absl::AnyInvocable<void(HttpsAnswer)> done);

 private:
  void OnConnected(absl::StatusOr<std::unique_ptr<Transport>> connection);
  void OnHandshake(absl::Status status);
  void Finish(absl::Status status);

  Scheduler& scheduler_;
  Dialer& dialer_;
  const std::shared_ptr<const ClientTlsConfig> tls_;
  std::string server_name_;
  std::string request_;
  absl::AnyInvocable<void(HttpsAnswer)> done_;
  HttpsAnswer answer_;
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<TlsStream> stream_;
  std::unique_ptr<Conversation> conversation_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_QUICKSTART_HTTPS_CLIENT_H_
