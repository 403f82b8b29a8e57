// SpiffeStatus: what is known of an agent and of the SVID in use, for metrics and pages.
#ifndef TRESTLE_INTEGRATIONS_SPIFFE_SPIFFE_STATUS_H_
#define TRESTLE_INTEGRATIONS_SPIFFE_SPIFFE_STATUS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace trestle {

struct SpiffeStatus {
  std::string agent;       ///< Its address.
  bool connected = false;  ///< The agent has answered on the present connection.
  std::string id = {};     ///< Of the SVID in use; empty before the first one.
  std::vector<std::string> trust_domains = {};  ///< With a bundle, the own one first.
  absl::Time not_before = absl::InfinitePast();
  absl::Time not_after = absl::InfinitePast();
  bool late = false;       ///< The agent should have renewed the SVID by now.
  std::string fault = {};  ///< Why the last attempt or update failed; empty after a good update.
  uint64_t updates = 0;    ///< That were used.
  uint64_t refused = 0;    ///< Updates that can't be used.
  uint64_t losses = 0;     ///< Ends of connections, and attempts that failed.
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_SPIFFE_SPIFFE_STATUS_H_
