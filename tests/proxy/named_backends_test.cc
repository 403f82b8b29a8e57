// Backends by name in the blocks: what a connection does while the addresses of a name change, and
// that nothing but the address depends on DNS.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/bridge_fixture.h"
#include "tests/proxy/proxy_fixture.h"
#include "trestle/proxy/resolved_backends.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/testing/simulated_resolver.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

constexpr char kApi[] = "api.internal:443";

// TestBackend 1 and 2.
constexpr char kFirst[] = "192.0.2.1:443";
constexpr char kSecond[] = "192.0.2.2:443";

class NamedBackendsTest : public BridgeTest {
 protected:
  Backends Api() {
    Backends backends;
    backends.names.push_back(*NamedTarget::Parse(kApi));
    EXPECT_TRUE(names.Follow(backends).ok());
    loop.RunReady();
    return backends;
  }

  void StartRouter() {
    SniPassthroughRouterOptions options;
    options.routes = *RouteTable::Create({{"", Api()}});
    router = *SniPassthroughRouter::Create(loop, dialer, options, &observer);
  }

  StreamPeer& ConnectToRouter() {
    clients.push_back(std::make_unique<StreamPeer>(loop, ConnectTo(*router, loop)));
    clients.back()->Send(testing::InRecords(testing::ClassicHello("a.test").Message()));
    loop.RunReady();
    return *clients.back();
  }

  /// Makes the name lead to `endpoint` alone, and lets the answer before end.
  void MoveTo(const std::string& endpoint) {
    resolver.Answer(kApi, {endpoint}, absl::Seconds(60));
    loop.RunFor(absl::Seconds(60));
  }

  testing::SimulatedResolver resolver{loop};
  ResolvedBackends names{loop, resolver};
  TestBackend second{loop, dialer, 2};
  std::unique_ptr<SniPassthroughRouter> router;
  std::vector<std::unique_ptr<StreamPeer>> clients;
};

TEST_F(NamedBackendsTest, OpenConnectionsStayWhenTheirBackendLeaves) {
  backend.on_accept = nullptr;
  resolver.Answer(kApi, {kFirst}, absl::Seconds(60));
  StartRouter();
  StreamPeer& early = ConnectToRouter();
  MoveTo(kSecond);
  ConnectToRouter();
  ASSERT_EQ(backend.peers.size(), 1u);
  EXPECT_EQ(second.peers.size(), 1u);
  early.Send("more");
  loop.RunReady();
  EXPECT_THAT(backend.peers[0]->received(), HasSubstr("more"));
  EXPECT_TRUE(observer.closed.empty());
}

TEST_F(NamedBackendsTest, WithoutAnAddressAConnectionFailsAtOnce) {
  resolver.Deny(kApi, absl::Seconds(60));
  StartRouter();
  ConnectToRouter().End();
  loop.RunReady();
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kNoBackend);
  EXPECT_EQ(observer.error()->leg, Leg::kBack);
  EXPECT_EQ(observer.error()->phase, Phase::kDial);
  EXPECT_EQ(observer.error()->detail, "no address is known now of api.internal:443");
  EXPECT_EQ(dialer.dials(), 0u);
}

TEST_F(NamedBackendsTest, EagerAlpnWithoutAnAddressFailsInTheHandshake) {
  resolver.Deny(kApi, absl::Seconds(60));
  TlsBridgeOptions options = Options("", {"h2"});
  options.backend = Api();
  options.eager_alpn.enabled = true;
  bridge = *Make(std::move(options));
  Connect({"app.test", {"h2"}});
  loop.RunFor(absl::Seconds(10));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kNoBackend);
}

TEST_F(NamedBackendsTest, TheConfiguredNameIsSentAndVerified) {
  resolver.Answer(kApi, {kFirst}, absl::Seconds(60));
  ServeBackend(back_pki, {{"api.internal"}});
  TlsBridgeOptions options = Options("");
  options.backend = Api();
  bridge = *Make(std::move(options));
  const TlsInfo back = ConnectAndClose();
  EXPECT_EQ(back.server_name, "api.internal");
  EXPECT_EQ(servers.back()->info().server_name, "api.internal");
}

TEST_F(NamedBackendsTest, AServiceIsVerifiedByItsDomain) {
  const char* const service = "_https._tcp.api.internal";
  resolver.Answer(service, {kFirst}, absl::Seconds(60));
  ServeBackend(back_pki, {{"api.internal"}});
  TlsBridgeOptions options = Options("");
  options.backend = Backends();
  options.backend.names.push_back(*NamedTarget::Parse(service));
  ASSERT_TRUE(names.Follow(options.backend).ok());
  loop.RunReady();
  bridge = *Make(std::move(options));
  EXPECT_EQ(ConnectAndClose().server_name, "api.internal");
}

TEST_F(NamedBackendsTest, AnAddressOfALiarProvesNothing) {
  resolver.Answer(kApi, {kFirst}, absl::Seconds(60));
  ServeBackend(back_pki, {{"evil.internal", "192.0.2.1"}});
  TlsBridgeOptions options = Options("");
  options.backend = Api();
  // A config for the address that DNS gave, and that trusts more, isn't used.
  options.back_tls_by_backend[*Endpoint::Parse(kFirst)] = ClientOf(front_pki);
  bridge = *Make(std::move(options));
  EXPECT_EQ(BackFailure().code, ErrorCode::kNameMismatch);
}

TEST_F(NamedBackendsTest, SessionsGoByTheName) {
  resolver.Answer(kApi, {kFirst}, absl::Seconds(60));
  ServeBackend(back_pki, {{"api.internal"}});
  second.on_accept = [this](std::unique_ptr<Transport> raw) { backend.on_accept(std::move(raw)); };
  TlsBridgeOptions options = Options("");
  options.backend = Api();
  bridge = *Make(std::move(options));
  EXPECT_FALSE(ConnectAndClose().resumed);
  MoveTo(kSecond);
  EXPECT_TRUE(ConnectAndClose().resumed) << "the same server at another address";
}

TEST_F(NamedBackendsTest, ANameNeedsAResolver) {
  Backends unresolved;
  unresolved.names.push_back(*NamedTarget::Parse(kApi));
  const absl::Status refused = CheckBackends(unresolved);
  ASSERT_TRUE(GetError(refused).has_value());
  EXPECT_EQ(GetError(refused)->code, ErrorCode::kConfiguration);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("api.internal:443 is a name"));
}

TEST_F(NamedBackendsTest, ABackendThatIsTheListenerIsSeen) {
  resolver.Answer(kApi, {"127.0.0.1:443"}, absl::Seconds(60));
  const Backends backends = Api();
  EXPECT_TRUE(LeadsTo(backends, *Endpoint::Parse("0.0.0.0:443")));
  EXPECT_FALSE(LeadsTo(backends, *Endpoint::Parse("0.0.0.0:444")));
}

}  // namespace
}  // namespace trestle
