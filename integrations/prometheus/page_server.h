// PageServer: answers GET and HEAD over HTTP/1.1 on a loop and a thread of its own. For pages of
// operators; llhttp parses the requests.
#ifndef TRESTLE_INTEGRATIONS_PROMETHEUS_PAGE_SERVER_H_
#define TRESTLE_INTEGRATIONS_PROMETHEUS_PAGE_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/tcp_listener.h"
#include "trestle/linux/thread.h"

namespace trestle {

struct Page {
  int status = 200;
  absl::string_view type = "text/plain; charset=utf-8";
  std::string body;
};

struct PageServerOptions {
  /// Names that a request's Host field may have beside IP addresses. All others are refused with
  /// 421, so that no web site can read pages through a visitor's browser (DNS rebinding).
  std::vector<std::string> hosts = {"localhost"};
  /// This path is answered before all others that wait, whatever those cost. Empty: none.
  std::string urgent_path;
  /// Connections open at a time. One more closes the oldest that hasn't sent its request.
  size_t max_connections = 32;
  /// Limit for a request to arrive, of at most 8 KiB.
  absl::Duration request_timeout = absl::Seconds(2);
  /// Limit for the client to take the answer.
  absl::Duration answer_timeout = absl::Seconds(10);
};

class PageServer {
 public:
  /// Makes the page for a path, without its query. Called on the server's thread.
  using Source = absl::AnyInvocable<Page(absl::string_view path) const>;

  /// Starts to serve; port 0 picks a free one. Fails with ErrorCode::kConfiguration where the
  /// address can't be had, with kTransport where the system has no more threads or descriptors.
  static absl::StatusOr<std::unique_ptr<PageServer>> Start(const Endpoint& listen, Source source,
                                                           PageServerOptions options = {});

  /// Waits for a page that is being made, and cuts all connections.
  ~PageServer();
  PageServer(const PageServer&) = delete;
  PageServer& operator=(const PageServer&) = delete;

  /// Returns the actual address, with the port that the system chose.
  const Endpoint& endpoint() const { return listener_->local_endpoint(); }

 private:
  class Connection;
  using Connections = std::list<std::unique_ptr<Connection>>;

  PageServer(std::unique_ptr<EpollLoop> loop, Source source, PageServerOptions options);

  void OnConnection(std::unique_ptr<Transport> transport);
  bool MayAsk(absl::string_view host) const;
  void Answer(Connection& connection);
  void AnswerNext();
  void Remove(const Connection& connection);

  const std::unique_ptr<EpollLoop> loop_;
  const Source source_;
  const PageServerOptions options_;
  Connections connections_;          // The oldest first.
  Connections over_;                 // To be destroyed outside their own calls.
  std::deque<Connection*> waiting_;  // For their pages.
  Timer next_answer_;
  Timer burial_;
  std::unique_ptr<TcpListener> listener_;
  Thread thread_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PROMETHEUS_PAGE_SERVER_H_
