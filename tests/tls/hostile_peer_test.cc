// Invalid, truncated and malicious input from peers: its effects are bounded, and errors differ.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/tls/engine/connection_state.h"
#include "lib/tls/engine/ssl_error.h"
#include "tests/tls/tls_fixture.h"

namespace trestle::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Record(uint8_t type, absl::string_view body) {
  const char header[] = {static_cast<char>(type), 3, 3, static_cast<char>(body.size() >> 8),
                         static_cast<char>(body.size() & 0xff)};
  return absl::StrCat(absl::string_view(header, 5), body);
}

std::string AlertRecord(uint8_t level, uint8_t alert) {
  const char body[] = {static_cast<char>(level), static_cast<char>(alert)};
  return Record(21, absl::string_view(body, 2));
}

std::string DetailOf(const absl::Status& status) {
  std::optional<Error> error = GetError(status);
  return error.has_value() ? error->detail : "no Error";
}

class HostilePeerTest : public TlsTest {
 protected:
  // Returns the server's status after `bytes`, followed by the end of the stream if `end`.
  absl::Status ServerGets(absl::string_view bytes, bool end = false) {
    server_ = TlsEngine::NewServer(server_config_, loop_, Leg::kFront);
    server_->received().Append(AsBytes(bytes));
    if (end) server_->EndReceived();
    for (int i = 0; i < 3; ++i) server_->Handshake();
    return server_->status();
  }

  absl::Status ClientGets(absl::string_view bytes, bool end = false) {
    client_ = *TlsEngine::NewClient(client_config_, {"a.test", {}}, loop_, Leg::kBack);
    client_->Handshake();
    EXPECT_FALSE(client_->to_send().empty());
    client_->received().Append(AsBytes(bytes));
    if (end) client_->EndReceived();
    for (int i = 0; i < 3; ++i) client_->Handshake();
    return client_->status();
  }

  // Returns a client's hello, in one record.
  std::string Hello() {
    std::unique_ptr<TlsEngine> client = MakeClient();
    client->Handshake();
    return std::string(AsText(client->to_send().view()));
  }

  const std::shared_ptr<const ServerTlsConfig> server_config_ = MakeServerConfig();
  const std::shared_ptr<const ClientTlsConfig> client_config_ = MakeClientConfig();
  std::unique_ptr<TlsEngine> client_;
  std::unique_ptr<TlsEngine> server_;
};

