// BackendChooser: in which order a block tries the backends of a route, for each connection.
#ifndef TRESTLE_LIB_PROXY_BACKEND_CHOOSER_H_
#define TRESTLE_LIB_PROXY_BACKEND_CHOOSER_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle {

class BackendChooser {
 public:
  using Candidates = absl::InlinedVector<Endpoint, 3>;

  /// Orders `backends` for a connection from `client`: the one to try first, and those to go on
  /// with where that fails, at most `max_tries` of them. Ejected ones come last: where all are,
  /// they are tried rather than nobody.
  Candidates Order(const Backends& backends, const Endpoint& client, MonotonicTime now);

  /// Counts a connection to `backend` in, and out again. A backend whose ejection is over gets this
  /// one connection to prove itself, before others come.
  void Opened(const Endpoint& backend, MonotonicTime now);
  void Closed(const Endpoint& backend);

  /// Notes that opening a leg to `backend` failed: ejects it, if that has happened too often.
  void Failed(const Endpoint& backend, const EjectionOptions& options, MonotonicTime now);

  /// Notes that it went well: what failed before is forgotten.
  void Succeeded(const Endpoint& backend);

  bool IsEjected(const Endpoint& backend, MonotonicTime now) const;

 private:
  struct Use {
    uint32_t open = 0;
    uint32_t failures = 0;    // Since the last success.
    uint64_t last = 0;        // Number of the choice that used it last.
    absl::Duration ejection;  // How long the last one was; zero: none since the last success.
    MonotonicTime ejected_until;
  };

  void ForgetSome();
  uint64_t Rank(Balance balance, const Endpoint& backend, const Endpoint& client) const;

  uint64_t choices_ = 0;
  absl::flat_hash_map<Endpoint, Use> uses_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_BACKEND_CHOOSER_H_
