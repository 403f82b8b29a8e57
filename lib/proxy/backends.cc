#include "trestle/proxy/backends.h"

#include <algorithm>
#include <optional>

#include "trestle/base/error.h"

namespace trestle {
namespace {

bool IsLoopback(const Endpoint& endpoint) {
  const ByteView address = endpoint.address();
  if (endpoint.family() == Endpoint::Family::kIpv4) return address[0] == 127;
  return !address.empty() && address.back() == 1 &&
         std::all_of(address.begin(), address.end() - 1, [](uint8_t byte) { return byte == 0; });
}

}  // namespace

absl::Status CheckBackends(const Backends& backends) {
  if (backends.endpoints.empty()) return ConfigurationError("there is no backend");
  if (backends.max_tries == 0) {
    return ConfigurationError("max_tries of backends must be at least 1");
  }
  for (const Endpoint& endpoint : backends.endpoints) {
    if (absl::Status dialable = endpoint.CheckDialable(); !dialable.ok()) return dialable;
  }
  return absl::OkStatus();
}

bool LeadsTo(const Backends& backends, const Endpoint& listener) {
  return std::any_of(
      backends.endpoints.begin(), backends.endpoints.end(), [&](const Endpoint& backend) {
        if (backend == listener) return true;
        // A listener on all addresses also listens on loopback.
        return listener.IsUnspecified() && IsLoopback(backend) &&
               backend.port() == listener.port() && backend.family() == listener.family();
      });
}

}  // namespace trestle
