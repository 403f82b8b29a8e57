// Malicious records of a peer with keys: they decrypt well and have forbidden contents.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/record_sealer.h"
#include "tests/tls/tls_fixture.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint8_t kChangeCipherSpec = 20;
constexpr uint8_t kAlert = 21;
constexpr uint8_t kHandshake = 22;
constexpr uint8_t kApplicationData = 23;
constexpr int kWarning = 1;
constexpr int kFatal = 2;
constexpr int kUserCanceled = 90;
constexpr int kNoRenegotiation = 100;

std::string Bytes(std::initializer_list<int> values) {
  std::string bytes;
  for (int value : values) bytes.push_back(static_cast<char>(value));
  return bytes;
}

struct Scene {
  TlsVersion version;
  bool against_server;
};

class HostileRecordsTest : public TlsTest, public ::testing::WithParamInterface<Scene> {
 protected:
  HostileRecordsTest() {
    const bool tls12 = GetParam().version == TlsVersion::kTls12;
    SSL_CTX_set_max_proto_version(context_.get(), tls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
    if (!GetParam().against_server) UsePem(context_.get(), pki_.Issue(LeafFor("a.test")));
  }

  bool is_tls13() const { return GetParam().version == TlsVersion::kTls13; }

  // Makes a new handshake; from then on `sealer_` sends to `engine_`.
  void Join() {
    engine_ = GetParam().against_server
                  ? TlsEngine::NewServer(server_config_, loop_, Leg::kFront)
                  : *TlsEngine::NewClient(client_config_, {"a.test", {}}, loop_, Leg::kBack);
    peer_ = std::make_unique<RawPeer>(context_.get(), !GetParam().against_server);
    peer_->Handshake(*engine_);
    ASSERT_TRUE(engine_->handshake_done()) << engine_->status();
    engine_->QueueTickets();
    peer_->Carry(*engine_);
    EXPECT_EQ(ReadAll(*engine_), "");
    sealer_ = std::make_unique<RecordSealer>(peer_->ssl());
  }

  // Returns the result of the engine's reader for one more record.
  IoState Get(uint8_t type, absl::string_view body) {
    engine_->received().Append(AsBytes(sealer_->Seal(type, body)));
    IoState end = IoState::kOk;
    ReadAll(*engine_, &end);
    return end;
  }

  std::string Detail() const {
    std::optional<Error> error = GetError(engine_->status());
    return error.has_value() ? error->detail : "no Error";
  }

  bssl::UniquePtr<SSL_CTX> context_ = MakeRawContext();
  std::shared_ptr<const ServerTlsConfig> server_config_ = MakeServerConfig();
  std::shared_ptr<const ClientTlsConfig> client_config_ = MakeClientConfig();
  std::unique_ptr<TlsEngine> engine_;
  std::unique_ptr<RawPeer> peer_;
  std::unique_ptr<RecordSealer> sealer_;
};

INSTANTIATE_TEST_SUITE_P(
    Scenes, HostileRecordsTest,
    ::testing::Values(Scene{TlsVersion::kTls12, true}, Scene{TlsVersion::kTls12, false},
                      Scene{TlsVersion::kTls13, true}, Scene{TlsVersion::kTls13, false}),
    [](const ::testing::TestParamInfo<Scene>& info) {
      return absl::StrCat(info.param.against_server ? "Server" : "Client",
                          info.param.version == TlsVersion::kTls12 ? "Tls12" : "Tls13");
    });

TEST_P(HostileRecordsTest, SealedDataIsRead) {
  Join();
  engine_->received().Append(AsBytes(sealer_->Seal(kApplicationData, "well-behaved")));
  EXPECT_EQ(ReadAll(*engine_), "well-behaved");
}

TEST_P(HostileRecordsTest, EveryAlertOfEveryLevelIsReported) {
  for (int level : {0, kWarning, kFatal, 3, 255}) {
    for (int alert = 0; alert < 256; ++alert) {
      Join();
      const IoState end = Get(kAlert, Bytes({level, alert}));
      const bool is_error_alert = is_tls13() && alert != 0 && alert != kUserCanceled;
      if (level == kFatal || (level == kWarning && is_error_alert)) {
        EXPECT_EQ(CodeOf(engine_->status()), ErrorCode::kPeerAlert) << level << " " << alert;
        EXPECT_EQ(AlertOf(engine_->status()), alert);
      } else if (level == kWarning) {
        EXPECT_EQ(end, alert == 0 ? IoState::kEndOfStream : IoState::kWouldBlock) << alert;
        EXPECT_TRUE(engine_->status().ok());
      } else {
        EXPECT_EQ(CodeOf(engine_->status()), ErrorCode::kProtocol) << level << " " << alert;
      }
    }
  }
}

TEST_P(HostileRecordsTest, WarningsAreBounded) {
  Join();
  IoState end = IoState::kWouldBlock;
  int sent = 0;
  for (; end == IoState::kWouldBlock && sent < 100; ++sent) {
    end = Get(kAlert, Bytes({kWarning, kUserCanceled}));
  }
  EXPECT_EQ(sent, 5);
  EXPECT_EQ(CodeOf(engine_->status()), ErrorCode::kProtocol);
}

TEST_P(HostileRecordsTest, EmptyRecordsAreBounded) {
  Join();
  IoState end = IoState::kWouldBlock;
  int sent = 0;
  for (; end == IoState::kWouldBlock && sent < 100; ++sent) end = Get(kApplicationData, "");
  EXPECT_EQ(sent, 33);
  EXPECT_EQ(CodeOf(engine_->status()), ErrorCode::kProtocol);
}

TEST_P(HostileRecordsTest, RenegotiationIsRejected) {
  Join();
  // A ClientHello to a server, a HelloRequest to a client; TLS 1.3 allows neither.
  const std::string message = GetParam().against_server
                                  ? Bytes({1, 0, 0, 40}) + std::string(40, '\3')
                                  : Bytes({0, 0, 0, 0});
  EXPECT_EQ(Get(kHandshake, message), IoState::kFailed);
  EXPECT_EQ(CodeOf(engine_->status()), ErrorCode::kProtocol);
  if (!is_tls13()) {
    EXPECT_THAT(Detail(), HasSubstr("no renegotiation"));
    EXPECT_THAT(Detail(), Not(HasSubstr("broke the protocol")));
    if (!GetParam().against_server) EXPECT_THAT(Detail(), HasSubstr("wants a client certificate"));
    EXPECT_EQ(AlertOf(engine_->status()), kNoRenegotiation);
  }
  EXPECT_LE(engine_->to_send().size(), 64u);
}

TEST_P(HostileRecordsTest, ChangeCipherSpecIsRejectedAfterTheHandshake) {
  Join();
  EXPECT_EQ(Get(kChangeCipherSpec, "\1"), IoState::kFailed);
  EXPECT_EQ(CodeOf(engine_->status()), ErrorCode::kProtocol);
  Join();
  engine_->received().Append(AsBytes(Bytes({kChangeCipherSpec, 3, 3, 0, 1, 1})));
  EXPECT_EQ(ReadAll(*engine_), "");
  EXPECT_EQ(CodeOf(engine_->status()), ErrorCode::kProtocol);
}

TEST_P(HostileRecordsTest, UnknownTypesAndEndlessMessagesAreRejected) {
  Join();
  EXPECT_EQ(Get(99, "x"), IoState::kFailed);
  EXPECT_EQ(CodeOf(engine_->status()), ErrorCode::kProtocol);
  // The beginning of a message of 16 MB.
  Join();
  IoState end = Get(kHandshake, Bytes({4, 0xff, 0xff, 0xff}));
  if (end == IoState::kWouldBlock) end = Get(kHandshake, std::string(1'000, 'x'));
  EXPECT_EQ(end, IoState::kFailed);
  EXPECT_FALSE(engine_->received().holds_memory());
}

TEST_P(HostileRecordsTest, SeveralKeyUpdatesInOneRecordAreRejected) {
  Join();
  const std::string update = Bytes({24, 0, 0, 1, 1});
  EXPECT_EQ(Get(kHandshake, absl::StrCat(update, update, update)), IoState::kFailed);
  EXPECT_EQ(CodeOf(engine_->status()), ErrorCode::kProtocol);
}

TEST_P(HostileRecordsTest, EndlessTicketsUseNoMemory) {
  Join();
  const std::string body = Bytes({0, 0, 1, 0, 1, 2, 3, 4, 1, 9, 0, 4, 't', 'i', 'c', 'k', 0, 0});
  const std::string ticket = Bytes({4, 0, 0, static_cast<int>(body.size())}) + body;
  if (GetParam().against_server || !is_tls13()) {
    EXPECT_EQ(Get(kHandshake, ticket), IoState::kFailed);
    EXPECT_EQ(CodeOf(engine_->status()), ErrorCode::kProtocol);
    return;
  }
  for (int i = 0; i < 5'000; ++i) {
    ASSERT_EQ(Get(kHandshake, ticket), IoState::kWouldBlock) << engine_->status();
    ASSERT_FALSE(engine_->holds_buffers());
  }
  engine_->received().Append(AsBytes(sealer_->Seal(kApplicationData, "at last")));
  EXPECT_EQ(ReadAll(*engine_), "at last");
}

}  // namespace
}  // namespace trestle::testing
