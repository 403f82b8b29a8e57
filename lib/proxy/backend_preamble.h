// What a backend is sent before all else: the PROXY protocol header that tells who the client is.
#ifndef TRESTLE_LIB_PROXY_BACKEND_PREAMBLE_H_
#define TRESTLE_LIB_PROXY_BACKEND_PREAMBLE_H_

#include <string>

#include "absl/status/statusor.h"
#include "lib/proxy/connection_plan.h"
#include "trestle/io/transport.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle {

/// Writes the header for a connection whose open front leg is `front`. Empty for kNone.
absl::StatusOr<std::string> BackendPreamble(ProxyProtocolOut kind, const TransportInfo& front,
                                            const LegFacts& facts);

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_BACKEND_PREAMBLE_H_
