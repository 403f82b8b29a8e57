// Reads capture files strictly: every field of every header must be correct, sequence and
// acknowledgement numbers must match, and the payloads are assembled.
#ifndef TRESTLE_TESTS_SUPPORT_PCAP_READER_H_
#define TRESTLE_TESTS_SUPPORT_PCAP_READER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"

namespace trestle {

struct PcapPacket {
  absl::Time time;
  Endpoint from;
  Endpoint to;
  uint32_t sequence = 0;
  uint32_t acknowledged = 0;
  bool syn = false;
  bool ack = false;
  bool fin = false;
  bool rst = false;
  std::string payload = {};
};

/// One TCP connection, from its SYN.
struct PcapStream {
  Endpoint client;
  Endpoint server;
  std::string to_server = {};
  std::string to_client = {};
  bool client_ended = false;
  bool server_ended = false;
  bool reset = false;
  uint32_t client_sequence = 0;  ///< Of the next byte.
  uint32_t server_sequence = 0;
};

/// Reads all packets of a file with LINKTYPE_RAW; an error has the packet and its fault.
absl::StatusOr<std::vector<PcapPacket>> ReadPackets(absl::string_view file);

/// Assembles connections, in the order of their SYNs. Each must begin with the three packets of a
/// handshake. The next packet of the same connection must acknowledge each segment. Nothing may
/// follow an RST, and only acknowledgements may follow a side's FIN.
absl::StatusOr<std::vector<PcapStream>> ReadStreams(absl::string_view file);

}  // namespace trestle

#endif  // TRESTLE_TESTS_SUPPORT_PCAP_READER_H_
