// BackendChooser: the order in which a block tries a route's backends, for each connection.
#ifndef TRESTLE_LIB_PROXY_BACKEND_CHOOSER_H_
#define TRESTLE_LIB_PROXY_BACKEND_CHOOSER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/io/resolver.h"
#include "trestle/proxy/backends.h"
#include "trestle/proxy/proxy_block.h"

namespace trestle {

class BackendChooser {
 public:
  /// A backend to try.
  struct Candidate {
    Endpoint endpoint;
    /// The name that led to the address; null for a configured address.
    std::shared_ptr<const NamedTarget> name = nullptr;
    uint32_t weight = kUnitWeight;
    uint64_t turn = 0;  ///< If the backend is new: where it begins among the others.
  };
  using Candidates = absl::InlinedVector<Candidate, 3>;

  /// The client data that a connection sends to its backends, as text. It is equal for connections
  /// that no backend can distinguish while it opens its leg. Empty: none.
  using Shown = std::string;

  /// Orders `backends` for a connection from `client`: the first to try, and those to try after
  /// failures, at most `max_tries` in total. Backends ejected for this connection's data come last:
  /// if all are ejected, they are tried nevertheless. Empty if no backend is known.
  Candidates Order(const Backends& backends, const Endpoint& client, const Shown& shown,
                   MonotonicTime now);

  /// Adds a connection to the count of `backend`, and removes it.
  void Opened(const Candidate& backend);
  void Closed(const Endpoint& backend);

  /// Starts a try. A backend whose ejection is over gets this single try, before other connections
  /// use it. One of the next three calls ends the try.
  void Try(const Endpoint& backend, const Shown& shown, MonotonicTime now);

  /// Records that `backend` failed a connection that sent it `shown`, and ejects it for such
  /// connections after too many failures. If nothing was sent, for example on a failed connect, it
  /// is ejected for all.
  void Failed(const Endpoint& backend, const Shown& shown, const EjectionOptions& options,
              MonotonicTime now);

  /// Records a success: earlier failures are forgotten.
  void Succeeded(const Endpoint& backend, const Shown& shown);

  /// Records an unknown result: the next connection may try.
  void Abandoned(const Endpoint& backend, const Shown& shown);

  bool IsEjected(const Endpoint& backend, const Shown& shown, MonotonicTime now) const;

 private:
  using Key = std::pair<Endpoint, Shown>;

  struct Use {
    uint32_t open = 0;
    // Grows with each choice, slower for a higher weight. The lowest is next (stride scheduling).
    uint64_t turn = 0;
    uint64_t last = 0;  // Number of the choice that last used it: decides among equal turns.
  };

  // A backend of the list, with the order in which it is tried.
  struct Ranked;

  // State of a backend that has failed since its last success.
  struct Health {
    uint32_t failures = 0;
    absl::Duration ejection;  // Duration of the last ejection; zero: none.
    MonotonicTime ejected_until;
    bool is_tried = false;  // By the single try after an ejection.
  };

  Health* Find(const Endpoint& backend, const Shown& shown);
  void ForgetSome();
  bool HasRoomFor(const Key& key, MonotonicTime now);
  uint64_t Rank(Balance balance, const Candidate& backend, const Endpoint& client) const;
  template <typename List>
  Candidates OrderList(const List& list, const Backends& backends, const Endpoint& client,
                       const Shown& shown, MonotonicTime now);
  void AlignTurns(absl::Span<Ranked> ranked);

  uint64_t choices_ = 0;
  absl::flat_hash_map<Endpoint, Use> uses_;
  absl::flat_hash_map<Key, Health> health_;
  MonotonicTime swept_at_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_BACKEND_CHOOSER_H_
