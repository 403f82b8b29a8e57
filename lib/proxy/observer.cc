#include "trestle/proxy/observer.h"

#include <memory>
#include <string>
#include <utility>

#include "lib/wire/hidden_name.h"

namespace trestle {

absl::string_view EnumName(ProxyMode mode) {
  switch (mode) {
    case ProxyMode::kOffload:
      return "offload";
    case ProxyMode::kPassthrough:
      return "passthrough";
    case ProxyMode::kBridge:
      return "bridge";
  }
  return "offload";
}

absl::string_view EnumName(DatagramDrop drop) {
  switch (drop) {
    case DatagramDrop::kNoFlow:
      return "no_flow";
    case DatagramDrop::kMalformed:
      return "malformed";
    case DatagramDrop::kUnknownVersion:
      return "unknown_version";
    case DatagramDrop::kBadInitial:
      return "bad_initial";
    case DatagramDrop::kRefusedFlow:
      return "refused_flow";
    case DatagramDrop::kTooManyNewFlows:
      return "too_many_new_flows";
    case DatagramDrop::kTooManyFlows:
      return "too_many_flows";
    case DatagramDrop::kDraining:
      return "draining";
    case DatagramDrop::kUnprovenClient:
      return "unproven_client";
    case DatagramDrop::kSocketFull:
      return "socket_full";
  }
  return "";
}

ConnectionReport WithoutHiddenNames(const ConnectionReport& report) {
  ConnectionReport shown = report;
  if (!report.server_name_hidden) return shown;
  shown.route = wire_internal::HideName(report.route, report.server_name);
  shown.server_name = std::string(wire_internal::kHiddenName);
  for (LegReport* leg : {&shown.front, &shown.back}) {
    if (leg->tls == nullptr) continue;
    TlsInfo tls = *leg->tls;
    if (!tls.server_name.empty()) tls.server_name = shown.server_name;
    // Removes the servers' certificates; the client's own certificate does not reveal the name.
    (leg == &shown.front ? tls.local_chain : tls.peer_chain) = ChainInfo();
    leg->tls = std::make_shared<const TlsInfo>(std::move(tls));
  }
  return shown;
}

}  // namespace trestle
