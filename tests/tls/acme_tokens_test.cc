// Challenges of ACME servers (TLS-ALPN-01): the certificate for them, which no other client
// receives.
#include "trestle/tls/acme_tokens.h"

#include <openssl/bytestring.h>
#include <openssl/obj.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/tls/engine/tls_internals.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/pki/sha256.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;

constexpr char kThumbprint[] = "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ";
constexpr char kChallenge[] =
    "\x0a"
    "acme-tls/1";

std::string KeyAuthorization(absl::string_view token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ") {
  return absl::StrCat(token, ".", kThumbprint);
}

std::string DigestOf(absl::string_view key_authorization) {
  const auto digest = Sha256(AsBytes(key_authorization));
  return std::string(digest.begin(), digest.end());
}

// The data that an ACME server reads from the answer, with all checks of RFC 8737 3.
struct Answer {
  std::string digest;
  std::string name;  // The only one, after the tag of its kind.
};

Answer ReadAnswer(const X509* certificate) {
  Answer answer;
  EXPECT_EQ(X509_get_ext_count(certificate), 2);
  bssl::UniquePtr<ASN1_OBJECT> oid(OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1));
  const X509_EXTENSION* extension =
      X509_get_ext(certificate, X509_get_ext_by_OBJ(certificate, oid.get(), -1));
  if (extension == nullptr) return answer;
  EXPECT_TRUE(X509_EXTENSION_get_critical(extension));
  const auto contents = [](const X509_EXTENSION* of) {
    const ASN1_OCTET_STRING* data = X509_EXTENSION_get_data(of);
    CBS cbs;
    CBS_init(&cbs, ASN1_STRING_get0_data(data), static_cast<size_t>(ASN1_STRING_length(data)));
    return cbs;
  };
  CBS value = contents(extension);
  CBS octets;
  EXPECT_TRUE(CBS_get_asn1(&value, &octets, CBS_ASN1_OCTETSTRING) && CBS_len(&value) == 0);
  answer.digest = std::string(AsText(ByteView(CBS_data(&octets), CBS_len(&octets))));
  value = contents(
      X509_get_ext(certificate, X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1)));
  CBS names;
  CBS name;
  CBS_ASN1_TAG tag;
  EXPECT_TRUE(CBS_get_asn1(&value, &names, CBS_ASN1_SEQUENCE));
  EXPECT_TRUE(CBS_get_any_asn1(&names, &name, &tag));
  EXPECT_EQ(CBS_len(&names), 0u) << "exactly one name";
  answer.name = absl::StrCat(tag & CBS_ASN1_TAG_NUMBER_MASK, ":",
                             AsText(ByteView(CBS_data(&name), CBS_len(&name))));
  bssl::UniquePtr<EVP_PKEY> key(X509_get_pubkey(certificate));
  EXPECT_EQ(X509_verify(const_cast<X509*>(certificate), key.get()), 1) << "self-signed";
  return answer;
}

class AcmeTokensTest : public TlsTest, public ::testing::WithParamInterface<uint16_t> {
 protected:
  AcmeTokensTest() {
    SSL_CTX_set_min_proto_version(context_.get(), GetParam());
    SSL_CTX_set_max_proto_version(context_.get(), GetParam());
    SSL_CTX_set_options(context_.get(), SSL_OP_NO_TICKET);
  }

  void MakeConfig(std::shared_ptr<AcmeTokens> tokens) {
    ServerTlsOptions options;
    options.acme_tokens = std::move(tokens);
    options.alpn = {"h2"};
    options.session_cache = sessions_;
    config_ = MakeServerConfig(std::move(options));
  }

  // Connects as an ACME server does, or with other protocols.
  RawPeer& Connect(const char* server_name, absl::string_view alpn = {kChallenge, 11}) {
    server_ = TlsEngine::NewServer(config_, loop_, Leg::kFront);
    client_ = std::make_unique<RawPeer>(context_.get(), /*is_server=*/false);
    if (server_name != nullptr) SSL_set_tlsext_host_name(client_->ssl(), server_name);
    SSL_set_alpn_protos(client_->ssl(), AsBytes(alpn).data(), alpn.size());
    client_->Handshake(*server_);
    return *client_;
  }

