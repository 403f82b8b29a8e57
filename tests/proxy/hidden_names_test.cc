// Names that arrived encrypted (RFC 9849) are not revealed. For every outcome of a connection, the
// test searches its log lines, errors and sightings for the name.
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "examples/support/connection_json.h"
#include "examples/support/connection_log.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/raw_client.h"
#include "tests/proxy/tls_fixture.h"
#include "tests/tls/ech_pair.h"
#include "trestle/pki/trust_store.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/proxy/tls_bridge.h"
#include "trestle/proxy/tls_terminator.h"
#include "trestle/tls/acme_tokens.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/credential_selector.h"
#include "trestle/tls/ech_key_opener.h"
#include "trestle/tls/ech_keys.h"
#include "trestle/watch/certificate_sightings.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;

constexpr char kMarker[] = "veiled";
constexpr char kHidden[] = "veiled.test";    // Has a certificate.
constexpr char kOther[] = "veiled.example";  // Has none.

class NoCredentials final : public CredentialSelector {
 public:
  std::unique_ptr<PendingCall> Select(absl::string_view server_name, Scheduler&,
                                      Done done) const override {
    done(absl::NotFoundError(absl::StrCat("nothing for ", server_name)));
    return nullptr;
  }
};

class Quoting final : public ContentReader {
 public:
  ContentAnswer Read(ByteView bytes, bool) override {
    if (bytes.empty()) return ContentAnswer::ReadMore();
    return ContentAnswer::NoRoute(absl::StrCat("no backend for VEILED.test"));
  }
};

class Routing final : public ContentReader {
 public:
  explicit Routing(Backends backend) : backend_(std::move(backend)) {}
  ContentAnswer Read(ByteView, bool) override {
    return ContentAnswer::Go(
        std::make_shared<const ContentTarget>(ContentTarget{backend_, "", "veiled.test/path"}));
  }

 private:
  const Backends backend_;
};

class Blocking final : public Inspector {
 public:
  Verdict Inspect(Direction, ByteView, bool) override {
    return Verdict::Block("the Host is veiled.test:443");
  }
};

class HiddenNamesTest : public ::testing::Test {
 protected:
  HiddenNamesTest() : context_(MakeRawContext()) {
    front_.certificates = *CertificateStore::Create(
        {pki_.IssueCredential(LeafFor("public.test")), pki_.IssueCredential(LeafFor(kHidden))},
        loop_.Now());
    front_.ech_keys = *EchKeys::FromPem(ech_.pem());
    front_.unknown_name = UnknownName::kRefuse;
  }

  void StartTerminator() {
    terminator_.front_tls = *ServerTlsConfig::Create(front_);
    if (!terminator_.content.new_reader) terminator_.backend = backend_.endpoint;
    block_ = *TlsTerminator::Create(loop_, dialer_, std::move(terminator_), &sightings_);
  }

  // Starts a bridge that copies the name, with a backend that presents `leaf`, issued by `pki`.
  void StartBridge(const TestPki& pki, const LeafSpec& leaf) {
    const auto config = ServerFor(pki, loop_.Now(), leaf);
    for (TestBackend* backend : {&backend_, &second_}) {
      backend->on_accept = [this, config](std::unique_ptr<Transport> raw) {
        servers_.push_back(TlsPeer::Server(loop_, std::move(raw), config));
      };
    }
    TlsBridgeOptions options;
    options.front_tls = *ServerTlsConfig::Create(front_);
    options.back_tls = ClientOf(pki_);
    options.backend = backend_.endpoint;
    options.backend.endpoints.push_back(second_.endpoint);
    options.copy_server_name = true;
    block_ = *TlsBridge::Create(loop_, dialer_, std::move(options), &sightings_);
  }

  // Starts a router that opens hellos, in front of the last started block, or of the first backend.
  void StartRouter(const std::string& pattern) {
    SniPassthroughRouterOptions options;
    Route route{pattern, backend_.endpoint};
    if (block_ != nullptr) route.target = block_.get();
    options.routes = *RouteTable::Create({route, {"public.test", second_.endpoint}});
    options.ech = *EchKeyOpener::Create(front_.ech_keys);
    behind_ = std::move(block_);
    block_ = *SniPassthroughRouter::Create(loop_, dialer_, std::move(options), &sightings_);
  }

  // Makes one connection for `name`, encrypted, and waits for its end.
  void Join(const std::string& name, const char* alpn = nullptr) {
    client_ = std::make_unique<RawClient>(loop_, ConnectTo(*block_, loop_), context_.get());
    client_->UseEch(ech_.config_list);
    if (alpn != nullptr) client_->Offer(alpn);
    client_->Join(name, "GET / HTTP/1.1\r\n\r\n");
    client_->End();
    loop_.RunFor(absl::Minutes(1));
    ASSERT_EQ(observer_.closed.size(), behind_ != nullptr ? 2u : 1u);
    EXPECT_TRUE(observer_.closed[0].server_name_hidden);
  }

