// EagerAlpn: when a bridge asks a backend for its application protocol before it answers the
// client, and what it remembers of the backends' choices, so that it needn't ask again each time.
#ifndef TRESTLE_LIB_PROXY_EAGER_ALPN_H_
#define TRESTLE_LIB_PROXY_EAGER_ALPN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/proxy/tls_bridge.h"

namespace trestle {

class EagerAlpn {
 public:
  explicit EagerAlpn(const EagerAlpnOptions& options) : options_(options) {}

  /// Whether a client at `client` may have a backend dialed before it has done anything but send a
  /// hello. Counts the dial if so.
  bool MayDial(const Endpoint& client, MonotonicTime now);

  /// What `backend`, asked for `name`, chose of `offered` last; empty is a choice, too.
  std::optional<std::string> Remembered(const Endpoint& backend, absl::string_view name,
                                        const std::vector<std::string>& offered,
                                        MonotonicTime now) const;

  void Remember(const Endpoint& backend, absl::string_view name,
                const std::vector<std::string>& offered, std::string chosen, MonotonicTime now);

  /// Forgets all choices: one turned out to be outdated.
  void Forget() { choices_.clear(); }

 private:
  struct Dials {
    MonotonicTime window_end;
    uint32_t count = 0;
  };
  struct Choice {
    std::string alpn;
    MonotonicTime until;
  };

  const EagerAlpnOptions options_;
  absl::flat_hash_map<std::string, Dials> dials_;     // By network.
  absl::flat_hash_map<std::string, Choice> choices_;  // By backend, name and offer.
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_EAGER_ALPN_H_
