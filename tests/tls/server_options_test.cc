// A server's options besides certificates and policies: presets, ALPN mismatches, staples,
// compressed certificates, small first records, a key log.
#include <openssl/bytestring.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/resuming_client.h"
#include "tests/tls/tls_fixture.h"

namespace trestle::testing {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::StartsWith;

// ---- Presets ----

class PresetTest : public TlsTest {
 protected:
  absl::Status Connect(TlsPreset preset, uint16_t version) {
    ServerTlsOptions options;
    options.parameters = ParametersOf(preset);
    ResumingClient client(version);
    return client.TryConnect(MakeServerConfig(std::move(options)), loop_, "a.test");
  }
};

TEST_F(PresetTest, ModernIsTls13Only) {
  EXPECT_TRUE(Connect(TlsPreset::kModern, TLS1_3_VERSION).ok());
  EXPECT_EQ(CodeOf(Connect(TlsPreset::kModern, TLS1_2_VERSION)), ErrorCode::kNoCommonParameters);
}

TEST_F(PresetTest, IntermediateIsTheDefault) {
  EXPECT_TRUE(Connect(TlsPreset::kIntermediate, TLS1_3_VERSION).ok());
  EXPECT_TRUE(Connect(TlsPreset::kIntermediate, TLS1_2_VERSION).ok());
  const TlsParameters parameters = ParametersOf(TlsPreset::kIntermediate);
  EXPECT_EQ(parameters.min_version, TlsParameters().min_version);
  EXPECT_EQ(parameters.groups, TlsParameters().groups);
}

// ---- Server names ----

// Notes the name's acknowledgement (RFC 6066 3) in a ServerHello of TLS 1.2 or in
// EncryptedExtensions.
void NoteAcknowledgement(int is_write, int /*version*/, int content_type, const void* data,
                         size_t bytes, SSL* /*ssl*/, void* acknowledged) {
  CBS message;
  CBS body;
  CBS session_id;
  CBS extensions;
  uint8_t type = 0;
  CBS_init(&message, static_cast<const uint8_t*>(data), bytes);
  if (is_write != 0 || content_type != SSL3_RT_HANDSHAKE || !CBS_get_u8(&message, &type) ||
      !CBS_get_u24_length_prefixed(&message, &body)) {
    return;
  }
  if (type == SSL3_MT_SERVER_HELLO) {
    // Version and random bytes; then cipher and compression.
    if (!CBS_skip(&body, 2 + 32) || !CBS_get_u8_length_prefixed(&body, &session_id) ||
        !CBS_skip(&body, 2 + 1)) {
      return;
    }
  } else if (type != SSL3_MT_ENCRYPTED_EXTENSIONS) {
    return;
  }
  uint16_t extension = 0;
  CBS value;
  if (!CBS_get_u16_length_prefixed(&body, &extensions)) return;
  while (CBS_get_u16(&extensions, &extension) && CBS_get_u16_length_prefixed(&extensions, &value)) {
    if (extension == TLSEXT_TYPE_server_name) *static_cast<bool*>(acknowledged) = true;
  }
}

TEST_F(PresetTest, ANameThatTheServerUsesIsAcknowledged) {
  for (const uint16_t version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    ResumingClient client(version);
    bool acknowledged = false;
    SSL_CTX_set_msg_callback(client.context(), NoteAcknowledgement);
    SSL_CTX_set_msg_callback_arg(client.context(), &acknowledged);
    const auto config = MakeServerConfig();
    ASSERT_TRUE(client.TryConnect(config, loop_, "a.test").ok());
    EXPECT_TRUE(acknowledged);
    // Not if it is resumed (RFC 8446 4.2.11), and not for a name without a certificate.
    for (const char* name : {"a.test", "other.test"}) {
      acknowledged = false;
      ASSERT_TRUE(client.TryConnect(config, loop_, name).ok());
      EXPECT_FALSE(acknowledged) << name;
    }
  }
}

// ---- ALPN ----

TEST_F(PresetTest, WithoutACommonProtocolTheServersPolicyDecides) {
  ServerTlsOptions options;
  options.alpn = {"h2", "http/1.1"};
  for (const AlpnMismatch policy : {AlpnMismatch::kRefuse, AlpnMismatch::kServeWithout}) {
    options.alpn_mismatch = policy;
    ResumingClient client(TLS1_3_VERSION);
    const uint8_t other[] = {3, 'f', 't', 'p'};
    ASSERT_EQ(SSL_CTX_set_alpn_protos(client.context(), other, sizeof(other)), 0);
    const absl::Status status = client.TryConnect(MakeServerConfig(options), loop_, "a.test");
    if (policy == AlpnMismatch::kRefuse) {
      EXPECT_EQ(CodeOf(status), ErrorCode::kAlpnMismatch);
      continue;
    }
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(client.info().alpn, "");
  }
}

TEST_F(PresetTest, SessionsDoNotCrossAlpnPolicies) {
  ServerTlsOptions refusing;
  refusing.certificates = MakeStore({LeafFor("a.test")});
  refusing.alpn = {"h2"};
  refusing.ticket_keys = TicketKeyRing::InMemory();
  ServerTlsOptions serving = refusing;
  serving.alpn_mismatch = AlpnMismatch::kServeWithout;
  const auto one = MakeServerConfig(refusing);
  const auto two = MakeServerConfig(serving);
  for (const uint16_t version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    ResumingClient client(version);
    EXPECT_FALSE(client.Connect(one, loop_, "a.test"));
    EXPECT_FALSE(client.Connect(two, loop_, "a.test"));
    EXPECT_TRUE(client.Connect(two, loop_, "a.test"));
  }
}

// ---- Staples ----

class StapleTest : public TlsTest {
 protected:
  absl::StatusOr<std::shared_ptr<const Credential>> Make(const PemPair& pair,
                                                         const std::string& staple) {
    CredentialOptions options;
    options.staple = staple;
    return Credential::FromPem(pair.chain, pair.key, options);
  }

