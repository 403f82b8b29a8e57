// EchKeyOpener opens hellos of BoringSSL's client for a BoringSSL server without ECH keys. The
// server confirms the inner hello, and the client accepts.
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/ech_forge.h"
#include "tests/tls/ech_pair.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/base/error.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/tls/ech_key_opener.h"
#include "trestle/tls/ech_keys.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;

constexpr absl::string_view kChangeCipherSpec("\x14\x03\x03\x00\x01\x01", 6);

EchOpening Open(EchOpener& opener, const ClientHello& hello) {
  return opener.Open(hello, Endpoint(), MonotonicTime());
}

// A client, a server without ECH keys, and between them a router's work.
class SplitMode {
 public:
  SplitMode(EchOpener& opener, SSL_CTX* client, SSL_CTX* server)
      : opener_(opener), client(client, false), server(server, true) {}

  // Runs the handshake to its end.
  void Run() {
    client.Handshake();
    first_ = ReadHello(client.TakeOutput());
    opening = Open(opener_, first_->hello());
    if (opening.verdict != EchVerdict::kOpened) return;
    GiveInner(*opening.inner, *first_);
    server.Handshake();
    if (BackToClient(); SSL_in_init(client.ssl()) == 1 && HelloComesAgain()) {
      second = opening.context->OpenSecond(second_->hello());
      if (second.verdict != EchVerdict::kOpened) return;
      GiveInner(*second.inner, *second_);
    }
    for (int i = 0; i < 4; ++i) {
      server.Handshake();
      BackToClient();
      server.GiveInput(client.TakeOutput());
    }
  }

  bool accepted() {
    return SSL_in_init(client.ssl()) == 0 && SSL_in_init(server.ssl()) == 0 &&
           SSL_ech_accepted(client.ssl()) == 1;
  }

 private:
  static std::unique_ptr<ClientHelloReader> ReadHello(absl::string_view bytes) {
    auto reader = std::make_unique<ClientHelloReader>();
    EXPECT_EQ(reader->Feed(AsBytes(bytes)), HelloState::kDone) << reader->error();
    return reader;
  }

  void GiveInner(const InnerHello& inner, const ClientHelloReader& outer) {
    server.GiveInput(InRecords(inner.message));
    server.GiveInput(AsText(outer.after_hello()));
  }

  void BackToClient() {
    client.GiveInput(server.TakeOutput());
    client.Handshake();
  }

  // After a HelloRetryRequest, the client sends change_cipher_spec and its second hello.
  bool HelloComesAgain() {
    const std::string out = client.TakeOutput();
    absl::string_view rest = out;
    if (absl::ConsumePrefix(&rest, kChangeCipherSpec) && rest[0] == 22) {
      server.GiveInput(kChangeCipherSpec);
      second_ = ReadHello(rest);
      return true;
    }
    server.GiveInput(out);
    return false;
  }

  EchOpener& opener_;
  std::unique_ptr<ClientHelloReader> first_;
  std::unique_ptr<ClientHelloReader> second_;

 public:
  RawPeer client;
  RawPeer server;
  EchOpening opening;
  EchOpening second;
};

class EchOpenerTest : public TlsTest {
 protected:
  EchOpenerTest() { UsePem(server_.get(), pki_.Issue(LeafFor("hidden.test"))); }

  SplitMode Pair(EchOpener& opener, const EchPair& pair) {
    SplitMode split(opener, client_.get(), server_.get());
    const ByteView list = AsBytes(pair.config_list);
    EXPECT_TRUE(SSL_set1_ech_config_list(split.client.ssl(), list.data(), list.size()));
    EXPECT_TRUE(SSL_set_tlsext_host_name(split.client.ssl(), "Hidden.test"));
    const uint8_t alpn[] = "\x02h2\x08http/1.1";
    EXPECT_EQ(SSL_set_alpn_protos(split.client.ssl(), alpn, sizeof(alpn) - 1), 0);
    return split;
  }

  const EchPair pair_ = NewEchPair(7, "public.test");
  const EchPair other_ = NewEchPair(8, "public.test");
  const std::shared_ptr<EchKeys> keys_ = *EchKeys::FromPem(pair_.pem());
  const std::shared_ptr<EchKeyOpener> opener_ = *EchKeyOpener::Create(keys_, kNoBudget);
  bssl::UniquePtr<SSL_CTX> client_ = MakeRawContext();
  bssl::UniquePtr<SSL_CTX> server_ = MakeRawContext();
};

TEST_F(EchOpenerTest, TheServerConfirmsTheInnerHello) {
  for (uint16_t group : {SSL_GROUP_X25519, SSL_GROUP_X25519_MLKEM768, SSL_GROUP_SECP256R1}) {
    SCOPED_TRACE(group);
    SSL_CTX_set1_group_ids(client_.get(), &group, 1);
    SSL_CTX_set1_group_ids(server_.get(), &group, 1);
    SplitMode split = Pair(*opener_, pair_);
    split.Run();
    EXPECT_TRUE(split.accepted());
    EXPECT_EQ(split.opening.config_id, 7);
    EXPECT_EQ(split.opening.inner->hello.server_name, "hidden.test");
    EXPECT_THAT(split.opening.inner->hello.alpn, ElementsAre("h2", "http/1.1"));
    EXPECT_STREQ(SSL_get_servername(split.server.ssl(), TLSEXT_NAMETYPE_host_name), "Hidden.test");
    EXPECT_EQ(SSL_get_group_id(split.client.ssl()), group);
  }
}

