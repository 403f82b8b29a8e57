#include "trestle/watch/leg_probe.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/stream_peer.h"
#include "tests/watch/probe_fixture.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr absl::Duration kDay = absl::Hours(24);

class LegProbeTest : public ProbeTest {
 protected:
  LegProbeTarget Target(const std::string& name = "a.test") const {
    LegProbeTarget target;
    target.endpoint = At(1);
    target.server_name = name;
    return target;
  }
};

TEST_F(LegProbeTest, ReportsAllFields) {
  const TestPki intermediate(
      pki_, AuthoritySpec{"Intermediate", absl::InfinitePast(), loop_.Now() + 9 * kDay});
  ProbedServer server(loop_, dialer_, At(1),
                      ConfigFor(intermediate.Issue(Leaf("a.test", kDay * 80))));
  const absl::Time started = loop_.Now();
  const ProbeReport report = Probe(Target());
  EXPECT_TRUE(report.good()) << report.status;
  EXPECT_EQ(report.started, started);
  EXPECT_GE(report.times.dial, absl::Milliseconds(1));
  EXPECT_EQ(report.tls.version, "TLSv1.3");
  EXPECT_EQ(report.tls.group, "X25519MLKEM768");
  EXPECT_TRUE(report.post_quantum);
  EXPECT_THAT(std::string(report.tls.cipher), StartsWith("TLS_"));
  EXPECT_TRUE(report.resumption_offered);
  // The server's ticket, which takes a tenth of a second, ends the wait.
  EXPECT_LT(loop_.Now() - started, LegProbeOptions().ticket_wait);
  ASSERT_TRUE(report.chain.has_value());
  EXPECT_TRUE(report.chain->verdict.ok()) << report.chain->verdict;
  ASSERT_EQ(report.chain->served.size(), 2u);
  ASSERT_TRUE(report.chain->first_failure.has_value());
  EXPECT_EQ(report.chain->first_failure->part, ChainPart::kIntermediate);
  EXPECT_EQ(report.chain->first_failure->when, started + 9 * kDay);
  EXPECT_EQ(server.last_server_name(), "a.test");
  loop_.RunFor(absl::Seconds(1));
  EXPECT_EQ(server.open(), 0u);
}

TEST_F(LegProbeTest, RequestsTheConfirmationOfAnInnerHello) {
  ProbedServer server(loop_, dialer_, At(1), ConfigFor(pki_.Issue(Leaf("a.test", 80 * kDay))));
  LegProbeTarget target = Target();
  target.ech_inner = true;
  const ProbeReport report = Probe(target);
  EXPECT_TRUE(report.good()) << report.ech_inner;
  EXPECT_EQ(server.accepted(), 2u);
  EXPECT_EQ(server.last_server_name(), "a.test");
  EXPECT_EQ(report.tls.version, "TLSv1.3");
}

TEST_F(LegProbeTest, AServerThatDoesNotConfirmAnInnerHelloIsNotGood) {
  ProbedServer server(loop_, dialer_, At(1),
                      ConfigFor(pki_.Issue(Leaf("a.test", 80 * kDay)), TlsVersion::kTls12));
  LegProbeTarget target = Target();
  target.ech_inner = true;
  const ProbeReport report = Probe(target);
  EXPECT_TRUE(report.status.ok()) << report.status;
  EXPECT_TRUE(report.chain->verdict.ok());
  EXPECT_FALSE(report.good());
  EXPECT_THAT(GetError(report.ech_inner)->detail, HasSubstr("must confirm inner hellos"));
}

TEST_F(LegProbeTest, MayRequestTheConfirmationOnly) {
  ProbedServer server(loop_, dialer_, At(1), ConfigFor(pki_.Issue(Leaf("a.test", 80 * kDay))));
  LegProbeOptions options;
  options.only_ech_inner = true;
  LegProbeTarget target = Target();
  target.ech_inner = true;
  std::optional<ProbeReport> report;
  LegProbe probe(loop_, dialer_, *LegProbeConfig::Create(options), target,
                 [&](ProbeReport made) { report = std::move(made); });
  loop_.RunFor(absl::Seconds(1));
  ASSERT_TRUE(report.has_value());
  EXPECT_TRUE(report->ech_inner.ok()) << report->ech_inner;
  EXPECT_EQ(server.accepted(), 1u);
}

