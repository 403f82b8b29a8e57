// Http1Inspector: reads the HTTP/1.1 requests of a bridged or offloaded connection, refuses those
// that are wrong, misdirected or unwanted, and tells backends who the client is.
#ifndef TRESTLE_INTEGRATIONS_HTTP1_HTTP1_INSPECTOR_H_
#define TRESTLE_INTEGRATIONS_HTTP1_HTTP1_INSPECTOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "integrations/http1/forwarded_fields.h"
#include "integrations/http1/http_guard.h"
#include "integrations/http1/http_message.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle {

struct Http1Options {
  /// Which hosts a request may name. What isn't allowed is answered with 421 (RFC 9110 7.4), since
  /// a backend would else answer for a host whose rules on the front leg (certificates of clients,
  /// routes) were never applied.
  enum class HostPolicy : uint8_t {
    /// The one that the client asked for in its ClientHello. Without one: an IP address only.
    kServerName,
    /// Any host. Not beside policies for client certificates that differ by server name.
    kAny,
  };
  HostPolicy hosts = HostPolicy::kServerName;

  Http1Limits limits = {};
  /// From a head's first byte to its last one. Looked at whenever bytes come, so that a client that
  /// trickles is ended; one that is silent is the block's idle timeout's.
  absl::Duration head_timeout = absl::Seconds(10);
  /// Requests whose answers are still to come; further ones wait.
  size_t pipelined_requests = 16;
  /// Bytes that may come between two pieces of a chunked body: chunk sizes and their extensions.
  size_t chunk_line_bytes = 4 * 1024;

  /// Lets connections on which HTTP/2 was agreed on pass unread: clients send backends any field,
  /// X-Forwarded-Client-Cert included, and requests for any host, and no guard sees them. False:
  /// such connections are refused.
  bool dangerous_unread_http2 = false;

  /// The protocols that a request may ask to change to. Once the backend agrees (101, naming the
  /// same protocol), both directions pass unread. A request that asks for another one loses its
  /// Upgrade field. Protocols that carry HTTP again (`h2c`, `HTTP/…`, `TLS/…`) are rejected,
  /// because their requests would pass unread.
  std::vector<std::string> upgrades = {"websocket"};
  /// Lets CONNECT through, and after the backend's 2xx all that follows unread. Else 405.
  bool allow_connect = false;

  ForwardingOptions forwarding = {};

  /// Asked in this order about each request, after all else was found good.
  std::vector<HttpGuardFactory> guards = {};
  /// The most of a body that is kept here for guards that want to see it before the request is
  /// passed on. Needs memory per request under way; requests without such guards use none.
  size_t guarded_body_bytes = 128 * 1024;
  /// Bodies over it: false refuses them with 413, true shows guards the beginning only.
  bool pass_longer_bodies = false;

  /// Tells of a connection that it carries one request only: the backend is asked to close after
  /// its answer. Empty: never.
  absl::AnyInvocable<bool(const ConnectionReport& connection)> one_request = {};
};

/// Tells whether a client that asked for `server_name` may ask for `host` (as of `HostOf`).
bool HostAllowed(Http1Options::HostPolicy policy, const std::string& server_name,
                 const std::string& host);

/// Tells whether HTTP/2 was agreed on with the client.
bool SpeaksHttp2(const ConnectionReport& connection);

/// Makes the factory for `TlsBridgeOptions` or `TlsTerminatorOptions`. Requests reach the backend
/// one after the other and byte for byte, except their heads. A refused request ends the
/// connection, once the answers before it are out: with a page where the client can still tell
/// whose answer it is. The observer is told by ErrorCode::kBlockedByInspector. Connections on which
/// HTTP/2 was agreed on are refused likewise: don't offer it. Fails with ErrorCode::kConfiguration
/// where a limit is no limit, or an upgrade or a field none that can be allowed.
absl::StatusOr<InspectorFactory> NewHttp1InspectorFactory(Scheduler& scheduler,
                                                          Http1Options options);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_HTTP1_INSPECTOR_H_
