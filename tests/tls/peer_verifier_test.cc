// A host's own verification of servers, at once and later, and the handshake's behaviour while it
// waits for a local answer.
#include "trestle/tls/peer_verifier.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/stream_peer.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/tls/client_session_cache.h"
#include "trestle/tls/tls_stream.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Answers at once if `at_once` is set; otherwise keeps the request.
class RecordingVerifier final : public PeerVerifier {
 public:
  std::unique_ptr<PendingCall> Verify(const PeerToVerify& peer, Scheduler& /*loop*/,
                                      absl::AnyInvocable<void(absl::Status)> done) const override {
    names.push_back(std::string(peer.name));
    resumed.push_back(peer.resumed);
    EXPECT_EQ(peer.chain_der.size(), peer.chain.size());
    EXPECT_GT(peer.chain_der.at(0).size(), 100u);
    if (at_once.has_value()) {
      done(*at_once);
    } else {
      answers.push_back(std::move(done));
    }
    return nullptr;
  }

  std::optional<absl::Status> at_once;
  mutable std::vector<std::string> names;
  mutable std::vector<bool> resumed;
  mutable std::vector<absl::AnyInvocable<void(absl::Status)>> answers;
};

class PeerVerifierTest : public TlsTest {
 protected:
  ClientTlsOptions Asking() {
    ClientTlsOptions options;
    options.verifier = verifier_;
    return options;
  }

  EnginePair Connect() {
    EnginePair pair = MakePair({}, Asking());
    pair.client->SetAnswerCallback([this] { ++woken_; });
    pair.Handshake();
    return pair;
  }

  std::shared_ptr<RecordingVerifier> verifier_ = std::make_shared<RecordingVerifier>();
  int woken_ = 0;
};

TEST_F(PeerVerifierTest, AnImmediateAnswerIsUsed) {
  verifier_->at_once = absl::OkStatus();
  const EnginePair pair = Connect();
  EXPECT_TRUE(pair.client->handshake_done());
  EXPECT_TRUE(pair.server->handshake_done());
  EXPECT_THAT(verifier_->names, ElementsAre("a.test"));
  EXPECT_THAT(verifier_->resumed, ElementsAre(false));
  EXPECT_EQ(woken_, 0);
}

TEST_F(PeerVerifierTest, TheHandshakeWaitsForALaterAnswer) {
  EnginePair pair = Connect();
  EXPECT_FALSE(pair.client->handshake_done());
  EXPECT_TRUE(pair.client->waits_for_answer());
  EXPECT_EQ(pair.client->Handshake(), IoState::kWouldBlock);
  EXPECT_EQ(pair.client->Write(AsBytes("early")).state, IoState::kWouldBlock);
  EXPECT_TRUE(pair.client->to_send().empty());
  ASSERT_EQ(verifier_->answers.size(), 1u) << "called once, for any number of calls of the engine";
  verifier_->answers[0](absl::OkStatus());
  EXPECT_EQ(woken_, 1);
  EXPECT_FALSE(pair.client->waits_for_answer());
  pair.Handshake();
  EXPECT_TRUE(pair.client->handshake_done()) << pair.client->status();
  EXPECT_TRUE(pair.server->handshake_done());
}

TEST_F(PeerVerifierTest, ARejectionEndsTheHandshakeAndIsReported) {
  EnginePair pair = Connect();
  verifier_->answers.at(0)(absl::PermissionDeniedError("not on the list"));
  pair.Handshake();
  EXPECT_EQ(CodeOf(pair.client->status()), ErrorCode::kCertificateUntrusted);
  EXPECT_EQ(AlertOf(pair.client->status()), 46 /* certificate_unknown */);
  EXPECT_THAT(pair.client->status().message(), HasSubstr("not on the list"));
  EXPECT_EQ(CodeOf(pair.server->status()), ErrorCode::kPeerAlert);
}

