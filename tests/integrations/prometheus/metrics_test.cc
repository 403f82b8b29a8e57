// Metrics of connections, reloads and certificates.
#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "integrations/prometheus/proxy_metrics.h"
#include "tests/e2e/server_programs.h"
#include "tests/integrations/prometheus/metrics_fixture.h"
#include "trestle/base/error.h"

namespace trestle::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Counter final : public ConnectionObserver {
 public:
  void OnEstablished(const ConnectionReport&) override { ++established; }
  void OnTurnedAway(Limit) override { ++turned_away; }
  void OnClosed(const ConnectionReport&) override { ++closed; }

  int established = 0;
  int turned_away = 0;
  int closed = 0;
};

TEST_F(MetricsTest, ConnectionsHandshakesAndBytesAreCounted) {
  Counter next;
  const std::unique_ptr<ConnectionObserver> observer = metrics_.NewObserver(&next);
  for (uint64_t id = 1; id <= 3; ++id) observer->OnEstablished(Bridged(id));
  EXPECT_THAT(metrics_.Text(now_), HasSubstr("\ntrestle_open_connections 3\n"));
  observer->OnClosed(Bridged(1));
  observer->OnClosed(Bridged(2));
  ConnectionReport failed = Bridged(4);
  failed.error =
      ToError(MakeError(ErrorCode::kCertificateExpired, Leg::kBack, Phase::kHandshake, "expired"));
  observer->OnClosed(failed);
  ConnectionReport passed;
  passed.mode = ProxyMode::kPassthrough;
  passed.hello.emplace();
  passed.hello->bytes = 1500;
  passed.hello->records = 2;
  observer->OnClosed(passed);
  const std::string text = metrics_.Text(now_);
  EXPECT_EQ(next.established, 3);
  EXPECT_EQ(next.closed, 4);
  for (const char* line :
       {"trestle_open_connections 1", "trestle_connections_total{mode=\"bridge\",result=\"ok\"} 2",
        "trestle_connections_total{mode=\"bridge\",result=\"certificate_expired\"} 1",
        "trestle_connections_total{mode=\"passthrough\",result=\"ok\"} 1",
        "trestle_handshakes_total{group=\"X25519MLKEM768\",leg=\"front\",result=\"ok\","
        "resumed=\"no\",version=\"TLSv1.3\"} 3",
        "trestle_handshakes_total{group=\"X25519\",leg=\"back\",result=\"ok\",resumed=\"yes\","
        "version=\"TLSv1.2\"} 2",
        "trestle_handshakes_total{group=\"\",leg=\"back\","
        "result=\"certificate_expired\",resumed=\"no\",version=\"\"} 1",
        "trestle_refusals_total{leg=\"back\",phase=\"handshake\",reason=\"certificate_expired\"} 1",
        "trestle_handshake_seconds_count{leg=\"back\"} 2",
        "trestle_handshake_seconds_bucket{leg=\"front\",le=\"0.0025\"} 0",
        "trestle_handshake_seconds_bucket{leg=\"front\",le=\"0.005\"} 3",
        "trestle_bytes_total{direction=\"written\",leg=\"front\"} 6000",
        "trestle_hello_bytes_bucket{le=\"1400\"} 0", "trestle_hello_bytes_bucket{le=\"2048\"} 1",
        "trestle_hello_records_sum 2"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n", line, "\n")));
  }
  e2e::ExpectPromtoolLikes(text);
}

TEST_F(MetricsTest, RejectionsHaveTheirLimit) {
  Counter next;
  const std::unique_ptr<ConnectionObserver> observer = metrics_.NewObserver(&next);
  observer->OnTurnedAway(Limit::kConnections);
  observer->OnTurnedAway(Limit::kConnections);
  ConnectionReport refused;
  for (const Limit limit : {Limit::kHandshakesPerSecond, Limit::kHandshakesPerSecondPerClient}) {
    refused.error = ToError(AtLeg(OverLimitError(limit, Phase::kHandshake, "too many"), Leg::kFront,
                                  Phase::kHandshake));
    observer->OnClosed(refused);
  }
  const std::string text = metrics_.Text(now_);
  EXPECT_EQ(next.turned_away, 2);
  for (const char* line :
       {"trestle_refusals_total{leg=\"front\",limit=\"max_connections\",phase=\"hello\","
        "reason=\"over_limit\"} 2",
        "trestle_refusals_total{leg=\"front\",limit=\"max_handshakes_per_second\","
        "phase=\"handshake\",reason=\"over_limit\"} 1",
        "trestle_refusals_total{leg=\"front\",limit=\"max_handshakes_per_second_per_client\","
        "phase=\"handshake\",reason=\"over_limit\"} 1"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n", line, "\n")));
  }
  e2e::ExpectPromtoolLikes(text);
}

TEST_F(MetricsTest, QuicFlowsAndDroppedDatagrams) {
  const std::unique_ptr<ConnectionObserver> observer = metrics_.NewObserver(nullptr);
  ConnectionReport flow;
  flow.id = 1;
  flow.mode = ProxyMode::kPassthrough;
  flow.quic_version = 1;
  flow.hello.emplace();
  flow.hello->bytes = 1500;
  ConnectionReport of_tcp = flow;  // With the same number and port.
  of_tcp.quic_version = 0;
  observer->OnEstablished(flow);
  observer->OnEstablished(of_tcp);
  observer->OnDatagramsDropped(DatagramDrop::kNoFlow, 3);
  observer->OnDatagramsDropped(DatagramDrop::kSocketFull, 1);
  const std::string open = metrics_.Text(now_);
  EXPECT_THAT(open, HasSubstr("\ntrestle_open_quic_flows 1\n"));
  EXPECT_THAT(open, HasSubstr("\ntrestle_open_connections 2\n"));
  observer->OnClosed(flow);
  const std::string text = metrics_.Text(now_);
  for (const char* line : {"trestle_open_quic_flows 0", "trestle_open_connections 1",
                           "trestle_quic_flows_total{result=\"ok\"} 1",
                           "trestle_connections_total{mode=\"passthrough\",result=\"ok\"} 1",
                           "trestle_datagrams_dropped_total{reason=\"no_flow\"} 3",
                           "trestle_datagrams_dropped_total{reason=\"socket_full\"} 1"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n", line, "\n")));
  }
  EXPECT_THAT(text, ::testing::Not(HasSubstr("trestle_hello_records_count")))
      << "QUIC has no TLS records";
  e2e::ExpectPromtoolLikes(text);
}

TEST_F(MetricsTest, AHelloThatARouterHandsOverIsCountedOnce) {
  const std::unique_ptr<ConnectionObserver> observer = metrics_.NewObserver(nullptr);
  ConnectionReport routed;
  routed.mode = ProxyMode::kPassthrough;
  routed.handed_over = true;
  routed.hello.emplace();
  routed.hello->bytes = 1500;
  routed.hello->records = 2;
  observer->OnClosed(routed);
  ConnectionReport bridged = Bridged(1);
  TlsInfo front = *bridged.front.tls;
  front.hello_bytes = 1500;
  bridged.front.tls = std::make_shared<const TlsInfo>(front);
  observer->OnClosed(bridged);
  EXPECT_THAT(metrics_.Text(now_), AllOf(HasSubstr("\ntrestle_hello_bytes_count 1\n"),
                                         HasSubstr("\ntrestle_hello_bytes_sum 1500\n"),
                                         HasSubstr("\ntrestle_hello_records_count 1\n"),
                                         HasSubstr("\ntrestle_hello_records_sum 2\n")));
}

// As in one_port: several blocks on a loop, each with its own first connection.
TEST_F(MetricsTest, BlocksThatShareAnObserverAreDistinguished) {
  const std::unique_ptr<ConnectionObserver> observer = metrics_.NewObserver(nullptr);
  ConnectionReport one = Bridged(1);
  one.front.peer = *Endpoint::Parse("192.0.2.1:1000");
  ConnectionReport other = Bridged(1);
  other.front.peer = *Endpoint::Parse("192.0.2.1:1001");
  ConnectionReport failed = Bridged(1);
  failed.front.peer = *Endpoint::Parse("192.0.2.1:1002");
  observer->OnEstablished(one);
  observer->OnEstablished(other);
  observer->OnClosed(failed);
  EXPECT_THAT(metrics_.Text(now_), HasSubstr("\ntrestle_open_connections 2\n"));
  observer->OnClosed(one);
  observer->OnClosed(other);
  EXPECT_THAT(metrics_.Text(now_), HasSubstr("\ntrestle_open_connections 0\n"));
}

size_t LinesOf(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST_F(MetricsTest, ClientsCannotCreateSeries) {
  const std::unique_ptr<ConnectionObserver> observer = metrics_.NewObserver(nullptr);
  const auto close = [&](int i) {
    ConnectionReport report = Bridged(static_cast<uint64_t>(i));
    report.server_name = absl::StrCat("n", i, ".test");
    TlsInfo front = *report.front.tls;
    front.server_name = report.server_name;
    front.alpn = absl::StrCat("p", i);
    report.front.tls = std::make_shared<const TlsInfo>(front);
    report.front.peer = *Endpoint::Parse(absl::StrCat("192.0.2.1:", 1000 + i));
    report.hello.emplace();
    report.hello->alpn = {report.front.tls->alpn};
    report.error = ToError(MakeError(ErrorCode::kNoRoute, Leg::kFront, Phase::kHello,
                                     absl::StrCat("no route for ", report.server_name)));
    observer->OnClosed(report);
  };
  close(0);
  const size_t before = LinesOf(metrics_.Text(now_));
  for (int i = 1; i < 500; ++i) close(i);
  EXPECT_EQ(LinesOf(metrics_.Text(now_)), before);
}

TEST_F(MetricsTest, ReloadsAreGenerations) {
  EXPECT_THAT(metrics_.Text(now_), HasSubstr("\ntrestle_reload_generation 1\n"));
  metrics_.CountReload(true);
  metrics_.CountReload(false);
  const std::string text = metrics_.Text(now_);
  EXPECT_THAT(text, AllOf(HasSubstr("\ntrestle_reload_generation 2\n"),
                          HasSubstr("trestle_reloads_total{result=\"ok\"} 1\n"),
                          HasSubstr("trestle_reloads_total{result=\"failed\"} 1\n")));
}

TEST_F(MetricsTest, AcceptFailuresAreCounted) {
  EXPECT_THAT(metrics_.Text(now_), HasSubstr("\ntrestle_accept_failures_total 0\n"));
  metrics_.CountAcceptFailure();
  metrics_.CountAcceptFailure();
  EXPECT_THAT(metrics_.Text(now_), HasSubstr("\ntrestle_accept_failures_total 2\n"));
}

TEST_F(MetricsTest, EncryptedHellosAreCountedByConfigAndResult) {
  EXPECT_THAT(metrics_.Text(now_), Not(HasSubstr("trestle_ech_hellos_total")));
  EXPECT_FALSE(metrics_.ech_counts().has_value());
  EchCounts counts;
  counts.by_config_id[7] = {5, 4, 3, 2, 1};
  counts.by_config_id[200] = {};
  counts.no_key = 6;
  counts.inner_in_clear = 8;
  metrics_.SetEchCounts([counts] { return counts; });
  const std::string text = metrics_.Text(now_);
  for (const char* line :
       {"config_id=\"7\",result=\"opened\"} 5", "config_id=\"7\",result=\"not_decrypted\"} 4",
        "config_id=\"7\",result=\"malformed\"} 3", "config_id=\"7\",result=\"over_budget\"} 2",
        "config_id=\"7\",result=\"second_opened\"} 1", "config_id=\"200\",result=\"opened\"} 0",
        "config_id=\"\",result=\"no_key\"} 6", "config_id=\"\",result=\"inner_in_clear\"} 8"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\ntrestle_ech_hellos_total{", line, "\n")));
  }
  e2e::ExpectPromtoolLikes(text);
}

TEST_F(MetricsTest, TicketKeysHaveAnAgeIfItIsKnown) {
  EXPECT_THAT(metrics_.Text(now_), Not(HasSubstr("trestle_ticket_key_age_seconds")));
  absl::Time since = now_;
  metrics_.SetTicketKeyTime([&](absl::Time) { return since; });
  const std::string text = metrics_.Text(now_ + absl::Hours(2));
  EXPECT_THAT(text, HasSubstr("\ntrestle_ticket_key_age_seconds 7200\n"));
  e2e::ExpectPromtoolLikes(text);
  since = absl::InfinitePast();
  EXPECT_THAT(metrics_.Text(now_), Not(HasSubstr("trestle_ticket_key_age_seconds")));
}

TEST_F(MetricsTest, CertificatesCountDownAndBelowZero) {
  std::vector<CertificateStatus> certificates = {
      Certificate("a.test", 90 * kDay, 9 * kDay), Certificate("old.test", -2 * kDay, -2 * kDay),
      // The metric of a name is that of its worst backend.
      Certificate("two.test", 5 * kDay, 5 * kDay), Certificate("two.test", 4 * kDay, 4 * kDay)};
  certificates.emplace_back().name = "unknown.test";
  certificates[2].findings = {{Severity::kWarning, "weak_key", "", ""},
                              {Severity::kNote, "root_sent", "", ""},
                              {Severity::kCritical, "sha1_signature", "", ""}};
  certificates[0].renewal = RenewalInfo{now_ + kDay, now_ + 2 * kDay, ""};
  certificates[1].status =
      MakeError(ErrorCode::kCertificateExpired, Leg::kBack, Phase::kHandshake, "expired");
  metrics_.SetCertificates(certificates);
  const std::string text = metrics_.Text(now_);
  const auto expect = [&](const std::string& metric, const std::string& name,
                          const std::string& value) {
    EXPECT_THAT(text,
                HasSubstr(absl::StrCat("\ntrestle_certificate_", metric, "{leg=\"back\",name=\"",
                                       name, "\",source=\"probe\"} ", value, "\n")));
  };
  expect("not_after_seconds", "a.test", "7776000");
  expect("verification_fails_seconds", "a.test", "777600");
  expect("good", "a.test", "1");
  expect("findings", "a.test", "0");
  expect("findings", "two.test", "2");
  const auto expect_alarm = [&](const std::string& severity, const std::string& value) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat(
                          "\ntrestle_certificate_alarm_seconds{leg=\"back\",name=\"a.test\","
                          "severity=\"",
                          severity, "\",source=\"probe\"} ", value, "\n")));
  };
  for (const auto& [edge, value] : {std::pair("start", "86400"), std::pair("end", "172800")}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat(
                          "\ntrestle_certificate_renewal_window_seconds{edge=\"", edge,
                          "\",leg=\"back\",name=\"a.test\",source=\"probe\"} ", value, "\n")));
  }
  expect_alarm("warning", "-1814400");
  expect_alarm("critical", "172800");
  expect("not_after_seconds", "old.test", "-172800");
  expect("good", "old.test", "0");
  expect("verification_fails_seconds", "two.test", "345600");
  EXPECT_THAT(text, Not(HasSubstr("unknown.test")));
  e2e::ExpectPromtoolLikes(text);
}

}  // namespace
}  // namespace trestle::testing
