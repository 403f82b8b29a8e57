// Sessions of back legs through a whole bridge are used only where they were made. The backends
// here resume every session, for any name and any client. So only the bridge keeps sessions apart.
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/bridge_fixture.h"
#include "tests/proxy/raw_backend.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/proxy/content_routing.h"

namespace trestle {
namespace {

using testing::LeafSpec;

constexpr char kFull[] = "full";
constexpr char kResumed[] = "resumed";

// Returns the common name that the backend has for the bridge, from its certificate or session.
std::string ClientSeenBy(const SSL* ssl) {
  const STACK_OF(CRYPTO_BUFFER)* chain = SSL_get0_peer_certificates(ssl);
  if (chain == nullptr || sk_CRYPTO_BUFFER_num(chain) == 0) return "nobody";
  bssl::UniquePtr<X509> leaf(X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, 0)));
  char name[64] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(leaf.get()), NID_commonName, name, sizeof(name));
  return name;
}

class BackSessionsTest : public BridgeTest, public ::testing::WithParamInterface<uint16_t> {
 protected:
  BackSessionsTest() {
    for (const char* name : {"a.test", "b.test"}) AddName(name, name);
    AddName("internal.test", "internal.test");
    AddName("c.test", "a.test");  // Its certificate is for another name.
    SSL_CTX_set_app_data(lax_.get(), this);
    SSL_CTX_set_select_certificate_cb(lax_.get(), OnHello);
    SSL_CTX_set_custom_verify(lax_.get(), SSL_VERIFY_PEER,
                              [](SSL*, uint8_t*) { return ssl_verify_ok; });
    ServeLaxly(backend);
  }

  /// Makes the backends present a certificate for `shown` if `name` is requested.
  void AddName(const std::string& name, const std::string& shown) {
    SSL_CTX* context = (by_name_[name] = testing::MakeRawContext()).get();
    SSL_CTX_set_min_proto_version(context, GetParam());
    SSL_CTX_set_max_proto_version(context, GetParam());
    SSL_CTX_set_alpn_select_cb(context, ChooseFirst, nullptr);
    testing::UsePem(context, back_pki.Issue({{shown}}));
    SSL_CTX_set_min_proto_version(lax_.get(), GetParam());
    SSL_CTX_set_max_proto_version(lax_.get(), GetParam());
  }

  void ServeLaxly(TestBackend& where) {
    where.on_accept = [this](std::unique_ptr<Transport> raw) {
      raw_.push_back(std::make_unique<RawBackend>(loop, std::move(raw), lax_.get()));
    };
  }

  TlsBridgeOptions LaxOptions(const std::string& backend_name, std::vector<std::string> alpn = {}) {
    TlsBridgeOptions options = Options(backend_name);
    options.front_tls = ServerFor(front_pki, loop.Now(),
                                  {{"app.test", "a.test", "b.test", "c.test"}}, std::move(alpn));
    return options;
  }

  /// Makes one connection from beginning to end, with a session if there is one. Returns the back
  /// leg's result: full, resumed, or the error. Records the identity and the names.
  std::string Connect(const ClientTlsTarget& target = {"app.test", {}},
                      absl::string_view question = "question") {
    observer.established.clear();
    observer.closed.clear();
    Open(target, question);
    return Finish();
  }
  std::string Connect(const char* name) { return Connect({name, {}}); }

  void Open(const ClientTlsTarget& target, absl::string_view question) {
    client = TlsPeer::Client(loop, ConnectTo(*bridge, loop), ClientOf(front_pki), target);
    client->Send(question);
  }

  std::string Finish() {
    loop.RunReady();
    std::string seen;
    if (!observer.established.empty()) {
      SSL* const ssl = raw_.back()->ssl();
      raw_.back()->Send("answer");
      loop.RunReady();
      EXPECT_EQ(client->received(), "answer");
      const TlsInfo& back = *observer.established.back().back.tls;
      EXPECT_EQ(SSL_session_reused(ssl) == 1, back.resumed);
      EXPECT_EQ(offered_, back.resumed) << "such a backend resumes every offered session";
      seen = back.resumed ? kResumed : kFull;
      client_seen_ = ClientSeenBy(ssl);
      names_shown_ = back.peer_chain[0].dns_names;
    }
    client.reset();
    raw_.clear();
    loop.RunFor(absl::Seconds(30));
    if (seen.empty() && observer.error().has_value())
      seen = std::string(EnumName(observer.error()->code));
    EXPECT_EQ(bridge->open_connections(), 0u);
    return seen;
  }

  ClientTlsOptions BackOptions() const {
    ClientTlsOptions options;
    options.ca_pem = back_pki.ca_pem();
    return options;
  }

