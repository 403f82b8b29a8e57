// Paths: what an HttpGateway adds to a bridge. One HTTP/2 connection carries two requests; the path
// of each selects its backend, over TLS.
#ifndef TRESTLE_EXAMPLES_QUICKSTART_PATHS_H_
#define TRESTLE_EXAMPLES_QUICKSTART_PATHS_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "examples/quickstart/http_server.h"
#include "integrations/http/backend_pool.h"
#include "integrations/http/http_gateway.h"
#include "integrations/http/turn_queue.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/tcp_dialer.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/server_tls_config.h"

namespace trestle::examples {

/// One request, and the result.
struct PathRequest {
  std::string target;             ///< "/api/orders"
  std::string route;              ///< The expected route: "www.example.test/api".
  HttpServer* backend = nullptr;  ///< The expected one.
  std::string back_name;          ///< The name in its certificate.

  absl::Status status;  ///< OK if the client has a whole response.
  std::string body;
  bool reused = false;  ///< The client's connection carried an earlier request.
  HttpVersion client_version = HttpVersion::kHttp11;
  HttpRequestReport report;           ///< By the gateway.
  std::optional<TlsInfo> back_tls;    ///< At the backend.
  std::vector<std::string> failures;  ///< Differences from the expected values.
};

class Paths final : private HttpObserver {
 public:
  /// Starts a terminator with a gateway behind it. It serves `server_name` with `front_tls`, and
  /// sends each of `requests` to its backend, which `trust` verifies. `trust` is also the client's.
  static absl::StatusOr<std::unique_ptr<Paths>> Start(
      EpollLoop& loop, TcpDialer& dialer, std::string server_name,
      std::shared_ptr<const ServerTlsConfig> front_tls,
      std::shared_ptr<const ClientTlsConfig> trust, std::vector<PathRequest> requests);
  ~Paths() override;

  /// Makes the requests in turn; calls `done` once, from the loop.
  void Run(absl::AnyInvocable<void()> done);

  const std::vector<PathRequest>& requests() const { return requests_; }
  const std::string& server_name() const { return server_name_; }
  const Endpoint& endpoint() const { return listener_->local_endpoint(); }

 private:
  class Call;

  Paths(EpollLoop& loop, TcpDialer& dialer, std::string server_name,
        std::shared_ptr<const ClientTlsConfig> trust, std::vector<PathRequest> requests);
  void RunNext();
  void OnAnswered(absl::Status status);
  void OnRequest(const HttpRequestReport& report) override;
  void FinishRequest();

  EpollLoop& loop_;
  const std::string server_name_;
  const std::shared_ptr<const ClientTlsConfig> trust_;
  std::vector<PathRequest> requests_;
  std::unique_ptr<HttpGateway> gateway_;
  std::unique_ptr<TlsTerminator> terminator_;
  std::unique_ptr<TcpListener> listener_;

  // The client: one connection in a pool.
  TurnQueue turns_;
  const HttpLimits limits_;
  BackendPool pool_;
  std::unique_ptr<Call> call_;

  size_t next_ = 0;
  bool answered_ = false;
  bool reported_ = false;
  absl::AnyInvocable<void()> done_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_QUICKSTART_PATHS_H_