  static void ExpectSilent(const std::string& text) {
    EXPECT_FALSE(absl::StrContains(absl::AsciiStrToLower(text), kMarker)) << text;
  }

  // `code` is the expected error of the connection.
  void ExpectNothingTold(ErrorCode code) {
    ASSERT_TRUE(observer_.error().has_value());
    EXPECT_EQ(observer_.error()->code, code) << ErrorText(observer_.closed[0].error);
    ExpectNothingTold();
  }

  void ExpectNothingTold() {
    for (const ConnectionReport& report : observer_.closed) {
      ExpectSilent(ErrorText(report.error));
      for (const FailedTry& failed : report.failed_tries) ExpectSilent(failed.error.ToString());
    }
    for (const std::vector<ConnectionReport>* reports :
         {&observer_.closed, &observer_.established}) {
      for (const ConnectionReport& report : *reports) {
        const std::string json = examples::ConnectionAsJson(report, loop_.Now());
        const std::string text = examples::DescribeConnection(report);
        ExpectSilent(json);
        ExpectSilent(text);
        EXPECT_THAT(text, HasSubstr("sni=(ech)"));
        EXPECT_THAT(json, HasSubstr("\"(ech)\""));
      }
    }
    for (const CertificateSighting& sighting : seen_) {
      ExpectSilent(absl::StrCat(sighting.name, ErrorText(sighting.error)));
      for (const CertificateInfo& certificate : sighting.chain) ExpectSilent(certificate.subject);
    }
  }

  SimulatedLoop loop_;
  TestPki pki_{loop_.Now()};
  MemoryDialer dialer_{loop_};
  TestBackend backend_{loop_, dialer_, 1};
  TestBackend second_{loop_, dialer_, 2};
  const EchPair ech_ = NewEchPair(1, "public.test");
  ServerTlsOptions front_;
  TlsTerminatorOptions terminator_;
  RecordingObserver observer_;
  std::vector<CertificateSighting> seen_;
  CertificateSightings sightings_{
      &observer_, [this](CertificateSighting sighting) { seen_.push_back(std::move(sighting)); }};
  std::vector<std::unique_ptr<TlsPeer>> servers_;
  std::unique_ptr<ProxyBlock> behind_;  // Of a router.
  std::unique_ptr<ProxyBlock> block_;
  bssl::UniquePtr<SSL_CTX> context_;
  std::unique_ptr<RawClient> client_;
};

TEST_F(HiddenNamesTest, AServedConnectionDoesNotRevealIt) {
  StartTerminator();
  Join(kHidden);
  EXPECT_EQ(observer_.established.size(), 1u);
  EXPECT_EQ(observer_.closed[0].server_name, kHidden) << "the host itself may see it";
  ExpectNothingTold();
}

TEST_F(HiddenNamesTest, ABridgeThatSendsItToTheBackendDoesNotRevealIt) {
  StartBridge(pki_, LeafFor(kHidden));
  Join(kHidden);
  EXPECT_EQ(observer_.established.size(), 1u);
  EXPECT_EQ(servers_.at(0)->info().server_name, kHidden);
  ExpectNothingTold();
}

