// Pcap: writes the bytes that two peers exchanged as the packets of a made-up TCP connection, in
// libpcap's file format. Wireshark and tcpdump read it.
#ifndef TRESTLE_INTEGRATIONS_CAPTURE_PCAP_H_
#define TRESTLE_INTEGRATIONS_CAPTURE_PCAP_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "trestle/base/bytes.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/leg.h"

namespace trestle {

/// Returns a file's header: version 2.4, little-endian, times in microseconds, packets that begin
/// with their IP header (LINKTYPE_RAW).
std::string PcapFileHeader();

/// Writes the packets of one conversation. Each call appends whole packets with their record
/// headers to a string; a file may interleave the packets of several conversations. A separate
/// packet acknowledges each segment at once; no packet is lost or repeated. `from` is kFront for
/// the client, kBack for the server.
class PcapConversation {
 public:
  /// Longer pieces become several segments.
  static constexpr size_t kMaxSegmentBytes = 32 * 1024;

  /// Sets the addresses and initial sequence numbers. Two IPv4 addresses make IPv4 packets. All
  /// others make IPv6 packets, with an IPv4 address in its mapped form. An endpoint of family kNone
  /// is written as 0.0.0.0:0. The sequence numbers should differ from those of earlier connections
  /// between the same ports.
  PcapConversation(const Endpoint& client, const Endpoint& server, uint32_t client_sequence,
                   uint32_t server_sequence);

  /// Appends the handshake: SYN, SYN-ACK, ACK. Call it first.
  void AppendOpen(absl::Time now, std::string& out);

  /// Appends `bytes`; appends nothing if they are empty. Call it before `AppendEnd` of that side.
  void AppendBytes(Leg from, ByteView bytes, absl::Time now, std::string& out);

  /// Appends the end of the direction from `from` (FIN); the other side may still send.
  void AppendEnd(Leg from, absl::Time now, std::string& out);

  /// Appends a reset, for an aborted connection. The client sends it, or the server if the client
  /// has ended. Call it last.
  void AppendCut(absl::Time now, std::string& out);

 private:
  struct Side {
    std::array<uint8_t, 16> address = {};
    uint16_t port = 0;
    uint32_t sequence = 0;  ///< Of the next byte that this side sends.
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

#endif  // TRESTLE_INTEGRATIONS_CAPTURE_PCAP_H_