  Answer AnswerTo(const char* server_name) {
    RawPeer& client = Connect(server_name);
    EXPECT_TRUE(server_->handshake_done()) << server_->status();
    EXPECT_TRUE(server_->info().acme_challenge);
    EXPECT_EQ(server_->info().alpn, "acme-tls/1");
    EXPECT_EQ(sessions_->sessions(), 0u);
    bssl::UniquePtr<X509> certificate(SSL_get_peer_certificate(client.ssl()));
    return certificate == nullptr ? Answer() : ReadAnswer(certificate.get());
  }

  void ExpectRefusal(const char* server_name, ErrorCode code, absl::string_view detail) {
    Connect(server_name);
    EXPECT_EQ(CodeOf(server_->status()), code);
    EXPECT_EQ(AlertOf(server_->status()), SSL_AD_UNRECOGNIZED_NAME);
    EXPECT_THAT(GetError(server_->status())->detail, HasSubstr(detail));
  }

  const bssl::UniquePtr<SSL_CTX> context_ = MakeRawContext();
  const std::shared_ptr<ServerSessionCache> sessions_ = std::make_shared<ServerSessionCache>();
  std::shared_ptr<const ServerTlsConfig> config_;
  std::unique_ptr<TlsEngine> server_;
  std::unique_ptr<RawPeer> client_;
};

INSTANTIATE_TEST_SUITE_P(Versions, AcmeTokensTest,
                         ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION), [](const auto& info) {
                           return info.param == TLS1_2_VERSION ? "Tls12" : "Tls13";
                         });

TEST_P(AcmeTokensTest, AnswersForItsNames) {
  auto tokens = std::make_shared<AcmeTokens>();
  MakeConfig(tokens);
  ASSERT_TRUE(tokens->Set("New.Test.", KeyAuthorization()).ok());
  ASSERT_TRUE(tokens->Set("other.test", KeyAuthorization("b") + "\n").ok());
  EXPECT_EQ(tokens->size(), 2u);
  EXPECT_EQ(AnswerTo("new.test").digest, DigestOf(KeyAuthorization()));
  EXPECT_EQ(AnswerTo("NEW.test").name, "2:new.test");
  EXPECT_EQ(AnswerTo("other.test").digest, DigestOf(KeyAuthorization("b")));
  ASSERT_TRUE(tokens->Set("new.test", KeyAuthorization("c")).ok());
  EXPECT_EQ(AnswerTo("new.test").digest, DigestOf(KeyAuthorization("c")));
  tokens->Remove("new.test");
  ExpectRefusal("new.test", ErrorCode::kNoCertificate, "no ACME token for \"new.test\"");
  ExpectRefusal("a.test", ErrorCode::kNoCertificate, "no ACME token for \"a.test\"");
  ExpectRefusal(nullptr, ErrorCode::kNoCertificate, "no ACME token for \"\"");
}

TEST_P(AcmeTokensTest, ADigestIsAccepted) {
  auto tokens = std::make_shared<AcmeTokens>();
  MakeConfig(tokens);
  const std::string digest = DigestOf(KeyAuthorization());
  ASSERT_TRUE(tokens->Set("new.test", absl::WebSafeBase64Escape(digest)).ok());
  EXPECT_EQ(AnswerTo("new.test").digest, digest);
}

