// The report of --check: what a proxy would serve, by name and leg, and what is wrong with it.
#ifndef TRESTLE_EXAMPLES_SUPPORT_CONFIG_CHECK_H_
#define TRESTLE_EXAMPLES_SUPPORT_CONFIG_CHECK_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "examples/support/admin.h"
#include "examples/support/backend_names.h"
#include "trestle/pki/chain_checker.h"
#include "trestle/pki/finding.h"
#include "trestle/pki/trust_store.h"
#include "trestle/watch/expiry_alarms.h"

namespace trestle::examples {

struct ConfigCheckOptions {
  absl::Time now;
  ExpiryAlarms alarms;
  /// Verifies the front leg's chains as clients do; null: only their dates are checked.
  std::shared_ptr<const ChainChecker> clients = nullptr;
  std::shared_ptr<const TrustStore> public_roots = nullptr;   ///< As in `ChainFindingOptions`.
  std::shared_ptr<const TrustStore> dropped_roots = nullptr;  ///< The same.
};

struct ConfigCheck {
  std::string text;  ///< Lines of what is served, by leg.
  /// Warnings: the proxy works, but not for long, or not well. Critical ones: clients or backends
  /// would refuse. Their codes are in docs/certificates.md.
  std::vector<Finding> findings;
};

/// Describes and judges both legs of a loaded configuration. More than 10,000 routes, and more than
/// 1,000 names of a certificate, are not looked at.
ConfigCheck CheckLegs(const Watched& watched, const ConfigCheckOptions& options);

/// Prints the check of `watched` for a proxy that would listen on `listen`, with the options of
/// --check_ca and the flags of the expiry alarms, and what `names` lead to. Returns the exit status
/// that --check promises; the warnings that were logged so far count.
int ReportCheck(const std::string& listen, Watched watched, const BackendNames& names);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_CONFIG_CHECK_H_
