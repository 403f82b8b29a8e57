#include "integrations/asio/asio_endpoint.h"

#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace trestle {
namespace {

template <typename Address>
Address AddressOf(ByteView bytes) {
  typename Address::bytes_type copy;
  std::copy(bytes.begin(), bytes.end(), copy.begin());
  return Address(copy);
}

ByteView BytesOf(const void* address, size_t size) {
  return ByteView(static_cast<const uint8_t*>(address), size);
}

Endpoint UnixEndpoint(const AsioEndpoint& endpoint) {
  constexpr size_t kPathStart = offsetof(sockaddr_un, sun_path);
  if (endpoint.size() <= kPathStart) return Endpoint::Unix("");
  const auto* const address = reinterpret_cast<const sockaddr_un*>(endpoint.data());
  const absl::string_view path(address->sun_path, endpoint.size() - kPathStart);
  // A null byte first is Linux's mark of an abstract name; one behind a path ends it.
  if (path[0] == '\0') return Endpoint::Unix(absl::StrCat("@", path.substr(1)));
  return Endpoint::Unix(path.substr(0, path.find('\0')));
}

}  // namespace

AsioEndpoint ToAsio(const Endpoint& endpoint) {
  using asio::ip::tcp;
  switch (endpoint.family()) {
    case Endpoint::Family::kIpv4:
      return tcp::endpoint(AddressOf<asio::ip::address_v4>(endpoint.address()), endpoint.port());
    case Endpoint::Family::kIpv6:
      return tcp::endpoint(AddressOf<asio::ip::address_v6>(endpoint.address()), endpoint.port());
    case Endpoint::Family::kUnix: {
      std::string path(endpoint.path());
      if (!path.empty() && path[0] == '@') path[0] = '\0';
      return asio::local::stream_protocol::endpoint(path);
    }
    case Endpoint::Family::kNone:
      break;
  }
  return AsioEndpoint();
}

Endpoint FromAsio(const AsioEndpoint& endpoint) {
  switch (endpoint.data()->sa_family) {
    case AF_INET: {
      const auto* const address = reinterpret_cast<const sockaddr_in*>(endpoint.data());
      return Endpoint(BytesOf(&address->sin_addr, 4), ntohs(address->sin_port));
    }
    case AF_INET6: {
      const auto* const address = reinterpret_cast<const sockaddr_in6*>(endpoint.data());
      return Endpoint(BytesOf(&address->sin6_addr, 16), ntohs(address->sin6_port));
    }
    case AF_UNIX:
      return UnixEndpoint(endpoint);
    default:
      return Endpoint();
  }
}

}  // namespace trestle