  std::shared_ptr<const ClientTlsConfig> ShowingAs(const std::string& name) const {
    LeafSpec leaf;
    leaf.common_name = name;
    leaf.server_auth = false;
    const testing::PemPair pair = front_pki.Issue(leaf);
    ClientTlsOptions options = BackOptions();
    options.credential = *Credential::FromPem(pair.chain, pair.key, {CredentialUse::kClient});
    return *ClientTlsConfig::Create(std::move(options));
  }

  bssl::UniquePtr<SSL_CTX> lax_ = testing::MakeRawContext();  // Has the ticket keys of all names.
  std::map<std::string, bssl::UniquePtr<SSL_CTX>> by_name_;
  std::vector<std::unique_ptr<RawBackend>> raw_;
  bool offered_ = false;     // The last hello offered a session.
  std::string client_seen_;  // By the last backend.
  std::vector<std::string>
      names_shown_;  // By the last backend, in this handshake or in that of the session.

 private:
  static ssl_select_cert_result_t OnHello(const SSL_CLIENT_HELLO* hello) {
    auto* self = static_cast<BackSessionsTest*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(hello->ssl)));
    const uint8_t* body = nullptr;
    size_t bytes = 0;
    self->offered_ =
        SSL_early_callback_ctx_extension_get(hello, TLSEXT_TYPE_pre_shared_key, &body, &bytes) ||
        (SSL_early_callback_ctx_extension_get(hello, TLSEXT_TYPE_session_ticket, &body, &bytes) &&
         bytes > 0);
    const char* name = SSL_get_servername(hello->ssl, TLSEXT_NAMETYPE_host_name);
    const auto found = self->by_name_.find(name == nullptr ? "" : name);
    if (found == self->by_name_.end()) return ssl_select_cert_error;
    SSL_set_SSL_CTX(hello->ssl, found->second.get());
    return ssl_select_cert_success;
  }

  static int ChooseFirst(SSL*, const uint8_t** out, uint8_t* out_bytes, const uint8_t* in, unsigned,
                         void*) {
    *out = in + 1;
    *out_bytes = in[0];
    return SSL_TLSEXT_ERR_OK;
  }
};

// Envoy #46243: one cache for all names behind one address. A session of one host was offered for
// another, and only the first host's certificate was verified.
TEST_P(BackSessionsTest, CopiedNamesAreKeptApart) {
  TlsBridgeOptions options = LaxOptions("");
  options.copy_server_name = true;
  bridge = *Make(std::move(options));
  for (const char* result : {kFull, kResumed, kResumed}) {
    for (const char* name : {"a.test", "b.test"}) {
      EXPECT_EQ(Connect(name), result);
      EXPECT_THAT(names_shown_, ::testing::ElementsAre(name));
    }
  }
  // With any of the existing sessions, its certificate would not be verified.
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Connect("c.test"), "name_mismatch");
    EXPECT_FALSE(offered_);
  }
  EXPECT_EQ(Connect("a.test"), kResumed);
}

TEST_P(BackSessionsTest, ComputedNamesAreKeptApart) {
  TlsBridgeOptions options = LaxOptions("");
  std::string name;
  options.compute_backend_name = [&name](const BridgedClient&) { return name; };
  bridge = *Make(std::move(options));
  for (const char* result : {kFull, kResumed}) {
    for (const char* next : {"a.test", "b.test"}) {
      name = next;
      EXPECT_EQ(Connect(), result);
      EXPECT_THAT(names_shown_, ::testing::ElementsAre(next));
    }
  }
  name = "c.test";
  EXPECT_EQ(Connect(), "name_mismatch");
}

// Routes to one endpoint with their own names.
TEST_P(BackSessionsTest, RoutesByContentAreKeptApart) {
  class FirstLine final : public ContentReader {
   public:
    explicit FirstLine(const Endpoint& endpoint) : endpoint_(endpoint) {}
    ContentAnswer Read(ByteView bytes, bool) override {
      if (bytes.empty()) return ContentAnswer::ReadMore();
      return ContentAnswer::Go(std::make_shared<const ContentTarget>(
          ContentTarget{Backends(endpoint_), std::string(AsText(bytes)), "a route"}));
    }

   private:
    const Endpoint endpoint_;
  };
  TlsBridgeOptions options = LaxOptions("internal.test");
  options.content.new_reader = [this](const ConnectionReport&) {
    return std::make_unique<FirstLine>(backend.endpoint);
  };
  bridge = *Make(std::move(options));
  for (const char* result : {kFull, kResumed}) {
    for (const char* name : {"a.test", "b.test", "internal.test"}) {
      EXPECT_EQ(Connect({"app.test", {}}, name), result);
      EXPECT_THAT(names_shown_, ::testing::ElementsAre(name));
    }
  }
  EXPECT_EQ(Connect({"app.test", {}}, "c.test"), "name_mismatch");
}

