// PageServer: answers GET and HEAD over HTTP/1.1, and POST for calls, on its own loop and thread.
// For operators; llhttp parses the requests.
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

/// Answers a call. May be called on any thread, and after the server's end; only once.
using PageReply = absl::AnyInvocable<void(Page)>;

struct PageServerOptions {
  /// Names that a request's Host field may contain, besides IP addresses. All others are rejected
  /// with 421, so that no web site can read pages through a visitor's browser (DNS rebinding).
  std::vector<std::string> hosts = {"localhost"};
  /// Requests for these paths are answered before all pending ones.
  std::vector<std::string> urgent_paths;
  /// The maximum number of open connections. One more closes the oldest without a complete request.
  size_t max_connections = 32;
  /// The limit for the arrival of a request of at most 8 KiB.
  absl::Duration request_timeout = absl::Seconds(2);
  /// The limit for the client to read the response.
  absl::Duration answer_timeout = absl::Seconds(10);
};

class PageServer {
 public:
  /// Answers POST; called on the server's thread. `target` is the path with its query; the body is
  /// ignored.
  ///
  /// No web site can make a call through an operator's browser (CSRF). A call without the field
  /// "Trestle-Call: yes" gets 403, as does one with an Origin. Browsers ask before they send such a
  /// field to another site, and the server refuses that.
  using Call = absl::AnyInvocable<void(const std::string& target, PageReply reply)>;

  /// Creates the page for a path, without its query. Called on the server's thread.
  using Source = absl::AnyInvocable<Page(absl::string_view path) const>;

  /// Starts the server; port 0 selects a free port. Without `on_call`, POST gets 405. Fails with
  /// ErrorCode::kConfiguration if the address is unavailable. Fails with kTransport if the system
  /// has no more threads or descriptors.
  static absl::StatusOr<std::unique_ptr<PageServer>> Start(const Endpoint& listen, Source source,
                                                           PageServerOptions options = {},
                                                           Call on_call = nullptr);

  /// Waits for the page in progress, and cuts all connections.
  ~PageServer();
  PageServer(const PageServer&) = delete;
  PageServer& operator=(const PageServer&) = delete;

  /// Returns the actual address, with the selected port.
  const Endpoint& endpoint() const { return listener_->local_endpoint(); }

 private:
  class Connection;
  using Connections = std::list<std::unique_ptr<Connection>>;

  PageServer(std::unique_ptr<EpollLoop> loop, Source source, PageServerOptions options,
             Call on_call);

  void OnConnection(std::unique_ptr<Transport> transport);
  bool MayAsk(absl::string_view host) const;
  bool IsUrgent(absl::string_view path) const;
  void Answer(Connection& connection);
  void AnswerCall(Connection& connection);
  PageReply ReplyTo(uint64_t connection);
  void AnswerNext();
  void Remove(const Connection& connection);

  const std::shared_ptr<EpollLoop> loop_;
  const Source source_;
  const PageServerOptions options_;
  Call on_call_;                     // May be null.
  uint64_t last_id_ = 0;             // Of a connection.
  Connections connections_;          // The oldest first.
  Connections over_;                 // Destroyed outside their own calls.
  std::deque<Connection*> waiting_;  // Their pages are pending.
  Timer next_answer_;
  Timer burial_;
  std::unique_ptr<TcpListener> listener_;
  Thread thread_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PROMETHEUS_PAGE_SERVER_H_
