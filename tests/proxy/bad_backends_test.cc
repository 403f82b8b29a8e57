// A bridge with every kind of bad backend: the report, the backend's alert, and the client's view.
// The client gets a clean end, and none of its bytes reach such a backend.
#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "examples/support/connection_log.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/bridge_fixture.h"
#include "tests/proxy/raw_backend.h"
#include "tests/tls/tls_fixture.h"

namespace trestle {
namespace {

using testing::AuthoritySpec;
using ::testing::HasSubstr;
using testing::LeafSpec;
using testing::PemPair;
using testing::TestPki;

class BadBackendTest;

struct BadBackend {
  const char* name;
  /// Makes the backend bad.
  void (*set_up)(BadBackendTest& test);
  ErrorCode code;
  Phase phase;
  /// The alert in the report, sent to or received from the backend; -1: none.
  int alert;
  /// The text that the log line must contain.
  const char* words;
};

void PrintTo(const BadBackend& bad, std::ostream* out) { *out << bad.name; }

class BadBackendTest : public BridgeTest, public ::testing::WithParamInterface<BadBackend> {
 public:
  BadBackendTest() : context(testing::MakeRawContext()) {
    options = Options("internal.test");
    Show(back_pki.Issue({{"internal.test"}}));
  }

  /// Makes the backend present `pair`, with BoringSSL alone.
  void Show(const PemPair& pair) {
    testing::UsePem(context.get(), pair);
    backend.on_accept = [this](std::unique_ptr<Transport> raw) {
      raw_backends.push_back(std::make_unique<RawBackend>(loop, std::move(raw), context.get()));
      raw_backends.back()->after_output = std::move(after_output);
    };
  }
  void Show(const LeafSpec& leaf) { Show(back_pki.Issue(leaf)); }

  /// Makes the backend send `bytes` without TLS.
  void Say(std::string bytes) {
    backend.on_accept = [this, bytes = std::move(bytes)](std::unique_ptr<Transport> raw) {
      peers.push_back(std::make_unique<StreamPeer>(loop, std::move(raw)));
      peers.back()->Send(bytes);
    };
  }

  void OnAccept(absl::AnyInvocable<void(std::unique_ptr<Transport>)> call) {
    backend.on_accept = std::move(call);
  }

  /// Gives the bridge this revocation list.
  void ChangeBackTls(const std::string& crl_pem) {
    ClientTlsOptions tls;
    tls.ca_pem = back_pki.ca_pem();
    tls.crl_pem = crl_pem;
    options.back_tls = *ClientTlsConfig::Create(std::move(tls));
  }

  void ChangeBackTls(void (*change)(ClientTlsOptions&, const TestPki&)) {
    ClientTlsOptions tls;
    tls.ca_pem = back_pki.ca_pem();
    change(tls, back_pki);
    options.back_tls = *ClientTlsConfig::Create(std::move(tls));
  }

