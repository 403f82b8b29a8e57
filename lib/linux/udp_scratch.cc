#include "lib/linux/udp_scratch.h"

#include <netinet/udp.h>

#include <algorithm>
#include <cstring>

namespace trestle {
namespace {

// Of one message with its headers, IPv6 included.
constexpr size_t kMaxSegmentedBytes = 65'000;

Endpoint ToEndpoint(const sockaddr_in6& address) {
  if (address.sin6_family == AF_INET6) {
    return Endpoint(ByteView(address.sin6_addr.s6_addr, 16), ntohs(address.sin6_port));
  }
  if (address.sin6_family != AF_INET) return Endpoint();
  sockaddr_in ipv4;
  std::memcpy(&ipv4, &address, sizeof ipv4);
  return Endpoint(ByteView(reinterpret_cast<const uint8_t*>(&ipv4.sin_addr), 4),
                  ntohs(ipv4.sin_port));
}

// Returns the size.
socklen_t FromEndpoint(const Endpoint& endpoint, sockaddr_in6& address) {
  const ByteView bytes = endpoint.address();
  if (endpoint.family() == Endpoint::Family::kIpv6) {
    address = {};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(endpoint.port());
    std::memcpy(&address.sin6_addr, bytes.data(), bytes.size());
    return sizeof address;
  }
  sockaddr_in ipv4 = {};
  ipv4.sin_family = AF_INET;
  ipv4.sin_port = htons(endpoint.port());
  std::memcpy(&ipv4.sin_addr, bytes.data(), bytes.size());
  std::memcpy(&address, &ipv4, sizeof ipv4);
  return sizeof ipv4;
}

// What came with a message.
struct Extras {
  Endpoint local;
  size_t segment_bytes = 0;  // 0: it is one datagram.
};

Extras ReadControl(msghdr& message, const Endpoint& local) {
  Extras extras;
  extras.local = local;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      extras.local =
          Endpoint(ByteView(reinterpret_cast<const uint8_t*>(&info.ipi_addr), 4), local.port());
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      extras.local = Endpoint(ByteView(info.ipi6_addr.s6_addr, 16), local.port());
    } else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
      int bytes;
      std::memcpy(&bytes, CMSG_DATA(c), sizeof bytes);
      extras.segment_bytes = static_cast<size_t>(std::max(bytes, 0));
    }
  }
  return extras;
}

// Returns how many datagrams at the front of `batch` can leave as one message: all of one size, but
// the last one may be shorter.
size_t SegmentsIn(absl::Span<const Datagram> batch) {
  const Datagram& first = batch[0];
  size_t bytes = first.bytes.size();
  size_t count = 1;
  while (count < std::min(batch.size(), UdpScratch::kSegments)) {
    const Datagram& next = batch[count];
    const size_t size = next.bytes.size();
    if (size == 0 || size > first.bytes.size() || bytes + size > kMaxSegmentedBytes ||
        next.peer != first.peer || next.local != first.local) {
      break;
    }
    bytes += size;
    ++count;
    if (size < first.bytes.size()) break;
  }
  return first.bytes.empty() ? 1 : count;
}

template <typename T>
void AppendControl(msghdr& message, int level, int type, const T& value) {
  auto* const at =
      reinterpret_cast<cmsghdr*>(static_cast<char*>(message.msg_control) + message.msg_controllen);
  at->cmsg_level = level;
  at->cmsg_type = type;
  at->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(at), &value, sizeof value);
  message.msg_controllen += CMSG_SPACE(sizeof value);
}

}  // namespace

UdpScratch::UdpScratch() : bytes_(new uint8_t[kMessages * kMessageBytes]) {
  for (size_t i = 0; i < kMessages; ++i) {
    received_parts_[i] = {bytes_.get() + i * kMessageBytes, kMessageBytes};
    msghdr& message = received_[i].msg_hdr;
    message.msg_iov = &received_parts_[i];
    message.msg_iovlen = 1;
    message.msg_name = &senders_[i];
    message.msg_control = &received_control_[i];
  }
}