TEST_F(PeerVerifierTest, ARejectionMayHaveItsOwnCode) {
  Error error;
  error.code = ErrorCode::kCertificateExpired;
  error.detail = "the lease ran out";
  verifier_->at_once = MakeError(error);
  const EnginePair pair = Connect();
  EXPECT_EQ(CodeOf(pair.client->status()), ErrorCode::kCertificateExpired);
}

TEST_F(PeerVerifierTest, OnlyTheFirstAnswerCounts) {
  EnginePair pair = Connect();
  verifier_->answers.at(0)(absl::OkStatus());
  verifier_->answers.at(0)(absl::PermissionDeniedError("too late"));
  pair.Handshake();
  EXPECT_TRUE(pair.client->handshake_done());
  EXPECT_EQ(woken_, 1);
}

TEST_F(PeerVerifierTest, AnAnswerForADestroyedConnectionIsDropped) {
  Connect();
  verifier_->answers.at(0)(absl::OkStatus());
  EXPECT_EQ(woken_, 0);
}

TEST_F(PeerVerifierTest, IsNotCalledForRejectedCertificates) {
  EnginePair pair = MakePair({}, Asking(), {"b.test", {}});
  pair.Handshake();
  EXPECT_EQ(CodeOf(pair.client->status()), ErrorCode::kNameMismatch);
  EXPECT_TRUE(verifier_->names.empty());
}

TEST_F(PeerVerifierTest, IsCalledWithoutOtherVerification) {
  ClientTlsOptions options = Asking();
  options.dangerous_skip_verify = true;
  EnginePair pair = MakePair({}, std::move(options), {"b.test", {}});
  pair.Handshake();
  EXPECT_TRUE(pair.client->waits_for_answer());
  verifier_->answers.at(0)(absl::PermissionDeniedError("no"));
  pair.Handshake();
  EXPECT_EQ(CodeOf(pair.client->status()), ErrorCode::kCertificateUntrusted);
}

TEST_F(PeerVerifierTest, IsCalledAgainWhenASessionIsResumed) {
  for (const TlsVersion version : {TlsVersion::kTls12, TlsVersion::kTls13}) {
    verifier_->at_once = absl::OkStatus();
    verifier_->resumed.clear();
    ClientSessionCache cache;
    ServerTlsOptions server;
    server.parameters = Only(version);
    const auto server_config = MakeServerConfig(std::move(server));
    const auto client_config = MakeClientConfig(Asking());
    ClientTlsTarget target;
    target.server_name = "a.test";
    target.sessions = &cache;
    const auto connect = [&] {
      EnginePair pair{*TlsEngine::NewClient(client_config, target, loop_, Leg::kBack),
                      TlsEngine::NewServer(server_config, loop_, Leg::kFront)};
      pair.Handshake();
      if (!pair.client->handshake_done()) return pair;
      WriteAll(*pair.server, "tickets go first");
      pair.Carry();
      EXPECT_EQ(ReadAll(*pair.client), "tickets go first");
      return pair;
    };
    EXPECT_FALSE(connect().client->info().resumed);
    EXPECT_TRUE(connect().client->info().resumed);
    verifier_->at_once = absl::PermissionDeniedError("no longer");
    EXPECT_EQ(CodeOf(connect().client->status()), ErrorCode::kCertificateUntrusted);
    EXPECT_EQ(cache.sessions(), 0u) << "sessions of a rejected server are forgotten";
    EXPECT_THAT(verifier_->resumed, ElementsAre(false, true, true));
  }
}

// The same over streams.
class WaitingStreamTest : public PeerVerifierTest {
 protected:
  void Connect() {
    auto [client_end, server_end] = NewMemoryPair(loop_);
    client_ = std::make_unique<TlsStream>(MakeClient(Asking()), std::move(client_end), loop_);
    server_ = std::make_unique<TlsStream>(MakeServer(), std::move(server_end), loop_);
    client_->Handshake([this](absl::Status status) { done_ = std::move(status); });
    server_->Handshake([](const absl::Status&) {});
    loop_.RunReady();
    EXPECT_FALSE(done_.has_value());
  }

