// Http1Inspector: reads the HTTP/1.1 requests of a bridged or offloaded connection. It rejects
// invalid, misdirected and unwanted requests, and adds the client's identity for backends.
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
  /// The hosts that a request may name. Other hosts get 421 (RFC 9110 7.4). Otherwise a backend
  /// could answer for a host whose front-leg rules (client certificates, routes) were never
  /// applied.
  enum class HostPolicy : uint8_t {
    /// The server name of the ClientHello. Without one: IP addresses only.
    kServerName,
    /// Any host. Do not combine with client certificate policies that differ by server name.
    kAny,
  };
  HostPolicy hosts = HostPolicy::kServerName;

  Http1Limits limits = {};
  /// The time from a head's first byte to its last. Checked when bytes arrive, so it ends clients
  /// that trickle. The block's idle timeout ends silent ones.
  absl::Duration head_timeout = absl::Seconds(10);
  /// Maximum number of requests with pending responses; further ones wait.
  size_t pipelined_requests = 16;
  /// Maximum bytes between two pieces of a chunked body: chunk sizes and extensions.
  size_t chunk_line_bytes = 4 * 1024;

  /// Passes HTTP/2 connections unread. Clients can then send backends any field, including
  /// X-Forwarded-Client-Cert, and requests for any host, and no guard sees them. False: such
  /// connections are rejected.
  bool dangerous_unread_http2 = false;

  /// The protocols that a request may change to. After the backend's 101 with the same protocol,
  /// both directions pass unread. A request for another protocol loses its Upgrade field. Protocols
  /// that carry HTTP (`h2c`, `HTTP/…`, `TLS/…`) are not allowed here, because their requests would
  /// pass unread.
  std::vector<std::string> upgrades = {"websocket"};
  /// Allows CONNECT. After the backend's 2xx, both directions pass unread. False: CONNECT gets 405.
  bool allow_connect = false;

  ForwardingOptions forwarding = {};

  /// Guards, called in this order for each request that passed all other checks.
  std::vector<HttpGuardFactory> guards = {};
  /// Maximum body bytes buffered for guards that inspect the body before the request is passed on.
  /// Memory is used per active request with such a guard only.
  size_t guarded_body_bytes = 128 * 1024;
  /// For longer bodies: false rejects them with 413, true shows guards the beginning only.
  bool pass_longer_bodies = false;

  /// Returns whether a connection carries one request only: the backend is then asked to close
  /// after its response. Empty: never.
  absl::AnyInvocable<bool(const ConnectionReport& connection)> one_request = {};
};

/// Returns whether a client that requested `server_name` may send requests for `host` (see
/// `HostOf`).
bool HostAllowed(Http1Options::HostPolicy policy, const std::string& server_name,
                 const std::string& host);

/// Returns whether HTTP/2 was negotiated with the client.
bool SpeaksHttp2(const ConnectionReport& connection);

/// Creates the factory for `TlsBridgeOptions` or `TlsTerminatorOptions`; `scheduler` must outlive
/// it. Requests reach the backend one after the other, unchanged except for their heads. A rejected
/// request ends the connection after the responses before it. The client gets an error page if it
/// can still assign it to its request. The observer gets ErrorCode::kBlockedByInspector. HTTP/2
/// connections are rejected in the same way unless `dangerous_unread_http2` is set: do not offer
/// `h2`. Fails with ErrorCode::kConfiguration if a limit is zero or infinite, or an upgrade or a
/// field is not allowed.
absl::StatusOr<InspectorFactory> NewHttp1InspectorFactory(Scheduler& scheduler,
                                                          Http1Options options);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP1_HTTP1_INSPECTOR_H_
