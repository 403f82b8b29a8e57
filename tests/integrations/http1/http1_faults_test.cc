// Two requests and their responses through a bridge that reads HTTP/1.1, with a fault at every
// byte. The inspector runs alone and in a chain.
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "integrations/capture/capture_inspector.h"
#include "integrations/http1/http1_inspector.h"
#include "tests/proxy/bridge_faults.h"
#include "trestle/io/inspector_chain.h"
#include "trestle/io/pattern_blocker.h"
#include "trestle/io/relay.h"

namespace trestle {
namespace {

using Parameters = std::tuple<FaultPlace, Fault, bool /*chain*/>;

// The bytes of the client, and the part of them that a backend receives.
struct Passed {
  std::string to_backend;
  std::string to_client;
};

class Http1FaultsTest : public BridgeFaults, public ::testing::WithParamInterface<Parameters> {
 protected:
  Http1FaultsTest()
      : BridgeFaults(std::get<0>(GetParam()), std::get<1>(GetParam()), TlsVersion::kTls13,
                     "http/1.1") {
    question =
        "POST /form HTTP/1.1\r\nHost: app.test\r\nContent-Length: 9\r\n\r\nname=x%20"
        "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
    answer =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n"
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecond";
    waits_for_question = true;
    TlsBridgeOptions options = FaultOptions();
    options.new_inspector = NewFactory();
    bridge = *Make(std::move(options));
    oracle_ = NewFactory();
  }

  InspectorFactory NewFactory() {
    Http1Options http;
    // The substitute for the bridge in `Pass` has no addresses.
    http.forwarding.x_forwarded = false;
    http.forwarding.forwarded = false;
    InspectorFactory http1 = *NewHttp1InspectorFactory(loop, std::move(http));
    if (!std::get<2>(GetParam())) return http1;
    auto patterns = std::make_shared<PatternBlockerOptions>();
    // The exchange contains many beginnings of these patterns.
    patterns->patterns = {"HTTP/1.1 404", "T / HTTP/2"};
    patterns->to_client = true;
    return [this, http1 = std::move(http1), patterns = std::move(patterns)](
               const ConnectionReport& report) mutable -> std::unique_ptr<Inspector> {
      std::vector<std::unique_ptr<Inspector>> chain;
      chain.push_back(std::make_unique<CaptureInspector>(loop, nullptr));
      chain.push_back(http1(report));
      chain.push_back(std::make_unique<PatternBlocker>(patterns));
      return std::make_unique<InspectorChain>(std::move(chain));
    };
  }

  // Returns the output of the same inspectors over legs without faults, for a beginning of the
  // request and of the response.
  const Passed& Pass(uint64_t question_bytes, uint64_t answer_bytes) {
    const auto [known, is_new] = passed_.try_emplace({question_bytes, answer_bytes});
    if (!is_new) return known->second;
    ConnectionReport report;
    report.server_name = "app.test";
    TlsInfo tls;
    tls.alpn = "http/1.1";
    report.front.tls = std::make_shared<const TlsInfo>(std::move(tls));
    const std::unique_ptr<Inspector> inspector = oracle_(report);
    auto [client_end, front] = testing::NewMemoryPair(loop);
    auto [back, backend_end] = testing::NewMemoryPair(loop);
    Relay relay(loop, *front, *back, inspector.get(), RelayOptions());
    relay.Start([](absl::Status) {});
    StreamPeer asking(loop, std::move(client_end));
    StreamPeer answering(loop, std::move(backend_end));
    asking.Send(question.substr(0, question_bytes));
    loop.RunReady();
    answering.Send(answer.substr(0, answer_bytes));
    loop.RunReady();
    known->second = {answering.received(), asking.received()};
    return known->second;
  }

  std::string AtBackend(uint64_t bytes) override { return Pass(bytes, 0).to_backend; }
  std::string AtClient(uint64_t bytes) override { return Pass(question.size(), bytes).to_client; }

 private:
  InspectorFactory oracle_;
  std::map<std::pair<uint64_t, uint64_t>, Passed> passed_;
};

TEST_P(Http1FaultsTest, AFaultAtEveryOffsetIsHandled) {
  // Otherwise nothing was read as HTTP.
  ASSERT_EQ(AtBackend(20), "");
  ASSERT_GT(AtBackend(question.size()).size(), 100u);
  ASSERT_EQ(AtClient(answer.size()), answer);
  TryEveryOffset();
}

std::string ParametersName(const ::testing::TestParamInfo<Parameters>& info) {
  const auto& [place, fault, chain] = info.param;
  return absl::StrCat(NameOf(place), NameOf(fault), chain ? "Chain" : "Alone");
}

INSTANTIATE_TEST_SUITE_P(
    Everywhere, Http1FaultsTest,
    ::testing::Combine(::testing::Values(FaultPlace::kFromClient, FaultPlace::kToClient,
                                         FaultPlace::kToBackend, FaultPlace::kFromBackend),
                       ::testing::Values(Fault::kReset, Fault::kStall), ::testing::Bool()),
    ParametersName);
INSTANTIATE_TEST_SUITE_P(FromPeers, Http1FaultsTest,
                         ::testing::Combine(::testing::Values(FaultPlace::kFromClient,
                                                              FaultPlace::kFromBackend),
                                            ::testing::Values(Fault::kEnd), ::testing::Bool()),
                         ParametersName);

}  // namespace
}  // namespace trestle
