#include "tests/proxy/front_error_rows.h"

#include <openssl/ssl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tests/proxy/unhelpful_hosts.h"
#include "trestle/pki/signer.h"
#include "trestle/proxy/route_table.h"
#include "trestle/proxy/sni_passthrough_router.h"

namespace trestle::testing {
namespace {

using Row = FrontErrorRow;

void ReadWith(FrontScene& scene, const ContentAnswer& answer) {
  scene.proxy.content.new_reader = [answer](const ConnectionReport&) {
    return std::make_unique<RefusingReader>(answer);
  };
}

void SignWith(FrontScene& scene, std::shared_ptr<const Signer> signer) {
  const PemPair pair = scene.pki.Issue(FrontScene::Leaf());
  scene.tls.certificates = *CertificateStore::Create(
      {*Credential::FromSigner(pair.chain, std::move(signer))}, scene.loop.Now());
}

LeafSpec Client() {
  LeafSpec leaf;
  leaf.common_name = "alice";
  leaf.server_auth = false;
  return leaf;
}

// Makes the server request a certificate, and a client present `leaf`.
void Show(FrontScene& scene, const LeafSpec& leaf, ClientAuthPolicy policy = {},
          const std::string& crls = "") {
  UsePem(scene.context(), scene.pki.Issue(leaf));
  scene.AskForCertificates(std::move(policy), crls);
  scene.Start();
  scene.Join();
}

void OfferOnly(FrontScene& scene, int max_version, const char* ciphers) {
  SSL_CTX_set_min_proto_version(scene.context(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(scene.context(), static_cast<uint16_t>(max_version));
  ASSERT_TRUE(SSL_CTX_set_cipher_list(scene.context(), ciphers));
  scene.Start();
  scene.Join();
}

// Sends the client's hello, and nothing after it.
void SayHelloOnly(FrontScene& scene) {
  scene.Start();
  scene.SayHello();
}

std::vector<Row> NegotiationRows() {
  return {
      {"PlainHttp", ErrorCode::kNotTls, Phase::kHandshake, kNoAlert, "does not speak TLS",
       [](FrontScene& scene) {
         scene.Start();
         scene.Say("GET / HTTP/1.1\r\n\r\n");
       }},
      {"GarbledHello", ErrorCode::kMalformedHello, Phase::kHandshake, SSL_AD_DECODE_ERROR,
       "the ClientHello is refused",
       [](FrontScene& scene) {
         scene.Start();
         scene.Say(std::string("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10));
       }},
      {"ImpossibleName", ErrorCode::kMalformedHello, Phase::kHandshake, SSL_AD_UNRECOGNIZED_NAME,
       "server name \"app..test\"",
       [](FrontScene& scene) {
         scene.Start();
         scene.Join("app..test");
       }},
      {"HelloWithoutEnd", ErrorCode::kHelloTooLarge, Phase::kHandshake, SSL_AD_ILLEGAL_PARAMETER,
       "excessive message size",
       [](FrontScene& scene) {
         scene.Start();
         scene.Say(std::string("\x16\x03\x01\x00\x05\x01\xff\xff\xff\x03", 10));
       }},
      {"UnknownNameAtARouter", ErrorCode::kNoRoute, Phase::kRoute, SSL_AD_UNRECOGNIZED_NAME,
       "app.test",
       [](FrontScene& scene) {
         SniPassthroughRouterOptions options;
         options.routes = *RouteTable::Create({{"other.test", Backends(scene.backend.endpoint)}});
         scene.StartBlock(*SniPassthroughRouter::Create(scene.loop, scene.dialer,
                                                        std::move(options), &scene.observer));
         scene.Join();
       }},
      {"NoBackendWithoutContent", ErrorCode::kNoRoute, Phase::kRoute, kNoAlert,
       "there is no backend",
       [](FrontScene& scene) {
         scene.proxy.backend = {};
         scene.proxy.content.new_reader = [](const ConnectionReport&) { return nullptr; };
         scene.Start();
         scene.Join();
       }},
      {"NoRouteForTheContent", ErrorCode::kNoRoute, Phase::kRoute, kNoAlert, "nobody speaks this",
       [](FrontScene& scene) {
         ReadWith(scene, ContentAnswer::NoRoute("nobody speaks this"));
         scene.Start();
         scene.Join();
         scene.Send("?");
       }},
      {"UnknownName", ErrorCode::kNoCertificate, Phase::kHandshake, SSL_AD_UNRECOGNIZED_NAME,
       "no certificate for \"other.test\"",
       [](FrontScene& scene) {
         scene.tls.unknown_name = UnknownName::kRefuse;
         scene.Start();
         scene.Join("other.test");
       }},
      {"SelectorFails", ErrorCode::kNoCertificate, Phase::kHandshake, SSL_AD_UNRECOGNIZED_NAME,
       "the vault is sealed",
       [](FrontScene& scene) {
         scene.tls.selector = std::make_shared<FailingSelector>();
         scene.Start();
         scene.Join("other.test");
       }},
      {"ChallengeWithoutToken", ErrorCode::kNoCertificate, Phase::kHandshake,
       SSL_AD_UNRECOGNIZED_NAME, "no ACME token for \"app.test\"",
       [](FrontScene& scene) {
         scene.tls.acme_tokens = std::make_shared<AcmeTokens>();
         scene.Offer("acme-tls/1");
         scene.Start();
         scene.Join();
       }},
      {"OldVersion", ErrorCode::kNoCommonParameters, Phase::kHandshake, SSL_AD_PROTOCOL_VERSION,
       "unsupported protocol", [](FrontScene& scene) { OfferOnly(scene, TLS1_1_VERSION, "ALL"); }},
      {"Tls12AtTheModernPreset", ErrorCode::kNoCommonParameters, Phase::kHandshake,
       SSL_AD_PROTOCOL_VERSION, "unsupported protocol",
       [](FrontScene& scene) {
         scene.tls.parameters = ParametersOf(TlsPreset::kModern);
         OfferOnly(scene, TLS1_2_VERSION, "ALL");
       }},
      {"NoCommonCipher", ErrorCode::kNoCommonParameters, Phase::kHandshake,
       SSL_AD_HANDSHAKE_FAILURE, "no shared cipher",
       [](FrontScene& scene) { OfferOnly(scene, TLS1_2_VERSION, "AES128-SHA"); }},
      {"NoCommonGroup", ErrorCode::kNoCommonParameters, Phase::kHandshake, SSL_AD_HANDSHAKE_FAILURE,
       "no shared group",
       [](FrontScene& scene) {
         const uint16_t group = SSL_GROUP_MLKEM1024;
         ASSERT_TRUE(SSL_CTX_set1_group_ids(scene.context(), &group, 1));
         scene.Start();
         scene.Join();
       }},
      {"NoCommonSignature", ErrorCode::kNoCommonParameters, Phase::kHandshake,
       SSL_AD_HANDSHAKE_FAILURE, "no common signature algorithms",
       [](FrontScene& scene) {
         const uint16_t scheme = SSL_SIGN_ED25519;
         ASSERT_TRUE(SSL_CTX_set_verify_algorithm_prefs(scene.context(), &scheme, 1));
         scene.Start();
         scene.Join();
       }},
      {"NoCommonProtocol", ErrorCode::kAlpnMismatch, Phase::kHandshake,
       SSL_AD_NO_APPLICATION_PROTOCOL, "the client offers \"ftp\"",
       [](FrontScene& scene) {
         scene.tls.alpn = {"http/1.1"};
         scene.Offer("ftp");
         scene.Start();
         scene.Join();
       }},
  };
}

std::vector<Row> CertificateRows() {
  return {
      {"NoneIsShown", ErrorCode::kClientCertificateMissing, Phase::kHandshake,
       SSL_AD_CERTIFICATE_REQUIRED, "the client sent no certificate",
       [](FrontScene& scene) {
         scene.AskForCertificates();
         scene.Start();
         scene.Join();
       }},
      {"NoneIsShownInTls12", ErrorCode::kClientCertificateMissing, Phase::kHandshake,
       SSL_AD_HANDSHAKE_FAILURE, "the client sent no certificate",
       [](FrontScene& scene) {
         scene.AskForCertificates();
         OfferOnly(scene, TLS1_2_VERSION, "ALL");
       }},
      {"Expired", ErrorCode::kCertificateExpired, Phase::kHandshake, SSL_AD_CERTIFICATE_EXPIRED,
       "\"CN=alice\"",
       [](FrontScene& scene) {
         LeafSpec leaf = Client();
         leaf.not_after = scene.loop.Now() - absl::Hours(1);
         Show(scene, leaf);
       }},
      {"NotYetValid", ErrorCode::kCertificateExpired, Phase::kHandshake, SSL_AD_CERTIFICATE_EXPIRED,
       "\"CN=alice\"",
       [](FrontScene& scene) {
         LeafSpec leaf = Client();
         leaf.not_before = scene.loop.Now() + absl::Hours(1);
         Show(scene, leaf);
       }},
      {"OfAnotherAuthority", ErrorCode::kCertificateUntrusted, Phase::kHandshake, SSL_AD_UNKNOWN_CA,
       "\"CN=alice\"",
       [](FrontScene& scene) {
         const TestPki other(scene.loop.Now(), "Another CA");
         UsePem(scene.context(), other.Issue(Client()));
         scene.AskForCertificates();
         scene.Start();
         scene.Join();
       }},
      {"SelfSigned", ErrorCode::kCertificateUntrusted, Phase::kHandshake, SSL_AD_UNKNOWN_CA,
       "is self-signed",
       [](FrontScene& scene) {
         LeafSpec leaf = Client();
         leaf.self_signed = true;
         Show(scene, leaf);
       }},
      {"MeantForServers", ErrorCode::kCertificateUntrusted, Phase::kHandshake,
       SSL_AD_UNSUPPORTED_CERTIFICATE, "\"CN=alice\"",
       [](FrontScene& scene) {
         LeafSpec leaf = Client();
         leaf.server_auth = true;
         Show(scene, leaf);
       }},
      {"SignedWithSha1", ErrorCode::kCertificateUntrusted, Phase::kHandshake,
       SSL_AD_BAD_CERTIFICATE, "SHA-1",
       [](FrontScene& scene) {
         LeafSpec leaf = Client();
         leaf.sha1 = true;
         Show(scene, leaf);
       }},
      {"BehindTooManyIntermediates", ErrorCode::kCertificateUntrusted, Phase::kHandshake,
       SSL_AD_UNKNOWN_CA, "is one intermediate too many",
       [](FrontScene& scene) {
         const TestPki between(scene.pki, "Between");
         UsePem(scene.context(), between.Issue(Client()));
         ClientAuthPolicy policy;
         policy.max_intermediates = 0;
         scene.AskForCertificates(std::move(policy));
         scene.Start();
         scene.Join();
       }},
      {"Revoked", ErrorCode::kCertificateUntrusted, Phase::kHandshake, SSL_AD_CERTIFICATE_REVOKED,
       "revoked",
       [](FrontScene& scene) {
         const PemPair pair = scene.pki.Issue(Client());
         UsePem(scene.context(), pair);
         scene.AskForCertificates({}, scene.pki.IssueCrl({pair}));
         scene.Start();
         scene.Join();
       }},
      {"WithoutAValidList", ErrorCode::kCertificateUntrusted, Phase::kHandshake,
       SSL_AD_CERTIFICATE_UNKNOWN, "the revocation list of its issuer has expired",
       [](FrontScene& scene) {
         Show(scene, Client(), {}, scene.pki.IssueCrl({}, scene.loop.Now() - absl::Hours(1)));
       }},
      {"NotOnTheList", ErrorCode::kCertificateUntrusted, Phase::kHandshake, SSL_AD_ACCESS_DENIED,
       "neither its names nor its key are allowed",
       [](FrontScene& scene) {
         ClientAuthPolicy policy;
         policy.allowed.dns_names = {"bob.test"};
         Show(scene, Client(), std::move(policy));
       }},
      {"RefusedByTheVerifier", ErrorCode::kCertificateUntrusted, Phase::kHandshake,
       SSL_AD_CERTIFICATE_UNKNOWN, "not on the payroll",
       [](FrontScene& scene) {
         scene.tls.client_verifier = std::make_shared<RefusingVerifier>();
         Show(scene, Client());
       }},
  };
}

std::vector<Row> EndRows() {
  return {
      {"ClientRefusesTheServer", ErrorCode::kPeerAlert, Phase::kHandshake, kNoAlert,
       "the peer sent the alert bad_certificate",
       [](FrontScene& scene) {
         SSL_CTX_set_custom_verify(scene.context(), SSL_VERIFY_PEER, [](SSL*, uint8_t* alert) {
           *alert = SSL_AD_BAD_CERTIFICATE;
           return ssl_verify_invalid;
         });
         scene.Start();
         scene.Join();
       }},
      {"AlertAfterTheHandshake", ErrorCode::kPeerAlert, Phase::kRelay, kNoAlert,
       "the peer sent the alert internal_error",
       [](FrontScene& scene) {
         scene.Start();
         scene.Join();
         SSL_send_fatal_alert(scene.peer().ssl(), SSL_AD_INTERNAL_ERROR);
         scene.Pump();
       }},
      {"LeavesAtOnce", ErrorCode::kNothingSent, Phase::kHello, kNoAlert, "before it sent anything",
       [](FrontScene& scene) {
         scene.Start();
         scene.Connect();
         scene.End();
       }},
      {"LeavesWithinItsHello", ErrorCode::kTruncated, Phase::kHandshake, kNoAlert,
       "within its ClientHello",
       [](FrontScene& scene) {
         scene.Start();
         scene.SayHello(50);
         scene.End();
       }},
      {"LeavesDuringTheHandshake", ErrorCode::kTruncated, Phase::kHandshake, kNoAlert,
       "during the handshake",
       [](FrontScene& scene) {
         SayHelloOnly(scene);
         scene.End();
       }},
      {"LeavesWithoutCloseNotify", ErrorCode::kTruncated, Phase::kRelay, kNoAlert,
       "without close_notify",
       [](FrontScene& scene) {
         scene.Start();
         scene.Join();
         scene.Send("GET /");
         scene.End();
       }},
      {"Resets", ErrorCode::kTruncated, Phase::kRelay, kNoAlert, "reset",
       [](FrontScene& scene) {
         scene.Start();
         scene.Join();
         scene.Send("GET /");
         scene.Cut();
       }},
      {"SaysNothing", ErrorCode::kTimeout, Phase::kHello, kNoAlert, "not finished within 5s",
       [](FrontScene& scene) {
         scene.Start();
         scene.Connect();
         scene.loop.RunFor(ConnectionOptions().hello_timeout);
       }},
      {"NeverEndsItsHandshake", ErrorCode::kTimeout, Phase::kHandshake, kNoAlert,
       "not finished within 10s",
       [](FrontScene& scene) {
         SayHelloOnly(scene);
         scene.loop.RunFor(ConnectionOptions().handshake_timeout);
       }},
      {"TheSignerIsSilent", ErrorCode::kTimeout, Phase::kHandshake, SSL_AD_INTERNAL_ERROR,
       "no answer from the signer within 5s",
       [](FrontScene& scene) {
         SignWith(scene, std::make_shared<SilentSigner>());
         scene.Start();
         scene.Join();
         scene.loop.RunFor(absl::Seconds(5));
       }},
      {"SaysNothingThatARouteIsFoundBy", ErrorCode::kTimeout, Phase::kRoute, kNoAlert,
       "not finished within 10s",
       [](FrontScene& scene) {
         ReadWith(scene, ContentAnswer::ReadMore());
         scene.Start();
         scene.Join();
         scene.loop.RunFor(absl::Seconds(10));
       }},
      {"SaysNothingMore", ErrorCode::kTimeout, Phase::kRelay, kNoAlert, "no byte moved",
       [](FrontScene& scene) {
         scene.Start();
         scene.Join();
         scene.loop.RunFor(ConnectionOptions().relay.idle_timeout);
       }},
      {"TheSocketFails", ErrorCode::kTransport, Phase::kHandshake, kNoAlert, "no route to host",
       [](FrontScene& scene) {
         scene.Start();
         scene.ConnectByBrokenSocket("no route to host");
       }},
      {"DrainRanOut", ErrorCode::kCancelled, Phase::kRelay, kNoAlert, "time to drain",
       [](FrontScene& scene) {
         scene.Start();
         scene.Join();
         scene.block().Drain(absl::Seconds(1), [] {});
         scene.loop.RunFor(absl::Seconds(1));
       }},
      {"CertificatesReplaced", ErrorCode::kCancelled, Phase::kRelay, kNoAlert, "replaced",
       [](FrontScene& scene) {
         scene.Start();
         scene.Join();
         scene.block().DrainOlderCertificates(2, absl::Seconds(1));
         scene.loop.RunFor(absl::Seconds(1));
       }},
      {"CertificateHasExpired", ErrorCode::kCancelled, Phase::kRelay, kNoAlert, "has expired",
       [](FrontScene& scene) {
         LeafSpec leaf = FrontScene::Leaf();
         leaf.not_after = scene.loop.Now() + absl::Minutes(1);
         scene.tls.certificates =
             *CertificateStore::Create({scene.pki.IssueCredential(leaf)}, scene.loop.Now());
         scene.proxy.connection.after_certificate_expiry = absl::ZeroDuration();
         scene.Start();
         scene.Join();
         scene.loop.RunFor(absl::Minutes(2));
       }},
      {"ShutDown", ErrorCode::kCancelled, Phase::kRelay, kNoAlert, "the block was shut down",
       [](FrontScene& scene) {
         scene.Start();
         scene.Join();
         scene.DestroyBlock();
       }},
  };
}

std::vector<Row> TrafficRows() {
  return {
      {"Blocked", ErrorCode::kBlockedByInspector, Phase::kRelay, kNoAlert, "an attack",
       [](FrontScene& scene) {
         scene.proxy.new_inspector = [](const ConnectionReport&) {
           return std::make_unique<BlockingInspector>();
         };
         scene.Start();
         scene.Join();
         scene.Send("attack");
       }},
      {"BlockedBeforeItHasARoute", ErrorCode::kBlockedByInspector, Phase::kRoute, kNoAlert,
       "nobody may say this",
       [](FrontScene& scene) {
         ReadWith(scene, ContentAnswer::Refuse("nobody may say this"));
         scene.Start();
         scene.Join();
         scene.Send("attack");
       }},
      {"TooManyFullHandshakes", ErrorCode::kOverLimit, Phase::kHandshake, SSL_AD_INTERNAL_ERROR,
       "more than 1 full handshakes would be under way",
       [](FrontScene& scene) {
         scene.limits.full_handshakes = 1;
         SayHelloOnly(scene);
         scene.Join();
       }},
      {"TooManyHandshakesASecond", ErrorCode::kOverLimit, Phase::kHandshake, SSL_AD_INTERNAL_ERROR,
       "more than 1 full handshakes a second",
       [](FrontScene& scene) {
         scene.limits.full_handshakes_per_second = 1;
         scene.Start();
         scene.Join();
         scene.Join();
       }},
      {"TooManyHandshakesASecondOfOneClient", ErrorCode::kOverLimit, Phase::kHandshake,
       SSL_AD_INTERNAL_ERROR, "a second from this client's network",
       [](FrontScene& scene) {
         scene.limits.full_handshakes_per_second_per_client = 1;
         scene.Start();
         scene.Join();
         scene.Join();
       }},
      {"TooManySignatures", ErrorCode::kOverLimit, Phase::kHandshake, SSL_AD_INTERNAL_ERROR,
       "no thread is free",
       [](FrontScene& scene) {
         SignWith(scene, std::make_shared<FailingSigner>(OverLimitError(
                             Limit::kTasks, Phase::kHandshake, "no thread is free")));
         scene.Start();
         scene.Join();
       }},
      {"TooManyKeyUpdates", ErrorCode::kOverLimit, Phase::kRelay, SSL_AD_UNEXPECTED_MESSAGE,
       "changed its keys more than 5 times",
       [](FrontScene& scene) {
         scene.tls.max_key_updates_per_minute = 5;
         scene.Start();
         scene.Join();
         for (int i = 0; i <= 5; ++i) {
           ASSERT_TRUE(SSL_key_update(scene.peer().ssl(), SSL_KEY_UPDATE_NOT_REQUESTED));
           scene.Send("x");
         }
       }},
      {"KeyUpdatesWithoutData", ErrorCode::kProtocol, Phase::kRelay, SSL_AD_UNEXPECTED_MESSAGE,
       "too many key updates",
       [](FrontScene& scene) {
         scene.Start();
         scene.Join();
         for (int i = 0; i < 40; ++i) {
           ASSERT_TRUE(SSL_key_update(scene.peer().ssl(), SSL_KEY_UPDATE_NOT_REQUESTED));
           SSL_write(scene.peer().ssl(), nullptr, 0);
           scene.Pump();
         }
       }},
      {"NonsenseInTheHandshake", ErrorCode::kProtocol, Phase::kHandshake, SSL_AD_BAD_RECORD_MAC,
       "the peer broke the handshake",
       [](FrontScene& scene) {
         SayHelloOnly(scene);
         scene.Say("\x17\x03\x03\x01\x02" + std::string(0x102, 'x'));
       }},
      {"ABadRecord", ErrorCode::kProtocol, Phase::kRelay, SSL_AD_BAD_RECORD_MAC,
       "the peer broke the protocol",
       [](FrontScene& scene) {
         scene.Start();
         scene.Join();
         scene.Say("\x17\x03\x03\x01\x02" + std::string(0x102, 'x'));
       }},
      {"ABadProxyHeader", ErrorCode::kProtocol, Phase::kHello, kNoAlert, "PROXY",
       [](FrontScene& scene) {
         scene.proxy.connection.proxy_protocol_from = *TrustedPeers::Parse("192.0.2.0/24");
         scene.Start();
         scene.Say("PROXY nonsense\r\n");
       }},
      {"TheSignerFails", ErrorCode::kInternal, Phase::kHandshake, SSL_AD_INTERNAL_ERROR,
       "the key server is down",
       [](FrontScene& scene) {
         SignWith(scene, std::make_shared<FailingSigner>(
                             absl::UnavailableError("the key server is down")));
         scene.Start();
         scene.Join();
       }},
  };
}

}  // namespace

std::vector<FrontErrorRow> FrontErrorRows() {
  std::vector<Row> all;
  for (auto* rows : {&NegotiationRows, &CertificateRows, &EndRows, &TrafficRows}) {
    for (Row& row : rows()) all.push_back(std::move(row));
  }
  return all;
}

}  // namespace trestle::testing