  using BridgeTest::back_pki;
  using BridgeTest::backend;
  using BridgeTest::dialer;
  using BridgeTest::front_pki;
  using BridgeTest::loop;
  bssl::UniquePtr<SSL_CTX> context;
  TlsBridgeOptions options;
  std::vector<std::string> client_alpn;
  absl::AnyInvocable<void(Transport&)> after_output;
  std::vector<std::unique_ptr<RawBackend>> raw_backends;
  std::vector<std::unique_ptr<StreamPeer>> peers;
};

LeafSpec Internal() { return LeafSpec{{"internal.test"}}; }

constexpr int kNoAlert = -1;

const BadBackend kBadBackends[] = {
    // Certificates.
    {"Expired",
     [](BadBackendTest& test) {
       LeafSpec leaf = Internal();
       leaf.not_after = test.loop.Now() - absl::Hours(50);
       test.Show(leaf);
     },
     ErrorCode::kCertificateExpired, Phase::kHandshake, 45, "expired on 2025-12-29 (2 days ago)"},
    {"NotYetValid",
     [](BadBackendTest& test) {
       LeafSpec leaf = Internal();
       leaf.not_before = test.loop.Now() + absl::Hours(50);
       test.Show(leaf);
     },
     ErrorCode::kCertificateExpired, Phase::kHandshake, 45, "is not valid before 2026-01-03"},
    {"ExpiredIntermediate",
     [](BadBackendTest& test) {
       AuthoritySpec spec;
       spec.name = "Old Intermediate";
       spec.not_after = test.loop.Now() - absl::Hours(24);
       test.Show(TestPki(test.back_pki, spec).Issue(Internal()));
     },
     ErrorCode::kCertificateExpired, Phase::kHandshake, 45, "CN=Old Intermediate"},
    {"SelfSigned",
     [](BadBackendTest& test) {
       LeafSpec leaf = Internal();
       leaf.self_signed = true;
       test.Show(leaf);
     },
     ErrorCode::kCertificateUntrusted, Phase::kHandshake, 48, "is self-signed"},
    {"WrongCa", [](BadBackendTest& test) { test.Show(test.front_pki.Issue(Internal())); },
     ErrorCode::kCertificateUntrusted, Phase::kHandshake, 48, "issued by \"CN=Front CA\""},
    {"CaOfTheSameName",
     [](BadBackendTest& test) { test.Show(TestPki(test.loop.Now(), "Back CA").Issue(Internal())); },
     ErrorCode::kCertificateUntrusted, Phase::kHandshake, 51, "certificate signature failure"},
    {"MissingIntermediate",
     [](BadBackendTest& test) {
       PemPair pair = TestPki(test.back_pki, "Intermediate").Issue(Internal());
       pair.chain.resize(pair.chain.find("-----BEGIN", 1));
       test.Show(pair);
     },
     ErrorCode::kCertificateUntrusted, Phase::kHandshake, 48, "issued by \"CN=Intermediate\""},
    {"IntermediateThatIsNoCa",
     [](BadBackendTest& test) {
       AuthoritySpec spec;
       spec.name = "Some Server";
       spec.is_ca = false;
       test.Show(TestPki(test.back_pki, spec).Issue(Internal()));
     },
     ErrorCode::kCertificateUntrusted, Phase::kHandshake, 48, "invalid CA certificate"},
    {"NameConstraints",
     [](BadBackendTest& test) {
       test.Show(TestPki(test.back_pki, "Branch CA", "branch.test").Issue(Internal()));
     },
     ErrorCode::kCertificateUntrusted, Phase::kHandshake, 46, "permitted subtree violation"},
    {"ForClientsOnly",
     [](BadBackendTest& test) {
       LeafSpec leaf = Internal();
       leaf.server_auth = false;
       test.Show(leaf);
     },
     ErrorCode::kCertificateUntrusted, Phase::kHandshake, 43, "unsupported certificate purpose"},
    {"ShortKey",
     [](BadBackendTest& test) {
       LeafSpec leaf = Internal();
       leaf.key_type = KeyType::kRsa;
       leaf.rsa_bits = 1024;
       test.Show(leaf);
     },
     ErrorCode::kCertificateUntrusted, Phase::kHandshake, 42, "RSA key has 1024 bits"},
    {"Sha1",
     [](BadBackendTest& test) {
       LeafSpec leaf = Internal();
       leaf.sha1 = true;
       test.Show(leaf);
     },
     ErrorCode::kCertificateUntrusted, Phase::kHandshake, 42, "SHA-1"},
    {"Revoked",
     [](BadBackendTest& test) {
       const PemPair pair = test.back_pki.Issue(Internal());
       test.Show(pair);
       test.ChangeBackTls(test.back_pki.IssueCrl({pair}));
     },
     ErrorCode::kCertificateUntrusted, Phase::kHandshake, 44, "certificate revoked"},
    {"OutdatedRevocationList",
     [](BadBackendTest& test) {
       test.ChangeBackTls(test.back_pki.IssueCrl({}, test.loop.Now() - absl::Hours(1)));
     },
     ErrorCode::kCertificateUntrusted, Phase::kHandshake, 46,
     "the revocation list of its issuer has expired"},
    {"NoRevocationListOfItsCa",
     [](BadBackendTest& test) {
       test.Show(TestPki(test.back_pki, "Unlisted CA").Issue(Internal()));
       test.ChangeBackTls(test.back_pki.IssueCrl({}));
     },
     ErrorCode::kCertificateUntrusted, Phase::kHandshake, 46,
     "there is no revocation list of its issuer"},
    {"PinMismatch",
     [](BadBackendTest& test) {
       test.ChangeBackTls([](ClientTlsOptions& tls, const TestPki&) {
         tls.pins = {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
       });
     },
     ErrorCode::kCertificateUntrusted, Phase::kHandshake, 42, "none of the pinned keys"},
    {"WrongName", [](BadBackendTest& test) { test.Show(LeafSpec{{"other.test"}}); },
     ErrorCode::kNameMismatch, Phase::kHandshake, 42,
     "is not for \"DNS:internal.test\"; it was issued by \"CN=Back CA\", is valid from 2025-01-01 "
     "to "
     "2027-01-01, and has the names \"DNS:other.test\""},
    {"CommonNameOnly",
     [](BadBackendTest& test) {
       LeafSpec leaf;
       leaf.common_name = "internal.test";
       test.Show(leaf);
     },
     ErrorCode::kNameMismatch, Phase::kHandshake, 42, "a common name doesn't count"},
    {"WildcardOfTheParent", [](BadBackendTest& test) { test.Show(LeafSpec{{"*.internal.test"}}); },
     ErrorCode::kNameMismatch, Phase::kHandshake, 42, "is not for \"DNS:internal.test\""},
    {"WildcardWithinALabel", [](BadBackendTest& test) { test.Show(LeafSpec{{"int*.test"}}); },
     ErrorCode::kNameMismatch, Phase::kHandshake, 42, "is not for \"DNS:internal.test\""},
    {"WildcardForEverything",
     [](BadBackendTest& test) {
       test.Show(LeafSpec{{"*", "*.*"}});
     },
     ErrorCode::kNameMismatch, Phase::kHandshake, 42, "is not for \"DNS:internal.test\""},
    {"NoAddressInTheCertificate",
     [](BadBackendTest& test) { test.options.backend_verify_name = "192.0.2.1"; },
     ErrorCode::kNameMismatch, Phase::kHandshake, 42, "is not for \"IP:192.0.2.1\""},
    {"NoUriInTheCertificate",
     [](BadBackendTest& test) { test.options.backend_verify_name = "spiffe://x/y"; },
     ErrorCode::kNameMismatch, Phase::kHandshake, 42, "is not for \"URI:spiffe://x/y\""},
    // Negotiation.
    {"Tls11Only",
     [](BadBackendTest& test) {
       SSL_CTX_set_min_proto_version(test.context.get(), TLS1_VERSION);
       SSL_CTX_set_max_proto_version(test.context.get(), TLS1_1_VERSION);
     },
     ErrorCode::kPeerAlert, Phase::kHandshake, 70, "protocol_version"},
    {"NoCommonGroup",
     [](BadBackendTest& test) {
       const uint16_t group = SSL_GROUP_MLKEM1024;
       ASSERT_TRUE(SSL_CTX_set1_group_ids(test.context.get(), &group, 1));
     },
     ErrorCode::kPeerAlert, Phase::kHandshake, 40, "handshake_failure"},
    {"NoCommonCipher",
     [](BadBackendTest& test) {
       SSL_CTX_set_max_proto_version(test.context.get(), TLS1_2_VERSION);
       ASSERT_TRUE(SSL_CTX_set_strict_cipher_list(test.context.get(), "ECDHE-RSA-AES128-SHA"));
     },
     ErrorCode::kPeerAlert, Phase::kHandshake, 40, "handshake_failure"},
    {"IgnoresAlpn",
     [](BadBackendTest& test) {
       test.options.front_tls = ServerFor(test.front_pki, test.loop.Now(), {{"app.test"}}, {"h2"});
       test.client_alpn = {"h2"};
     },
     ErrorCode::kAlpnMismatch, Phase::kHandshake, 120, "none of the application protocols"},
    {"RefusesTheProtocol",
     [](BadBackendTest& test) {
       test.options.front_tls = ServerFor(test.front_pki, test.loop.Now(), {{"app.test"}}, {"h2"});
       test.client_alpn = {"h2"};
       SSL_CTX_set_alpn_select_cb(
           test.context.get(),
           [](SSL*, const uint8_t**, uint8_t*, const uint8_t*, unsigned, void*) {
             return SSL_TLSEXT_ERR_ALERT_FATAL;
           },
           nullptr);
     },
     ErrorCode::kPeerAlert, Phase::kHandshake, 120, "no_application_protocol"},
    {"DoesNotKnowTheName",
     [](BadBackendTest& test) {
       SSL_CTX_set_tlsext_servername_callback(
           test.context.get(), +[](SSL*, int* alert, void*) {
             *alert = SSL_AD_UNRECOGNIZED_NAME;
             return SSL_TLSEXT_ERR_ALERT_FATAL;
           });
     },
     ErrorCode::kPeerAlert, Phase::kHandshake, 112, "unrecognized_name"},
    {"WantsACertificate",
     [](BadBackendTest& test) {
       SSL_CTX_set_max_proto_version(test.context.get(), TLS1_2_VERSION);
       SSL_CTX_set_custom_verify(test.context.get(),
                                 SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                                 [](SSL*, uint8_t*) { return ssl_verify_ok; });
     },
     ErrorCode::kPeerAlert, Phase::kHandshake, 40, "handshake_failure"},
    // The connection.
    {"SpeaksHttp", [](BadBackendTest& test) { test.Say("HTTP/1.1 400 Bad Request\r\n\r\n"); },
     ErrorCode::kProtocol, Phase::kHandshake, kNoAlert, "does not speak TLS"},
    {"SpeaksSsh", [](BadBackendTest& test) { test.Say("SSH-2.0-OpenSSH_9.2\r\n"); },
     ErrorCode::kProtocol, Phase::kHandshake, kNoAlert, "does not speak TLS"},
    {"SendsRubbishInRecords",
     [](BadBackendTest& test) { test.Say(std::string("\x16\x03\x03\x00\x04rubb", 9)); },
     ErrorCode::kProtocol, Phase::kHandshake, 47, "broke the handshake"},
    {"SendsAClearTextAlert",
     [](BadBackendTest& test) { test.Say(std::string("\x15\x03\x03\x00\x02\x02\x50", 7)); },
     ErrorCode::kPeerAlert, Phase::kHandshake, 80, "internal_error"},
    {"Silent", [](BadBackendTest& test) { test.Say(""); }, ErrorCode::kTimeout, Phase::kHandshake,
     kNoAlert, "not finished within 10s"},
    {"SlowerThanTheLimit",
     [](BadBackendTest& test) {
       test.OnAccept([&test](std::unique_ptr<Transport> raw) {
         test.peers.push_back(std::make_unique<StreamPeer>(test.loop, std::move(raw)));
         test.peers.back()->Send("\x16");
         test.after_output = nullptr;
       });
     },
     ErrorCode::kTimeout, Phase::kHandshake, kNoAlert, "not finished within 10s"},
    {"ResetsAtOnce",
     [](BadBackendTest& test) {
       test.OnAccept([](std::unique_ptr<Transport> raw) { raw->Abort(); });
     },
     ErrorCode::kTruncated, Phase::kHandshake, kNoAlert, "back leg"},
    {"ResetsWithinTheHandshake",
     [](BadBackendTest& test) { test.after_output = [](Transport& raw) { raw.Abort(); }; },
     ErrorCode::kTruncated, Phase::kHandshake, kNoAlert, "back leg"},
    {"ClosesWithTheHelloUnread",
     [](BadBackendTest& test) { test.OnAccept([](std::unique_ptr<Transport>) {}); },
     ErrorCode::kTruncated, Phase::kHandshake, kNoAlert, "reset the connection"},
    {"ClosesAfterTheHello",
     [](BadBackendTest& test) {
       test.OnAccept([&test](std::unique_ptr<Transport> raw) {
         test.peers.push_back(std::make_unique<StreamPeer>(test.loop, std::move(raw)));
         test.peers.back()->End();
       });
     },
     ErrorCode::kTruncated, Phase::kHandshake, kNoAlert, "closed the connection before it sent"},
    {"RefusesToConnect",
     [](BadBackendTest& test) {
       test.dialer.Refuse(test.backend.endpoint, absl::UnavailableError("Connection refused"));
     },
     ErrorCode::kTransport, Phase::kDial, kNoAlert, "Connection refused"},
    {"NeverConnects",
     [](BadBackendTest& test) {
       test.dialer.Refuse(test.backend.endpoint, absl::UnavailableError(""),
                          absl::InfiniteDuration());
     },
     ErrorCode::kTimeout, Phase::kDial, kNoAlert, "not finished within 10s (192.0.2.1:443)"},
};

TEST_P(BadBackendTest, IsRejectedWithItsReason) {
  const BadBackend& bad = GetParam();
  bad.set_up(*this);
  bridge = *Make(std::move(options));
  Connect({"app.test", client_alpn}).Send("secret");
  loop.RunFor(absl::Seconds(11));
  EXPECT_TRUE(client->handshake_done());
  EXPECT_TRUE(client->saw_end()) << "the client gets a clean end: " << client->failure();
  EXPECT_EQ(client->received(), "");
  client->End();
  loop.RunFor(absl::Seconds(10));

  for (const auto& raw : raw_backends) EXPECT_EQ(raw->received, "");
  for (const auto& peer : peers) EXPECT_FALSE(absl::StrContains(peer->received(), "secret"));
  EXPECT_TRUE(observer.established.empty());
  ASSERT_EQ(observer.closed.size(), 1u);
  const ConnectionReport& report = observer.closed[0];
  const std::optional<Error> error = report.error;
  ASSERT_TRUE(error.has_value()) << ErrorText(report.error);
  EXPECT_EQ(error->code, bad.code) << ErrorText(report.error);
  EXPECT_EQ(error->phase, bad.phase) << ErrorText(report.error);
  EXPECT_EQ(error->leg, Leg::kBack) << ErrorText(report.error);
  EXPECT_EQ(error->alert.has_value() ? *error->alert : kNoAlert, bad.alert)
      << ErrorText(report.error);
  EXPECT_EQ(report.back.peer, backend.endpoint);
  const bool told = bad.alert != kNoAlert && bad.code != ErrorCode::kPeerAlert;
  if (told && !raw_backends.empty()) {
    EXPECT_EQ(raw_backends.at(0)->alert_heard, bad.alert) << "the backend gets the alert";
  }

  const std::string line = examples::DescribeConnection(report);
  EXPECT_THAT(
      line, HasSubstr(std::string("status=\"back leg, ") + std::string(EnumName(bad.phase)) + ": " +
                      std::string(EnumName(bad.code))));
  // The line escapes the quotes in the status.
  EXPECT_THAT(absl::StrReplaceAll(line, {{R"(\")", R"(")"}}), HasSubstr(bad.words));
  EXPECT_THAT(line, HasSubstr("backend=192.0.2.1:443"));
  EXPECT_EQ(loop.buffers().lent_blocks(), 0u);
}

INSTANTIATE_TEST_SUITE_P(All, BadBackendTest, ::testing::ValuesIn(kBadBackends),
                         [](const ::testing::TestParamInfo<BadBackend>& info) {
                           return info.param.name;
                         });

// A backend that fails once bytes flow; earlier bytes reach the client.
class LateBadBackendTest : public BridgeTest {};

TEST_F(LateBadBackendTest, ClosingWithoutCloseNotifyIsTruncation) {
  Connect();
  loop.RunReady();
  servers.at(0)->Send("half an ans");
  loop.RunReady();
  servers.at(0)->stream().transport().Abort();
  loop.RunReady();
  client->End();
  loop.RunFor(absl::Seconds(10));
  EXPECT_EQ(client->received(), "half an ans");
  EXPECT_FALSE(client->saw_end());
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kTruncated);
  EXPECT_EQ(observer.error()->leg, Leg::kBack);
  EXPECT_EQ(observer.error()->phase, Phase::kRelay);
}

// In TLS 1.3 a server reports a missing certificate only after the handshake (RFC 8446 4.4.2).
TEST_F(LateBadBackendTest, AMissingCertificateInTls13IsReportedAfterTheHandshake) {
  bssl::UniquePtr<SSL_CTX> context = testing::MakeRawContext();
  testing::UsePem(context.get(), back_pki.Issue(Internal()));
  SSL_CTX_set_custom_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                            [](SSL*, uint8_t*) { return ssl_verify_ok; });
  std::unique_ptr<RawBackend> raw;
  backend.on_accept = [&](std::unique_ptr<Transport> transport) {
    raw = std::make_unique<RawBackend>(loop, std::move(transport), context.get());
  };
  Connect();
  loop.RunReady();
  client->End();
  loop.RunFor(absl::Seconds(10));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kPeerAlert);
  EXPECT_EQ(observer.error()->alert, 116 /* certificate_required */);
  EXPECT_EQ(observer.error()->leg, Leg::kBack);
  EXPECT_FALSE(client->saw_end()) << "it may have missed a response";
}

}  // namespace
}  // namespace trestle
