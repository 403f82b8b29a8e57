// A router that opens encrypted hellos, with a backend for a hidden name and one for the public
// name.
#ifndef TRESTLE_TESTS_PROXY_ECH_ROUTER_FIXTURE_H_
#define TRESTLE_TESTS_PROXY_ECH_ROUTER_FIXTURE_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/tls/ech_forge.h"
#include "tests/tls/ech_pair.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/tls/ech_key_opener.h"
#include "trestle/tls/ech_keys.h"
#include "trestle/wire/client_hello.h"

namespace trestle::testing {

class EchRouterTest : public ::testing::Test {
 protected:
  static constexpr char kHidden[] = "hidden.test";
  static constexpr char kPublic[] = "public.test";
  static constexpr absl::string_view kChangeCipherSpec =
      absl::string_view("\x14\x03\x03\x00\x01\x01", 6);

  void StartRouter() {
    if (options_.routes == nullptr) {
      options_.routes =
          *RouteTable::Create({{kHidden, hidden_.endpoint}, {kPublic, public_.endpoint}});
    }
    options_.ech = *EchKeyOpener::Create(keys_);
    router_ = *SniPassthroughRouter::Create(loop_, dialer_, options_, &observer_);
  }

  /// Returns an outer hello for kPublic with `inner` in it, in one record.
  std::string Sealed(HelloBuilder inner) {
    return InRecords(forge_.Seal(OuterHello(), EchForge::Encode(inner)));
  }
  std::string SealedSecond(HelloBuilder inner) {
    forge_.send_key = false;
    return Sealed(inner);
  }

  /// Returns `inner` as a backend receives it: with the session id of the outer hello.
  static std::string Delivered(HelloBuilder inner) { return InRecords(inner.Message()); }

  StreamPeer& Connect(const MemoryLink& link = {}) {
    if (router_ == nullptr) StartRouter();
    client_.emplace(loop_, ConnectTo(*router_, loop_, link));
    return *client_;
  }

  void Send(absl::string_view bytes) {
    client_->Send(bytes);
    loop_.RunReady();
  }

  StreamPeer& Backend() {
    EXPECT_EQ(hidden_.peers.size(), 1u);
    return *hidden_.peers.at(0);
  }

  SimulatedLoop loop_;
  MemoryDialer dialer_{loop_};
  TestBackend hidden_{loop_, dialer_, 1};
  TestBackend public_{loop_, dialer_, 2};
  const EchPair pair_ = NewEchPair(0, kPublic);
  const std::shared_ptr<EchKeys> keys_ = *EchKeys::FromPem(pair_.pem());
  EchForge forge_{pair_};
  SniPassthroughRouterOptions options_;
  RecordingObserver observer_;
  std::unique_ptr<SniPassthroughRouter> router_;
  std::optional<StreamPeer> client_;
};

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_PROXY_ECH_ROUTER_FIXTURE_H_
