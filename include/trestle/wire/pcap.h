// Pcap: bytes that two ends exchanged, written as the packets of a TCP connection that would have
// carried them, in the file format of libpcap, which Wireshark and tcpdump open.
#ifndef TRESTLE_WIRE_PCAP_H_
#define TRESTLE_WIRE_PCAP_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "trestle/base/bytes.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/leg.h"

namespace trestle {

/// Writes what a file begins with: version 2.4, little-endian, times in microseconds, packets that
/// begin with their IP header (LINKTYPE_RAW).
std::string PcapFileHeader();

/// One conversation's packets. Each call appends whole packets with their record headers to a
/// string; conversations may be mixed packet by packet. Every segment is acknowledged at once by a
/// packet of its own, and nothing is lost or repeated: a TCP connection as it should be. `from` is
/// kFront for the client, kBack for the server.
class PcapConversation {
 public:
  /// Longer pieces become several segments.
  static constexpr size_t kMaxSegmentBytes = 32 * 1024;

  /// Two IPv4 addresses make IPv4 packets; otherwise they are IPv6, with an IPv4 address in its
  /// mapped form. An endpoint that leads nowhere is 0.0.0.0:0. The initial sequence numbers are
  /// the connection's own, best others than those of earlier connections between the same ports.
  PcapConversation(const Endpoint& client, const Endpoint& server, uint32_t client_sequence,
                   uint32_t server_sequence);

  /// Appends the handshake: SYN, SYN-ACK, ACK. Comes first.
  void AppendOpen(absl::Time now, std::string& out);

  /// Appends `bytes` (none: nothing). Not after `AppendEnd` of the same side.
  void AppendBytes(Leg from, ByteView bytes, absl::Time now, std::string& out);

  /// Appends the end of what `from` sends (FIN); the other side may go on.
  void AppendEnd(Leg from, absl::Time now, std::string& out);

  /// Appends a reset, for a connection that was cut: of the client, or of the server where the
  /// client has ended. Comes last.
  void AppendCut(absl::Time now, std::string& out);

 private:
  struct Side {
    std::array<uint8_t, 16> address = {};
    uint16_t port = 0;
    uint32_t sequence = 0;  ///< Of the next byte that it sends.
    bool ended = false;
  };

  void AppendPacket(Leg from, uint8_t flags, ByteView payload, absl::Time now, std::string& out);
  std::string IpHeader(const Side& from, const Side& to, size_t tcp_bytes) const;
  std::string TcpSegment(const Side& from, const Side& to, uint8_t flags, ByteView payload) const;
  ByteView AddressOf(const Side& side) const;
  Side& side(Leg leg) { return sides_[leg == Leg::kBack]; }

  std::array<Side, 2> sides_;  // Client, server.
  bool ipv6_ = false;
};

}  // namespace trestle

#endif  // TRESTLE_WIRE_PCAP_H_
