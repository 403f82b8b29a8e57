// Checks of options that the three blocks share.
#ifndef TRESTLE_LIB_PROXY_OPTION_CHECKS_H_
#define TRESTLE_LIB_PROXY_OPTION_CHECKS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "trestle/base/error.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/content_routing.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle {

inline bool HasBackend(const Backends& backends) {
  return !backends.empty() || backends.group != nullptr;
}

/// Fails if a block's own backend is invalid. It may be missing with content routing.
absl::Status CheckOwnBackend(const Backends& backend, const ContentRouting& content);

/// Fails if a limit is zero or infinite.
absl::Status CheckConnectionOptions(const ConnectionOptions& options);

/// The same for content routing, if enabled.
absl::Status CheckContentRouting(const ContentRouting& content);

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_OPTION_CHECKS_H_
