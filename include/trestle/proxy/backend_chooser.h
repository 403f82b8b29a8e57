// BackendChooser: the order in which the backends of a route are tried, and the ejection of those
// that fail. Blocks use it for each connection, HTTP gateways for each request.
#ifndef TRESTLE_PROXY_BACKEND_CHOOSER_H_
#define TRESTLE_PROXY_BACKEND_CHOOSER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/io/resolver.h"
#include "trestle/proxy/backends.h"

namespace trestle {

/// Chooses on one loop; not thread-safe. For each backend in turn, a caller calls `Opened` and
/// `Try`, then one of `Succeeded`, `Failed` and `Abandoned`, and `Closed` at the end.
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
  /// if all are ejected, they are tried nevertheless. `preferred` (null: none) comes before the
  /// others if it is one of the backends and not ejected. Empty if no backend is known.
  Candidates Order(const Backends& backends, const Endpoint& client, const Shown& shown,
                   MonotonicTime now, const Endpoint* preferred = nullptr);

  /// Adds a connection to the count of `backend`, and removes it.
  void Opened(const Candidate& backend);
  void Closed(const Endpoint& backend);

  /// Starts a try of a connection that will send `shown`. A backend whose ejection is over gets
  /// this single try, before other connections use it. One of the next three calls ends the try.
  void Try(const Endpoint& backend, const Shown& shown, MonotonicTime now);

  /// Records that `backend` failed a connection that sent it `shown`, and ejects it for such
  /// connections after too many failures. If nothing was sent, for example on a failed connect,
  /// `shown` must be empty: the backend is ejected for all. Call it if `BlamesBackend`.
  void Failed(const Endpoint& backend, const Shown& shown, const EjectionOptions& options,
              MonotonicTime now);

  /// Records a success of a connection that sent `shown`, possibly empty: its earlier failures, and
  /// those of connections that sent nothing, are forgotten.
  void Succeeded(const Endpoint& backend, const Shown& shown);

  /// Records an unknown result: the next connection may try. Has no effect on a try that has ended.
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

  template <typename Action>
  void ForBoth(const Endpoint& backend, const Shown& shown, Action action);
  void ForgetSome();
  bool HasRoomFor(const Key& key, MonotonicTime now);
  uint64_t Rank(Balance balance, const Candidate& backend, const Endpoint& client) const;
  template <typename List>
  Candidates OrderList(const List& list, const Backends& backends, const Endpoint& client,
                       const Shown& shown, MonotonicTime now, const Endpoint* preferred);
  void AlignTurns(absl::Span<Ranked> ranked);

  uint64_t choices_ = 0;
  absl::flat_hash_map<Endpoint, Use> uses_;
  absl::flat_hash_map<Key, Health> health_;
  MonotonicTime swept_at_;
};

/// Returns whether a failure to open a connection is the backend's. Local ones are not: too few
/// descriptors, for example.
bool BlamesBackend(const absl::Status& failure);

}  // namespace trestle

#endif  // TRESTLE_PROXY_BACKEND_CHOOSER_H_
