// BridgeFaults: a short exchange through a bridge, with one fault at one byte of one of the four
// directions between client, bridge and backend. Checks the required results.
#ifndef TRESTLE_TESTS_PROXY_BRIDGE_FAULTS_H_
#define TRESTLE_TESTS_PROXY_BRIDGE_FAULTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/proxy/bridge_fixture.h"

namespace trestle {

enum class FaultPlace : uint8_t { kFromClient, kToClient, kToBackend, kFromBackend };
enum class Fault : uint8_t {
  kReset,  ///< Both directions break.
  kEnd,    ///< The sender ends in the middle, as a dying process does; for directions from a peer.
  kStall,  ///< The direction delivers nothing more, without an error.
};

/// For names of tests: "FromClient", "Reset".
inline const char* NameOf(FaultPlace place) {
  constexpr const char* kNames[] = {"FromClient", "ToClient", "ToBackend", "FromBackend"};
  return kNames[static_cast<int>(place)];
}
inline const char* NameOf(Fault fault) {
  constexpr const char* kNames[] = {"Reset", "End", "Stall"};
  return kNames[static_cast<int>(fault)];
}

class BridgeFaults : public BridgeTest {
 protected:
  BridgeFaults(FaultPlace place, Fault fault, TlsVersion version, std::string protocol)
      : place_(place), fault_(fault), protocol_(std::move(protocol)) {
    server_config_ = ServerFor(back_pki, loop.Now(), {{"internal.test"}}, {protocol_}, version);
    client_config_ = SmallHellos(front_pki, version);
    back_config_ = SmallHellos(back_pki, version);
    front_config_ = ServerFor(front_pki, loop.Now(), {{"app.test"}}, {protocol_}, version);
  }

  /// Options of the bridge to be tested.
  TlsBridgeOptions FaultOptions() {
    TlsBridgeOptions options = Options("internal.test", {protocol_});
    options.front_tls = front_config_;
    options.back_tls = back_config_;
    // Full handshakes only, so that each round has the same bytes.
    options.back_sessions.max_sessions = 0;
    return options;
  }

  /// The bytes of the request that the backend must have received, if the bridge has read `bytes`
  /// of it and the back leg works. `AtClient` is the same for the response.
  virtual std::string AtBackend(uint64_t bytes) { return question.substr(0, bytes); }
  virtual std::string AtClient(uint64_t bytes) { return answer.substr(0, bytes); }

  /// Runs exchanges with a fault at each offset, until an exchange ends before its fault.
  void TryEveryOffset() {
    constexpr uint64_t kFarBeyond = 20'000;
    ASSERT_TRUE(Exchange(kFarBeyond)) << ErrorText(observer.closed.at(0).error);
    int well_in_a_row = 0;
    uint64_t offset = 0;
    for (; well_in_a_row < 50; ++offset) {
      ASSERT_LT(offset, kFarBeyond);
      SCOPED_TRACE(offset);
      well_in_a_row = Exchange(offset) ? well_in_a_row + 1 : 0;
      if (HasFailure()) break;
    }
    EXPECT_GT(offset, 300u) << "a handshake has more bytes";
    loop.RunFor(absl::Minutes(10));
    EXPECT_EQ(loop.buffers().lent_blocks(), 0u);
  }

  std::string question;
  std::string answer;
  bool waits_for_question = false;  ///< The backend responds only after the whole request.

 private:
  // Without a post-quantum share there are fewer offsets to test.
  static std::shared_ptr<const ClientTlsConfig> SmallHellos(const testing::TestPki& pki,
                                                            TlsVersion version) {
    ClientTlsOptions options;
    options.ca_pem = pki.ca_pem();
    options.parameters.max_version = version;
    options.parameters.groups = {TlsGroup::kX25519, TlsGroup::kP256};
    return *ClientTlsConfig::Create(std::move(options));
  }

  testing::MemoryLink LinkFor(FaultPlace where, uint64_t offset) const {
    testing::MemoryLink link;
    if (place_ != where) return link;
    switch (fault_) {
      case Fault::kReset:
        link.reset_after_bytes = offset;
        break;
      case Fault::kEnd:
        link.end_after_bytes = offset;
        break;
      case Fault::kStall:
        link.stall_after_bytes = offset;
        break;
    }
    return link;
  }

