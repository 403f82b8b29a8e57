// FrontConnection: one client of a gateway.
#ifndef TRESTLE_INTEGRATIONS_HTTP_FRONT_CONNECTION_H_
#define TRESTLE_INTEGRATIONS_HTTP_FRONT_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "integrations/http/http_exchange.h"
#include "integrations/http/http_wire.h"
#include "integrations/http/turn_queue.h"
#include "integrations/http1/forwarded_fields.h"
#include "trestle/proxy/accepted.h"

namespace trestle {

struct GatewayCore;

class FrontConnection final : public Buried, public FrontHandler, public HttpWireOwner {
 public:
  FrontConnection(GatewayCore& core, Accepted connection);

  /// Begins to serve.
  void Start();
  void Drain() { codec_->Drain(); }
  /// Cuts the connection and its requests.
  void Cut();

  /// Returns whether the client may request this host; see `GatewayHosts`.
  bool MayAskFor(const std::string& host) const;

  const Endpoint& peer() const { return report_.front.peer; }
  /// Returns the client's connection, for guards and field writers.
  const ConnectionReport& report() const { return report_; }
  const HeadRewriter& rewriter() const { return *rewriter_; }
  bool trusted() const;

 private:
  HttpExchange* OnRequest(FrontStream& stream, HttpRequest request) override;
  HttpExchange* OnRefused(FrontStream& stream, HttpRequest request, HttpRefusal refusal) override;
  void OnWireActivity() override;
  void OnWireOver(const absl::Status& why) override;

  void Limit(absl::Duration delay);
  void OnLimit();

  GatewayCore& core_;
  ConnectionSlot slot_;
  ConnectionReport report_;
  std::optional<HeadRewriter> rewriter_;
  std::unique_ptr<HttpWire> wire_;
  std::unique_ptr<ServerCodec> codec_;  // After wire_, which it calls.
  Timer limit_;
  MonotonicTime last_activity_;
  std::optional<MonotonicTime> head_began_;
  bool ending_ = false;  // It was idle for too long.
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_HTTP_FRONT_CONNECTION_H_
