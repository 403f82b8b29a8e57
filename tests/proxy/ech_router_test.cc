// A router in split mode (RFC 9849): the bytes of clients and those that backends receive.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/ech_router_fixture.h"
#include "trestle/base/error.h"
#include "trestle/pki/sha256.h"
#include "trestle/proxy/unconfirmed_backends.h"
#include "trestle/wire/hello_fingerprint.h"
#include "trestle/wire/proxy_protocol.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A ServerHello message; with this random, it is a HelloRetryRequest.
std::string ServerHello(absl::string_view random) {
  const std::string body = absl::StrCat("\x03\x03", random, std::string(8, '\0'));
  return absl::StrCat(std::string("\x02\x00\x00", 3),
                      std::string(1, static_cast<char>(body.size())), body);
}
std::string RetryRequest() {
  std::string random;
  EXPECT_TRUE(absl::HexStringToBytes(
      "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c", &random));
  return ServerHello(random);
}
std::string OtherServerHello() { return ServerHello(std::string(32, 'r')); }

std::string Alert(uint8_t description) {
  return InRecord(21, std::string({'\x02', static_cast<char>(description)}), 0x0303);
}

TEST_F(EchRouterTest, TheBackendGetsTheInnerHello) {
  Connect();
  Send(Sealed(InnerHelloFor(kHidden)));
  EXPECT_EQ(Backend().received(), Delivered(InnerHelloFor(kHidden)));
  EXPECT_TRUE(public_.peers.empty());
  ASSERT_EQ(observer_.established.size(), 1u);
  const ConnectionReport& report = observer_.established[0];
  EXPECT_EQ(report.server_name, kHidden);
  EXPECT_TRUE(report.server_name_hidden);
  EXPECT_EQ(report.route, kHidden);
  EXPECT_EQ(report.hello->ech, EchVerdict::kOpened);
  EXPECT_THAT(report.hello->alpn, ElementsAre("h2", "http/1.1"));
}

TEST_F(EchRouterTest, ProtocolsAndFingerprintAreThoseOfTheInnerHello) {
  HelloBuilder inner = InnerHelloFor(kHidden).SetAlpn({"inner/1"});
  Route route{kHidden, hidden_.endpoint};
  route.alpn = "inner/1";
  options_.routes = *RouteTable::Create({route});
  options_.ja4_sha256 = Sha256;
  Connect();
  Send(Sealed(inner));
  EXPECT_EQ(Backend().received(), Delivered(inner));
  const HelloReport& report = *observer_.established.at(0).hello;
  EXPECT_THAT(report.alpn, ElementsAre("inner/1"));
  const std::string message = inner.Message();
  ClientHello hello;
  ASSERT_TRUE(ParseClientHello(AsBytes(message), {}, hello).ok());
  EXPECT_EQ(report.ja4, Ja4(hello, Sha256));
}

TEST_F(EchRouterTest, TheProxyHeaderHasTheInnerName) {
  options_.connection.proxy_protocol_to_backend = ProxyProtocolOut::kV2;
  Connect();
  Send(Sealed(InnerHelloFor(kHidden)));
  ProxyHeaderReader reader;
  const auto taken = reader.Feed(AsBytes(Backend().received()));
  ASSERT_EQ(taken.state, ProxyHeaderState::kDone)
      << (observer_.closed.empty() ? "open" : ErrorText(observer_.closed[0].error));
  EXPECT_EQ(reader.TakeHeader().authority, kHidden);
  EXPECT_EQ(Backend().received().substr(taken.taken), Delivered(InnerHelloFor(kHidden)));
}

TEST_F(EchRouterTest, TheOuterHelloMayBeSplitAnywhere) {
  const std::string message =
      forge_.Seal(OuterHello(), EchForge::Encode(InnerHelloFor(kHidden), 50));
  SplitPlan plan;
  plan.every_record_cut = false;
  plan.every_segment_cut = false;
  StartRouter();
  ForEachSplit(message, plan, [&](const Flight& flight) {
    if (flight.records > HelloLimits().records) return;
    hidden_.peers.clear();
    Connect();
    for (const std::string& segment : flight.segments) Send(segment);
    ASSERT_EQ(hidden_.peers.size(), 1u) << flight.label;
    ASSERT_EQ(Backend().received(), Delivered(InnerHelloFor(kHidden))) << flight.label;
  });
}

