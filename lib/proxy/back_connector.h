// BackConnector: opens the back leg of one connection. It dials the backends in order, the next one
// also if one is slow, and opens the leg of the first to accept. After a failure it tries the next
// one, until the time of a phase is over.
#ifndef TRESTLE_LIB_PROXY_BACK_CONNECTOR_H_
#define TRESTLE_LIB_PROXY_BACK_CONNECTOR_H_

#include <cstddef>
#include <memory>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/proxy/byte_sender.h"
#include "lib/proxy/connection_plan.h"
#include "lib/proxy/dial_try.h"
#include "trestle/base/error.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"
#include "trestle/proxy/backend_chooser.h"
#include "trestle/proxy/observer.h"

namespace trestle {

class ConnectionSet;

class BackConnector {
 public:
  /// Both must outlive the connector. `report` receives endpoints, TLS parameters, times and the
  /// failed tries.
  BackConnector(ConnectionSet& set, ConnectionReport& report) : set_(set), report_(report) {}

  /// Chooses the order of the backends for the client. Fails with ErrorCode::kNoBackend if none is
  /// known.
  absl::Status Choose(const Backends& backends, const BackRequest& request);

  bool chosen() const { return !candidates_.empty(); }

  /// Returns the first backend; only after `Choose`.
  const BackendChooser::Candidate& first() const { return candidates_.front(); }

  /// Starts; only after `Choose`. `origin` describes the front leg's connection; both
  /// must live until `done` is called, once, from the loop. `done` may destroy the connector.
  void Open(const BackRequest& request, const ConnectionOrigin& origin,
            absl::AnyInvocable<void(absl::Status)> done);

  /// Returns the leg, or null if there is none. The leg is open after success; at any other time
  /// the caller must end it. No callback follows.
  std::unique_ptr<Transport> Take();

  /// Removes the connection from its backend's count, at its end.
  void CountOut();

  bool started() const { return request_ != nullptr; }
  Phase phase() const { return opener_ != nullptr ? Phase::kHandshake : Phase::kDial; }

 private:
  void DialNext();
  void DialAnotherSoon();
  void OnDialed(DialTry& dial, absl::StatusOr<std::unique_ptr<Transport>> back);
  void OnDialFailed(const BackendChooser::Candidate& backend, absl::Status status);
  void LeaveDials();
  void DropDials();
  void OpenLeg();
  void SendPreamble();
  void OnPreambleSent(IoState state);
  void OnOpen(absl::Status status);
  void FailOpen(absl::Status status, const BackendChooser::Shown& after_showing);
  void Fail(const BackendChooser::Candidate& backend, const absl::Status& status,
            const BackendChooser::Shown& after_showing);
  void TryNext(absl::Status status);
  void EndTry();
  void Finish(absl::Status status);
  void Limit(absl::Duration limit, absl::Duration spent);
  void OnTimeout();
  void CountTime();
  void DropLeg();

  ConnectionSet& set_;
  ConnectionReport& report_;
  BackendChooser::Candidates candidates_;  // The first tried_ have been tried.
  size_t tried_ = 0;
  BackendChooser::Candidate backend_;  // That accepted, the one of `leg_`.
  bool counted_ = false;               // The chooser counts the connection at `backend_`.
  BackendChooser::Shown shown_;        // Client data that backends receive.
  bool trying_ = false;                // The chooser awaits the result of `backend_`.
  const BackRequest* request_ = nullptr;
  const ConnectionOrigin* origin_ = nullptr;
  MonotonicTime phase_start_;
  Timer limit_;
  Timer next_dial_;
  // In progress. The chooser counts the connection at each, and awaits its result.
  absl::InlinedVector<std::unique_ptr<DialTry>, 2> dials_;
  std::unique_ptr<LegOpener> opener_;
  std::unique_ptr<Transport> leg_;
  std::optional<ByteSender> preamble_;  // Set while it is being sent. Destroyed before leg_.
  absl::AnyInvocable<void(absl::Status)> done_;
};

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_BACK_CONNECTOR_H_
