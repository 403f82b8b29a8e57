// TLS without a proxy: engines and streams that are no leg of one, and the end of a failed stream.
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_stream_fixture.h"
#include "trestle/io/stream_closer.h"
#include "trestle/tls/tls_stream.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class TlsAloneTest : public TlsStreamFixture {
 protected:
  // As `Connect`, but neither side is a leg.
  void ConnectAlone(const std::string& name, const MemoryLink& to_client = {}) {
    auto [client_end, server_end] = NewMemoryPair(loop_, {}, to_client);
    client_raw_ = client_end.get();
    auto client = TlsEngine::NewClient(MakeClientConfig(), {name, {}}, loop_);
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = std::make_unique<TlsStream>(*std::move(client), std::move(client_end), loop_);
    server_ = std::make_unique<TlsStream>(TlsEngine::NewServer(MakeServerConfig({}), loop_),
                                          std::move(server_end), loop_);
    StartHandshakes();
    loop_.RunUntilIdle();
    ASSERT_TRUE(client_done_.has_value());
  }

  static void ExpectNoLeg(const absl::Status& status, ErrorCode code) {
    ASSERT_EQ(CodeOf(status), code) << status;
    EXPECT_FALSE(GetError(status)->leg.has_value());
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr(" leg")));
  }

  Transport* client_raw_ = nullptr;
};

TEST_F(TlsAloneTest, AFailedHandshakeNamesNoLeg) {
  ConnectAlone("other.test");
  ExpectNoLeg(*client_done_, ErrorCode::kNameMismatch);
  ExpectNoLeg(*server_done_, ErrorCode::kPeerAlert);
  EXPECT_THAT(std::string(client_done_->message()), StartsWith("handshake: name_mismatch"));
}

TEST_F(TlsAloneTest, ATruncatedStreamNamesNoLeg) {
  ConnectAlone("a.test");
  ASSERT_TRUE(client_done_->ok()) << *client_done_;
  ASSERT_EQ(client_raw_->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  loop_.RunUntilIdle();
  EXPECT_EQ(Read(*server_).state, IoState::kFailed);
  ExpectNoLeg(server_->status(), ErrorCode::kTruncated);
}

TEST_F(TlsAloneTest, AFailureBelowNamesNoLeg) {
  ConnectAlone("a.test");
  ASSERT_TRUE(client_done_->ok()) << *client_done_;
  client_->Abort();
  ExpectNoLeg(client_->status(), ErrorCode::kCancelled);
  loop_.RunUntilIdle();
  EXPECT_EQ(Read(*server_).state, IoState::kFailed);
  ExpectNoLeg(server_->status(), ErrorCode::kTruncated);
}

TEST_F(TlsAloneTest, ATargetWithoutANameNamesNoLeg) {
  const auto client = TlsEngine::NewClient(MakeClientConfig(), {"", {}}, loop_);
  ExpectNoLeg(client.status(), ErrorCode::kConfiguration);
}

TEST_F(TlsAloneTest, AnEngineKnowsWhetherItIsALeg) {
  EXPECT_FALSE(TlsEngine::NewServer(MakeServerConfig({}), loop_)->leg().has_value());
  EXPECT_EQ(TlsEngine::NewServer(MakeServerConfig({}), loop_, Leg::kBack)->leg(), Leg::kBack);
}

// The server has bytes that it won't read: to destroy its stream now would be a reset.
TEST_F(TlsAloneTest, ACloserGetsTheLastAlertOut) {
  MemoryLink slow;
  slow.latency = absl::Milliseconds(100);
  auto [client_end, server_end] = NewMemoryPair(loop_, {}, slow);
  ASSERT_EQ(
      client_end->Write(AsBytes(std::string("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10))).bytes,
      10u);
  server_ = std::make_unique<TlsStream>(TlsEngine::NewServer(MakeServerConfig({}), loop_),
                                        std::move(server_end), loop_);
  std::unique_ptr<StreamCloser> closer;
  server_->Handshake([&](absl::Status status) {
    server_done_ = std::move(status);
    closer = std::make_unique<StreamCloser>(loop_, std::move(server_));
    EXPECT_FALSE(closer->Start([&] { closer.reset(); }));
  });
  loop_.RunFor(absl::Milliseconds(50));
  ASSERT_TRUE(server_done_.has_value());
  ExpectNoLeg(*server_done_, ErrorCode::kMalformedHello);
  // More of the client, after the failure.
  ASSERT_EQ(client_end->Write(AsBytes("further bytes")).bytes, 13u);
  loop_.RunFor(absl::Milliseconds(100));
  uint8_t alert[16];
  const IoResult got = client_end->Read(absl::MakeSpan(alert));
  ASSERT_EQ(got.bytes, 7u);
  EXPECT_EQ(alert[0], 21);  // A record of type alert (RFC 8446 5.1), level fatal.
  EXPECT_EQ(alert[5], 2);
  EXPECT_EQ(alert[6], AlertOf(*server_done_));
  EXPECT_EQ(client_end->Read(absl::MakeSpan(alert)).state, IoState::kEndOfStream);
  ASSERT_EQ(client_end->ShutdownWrite(StreamEnd::kClean).state, IoState::kOk);
  loop_.RunFor(absl::Milliseconds(50));
  EXPECT_EQ(closer, nullptr);
}

}  // namespace
}  // namespace trestle::testing
