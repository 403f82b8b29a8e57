// ProxyBlock: what the three building blocks have in common: they own connections, have limits in
// time, and can be drained.
#ifndef TRESTLE_PROXY_PROXY_BLOCK_H_
#define TRESTLE_PROXY_PROXY_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "trestle/base/ip_range.h"
#include "trestle/io/dialer.h"
#include "trestle/io/inspector.h"
#include "trestle/io/relay.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/connection_handler.h"
#include "trestle/proxy/connection_limiter.h"
#include "trestle/proxy/observer.h"

namespace trestle {

class ConnectionPlan;
class ConnectionSet;

/// Which PROXY protocol header a backend is sent before all else.
enum class ProxyProtocolOut : uint8_t {
  kNone,
  kV1,  ///< One line of text: the addresses.
  /// Binary: the addresses; the server name (AUTHORITY), the application protocol and what TLS
  /// agreed on the front leg (SSL), where known; UNIQUE_ID and unknown TLVs that came in; a CRC32C.
  kV2,
};

/// When a backend is left out for a while, where there are others (passive health checking). One
/// that fails to connect or to open its TLS so often in a row is ejected; when that time is over
/// one connection tries it again, and another failure ejects it for twice as long. Each loop counts
/// by itself.
///
/// No client can have a backend ejected for others. A handshake that fails after the backend was
/// shown something of the client's (a copied or computed name, a protocol, a PROXY header) counts
/// only for connections that would show it the same: that name, that protocol, and with a PROXY
/// header or a computed name that client's address (of IPv6, its /64). What this side lacks, such
/// as free ports, and clients that leave early count for nothing.
struct EjectionOptions {
  uint32_t after_failures = 3;  ///< 0: never.
  absl::Duration first = absl::Seconds(1);
  absl::Duration longest = absl::Minutes(1);
};

/// Limits of a connection. Each phase that runs out of time ends the connection with
/// ErrorCode::kTimeout, naming the leg and the phase. None may be infinite or zero.
struct ConnectionOptions {
  /// From the first moment to a complete ClientHello: a total, not an idle time, so that a client
  /// that trickles bytes gains nothing.
  absl::Duration hello_timeout = absl::Seconds(5);
  /// For a whole TLS handshake: on the front leg from the complete ClientHello on; on the back leg
  /// for those with all backends that are tried, together.
  absl::Duration handshake_timeout = absl::Seconds(10);
  /// For connecting to the backend, or to those that are tried, together.
  absl::Duration dial_timeout = absl::Seconds(10);
  /// For getting a last alert out to a peer, and for the peer to close after a failure.
  absl::Duration close_timeout = absl::Seconds(5);
  /// Peers that speak for others: each must begin with a PROXY protocol header, of either version,
  /// within the hello timeout. From anybody else such a header is as good as any other bytes that
  /// aren't TLS: refused. Behind a router that read it, no second one is expected. Empty: nobody.
  TrustedPeers proxy_protocol_from;
  ProxyProtocolOut proxy_protocol_to_backend = ProxyProtocolOut::kNone;
  /// How long a connection may go on after the certificate that its client was shown has expired;
  /// then it is cut with ErrorCode::kCancelled. Infinite: as long as it likes.
  absl::Duration after_certificate_expiry = absl::InfiniteDuration();
  /// What a flood of clients may cost. Blocks that share one have these limits together. Null: no
  /// limits.
  std::shared_ptr<ConnectionLimiter> limiter;
  /// Idle time and buffer bounds once bytes flow.
  RelayOptions relay;
  EjectionOptions ejection;
};

/// Makes the inspector of one connection, of which the report tells what is known when both legs
/// are open; null for none.
using InspectorFactory =
    absl::AnyInvocable<std::unique_ptr<Inspector>(const ConnectionReport& connection)>;

/// One loop's worth of connections of one kind. All calls come from the loop's thread.
class ProxyBlock : public ConnectionHandler {
 public:
  /// Destroying a block cuts its connections; the observer is told of each.
  ~ProxyBlock() override;

  /// Also resets the connection where too many are open.
  void Serve(Accepted connection) final;
  using ConnectionHandler::Serve;

  /// Lets open connections finish for at most `timeout`, then cuts what is left with
  /// ErrorCode::kCancelled. `done` is called once, from the loop, when none is open. The host stops
  /// accepting first. Calling it again replaces the deadline and the earlier `done`.
  void Drain(absl::Duration timeout, absl::AnyInvocable<void()> done);

  /// Lets connections whose handshake with the client was made with certificates of an earlier
  /// generation (CertificateSet) finish for at most `timeout`, then cuts what is left of them with
  /// ErrorCode::kCancelled; also those that resumed a session then. Connections without a
  /// certificate here go on. Calls add up; with very many at a time the later ones of them wait for
  /// the last.
  void DrainOlderCertificates(uint64_t generation, absl::Duration timeout);

  /// What `ConnectionOptions::limiter` is; may be null. A connection over the number that may be
  /// open is reset without a report; a handshake over a limit is reported with
  /// ErrorCode::kOverLimit.
  const std::shared_ptr<ConnectionLimiter>& limiter() const;

  /// Counts the connections that are open now.
  size_t open_connections() const;

  /// Tells whether any connection holds a buffer now. False when all are idle.
  bool holds_buffers() const;

 protected:
  /// `scheduler`, `dialer` and `observer` (which may be null) must outlive the block.
  ProxyBlock(Scheduler& scheduler, Dialer& dialer, const ConnectionOptions& options,
             ConnectionObserver* observer, std::unique_ptr<ConnectionPlan> plan);

 private:
  const std::unique_ptr<ConnectionPlan> plan_;
  const std::unique_ptr<ConnectionSet> connections_;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_PROXY_BLOCK_H_
