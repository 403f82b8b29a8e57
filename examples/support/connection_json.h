// Writes a finished connection as JSON; docs/connection_log.schema.json describes it.
#ifndef TRESTLE_EXAMPLES_SUPPORT_CONNECTION_JSON_H_
#define TRESTLE_EXAMPLES_SUPPORT_CONNECTION_JSON_H_

#include <string>

#include "absl/time/time.h"
#include "trestle/proxy/observer.h"

namespace trestle::examples {

/// Returns `report`, of a connection that closed at `now`, on one line without a line feed.
std::string ConnectionAsJson(const ConnectionReport& report, absl::Time now);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_CONNECTION_JSON_H_
