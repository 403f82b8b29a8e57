// CaptureHandler: passes connections to another ConnectionHandler, and shows a sink all bytes that
// it exchanges with the clients. For an HttpGateway behind a terminator, which has no inspectors.
#ifndef TRESTLE_INTEGRATIONS_CAPTURE_CAPTURE_HANDLER_H_
#define TRESTLE_INTEGRATIONS_CAPTURE_CAPTURE_HANDLER_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "integrations/capture/capture_inspector.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/accepted.h"
#include "trestle/proxy/connection_handler.h"

namespace trestle {

/// Direction::kToBackend is what a client sends. Direction::kToClient is what the next handler
/// sends the client: with a gateway, its responses, also those that it wrote itself.
class CaptureHandler final : public ConnectionHandler {
 public:
  /// Creates the sink of a connection. Called on the loop's thread.
  using NewSink = absl::AnyInvocable<std::unique_ptr<CaptureSink>(const ConnectionOrigin& origin)>;

  /// `scheduler` and `next` must outlive the handler. `scheduler` must also outlive the
  /// connections.
  CaptureHandler(Scheduler& scheduler, ConnectionHandler& next, NewSink new_sink);

  void Serve(Accepted connection) override;
  using ConnectionHandler::Serve;

 private:
  Scheduler& scheduler_;
  ConnectionHandler& next_;
  NewSink new_sink_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_CAPTURE_CAPTURE_HANDLER_H_