TEST_P(AcmeTokensTest, AnswersForAddresses) {
  auto tokens = std::make_shared<AcmeTokens>();
  MakeConfig(tokens);
  ASSERT_TRUE(tokens->Set("192.0.2.17", KeyAuthorization("4")).ok());
  ASSERT_TRUE(tokens->Set("2001:DB8::17", KeyAuthorization("6")).ok());
  Answer answer = AnswerTo("17.2.0.192.in-addr.arpa");
  EXPECT_EQ(answer.digest, DigestOf(KeyAuthorization("4")));
  EXPECT_EQ(answer.name, std::string("7:\xc0\x00\x02\x11", 6));
  answer = AnswerTo("7.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
  EXPECT_EQ(answer.digest, DigestOf(KeyAuthorization("6")));
  EXPECT_EQ(answer.name, absl::StrCat("7:\x20\x01\x0d\xb8", std::string(11, '\0'), "\x17"));
  // Names that resemble reverse names.
  for (const char* name : {"17.2.0.in-addr.arpa", "017.2.0.192.in-addr.arpa",
                           "x.2.0.192.in-addr.arpa", "1.2.ip6.arpa", "in-addr.arpa"}) {
    ASSERT_TRUE(tokens->Set(name, KeyAuthorization()).ok());
    EXPECT_EQ(AnswerTo(name).name, absl::StrCat("2:", name));
  }
}

TEST_P(AcmeTokensTest, ASourceIsCalledForEachChallenge) {
  int asked = 0;
  absl::StatusOr<std::string> told = KeyAuthorization();
  std::string identifier;
  auto tokens = std::make_shared<AcmeTokens>([&](const std::string& wanted) {
    ++asked;
    identifier = wanted;
    return told;
  });
  MakeConfig(tokens);
  EXPECT_EQ(AnswerTo("new.test").digest, DigestOf(KeyAuthorization()));
  EXPECT_EQ(AnswerTo("new.test").digest, DigestOf(KeyAuthorization()));
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(identifier, "new.test");
  AnswerTo("17.2.0.192.in-addr.arpa");
  EXPECT_EQ(identifier, "192.0.2.17");
  told = KeyAuthorization("b");
  EXPECT_EQ(AnswerTo("new.test").digest, DigestOf(KeyAuthorization("b")));
  told = "";
  ExpectRefusal("new.test", ErrorCode::kNoCertificate, "no ACME token for \"new.test\"");
  told = "nonsense";
  ExpectRefusal("new.test", ErrorCode::kConfiguration,
                "the ACME token for new.test is unusable: no key authorization");
  Error error;
  error.code = ErrorCode::kConfiguration;
  error.detail = "cannot read it";
  told = MakeError(error);
  ExpectRefusal("new.test", ErrorCode::kConfiguration, "cannot read it");
  const int before = asked;
  ExpectRefusal(nullptr, ErrorCode::kNoCertificate, "no ACME token for \"\"");
  Connect("a.test", "\x02h2");
  EXPECT_TRUE(server_->handshake_done());
  EXPECT_EQ(asked, before) << "not without a name, nor for other clients";
}

// RFC 8737 3: a challenge offers only this protocol.
TEST_P(AcmeTokensTest, OtherClientsAreServedAsUsual) {
  auto tokens = std::make_shared<AcmeTokens>();
  MakeConfig(tokens);
  ASSERT_TRUE(tokens->Set("a.test", KeyAuthorization()).ok());
  for (const absl::string_view alpn : {absl::string_view("\x0a"
                                                         "acme-tls/1\x02h2"),
                                       absl::string_view("\x02h2\x0a"
                                                         "acme-tls/1"),
                                       absl::string_view("\x02h2"), absl::string_view()}) {
    Connect("a.test", alpn);
    ASSERT_TRUE(server_->handshake_done()) << server_->status();
    EXPECT_FALSE(server_->info().acme_challenge);
    EXPECT_EQ(server_->info().alpn, alpn.empty() ? "" : "h2");
    EXPECT_FALSE(server_->info().local_chain.empty());
  }
  config_ = MakeServerConfig();
  Connect("a.test");
  ASSERT_TRUE(server_->handshake_done()) << "without tokens it is no challenge";
  EXPECT_FALSE(server_->info().acme_challenge);
}

TEST_P(AcmeTokensTest, NoSessionIsMadeOrResumed) {
  auto tokens = std::make_shared<AcmeTokens>();
  MakeConfig(tokens);
  ASSERT_TRUE(tokens->Set("a.test", KeyAuthorization()).ok());
  bssl::UniquePtr<SSL_SESSION> session;
  SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT);
  SSL_CTX_set_app_data(context_.get(), &session);
  SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* ssl, SSL_SESSION* made) {
    static_cast<bssl::UniquePtr<SSL_SESSION>*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))
        ->reset(made);
    return 1;
  });
  const auto take_tickets = [&] {
    server_->QueueTickets();
    client_->Carry(*server_);
    client_->ReadAll();
  };
  Connect("a.test");
  take_tickets();
  EXPECT_TRUE(session == nullptr || SSL_SESSION_has_ticket(session.get()) == 0);
  Connect("a.test", "\x02h2");
  take_tickets();
  ASSERT_NE(session, nullptr);
  server_ = TlsEngine::NewServer(config_, loop_, Leg::kFront);
  client_ = std::make_unique<RawPeer>(context_.get(), /*is_server=*/false);
  SSL_set_tlsext_host_name(client_->ssl(), "a.test");
  SSL_set_alpn_protos(client_->ssl(), AsBytes(kChallenge).data(), 11);
  SSL_set_session(client_->ssl(), session.get());
  client_->Handshake(*server_);
  ASSERT_TRUE(server_->handshake_done()) << server_->status();
  EXPECT_FALSE(server_->info().resumed);
  EXPECT_TRUE(server_->info().acme_challenge);
}

