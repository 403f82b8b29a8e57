// BackConnector: opens the back leg of one connection: dials the backends in turn, opens what was
// dialed, and goes on to the next where either fails, until the time of a phase has run out.
#ifndef TRESTLE_LIB_PROXY_BACK_CONNECTOR_H_
#define TRESTLE_LIB_PROXY_BACK_CONNECTOR_H_

#include <cstddef>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/proxy/backend_chooser.h"
#include "lib/proxy/connection_plan.h"
#include "trestle/base/error.h"
#include "trestle/io/dialer.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/proxy/observer.h"

namespace trestle {

class ConnectionSet;

class BackConnector {
 public:
  /// Both must outlive the connector. `report` gets endpoints, what TLS agreed on, times, and the
  /// tries that failed.
  BackConnector(ConnectionSet& set, ConnectionReport& report) : set_(set), report_(report) {}

  /// Chooses the order in which the backends will be tried, for the client of `facts`.
  void Choose(const Backends& backends, const LegFacts& facts);

  bool chosen() const { return !candidates_.empty(); }

  /// The backend that comes first; only after `Choose`.
  const Endpoint& first() const { return candidates_.front(); }

  /// Starts; only after `Choose`. `facts` is what is known of the front leg, `origin` where its
  /// connection comes from; both must stay until `done` is called, once, from the loop. The
  /// connector may be destroyed in it.
  void Open(const LegFacts& facts, const ConnectionOrigin& origin,
            absl::AnyInvocable<void(absl::Status)> done);

  /// Gives the leg away: open, or, at any other time, for its end; null where there is none.
  /// Nothing is called any more.
  std::unique_ptr<Transport> Take();

  /// Counts the connection out at its backend, at its end.
  void CountOut();

  bool started() const { return facts_ != nullptr; }
  Phase phase() const { return opener_ != nullptr ? Phase::kHandshake : Phase::kDial; }

 private:
  void DialNext();
  void OnDialed(absl::StatusOr<std::unique_ptr<Transport>> back);
  void OpenLeg();
  absl::Status Send(absl::string_view preamble);
  void OnOpen(absl::Status status);
  void FailTry(absl::Status status, const BackendChooser::Shown& after_showing);
  void TryNext(absl::Status status);
  void EndTry();
  void Finish(absl::Status status);
  void Limit(absl::Duration limit, absl::Duration spent);
  void OnTimeout();
  void CountTime();
  void DropLeg();

  ConnectionSet& set_;
  ConnectionReport& report_;
  BackendChooser::Candidates candidates_;  // Those before tried_ were tried.
  size_t tried_ = 0;
  bool counted_ = false;         // The chooser counts this connection at report_.back.peer.
  BackendChooser::Shown shown_;  // To backends, by this connection.
  bool trying_ = false;          // The chooser doesn't know yet how the backend did.
  const LegFacts* facts_ = nullptr;
  const ConnectionOrigin* origin_ = nullptr;
  MonotonicTime phase_start_;
  Timer limit_;
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<LegOpener> opener_;
  std::unique_ptr<Transport> leg_;
  absl::AnyInvocable<void(absl::Status)> done_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_BACK_CONNECTOR_H_