  std::unique_ptr<TlsStream> client_;
  std::unique_ptr<TlsStream> server_;
  std::optional<absl::Status> done_;
};

TEST_F(WaitingStreamTest, ContinuesAfterTheAnswer) {
  Connect();
  loop_.RunFor(absl::Seconds(3));
  EXPECT_FALSE(done_.has_value());
  verifier_->answers.at(0)(absl::OkStatus());
  EXPECT_FALSE(done_.has_value()) << "not from inside the answer";
  loop_.RunReady();
  ASSERT_TRUE(done_.has_value());
  EXPECT_TRUE(done_->ok()) << *done_;
  StreamPeer client(loop_, std::move(client_));
  StreamPeer server(loop_, std::move(server_));
  client.Send("question");
  server.Send("answer");
  loop_.RunReady();
  EXPECT_EQ(server.received(), "question");
  EXPECT_EQ(client.received(), "answer");
}

TEST_F(WaitingStreamTest, FailsAfterARejection) {
  Connect();
  verifier_->answers.at(0)(absl::PermissionDeniedError("no"));
  loop_.RunReady();
  ASSERT_TRUE(done_.has_value());
  EXPECT_EQ(CodeOf(*done_), ErrorCode::kCertificateUntrusted);
}

TEST_F(WaitingStreamTest, DetectsThatThePeerHasClosed) {
  Connect();
  server_->Abort();
  loop_.RunReady();
  ASSERT_TRUE(done_.has_value());
  EXPECT_EQ(CodeOf(*done_), ErrorCode::kTruncated);
  verifier_->answers.at(0)(absl::OkStatus());
  loop_.RunReady();
}

TEST_F(WaitingStreamTest, APeerThatEndsItsDirectionIsStillAnswered) {
  Connect();
  server_->ShutdownWrite(StreamEnd::kClean);
  loop_.RunReady();
  EXPECT_FALSE(done_.has_value());
  verifier_->answers.at(0)(absl::OkStatus());
  loop_.RunReady();
  ASSERT_TRUE(done_.has_value());
  EXPECT_TRUE(done_->ok()) << *done_;
}

TEST_F(WaitingStreamTest, MayBeDestroyedOrAbortedWhileItWaits) {
  Connect();
  client_.reset();
  verifier_->answers.at(0)(absl::OkStatus());
  loop_.RunReady();
  Connect();
  client_->Abort();
  verifier_->answers.at(1)(absl::OkStatus());
  loop_.RunReady();
  EXPECT_FALSE(done_.has_value());
  client_.reset();
  EXPECT_EQ(loop_.buffers().lent_blocks(), 0u) << "no buffer is kept for the answer";
}

// A peer can't fill memory while the verdict is pending.
TEST_F(WaitingStreamTest, ThePeersBytesMeanwhileAreBounded) {
  auto [client_end, server_end] = NewMemoryPair(loop_);
  client_ = std::make_unique<TlsStream>(MakeClient(Asking()), std::move(client_end), loop_);
  client_->Handshake([this](absl::Status status) { done_ = std::move(status); });
  std::unique_ptr<TlsEngine> server = MakeServer();
  StreamPeer peer(loop_, std::move(server_end));
  loop_.RunReady();
  server->received().Append(AsBytes(peer.received()));
  server->Handshake();
  peer.Send(AsText(server->to_send().view()));
  loop_.RunReady();
  ASSERT_EQ(verifier_->answers.size(), 1u);
  peer.Send(std::string(1024 * 1024, 'x'));
  loop_.RunFor(absl::Seconds(1));
  EXPECT_GT(peer.unsent_bytes(), 1024u * 1024 - 3 * 64 * 1024);
  verifier_->answers[0](absl::OkStatus());
  loop_.RunReady();
  ASSERT_TRUE(done_.has_value());
}

}  // namespace
}  // namespace trestle::testing
