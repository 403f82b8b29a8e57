#include "tests/support/pcap_reader.h"

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "trestle/base/bytes.h"

namespace trestle {
namespace {

// Reads integers from the front of a text. Missing bytes read as zero and are recorded.
class Fields {
 public:
  explicit Fields(absl::string_view text) : text_(text) {}

  uint32_t Little(int bytes) {
    uint32_t value = 0;
    const absl::string_view field = Take(static_cast<size_t>(bytes));
    for (size_t i = field.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(field[i]);
    return value;
  }
  uint32_t Big(int bytes) {
    uint32_t value = 0;
    for (const char c : Take(static_cast<size_t>(bytes))) {
      value = value << 8 | static_cast<uint8_t>(c);
    }
    return value;
  }
  absl::string_view Take(size_t bytes) {
    if (bytes > text_.size()) {
      complete_ = false;
      bytes = text_.size();
    }
    const absl::string_view taken = text_.substr(0, bytes);
    text_.remove_prefix(bytes);
    return taken;
  }

  absl::string_view rest() const { return text_; }
  bool complete() const { return complete_; }

 private:
  absl::string_view text_;
  bool complete_ = true;
};

// The result is 0xffff for bytes that include their checksum.
uint32_t FoldedSum(absl::string_view bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])) << (i % 2 == 0 ? 8 : 0);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

std::string BigText(uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text.push_back(static_cast<char>(value >> shift));
  return text;
}

// The fields of an IP header.
struct Ip {
  std::string source;
  std::string destination;
  absl::string_view segment;
  std::string fault = {};
};

Ip ReadIpv4(absl::string_view packet) {
  Fields fields(packet);
  Ip ip;
  if (FoldedSum(packet.substr(0, 20)) != 0xffff) ip.fault = "IPv4 checksum";
  if (fields.Big(2) != 0x4500) ip.fault = "IPv4 header length or type of service";
  if (fields.Big(2) != packet.size()) ip.fault = "IPv4 total length";
  if (fields.Big(2) != 0) ip.fault = "IPv4 identification";
  if (fields.Big(2) != 0x4000) ip.fault = "IPv4 fragment";
  if (fields.Big(1) != 64) ip.fault = "IPv4 time to live";
  if (fields.Big(1) != 6) ip.fault = "IPv4 protocol";
  fields.Big(2);
  ip.source = std::string(fields.Take(4));
  ip.destination = std::string(fields.Take(4));
  ip.segment = fields.rest();
  return ip;
}

Ip ReadIpv6(absl::string_view packet) {
  Fields fields(packet);
  Ip ip;
  if (fields.Big(4) != 0x6000'0000) ip.fault = "IPv6 class or flow";
  if (fields.Big(2) + 40 != packet.size()) ip.fault = "IPv6 payload length";
  if (fields.Big(1) != 6) ip.fault = "IPv6 next header";
  if (fields.Big(1) != 64) ip.fault = "IPv6 hop limit";
  ip.source = std::string(fields.Take(16));
  ip.destination = std::string(fields.Take(16));
  ip.segment = fields.rest();
  return ip;
}

absl::StatusOr<PcapPacket> ReadPacket(absl::string_view bytes) {
  const bool ipv6 = !bytes.empty() && (static_cast<uint8_t>(bytes[0]) >> 4) == 6;
  const Ip ip = ipv6 ? ReadIpv6(bytes) : ReadIpv4(bytes);
  if (!ip.fault.empty()) return absl::DataLossError(ip.fault);
  const std::string pseudo_header = absl::StrCat(ip.source, ip.destination, BigText(6),
                                                 BigText(static_cast<uint32_t>(ip.segment.size())));
  if (FoldedSum(absl::StrCat(pseudo_header, ip.segment)) != 0xffff) {
    return absl::DataLossError("TCP checksum");
  }
  Fields fields(ip.segment);
  PcapPacket packet;
  packet.from = Endpoint(AsBytes(ip.source), static_cast<uint16_t>(fields.Big(2)));
  packet.to = Endpoint(AsBytes(ip.destination), static_cast<uint16_t>(fields.Big(2)));
  packet.sequence = fields.Big(4);
  packet.acknowledged = fields.Big(4);
  if (fields.Big(1) != 0x50) return absl::DataLossError("TCP header length");
  const uint32_t flags = fields.Big(1);
  if ((flags & ~0x1fu) != 0) return absl::DataLossError("TCP flags");
  packet.fin = (flags & 1) != 0;
  packet.syn = (flags & 2) != 0;
  packet.rst = (flags & 4) != 0;
  packet.ack = (flags & 16) != 0;
  if (fields.Big(2) != 65535) return absl::DataLossError("TCP window");
  fields.Big(2);
  if (fields.Big(2) != 0) return absl::DataLossError("TCP urgent pointer");
  if (!fields.complete()) return absl::DataLossError("a packet shorter than its headers");
  packet.payload = std::string(fields.rest());
  return packet;
}

absl::Status At(size_t index, absl::string_view fault) {
  return absl::DataLossError(absl::StrCat("packet ", index, ": ", fault));
}

// Assembles one connection's packets.
class Follower {
 public:
  explicit Follower(const PcapPacket& syn) : stream_{syn.from, syn.to} {}

  bool Covers(const PcapPacket& packet) const {
    return (packet.from == stream_.client && packet.to == stream_.server) ||
           (packet.from == stream_.server && packet.to == stream_.client);
  }
  bool over() const { return stream_.reset || (stream_.client_ended && stream_.server_ended); }
  bool settled() const { return handshakes_ == 3 && !unacknowledged_from_client_.has_value(); }
  const PcapStream& stream() const { return stream_; }

  // Returns the fault of the packet; empty if there is none.
  std::string Take(const PcapPacket& packet) {
    const bool from_client = packet.from == stream_.client;
    if (stream_.reset) return "a packet after an RST";
    if (handshakes_ < 3) return TakeHandshake(packet, from_client);
    uint32_t& sequence = from_client ? stream_.client_sequence : stream_.server_sequence;
    bool& ended = from_client ? stream_.client_ended : stream_.server_ended;
    if (packet.syn || !packet.ack) return "a SYN, or no ACK, after the handshake";
    if (packet.sequence != sequence) return "a gap in the sequence numbers";
    if (packet.acknowledged != (from_client ? stream_.server_sequence : stream_.client_sequence)) {
      return "an acknowledgement that doesn't fit";
    }
    if (unacknowledged_from_client_.has_value()) {
      const bool answers = *unacknowledged_from_client_ != from_client;
      unacknowledged_from_client_.reset();
      if (answers && packet.payload.empty() && !packet.fin && !packet.rst) return "";
      return "a segment that the next packet doesn't acknowledge";
    }
    if (packet.payload.empty() && !packet.fin && !packet.rst) return "a packet that says nothing";
    if (ended) return "more from a side that has ended";
    (from_client ? stream_.to_server : stream_.to_client) += packet.payload;
    sequence += static_cast<uint32_t>(packet.payload.size()) + (packet.fin ? 1 : 0);
    ended = packet.fin;
    stream_.reset = packet.rst;
    if (!packet.rst) unacknowledged_from_client_ = from_client;
    return "";
  }

 private:
  std::string TakeHandshake(const PcapPacket& packet, bool from_client) {
    ++handshakes_;
    const bool right_side = from_client == (handshakes_ != 2);
    const bool right_flags = packet.syn == (handshakes_ != 3) && packet.ack == (handshakes_ != 1);
    if (!right_side || !right_flags || packet.fin || packet.rst || !packet.payload.empty()) {
      return "no handshake";
    }
    const uint32_t expected = handshakes_ == 1   ? 0
                              : handshakes_ == 2 ? stream_.client_sequence
                                                 : stream_.server_sequence;
    if (packet.acknowledged != expected) return "a handshake's acknowledgement";
    if (handshakes_ == 3) return packet.sequence == stream_.client_sequence ? "" : "its sequence";
    (from_client ? stream_.client_sequence : stream_.server_sequence) = packet.sequence + 1;
    return "";
  }

  PcapStream stream_;
  int handshakes_ = 0;
  std::optional<bool> unacknowledged_from_client_;
};

}  // namespace

absl::StatusOr<std::vector<PcapPacket>> ReadPackets(absl::string_view file) {
  Fields fields(file);
  if (fields.Little(4) != 0xa1b2c3d4) return absl::DataLossError("magic");
  if (fields.Little(2) != 2 || fields.Little(2) != 4) return absl::DataLossError("version");
  if (fields.Little(4) != 0 || fields.Little(4) != 0) return absl::DataLossError("time zone");
  if (fields.Little(4) != 65535) return absl::DataLossError("snap length");
  if (fields.Little(4) != 101) return absl::DataLossError("link type");
  std::vector<PcapPacket> packets;
  while (!fields.rest().empty()) {
    const uint32_t seconds = fields.Little(4);
    const uint32_t micros = fields.Little(4);
    const uint32_t captured = fields.Little(4);
    if (micros > 999'999) return At(packets.size(), "microseconds");
    if (fields.Little(4) != captured || captured > 65535) return At(packets.size(), "length");
    const absl::string_view bytes = fields.Take(captured);
    if (!fields.complete()) return At(packets.size(), "the file ends in it");
    absl::StatusOr<PcapPacket> packet = ReadPacket(bytes);
    if (!packet.ok()) return At(packets.size(), packet.status().message());
    packet->time = absl::FromUnixSeconds(seconds) + absl::Microseconds(micros);
    packets.push_back(*std::move(packet));
  }
  return packets;
}

absl::StatusOr<std::vector<PcapStream>> ReadStreams(absl::string_view file) {
  const absl::StatusOr<std::vector<PcapPacket>> packets = ReadPackets(file);
  if (!packets.ok()) return packets.status();
  std::vector<Follower> followers;
  for (size_t i = 0; i < packets->size(); ++i) {
    const PcapPacket& packet = (*packets)[i];
    Follower* follower = nullptr;
    for (Follower& known : followers) {
      // Ports may be reused.
      if (known.Covers(packet) && !(packet.syn && !packet.ack && known.over())) follower = &known;
    }
    if (follower == nullptr) follower = &followers.emplace_back(packet);
    if (const std::string fault = follower->Take(packet); !fault.empty()) return At(i, fault);
  }
  std::vector<PcapStream> streams;
  for (const Follower& follower : followers) {
    if (!follower.settled()) return absl::DataLossError("the last segment isn't acknowledged");
    streams.push_back(follower.stream());
  }
  return streams;
}

}  // namespace trestle