TEST_F(LegProbeTest, AnAddressHasNoInnerHello) {
  LegProbeOptions options;
  options.only_ech_inner = true;
  std::optional<ProbeReport> report;
  LegProbe probe(loop_, dialer_, *LegProbeConfig::Create(options), Target(""),
                 [&](ProbeReport made) { report = std::move(made); });
  EXPECT_FALSE(report.has_value()) << "never from inside the constructor";
  loop_.RunReady();
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(CodeOf(report->ech_inner), ErrorCode::kConfiguration);
}

// Silence and closed connections, on the second connection only.
TEST_F(LegProbeTest, AnInnerHelloWithoutAnAnswerIsReported) {
  for (const bool hang_up : {true, false}) {
    SCOPED_TRACE(hang_up);
    MemoryDialer dialer(loop_);
    std::unique_ptr<Transport> end;
    dialer.Listen(At(1), [&](std::unique_ptr<Transport> raw) {
      if (hang_up) raw->ShutdownWrite(StreamEnd::kClean);
      end = std::move(raw);
    });
    LegProbeOptions options;
    options.only_ech_inner = true;
    std::optional<ProbeReport> report;
    LegProbe probe(loop_, dialer, *LegProbeConfig::Create(options), Target(),
                   [&](ProbeReport made) { report = std::move(made); });
    loop_.RunFor(absl::Minutes(1));
    ASSERT_TRUE(report.has_value());
    EXPECT_EQ(CodeOf(report->ech_inner), hang_up ? ErrorCode::kProtocol : ErrorCode::kTimeout);
    EXPECT_THAT(GetError(report->ech_inner)->detail,
                HasSubstr(hang_up ? "closed the connection" : "did not answer an inner hello"));
  }
}

TEST_F(LegProbeTest, AnInvalidCertificateDoesNotEndTheProbe) {
  const TestPki stranger(loop_.Now(), "Stranger");
  ProbedServer server(loop_, dialer_, At(1), ConfigFor(stranger.Issue(Leaf("a.test", kDay))));
  const ProbeReport report = Probe(Target());
  EXPECT_TRUE(report.status.ok()) << report.status;
  EXPECT_FALSE(report.good());
  ASSERT_TRUE(report.chain.has_value());
  EXPECT_EQ(CodeOf(report.chain->verdict), ErrorCode::kCertificateUntrusted);
  EXPECT_EQ(report.tls.version, "TLSv1.3");
}

// The server still sends the cross-certificate of an expired root.
TEST_F(LegProbeTest, TheOrderOfTheCaFileDoesNotMatter) {
  const TestPki old_root(loop_.Now(),
                         AuthoritySpec{"Old Root", absl::InfinitePast(), loop_.Now() - kDay});
  const TestPki intermediate(pki_, "Intermediate");
  PemPair pair = intermediate.Issue(Leaf("a.test", 80 * kDay));
  pair.chain += old_root.CrossCertify(pki_, loop_.Now() - kDay);
  ProbedServer server(loop_, dialer_, At(1), ConfigFor(pair));
  for (const std::string& cas :
       {pki_.ca_pem() + old_root.ca_pem(), old_root.ca_pem() + pki_.ca_pem()}) {
    ChainCheckerOptions checker;
    checker.trust = *TrustStore::Create(cas);
    LegProbeOptions options;
    options.checker = *ChainChecker::Create(std::move(checker));
    const ProbeReport report = Probe(Target(), std::move(options));
    EXPECT_TRUE(report.good()) << report.status;
    ASSERT_TRUE(report.chain.has_value());
    EXPECT_TRUE(report.chain->verdict.ok()) << report.chain->verdict;
    EXPECT_THAT(report.chain->roles,
                ElementsAre(ServedRole::kLeaf, ServedRole::kIntermediate, ServedRole::kUnused));
    ASSERT_TRUE(report.chain->first_failure.has_value());
    EXPECT_EQ(report.chain->first_failure->part, ChainPart::kLeaf);
  }
}

