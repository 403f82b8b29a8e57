// BackendChooser: the order in which the backends of a route are tried, by their states. Blocks use
// it for each connection, HTTP gateways for each request.
#ifndef TRESTLE_PROXY_BACKEND_CHOOSER_H_
#define TRESTLE_PROXY_BACKEND_CHOOSER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/io/resolver.h"
#include "trestle/proxy/backend_state.h"
#include "trestle/proxy/backends.h"

namespace trestle {

/// Chooses on one loop; not thread-safe. For each backend in turn, a caller calls `Opened` and
/// `Try`, then one of `Succeeded`, `Failed` and `Abandoned`, and `Closed` at the end. Failures
/// count in the backend's state; for a candidate without one, in this chooser alone.
class BackendChooser {
 public:
  /// A backend to try.
  struct Candidate {
    Endpoint endpoint;
    /// The name that led to the address; null for a configured address.
    std::shared_ptr<const NamedTarget> name = nullptr;
    uint32_t weight = kUnitWeight;
    std::shared_ptr<BackendState> state = nullptr;  ///< May be null.
    /// Of several candidates: it is fit, and of the priority of the first one. Both may be dialed
    /// at the same time. Never with Balance::kClientAddress.
    bool may_race = false;
    uint64_t turn = 0;  ///< If the backend is new: where it begins among the others.
  };
  using Candidates = absl::InlinedVector<Candidate, 3>;

  /// As in BackendState.
  using Shown = BackendState::Shown;

  /// Orders `backends` for a connection from `client`: the first to try, and those to try after
  /// failures, at most `max_tries` in total. Backends ejected for this connection's data come last.
  /// Those that are down come only if none is fit; then `Backends::all_down` decides. `preferred`
  /// (null: none) comes before the others if it is one of the backends and fit. Empty if there is
  /// none to use: see `NoBackendError`.
  Candidates Order(const Backends& backends, const Endpoint& client, const Shown& shown,
                   MonotonicTime now, const Endpoint* preferred = nullptr);

  /// Adds a connection to the count of `backend`, and removes it.
  void Opened(const Candidate& backend);
  void Closed(const Endpoint& backend);

  /// These do what BackendState says. Call `Failed` if `BlamesBackend`.
  void Try(const Candidate& backend, const Shown& shown, MonotonicTime now);
  void Failed(const Candidate& backend, const Shown& shown, const absl::Status& why,
              const EjectionOptions& options, MonotonicTime now);
  void Succeeded(const Candidate& backend, const Shown& shown, MonotonicTime now);
  void Abandoned(const Candidate& backend, const Shown& shown);

  /// Returns how fit `backend` is for a connection that will send `shown`.
  BackendState::Fitness FitnessOf(const Candidate& backend, const Shown& shown,
                                  MonotonicTime now) const;

 private:
  struct Use {
    uint32_t open = 0;
    // Grows with each choice, slower for a higher weight. The lowest is next (stride scheduling).
    uint64_t turn = 0;
    uint64_t last = 0;  // Number of the choice that last used it: decides among equal turns.
  };

  // A backend of the list, with the order in which it is tried.
  struct Ranked;

  BackendState* StateOf(const Candidate& backend) const;
  void ForgetSome();
  uint64_t Rank(Balance balance, const Candidate& backend, const Endpoint& client) const;
  template <typename List>
  Candidates OrderList(const List& list, const Backends& backends, const Endpoint& client,
                       const Shown& shown, MonotonicTime now, const Endpoint* preferred);
  void AlignTurns(absl::Span<Ranked> ranked);

  uint64_t choices_ = 0;
  absl::flat_hash_map<Endpoint, Use> uses_;
  // Of failing candidates without a state.
  absl::flat_hash_map<Endpoint, std::unique_ptr<BackendState>> own_states_;
};

}  // namespace trestle

#endif  // TRESTLE_PROXY_BACKEND_CHOOSER_H_
