#include "integrations/capture/pcap.h"

#include <algorithm>
#include <limits>

#include "absl/strings/string_view.h"

namespace trestle {
namespace {

// https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html
constexpr uint32_t kMagic = 0xa1b2c3d4;
constexpr uint16_t kVersionMajor = 2;
constexpr uint16_t kVersionMinor = 4;
constexpr uint32_t kSnapLength = 65535;
constexpr uint32_t kLinkTypeRaw = 101;

// RFC 9293 3.1
constexpr uint8_t kFin = 0x01;
constexpr uint8_t kSyn = 0x02;
constexpr uint8_t kRst = 0x04;
constexpr uint8_t kPsh = 0x08;
constexpr uint8_t kAck = 0x10;
constexpr size_t kTcpHeaderBytes = 20;
constexpr size_t kTcpChecksumOffset = 16;
constexpr uint16_t kWindow = 65535;

constexpr size_t kIpv4HeaderBytes = 20;
constexpr size_t kIpv4ChecksumOffset = 10;
constexpr uint16_t kDontFragment = 0x4000;
constexpr uint8_t kHops = 64;
constexpr uint8_t kTcp = 6;

constexpr size_t kIpv4MappedPrefix = 12;

// Integers of the file are little-endian; those of packets are big-endian.
void AppendLittle(uint32_t value, int bytes, std::string& out) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}
void AppendBig(uint32_t value, int bytes, std::string& out) {
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(value >> (8 * i)));
}

// Returns the sum of RFC 1071, not folded yet. Only the last piece may have an odd number of bytes.
uint64_t Sum(absl::string_view bytes, uint64_t sum = 0) {
  size_t i = 0;
  for (; i + 1 < bytes.size(); i += 2) {
    sum += static_cast<uint32_t>(static_cast<uint8_t>(bytes[i]) << 8 |
                                 static_cast<uint8_t>(bytes[i + 1]));
  }
  if (i < bytes.size()) sum += static_cast<uint32_t>(static_cast<uint8_t>(bytes[i]) << 8);
  return sum;
}

void PutChecksum(uint64_t sum, size_t offset, std::string& header) {
  while (sum > 0xffff) sum = (sum >> 16) + (sum & 0xffff);
  const auto checksum = static_cast<uint16_t>(~sum);
  header[offset] = static_cast<char>(checksum >> 8);
  header[offset + 1] = static_cast<char>(checksum & 0xff);
}

std::array<uint8_t, 16> MappedAddress(const Endpoint& endpoint) {
  std::array<uint8_t, 16> address = {};
  const ByteView bytes = endpoint.address();
  std::copy(bytes.begin(), bytes.end(), address.end() - static_cast<ptrdiff_t>(bytes.size()));
  if (endpoint.family() == Endpoint::Family::kIpv4) address[10] = address[11] = 0xff;
  return address;
}

}  // namespace

std::string PcapFileHeader() {
  std::string out;
  AppendLittle(kMagic, 4, out);
  AppendLittle(kVersionMajor, 2, out);
  AppendLittle(kVersionMinor, 2, out);
  AppendLittle(0, 4, out);  // Times are in UTC.
  AppendLittle(0, 4, out);  // Accuracy not stated.
  AppendLittle(kSnapLength, 4, out);
  AppendLittle(kLinkTypeRaw, 4, out);
  return out;
}

PcapConversation::PcapConversation(const Endpoint& client, const Endpoint& server,
                                   uint32_t client_sequence, uint32_t server_sequence)
    : sides_({Side{MappedAddress(client), client.port(), client_sequence, false},
              Side{MappedAddress(server), server.port(), server_sequence, false}}),
      ipv6_(client.family() == Endpoint::Family::kIpv6 ||
            server.family() == Endpoint::Family::kIpv6) {}

void PcapConversation::AppendOpen(absl::Time now, std::string& out) {
  AppendPacket(Leg::kFront, kSyn, {}, now, out);
  ++side(Leg::kFront).sequence;
  AppendPacket(Leg::kBack, kSyn | kAck, {}, now, out);
  ++side(Leg::kBack).sequence;
  AppendPacket(Leg::kFront, kAck, {}, now, out);
}

