// ConnectionObserver: receives a block's reports about each connection, as plain values.
#ifndef TRESTLE_PROXY_OBSERVER_H_
#define TRESTLE_PROXY_OBSERVER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/error.h"
#include "trestle/tls/tls_info.h"
#include "trestle/wire/ech_opener.h"

namespace trestle {

/// How a block treats a connection's TLS.
enum class ProxyMode : uint8_t {
  kOffload,      ///< Decrypts here; sends clear text to the backend.
  kPassthrough,  ///< Does not decrypt.
  kBridge,       ///< Decrypts here; encrypts again to the backend.
};

/// Returns the name of a mode in lower case: "bridge".
absl::string_view EnumName(ProxyMode mode);

/// A router's summary of a ClientHello. The size and the numbers are those of the hello that came
/// over the network. If the router opened an encrypted hello (ECH), all else is of the inner one.
struct HelloReport {
  std::vector<std::string> alpn;  ///< The offered application protocols, in the client's order.
  size_t bytes = 0;               ///< Size of the handshake message.
  size_t records = 0;             ///< Number of TLS records.
  size_t segments = 0;            ///< Number of reads.
  std::string ja4 = {};           ///< JA4 fingerprint of the client, if the router computes it.
  /// What `SniPassthroughRouterOptions::ech` made of the hello; kNotOffered without it.
  EchVerdict ech = EchVerdict::kNotOffered;
};

/// The state of one leg, up to the phase that it reached.
struct LegReport {
  Endpoint local;
  Endpoint peer;
  /// The proxy that sent `peer` and `local` in a PROXY header; kNone without one.
  Endpoint via;
  /// The TLS parameters negotiated on this leg. Null if Trestle does not speak TLS on it, or the
  /// handshake did not get that far.
  std::shared_ptr<const TlsInfo> tls;
  /// Bytes that the relay read from this leg and wrote to it. On a TLS leg they are clear text; on
  /// a passthrough leg, the whole stream including its ClientHello.
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  /// The peer closed without marking its end (close_notify, FIN), but after this side had marked
  /// its own, and without sending a byte in between. Or a client closed so after its last bytes had
  /// been answered. Nothing was lost, so there is no error. Many servers and browsers close kept
  /// connections this way.
  bool left_unmarked = false;
  /// Bytes moved by splice(2) between two sockets, without passing through this process. Part of
  /// `bytes_written`.
  uint64_t bytes_spliced = 0;
};

/// A backend that failed, before the block tried the next one or gave up.
struct FailedTry {
  Endpoint backend;
  Error error;
};

/// The duration of each phase; zero if the phase was not reached or does not exist in this mode.
struct PhaseTimes {
  absl::Duration front;  ///< Front TLS handshake, or reading the ClientHello.
  absl::Duration dial;   ///< Connecting to the backend.
  absl::Duration back;   ///< Back TLS handshake.
  absl::Duration relay;  ///< Relaying bytes.
};

/// Why a router of datagrams dropped some. None of them is answered.
enum class DatagramDrop : uint8_t {
  kNoFlow,           ///< It belongs to no flow, and no Initial packet leads it.
  kMalformed,        ///< Its header leads out of the datagram.
  kUnknownVersion,   ///< QUIC of another version than 1 and 2 would begin a flow.
  kBadInitial,       ///< An Initial that begins no flow: too small, or its keys don't fit.
  kRefusedFlow,      ///< Of a flow that was refused and reported.
  kTooManyNewFlows,  ///< Over the rate of new flows of its client network.
  kTooManyFlows,     ///< Over the number of flows, and no flow makes room.
  kDraining,         ///< Would begin a flow while the router drains.
  kUnprovenClient,   ///< An answer that is too long for a client with an unproven address.
  kSocketFull,       ///< The system's buffer for sending was full.
};

/// Returns a name in snake_case, as metrics show it: "no_flow".
absl::string_view EnumName(DatagramDrop drop);

/// The report about one connection.
struct ConnectionReport {
  uint64_t id = 0;  ///< Counts up from 1 in each block.
  ProxyMode mode = ProxyMode::kOffload;
  absl::Time accepted;  ///< When the first handler accepted it; `duration` and `times` start here.
  absl::Duration duration;
  uint32_t quic_version = 0;  ///< Of a QUIC flow (wire/quic_packet.h); 0 over TCP.
  std::string server_name;    ///< From the client's SNI, normalised; empty when it sent none.
  /// True if `server_name` was encrypted (ECH, RFC 9849). It must not be logged then: see
  /// `WithoutHiddenNames`. `error` and `failed_tries` never contain it.
  bool server_name_hidden = false;
  std::optional<HelloReport> hello;  ///< From the router: this block, or one before it.
  /// The pattern that matched, "default", or empty without routing. A block behind a router that
  /// does not route itself reports that router's pattern.
  std::string route;
  /// True if a route passed the connection to another handler. That handler's report repeats these
  /// values.
  bool handed_over = false;
  LegReport front;
  LegReport back;
  std::vector<FailedTry> failed_tries;  ///< Tried before the one in `back`.
  PhaseTimes times;
  /// Empty if both directions ended cleanly; else why not, with leg and phase.
  std::optional<Error> error;

  bool ok() const { return !error.has_value(); }
};

/// Returns a copy of `report` for logs, without an encrypted server name (ECH). "(ech)" replaces
/// the name, and the server certificates that match it on either leg are removed.
ConnectionReport WithoutHiddenNames(const ConnectionReport& report);

/// Called on the loop's thread, from the loop. Must not destroy the block that calls it.
class ConnectionObserver {
 public:
  virtual ~ConnectionObserver() = default;

  /// Called when both legs are open, before bytes flow. Not called for connections that fail
  /// earlier.
  virtual void OnEstablished(const ConnectionReport& report) { (void)report; }

  /// Called when a connection was reset unread because of `limit`. There is no report about it.
  virtual void OnTurnedAway(Limit limit) { (void)limit; }

  /// Called when a router of datagrams dropped some. Those of reported flows count too.
  virtual void OnDatagramsDropped(DatagramDrop why, size_t datagrams) {
    (void)why;
    (void)datagrams;
  }

  /// Called when the connection is closed, exactly once for each connection that a block took.
  virtual void OnClosed(const ConnectionReport& report) = 0;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_OBSERVER_H_
