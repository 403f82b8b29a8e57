// WireGateway: one client's bytes through an HttpGateway to one backend, for tables of bytes.
#ifndef TRESTLE_TESTS_INTEGRATIONS_HTTP_WIRE_GATEWAY_H_
#define TRESTLE_TESTS_INTEGRATIONS_HTTP_WIRE_GATEWAY_H_

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "integrations/http/http_gateway.h"
#include "tests/integrations/http/strict_http.h"
#include "tests/support/stream_peer.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {

/// Serves app.test. Nothing is added to requests but x-request-id, which `at_backend` leaves out.
class WireGateway final : private HttpObserver {
 public:
  /// `answers`: the backend answers each complete request with 204. `http2`: the client speaks
  /// HTTP/2.
  explicit WireGateway(HttpGatewayOptions options = {}, bool answers = false, bool http2 = false)
      : dialer_(loop), answers_(answers) {
    options.routes = *GatewayRoutes::Create(*ParseGatewayRoutes("app.test=http://192.0.2.10:80"));
    options.forwarding.x_forwarded = options.forwarding.forwarded = false;
    dialer_.Listen(*Endpoint::Parse("192.0.2.10:80"), [this](std::unique_ptr<Transport> transport) {
      backends.push_back(std::make_unique<StreamPeer>(loop, std::move(transport)));
      readers_.emplace_back(/*is_answer=*/false);
      answered_.push_back(0);
    });
    gateway = *HttpGateway::Create(loop, dialer_, std::move(options), this);
    auto [client_end, server_end] = testing::NewMemoryPair(loop);
    Accepted accepted(std::move(server_end));
    if (http2) {
      TlsInfo tls;
      tls.alpn = "h2";
      tls.server_name = "app.test";
      accepted.tls = std::make_shared<const TlsInfo>(std::move(tls));
    }
    gateway->Serve(std::move(accepted));
    client = std::make_unique<StreamPeer>(loop, std::move(client_end));
    loop.RunReady();
  }

  void FromClient(absl::string_view bytes) {
    client->Send(bytes);
    loop.RunReady();
    while (answers_ && AnswerSome()) loop.RunReady();
  }

  /// Sends on the last connection to the backend.
  void FromBackend(absl::string_view bytes) {
    backends.back()->Send(bytes);
    loop.RunReady();
  }

  /// Returns what the backend got, on all connections.
  std::string at_backend() const {
    std::string all;
    for (const std::unique_ptr<StreamPeer>& peer : backends) all += peer->received();
    constexpr absl::string_view kId = "x-request-id: ";
    constexpr size_t kLine = kId.size() + 32 + 2;
    for (size_t at = all.find(kId.data(), 0, kId.size()); at != std::string::npos;
         at = all.find(kId.data(), at, kId.size())) {
      all.erase(at, kLine);
    }
    return all;
  }

  const std::string& at_client() const { return client->received(); }

  /// Returns the number of complete requests at the backend; -1 if its reader found a fault.
  int requests() {
    int complete = 0;
    for (size_t i = 0; i < backends.size(); ++i) {
      readers_[i].Read(backends[i]->received());
      if (!readers_[i].fault().empty()) return -1;
      complete += static_cast<int>(readers_[i].complete());
    }
    return complete;
  }

  /// Returns the targets of all requests that the backend counts, complete or not, sorted.
  std::vector<std::string> targets_at_backend() const {
    std::vector<std::string> targets;
    for (const StrictReader& reader : readers_) {
      for (const StrictMessage& message : reader.messages()) {
        const std::vector<std::string> words = absl::StrSplit(message.first_line, ' ');
        targets.push_back(words[1]);
      }
    }
    std::sort(targets.begin(), targets.end());
    return targets;
  }

  /// Returns those of the requests that the gateway counts as sent to the backend, sorted.
  std::vector<std::string> targets_of_reports() const {
    std::vector<std::string> targets;
    for (const HttpRequestReport& report : reports) {
      if (report.backend_reached) targets.push_back(report.target);
    }
    std::sort(targets.begin(), targets.end());
    return targets;
  }

  /// Returns the lines and bodies of the requests that `requests` counted, without chunks.
  std::string messages() const {
    std::string text;
    for (const StrictReader& reader : readers_) {
      for (const StrictMessage& message : reader.messages()) {
        absl::StrAppend(&text, message.first_line, "\n");
        for (const auto& [name, value] : message.fields) {
          if (name != "x-request-id") absl::StrAppend(&text, name, ": ", value, "\n");
        }
        absl::StrAppend(&text, message.body, "\n");
      }
    }
    return text;
  }

  /// Returns why the last reported request failed; empty if it didn't.
  std::string problem() const { return reports.empty() ? "" : reports.back().detail; }

  testing::SimulatedLoop loop;
  std::unique_ptr<HttpGateway> gateway;
  std::unique_ptr<StreamPeer> client;
  std::vector<std::unique_ptr<StreamPeer>> backends;
  std::vector<HttpRequestReport> reports;

 private:
  void OnRequest(const HttpRequestReport& report) override { reports.push_back(report); }

  bool AnswerSome() {
    bool progress = false;
    for (size_t i = 0; i < backends.size(); ++i) {
      readers_[i].Read(backends[i]->received());
      for (; answered_[i] < readers_[i].complete(); ++answered_[i]) {
        backends[i]->Send("HTTP/1.1 204 No Content\r\n\r\n");
        progress = true;
      }
    }
    return progress;
  }

  testing::MemoryDialer dialer_;
  const bool answers_;
  std::vector<StrictReader> readers_;  // Of each connection in `backends`.
  std::vector<size_t> answered_;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_INTEGRATIONS_HTTP_WIRE_GATEWAY_H_
