// GrpcStream: a call of gRPC whose answer is a stream of messages, over any transport. For calls
// without TLS to an agent on the same machine.
#ifndef TRESTLE_INTEGRATIONS_SPIFFE_GRPC_STREAM_H_
#define TRESTLE_INTEGRATIONS_SPIFFE_GRPC_STREAM_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "integrations/http/http2_client.h"
#include "integrations/http/http_exchange.h"
#include "integrations/http/http_wire.h"
#include "integrations/http/turn_queue.h"
#include "trestle/base/bytes.h"
#include "trestle/io/scheduler.h"
#include "trestle/io/transport.h"

namespace trestle {

struct GrpcCall {
  std::string path;                            ///< "/Service/Method".
  std::vector<HttpFields::Field> fields = {};  ///< Metadata, with names in lower case.
  std::string message = "";                    ///< The request, encoded.
  /// A longer message of the server ends the call.
  size_t max_message_bytes = 4 * 1024 * 1024;
};

/// On one loop. Received bytes are bounded by one message and one read.
class GrpcStream final : private HttpExchange, private HttpWireOwner {
 public:
  /// Receives messages and the end. All calls come from the loop.
  class Owner {
   public:
    /// Called for each message. Must not destroy the stream.
    virtual void OnMessage(ByteView message) = 0;

    /// Called once, unless the stream is destroyed before. May destroy the stream. `why` is never
    /// OK:
    ///   - kTransport: the connection or the call ended;
    ///   - kNoCertificate: the server's status is PERMISSION_DENIED;
    ///   - kOverLimit: a message is over the limit;
    ///   - kProtocol: all else that is no gRPC.
    virtual void OnEnd(absl::Status why) = 0;

   protected:
    ~Owner() = default;
  };

  /// Starts the call. `scheduler` and `owner` must outlive the stream.
  GrpcStream(Scheduler& scheduler, std::unique_ptr<Transport> transport, const GrpcCall& call,
             Owner& owner);
  /// Cuts the connection.
  ~GrpcStream();
  GrpcStream(const GrpcStream&) = delete;
  GrpcStream& operator=(const GrpcStream&) = delete;

 private:
  void OnResponse(HttpResponse response) override;
  void OnResponseBody() override;
  void OnBackDone() override;
  void OnBackFailed(BackFailure failure, const absl::Status& why) override;
  void OnWireOver(const absl::Status& why) override;

  // A client's stream has no front leg.
  void OnRequestBody() override {}
  void OnRequestRefused(HttpRefusal) override {}
  void OnResponseTaken(size_t) override {}
  void OnClientGone(const absl::Status&) override {}
  void OnResponseSent() override {}
  void OnRequestTaken(size_t) override {}
  void OnInformational(HttpResponse) override {}

  void TakeMessages();
  void End(absl::Status why);

  Scheduler& scheduler_;
  Owner& owner_;
  const size_t max_message_bytes_;
  const HttpLimits limits_;
  TurnQueue turns_;
  HttpWire wire_;
  Http2Client codec_;
  BackStream* stream_ = nullptr;  // Null once it is over.
  HttpFields head_;               // Of the response.
  std::string received_;
  std::optional<absl::Status> why_;  // Set at the end.
  Timer end_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_SPIFFE_GRPC_STREAM_H_
