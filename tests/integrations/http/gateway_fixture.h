// GatewayFixture: an HttpGateway on a simulated loop, with clients and backends in memory.
#ifndef TRESTLE_TESTS_INTEGRATIONS_HTTP_GATEWAY_FIXTURE_H_
#define TRESTLE_TESTS_INTEGRATIONS_HTTP_GATEWAY_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "integrations/http/http_gateway.h"
#include "tests/support/stream_peer.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {

inline const Endpoint& BackendA() {
  static const Endpoint* const kEndpoint = new Endpoint(*Endpoint::Parse("192.0.2.10:80"));
  return *kEndpoint;
}
inline const Endpoint& BackendB() {
  static const Endpoint* const kEndpoint = new Endpoint(*Endpoint::Parse("192.0.2.11:80"));
  return *kEndpoint;
}

class GatewayFixture : public ::testing::Test, protected HttpObserver {
 protected:
  GatewayFixture() : dialer(loop) {
    options.routes = *GatewayRoutes::Create(*ParseGatewayRoutes(
        "app.test/=http://192.0.2.10:80,app.test/b=http://192.0.2.11:80,"
        "two.test/=http://192.0.2.11:80+192.0.2.10:80,h2.test/=h2c://192.0.2.10:80"));
    options.forwarding.x_forwarded = options.forwarding.forwarded = false;
    Listen(BackendA(), a);
    Listen(BackendB(), b);
  }

  using Peers = std::vector<std::unique_ptr<StreamPeer>>;

  void Listen(const Endpoint& endpoint, Peers& peers) {
    dialer.Listen(endpoint, [this, &peers](std::unique_ptr<Transport> transport) {
      peers.push_back(std::make_unique<StreamPeer>(loop, std::move(transport)));
    });
  }

  HttpGateway& gateway() {
    if (gateway_ == nullptr) {
      gateway_ = *HttpGateway::Create(loop, dialer, options, observer != nullptr ? observer : this);
    }
    return *gateway_;
  }

  /// Connects a client in clear text, or with TLS that negotiated `alpn`.
  std::unique_ptr<Transport> Dial(const std::string& alpn = "") {
    auto [client, server] = testing::NewMemoryPair(loop);
    Accepted accepted(std::move(server));
    if (!alpn.empty()) {
      TlsInfo tls;
      tls.alpn = alpn;
      tls.server_name = "app.test";
      accepted.tls = std::make_shared<const TlsInfo>(std::move(tls));
    }
    gateway().Serve(std::move(accepted));
    return std::move(client);
  }

  std::unique_ptr<StreamPeer> Connect(const std::string& alpn = "") {
    auto peer = std::make_unique<StreamPeer>(loop, Dial(alpn));
    loop.RunReady();
    return peer;
  }

  void Send(StreamPeer& peer, absl::string_view bytes) {
    peer.Send(bytes);
    loop.RunReady();
  }

  /// Returns the only report; fails if there is another number.
  HttpRequestReport Report() const {
    EXPECT_EQ(reports.size(), 1u);
    return reports.empty() ? HttpRequestReport() : reports.back();
  }

  testing::SimulatedLoop loop;
  testing::MemoryDialer dialer;
  HttpGatewayOptions options;
  HttpObserver* observer = nullptr;  // In place of `reports`.
  Peers a;                           // The connections to each backend.
  Peers b;
  std::vector<HttpRequestReport> reports;

 private:
  void OnRequest(const HttpRequestReport& report) override { reports.push_back(report); }

  std::unique_ptr<HttpGateway> gateway_;
};

/// A request for app.test, without a body.
inline std::string Get(absl::string_view target, absl::string_view more = "") {
  return absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: app.test\r\n", more, "\r\n");
}

constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

}  // namespace trestle

#endif  // TRESTLE_TESTS_INTEGRATIONS_HTTP_GATEWAY_FIXTURE_H_
