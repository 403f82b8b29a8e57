#include "trestle/tls/tls_engine.h"

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"

namespace trestle::testing {
namespace {

class NegotiationTest
    : public TlsTest,
      public ::testing::WithParamInterface<std::tuple<TlsVersion, KeyType, TlsGroup>> {};

TEST_P(NegotiationTest, NegotiatesAndCarriesBytes) {
  const auto [version, key_type, group] = GetParam();
  ServerTlsOptions server;
  server.parameters = Only(version);
  server.parameters.groups = {group};
  server.certificates = MakeStore({LeafFor("a.test", key_type)});
  EnginePair pair = MakePair(std::move(server));
  pair.Handshake();
  ASSERT_TRUE(pair.client->handshake_done()) << pair.client->status();
  ASSERT_TRUE(pair.server->handshake_done()) << pair.server->status();

  for (const TlsInfo* info : {&pair.client->info(), &pair.server->info()}) {
    EXPECT_EQ(info->version, version == TlsVersion::kTls12 ? "TLSv1.2" : "TLSv1.3");
    EXPECT_EQ(info->server_name, "a.test");
    EXPECT_FALSE(info->resumed);
    EXPECT_FALSE(info->cipher.empty());
    constexpr const char* kNames[] = {"X25519MLKEM768", "X25519", "P-256", "P-384", "P-521"};
    EXPECT_EQ(info->group, kNames[static_cast<size_t>(group)]);
  }
  ASSERT_EQ(pair.client->info().peer_chain.size(), 1u);
  ASSERT_EQ(pair.server->info().local_chain.size(), 1u);
  EXPECT_EQ(pair.client->info().peer_chain[0].serial, pair.server->info().local_chain[0].serial);

  WriteAll(*pair.client, "question");
  pair.Carry();
  EXPECT_EQ(ReadAll(*pair.server), "question");
  WriteAll(*pair.server, "answer");
  pair.Carry();
  EXPECT_EQ(ReadAll(*pair.client), "answer");
}

constexpr KeyType kKeyTypes[] = {KeyType::kEcdsa, KeyType::kRsa, KeyType::kEd25519};

INSTANTIATE_TEST_SUITE_P(Tls13, NegotiationTest,
                         ::testing::Combine(::testing::Values(TlsVersion::kTls13),
                                            ::testing::ValuesIn(kKeyTypes),
                                            ::testing::Values(TlsGroup::kX25519MlKem768,
                                                              TlsGroup::kX25519, TlsGroup::kP256,
                                                              TlsGroup::kP384, TlsGroup::kP521)));

// The hybrid group is for TLS 1.3 only.
INSTANTIATE_TEST_SUITE_P(Tls12, NegotiationTest,
                         ::testing::Combine(::testing::Values(TlsVersion::kTls12),
                                            ::testing::ValuesIn(kKeyTypes),
                                            ::testing::Values(TlsGroup::kX25519, TlsGroup::kP256,
                                                              TlsGroup::kP384, TlsGroup::kP521)));

class TlsEngineTest : public TlsTest, public ::testing::WithParamInterface<TlsVersion> {
 protected:
  EnginePair MakeJoined() { return MakeJoinedPair(GetParam()); }