  // Returns why `staple` isn't sent; the certificate is served without it.
  std::string FailureOf(const PemPair& pair, const std::string& staple) {
    const auto made = Make(pair, staple);
    EXPECT_TRUE(made.ok()) << made.status();
    EXPECT_EQ(StapleShown(*made), "");
    EXPECT_EQ((*made)->staple_end(), absl::InfinitePast());
    return (*made)->staple_fault();
  }

  // Returns the staple that a requesting client receives.
  std::string StapleShown(const std::shared_ptr<const Credential>& credential) {
    ServerTlsOptions server;
    server.certificates = *CertificateStore::Create({credential}, loop_.Now());
    ResumingClient client(TLS1_3_VERSION);
    SSL_CTX_enable_ocsp_stapling(client.context());
    std::unique_ptr<TlsEngine> engine =
        TlsEngine::NewServer(MakeServerConfig(std::move(server)), loop_, Leg::kFront);
    RawPeer peer(client.context(), /*is_server=*/false);
    peer.Handshake(*engine);
    EXPECT_TRUE(engine->handshake_done()) << engine->status();
    EXPECT_FALSE(engine->info().local_chain.empty());
    const uint8_t* staple = nullptr;
    size_t bytes = 0;
    SSL_get0_ocsp_response(peer.ssl(), &staple, &bytes);
    return std::string(AsText(ByteView(staple, bytes)));
  }

  TestPki intermediate_{pki_, "Intermediate"};
  const PemPair pair_ = intermediate_.Issue(LeafFor("a.test"));
};

TEST_F(StapleTest, IsSentDuringItsDates) {
  StapleSpec spec;
  spec.this_update = loop_.Now() - absl::Hours(1);
  spec.next_update = loop_.Now() + absl::Hours(1);
  const std::string staple = intermediate_.IssueStaple(pair_, spec);
  const auto credential = *Make(pair_, staple);
  EXPECT_EQ(credential->staple_end(), spec.next_update);
  EXPECT_EQ(StapleShown(credential), staple);
  loop_.RunFor(absl::Hours(2));
  EXPECT_EQ(StapleShown(credential), "") << "an outdated one would be harmful";
  EXPECT_EQ(StapleShown(*Make(pair_, "")), "");
}

TEST_F(StapleTest, AnOutdatedStapleIsNoFault) {
  StapleSpec spec;
  spec.this_update = loop_.Now() - absl::Hours(48);
  spec.next_update = loop_.Now() - absl::Hours(24);
  const auto credential = Make(pair_, intermediate_.IssueStaple(pair_, spec));
  ASSERT_TRUE(credential.ok()) << credential.status();
  EXPECT_EQ(StapleShown(*credential), "");
}

TEST_F(StapleTest, AStapleThatIsNotGoodIsOmittedAndReported) {
  StapleSpec revoked;
  revoked.answer = StapleSpec::Answer::kRevoked;
  EXPECT_THAT(FailureOf(pair_, intermediate_.IssueStaple(pair_, revoked)), HasSubstr("revoked"));
  StapleSpec unknown;
  unknown.answer = StapleSpec::Answer::kUnknown;
  EXPECT_THAT(FailureOf(pair_, intermediate_.IssueStaple(pair_, unknown)),
              HasSubstr("does not know"));
  const PemPair other = intermediate_.Issue(LeafFor("b.test"));
  EXPECT_THAT(FailureOf(pair_, intermediate_.IssueStaple(other)),
              HasSubstr("about another certificate"));
  TestPki stranger(pki_, "Stranger");
  EXPECT_THAT(FailureOf(pair_, stranger.IssueStaple(pair_)),
              HasSubstr("about another certificate"));
  EXPECT_THAT(FailureOf(pair_, "nonsense"), HasSubstr("doesn't parse"));
  const PemPair alone = pki_.Issue(LeafFor("a.test"));
  EXPECT_THAT(FailureOf(alone, pki_.IssueStaple(alone)), HasSubstr("no certificate of the issuer"));
  // tryLater and unauthorized (RFC 6960 4.2.1), and pages of web servers.
  EXPECT_EQ(FailureOf(pair_, std::string("\x30\x03\x0a\x01\x03", 5)),
            "the responder answered with an error");
  EXPECT_EQ(FailureOf(pair_, std::string("\x30\x03\x0a\x01\x06", 5)),
            "the responder answered with an error");
  EXPECT_EQ(FailureOf(pair_, "<html>"), "it doesn't parse");
  EXPECT_EQ(FailureOf(pair_, "-----BEGIN OCSP RESPONSE-----\n"), "it is PEM, not DER");
}

// ---- Compressed certificates ----

// "Compresses" by reversing the bytes.
class Reverser final : public CertificateCompressor {
 public:
  explicit Reverser(CompressionAlgorithm algorithm) : algorithm_(algorithm) {}