TEST_P(BackSessionsTest, VerifyNamesAreKeptApart) {
  bridge = *Make(LaxOptions("a.test"));
  EXPECT_EQ(Connect(), kFull);
  EXPECT_EQ(Connect(), kResumed);
  TlsBridgeOptions options = LaxOptions("a.test");
  options.backend_verify_name = "spiffe://example.org/api";
  bridge = *Make(std::move(options));
  EXPECT_EQ(Connect(), "name_mismatch") << "another bridge has another cache";
  EXPECT_FALSE(offered_);
}

TEST_P(BackSessionsTest, ProtocolsAreKeptApart) {
  for (const bool eager : {false, true}) {
    SCOPED_TRACE(eager ? "eager" : "lazy");
    TlsBridgeOptions options = LaxOptions("internal.test", {"h2", "http/1.1"});
    options.eager_alpn.enabled = eager;
    bridge = *Make(std::move(options));
    for (const char* result : {kFull, kResumed, kResumed}) {
      for (const char* protocol : {"h2", "http/1.1"}) {
        EXPECT_EQ(Connect({"app.test", {protocol}}), result) << protocol;
        EXPECT_EQ(observer.established.at(0).back.tls->alpn, protocol);
      }
    }
    EXPECT_EQ(Connect(), kFull) << "a client without a protocol";
  }
}

// One ticket key for all names, addresses and credentials of each backend.
TEST_P(BackSessionsTest, BackendsAreKeptApart) {
  TestBackend second(loop, dialer, 2);
  ServeLaxly(second);
  TlsBridgeOptions options = LaxOptions("internal.test");
  options.backend = Backends({backend.endpoint, second.endpoint});
  options.back_tls = ShowingAs("alice");
  options.back_tls_by_backend[second.endpoint] = ShowingAs("bob");
  bridge = *Make(std::move(options));
  absl::flat_hash_map<Endpoint, std::string> identity = {{backend.endpoint, "alice"},
                                                         {second.endpoint, "bob"}};
  for (const char* result : {kFull, kFull, kResumed, kResumed, kResumed, kResumed}) {
    EXPECT_EQ(Connect(), result);
    EXPECT_EQ(client_seen_, identity[observer.established.at(0).back.peer]);
  }
}

// apisix #13587: two routes to one backend differed only by their client certificate. They shared
// connections, so that requests used the other route's identity.
TEST_P(BackSessionsTest, IdentitiesAreKeptApartBetweenBridges) {
  TlsBridgeOptions for_alice = LaxOptions("internal.test");
  for_alice.back_tls = ShowingAs("alice");
  TlsBridgeOptions for_bob = LaxOptions("internal.test");
  for_bob.back_tls = ShowingAs("bob");
  auto alice = *Make(std::move(for_alice));
  auto bob = *Make(std::move(for_bob));
  auto nobody = *Make(LaxOptions("internal.test"));
  for (const char* result : {kFull, kResumed, kResumed}) {
    for (const auto& [name, block] : std::map<std::string, std::unique_ptr<TlsBridge>*>{
             {"alice", &alice}, {"bob", &bob}, {"nobody", &nobody}}) {
      bridge.swap(*block);
      EXPECT_EQ(Connect(), result);
      EXPECT_EQ(client_seen_, name);
      bridge.swap(*block);
    }
  }
}

TEST_P(BackSessionsTest, AReplacedIdentityEndsItsSessionsAtOnce) {
  TlsBridgeOptions options = LaxOptions("internal.test");
  const auto alice = options.back_tls = ShowingAs("alice");
  const auto bob = ShowingAs("bob");
  bridge = *Make(std::move(options));
  const auto expect = [this](const char* result, const char* who) {
    EXPECT_EQ(Connect(), result);
    EXPECT_EQ(client_seen_, who);
  };
  expect(kFull, "alice");
  expect(kResumed, "alice");
  bridge->ReplaceBackTls(bob);
  expect(kFull, "bob");
  expect(kResumed, "bob");
  bridge->ReplaceBackTlsByBackend({{backend.endpoint, alice}});
  expect(kFull, "alice");
  expect(kResumed, "alice");
  bridge->ReplaceBackTlsByBackend({});
  expect(kFull, "bob");
  bridge->ReplaceBackTls(ClientOf(back_pki));
  expect(kFull, "nobody");
  expect(kResumed, "nobody");
}

