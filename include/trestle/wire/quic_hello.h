// What becomes of a ClientHello that comes over QUIC: its states, faults and limits.
// QuicHelloReader (tls/quic_hello_reader.h) reads it.
#ifndef TRESTLE_WIRE_QUIC_HELLO_H_
#define TRESTLE_WIRE_QUIC_HELLO_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/wire/server_name.h"

namespace trestle {

enum class QuicHelloState : uint8_t {
  kNeedMore,            ///< The hello isn't complete.
  kDone,                ///< The hello is complete and valid.
  kNotInitial,          ///< The first datagram begins no connection, or isn't QUIC.
  kVersionNegotiation,  ///< The first datagram is an answer to an unknown version.
  kUnknownVersion,      ///< The first datagram has another version of QUIC than 1 and 2.
  kRefused,             ///< See `QuicHelloFault`.
};

/// Returns a state's name in snake_case: "not_initial".
absl::string_view EnumName(QuicHelloState state);

/// Why a hello is refused. The sections are those of RFC 9000.
enum class QuicHelloFault : uint8_t {
  // About the first datagram. It isn't authentic yet, so that none of these ends a flow that began.
  kMalformedPacket,    ///< The header leads out of the datagram, or a connection ID is too long.
  kSmallDatagram,      ///< An Initial in less than 1200 bytes (14.1).
  kShortConnectionId,  ///< A first connection ID of less than 8 bytes (7.2).
  kNotDecrypted,       ///< The Initial keys don't decrypt the packet.
  // About decrypted packets.
  kReservedBits,    ///< The reserved bits of the header are not zero (17.2).
  kNoFrames,        ///< A packet without frames (12.4).
  kMalformedFrame,  ///< A frame that leads out of the packet, or that is impossible.
  kForbiddenFrame,  ///< A frame that no Initial may have (12.4).
  kClosed,          ///< The client gave up: CONNECTION_CLOSE.
  kContradiction,   ///< Two CRYPTO frames with different bytes in one place (2.2).
  kNotClientHello,  ///< Another handshake message.
  kBeyondHello,     ///< CRYPTO frames go on behind the ClientHello.
  kMalformedHello,  ///< A ClientHello that `ParseClientHello` refuses.
  // Limits.
  kHelloTooLarge,     ///< Over `QuicHelloLimits::hello_bytes`.
  kTooManyGaps,       ///< Over `QuicHelloLimits::gaps`.
  kTooManyDatagrams,  ///< Over `QuicHelloLimits::datagrams`.
  kTooManyBytes,      ///< Over `QuicHelloLimits::bytes`.
  kTimeout,           ///< Over `QuicHelloLimits::time`.
};

/// Returns a fault's name in snake_case: "small_datagram".
absl::string_view EnumName(QuicHelloFault fault);

/// Returns the error for a fault: of the front leg, in the phase of the hello. `reason` may explain
/// it further.
absl::Status QuicHelloFaultError(QuicHelloFault fault, absl::string_view reason = "");

/// Limits of a hello over QUIC.
struct QuicHelloLimits {
  /// Datagrams up to the one that completes the hello, and the sum of their bytes.
  size_t datagrams = 8;
  size_t bytes = 16 * 1024;
  /// Time from the first datagram to the one that completes the hello.
  absl::Duration time = absl::Seconds(1);
  /// Size of the ClientHello message's body, in bytes. BoringSSL has the same limit.
  size_t hello_bytes = 16 * 1024;
  /// Gaps in the hello at one time. Clients that shuffle their CRYPTO frames make up to 20.
  size_t gaps = 64;
  ServerNameRules server_name;
};

}  // namespace trestle

#endif  // TRESTLE_WIRE_QUIC_HELLO_H_