void PcapConversation::AppendBytes(Leg from, ByteView bytes, absl::Time now, std::string& out) {
  while (!bytes.empty()) {
    const ByteView segment = bytes.first(std::min(bytes.size(), kMaxSegmentBytes));
    bytes.remove_prefix(segment.size());
    AppendPacket(from, bytes.empty() ? kPsh | kAck : kAck, segment, now, out);
    side(from).sequence += static_cast<uint32_t>(segment.size());
    AppendPacket(Other(from), kAck, {}, now, out);
  }
}

void PcapConversation::AppendEnd(Leg from, absl::Time now, std::string& out) {
  AppendPacket(from, kFin | kAck, {}, now, out);
  ++side(from).sequence;
  side(from).ended = true;
  AppendPacket(Other(from), kAck, {}, now, out);
}

void PcapConversation::AppendCut(absl::Time now, std::string& out) {
  AppendPacket(side(Leg::kFront).ended ? Leg::kBack : Leg::kFront, kRst | kAck, {}, now, out);
}

void PcapConversation::AppendPacket(Leg from_leg, uint8_t flags, ByteView payload, absl::Time now,
                                    std::string& out) {
  const Side& from = side(from_leg);
  const Side& to = side(Other(from_leg));
  const std::string segment = TcpSegment(from, to, flags, payload);
  const std::string header = IpHeader(from, to, segment.size() + payload.size());
  // The format has 32 unsigned bits for seconds.
  const int64_t latest = int64_t{std::numeric_limits<uint32_t>::max()} * 1'000'000;
  const int64_t micros = std::clamp(absl::ToUnixMicros(now), int64_t{0}, latest);
  const auto bytes = static_cast<uint32_t>(header.size() + segment.size() + payload.size());
  AppendLittle(static_cast<uint32_t>(micros / 1'000'000), 4, out);
  AppendLittle(static_cast<uint32_t>(micros % 1'000'000), 4, out);
  AppendLittle(bytes, 4, out);  // Captured length.
  AppendLittle(bytes, 4, out);  // Original length.
  out.append(header).append(segment).append(AsText(payload));
}

std::string PcapConversation::IpHeader(const Side& from, const Side& to, size_t tcp_bytes) const {
  std::string header;
  if (ipv6_) {
    AppendBig(0x6000'0000, 4, header);
    AppendBig(static_cast<uint32_t>(tcp_bytes), 2, header);
    header.push_back(kTcp);
    header.push_back(kHops);
    header.append(AsText(AddressOf(from))).append(AsText(AddressOf(to)));
    return header;
  }
  AppendBig(0x4500, 2, header);
  AppendBig(static_cast<uint32_t>(kIpv4HeaderBytes + tcp_bytes), 2, header);
  AppendBig(0, 2, header);  // Packets that may not be fragmented need no ID (RFC 6864 4.1).
  AppendBig(kDontFragment, 2, header);
  header.push_back(kHops);
  header.push_back(kTcp);
  AppendBig(0, 2, header);
  header.append(AsText(AddressOf(from))).append(AsText(AddressOf(to)));
  PutChecksum(Sum(header), kIpv4ChecksumOffset, header);
  return header;
}

// Returns the header only; its checksum covers the payload too.
std::string PcapConversation::TcpSegment(const Side& from, const Side& to, uint8_t flags,
                                         ByteView payload) const {
  std::string header;
  AppendBig(from.port, 2, header);
  AppendBig(to.port, 2, header);
  AppendBig(from.sequence, 4, header);
  AppendBig((flags & kAck) != 0 ? to.sequence : 0, 4, header);
  header.push_back(static_cast<char>(kTcpHeaderBytes / 4 << 4));
  header.push_back(static_cast<char>(flags));
  AppendBig(kWindow, 2, header);
  AppendBig(0, 4, header);  // Checksum, and urgent pointer.
  std::string pseudo_header(AsText(AddressOf(from)));
  pseudo_header.append(AsText(AddressOf(to)));
  AppendBig(kTcp, 4, pseudo_header);
  AppendBig(static_cast<uint32_t>(header.size() + payload.size()), 4, pseudo_header);
  PutChecksum(Sum(AsText(payload), Sum(header, Sum(pseudo_header))), kTcpChecksumOffset, header);
  return header;
}

ByteView PcapConversation::AddressOf(const Side& side) const {
  return ByteView(side.address).subspan(ipv6_ ? 0 : kIpv4MappedPrefix);
}

}  // namespace trestle
