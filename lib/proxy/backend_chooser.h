// BackendChooser: in which order a block tries the backends of a route, for each connection.
#ifndef TRESTLE_LIB_PROXY_BACKEND_CHOOSER_H_
#define TRESTLE_LIB_PROXY_BACKEND_CHOOSER_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "trestle/base/endpoint.h"
#include "trestle/proxy/backends.h"

namespace trestle {

class BackendChooser {
 public:
  using Candidates = absl::InlinedVector<Endpoint, 3>;

  /// Orders `backends` for a connection from `client`: the one to try first, and those to go on
  /// with where dialing fails, at most `max_tries` of them.
  Candidates Order(const Backends& backends, const Endpoint& client);

  /// Counts a connection to `backend` in, and out again.
  void Opened(const Endpoint& backend);
  void Closed(const Endpoint& backend);

 private:
  struct Use {
    uint32_t open = 0;
    uint64_t last = 0;  // Number of the choice that used it last.
  };

  uint64_t Rank(Balance balance, const Endpoint& backend, const Endpoint& client) const;

  uint64_t choices_ = 0;
  absl::flat_hash_map<Endpoint, Use> uses_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_BACKEND_CHOOSER_H_
