// FakeAgent: a SPIFFE agent in memory, which says what a test makes it say.
#ifndef TRESTLE_TESTS_INTEGRATIONS_SPIFFE_FAKE_AGENT_H_
#define TRESTLE_TESTS_INTEGRATIONS_SPIFFE_FAKE_AGENT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "integrations/http/http2_server.h"
#include "integrations/http/http_wire.h"
#include "integrations/http/turn_queue.h"
#include "integrations/spiffe/workload_api.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/testing/test_pki.h"

namespace trestle::testing {

/// Returns the blocks of a PEM text in DER, one behind the other.
std::string DerOf(absl::string_view pem);

/// Returns the description of an SVID with `id`, valid from an hour before `now`.
LeafSpec SvidSpec(const std::string& id, absl::Time now, absl::Duration lifetime = absl::Hours(2));

/// Issues an SVID by `ca`, whose root is also its bundle.
WorkloadSvid IssueSvid(const TestPki& ca, const LeafSpec& spec);

/// Encodes a field of protocol buffers with a length, and a whole X509SVIDResponse.
std::string EncodeField(int number, absl::string_view value);
std::string EncodeUpdate(const WorkloadUpdate& update);

class FakeAgent final : private FrontHandler {
 public:
  FakeAgent(SimulatedLoop& loop, MemoryDialer& dialer, const Endpoint& endpoint);
  ~FakeAgent();

  /// Accepts connections, as at the start.
  void Listen();
  /// Refuses connections from now on, cuts the present ones and forgets their requests.
  void Leave();

  /// Says `message` on each open call, and on new ones.
  void Say(const WorkloadUpdate& update) { SayBytes(EncodeUpdate(update)); }
  void SayBytes(std::string message);
  /// Sends bytes that need be no gRPC on each open call.
  void SendRaw(absl::string_view bytes);
  /// Says nothing on new calls.
  void Hush() { message_.clear(); }
  /// Ends each open call with a status.
  void EndCalls(int status, const std::string& message);
  /// Answers new calls with this status at once, without a message. -1: not.
  void AnswerWith(int status) { status_ = status; }
  void AnswerWithHttp(int status) { http_status_ = status; }

  const std::vector<HttpRequest>& requests() const { return requests_; }
  size_t open_calls() const;

 private:
  class Connection;

  HttpExchange* OnRequest(FrontStream& stream, HttpRequest request) override;
  HttpExchange* OnRefused(FrontStream& stream, HttpRequest request, HttpRefusal refusal) override;

  SimulatedLoop& loop_;
  MemoryDialer& dialer_;
  const Endpoint endpoint_;
  TurnQueue turns_{loop_};
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<HttpRequest> requests_;
  std::string message_;
  int status_ = -1;
  int http_status_ = 200;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_INTEGRATIONS_SPIFFE_FAKE_AGENT_H_
