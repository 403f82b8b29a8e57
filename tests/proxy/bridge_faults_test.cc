// A short exchange through a bridge, cut at every byte of each of the four directions between the
// client, the bridge and the backend.
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/proxy/bridge_fixture.h"

namespace trestle {
namespace {

enum class Cut : uint8_t { kFromClient, kToClient, kToBackend, kFromBackend };

class BridgeFaultsTest
    : public BridgeTest,
      public ::testing::WithParamInterface<std::tuple<Cut, TlsVersion, bool /*eager*/>> {
 protected:
  BridgeFaultsTest() {
    const TlsVersion version = std::get<1>(GetParam());
    server_config = ServerFor(back_pki, loop.Now(), {{"internal.test"}}, {"h2"}, version);
    client_config = SmallHellos(front_pki, version);
    TlsBridgeOptions options = Options("internal.test", {"h2"});
    options.front_tls = ServerFor(front_pki, loop.Now(), {{"app.test"}}, {"h2"}, version);
    options.back_tls = SmallHellos(back_pki, version);
    options.eager_alpn.enabled = std::get<2>(GetParam());
    options.eager_alpn.remember_for = absl::ZeroDuration();
    options.eager_alpn.dials_per_network = 1'000'000;
    // Full handshakes only, so that each round has the same bytes.
    options.back_sessions.max_sessions = 0;
    bridge = *Make(std::move(options));
  }

  // Without a post-quantum share there are fewer bytes to cut at.
  static std::shared_ptr<const ClientTlsConfig> SmallHellos(const testing::TestPki& pki,
                                                            TlsVersion version) {
    ClientTlsOptions options;
    options.ca_pem = pki.ca_pem();
    options.parameters.max_version = version;
    options.parameters.groups = {TlsGroup::kX25519, TlsGroup::kP256};
    return *ClientTlsConfig::Create(std::move(options));
  }

  testing::MemoryLink LinkFor(Cut where, uint64_t offset) const {
    testing::MemoryLink link;
    if (std::get<0>(GetParam()) == where) link.reset_after_bytes = offset;
    return link;
  }

  // One exchange with the cut at `offset`. True when it was complete and ended well.
  bool Exchange(uint64_t offset) {
    observer.closed.clear();
    observer.established.clear();
    dialer.Listen(
        backend.endpoint,
        [this](std::unique_ptr<Transport> raw) {
          servers.push_back(TlsPeer::Server(loop, std::move(raw), server_config));
          servers.back()->Send(kAnswer);
          servers.back()->End();
        },
        {}, LinkFor(Cut::kToBackend, offset), LinkFor(Cut::kFromBackend, offset));
    auto [client_end, front] = testing::NewMemoryPair(loop, LinkFor(Cut::kFromClient, offset),
                                                      LinkFor(Cut::kToClient, offset));
    bridge->Serve(std::move(front));
    client = TlsPeer::Client(loop, std::move(client_end), client_config, {"app.test", {"h2"}});
    client->Send(kQuestion);
    client->End();
    loop.RunReady();
    Check();
    const bool well = observer.closed.size() == 1 && observer.closed[0].status.ok();
    client.reset();
    servers.clear();
    return well;
  }

  void Check() {
    // Peers that don't close after a cut are waited for; nothing else is.
    if (observer.closed.empty()) loop.RunFor(absl::Seconds(30));
    ASSERT_EQ(observer.closed.size(), 1u);
    EXPECT_LE(observer.established.size(), 1u);
    EXPECT_EQ(bridge->open_connections(), 0u);
    const ConnectionReport& report = observer.closed[0];
    const std::string at_backend = servers.empty() ? "" : servers.back()->received();
    const std::string at_client = client->received();
    EXPECT_TRUE(absl::StartsWith(kQuestion, at_backend));
    EXPECT_TRUE(absl::StartsWith(kAnswer, at_client));
    const bool front_cut = std::get<0>(GetParam()) <= Cut::kToClient;
    // What the broken leg had delivered reaches the other one.
    EXPECT_EQ(front_cut ? at_backend.size() : at_client.size(),
              front_cut ? report.front.bytes_read : report.back.bytes_read);
    if (report.status.ok()) {
      EXPECT_EQ(at_backend, kQuestion);
      EXPECT_EQ(at_client, kAnswer);
    } else {
      EXPECT_TRUE(GetTlsError(report.status).has_value()) << report.status;
    }
  }

  static constexpr absl::string_view kQuestion = "a question of some thirty bytes";
  static constexpr absl::string_view kAnswer = "and an answer, which is a little longer than it";
  std::shared_ptr<const ServerTlsConfig> server_config;
  std::shared_ptr<const ClientTlsConfig> client_config;
};

TEST_P(BridgeFaultsTest, EveryOffset) {
  constexpr uint64_t kFarBeyond = 20'000;
  ASSERT_TRUE(Exchange(kFarBeyond)) << observer.closed.at(0).status;
  int well_in_a_row = 0;
  uint64_t offset = 0;
  for (; well_in_a_row < 50; ++offset) {
    ASSERT_LT(offset, kFarBeyond);
    SCOPED_TRACE(offset);
    well_in_a_row = Exchange(offset) ? well_in_a_row + 1 : 0;
    if (HasFailure()) break;
  }
  EXPECT_GT(offset, 300u) << "a handshake has more bytes than that";
  loop.RunFor(absl::Minutes(10));
  EXPECT_EQ(loop.buffers().lent_blocks(), 0u);
}

std::string NameOf(const ::testing::TestParamInfo<BridgeFaultsTest::ParamType>& info) {
  constexpr const char* kCuts[] = {"FromClient", "ToClient", "ToBackend", "FromBackend"};
  const std::string cut = kCuts[static_cast<int>(std::get<0>(info.param))];
  const char* version = std::get<1>(info.param) == TlsVersion::kTls12 ? "Tls12" : "Tls13";
  return cut + version + (std::get<2>(info.param) ? "Eager" : "Lazy");
}

INSTANTIATE_TEST_SUITE_P(All, BridgeFaultsTest,
                         ::testing::Combine(::testing::Values(Cut::kFromClient, Cut::kToClient,
                                                              Cut::kToBackend, Cut::kFromBackend),
                                            ::testing::Values(TlsVersion::kTls12,
                                                              TlsVersion::kTls13),
                                            ::testing::Bool()),
                         NameOf);

}  // namespace
}  // namespace trestle