TEST_F(EchRouterTest, EarlyDataFollowsUnchanged) {
  const std::string early =
      absl::StrCat(kChangeCipherSpec, InRecord(23, std::string(3000, 'e'), 0x0303),
                   InRecord(23, "more", 0x0303));
  Connect();
  Send(Sealed(InnerHelloFor(kHidden)) + early.substr(0, 2000));
  Send(early.substr(2000));
  EXPECT_EQ(Backend().received(), Delivered(InnerHelloFor(kHidden)) + early);
}

TEST_F(EchRouterTest, AnOpenedHelloAvoidsUnconfirmedBackends) {
  const auto unconfirmed = std::make_shared<UnconfirmedBackends>();
  options_.unconfirmed = unconfirmed;
  TestBackend second(loop_, dialer_, 3);
  const Backends both{hidden_.endpoint, second.endpoint};
  options_.routes = *RouteTable::Create({{kHidden, both}});
  unconfirmed->Set(hidden_.endpoint, true);
  const std::string opened = Sealed(InnerHelloFor(kHidden));
  for (int i = 1; i <= 4; ++i) {
    Connect();
    Send(opened);
    EXPECT_EQ(second.peers.size(), static_cast<size_t>(i));
  }
  // A hello in clear takes both in turn.
  for (int i = 0; i < 4; ++i) {
    Connect();
    Send(InRecords(PostQuantumHello(kHidden).Message()));
  }
  EXPECT_FALSE(hidden_.peers.empty());
  const size_t in_clear = hidden_.peers.size();
  unconfirmed->Set(hidden_.endpoint, false);
  for (int i = 0; i < 4; ++i) {
    Connect();
    Send(opened);
  }
  EXPECT_GT(hidden_.peers.size(), in_clear);
}

TEST_F(EchRouterTest, ARouteWithUnconfirmedBackendsOnlyIsRefusedToHiddenNames) {
  const auto unconfirmed = std::make_shared<UnconfirmedBackends>();
  options_.unconfirmed = unconfirmed;
  unconfirmed->Set(hidden_.endpoint, true);
  const std::string opened = Sealed(InnerHelloFor(kHidden));
  Connect();
  Send(opened);
  client_->End();
  loop_.RunReady();
  EXPECT_TRUE(hidden_.peers.empty());
  ASSERT_EQ(observer_.closed.size(), 1u);
  EXPECT_EQ(observer_.closed[0].error->code, ErrorCode::kNoBackend);
  EXPECT_THAT(ErrorText(observer_.closed[0].error), HasSubstr("confirms inner hellos"));
  // A replaced route forgets the others.
  unconfirmed->Retain({public_.endpoint});
  EXPECT_FALSE(unconfirmed->Contains(hidden_.endpoint));
  Connect();
  Send(opened);
  EXPECT_EQ(Backend().received(), Delivered(InnerHelloFor(kHidden)));
}

TEST_F(EchRouterTest, AHelloThatCannotBeOpenedIsRoutedByTheOuterName) {
  const std::string first = Sealed(InnerHelloFor(kHidden));
  struct Row {
    std::string flight;
    EchVerdict verdict;
  };
  const std::vector<Row> rows = {
      {SealedSecond(InnerHelloFor(kHidden)), EchVerdict::kNotDecrypted},
      {InRecords(PostQuantumHello(kPublic).AddEchOuter(9, 200).Message()), EchVerdict::kNoKey},
      {InRecords(PostQuantumHello(kPublic).Message()), EchVerdict::kNotOffered},
  };
  for (const Row& row : rows) {
    observer_.established.clear();
    public_.peers.clear();
    Connect();
    Send(row.flight + std::string(kChangeCipherSpec));
    ASSERT_EQ(public_.peers.size(), 1u);
    EXPECT_EQ(public_.peers[0]->received(), row.flight + std::string(kChangeCipherSpec));
    const ConnectionReport& report = observer_.established.at(0);
    EXPECT_FALSE(report.server_name_hidden);
    EXPECT_EQ(EnumName(report.hello->ech), EnumName(row.verdict));
  }
  EXPECT_TRUE(hidden_.peers.empty());
}