  CompressionAlgorithm algorithm() const override { return algorithm_; }

  std::optional<std::string> Compress(ByteView certificates) const override {
    ++calls;
    if (fails) return std::nullopt;
    return std::string(certificates.rbegin(), certificates.rend());
  }

  mutable int calls = 0;
  bool fails = false;

 private:
  const CompressionAlgorithm algorithm_;
};

int TurnBack(SSL* /*ssl*/, CRYPTO_BUFFER** out, size_t bytes, const uint8_t* in, size_t in_bytes) {
  if (bytes != in_bytes) return 0;
  std::string text(in, in + in_bytes);
  std::reverse(text.begin(), text.end());
  *out = CRYPTO_BUFFER_new(AsBytes(text).data(), text.size(), nullptr);
  return 1;
}

class CompressionTest : public TlsTest {
 protected:
  CompressionTest() {
    options_.certificates = MakeStore({LeafFor("a.test"), LeafFor("b.test")});
    options_.certificate_compressors = {brotli_, zlib_};
  }

  absl::Status Connect(const char* name, std::vector<CompressionAlgorithm> offered) {
    ResumingClient client(TLS1_3_VERSION);
    for (const CompressionAlgorithm algorithm : offered) {
      SSL_CTX_add_cert_compression_alg(client.context(), static_cast<uint16_t>(algorithm), nullptr,
                                       TurnBack);
    }
    return client.TryConnect(config_, loop_, name);
  }

  const std::shared_ptr<Reverser> brotli_ =
      std::make_shared<Reverser>(CompressionAlgorithm::kBrotli);
  const std::shared_ptr<Reverser> zlib_ = std::make_shared<Reverser>(CompressionAlgorithm::kZlib);
  ServerTlsOptions options_;
  std::shared_ptr<const ServerTlsConfig> config_;
};

TEST_F(CompressionTest, IsDoneOncePerCredential) {
  config_ = MakeServerConfig(options_);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(Connect("a.test", {CompressionAlgorithm::kBrotli}).ok());
  }
  EXPECT_EQ(brotli_->calls, 1);
  EXPECT_TRUE(Connect("b.test", {CompressionAlgorithm::kBrotli}).ok());
  EXPECT_EQ(brotli_->calls, 2);
  EXPECT_EQ(zlib_->calls, 0);
}

TEST_F(CompressionTest, UsesTheServersPreferenceAmongTheClientsAlgorithms) {
  config_ = MakeServerConfig(options_);
  EXPECT_TRUE(Connect("a.test", {CompressionAlgorithm::kZlib, CompressionAlgorithm::kBrotli}).ok());
  EXPECT_EQ(brotli_->calls, 1);
  EXPECT_TRUE(Connect("a.test", {CompressionAlgorithm::kZlib}).ok());
  EXPECT_EQ(zlib_->calls, 1);
  EXPECT_TRUE(Connect("a.test", {CompressionAlgorithm::kZstd}).ok());
  EXPECT_TRUE(Connect("a.test", {}).ok());
  EXPECT_EQ(brotli_->calls + zlib_->calls, 2);
}

