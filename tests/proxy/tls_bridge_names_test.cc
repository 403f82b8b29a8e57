// The name that a bridge requests from its backends, and its own certificate for them.
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/bridge_fixture.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using testing::LeafSpec;

class BridgeNamesTest : public BridgeTest {
 protected:
  BridgeNamesTest() {
    LeafSpec leaf{{"internal.test", "app.test", "computed.test"}};
    leaf.uri_names = {"spiffe://example.org/api"};
    ServeBackend(back_pki, leaf);
  }

  ErrorCode Refusal(TlsBridgeOptions options) {
    const auto made = Make(std::move(options));
    const std::optional<Error> error = GetError(made.status());
    return error.has_value() ? error->code : ErrorCode::kInternal;
  }

  ErrorCode ClosedWith() {
    client->End();
    loop.RunFor(absl::Seconds(10));
    return observer.error().has_value() ? observer.error()->code : ErrorCode::kInternal;
  }
};

TEST_F(BridgeNamesTest, TheClientsNameIsCopied) {
  TlsBridgeOptions options = Options("");
  options.copy_server_name = true;
  bridge = *Make(std::move(options));
  EXPECT_EQ(ConnectAndClose().server_name, "app.test");
  EXPECT_EQ(servers.at(0)->info().server_name, "app.test");
}

TEST_F(BridgeNamesTest, ACopiedNameIsVerified) {
  TlsBridgeOptions options = Options("");
  options.copy_server_name = true;
  bridge = *Make(std::move(options));
  ServeBackend(back_pki, {{"internal.test"}});
  EXPECT_EQ(BackFailure().code, ErrorCode::kNameMismatch);
}

TEST_F(BridgeNamesTest, WithoutANameToCopyNoBackendIsDialed) {
  TlsBridgeOptions options = Options("");
  options.copy_server_name = true;
  bridge = *Make(std::move(options));
  ClientTlsTarget nameless;
  nameless.verify_name = "app.test";
  Connect(nameless);
  loop.RunReady();
  EXPECT_EQ(ClosedWith(), ErrorCode::kNoRoute);
  EXPECT_EQ(dialer.dials(), 0u);
}

TEST_F(BridgeNamesTest, AFixedNameReplacesAMissingOne) {
  TlsBridgeOptions options = Options("internal.test");
  options.copy_server_name = true;
  bridge = *Make(std::move(options));
  ClientTlsTarget nameless;
  nameless.verify_name = "app.test";
  Connect(nameless);
  loop.RunReady();
  EXPECT_EQ(servers.at(0)->info().server_name, "internal.test");
}

TEST_F(BridgeNamesTest, ANameIsComputedFromTheClientsData) {
  TlsBridgeOptions options = Options("", {"h2"});
  ServeBackend(back_pki, {{"computed.test"}}, {"h2"});
  std::string seen;
  options.compute_backend_name = [&](const BridgedClient& bridged) {
    seen = std::string(bridged.server_name) + " " + std::string(bridged.alpn) + " " +
           bridged.peer.ToString() + " " + bridged.backend.ToString();
    return std::string("Computed.Test");
  };
  bridge = *Make(std::move(options));
  Connect({"app.test", {"h2"}});
  loop.RunReady();
  EXPECT_EQ(servers.at(0)->info().server_name, "computed.test");
  EXPECT_EQ(seen, "app.test h2 192.0.2.1:1 192.0.2.1:443");
}

TEST_F(BridgeNamesTest, AnInvalidComputedNameIsAnError) {
  for (const std::string name : {"", "not a name", "http://a.test"}) {
    TlsBridgeOptions options = Options("");
    // Must not replace the missing name.
    options.backend_verify_name = "internal.test";
    options.compute_backend_name = [name](const BridgedClient&) { return name; };
    bridge = *Make(std::move(options));
    observer.closed.clear();
    Connect().Send("secret");
    loop.RunReady();
    EXPECT_EQ(ClosedWith(), ErrorCode::kConfiguration) << name;
  }
}

TEST_F(BridgeNamesTest, TheVerifiedNameMayDifferFromTheSentName) {
  TlsBridgeOptions options = Options("anything.test");
  options.backend_verify_name = "spiffe://example.org/api";
  bridge = *Make(std::move(options));
  EXPECT_EQ(ConnectAndClose().server_name, "anything.test");
}

TEST_F(BridgeNamesTest, ContradictingNamesAreRejectedAtOnce) {
  TlsBridgeOptions both = Options("internal.test");
  both.compute_backend_name = [](const BridgedClient&) { return std::string("x.test"); };
  EXPECT_EQ(Refusal(std::move(both)), ErrorCode::kConfiguration);
  TlsBridgeOptions copied = Options("");
  copied.copy_server_name = true;
  copied.compute_backend_name = [](const BridgedClient&) { return std::string("x.test"); };
  EXPECT_EQ(Refusal(std::move(copied)), ErrorCode::kConfiguration);
  TlsBridgeOptions verify = Options("internal.test");
  verify.backend_verify_name = "no name";
  EXPECT_EQ(Refusal(std::move(verify)), ErrorCode::kConfiguration);
  TlsBridgeOptions only_verified = Options("");
  only_verified.backend_verify_name = "internal.test";
  EXPECT_EQ(Refusal(std::move(only_verified)), ErrorCode::kConfiguration);
  TlsBridgeOptions null_tls = Options("internal.test");
  null_tls.back_tls_by_backend[backend.endpoint] = nullptr;
  EXPECT_EQ(Refusal(std::move(null_tls)), ErrorCode::kConfiguration);
}

class OwnCertificateTest : public BridgeNamesTest {
 protected:
  std::shared_ptr<const ClientTlsConfig> ShowingAs(const std::string& name) {
    LeafSpec leaf;
    leaf.common_name = name;
    leaf.server_auth = false;
    const testing::PemPair pair = front_pki.Issue(leaf);
    ClientTlsOptions tls;
    tls.ca_pem = back_pki.ca_pem();
    tls.credential = *Credential::FromPem(pair.chain, pair.key, {CredentialUse::kClient});
    return *ClientTlsConfig::Create(std::move(tls));
  }
};

TEST_F(OwnCertificateTest, EachBackendMayGetAnotherCertificate) {
  // Whether to request a client certificate is the backend's choice; this test checks the bridge's.
  TestBackend second(loop, dialer, 2);
  TlsBridgeOptions options = Options("internal.test");
  const auto alice = ShowingAs("alice");
  const auto bob = ShowingAs("bob");
  options.back_tls = alice;
  options.back_tls_by_backend[second.endpoint] = bob;
  EXPECT_NE(alice->policy(), bob->policy());
  options.backend = Backends({backend.endpoint, second.endpoint});
  auto config = ServerFor(back_pki, loop.Now(), {{"internal.test"}});
  second.on_accept = [&](std::unique_ptr<Transport> raw) {
    servers.push_back(TlsPeer::Server(loop, std::move(raw), config));
  };
  bridge = *Make(std::move(options));
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(ConnectAndClose().resumed);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(ConnectAndClose().resumed);
  // Carol replaces bob, so bob's sessions end.
  bridge->ReplaceBackTlsByBackend({{second.endpoint, ShowingAs("carol")}});
  EXPECT_EQ(bridge->back_sessions().sessions(), 0u);
  bridge->ReplaceBackTlsByBackend({{second.endpoint, nullptr}});
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(ConnectAndClose().resumed);
}

}  // namespace
}  // namespace trestle