  // Returns the context of a peer of either side, restricted to the tested version.
  bssl::UniquePtr<SSL_CTX> MakeContext() {
    bssl::UniquePtr<SSL_CTX> context = MakeRawContext();
    const uint16_t version = GetParam() == TlsVersion::kTls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
    SSL_CTX_set_min_proto_version(context.get(), version);
    SSL_CTX_set_max_proto_version(context.get(), version);
    return context;
  }
};

INSTANTIATE_TEST_SUITE_P(Versions, TlsEngineTest,
                         ::testing::Values(TlsVersion::kTls12, TlsVersion::kTls13),
                         [](const ::testing::TestParamInfo<TlsVersion>& info) {
                           return info.param == TlsVersion::kTls12 ? "Tls12" : "Tls13";
                         });

TEST_P(TlsEngineTest, AcceptsTheHandshakeByteByByte) {
  ServerTlsOptions options;
  options.parameters = Only(GetParam());
  EnginePair pair = MakePair(std::move(options));
  pair.Handshake(/*chunk=*/1);
  EXPECT_TRUE(pair.client->handshake_done()) << pair.client->status();
  EXPECT_TRUE(pair.server->handshake_done()) << pair.server->status();
}

TEST_P(TlsEngineTest, AcceptsDataByteByByte) {
  EnginePair pair = MakeJoined();
  const std::string text(1000, 'x');
  WriteAll(*pair.client, text);
  std::string got;
  while (MoveBytes(pair.client->to_send(), pair.server->received(), 1) == 1) {
    got += ReadAll(*pair.server);
  }
  EXPECT_EQ(got, text);
  EXPECT_FALSE(pair.server->holds_buffers());
}

TEST_P(TlsEngineTest, NeitherReadsNorWritesBeforeTheHandshake) {
  EnginePair pair = MakePair();
  uint8_t byte = 0;
  EXPECT_EQ(pair.client->Read(MutableByteView(&byte, 1)).state, IoState::kWouldBlock);
  EXPECT_EQ(pair.client->Write(ByteView(&byte, 1)).state, IoState::kWouldBlock);
  pair.client->QueueCloseNotify();
  EXPECT_TRUE(pair.client->to_send().empty());
  EXPECT_FALSE(pair.server->hello_received());
  pair.Handshake();
  EXPECT_TRUE(pair.server->hello_received());
  EXPECT_EQ(pair.client->leg(), Leg::kBack);
}

TEST_P(TlsEngineTest, ReportsTheSizeOfTheHello) {
  EnginePair pair = MakePair();
  pair.client->Handshake();
  const ByteView hello = pair.client->to_send().view();
  ASSERT_GT(hello.size(), 5u);
  // One record: all bytes after its header are the message.
  const size_t message_bytes = hello.size() - 5;
  EXPECT_EQ(message_bytes, static_cast<size_t>(hello[3] << 8 | hello[4]));
  pair.Handshake();
  EXPECT_EQ(pair.server->info().hello_bytes, message_bytes);
  EXPECT_EQ(pair.client->info().hello_bytes, 0u);
}

TEST_P(TlsEngineTest, HoldsNoBuffersWhenIdle) {
  EnginePair pair = MakeJoined();
  EXPECT_FALSE(pair.client->holds_buffers());
  EXPECT_FALSE(pair.server->holds_buffers());
  EXPECT_EQ(loop_.buffers().lent_blocks(), 0u);
  WriteAll(*pair.client, std::string(40'000, 'x'));
  EXPECT_TRUE(pair.client->holds_buffers());
  pair.Carry();
  EXPECT_FALSE(pair.client->holds_buffers());
  EXPECT_EQ(ReadAll(*pair.server).size(), 40'000u);
  EXPECT_FALSE(pair.server->holds_buffers());
  EXPECT_EQ(loop_.buffers().lent_blocks(), 0u);
}

TEST_P(TlsEngineTest, ReportsThatItHoldsPartOfARecord) {
  EnginePair pair = MakeJoined();
  WriteAll(*pair.client, "text");
  MoveBytes(pair.client->to_send(), pair.server->received(), 10);
  EXPECT_EQ(ReadAll(*pair.server), "");
  EXPECT_FALSE(pair.server->received().holds_memory());
  EXPECT_TRUE(pair.server->holds_buffers());
}

TEST_P(TlsEngineTest, WritesUpToTheSendLimitWithinOneBlock) {
  EnginePair pair = MakeJoined();
  const std::string text(1 << 20, 'x');
  // Various sizes, so that the limit occurs at every distance from the end of a record.
  for (size_t step : {size_t{1} << 20, size_t{16'384}, size_t{1'001}, size_t{15'000}}) {
    size_t taken = 0;
    IoResult result;
    while ((result = pair.client->Write(AsBytes(text).subspan(taken, step))).state ==
           IoState::kOk) {
      taken += result.bytes;
    }
    EXPECT_EQ(result.state, IoState::kWouldBlock);
    EXPECT_EQ(result.bytes, 0u);
    EXPECT_GE(pair.client->to_send().size(), TlsEngine::kSendLimitBytes);
    EXPECT_LE(pair.client->to_send().size(), BufferPool::kBlockBytes);
    EXPECT_EQ(loop_.buffers().lent_blocks(), 1u);
    pair.Carry();
    EXPECT_EQ(ReadAll(*pair.server).size(), taken);
  }
}

TEST_P(TlsEngineTest, ReadsManyRecordsIntoOneBuffer) {
  EnginePair pair = MakeJoined();
  for (int i = 0; i < 100; ++i) WriteAll(*pair.client, "0123456789");
  pair.Carry();
  std::vector<uint8_t> buffer(950);
  EXPECT_EQ(pair.server->Read(absl::MakeSpan(buffer)).bytes, 950u);
  EXPECT_EQ(pair.server->Read(absl::MakeSpan(buffer)).bytes, 50u);
  EXPECT_EQ(pair.server->Read(absl::MakeSpan(buffer)).state, IoState::kWouldBlock);
}

TEST_P(TlsEngineTest, HalfCloseKeepsTheOtherDirection) {
  EnginePair pair = MakeJoined();
  WriteAll(*pair.client, "question");
  pair.client->QueueCloseNotify();
  pair.client->QueueCloseNotify();
  pair.Carry();
  IoState end = IoState::kOk;
  EXPECT_EQ(ReadAll(*pair.server, &end), "question");
  EXPECT_EQ(end, IoState::kEndOfStream);
  EXPECT_EQ(ReadAll(*pair.server, &end), "");
  EXPECT_EQ(end, IoState::kEndOfStream);

  WriteAll(*pair.server, "answer");
  pair.Carry();
  EXPECT_EQ(ReadAll(*pair.client, &end), "answer");
  EXPECT_EQ(end, IoState::kWouldBlock);
  pair.server->QueueCloseNotify();
  pair.Carry();
  EXPECT_EQ(ReadAll(*pair.client, &end), "");
  EXPECT_EQ(end, IoState::kEndOfStream);
  // The end of the transport after close_notify changes nothing.
  pair.client->EndReceived();
  EXPECT_EQ(ReadAll(*pair.client, &end), "");
  EXPECT_EQ(end, IoState::kEndOfStream);
  EXPECT_TRUE(pair.client->status().ok());
  EXPECT_TRUE(pair.server->status().ok());
}

TEST_P(TlsEngineTest, BytesAfterCloseNotifyAreIgnored) {
  EnginePair pair = MakeJoined();
  WriteAll(*pair.client, "text");
  pair.client->QueueCloseNotify();
  pair.Carry();
  pair.server->received().Append(AsBytes("garbage"));
  IoState end = IoState::kOk;
  EXPECT_EQ(ReadAll(*pair.server, &end), "text");
  EXPECT_EQ(end, IoState::kEndOfStream);
  EXPECT_FALSE(pair.server->holds_buffers());
  EXPECT_TRUE(pair.server->status().ok());
}

TEST_P(TlsEngineTest, WritingAfterTheEndIsTheCallersFault) {
  EnginePair pair = MakeJoined();
  pair.client->QueueCloseNotify();
  EXPECT_EQ(pair.client->Write(AsBytes("x")).state, IoState::kFailed);
  EXPECT_EQ(CodeOf(pair.client->status()), ErrorCode::kInternal);
}

TEST_P(TlsEngineTest, ServesABareClientAndABareServer) {
  bssl::UniquePtr<SSL_CTX> context = MakeContext();
  std::unique_ptr<TlsEngine> server = MakeServer();
  RawPeer client(context.get(), /*is_server=*/false);
  client.Handshake(*server);
  ASSERT_TRUE(server->handshake_done()) << server->status();
  client.Write("question");
  client.Carry(*server);
  EXPECT_EQ(ReadAll(*server), "question");

  UsePem(context.get(), pki_.Issue(LeafFor("a.test")));
  RawPeer raw_server(context.get(), /*is_server=*/true);
  std::unique_ptr<TlsEngine> engine = MakeClient();
  raw_server.Handshake(*engine);
  ASSERT_TRUE(engine->handshake_done()) << engine->status();
  raw_server.Write("answer");
  raw_server.Carry(*engine);
  EXPECT_EQ(ReadAll(*engine), "answer");
}

TEST_P(TlsEngineTest, ReadsBytesFromBeforeAFailure) {
  EnginePair pair = MakeJoined();
  WriteAll(*pair.client, "good");
  pair.Carry();
  pair.server->received().Append(AsBytes(absl::string_view("\x17\x03\x03\0\x20", 5)));
  pair.server->received().Append(AsBytes(std::string(32, 'x')));
  std::vector<uint8_t> buffer(1000);
  EXPECT_EQ(pair.server->Read(absl::MakeSpan(buffer)).bytes, 4u);
  EXPECT_TRUE(pair.server->status().ok());
  EXPECT_EQ(pair.server->Read(absl::MakeSpan(buffer)).state, IoState::kFailed);
  EXPECT_EQ(CodeOf(pair.server->status()), ErrorCode::kProtocol);
  EXPECT_EQ(GetError(pair.server->status())->phase, Phase::kRelay);
  EXPECT_EQ(GetError(pair.server->status())->leg, Leg::kFront);
  EXPECT_EQ(AlertOf(pair.server->status()), 20);  // bad_record_mac
  EXPECT_FALSE(pair.server->received().holds_memory());
  // The failure is final, and the alert is ready to be sent.
  EXPECT_EQ(pair.server->Read(absl::MakeSpan(buffer)).state, IoState::kFailed);
  EXPECT_EQ(pair.server->Write(AsBytes("x")).state, IoState::kFailed);
  pair.Carry();
  ReadAll(*pair.client);
  EXPECT_EQ(CodeOf(pair.client->status()), ErrorCode::kPeerAlert);
  EXPECT_EQ(AlertOf(pair.client->status()), 20);
}

}  // namespace
}  // namespace trestle::testing