TEST_F(EchRouterTest, AHiddenNameWithoutRouteGetsTheAlertOnly) {
  Connect();
  Send(Sealed(InnerHelloFor("other.test")));
  EXPECT_EQ(client_->received(), Alert(112));
  EXPECT_EQ(dialer_.dials(), 0u);
  client_->End();
  loop_.RunReady();
  EXPECT_EQ(observer_.error()->code, ErrorCode::kNoRoute);
  EXPECT_EQ(observer_.error()->detail, "no route for \"(ech)\"");
}

TEST_F(EchRouterTest, AViolationCausesItsAlert) {
  Connect();
  Send(InRecords(forge_.Seal(OuterHello(), EchForge::Encode(InnerHelloFor(kHidden)) + "\x01")));
  EXPECT_EQ(client_->received(), Alert(47));
  EXPECT_EQ(dialer_.dials(), 0u);
  client_->End();
  loop_.RunReady();
  ASSERT_TRUE(observer_.error().has_value());
  EXPECT_EQ(observer_.error()->code, ErrorCode::kMalformedHello);
  EXPECT_THAT(observer_.error()->detail, HasSubstr("padding"));
  EXPECT_EQ(observer_.closed[0].hello->ech, EchVerdict::kMalformed);
}

TEST_F(EchRouterTest, AnUnknownTypeOfTheExtensionGetsItsAlert) {
  Connect();
  Send(InRecords(OuterHello().Replace(kExtensionEncryptedClientHello, "\x02").Message()));
  EXPECT_EQ(client_->received(), Alert(47));
  EXPECT_EQ(dialer_.dials(), 0u);
}

TEST_F(EchRouterTest, TheSecondHelloIsAlsoOpened) {
  for (const size_t chunk : {0, 1, 7}) {
    SCOPED_TRACE(chunk);
    EchForge forge(pair_);
    hidden_.peers.clear();
    MemoryLink link;
    link.chunk_bytes = chunk;
    Connect(link);
    Send(InRecords(forge.Seal(OuterHello(), EchForge::Encode(InnerHelloFor(kHidden)))));
    const std::string answer = InRecords(RetryRequest()) + std::string(kChangeCipherSpec);
    Backend().Send(answer);
    loop_.RunReady();
    EXPECT_EQ(client_->received(), answer);
    forge.send_key = false;
    const HelloBuilder again = InnerHelloFor(kHidden).Add(44, "cookie");
    const std::string second = forge.Seal(OuterHello(), EchForge::Encode(again));
    const std::string finished = InRecord(23, "finished", 0x0303);
    Send(absl::StrCat(kChangeCipherSpec, InRecords(second, {100, 900}), finished));
    EXPECT_EQ(Backend().received(), absl::StrCat(Delivered(InnerHelloFor(kHidden)),
                                                 kChangeCipherSpec, Delivered(again), finished));
    Backend().Send(InRecords(OtherServerHello()));
    loop_.RunReady();
    EXPECT_EQ(client_->received(), answer + InRecords(OtherServerHello()));
  }
}

TEST_F(EchRouterTest, EarlyDataBeforeTheSecondHelloIsPassedOn) {
  const std::string early = InRecord(23, std::string(100, 'e'), 0x0303);
  Connect();
  Send(Sealed(InnerHelloFor(kHidden)) + early.substr(0, 50));
  // One byte per record.
  std::vector<size_t> cuts;
  for (size_t at = 1; at < RetryRequest().size(); ++at) cuts.push_back(at);
  Backend().Send(InRecords(RetryRequest(), cuts));
  loop_.RunReady();
  Send(early.substr(50) + SealedSecond(InnerHelloFor(kHidden)));
  EXPECT_EQ(Backend().received(), absl::StrCat(Delivered(InnerHelloFor(kHidden)), early,
                                               Delivered(InnerHelloFor(kHidden))));
}

