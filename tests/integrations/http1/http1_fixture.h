// A relay between a client and a backend of a test, with an HTTP/1.1 inspector.
#ifndef TRESTLE_TESTS_INTEGRATIONS_HTTP1_HTTP1_FIXTURE_H_
#define TRESTLE_TESTS_INTEGRATIONS_HTTP1_HTTP1_FIXTURE_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "integrations/http1/http1_inspector.h"
#include "tests/support/stream_peer.h"
#include "trestle/base/error.h"
#include "trestle/io/relay.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {

/// Returns the report of a connection from 192.0.2.7 for app.test.
inline ConnectionReport ReportOfAppTest() {
  ConnectionReport report;
  report.server_name = "app.test";
  report.front.peer = *Endpoint::Parse("192.0.2.7:40000");
  TlsInfo tls;
  tls.alpn = "http/1.1";
  report.front.tls = std::make_shared<const TlsInfo>(std::move(tls));
  return report;
}

/// Returns options that add nothing to heads, so that tests can compare them.
inline Http1Options QuietOptions() {
  Http1Options options;
  options.forwarding.x_forwarded = false;
  options.forwarding.forwarded = false;
  return options;
}

class Http1Connection {
 public:
  explicit Http1Connection(Http1Options options,
                           const ConnectionReport& report = ReportOfAppTest()) {
    InspectorFactory factory = *NewHttp1InspectorFactory(loop, std::move(options));
    inspector_ = factory(report);
    auto [client_end, front] = testing::NewMemoryPair(loop);
    auto [back, backend_end] = testing::NewMemoryPair(loop);
    front_ = std::move(front);
    back_ = std::move(back);
    client.emplace(loop, std::move(client_end));
    backend.emplace(loop, std::move(backend_end));
    relay_ = std::make_unique<Relay>(loop, *front_, *back_, inspector_.get(), RelayOptions());
    relay_->Start([this](absl::Status status) { outcome = std::move(status); });
    loop.RunReady();
  }

  void FromClient(absl::string_view bytes) {
    client->Send(bytes);
    loop.RunReady();
  }
  void FromBackend(absl::string_view bytes) {
    backend->Send(bytes);
    loop.RunReady();
  }
  const std::string& at_backend() const { return backend->received(); }
  const std::string& at_client() const { return client->received(); }
  /// Returns why the inspector ended the connection; empty if it didn't.
  std::string blocked() const {
    if (!outcome.has_value()) return "";
    const std::optional<Error> error = GetError(*outcome);
    return error.has_value() && error->code == ErrorCode::kBlockedByInspector ? error->detail : "";
  }

  testing::SimulatedLoop loop;
  std::optional<StreamPeer> client;
  std::optional<StreamPeer> backend;
  std::optional<absl::Status> outcome;

 private:
  std::unique_ptr<Inspector> inspector_;
  std::unique_ptr<Transport> front_;
  std::unique_ptr<Transport> back_;
  std::unique_ptr<Relay> relay_;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_INTEGRATIONS_HTTP1_HTTP1_FIXTURE_H_