  // Runs one exchange with the fault at `offset`. Returns whether it was complete and ended
  // cleanly.
  bool Exchange(uint64_t offset) {
    observer.closed.clear();
    observer.established.clear();
    dialer.Listen(
        backend.endpoint,
        [this](std::unique_ptr<Transport> raw) {
          servers.push_back(TlsPeer::Server(loop, std::move(raw), server_config_));
          if (!waits_for_question) Answer();
        },
        {}, LinkFor(FaultPlace::kToBackend, offset), LinkFor(FaultPlace::kFromBackend, offset));
    auto [client_end, front] = testing::NewMemoryPair(
        loop, LinkFor(FaultPlace::kFromClient, offset), LinkFor(FaultPlace::kToClient, offset));
    bridge->Serve(std::move(front));
    client =
        TlsPeer::Client(loop, std::move(client_end), client_config_, {"app.test", {protocol_}});
    client->Send(question);
    client->End();
    loop.RunReady();
    // Two of each of the four TLS streams, and two of the relay.
    EXPECT_LE(loop.buffers().lent_blocks(), 10u);
    if (waits_for_question && !servers.empty() &&
        servers.back()->received() == AtBackend(question.size())) {
      Answer();
      loop.RunReady();
    }
    Check();
    const bool well = observer.closed.size() == 1 && observer.closed[0].ok() &&
                      client->received() == AtClient(answer.size());
    client.reset();
    servers.clear();
    return well;
  }

  void Answer() {
    servers.back()->Send(answer);
    servers.back()->End();
  }

  void Check() {
    // The bridge waits for silent peers, and for peers that don't close after a fault; for nothing
    // else.
    if (observer.closed.empty()) loop.RunFor(absl::Seconds(30));
    if (observer.closed.empty() && fault_ == Fault::kStall) loop.RunFor(absl::Minutes(10));
    ASSERT_EQ(observer.closed.size(), 1u);
    EXPECT_LE(observer.established.size(), 1u);
    EXPECT_EQ(bridge->open_connections(), 0u);
    const ConnectionReport& report = observer.closed[0];
    const std::string at_backend = servers.empty() ? "" : servers.back()->received();
    const std::string at_client = client->received();
    const std::string whole_question = AtBackend(question.size());
    const std::string whole_answer = AtClient(answer.size());
    EXPECT_TRUE(absl::StartsWith(whole_question, at_backend)) << at_backend;
    EXPECT_TRUE(absl::StartsWith(whole_answer, at_client)) << at_client;
    // The bytes that the broken leg delivered reach the other leg.
    if (place_ <= FaultPlace::kToClient) {
      EXPECT_EQ(at_backend, AtBackend(report.front.bytes_read));
    } else {
      EXPECT_EQ(at_client, AtClient(report.back.bytes_read));
    }
    if (report.ok()) {
      // A client may leave without marking its end after it has everything. Its upload remains
      // truncated.
      const bool cut = report.front.left_unmarked;
      EXPECT_EQ(at_backend, cut ? AtBackend(report.front.bytes_read) : whole_question);
      if (cut && !servers.empty()) EXPECT_FALSE(servers.back()->saw_end());
      // Or before it sent anything.
      const bool unused = cut && report.front.bytes_read == 0 && at_client.empty();
      if (!unused) EXPECT_EQ(at_client, whole_answer);
    } else {
      EXPECT_TRUE(report.error.has_value()) << ErrorText(report.error);
    }
  }

  const FaultPlace place_;
  const Fault fault_;
  const std::string protocol_;
  std::shared_ptr<const ServerTlsConfig> front_config_;
  std::shared_ptr<const ClientTlsConfig> back_config_;
  std::shared_ptr<const ServerTlsConfig> server_config_;
  std::shared_ptr<const ClientTlsConfig> client_config_;
};

}  // namespace trestle

#endif  // TRESTLE_TESTS_PROXY_BRIDGE_FAULTS_H_