TEST_F(HiddenNamesTest, ARoutedConnectionDoesNotRevealIt) {
  StartRouter(kHidden);
  backend_.on_accept = [&](std::unique_ptr<Transport> raw) {
    servers_.push_back(
        TlsPeer::Server(loop_, std::move(raw), ServerFor(pki_, loop_.Now(), LeafFor(kHidden))));
    servers_.back()->End();
  };
  Join(kHidden);
  EXPECT_EQ(servers_.at(0)->received(), "GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(observer_.closed[0].route, kHidden) << "the host itself may see it";
  ExpectNothingTold();
}

TEST_F(HiddenNamesTest, AMissingRouteDoesNotRevealIt) {
  StartRouter("other.test");
  Join(kHidden);
  ExpectNothingTold(ErrorCode::kNoRoute);
}

TEST_F(HiddenNamesTest, AnUnreachableBackendDoesNotRevealIt) {
  dialer_.Refuse(backend_.endpoint, absl::UnavailableError("no way to veiled.test"));
  StartRouter("**.test");
  Join(kHidden);
  ExpectNothingTold(ErrorCode::kTransport);
}

TEST_F(HiddenNamesTest, ATerminatorBehindARouterDoesNotRevealIt) {
  StartTerminator();
  StartRouter(kHidden);
  Join(kHidden);
  EXPECT_TRUE(observer_.closed[1].server_name_hidden);
  ExpectNothingTold();
}

TEST_F(HiddenNamesTest, ATerminatorWithoutACertificateDoesNotRevealIt) {
  StartTerminator();
  StartRouter("**.example");
  Join(kOther);
  EXPECT_EQ(observer_.closed[1].error->code, ErrorCode::kNoCertificate);
  ExpectNothingTold();
}

TEST_F(HiddenNamesTest, ABridgeBehindARouterDoesNotRevealIt) {
  StartBridge(pki_, LeafFor("WWW.Veiled.test"));
  StartRouter(kHidden);
  Join(kHidden);
  EXPECT_EQ(observer_.closed[1].error->code, ErrorCode::kNameMismatch);
  ExpectNothingTold();
}

TEST_F(HiddenNamesTest, AMissingCertificateDoesNotRevealIt) {
  StartTerminator();
  Join(kOther);
  ExpectNothingTold(ErrorCode::kNoCertificate);
}

TEST_F(HiddenNamesTest, ASelectorThatQuotesItDoesNotRevealIt) {
  front_.selector = std::make_shared<const NoCredentials>();
  StartTerminator();
  Join(kOther);
  ExpectNothingTold(ErrorCode::kNoCertificate);
}

TEST_F(HiddenNamesTest, AChallengeWithoutATokenDoesNotRevealIt) {
  front_.acme_tokens = std::make_shared<AcmeTokens>();
  StartTerminator();
  Join(kHidden, "acme-tls/1");
  ExpectNothingTold(ErrorCode::kNoCertificate);
}

TEST_F(HiddenNamesTest, AnInvalidNameIsNotRevealed) {
  StartTerminator();
  client_ = std::make_unique<RawClient>(loop_, ConnectTo(*block_, loop_), context_.get());
  client_->UseEch(ech_.config_list);
  client_->Join("veiled name!", "");
  client_->End();
  loop_.RunFor(absl::Minutes(1));
  ASSERT_TRUE(observer_.error().has_value());
  EXPECT_EQ(observer_.error()->code, ErrorCode::kMalformedHello);
  ExpectSilent(ErrorText(observer_.closed[0].error));
  ExpectSilent(examples::ConnectionAsJson(observer_.closed[0], loop_.Now()));
}

TEST_F(HiddenNamesTest, AMissingClientCertificateDoesNotRevealIt) {
  ClientAuthOptions clients;
  clients.otherwise.certificate = ClientCertificate::kRequired;
  clients.otherwise.trust = *TrustStore::Create(pki_.ca_pem(), "");
  front_.client_authentication = *ClientAuthentication::Create(std::move(clients));
  StartTerminator();
  Join(kHidden);
  ExpectNothingTold(ErrorCode::kClientCertificateMissing);
}

TEST_F(HiddenNamesTest, AMismatchedBackendDoesNotRevealIt) {
  StartBridge(pki_, LeafFor("WWW.Veiled.test"));
  Join(kHidden);
  EXPECT_EQ(observer_.closed[0].failed_tries.size(), 1u);
  ExpectNothingTold(ErrorCode::kNameMismatch);
}

TEST_F(HiddenNamesTest, AnUntrustedBackendDoesNotRevealIt) {
  const TestPki other{loop_.Now(), "Other CA"};
  LeafSpec leaf = LeafFor(kHidden);
  leaf.common_name = kHidden;
  StartBridge(other, leaf);
  Join(kHidden);
  ExpectNothingTold(ErrorCode::kCertificateUntrusted);
}

TEST_F(HiddenNamesTest, AContentReaderThatQuotesItDoesNotRevealIt) {
  terminator_.content.new_reader = [](const ConnectionReport&) {
    return std::make_unique<Quoting>();
  };
  StartTerminator();
  Join(kHidden);
  ExpectNothingTold(ErrorCode::kNoRoute);
}

TEST_F(HiddenNamesTest, AContentRouteWithThisNameDoesNotRevealIt) {
  terminator_.content.new_reader = [this](const ConnectionReport&) {
    return std::make_unique<Routing>(Backends(backend_.endpoint));
  };
  StartTerminator();
  Join(kHidden);
  ExpectNothingTold();
}

TEST_F(HiddenNamesTest, AnInspectorThatQuotesItDoesNotRevealIt) {
  terminator_.new_inspector = [](const ConnectionReport&) { return std::make_unique<Blocking>(); };
  StartTerminator();
  Join(kHidden);
  ExpectNothingTold(ErrorCode::kBlockedByInspector);
}

TEST_F(HiddenNamesTest, AnAbandonedHandshakeDoesNotRevealIt) {
  front_.selector = nullptr;
  StartTerminator();
  client_ = std::make_unique<RawClient>(loop_, ConnectTo(*block_, loop_), context_.get());
  client_->UseEch(ech_.config_list);
  SSL_set_tlsext_host_name(client_->ssl(), kHidden);
  SSL_do_handshake(client_->ssl());
  client_->SendOutput();
  client_->End();
  loop_.RunFor(absl::Minutes(1));
  ExpectNothingTold(ErrorCode::kTruncated);
}

}  // namespace
}  // namespace trestle::testing
