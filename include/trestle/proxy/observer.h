// ConnectionObserver: what a block tells its host about each connection, as plain values.
#ifndef TRESTLE_PROXY_OBSERVER_H_
#define TRESTLE_PROXY_OBSERVER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/tls/tls_info.h"

namespace trestle {

/// How a connection's TLS was treated.
enum class ProxyMode : uint8_t {
  kOffload,      ///< Decrypted here, clear text to the backend.
  kPassthrough,  ///< Not decrypted here.
  kBridge,       ///< Decrypted here, encrypted again to the backend.
};

/// Names a mode in lower case: "bridge".
absl::string_view ProxyModeName(ProxyMode mode);

/// A ClientHello as a router read it.
struct HelloReport {
  std::vector<std::string> alpn;  ///< Application protocols offered, in the client's order.
  size_t bytes = 0;               ///< Size of the handshake message.
  size_t records = 0;             ///< TLS records it came in.
  size_t segments = 0;            ///< Reads it took.
  std::string ja4 = {};           ///< Fingerprint of the client, where the router was asked for it.
};

/// One leg, as far as it came.
struct LegReport {
  Endpoint local;
  Endpoint peer;
  /// The proxy in front, where `peer` and `local` are what it told (PROXY protocol).
  Endpoint via;
  /// What TLS agreed on this leg; null where Trestle spoke no TLS on it or didn't get that far.
  std::shared_ptr<const TlsInfo> tls;
  /// Bytes that the relay read from / that were taken by this leg: clear text on a TLS leg, the
  /// whole stream with its ClientHello on an opaque one.
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  /// Those of `bytes_written` that never were in this process: bulk between two sockets, which the
  /// kernel moves by itself (splice(2)).
  uint64_t bytes_spliced = 0;
};

/// A backend that failed before another one, or none, was reached.
struct FailedTry {
  Endpoint backend;
  absl::Status status;
};

/// How long each phase took; zero for those that were not reached or don't exist in this mode.
struct PhaseTimes {
  absl::Duration front;  ///< Front TLS handshake, or reading the ClientHello.
  absl::Duration dial;   ///< Connecting to the backend.
  absl::Duration back;   ///< Back TLS handshake.
  absl::Duration relay;  ///< Carrying bytes.
};

/// One connection's life.
struct ConnectionReport {
  uint64_t id = 0;  ///< Counts up from 1 in each block.
  ProxyMode mode = ProxyMode::kOffload;
  absl::Time accepted;  ///< By the first handler; `duration` and `times` begin here.
  absl::Duration duration;
  std::string server_name;  ///< From the client's SNI, normalised; empty when it sent none.
  /// `server_name` came encrypted (ECH, RFC 9849), and doesn't belong into a log: see
  /// `WithoutHiddenNames`. `status` and `failed_tries` don't have it.
  bool server_name_hidden = false;
  std::optional<HelloReport> hello;  ///< As a router read it, in this block or before it.
  /// The pattern that matched, "default", or empty without routing; the last router's, if this
  /// block is behind one and doesn't route itself.
  std::string route;
  /// A route gave the connection to another handler, whose report has what is here, too.
  bool handed_over = false;
  LegReport front;
  LegReport back;
  std::vector<FailedTry> failed_tries;  ///< Before the one in `back`.
  PhaseTimes times;
  /// OK where both directions ended cleanly; else a TlsError (see base/error.h) with leg and phase.
  absl::Status status;
};

/// Copies a report for a log, without what tells a server name that came encrypted: "(ech)" stands
/// in its place, and the certificates for it that were shown on either leg are left out.
ConnectionReport WithoutHiddenNames(const ConnectionReport& report);

/// Called on the loop's thread, from the loop. Must not destroy the block that calls.
class ConnectionObserver {
 public:
  virtual ~ConnectionObserver() = default;

  /// Both legs are open; bytes flow from here on. Not called for connections that fail before.
  virtual void OnEstablished(const ConnectionReport& report) { (void)report; }

  /// A connection was reset at once, unread, because of `limit`. There is no report about it.
  virtual void OnTurnedAway(Limit limit) { (void)limit; }

  /// The connection is over. Called exactly once for each connection that a block took.
  virtual void OnClosed(const ConnectionReport& report) = 0;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_OBSERVER_H_
