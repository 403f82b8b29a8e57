// BackendPicker: the order in which a gateway tries the backends of a route, and the ejection of
// those that can't be reached.
#ifndef TRESTLE_INTEGRATIONS_HTTP_BACKEND_PICKER_H_
#define TRESTLE_INTEGRATIONS_HTTP_BACKEND_PICKER_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/proxy/backends.h"

namespace trestle {

/// One per loop. A backend is ejected after three consecutive failures to open a connection. The
/// first ejection lasts one second, each further one twice as long, up to a minute. Clients' data
/// does not influence such failures.
class BackendPicker {
 public:
  /// Returns the backends to try for a request of `client`, at most `max_tries`. `preferred` (null:
  /// none), which is one of them, comes first, and ejected ones last. Empty if no backend is known.
  BackendGroup::List Order(const Backends& backends, const Endpoint& client,
                           const Endpoint* preferred, MonotonicTime now);

  void Failed(const Endpoint& backend, MonotonicTime now);
  void Succeeded(const Endpoint& backend) { health_.erase(backend); }

 private:
  struct Health {
    uint32_t failures = 0;
    absl::Duration ejection;  // Of the last ejection; zero: none.
    MonotonicTime ejected_until;
  };

  bool IsEjected(const Endpoint& backend, MonotonicTime now) const;

  size_t next_ = 0;
  absl::flat_hash_map<Endpoint, Health> health_;  // Of those that failed since their last success.
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_BACKEND_PICKER_H_