int UdpScratch::Receive(int fd) {
  for (mmsghdr& message : received_) {
    message.msg_hdr.msg_namelen = sizeof(sockaddr_in6);
    message.msg_hdr.msg_controllen = sizeof(Control);
  }
  return recvmmsg(fd, received_.data(), kMessages, MSG_DONTWAIT, nullptr);
}

absl::Span<const Datagram> UdpScratch::Received(int messages, bool is_connected,
                                                const Endpoint& local) {
  datagrams_.clear();
  for (int i = 0; i < messages; ++i) {
    const auto index = static_cast<size_t>(i);
    const Extras extras = ReadControl(received_[index].msg_hdr, local);
    const Endpoint peer = is_connected ? Endpoint() : ToEndpoint(senders_[index]);
    ByteView bytes(bytes_.get() + index * kMessageBytes, received_[index].msg_len);
    const size_t segment = extras.segment_bytes == 0 ? bytes.size() : extras.segment_bytes;
    do {
      const size_t size = std::min(segment, bytes.size());
      datagrams_.push_back({bytes.subspan(0, size), peer, extras.local});
      bytes.remove_prefix(size);
    } while (!bytes.empty());
  }
  return datagrams_;
}

size_t UdpScratch::Fill(absl::Span<const Datagram> batch, bool segments, bool is_addressed,
                        bool names_local) {
  sent_parts_.clear();
  sent_parts_.reserve(kMessages * kSegments);  // The messages point into it.
  messages_ = 0;
  size_t taken = 0;
  while (messages_ < kMessages && taken < batch.size()) {
    const size_t parts = segments ? SegmentsIn(batch.subspan(taken)) : 1;
    const Datagram& first = batch[taken];
    msghdr& message = sent_[messages_].msg_hdr;
    message = {};
    message.msg_iov = sent_parts_.data() + sent_parts_.size();
    message.msg_iovlen = parts;
    if (is_addressed) {
      message.msg_name = &peers_[messages_];
      message.msg_namelen = FromEndpoint(first.peer, peers_[messages_]);
    }
    for (size_t i = 0; i < parts; ++i) {
      const ByteView bytes = batch[taken + i].bytes;
      sent_parts_.push_back({const_cast<uint8_t*>(bytes.data()), bytes.size()});
    }
    const bool with_local = names_local && first.local.is_ip() && !first.local.IsUnspecified();
    FillControl(message, sent_control_[messages_], with_local ? &first.local : nullptr,
                parts > 1 ? static_cast<uint16_t>(first.bytes.size()) : uint16_t{0});
    parts_[messages_++] = parts;
    taken += parts;
  }
  return taken;
}

void UdpScratch::FillControl(msghdr& message, Control& control, const Endpoint* local,
                             uint16_t segment_bytes) {
  if (local == nullptr && segment_bytes == 0) return;
  message.msg_control = &control;
  message.msg_controllen = 0;
  if (segment_bytes > 0) AppendControl(message, SOL_UDP, UDP_SEGMENT, segment_bytes);
  if (local == nullptr) return;
  if (local->family() == Endpoint::Family::kIpv6) {
    in6_pktinfo info = {};
    std::memcpy(&info.ipi6_addr, local->address().data(), 16);
    AppendControl(message, IPPROTO_IPV6, IPV6_PKTINFO, info);
  } else {
    in_pktinfo info = {};
    std::memcpy(&info.ipi_spec_dst, local->address().data(), 4);
    AppendControl(message, IPPROTO_IP, IP_PKTINFO, info);
  }
}

int UdpScratch::Send(int fd) {
  return sendmmsg(fd, sent_.data(), static_cast<unsigned>(messages_), MSG_DONTWAIT);
}

size_t UdpScratch::DatagramsIn(int messages) const {
  size_t datagrams = 0;
  for (int i = 0; i < messages; ++i) datagrams += parts_[static_cast<size_t>(i)];
  return datagrams;
}

}  // namespace trestle