TEST_F(HostilePeerTest, AServerDetectsOtherProtocols) {
  for (absl::string_view bytes :
       {absl::string_view("GET / HTTP/1.1\r\n\r\n"), absl::string_view("SSH-2.0-OpenSSH_9.2\r\n"),
        absl::string_view("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
        absl::string_view("\r\n\r\n\0\r\nQUIT\n", 12), absl::string_view("\x80\x2e\x01\x03\x01", 5),
        absl::string_view("\x16\xfe\xff\0\0", 5), absl::string_view("\0\0\0\0", 4),
        absl::string_view("\xff\xff\xff\xff", 4)}) {
    const absl::Status status = ServerGets(bytes);
    EXPECT_EQ(CodeOf(status), ErrorCode::kNotTls);
    EXPECT_THAT(DetailOf(status), StartsWith("the peer does not speak TLS: "));
    EXPECT_TRUE(server_->to_send().empty());
    EXPECT_FALSE(server_->holds_buffers());
  }
}

TEST_F(HostilePeerTest, AClientDetectsAPlaintextBackend) {
  for (absl::string_view bytes :
       {absl::string_view("HTTP/1.1 400 Bad Request\r\n\r\n"), absl::string_view("SSH-2.0-x\r\n"),
        absl::string_view("220 mail.test ESMTP\r\n"),
        absl::string_view("\0\0\0\x08\x04\xd2\x16\x2f", 8)}) {
    const absl::Status status = ClientGets(bytes);
    EXPECT_EQ(CodeOf(status), ErrorCode::kProtocol);
    EXPECT_THAT(DetailOf(status), StartsWith("the peer does not speak TLS: "));
    EXPECT_EQ(GetError(status)->leg, Leg::kBack);
    uint8_t byte = 0;
    EXPECT_EQ(client_->Read(MutableByteView(&byte, 1)).state, IoState::kFailed);
  }
  // The same if the backend sends first, before the hello has left.
  client_ = MakeClient();
  client_->received().Append(AsBytes("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(client_->Handshake(), IoState::kFailed);
  EXPECT_EQ(CodeOf(client_->status()), ErrorCode::kProtocol);
}

// BoringSSL reports the same for a TLS 1.3 client or server with an empty list of certificates.
TEST_F(HostilePeerTest, AServerWithoutCertificateIsNotReportedAsAClient) {
  const ConnectionState record(loop_);
  const uint32_t error = ERR_PACK(ERR_LIB_SSL, SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE);
  FailureScene scene;
  scene.hello_answered = true;
  const Error of_server = ExplainSslError({error}, record, scene);
  EXPECT_EQ(of_server.code, ErrorCode::kProtocol);
  EXPECT_EQ(of_server.detail, "the peer broke the handshake: peer did not return a certificate");
  scene.is_server = true;
  const Error of_client = ExplainSslError({error}, record, scene);
  EXPECT_EQ(of_client.code, ErrorCode::kClientCertificateMissing);
  EXPECT_EQ(of_client.detail, "the client sent no certificate, and one is required");
}

// BoringSSL's cryptography reports its own view first, which says little alone: "bad decrypt".
TEST_F(HostilePeerTest, ADamagedRecordIsReportedAsOne) {
  for (const TlsVersion version : {TlsVersion::kTls12, TlsVersion::kTls13}) {
    EnginePair pair = MakeJoinedPair(version);
    WriteAll(*pair.client, "hello");
    std::string record(AsText(pair.client->to_send().view()));
    record.back() ^= 1;
    pair.server->received().Append(AsBytes(record));
    uint8_t byte = 0;
    EXPECT_EQ(pair.server->Read(MutableByteView(&byte, 1)).state, IoState::kFailed);
    EXPECT_EQ(CodeOf(pair.server->status()), ErrorCode::kProtocol);
    EXPECT_EQ(DetailOf(pair.server->status()),
              "the peer broke the protocol: decryption failed or bad record mac (bad decrypt)");
  }
}

TEST_F(HostilePeerTest, AServersCertificateMayHaveAThousandNames) {
  for (const size_t names : {1000, 1001}) {
    LeafSpec leaf;
    for (size_t i = 1; i < names; ++i) leaf.dns_names.push_back(absl::StrCat("n", i, ".test"));
    leaf.dns_names.push_back("a.test");
    ServerTlsOptions server;
    server.certificates = MakeStore({leaf});
    EnginePair pair = MakePair(std::move(server));
    pair.Handshake();
    EXPECT_EQ(pair.client->status().ok(), names == 1000) << pair.client->status();
    EXPECT_EQ(pair.client->info().peer_chain.empty(), names > 1000) << "no name was parsed";
    if (names == 1000) continue;
    EXPECT_EQ(CodeOf(pair.client->status()), ErrorCode::kCertificateUntrusted);
    EXPECT_EQ(DetailOf(pair.client->status()), "the peer sent a certificate with over 1000 names");
  }
}

TEST_F(HostilePeerTest, MalformedHellosAreRejected) {
  const std::string hello = Hello();
  EXPECT_EQ(CodeOf(ServerGets(Record(23, "data"))), ErrorCode::kMalformedHello);
  EXPECT_EQ(CodeOf(ServerGets(Record(20, "\x01"))), ErrorCode::kMalformedHello);
  EXPECT_EQ(CodeOf(ServerGets(Record(22, absl::string_view("\x02\0\0\0", 4)))),
            ErrorCode::kMalformedHello);
  EXPECT_EQ(CodeOf(ServerGets(Record(22, absl::string_view("\x01\0\0\x03xyz", 7)))),
            ErrorCode::kMalformedHello);
  // Another message after the hello.
  const std::string behind = absl::StrCat(hello.substr(5), absl::string_view("\x14\0\0\0", 4));
  EXPECT_EQ(CodeOf(ServerGets(Record(22, behind))), ErrorCode::kMalformedHello);
  EXPECT_THAT(DetailOf(server_->status()), HasSubstr("ClientHello is refused"));
  EXPECT_GT(AlertOf(server_->status()), 0);
  // Changes each byte of a valid hello in turn: the result is an answer, a wait, or a rejected
  // hello.
  for (size_t i = 5; i < hello.size(); ++i) {
    std::string changed = hello;
    changed[i] = static_cast<char>(changed[i] ^ 0xff);
    const absl::Status status = ServerGets(changed);
    if (status.ok()) continue;
    EXPECT_THAT(CodeOf(status), AnyOf(ErrorCode::kMalformedHello, ErrorCode::kHelloTooLarge,
                                      ErrorCode::kNoCommonParameters))
        << i << ": " << status;
    EXPECT_GT(AlertOf(status), 0) << i << ": " << status;
  }
}

TEST_F(HostilePeerTest, LargeHellosAreRejected) {
  const absl::Status status = ServerGets(Record(22, absl::string_view("\x01\xff\xff\xff", 4)));
  EXPECT_EQ(CodeOf(status), ErrorCode::kHelloTooLarge);
  EXPECT_GT(AlertOf(status), 0);
  EXPECT_EQ(CodeOf(ServerGets(absl::string_view("\x16\x03\x01\xff\xff", 5))),
            ErrorCode::kMalformedHello);
}

TEST_F(HostilePeerTest, EmptyRecordsAndWarningsAreBounded) {
  std::string flood;
  for (int i = 0; i < 100; ++i) flood += Record(22, "");
  EXPECT_EQ(CodeOf(ServerGets(flood)), ErrorCode::kMalformedHello);
  flood.clear();
  for (int i = 0; i < 100; ++i) flood += AlertRecord(1, 90);
  EXPECT_EQ(CodeOf(ServerGets(flood)), ErrorCode::kMalformedHello);

  // ChangeCipherSpec between a server's TLS 1.3 flight and the client's response.
  server_ = MakeServer();
  server_->received().Append(AsBytes(Hello()));
  EXPECT_EQ(server_->Handshake(), IoState::kWouldBlock);
  for (int i = 0; i < 1000; ++i) server_->received().Append(AsBytes(Record(20, "\x01")));
  EXPECT_EQ(server_->Handshake(), IoState::kFailed);
  EXPECT_EQ(CodeOf(server_->status()), ErrorCode::kProtocol);
}

TEST_F(HostilePeerTest, EveryAlertBeforeTheHelloIsBounded) {
  for (int level : {0, 1, 2, 3, 255}) {
    for (int alert = 0; alert < 256; ++alert) {
      const std::string record =
          AlertRecord(static_cast<uint8_t>(level), static_cast<uint8_t>(alert));
      for (const absl::Status& status : {ServerGets(record), ClientGets(record)}) {
        if (level == 2 || (level == 1 && alert == 0)) {
          EXPECT_EQ(CodeOf(status), ErrorCode::kPeerAlert) << level << " " << alert;
          EXPECT_EQ(AlertOf(status), alert);
          EXPECT_FALSE(DetailOf(status).empty());
        } else if (level == 1) {
          EXPECT_TRUE(status.ok());
        } else {
          EXPECT_FALSE(status.ok());
        }
      }
    }
  }
}

TEST_F(HostilePeerTest, EveryAlertDuringAndAfterTheHandshakeIsReported) {
  for (TlsVersion version : {TlsVersion::kTls12, TlsVersion::kTls13}) {
    for (int alert = 1; alert < 256; ++alert) {
      bssl::UniquePtr<SSL_CTX> context = MakeRawContext();
      SSL_CTX_set_max_proto_version(
          context.get(), version == TlsVersion::kTls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
      // From a client that can't continue after the server's first flight, and has no keys yet.
      std::unique_ptr<TlsEngine> server = MakeServer();
      RawPeer early(context.get(), /*is_server=*/false);
      early.Handshake();
      early.Carry(*server);
      EXPECT_EQ(server->Handshake(), IoState::kWouldBlock);
      SSL_send_fatal_alert(early.ssl(), static_cast<uint8_t>(alert));
      for (char byte : early.TakeOutput()) {
        EXPECT_TRUE(server->status().ok());
        server->received().Append(AsBytes(absl::string_view(&byte, 1)));
        server->Handshake();
      }
      EXPECT_EQ(CodeOf(server->status()), ErrorCode::kPeerAlert);
      EXPECT_EQ(AlertOf(server->status()), alert);
      EXPECT_EQ(GetError(server->status())->phase, Phase::kHandshake);

      // From a client with a complete handshake.
      server = MakeServer();
      RawPeer late(context.get(), /*is_server=*/false);
      late.Handshake(*server);
      ASSERT_TRUE(server->handshake_done());
      SSL_send_fatal_alert(late.ssl(), static_cast<uint8_t>(alert));
      server->received().Append(AsBytes(late.TakeOutput()));
      ReadAll(*server);
      EXPECT_EQ(CodeOf(server->status()), ErrorCode::kPeerAlert);
      EXPECT_EQ(AlertOf(server->status()), alert);
      EXPECT_EQ(GetError(server->status())->phase, Phase::kRelay);
      EXPECT_TRUE(server->to_send().empty());
    }
  }
}

// Plays a short exchange, but ends the input of one side after `limit` bytes. Counts all bytes for
// that side.
class Truncation {
 public:
  Truncation(EnginePair pair, bool of_client, size_t limit)
      : pair_(std::move(pair)), of_client_(of_client), limit_(limit) {}

  void Play() {
    bool asked = false;
    bool answered = false;
    for (size_t before = kAllBytes; before != carried_;) {
      before = carried_;
      pair_.client->Handshake();
      pair_.server->Handshake();
      if (pair_.client->handshake_done() && !asked) {
        pair_.client->Write(AsBytes("question"));
        pair_.client->QueueCloseNotify();
        asked = true;
      }
      received_by_server_ += ReadAll(*pair_.server, &server_end_);
      if (server_end_ == IoState::kEndOfStream && !answered) {
        pair_.server->Write(AsBytes("answer"));
        pair_.server->QueueCloseNotify();
        answered = true;
      }
      received_by_client_ += ReadAll(*pair_.client, &client_end_);
      Carry(*pair_.client, *pair_.server, !of_client_);
      Carry(*pair_.server, *pair_.client, of_client_);
    }
  }

  size_t total() const { return total_; }
  bool complete() const {
    return received_by_server_ == "question" && server_end_ == IoState::kEndOfStream &&
           received_by_client_ == "answer" && client_end_ == IoState::kEndOfStream;
  }
  const absl::Status& status() const {
    return of_client_ ? pair_.client->status() : pair_.server->status();
  }

 private:
  void Carry(TlsEngine& from, TlsEngine& to, bool limited) {
    const size_t carried =
        MoveBytes(from.to_send(), to.received(), limited ? limit_ - total_ : kAllBytes);
    carried_ += carried;
    if (!limited) return;
    total_ += carried;
    if (total_ < limit_) return;
    from.to_send().Clear();
    if (!std::exchange(ended_, true)) ++carried_;
    to.EndReceived();
  }

  EnginePair pair_;
  const bool of_client_;
  const size_t limit_;
  size_t total_ = 0;    // Bytes for the truncated side.
  size_t carried_ = 0;  // Bytes in both directions.
  bool ended_ = false;
  std::string received_by_server_;
  std::string received_by_client_;
  IoState server_end_ = IoState::kOk;
  IoState client_end_ = IoState::kOk;
};

TEST_F(HostilePeerTest, TruncationIsDetectedAtEveryByte) {
  for (TlsVersion version : {TlsVersion::kTls12, TlsVersion::kTls13}) {
    ServerTlsOptions options;
    options.parameters = Only(version);
    options.parameters.groups = {TlsGroup::kX25519};
    const auto server_config = MakeServerConfig(std::move(options));
    for (bool of_client : {false, true}) {
      const auto play = [&, of_client = of_client](size_t limit) {
        auto client = TlsEngine::NewClient(client_config_, {"a.test", {}}, loop_, Leg::kBack);
        EnginePair pair = {*std::move(client),
                           TlsEngine::NewServer(server_config, loop_, Leg::kFront)};
        Truncation truncation(std::move(pair), of_client, limit);
        truncation.Play();
        return truncation;
      };
      const Truncation whole = play(kAllBytes - 1);
      ASSERT_TRUE(whole.complete()) << whole.status();
      // ECDSA signatures differ in length by a few bytes between runs.
      for (size_t limit = 0; limit + 8 < whole.total(); ++limit) {
        const Truncation cut = play(limit);
        EXPECT_FALSE(cut.complete()) << limit;
        EXPECT_EQ(CodeOf(cut.status()), ErrorCode::kTruncated) << limit;
      }
    }
  }
}

TEST_F(HostilePeerTest, TruncationInTheHandshakeHasItsPlace) {
  EXPECT_EQ(CodeOf(ServerGets("", /*end=*/true)), ErrorCode::kTruncated);
  EXPECT_THAT(DetailOf(server_->status()), HasSubstr("before it sent anything"));
  EXPECT_EQ(GetError(server_->status())->phase, Phase::kHandshake);
  EXPECT_EQ(CodeOf(ServerGets(Hello().substr(0, 100), /*end=*/true)), ErrorCode::kTruncated);
  EXPECT_THAT(DetailOf(server_->status()), HasSubstr("within its ClientHello"));
  EXPECT_EQ(CodeOf(ServerGets(Hello(), /*end=*/true)), ErrorCode::kTruncated);
  EXPECT_THAT(DetailOf(server_->status()), HasSubstr("during the handshake"));
  EXPECT_EQ(CodeOf(ServerGets("G", /*end=*/true)), ErrorCode::kTruncated);
  EXPECT_EQ(CodeOf(ClientGets("", /*end=*/true)), ErrorCode::kTruncated);
  EXPECT_THAT(DetailOf(client_->status()), HasSubstr("before it sent anything"));
}

TEST_F(HostilePeerTest, CloseNotifyAtEachStepEndsTheHandshake) {
  const std::string close = AlertRecord(1, 0);
  EXPECT_EQ(CodeOf(ServerGets(close)), ErrorCode::kPeerAlert);
  EXPECT_EQ(CodeOf(ServerGets(absl::StrCat(Hello(), close))), ErrorCode::kPeerAlert);
  EXPECT_EQ(AlertOf(server_->status()), 0);
  EXPECT_EQ(CodeOf(ServerGets(absl::StrCat(Hello(), close.substr(0, 6)), /*end=*/true)),
            ErrorCode::kTruncated);
  EXPECT_EQ(CodeOf(ClientGets(close)), ErrorCode::kPeerAlert);
}

// Ciphertext may look like an alert at the start of a read of five bytes.
TEST_F(HostilePeerTest, AFinishedInPiecesIsNotReadAsAnAlert) {
  constexpr size_t kLastPiece = 5;  // As long as a record's header.
  constexpr char kAlertType = 21;
  bssl::UniquePtr<SSL_CTX> context = MakeRawContext();
  const auto config = MakeServerConfig();
  bool tried = false;
  for (int i = 0; i < 10'000 && !tried; ++i) {
    const auto server = TlsEngine::NewServer(config, loop_, Leg::kFront);
    RawPeer client(context.get(), /*is_server=*/false);
    client.Handshake();
    server->received().Append(AsBytes(client.TakeOutput()));
    server->Handshake();
    client.Carry(*server);
    client.Handshake();
    const std::string flight = client.TakeOutput();
    ASSERT_GT(flight.size(), kLastPiece);
    const size_t split = flight.size() - kLastPiece;
    if (flight[split] != kAlertType) continue;
    tried = true;
    server->received().Append(AsBytes(flight.substr(0, split)));
    EXPECT_EQ(server->Handshake(), IoState::kWouldBlock);
    server->received().Append(AsBytes(flight.substr(split)));
    EXPECT_EQ(server->Handshake(), IoState::kOk) << server->status();
  }
  EXPECT_TRUE(tried);
}

// BoringSSL restarts its count with each record of data.
TEST_F(HostilePeerTest, KeyUpdatesBetweenDataAreBoundedPerMinute) {
  bssl::UniquePtr<SSL_CTX> context = MakeRawContext();
  std::unique_ptr<TlsEngine> server = MakeServer();
  RawPeer client(context.get(), /*is_server=*/false);
  client.Handshake(*server);
  const auto update = [&] {
    EXPECT_TRUE(SSL_key_update(client.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED));
    client.Write("x");
    client.Carry(*server);
    return ReadAll(*server);
  };
  for (int minute = 0; minute < 3; ++minute) {
    for (int i = 0; i < 60; ++i) ASSERT_EQ(update(), "x");
    loop_.RunFor(absl::Minutes(1));
  }
  for (int i = 0; i < 60; ++i) ASSERT_EQ(update(), "x");
  EXPECT_EQ(update(), "");
  EXPECT_EQ(CodeOf(server->status()), ErrorCode::kOverLimit);
  EXPECT_EQ(AlertOf(server->status()), SSL_AD_UNEXPECTED_MESSAGE);
  EXPECT_FALSE(server->to_send().empty()) << "the alert";
}

TEST_F(HostilePeerTest, KeyUpdatesAreAnsweredAndBounded) {
  bssl::UniquePtr<SSL_CTX> context = MakeRawContext();
  std::unique_ptr<TlsEngine> server = MakeServer();
  RawPeer client(context.get(), /*is_server=*/false);
  client.Handshake(*server);
  client.ReadAll();
  // A few of them, with data in between, are allowed without end.
  for (int i = 0; i < 100; ++i) {
    loop_.RunFor(absl::Seconds(2));
    ASSERT_TRUE(SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED));
    client.Write("x");
    client.Carry(*server);
    EXPECT_EQ(ReadAll(*server), "x");
    EXPECT_TRUE(server->to_send().empty());
    WriteAll(*server, "y");
    client.Carry(*server);
    EXPECT_EQ(client.ReadAll(), "y");
  }
  // A flood that requests replies without reading them ends the connection, and uses no memory
  // until then.
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED));
    SSL_write(client.ssl(), nullptr, 0);
    server->received().Append(AsBytes(client.TakeOutput()));
    ReadAll(*server);
    EXPECT_LE(server->to_send().size(), 64u);
  }
  EXPECT_EQ(CodeOf(server->status()), ErrorCode::kProtocol);
  EXPECT_THAT(DetailOf(server->status()), HasSubstr("too many key updates"));
}

TEST_F(HostilePeerTest, RandomBytesAtAnyTimeFail) {
  uint32_t state = 1;
  for (int round = 0; round < 300; ++round) {
    std::string noise = round % 2 == 0 ? "" : Hello();
    const size_t keep = noise.size();
    for (int i = 0; i < 200; ++i) {
      state = state * 1664525 + 1013904223;
      noise.push_back(static_cast<char>(state >> 24));
    }
    if (round % 3 == 0 && keep > 0) noise[keep / 2] = static_cast<char>(~noise[keep / 2]);
    EXPECT_FALSE(ServerGets(noise, /*end=*/true).ok());
    EXPECT_FALSE(ClientGets(noise.substr(keep), /*end=*/true).ok());
    EXPECT_FALSE(server_->received().holds_memory());
    EXPECT_LE(server_->to_send().size(), size_t{16'384});
  }
}

}  // namespace
}  // namespace trestle::testing
