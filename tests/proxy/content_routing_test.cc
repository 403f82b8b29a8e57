// Backends selected by the client's first bytes, with a bridge and with a terminator.
#include "trestle/proxy/content_routing.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/tls_fixture.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/proxy/tls_terminator.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using testing::MemoryDialer;
using testing::SimulatedLoop;
using testing::TestPki;

using Targets = std::map<std::string, std::shared_ptr<const ContentTarget>, std::less<>>;

/// The first line names the target.
class LineReader final : public ContentReader {
 public:
  explicit LineReader(const Targets& targets) : targets_(targets) {}

  ContentAnswer Read(ByteView bytes, bool) override {
    const absl::string_view text = AsText(bytes);
    const size_t end = text.find('\n');
    if (end == absl::string_view::npos) return ContentAnswer::ReadMore();
    if (absl::StartsWith(text, "evil")) return ContentAnswer::Refuse("evil", "never");
    const auto found = targets_.find(text.substr(0, end));
    if (found == targets_.end()) return ContentAnswer::NoRoute("unknown line", "unknown");
    return ContentAnswer::Go(found->second);
  }

 private:
  const Targets& targets_;
};

class ContentRoutingTest : public ::testing::Test {
 protected:
  ContentRoutingTest() : one(loop, dialer, 1), two(loop, dialer, 2) {
    Serve(one, "one.test", at_one);
    Serve(two, "two.test", at_two);
    AddTarget("one", one.endpoint, "one.test");
    AddTarget("two", two.endpoint, "two.test");
    AddTarget("wrong", two.endpoint, "one.test");
  }

  void Serve(TestBackend& backend, const std::string& name,
             std::vector<std::unique_ptr<TlsPeer>>& peers) {
    auto config = ServerFor(pki, loop.Now(), {{name}});
    backend.on_accept = [this, config, &peers](std::unique_ptr<Transport> raw) {
      peers.push_back(TlsPeer::Server(loop, std::move(raw), config));
    };
  }

  void AddTarget(const std::string& line, const Endpoint& endpoint, const std::string& name) {
    targets[line] = std::make_shared<const ContentTarget>(
        ContentTarget{Backends(endpoint), name, "route " + line});
  }

  ContentRouting Routing() {
    ContentRouting routing;
    routing.new_reader = [this](const ConnectionReport& report) -> std::unique_ptr<ContentReader> {
      EXPECT_EQ(report.server_name, "app.test");
      if (!read_content) return nullptr;
      return std::make_unique<LineReader>(targets);
    };
    routing.max_bytes = 100;
    return routing;
  }

  TlsBridgeOptions BridgeOptions() {
    TlsBridgeOptions options;
    options.front_tls = ServerFor(pki, loop.Now(), {{"app.test"}});
    options.back_tls = ClientOf(pki);
    options.backend_name = "default.test";
    options.content = Routing();
    return options;
  }

  TlsPeer& Connect() {
    if (bridge == nullptr) {
      bridge = *TlsBridge::Create(loop, dialer, BridgeOptions(), &observer);
    }
    client = TlsPeer::Client(loop, ConnectTo(*bridge, loop), ClientOf(pki), {"app.test", {}});
    loop.RunReady();
    return *client;
  }

  void ExpectEnd(ErrorCode code, const std::string& detail) {
    loop.RunFor(absl::Seconds(20));
    ASSERT_TRUE(observer.error().has_value());
    EXPECT_EQ(observer.error()->code, code);
    EXPECT_EQ(observer.error()->leg, Leg::kFront);
    EXPECT_EQ(observer.error()->phase, Phase::kRoute);
    EXPECT_THAT(observer.error()->detail, HasSubstr(detail));
    EXPECT_EQ(dialer.dials(), 0u);
    EXPECT_EQ(bridge->open_connections(), 0u);
  }

  SimulatedLoop loop;
  MemoryDialer dialer{loop};
  TestPki pki{loop.Now()};
  TestBackend one;
  TestBackend two;
  std::vector<std::unique_ptr<TlsPeer>> at_one;
  std::vector<std::unique_ptr<TlsPeer>> at_two;
  Targets targets;
  bool read_content = true;
  RecordingObserver observer;
  std::unique_ptr<TlsBridge> bridge;
  std::unique_ptr<TlsPeer> client;
};