TEST_F(LegProbeTest, ProbesTls12) {
  ProbedServer server(loop_, dialer_, At(1),
                      ConfigFor(pki_.Issue(Leaf("a.test", kDay)), TlsVersion::kTls12));
  const ProbeReport report = Probe(Target());
  EXPECT_TRUE(report.good()) << report.status;
  EXPECT_EQ(report.tls.version, "TLSv1.2");
  EXPECT_FALSE(report.post_quantum);
  EXPECT_TRUE(report.resumption_offered);
}

TEST_F(LegProbeTest, TheVerifiedNameMayDifferFromTheSentName) {
  ProbedServer server(loop_, dialer_, At(1), ConfigFor(pki_.Issue(Leaf("proven.test", kDay))));
  LegProbeTarget target = Target("sent.test");
  EXPECT_EQ(CodeOf(Probe(target).chain->verdict), ErrorCode::kNameMismatch);
  target.verify_name = "proven.test";
  EXPECT_TRUE(Probe(target).good());
  EXPECT_EQ(server.last_server_name(), "sent.test");
}

TEST_F(LegProbeTest, WithoutANameTheAddressIsVerified) {
  LeafSpec leaf = Leaf("a.test", kDay);
  leaf.ip_names = {"192.0.2.1"};
  ProbedServer server(loop_, dialer_, At(1), ConfigFor(pki_.Issue(leaf)));
  EXPECT_TRUE(Probe(Target("")).good());
  EXPECT_EQ(server.last_server_name(), "");
  LegProbeTarget v6 = Target("");
  v6.endpoint = *Endpoint::Parse("[2001:db8::1]:443");
  EXPECT_EQ(v6.expected_name(), "2001:db8::1");
}

TEST_F(LegProbeTest, AlpnIsOfferedAndReported) {
  PemPair pair = pki_.Issue(Leaf("a.test", kDay));
  ServerTlsOptions options;
  options.certificates =
      *CertificateStore::Create({*Credential::FromPem(pair.chain, pair.key)}, loop_.Now());
  options.alpn = {"h2"};
  ProbedServer server(loop_, dialer_, At(1), *ServerTlsConfig::Create(options));
  LegProbeTarget target = Target();
  target.alpn = {"h2", "http/1.1"};
  EXPECT_EQ(Probe(target).tls.alpn, "h2");
  target.alpn = {"http/1.1"};
  const ProbeReport refused = Probe(target);
  EXPECT_FALSE(refused.status.ok());
  EXPECT_FALSE(refused.good());
}

TEST_F(LegProbeTest, StartTlsComesBeforeTheHandshake) {
  ProbedServer server(loop_, dialer_, At(1), ConfigFor(pki_.Issue(Leaf("a.test", kDay))));
  LegProbeTarget target = Target();

  server.SpeakFirst({"220 mail.test\r\n", "250-mail.test\r\n250 STARTTLS\r\n", "220 go\r\n"});
  target.start_tls = StartTls::kSmtp;
  const ProbeReport smtp = Probe(target);
  EXPECT_TRUE(smtp.good()) << smtp.status;

  server.SpeakFirst({"* OK\r\n", "t1 OK\r\n"});
  target.start_tls = StartTls::kImap;
  EXPECT_TRUE(Probe(target).good());

  server.SpeakFirst({"", "S"});
  target.start_tls = StartTls::kPostgres;
  EXPECT_TRUE(Probe(target).good());

  server.SpeakFirst({"", "N"});
  const ProbeReport refused = Probe(target);
  EXPECT_EQ(CodeOf(refused.status), ErrorCode::kProtocol);
  EXPECT_THAT(std::string(refused.status.message()), HasSubstr("does not offer TLS"));
  EXPECT_FALSE(refused.chain.has_value());

  server.SpeakFirst({"220 mail.test\r\n", "250 STARTTLS\r\n", "220 go\r\ninjected"});
  target.start_tls = StartTls::kSmtp;
  EXPECT_THAT(std::string(Probe(target).status.message()), HasSubstr("clear text"));
}

