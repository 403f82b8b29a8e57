#include "trestle/proxy/backends.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

bool IsLoopback(const Endpoint& endpoint) {
  const ByteView address = endpoint.address();
  if (endpoint.family() == Endpoint::Family::kIpv4) return address[0] == 127;
  return !address.empty() && address.back() == 1 &&
         std::all_of(address.begin(), address.end() - 1, [](uint8_t byte) { return byte == 0; });
}

bool IsListener(const Endpoint& backend, const Endpoint& listener) {
  if (backend == listener) return true;
  // A listener on all addresses also listens on loopback.
  return listener.IsUnspecified() && IsLoopback(backend) && backend.port() == listener.port() &&
         backend.family() == listener.family();
}

}  // namespace

std::string Backends::ToString() const {
  const auto write = [](std::string* out, const auto& item) { out->append(item.ToString()); };
  std::string text = absl::StrJoin(endpoints, "+", write);
  if (!text.empty() && !names.empty()) text.push_back('+');
  return text + absl::StrJoin(names, "+", write);
}

absl::Status CheckBackends(const Backends& backends) {
  if (backends.empty() && backends.group == nullptr) {
    return ConfigurationError("there is no backend");
  }
  if (!backends.names.empty() && backends.group == nullptr) {
    return ConfigurationError(absl::StrCat("the backend ", backends.names.front().ToString(),
                                           " is a name, and nothing here resolves names"));
  }
  if (backends.max_tries == 0) {
    return ConfigurationError("max_tries of backends must be at least 1");
  }
  for (const Endpoint& endpoint : backends.endpoints) {
    if (absl::Status dialable = endpoint.CheckDialable(); !dialable.ok()) return dialable;
  }
  return absl::OkStatus();
}

BackendGroup::List BackendsNow(const Backends& backends) {
  if (backends.group != nullptr) return *backends.group->current();
  BackendGroup::List list;
  list.reserve(backends.endpoints.size());
  for (const Endpoint& endpoint : backends.endpoints) list.push_back({endpoint, nullptr});
  return list;
}

std::vector<Endpoint> EndpointsNow(const Backends& backends) {
  std::vector<Endpoint> endpoints;
  for (GroupedBackend& backend : BackendsNow(backends)) {
    if (backend.state != nullptr && !backend.state->in_use()) continue;
    endpoints.push_back(std::move(backend.endpoint));
  }
  return endpoints;
}

absl::Status NoBackendError(const Backends& backends) {
  const BackendGroup::List now = BackendsNow(backends);
  const bool all_drain = std::all_of(now.begin(), now.end(), [](const GroupedBackend& backend) {
    return backend.state != nullptr && backend.state->draining();
  });
  const char* const what = now.empty() ? "no address is known now of "
                           : all_drain ? "the operator drains all of "
                                       : "health checks or connections fail for all of ";
  return MakeError(ErrorCode::kNoBackend, Leg::kBack, Phase::kDial,
                   absl::StrCat(what, backends.group != nullptr ? backends.group->description()
                                                                : backends.ToString()));
}

bool LeadsTo(const Backends& backends, const Endpoint& listener) {
  if (backends.group != nullptr) {
    const std::shared_ptr<const BackendGroup::List> now = backends.group->current();
    return std::any_of(now->begin(), now->end(), [&](const GroupedBackend& backend) {
      return IsListener(backend.endpoint, listener);
    });
  }
  return std::any_of(backends.endpoints.begin(), backends.endpoints.end(),
                     [&](const Endpoint& backend) { return IsListener(backend, listener); });
}

}  // namespace trestle
