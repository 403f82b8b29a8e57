// QUIC hello kit: makes the first datagrams of QUIC clients, and spreads a ClientHello over frames,
// packets and datagrams in many ways. Use it to test code that reads a hello over QUIC.
//
// docs/quic.md has an example. client_hello_kit.h makes the hellos themselves.
#ifndef TRESTLE_TESTING_QUIC_HELLO_KIT_H_
#define TRESTLE_TESTING_QUIC_HELLO_KIT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/wire/quic_packet.h"

namespace trestle::testing {

// Hellos as QUIC clients send them: TLS 1.3 only, without a session ID, with h3 and transport
// parameters.

/// Offers an X25519 share: about 250 bytes.
HelloBuilder QuicHello(absl::string_view server_name);
/// Adds an X25519MLKEM768 share: about 1.5 KB, which needs two datagrams.
HelloBuilder QuicPostQuantumHello(absl::string_view server_name);

/// The header of an Initial packet. The defaults are those of a client's first packet.
struct QuicInitialHeader {
  uint32_t version = kQuicV1;
  std::string destination_id = std::string("\x83\x94\xc8\xf0\x3e\x51\x57\x08", 8);
  std::string source_id = "client";
  std::string token;
  uint64_t packet_number = 0;
  size_t number_bytes = 2;  ///< 1 to 4: how many bytes of the number are sent.
  /// The ID from which the keys come: the first one of the client, if `destination_id` is not.
  std::string key_id = destination_id;
  bool from_server = false;   ///< Whether the server's keys are used.
  uint8_t reserved_bits = 0;  ///< 0 to 3; only 0 is allowed.
};

/// Makes an Initial packet. `frames` may be invalid, and must have at least 4 bytes less
/// `number_bytes`, so that the header can be protected.
std::string QuicInitial(const QuicInitialHeader& header, absl::string_view frames);

/// Makes a datagram with one Initial packet: adds PADDING frames, so that it has `bytes` bytes.
/// Adds none if the packet is longer.
std::string QuicInitialDatagram(const QuicInitialHeader& header, absl::string_view frames,
                                size_t bytes = kQuicMinInitialDatagramBytes);

/// Makes a variable-length integer in its shortest form (RFC 9000 16).
std::string QuicVarint(uint64_t value);
std::string QuicCryptoFrame(uint64_t offset, absl::string_view data);

/// Makes a 0-RTT or Handshake packet with a made-up payload, as if it were encrypted.
std::string QuicOpaquePacket(QuicPacketType type, const QuicInitialHeader& header,
                             size_t payload_bytes);
/// Makes a server's Version Negotiation packet, which offers version 1. The IDs are those of
/// `header`.
std::string QuicVersionNegotiation(const QuicInitialHeader& header);
/// Makes a server's Retry packet with `header.token`. `first_id` is the ID that the client chose.
std::string QuicRetry(const QuicInitialHeader& header, absl::string_view first_id);

/// A hello as the network carries it.
struct QuicFlight {
  std::string label;  ///< Describes the flight: "cut at 5, second part first".
  std::vector<std::string> datagrams;
};

/// The flights that `ForEachQuicFlight` makes.
struct QuicFlightPlan {
  QuicInitialHeader header;
  bool every_cut = true;  ///< Two frames, cut at each position, in both orders.
  bool every_packet_cut =
      true;  ///< Two packets in one datagram, cut at each position, both orders.
  bool every_datagram_cut = true;  ///< Two datagrams, cut at each position, in both orders.
  bool every_order = true;         ///< Four datagrams in each order.
  bool one_byte_frames = true;     ///< Each byte in a frame of its own.
  size_t shuffled = 100;           ///< Flights of `ShuffledQuicFlight`.
  uint64_t seed = 1;
};

/// Calls `visit` with the hello in as few datagrams as possible, and then with each flight of the
/// plan. All are valid and complete: a reader must find the hello in each. Returns the number of
/// calls.
size_t ForEachQuicFlight(absl::string_view message, const QuicFlightPlan& plan,
                         absl::FunctionRef<void(const QuicFlight&)> visit);

/// Makes a flight as Chrome does: frames cut at random places and shuffled, with PING and PADDING
/// between them. Beyond that, frames overlap, and datagrams come twice and in any order. The same
/// seed gives the same flight.
QuicFlight ShuffledQuicFlight(absl::string_view message, const QuicInitialHeader& header,
                              uint64_t seed);

}  // namespace trestle::testing

#endif  // TRESTLE_TESTING_QUIC_HELLO_KIT_H_