TEST_P(AcmeTokensTest, InvalidValuesAreRejected) {
  AcmeTokens tokens;
  const auto detail = [&](absl::string_view identifier, absl::string_view key_authorization) {
    const absl::Status status = tokens.Set(identifier, key_authorization);
    EXPECT_EQ(CodeOf(status), ErrorCode::kConfiguration);
    return GetError(status)->detail;
  };
  for (const char* identifier : {"", "*.a.test", "a..test", "a.test:1", "[::1]", "../a"}) {
    EXPECT_THAT(detail(identifier, KeyAuthorization()), HasSubstr("can't be validated"));
  }
  const std::string too_long(513, 't');
  for (const std::string& key_authorization :
       {std::string(), std::string("token"), std::string("."), absl::StrCat(".", kThumbprint),
        std::string("token.thumb"), absl::StrCat("to ken.", kThumbprint),
        absl::StrCat("a.b.", kThumbprint), absl::StrCat(kThumbprint, "A"),
        KeyAuthorization(too_long)}) {
    EXPECT_THAT(detail("a.test", key_authorization), HasSubstr("no key authorization"))
        << key_authorization;
  }
  EXPECT_EQ(tokens.size(), 0u);
}

TEST_P(AcmeTokensTest, TheMapIsBounded) {
  AcmeTokens tokens;
  for (size_t i = 0; i < AcmeTokens::kMaxTokens; ++i) {
    ASSERT_TRUE(tokens.Set(absl::StrCat("n", i, ".test"), KeyAuthorization()).ok());
  }
  EXPECT_EQ(CodeOf(tokens.Set("one-more.test", KeyAuthorization())), ErrorCode::kConfiguration);
  EXPECT_TRUE(tokens.Set("n1.test", KeyAuthorization("b")).ok());
  tokens.Remove("n2.test");
  EXPECT_TRUE(tokens.Set("one-more.test", KeyAuthorization()).ok());
}

TEST_P(AcmeTokensTest, ASourcesLeastRecentlyUsedTokenIsForgotten) {
  AcmeTokens tokens([](const std::string&) { return KeyAuthorization(); });
  const auto answer_for = [&](const std::string& name) {
    const auto answer = TlsInternals::AnswerFor(tokens, name, absl::UnixEpoch());
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? *answer : nullptr;
  };
  const auto recent = answer_for("recent.test");
  const auto old = answer_for("old.test");
  for (size_t i = 2; i < AcmeTokens::kMaxTokens; ++i) answer_for(absl::StrCat("n", i, ".test"));
  EXPECT_EQ(answer_for("recent.test"), recent);
  answer_for("one-more.test");
  EXPECT_EQ(tokens.size(), AcmeTokens::kMaxTokens);
  EXPECT_EQ(answer_for("recent.test"), recent);
  EXPECT_NE(answer_for("old.test"), old) << "made again";
}

}  // namespace
}  // namespace trestle::testing
