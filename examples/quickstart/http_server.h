// HttpServer: a small backend for the demonstration, with or without TLS. It answers every request
// with a line about itself.
#ifndef TRESTLE_EXAMPLES_QUICKSTART_HTTP_SERVER_H_
#define TRESTLE_EXAMPLES_QUICKSTART_HTTP_SERVER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "trestle/base/endpoint.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/tls/server_tls_config.h"
#include "trestle/tls/tls_info.h"

namespace trestle::examples {

class HttpServer {
 public:
  /// Listens on a free port of 127.0.0.1. Uses clear text if `tls` is null.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(
      EpollLoop& loop, std::string name, std::shared_ptr<const ServerTlsConfig> tls);
  ~HttpServer();

  const std::string& name() const { return name_; }
  const Endpoint& endpoint() const { return listener_->local_endpoint(); }

  /// Returns the TLS session of the last request; empty for clear text.
  const std::optional<TlsInfo>& last_tls() const { return last_tls_; }

  /// Returns the last request as received.
  const std::string& last_request() const { return last_request_; }

 private:
  class Session;

  HttpServer(EpollLoop& loop, std::string name, std::shared_ptr<const ServerTlsConfig> tls);
  void Accept(std::unique_ptr<Transport> connection);
  std::string Answer() const;

  EpollLoop& loop_;
  const std::string name_;
  const std::shared_ptr<const ServerTlsConfig> tls_;
  std::unique_ptr<TcpListener> listener_;
  std::map<uint64_t, std::unique_ptr<Session>> sessions_;
  uint64_t last_id_ = 0;
  std::optional<TlsInfo> last_tls_;
  std::string last_request_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_QUICKSTART_HTTP_SERVER_H_