TEST_F(EchRouterTest, AfterAServerHelloNothingIsInspected) {
  Connect();
  Send(Sealed(InnerHelloFor(kHidden)));
  Backend().Send(InRecords(OtherServerHello()));
  loop_.RunReady();
  const std::string unlikely = InRecords(OuterHello().Message());
  Send(unlikely);
  EXPECT_EQ(Backend().received(), Delivered(InnerHelloFor(kHidden)) + unlikely);
}

class BadSecondHelloTest : public EchRouterTest {
 protected:
  void SendFirst() {
    Connect();
    Send(Sealed(InnerHelloFor(kHidden)));
    Backend().Send(InRecords(RetryRequest()));
    loop_.RunReady();
  }

  void ExpectFailure(ErrorCode code, const std::string& told, const char* detail) {
    loop_.RunFor(absl::Minutes(10));
    EXPECT_EQ(client_->received(), told);
    ASSERT_EQ(observer_.closed.size(), 1u);
    ASSERT_TRUE(observer_.error().has_value());
    EXPECT_EQ(observer_.error()->code, code);
    EXPECT_EQ(observer_.error()->leg, Leg::kFront);
    EXPECT_THAT(observer_.error()->detail, HasSubstr(detail));
    EXPECT_EQ(Backend().received(), Delivered(InnerHelloFor(kHidden)));
    EXPECT_FALSE(Backend().saw_end()) << "the stream must not look complete";
    EXPECT_FALSE(Backend().failure().ok());
  }
};

TEST_F(BadSecondHelloTest, WithAnotherNameIsRejected) {
  SendFirst();
  Send(SealedSecond(InnerHelloFor("other.test")));
  ExpectFailure(ErrorCode::kMalformedHello, InRecords(RetryRequest()) + Alert(47),
                "another server name");
}

TEST_F(BadSecondHelloTest, InClearTextIsRejected) {
  SendFirst();
  Send(InRecords(PostQuantumHello(kHidden).Message()));
  ExpectFailure(ErrorCode::kMalformedHello, InRecords(RetryRequest()) + Alert(109),
                "not encrypted");
}

TEST_F(BadSecondHelloTest, AnotherMessageIsRejected) {
  SendFirst();
  Send(InRecord(22, std::string("\x0b\0\0\0", 4)));
  ExpectFailure(ErrorCode::kMalformedHello, InRecords(RetryRequest()) + Alert(10), "type 11");
}

TEST_F(BadSecondHelloTest, WithoutARetryIsRejected) {
  Connect();
  Send(Sealed(InnerHelloFor(kHidden)) + SealedSecond(InnerHelloFor(kHidden)));
  ExpectFailure(ErrorCode::kMalformedHello, Alert(10), "without a HelloRetryRequest");
}

TEST_F(BadSecondHelloTest, WithinAServersRecordGetsNoAlert) {
  Connect();
  Send(Sealed(InnerHelloFor(kHidden)));
  const std::string part = InRecords(RetryRequest() + "more").substr(0, 50);
  Backend().Send(part);
  loop_.RunReady();
  Send(InRecords(PostQuantumHello(kHidden).Message()));
  ExpectFailure(ErrorCode::kMalformedHello, part, "not encrypted");
}

TEST_F(BadSecondHelloTest, AfterTheServersEndGetsNoAlert) {
  SendFirst();
  Backend().End();
  loop_.RunReady();
  Send(InRecords(PostQuantumHello(kHidden).Message()));
  loop_.RunFor(absl::Minutes(10));
  EXPECT_EQ(client_->received(), InRecords(RetryRequest()));
  EXPECT_EQ(observer_.error()->code, ErrorCode::kMalformedHello);
}

TEST_F(BadSecondHelloTest, TruncatedIsAFailure) {
  SendFirst();
  Send(SealedSecond(InnerHelloFor(kHidden)).substr(0, 300));
  client_->End();
  ExpectFailure(ErrorCode::kTruncated, InRecords(RetryRequest()), "within its second hello");
}

TEST_F(BadSecondHelloTest, WithoutAnEndReachesTheTimeout) {
  SendFirst();
  Send(SealedSecond(InnerHelloFor(kHidden)).substr(0, 300));
  loop_.RunFor(absl::Minutes(6));
  EXPECT_EQ(observer_.error()->code, ErrorCode::kTimeout);
}

}  // namespace
}  // namespace trestle::testing
