// The part of the pages about a SPIFFE agent.
#ifndef TRESTLE_INTEGRATIONS_PROMETHEUS_SPIFFE_SECTION_H_
#define TRESTLE_INTEGRATIONS_PROMETHEUS_SPIFFE_SECTION_H_

#include <string>

#include "integrations/spiffe/spiffe_status.h"
#include "nlohmann/json.hpp"

namespace trestle {

/// Returns a section of HTML with one row.
std::string SpiffeHtml(const SpiffeStatus& status);

/// Returns the same as JSON.
nlohmann::ordered_json SpiffeJson(const SpiffeStatus& status);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PROMETHEUS_SPIFFE_SECTION_H_
