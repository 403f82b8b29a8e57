// ProxyBlock: the common base of the three building blocks. A block owns its connections, limits
// them in time, and can be drained. For example, with an EpollLoop `loop`:
//
//     auto block = TlsTerminator::Create(loop, dialer, std::move(options), &observer);
//     if (!block.ok()) return block.status();
//     auto listener = TcpListener::Create(loop, endpoint, [&](std::unique_ptr<Transport> client) {
//       (*block)->Serve(std::move(client));
//     });
//     if (!listener.ok()) return listener.status();
//     loop.Run();
//
// To shut down, stop accepting, then let open connections finish for up to 30 seconds:
//
//     (*listener)->Retire([&] {
//       (*block)->Drain(absl::Seconds(30), [&] { loop.Stop(); });
//     });
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
#include "trestle/proxy/backends.h"
#include "trestle/proxy/connection_handler.h"
#include "trestle/proxy/connection_limiter.h"
#include "trestle/proxy/observer.h"

namespace trestle {

class ConnectionPlan;
class ConnectionSet;

/// The PROXY protocol header to send to a backend, before all other bytes.
enum class ProxyProtocolOut : uint8_t {
  kNone,
  kV1,  ///< One line of text with the addresses.
  /// Binary: the addresses and a CRC32C. Where known, also the server name (AUTHORITY), the
  /// application protocol (ALPN) and the TLS parameters of the front leg (SSL). Forwards a received
  /// UNIQUE_ID and unknown TLVs.
  kV2,
};

/// Limits of a connection. A phase that exceeds its limit ends the connection with
/// ErrorCode::kTimeout, naming the leg and the phase. No limit may be zero or infinite, unless
/// stated.
struct ConnectionOptions {
  /// From accept to a complete ClientHello. A total, not an idle time, so trickling bytes does not
  /// extend it.
  absl::Duration hello_timeout = absl::Seconds(5);
  /// For a whole TLS handshake. On the front leg it starts at the complete ClientHello; on the back
  /// leg it covers all backends that are tried, together.
  absl::Duration handshake_timeout = absl::Seconds(10);
  /// For connecting to all backends that are tried, together.
  absl::Duration dial_timeout = absl::Seconds(10);
  /// If a backend has not accepted a connection after this time, the next one is dialed too. The
  /// first to accept is used (RFC 8305 5). So an address that never answers, such as one of a
  /// network without IPv6, costs clients this time and not `dial_timeout`. Only backends that are
  /// fit and of one priority race, and none with Balance::kClientAddress. Infinite: one after
  /// another.
  absl::Duration next_dial_after = absl::Milliseconds(250);
  /// For sending a last alert, and for the peer to close after a failure.
  absl::Duration close_timeout = absl::Seconds(5);
  /// Trusted proxies: each must begin with a PROXY protocol header, version 1 or 2, within
  /// `hello_timeout`. From other peers the header is rejected like all bytes that are not TLS.
  /// Behind a router that read the header, no second one is expected. Empty: trusts no peer.
  TrustedPeers proxy_protocol_from;
  ProxyProtocolOut proxy_protocol_to_backend = ProxyProtocolOut::kNone;
  /// How long a connection may continue after the expiry of the certificate that its client
  /// received. It is then cut with ErrorCode::kCancelled. Infinite: no limit.
  absl::Duration after_certificate_expiry = absl::InfiniteDuration();
  /// Limits the cost of a flood of clients. Blocks with the same limiter share its limits. Null: no
  /// limits.
  std::shared_ptr<ConnectionLimiter> limiter;
  /// Idle timeout and buffer sizes while bytes flow.
  RelayOptions relay;
  EjectionOptions ejection;
};

/// Creates the inspector of one connection, or null for none. The report has the facts that are
/// known once both legs are open. Called on the loop's thread.
using InspectorFactory =
    absl::AnyInvocable<std::unique_ptr<Inspector>(const ConnectionReport& connection)>;

/// A block: connections of one kind on one loop. All calls come from the loop's thread.
class ProxyBlock : public ConnectionHandler {
 public:
  /// Cuts all connections of the block and reports each to the observer. Not from a call of the
  /// observer.
  ~ProxyBlock() override;

  /// Takes over a connection. Resets it at once if too many are open.
  void Serve(Accepted connection) final;
  using ConnectionHandler::Serve;

  /// Lets open connections finish for at most `timeout`, then cuts the rest with
  /// ErrorCode::kCancelled. Calls `done` once, from the loop, when none is open. Stop accepting
  /// first. A second call replaces the deadline and the earlier `done`.
  void Drain(absl::Duration timeout, absl::AnyInvocable<void()> done);

  /// Lets connections with certificates of an earlier generation (CertificateSet) finish for at
  /// most `timeout`, then cuts the rest of them with ErrorCode::kCancelled. This includes
  /// connections that resumed a session at that time. Connections without a certificate of this
  /// process are not affected. Calls add up; if very many are pending, the later ones wait for the
  /// last.
  void DrainOlderCertificates(uint64_t generation, absl::Duration timeout);

  /// Returns `ConnectionOptions::limiter`; may be null. A connection over the connection limit is
  /// reset without a report. A handshake over a limit is reported with ErrorCode::kOverLimit.
  const std::shared_ptr<ConnectionLimiter>& limiter() const;

  /// Returns the number of open connections.
  size_t open_connections() const;

  /// Returns whether any connection holds a buffer. False if all are idle.
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
