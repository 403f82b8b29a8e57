// BackendChooser: in which order a block tries the backends of a route, for each connection.
#ifndef TRESTLE_LIB_PROXY_BACKEND_CHOOSER_H_
#define TRESTLE_LIB_PROXY_BACKEND_CHOOSER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

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

  /// What a connection shows its backends of its client: text that is the same for connections
  /// that no backend can tell apart when it opens its leg. Empty: nothing.
  using Shown = std::string;

  /// Orders `backends` for a connection from `client`: the one to try first, and those to go on
  /// with where that fails, at most `max_tries` of them. Those that are ejected for what the
  /// connection shows come last: where all are, they are tried rather than nobody.
  Candidates Order(const Backends& backends, const Endpoint& client, const Shown& shown,
                   MonotonicTime now);

  /// Counts a connection to `backend` in, and out again.
  void Opened(const Endpoint& backend);
  void Closed(const Endpoint& backend);

  /// Begins a try. A backend whose ejection is over gets this one to prove itself, before others
  /// come. One of the next three ends it.
  void Try(const Endpoint& backend, const Shown& shown, MonotonicTime now);

  /// Notes that `backend` failed a connection that had shown it `shown`: ejects it for such ones,
  /// if that has happened too often. With nothing shown, as where it can't be connected to, it is
  /// ejected for all.
  void Failed(const Endpoint& backend, const Shown& shown, const EjectionOptions& options,
              MonotonicTime now);

  /// Notes that it went well: what failed before is forgotten.
  void Succeeded(const Endpoint& backend, const Shown& shown);

  /// Notes that nothing is known: the next connection may try.
  void Abandoned(const Endpoint& backend, const Shown& shown);

  bool IsEjected(const Endpoint& backend, const Shown& shown, MonotonicTime now) const;

 private:
  using Key = std::pair<Endpoint, Shown>;

  struct Use {
    uint32_t open = 0;
    uint64_t last = 0;  // Number of the choice that used it last.
  };

  // Of a backend that has failed since its last success.
  struct Health {
    uint32_t failures = 0;
    absl::Duration ejection;  // How long the last one was; zero: none.
    MonotonicTime ejected_until;
    bool is_tried = false;  // By the one connection after an ejection.
  };

  Health* Find(const Endpoint& backend, const Shown& shown);
  void ForgetSome();
  bool HasRoomFor(const Key& key, MonotonicTime now);
  uint64_t Rank(Balance balance, const Endpoint& backend, const Endpoint& client) const;

  uint64_t choices_ = 0;
  absl::flat_hash_map<Endpoint, Use> uses_;
  absl::flat_hash_map<Key, Health> health_;
  MonotonicTime swept_at_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_BACKEND_CHOOSER_H_