TEST_F(ContentRoutingTest, TheChosenBackendGetsEveryByteAndIsVerified) {
  Connect().Send("two\nand more");
  loop.RunReady();
  ASSERT_EQ(at_two.size(), 1u);
  EXPECT_EQ(at_two[0]->received(), "two\nand more");
  EXPECT_EQ(at_two[0]->info().server_name, "two.test");
  EXPECT_EQ(at_one.size(), 0u);
  at_two[0]->Send("answer");
  loop.RunReady();
  EXPECT_EQ(client->received(), "answer");
  ASSERT_EQ(observer.established.size(), 1u);
  EXPECT_EQ(observer.established[0].route, "route two");
}

TEST_F(ContentRoutingTest, AReaderMayChooseBeforeAnyByte) {
  class Chosen final : public ContentReader {
   public:
    explicit Chosen(std::shared_ptr<const ContentTarget> target) : target_(std::move(target)) {}
    ContentAnswer Read(ByteView bytes, bool) override {
      EXPECT_TRUE(bytes.empty());
      return ContentAnswer::Go(target_);
    }

   private:
    const std::shared_ptr<const ContentTarget> target_;
  };
  TlsBridgeOptions options = BridgeOptions();
  options.content.new_reader = [this](const ConnectionReport&) {
    return std::make_unique<Chosen>(targets["one"]);
  };
  bridge = *TlsBridge::Create(loop, dialer, std::move(options), &observer);
  Connect();
  ASSERT_EQ(at_one.size(), 1u);
  at_one[0]->Send("the server speaks first");
  loop.RunReady();
  EXPECT_EQ(client->received(), "the server speaks first");
}

TEST_F(ContentRoutingTest, TheLineMayArriveByteByByte) {
  Connect();
  for (const char byte : std::string("one\n")) {
    EXPECT_EQ(dialer.dials(), 0u);
    client->Send(std::string(1, byte));
    loop.RunReady();
  }
  ASSERT_EQ(at_one.size(), 1u);
  EXPECT_EQ(at_one[0]->received(), "one\n");
}

TEST_F(ContentRoutingTest, ABackendWithoutTheChosenNameIsNotTrusted) {
  Connect().Send("wrong\n");
  loop.RunFor(absl::Seconds(20));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kNameMismatch);
  EXPECT_EQ(observer.error()->leg, Leg::kBack);
}

TEST_F(ContentRoutingTest, NoRouteIsReportedToTheClient) {
  Connect().Send("three\n");
  loop.RunReady();
  EXPECT_EQ(client->received(), "unknown");
  EXPECT_TRUE(client->saw_end());
  client->End();
  ExpectEnd(ErrorCode::kNoRoute, "unknown line");
}

TEST_F(ContentRoutingTest, RejectedContentIsBlocked) {
  Connect().Send("evil\n");
  loop.RunReady();
  EXPECT_EQ(client->received(), "never");
  ExpectEnd(ErrorCode::kBlockedByInspector, "evil");
}

TEST_F(ContentRoutingTest, TheTimeLimitIsATotal) {
  Connect();
  for (int i = 0; i < 11; ++i) {
    client->Send("x");
    loop.RunFor(absl::Seconds(1));
  }
  ExpectEnd(ErrorCode::kTimeout, "not finished within 10s");
}

TEST_F(ContentRoutingTest, BytesAreBounded) {
  Connect().Send(std::string(101, 'x'));
  ExpectEnd(ErrorCode::kNoRoute, "the first 100 bytes don't select");
}

TEST_F(ContentRoutingTest, AnEndBeforeTheChoiceIsNoRoute) {
  Connect().Send("tw");
  client->End();
  ExpectEnd(ErrorCode::kNoRoute, "the client ended after 2 bytes");
}

TEST_F(ContentRoutingTest, WithoutAReaderTheOwnBackendIsUsed) {
  read_content = false;
  Connect();
  ExpectEnd(ErrorCode::kNoRoute, "no backend for connections whose content isn't read");
  observer.closed.clear();
  TlsBridgeOptions options = BridgeOptions();
  options.backend = one.endpoint;
  options.backend_name = "one.test";
  bridge = *TlsBridge::Create(loop, dialer, std::move(options), &observer);
  Connect().Send("anything");
  loop.RunReady();
  ASSERT_EQ(at_one.size(), 1u);
  EXPECT_EQ(at_one[0]->received(), "anything");
}

TEST_F(ContentRoutingTest, ATerminatorRoutesToo) {
  TestBackend plain(loop, dialer, 3);
  AddTarget("plain", plain.endpoint, "");
  TlsTerminatorOptions options;
  options.front_tls = ServerFor(pki, loop.Now(), {{"app.test"}});
  options.content = Routing();
  const auto terminator = *TlsTerminator::Create(loop, dialer, std::move(options), &observer);
  client = TlsPeer::Client(loop, ConnectTo(*terminator, loop), ClientOf(pki), {"app.test", {}});
  client->Send("plain\nclear");
  client->End();
  loop.RunReady();
  ASSERT_EQ(plain.peers.size(), 1u);
  EXPECT_EQ(plain.peers[0]->received(), "plain\nclear");
  EXPECT_TRUE(plain.peers[0]->saw_end());
}