// A connection that is open when the identity is replaced receives a session of the old identity,
// after the others were forgotten.
TEST_P(BackSessionsTest, AReplacedIdentityEndsItsSessionsAtAnyMoment) {
  const auto alice = ShowingAs("alice");
  const auto bob = ShowingAs("bob");
  for (const bool by_backend : {false, true}) {
    bool late = false;
    for (size_t calls = 0; calls < 60; ++calls) {
      SCOPED_TRACE(calls);
      TlsBridgeOptions options = LaxOptions("internal.test");
      options.back_tls = alice;
      bridge = *Make(std::move(options));
      Open({"app.test", {}}, "question");
      loop.RunReady(calls);
      if (by_backend) {
        bridge->ReplaceBackTlsByBackend({{backend.endpoint, bob}});
      } else {
        bridge->ReplaceBackTls(bob);
      }
      EXPECT_EQ(Finish(), kFull);
      late = late || (client_seen_ == "alice" && bridge->back_sessions().sessions() > 0);
      // Resumed if the first connection already used bob's identity.
      const std::string expected = client_seen_ == "bob" ? kResumed : kFull;
      EXPECT_EQ(Connect(), expected);
      EXPECT_EQ(client_seen_, "bob");
      EXPECT_EQ(Connect(), kResumed);
      EXPECT_EQ(client_seen_, "bob");
    }
    EXPECT_TRUE(late) << "sessions of the old identity arrived, and were not kept";
  }
}

// Covers every option that verification of the backend depends on.
TEST_P(BackSessionsTest, ReplacedPoliciesAreKeptApart) {
  bridge = *Make(LaxOptions("internal.test"));
  EXPECT_EQ(Connect(), kFull);
  const std::string pin =
      absl::Base64Escape(AsText(observer.established.at(0).back.tls->peer_chain[0].spki_sha256));
  struct {
    const char* name;
    absl::AnyInvocable<void(ClientTlsOptions&)> make;
  } changes[] = {
      {"CAs", [this](ClientTlsOptions& tls) { tls.ca_pem += front_pki.ca_pem(); }},
      {"pins", [&pin](ClientTlsOptions& tls) { tls.pins = {pin}; }},
      {"CRLs",
       [this](ClientTlsOptions& tls) {
         tls.crl_pem = back_pki.IssueCrl({}, loop.Now() + absl::Hours(9));
       }},
      {"RSA keys", [](ClientTlsOptions& tls) { tls.parameters.min_rsa_bits = 4096; }},
      {"no verification", [](ClientTlsOptions& tls) { tls.dangerous_skip_verify = true; }},
      {"groups", [](ClientTlsOptions& tls) { tls.parameters.groups = {TlsGroup::kP256}; }},
      {"staple", [](ClientTlsOptions& tls) { tls.request_staple = true; }},
  };
  for (auto& c : changes) {
    SCOPED_TRACE(c.name);
    for (const bool late : {false, true}) {
      bridge = *Make(LaxOptions("internal.test"));
      EXPECT_EQ(Connect(), kFull);
      EXPECT_EQ(Connect(), kResumed);
      Open({"app.test", {}}, "question");
      loop.RunReady();
      ClientTlsOptions changed = BackOptions();
      c.make(changed);
      // Its handshake is already complete; TLS 1.3's sessions come later.
      if (!late) {
        EXPECT_EQ(Finish(), kResumed);
      }
      bridge->ReplaceBackTls(*ClientTlsConfig::Create(std::move(changed)));
      if (late) {
        EXPECT_EQ(Finish(), kResumed);
      }
      EXPECT_EQ(Connect(), kFull);
      EXPECT_EQ(Connect(), kResumed);
      // Sessions of the laxer or stricter policy are not used for the old one, either.
      bridge->ReplaceBackTls(ClientOf(back_pki));
      EXPECT_EQ(Connect(), kFull);
      EXPECT_EQ(Connect(), kResumed);
    }
  }
}

// A pin, a name or a CA that the backend no longer satisfies must have an effect at once.
TEST_P(BackSessionsTest, ASessionDoesNotHideAFailure) {
  bridge = *Make(LaxOptions("internal.test"));
  EXPECT_EQ(Connect(), kFull);
  EXPECT_EQ(Connect(), kResumed);
  ClientTlsOptions pinned = BackOptions();
  pinned.pins = {absl::Base64Escape(std::string(32, 'x'))};
  bridge->ReplaceBackTls(*ClientTlsConfig::Create(std::move(pinned)));
  EXPECT_EQ(Connect(), "certificate_untrusted");
  ClientTlsOptions other = BackOptions();
  other.ca_pem = front_pki.ca_pem();
  bridge->ReplaceBackTls(*ClientTlsConfig::Create(std::move(other)));
  EXPECT_EQ(Connect(), "certificate_untrusted");
  bridge->ReplaceBackTls(ClientOf(back_pki));
  EXPECT_EQ(Connect(), kFull);
}

INSTANTIATE_TEST_SUITE_P(Versions, BackSessionsTest,
                         ::testing::Values(uint16_t{TLS1_2_VERSION}, uint16_t{TLS1_3_VERSION}),
                         [](const ::testing::TestParamInfo<uint16_t>& info) {
                           return info.param == TLS1_2_VERSION ? "Tls12" : "Tls13";
                         });

}  // namespace
}  // namespace trestle