TEST_F(EchOpenerTest, TheSecondHelloIsOpenedWithTheSameContext) {
  for (uint16_t wanted : {SSL_GROUP_SECP384R1, SSL_GROUP_X25519_MLKEM768}) {
    SCOPED_TRACE(wanted);
    const uint16_t groups[] = {SSL_GROUP_X25519, wanted};
    SSL_CTX_set1_group_ids(client_.get(), groups, 2);
    SSL_CTX_set1_group_ids(server_.get(), &wanted, 1);
    SplitMode split = Pair(*opener_, pair_);
    // Otherwise it sends a share of each.
    ASSERT_TRUE(SSL_set1_client_key_shares(split.client.ssl(), groups, 1));
    split.Run();
    EXPECT_TRUE(split.accepted());
    EXPECT_TRUE(SSL_used_hello_retry_request(split.client.ssl()));
    EXPECT_EQ(split.second.verdict, EchVerdict::kOpened);
    EXPECT_EQ(split.second.inner->hello.server_name, "hidden.test");
  }
}

TEST_F(EchOpenerTest, AKeyIsReplacedBetweenTheHellos) {
  const uint16_t groups[] = {SSL_GROUP_X25519, SSL_GROUP_SECP384R1};
  SSL_CTX_set1_group_ids(client_.get(), groups, 2);
  SSL_CTX_set1_group_ids(server_.get(), groups + 1, 1);
  SplitMode split = Pair(*opener_, pair_);
  split.client.Handshake();
  EchForge forge(pair_);
  forge.config_id = 7;
  const std::string first = forge.Seal(OuterHello(), EchForge::Encode(InnerHelloFor("a.test")));
  ClientHello hello;
  ASSERT_TRUE(ParseClientHello(AsBytes(first), {}, hello).ok());
  const EchOpening opening = Open(*opener_, hello);
  ASSERT_EQ(opening.verdict, EchVerdict::kOpened);
  ASSERT_TRUE(keys_->Replace(other_.pem()).ok());
  EXPECT_EQ(Open(*opener_, hello).verdict, EchVerdict::kNoKey);
  forge.send_key = false;
  const std::string second = forge.Seal(OuterHello(), EchForge::Encode(InnerHelloFor("a.test"), 9));
  ASSERT_TRUE(ParseClientHello(AsBytes(second), {}, hello).ok());
  EXPECT_EQ(opening.context->OpenSecond(hello).verdict, EchVerdict::kOpened);
  const EchCounts::OfConfig counts = opener_->counts().by_config_id.at(7);
  EXPECT_EQ(counts.opened, 1u);
  EXPECT_EQ(counts.second_opened, 1u);
  EXPECT_EQ(counts.malformed, 0u);
}

TEST_F(EchOpenerTest, AHelloThatCannotBeOpenedIsUsedAsTheOuterHello) {
  EchForge forge(pair_);
  const auto verdict = [&](const std::string& message) {
    ClientHello hello;
    EXPECT_TRUE(ParseClientHello(AsBytes(message), {}, hello).ok());
    return Open(*opener_, hello).verdict;
  };
  const std::string inner = EchForge::Encode(InnerHelloFor("a.test"));
  EXPECT_EQ(verdict(ClassicHello("a.test").Message()), EchVerdict::kNotOffered);
  EXPECT_EQ(verdict(forge.Seal(OuterHello(), inner)), EchVerdict::kNoKey) << "another id";
  forge.config_id = 7;
  EXPECT_EQ(verdict(forge.Seal(OuterHello(), inner)), EchVerdict::kNotDecrypted) << "third message";
  forge.kdf_id = EVP_HPKE_HKDF_SHA384;
  EXPECT_EQ(verdict(forge.Seal(OuterHello(), inner)), EchVerdict::kNoKey) << "another suite";
  EXPECT_EQ(verdict(PostQuantumHello("a.test").AddEchOuter(7, 200).Message()),
            EchVerdict::kNotDecrypted)
      << "GREASE with the id of a key";
  EXPECT_EQ(verdict(PostQuantumHello("a.test").AddEchOuter(7, 3).Message()),
            EchVerdict::kNotDecrypted)
      << "shorter than a tag";
  EchForge keyless(pair_);
  keyless.config_id = 7;
  keyless.send_key = false;
  EXPECT_EQ(verdict(keyless.Seal(OuterHello(), inner)), EchVerdict::kNotDecrypted);
}

