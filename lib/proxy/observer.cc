#include "trestle/proxy/observer.h"

namespace trestle {

absl::string_view ProxyModeName(ProxyMode mode) {
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

}  // namespace trestle
