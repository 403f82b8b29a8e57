#include "trestle/proxy/backends.h"

#include <algorithm>

namespace trestle {
namespace {

bool IsLoopback(const Endpoint& endpoint) {
  const ByteView address = endpoint.address();
  if (endpoint.family() == Endpoint::Family::kIpv4) return address[0] == 127;
  return !address.empty() && address.back() == 1 &&
         std::all_of(address.begin(), address.end() - 1, [](uint8_t byte) { return byte == 0; });
}

}  // namespace

bool LeadsTo(const Backends& backends, const Endpoint& listener) {
  return std::any_of(
      backends.endpoints.begin(), backends.endpoints.end(), [&](const Endpoint& backend) {
        if (backend == listener) return true;
        if (backend.port() != listener.port() || backend.family() != listener.family())
          return false;
        // A listener on all addresses is on each of this machine; dialing "all" means loopback.
        return (listener.IsUnspecified() && (IsLoopback(backend) || backend.IsUnspecified())) ||
               (IsLoopback(listener) && backend.IsUnspecified());
      });
}

}  // namespace trestle