// Only hellos with the config id of a key use the budget.
TEST_F(EchOpenerTest, ABudgetLimitsTheDecryptions) {
  EchBudget budget;
  budget.per_second = 3;
  budget.per_second_per_client = 2;
  const std::shared_ptr<EchKeyOpener> opener = *EchKeyOpener::Create(keys_, budget);
  const auto verdict = [&](const std::string& message, const char* client, int second) {
    ClientHello hello;
    EXPECT_TRUE(ParseClientHello(AsBytes(message), {}, hello).ok());
    const auto now = MonotonicTime::FromStart(absl::Seconds(second));
    return opener->Open(hello, *Endpoint::Parse(client), now).verdict;
  };
  const std::string grease = PostQuantumHello("a.test").AddEchOuter(7, 200).Message();
  const std::string other = PostQuantumHello("a.test").AddEchOuter(8, 200).Message();
  EXPECT_EQ(verdict(grease, "192.0.2.1:1", 1), EchVerdict::kNotDecrypted);
  EXPECT_EQ(verdict(grease, "192.0.2.1:2", 1), EchVerdict::kNotDecrypted);
  EXPECT_EQ(verdict(grease, "192.0.2.1:3", 1), EchVerdict::kOverBudget);
  EXPECT_EQ(verdict(other, "192.0.2.1:3", 1), EchVerdict::kNoKey);
  EXPECT_EQ(verdict(grease, "192.0.2.2:1", 1), EchVerdict::kNotDecrypted);
  EXPECT_EQ(verdict(grease, "192.0.2.3:1", 1), EchVerdict::kOverBudget) << "the overall budget";
  EXPECT_EQ(verdict(grease, "192.0.2.1:1", 2), EchVerdict::kNotDecrypted);
  const EchCounts counts = opener->counts();
  EXPECT_EQ(counts.no_key, 1u);
  ASSERT_EQ(counts.by_config_id.size(), 1u);
  EXPECT_EQ(counts.by_config_id.at(7).not_decrypted, 4u);
  EXPECT_EQ(counts.by_config_id.at(7).over_budget, 2u);
  budget.per_second = -1;
  EXPECT_EQ(CodeOf(EchKeyOpener::Create(keys_, budget).status()), ErrorCode::kConfiguration);
}

TEST_F(EchOpenerTest, AChangedBitOfTheOuterHelloIsDetected) {
  EchForge forge(pair_);
  forge.config_id = 7;
  std::string message = forge.Seal(OuterHello(), EchForge::Encode(InnerHelloFor("a.test")));
  ClientHello hello;
  ASSERT_TRUE(ParseClientHello(AsBytes(message), {}, hello).ok());
  EXPECT_EQ(Open(*opener_, hello).verdict, EchVerdict::kOpened);
  for (const ByteView part : {hello.random, hello.session_id, hello.cipher_suites.bytes(),
                              hello.ech->enc, hello.ech->payload}) {
    const size_t at = part.data() - AsBytes(message).data();
    message[at] ^= 1;
    EXPECT_EQ(Open(*opener_, hello).verdict, EchVerdict::kNotDecrypted) << at;
    message[at] ^= 1;
  }
  EXPECT_EQ(Open(*opener_, hello).verdict, EchVerdict::kOpened);
}

TEST_F(EchOpenerTest, ReferencesAreReplaced) {
  EchForge forge(pair_);
  forge.config_id = 7;
  HelloBuilder outer = OuterHello();
  HelloBuilder inner = PostQuantumHello("a.test").SetRandom(2).SetVersions({0x0304});
  // Some extensions in between are in the outer hello only.
  for (uint16_t type : {kExtensionSupportedGroups, kExtensionSignatureAlgorithms}) {
    inner.Remove(type);
  }
  inner.Remove(kExtensionKeyShare)
      .Add(0xfd00, absl::string_view("\x06\x00\x0a\x00\x0d\x00\x33", 7))
      .Add(kExtensionEncryptedClientHello, "\x01");
  const std::string message = forge.Seal(outer, EchForge::Encode(inner, 100));
  ClientHello hello;
  ASSERT_TRUE(ParseClientHello(AsBytes(message), {}, hello).ok());
  const EchOpening opening = Open(*opener_, hello);
  ASSERT_EQ(opening.verdict, EchVerdict::kOpened) << opening.error;
  const ClientHello& restored = opening.inner->hello;
  EXPECT_EQ(restored.session_id, hello.session_id);
  EXPECT_NE(restored.random, hello.random);
  EXPECT_EQ(restored.server_name, "a.test");
  EXPECT_EQ(restored.Find(kExtensionKeyShare)->body, hello.Find(kExtensionKeyShare)->body);
  std::vector<uint16_t> order;
  for (const HelloExtension& extension : restored.extensions) order.push_back(extension.type);
  const size_t size = order.size();
  ASSERT_GT(size, 4u);
  EXPECT_EQ(order[size - 4], kExtensionSupportedGroups);
  EXPECT_EQ(order[size - 3], kExtensionSignatureAlgorithms);
  EXPECT_EQ(order[size - 2], kExtensionKeyShare);
  EXPECT_TRUE(restored.ech->is_inner);
}

}  // namespace
}  // namespace trestle::testing