TEST_F(LegProbeTest, APhaseThatTimesOutIsReported) {
  ProbedServer server(loop_, dialer_, At(1), ConfigFor(pki_.Issue(Leaf("a.test", kDay))));
  server.SpeakFirst({"", "never"});
  const ProbeReport handshake = Probe(Target());
  EXPECT_EQ(CodeOf(handshake.status), ErrorCode::kProtocol);

  LegProbeTarget mail = Target();
  mail.start_tls = StartTls::kSmtp;
  const ProbeReport start_tls = Probe(mail);
  EXPECT_EQ(CodeOf(start_tls.status), ErrorCode::kTimeout);
  EXPECT_THAT(std::string(start_tls.status.message()), HasSubstr("STARTTLS within 10s"));

  std::unique_ptr<Transport> silent;
  dialer_.Listen(At(2), [&](std::unique_ptr<Transport> raw) { silent = std::move(raw); });
  LegProbeTarget target = Target();
  target.endpoint = At(2);
  EXPECT_THAT(
      std::string(Probe(target).status.message()),
      HasSubstr("back leg, handshake: timeout: the TLS handshake was not finished within 10s"));

  dialer_.Refuse(At(3), absl::OkStatus(), absl::InfiniteDuration());
  target.endpoint = At(3);
  EXPECT_THAT(std::string(Probe(target).status.message()),
              HasSubstr("back leg, dial: timeout: not connected within 10s"));
}

TEST_F(LegProbeTest, RefusedAndClosedConnectionsAreReported) {
  dialer_.Refuse(At(1), MakeError(ErrorCode::kTransport, Phase::kDial, "refused"));
  const ProbeReport refused = Probe(Target());
  EXPECT_EQ(CodeOf(refused.status), ErrorCode::kTransport);
  EXPECT_EQ(GetError(refused.status)->leg, Leg::kBack);

  dialer_.Listen(At(1), [](std::unique_ptr<Transport>) {});
  EXPECT_EQ(CodeOf(Probe(Target()).status), ErrorCode::kTruncated);
  LegProbeTarget mail = Target();
  mail.start_tls = StartTls::kSmtp;
  EXPECT_EQ(CodeOf(Probe(mail).status), ErrorCode::kTruncated);
}