TEST_F(ContentRoutingTest, AConnectionMayBeHandedOver) {
  TestBackend plain(loop, dialer, 3);
  TlsTerminatorOptions inner;
  inner.front_tls = ServerFor(pki, loop.Now(), {{"inner.test"}});
  inner.backend = plain.endpoint;
  const auto terminator = *TlsTerminator::Create(loop, dialer, std::move(inner), nullptr);
  targets["inner"] = std::make_shared<const ContentTarget>(
      ContentTarget{static_cast<ConnectionHandler*>(terminator.get()), "", "inner"});
  Connect().Send("inner\n");
  loop.RunReady();
  ASSERT_EQ(observer.closed.size(), 1u);
  EXPECT_TRUE(observer.closed[0].handed_over);
  EXPECT_EQ(terminator->open_connections(), 1u);
}

TEST_F(ContentRoutingTest, ATargetThatCannotBeDialedIsTheHostsFault) {
  for (const Backends& bad : {Backends(), Backends(*Endpoint::Parse("127.0.0.1:0")),
                              Backends(*Endpoint::Parse("0.0.0.0:1"))}) {
    observer.closed.clear();
    targets["bad"] = std::make_shared<const ContentTarget>(ContentTarget{bad, "", "bad"});
    Connect().Send("bad\n");
    loop.RunReady();
    client->End();
    loop.RunFor(absl::Seconds(10));
    ASSERT_EQ(observer.closed.size(), 1u);
    EXPECT_EQ(observer.closed[0].error->code, ErrorCode::kConfiguration);
  }
}

TEST_F(ContentRoutingTest, OptionsAreChecked) {
  const auto code = [&](TlsBridgeOptions options) {
    const auto made = TlsBridge::Create(loop, dialer, std::move(options), &observer);
    return made.ok() ? ErrorCode::kInternal : GetError(made.status())->code;
  };
  TlsBridgeOptions neither = BridgeOptions();
  neither.content.new_reader = nullptr;
  EXPECT_EQ(code(std::move(neither)), ErrorCode::kConfiguration);
  for (const char* nobody : {"127.0.0.1:0", "0.0.0.0:1", "[::]:1"}) {
    TlsBridgeOptions bridge_options = BridgeOptions();
    bridge_options.backend = *Endpoint::Parse(nobody);
    EXPECT_EQ(code(std::move(bridge_options)), ErrorCode::kConfiguration) << nobody;
    TlsTerminatorOptions terminator;
    terminator.front_tls = ServerFor(pki, loop.Now(), {{"app.test"}});
    terminator.backend = *Endpoint::Parse(nobody);
    const auto made = TlsTerminator::Create(loop, dialer, std::move(terminator), nullptr);
    ASSERT_FALSE(made.ok()) << nobody;
    EXPECT_EQ(GetError(made.status())->code, ErrorCode::kConfiguration) << nobody;
  }
  TlsBridgeOptions no_time = BridgeOptions();
  no_time.content.timeout = absl::InfiniteDuration();
  EXPECT_EQ(code(std::move(no_time)), ErrorCode::kConfiguration);
  TlsBridgeOptions no_bytes = BridgeOptions();
  no_bytes.content.max_bytes = 0;
  EXPECT_EQ(code(std::move(no_bytes)), ErrorCode::kConfiguration);
}

TEST_F(ContentRoutingTest, TheClientMayCloseAtAnyMoment) {
  for (size_t calls = 0; calls < 80; ++calls) {
    SCOPED_TRACE(calls);
    observer.closed.clear();
    bridge = *TlsBridge::Create(loop, dialer, BridgeOptions(), &observer);
    client = TlsPeer::Client(loop, ConnectTo(*bridge, loop), ClientOf(pki), {"app.test", {}});
    client->Send("two\n");
    loop.RunReady(calls);
    client.reset();
    at_two.clear();
    loop.RunFor(absl::Minutes(10));
    EXPECT_EQ(observer.closed.size(), 1u);
    EXPECT_EQ(bridge->open_connections(), 0u);
    EXPECT_EQ(loop.buffers().lent_blocks(), 0u);
  }
}

TEST_F(ContentRoutingTest, ABlockMayBeDestroyedWhileContentIsRead) {
  Connect().Send("tw");
  loop.RunReady();
  bridge.reset();
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace trestle
