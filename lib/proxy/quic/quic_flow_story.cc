#include "lib/proxy/quic/quic_flow_story.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/strings/string_view.h"

namespace trestle {
namespace {

constexpr size_t kMaxAlpnBytes = 256;

// The block begins with it; the texts follow.
struct Header {
  uint32_t hello_bytes;
  uint16_t segments;
  uint16_t name_bytes;
  uint16_t route_bytes;
  uint16_t ja4_bytes;
  uint16_t alpn_bytes;  // Each protocol has its length in front, in one byte.

  size_t size() const { return sizeof(Header) + name_bytes + route_bytes + ja4_bytes + alpn_bytes; }
};

Header HeaderOf(const PackedStory& packed) {
  Header header;
  std::memcpy(&header, packed.get(), sizeof header);
  return header;
}

std::string PackAlpn(const std::vector<std::string>& protocols) {
  std::string packed;
  for (const std::string& protocol : protocols) {
    if (packed.size() + 1 + protocol.size() > kMaxAlpnBytes) break;
    packed.push_back(static_cast<char>(protocol.size()));
    packed += protocol;
  }
  return packed;
}

std::vector<std::string> UnpackAlpn(absl::string_view packed) {
  std::vector<std::string> protocols;
  while (!packed.empty()) {
    const auto size = static_cast<uint8_t>(packed[0]);
    protocols.emplace_back(packed.substr(1, size));
    packed.remove_prefix(1 + size);
  }
  return protocols;
}

}  // namespace

PackedStory Pack(const QuicFlowStory& story) {
  const std::string alpn = PackAlpn(story.hello.alpn);
  // Names have at most 255 bytes, and the other texts are as short.
  const auto u16 = [](size_t size) { return static_cast<uint16_t>(std::min<size_t>(size, 65535)); };
  const Header header = {static_cast<uint32_t>(story.hello.bytes),
                         u16(story.hello.segments),
                         u16(story.server_name.size()),
                         u16(story.route.size()),
                         u16(story.hello.ja4.size()),
                         u16(alpn.size())};
  PackedStory packed(new char[header.size()]);
  char* at = packed.get();
  const auto append = [&at](const void* from, size_t size) {
    std::memcpy(at, from, size);
    at += size;
  };
  append(&header, sizeof header);
  append(story.server_name.data(), header.name_bytes);
  append(story.route.data(), header.route_bytes);
  append(story.hello.ja4.data(), header.ja4_bytes);
  append(alpn.data(), header.alpn_bytes);
  return packed;
}

QuicFlowStory Unpack(const PackedStory& packed) {
  QuicFlowStory story;
  if (packed == nullptr) return story;
  const Header header = HeaderOf(packed);
  absl::string_view texts(packed.get() + sizeof header, header.size() - sizeof header);
  const auto take = [&texts](size_t size) {
    const std::string text(texts.substr(0, size));
    texts.remove_prefix(size);
    return text;
  };
  story.hello.bytes = header.hello_bytes;
  story.hello.segments = header.segments;
  story.server_name = take(header.name_bytes);
  story.route = take(header.route_bytes);
  story.hello.ja4 = take(header.ja4_bytes);
  story.hello.alpn = UnpackAlpn(texts);
  return story;
}

PackedStory Copy(const PackedStory& packed) {
  if (packed == nullptr) return nullptr;
  const size_t size = HeaderOf(packed).size();
  PackedStory copy(new char[size]);
  std::memcpy(copy.get(), packed.get(), size);
  return copy;
}

}  // namespace trestle