TEST_F(CompressionTest, AFailureIsNotCached) {
  config_ = MakeServerConfig(options_);
  brotli_->fails = true;
  EXPECT_EQ(CodeOf(Connect("a.test", {CompressionAlgorithm::kBrotli})), ErrorCode::kInternal);
  brotli_->fails = false;
  EXPECT_TRUE(Connect("a.test", {CompressionAlgorithm::kBrotli}).ok());
}

TEST_F(CompressionTest, UnknownAndDuplicateAlgorithmsAreRejected) {
  const auto refusal = [this](std::shared_ptr<const CertificateCompressor> second) {
    options_.certificate_compressors = {brotli_, std::move(second)};
    const auto made = ServerTlsConfig::Create(options_);
    EXPECT_EQ(CodeOf(made.status()), ErrorCode::kConfiguration);
    return GetError(made.status())->detail;
  };
  EXPECT_THAT(refusal(nullptr), HasSubstr("is null"));
  EXPECT_THAT(refusal(brotli_), HasSubstr("algorithm 2 is repeated"));
  EXPECT_THAT(refusal(std::make_shared<Reverser>(static_cast<CompressionAlgorithm>(99))),
              HasSubstr("algorithm 99"));
}

// ---- Records ----

class RecordSizeTest : public TlsTest {
 protected:
  // Writes `bytes` and returns the lengths of the resulting records.
  std::vector<size_t> Write(EnginePair& pair, size_t bytes) {
    std::vector<size_t> lengths;
    const std::string text(16 * 1024, 'x');
    for (size_t written = 0; written < bytes; written += text.size()) {
      WriteAll(*pair.server, text);
      const ByteView records = pair.server->to_send().view();
      for (size_t at = 0; at < records.size(); at += 5 + lengths.back()) {
        lengths.push_back(static_cast<size_t>(records[at + 3]) << 8 | records[at + 4]);
      }
      pair.Carry();
      EXPECT_EQ(ReadAll(*pair.client), text);
    }
    return lengths;
  }

  EnginePair Join(bool dynamic) {
    ServerTlsOptions options;
    options.dynamic_record_sizing = dynamic;
    EnginePair pair = MakePair(std::move(options));
    pair.Handshake();
    pair.server->QueueTickets();
    pair.Carry();
    EXPECT_EQ(ReadAll(*pair.client), "");
    return pair;
  }

  // A segment of 1,400 bytes less the record's header.
  static constexpr size_t kSmall = 1395;
};

TEST_F(RecordSizeTest, SmallFirstThenLargeAndSmallAgainAfterIdleTime) {
  EnginePair pair = Join(true);
  EXPECT_THAT(Write(pair, 128 * 1024), Each(Le(kSmall)));
  EXPECT_THAT(Write(pair, 64 * 1024), Contains(::testing::Gt(16000u)));
  loop_.RunFor(absl::Milliseconds(900));
  EXPECT_THAT(Write(pair, 16 * 1024), Each(::testing::Gt(kSmall)));
  loop_.RunFor(absl::Seconds(1));
  EXPECT_THAT(Write(pair, 128 * 1024), Each(Le(kSmall)));
}

TEST_F(RecordSizeTest, LargeFromTheStartByDefault) {
  EnginePair pair = Join(false);
  EXPECT_THAT(Write(pair, 64 * 1024), Each(::testing::Gt(kSmall)));
}

// ---- Key log ----

class Lines final : public KeyLog {
 public:
  void OnLine(absl::string_view line) const override {
    absl::MutexLock lock(&mutex_);
    lines_.emplace_back(line);
  }

  std::vector<std::string> Take() const {
    absl::MutexLock lock(&mutex_);
    return std::move(lines_);
  }

 private:
  mutable absl::Mutex mutex_;
  mutable std::vector<std::string> lines_;
};

TEST_F(PresetTest, OnlyTheDangerousOptionLogsKeys) {
  const auto log = std::make_shared<Lines>();
  ServerTlsOptions options;
  options.dangerous_key_log = log;
  const auto logging = MakeServerConfig(std::move(options));
  ResumingClient client(TLS1_3_VERSION);
  client.Connect(logging, loop_, "a.test");
  EXPECT_THAT(log->Take(), Contains(StartsWith("CLIENT_TRAFFIC_SECRET_0 ")));
  ResumingClient old_client(TLS1_2_VERSION);
  old_client.Connect(logging, loop_, "a.test");
  EXPECT_THAT(log->Take(), Contains(StartsWith("CLIENT_RANDOM ")));
  client.ForgetAll();
  client.Connect(MakeServerConfig(), loop_, "a.test");
  EXPECT_TRUE(log->Take().empty());
}

}  // namespace
}  // namespace trestle::testing
