// EagerAlpn: decides when a bridge asks a backend for its application protocol before it answers
// the client, and caches the backends' choices.
#ifndef TRESTLE_LIB_PROXY_EAGER_ALPN_H_
#define TRESTLE_LIB_PROXY_EAGER_ALPN_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/base/recent_map.h"
#include "trestle/base/client_budget.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/proxy/tls_bridge.h"

namespace trestle {

class EagerAlpn {
 public:
  explicit EagerAlpn(const EagerAlpnOptions& options);

  /// Returns whether a backend may be dialed for a client that has sent only a hello, and counts
  /// the dial.
  bool MayDial(const Endpoint& client, MonotonicTime now) { return dials_.Take(client, now); }

  /// Returns the last choice of `backend` among `offered` for `name`; an empty string is also a
  /// choice.
  std::optional<std::string> Remembered(const Endpoint& backend, absl::string_view name,
                                        const std::vector<std::string>& offered, MonotonicTime now);

  void Remember(const Endpoint& backend, absl::string_view name,
                const std::vector<std::string>& offered, std::string chosen, MonotonicTime now);

  /// Forgets all choices, after one was outdated.
  void Forget() { choices_.Clear(); }

 private:
  struct Choice {
    std::string alpn;
    MonotonicTime until;
  };

  const EagerAlpnOptions options_;
  ClientBudget dials_;
  RecentMap<Choice> choices_;  // By backend, name and offer.
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_EAGER_ALPN_H_