TEST_F(LegProbeTest, TheProxyHeaderGoesFirst) {
  std::string heard;
  std::unique_ptr<Transport> raw;
  dialer_.Listen(At(1), [&](std::unique_ptr<Transport> accepted) { raw = std::move(accepted); });
  for (const ProxyProtocolOut kind : {ProxyProtocolOut::kV1, ProxyProtocolOut::kV2}) {
    LegProbeTarget target = Target();
    target.proxy_header = kind;
    LegProbe probe(loop_, dialer_, ConfigOf(), target, [](ProbeReport) {});
    loop_.RunFor(absl::Milliseconds(10));
    std::array<uint8_t, 4096> buffer;
    ASSERT_NE(raw, nullptr);
    const IoResult result = raw->Read(absl::MakeSpan(buffer));
    heard = std::string(AsText(ByteView(buffer.data(), result.bytes)));
    if (kind == ProxyProtocolOut::kV1) {
      EXPECT_THAT(heard, StartsWith("PROXY TCP4 192.0.2.1 192.0.2.1 "));
    } else {
      EXPECT_THAT(heard, StartsWith(std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11", 14)));
    }
    raw.reset();
  }
}

TEST_F(LegProbeTest, BytesBeforeTlsMayTakeSeveralWrites) {
  std::optional<StreamPeer> server;
  MemoryLink narrow;
  narrow.capacity_bytes = 7;
  narrow.latency = absl::Milliseconds(1);
  dialer_.Listen(
      At(1),
      [&](std::unique_ptr<Transport> raw) {
        server.emplace(loop_, std::move(raw));
        server->Send("220 mail.test\r\n");
      },
      {}, narrow);
  LegProbeTarget target = Target();
  target.proxy_header = ProxyProtocolOut::kV1;
  target.start_tls = StartTls::kSmtp;
  LegProbe probe(loop_, dialer_, ConfigOf(), target, [](ProbeReport) {});
  loop_.RunFor(absl::Seconds(1));
  ASSERT_TRUE(server.has_value());
  EXPECT_THAT(server->received(), StartsWith("PROXY TCP4 192.0.2.1 192.0.2.1 "));
  EXPECT_THAT(server->received(), HasSubstr("\r\nEHLO "));
  server->Send("250 STARTTLS\r\n");
  loop_.RunFor(absl::Seconds(1));
  EXPECT_THAT(server->received(), EndsWith("\r\nSTARTTLS\r\n"));
  server->Send("220 go\r\n");
  loop_.RunFor(absl::Seconds(1));
  EXPECT_THAT(server->received(), HasSubstr("\r\nSTARTTLS\r\n\x16\x03\x01"));
}

TEST_F(LegProbeTest, AServerThatAcceptsNoProxyHeaderIsReported) {
  MemoryLink narrow;
  narrow.capacity_bytes = 7;
  std::unique_ptr<Transport> raw;
  dialer_.Listen(
      At(1), [&](std::unique_ptr<Transport> accepted) { raw = std::move(accepted); }, {}, narrow);
  LegProbeTarget target = Target();
  target.proxy_header = ProxyProtocolOut::kV1;
  EXPECT_THAT(std::string(Probe(target).status.message()),
              HasSubstr("back leg, dial: timeout: the server did not take the PROXY header within "
                        "10s"));
}

TEST_F(LegProbeTest, ACancelledProbeReportsNothing) {
  ProbedServer server(loop_, dialer_, At(1), ConfigFor(pki_.Issue(Leaf("a.test", kDay))));
  int given_up = 0;
  for (int step = 0; step < 16; ++step) {
    bool done = false;
    bool gone = false;
    auto probe = std::make_unique<LegProbe>(loop_, dialer_, ConfigOf(), Target(), [&](ProbeReport) {
      EXPECT_FALSE(gone);
      done = true;
    });
    loop_.RunFor(absl::Microseconds(200) * step);
    if (!done) ++given_up;
    probe.reset();
    gone = true;
    loop_.RunFor(absl::Seconds(2));
  }
  EXPECT_GE(given_up, 3);
}

TEST_F(LegProbeTest, OptionsMustBeUsable) {
  EXPECT_EQ(CodeOf(LegProbeConfig::Create({}).status()), ErrorCode::kConfiguration);
  LegProbeOptions options = ConfigOf()->options();
  options.dial_timeout = absl::InfiniteDuration();
  EXPECT_EQ(CodeOf(LegProbeConfig::Create(options).status()), ErrorCode::kConfiguration);
  options.dial_timeout = absl::ZeroDuration();
  EXPECT_EQ(CodeOf(LegProbeConfig::Create(options).status()), ErrorCode::kConfiguration);
  options = ConfigOf()->options();
  options.parameters.groups = {};
  EXPECT_EQ(CodeOf(LegProbeConfig::Create(options).status()), ErrorCode::kConfiguration);
  LegProbeTarget target = Target("not a name");
  ProbedServer server(loop_, dialer_, At(1), ConfigFor(pki_.Issue(Leaf("a.test", kDay))));
  EXPECT_EQ(CodeOf(Probe(target).status), ErrorCode::kConfiguration);
}

}  // namespace
}  // namespace trestle::testing
