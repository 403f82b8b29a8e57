// Health checks by TCP, TLS and HTTP, their schedule, and the lists that connections use.
#include "trestle/watch/health_checker.h"

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/stream_peer.h"
#include "tests/watch/probe_fixture.h"
#include "trestle/base/error.h"
#include "trestle/proxy/backend_chooser.h"
#include "trestle/proxy/resolved_backends.h"
#include "trestle/testing/simulated_resolver.h"

namespace trestle::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kInterval = absl::Seconds(10);
// Longer than an interval with its chance and a check.
constexpr absl::Duration kOneCheck = absl::Seconds(12);

struct Lines final : public HealthObserver {
  void OnHealthChanged(const HealthChange& change) override { lines.push_back(change.ToString()); }
  std::vector<std::string> lines;
};

// Answers each HTTP request with `answer`, in clear text or over TLS, and ends the connection.
class WebServer {
 public:
  WebServer(Scheduler& loop, MemoryDialer& dialer, const Endpoint& endpoint,
            std::shared_ptr<const ServerTlsConfig> tls = nullptr)
      : loop_(loop), tls_(std::move(tls)) {
    dialer.Listen(
        endpoint, [this](std::unique_ptr<Transport> raw) { Accept(std::move(raw)); },
        absl::Milliseconds(1));
  }

  std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  std::vector<std::string> heads;  // Of the requests.

 private:
  struct Connection {
    std::unique_ptr<TlsStream> tls;
    std::unique_ptr<StreamPeer> peer;
    Timer look;
    bool answered = false;
  };

  void Accept(std::unique_ptr<Transport> raw) {
    Connection& connection = *connections_.emplace_back(std::make_unique<Connection>());
    if (tls_ == nullptr) return Talk(connection, std::move(raw));
    connection.tls = std::make_unique<TlsStream>(TlsEngine::NewServer(tls_, loop_, Leg::kFront),
                                                 std::move(raw), loop_);
    connection.tls->Handshake([this, &connection](const absl::Status& status) {
      if (status.ok()) Talk(connection, std::move(connection.tls));
    });
  }

  void Talk(Connection& connection, std::unique_ptr<Transport> stream) {
    connection.peer = std::make_unique<StreamPeer>(loop_, std::move(stream));
    Look(connection);
  }

  void Look(Connection& connection) {
    const std::string& head = connection.peer->received();
    if (absl::StrContains(head, "\r\n\r\n")) {
      heads.push_back(head);
      connection.peer->Send(answer);
      connection.peer->End();
      return;
    }
    connection.look = loop_.RunAfter(absl::Milliseconds(1), [this, &connection] {
      if (!connection.peer->saw_end()) Look(connection);
    });
  }

  Scheduler& loop_;
  const std::shared_ptr<const ServerTlsConfig> tls_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

// Answers the first bytes of each connection by HTTP/2: `greeting`, and a response with `head`.
class HttpServer2 {
 public:
  HttpServer2(Scheduler& loop, MemoryDialer& dialer, const Endpoint& endpoint) {
    dialer.Listen(
        endpoint,
        [this, &loop](std::unique_ptr<Transport> raw) {
          peers_.push_back(std::make_unique<StreamPeer>(loop, std::move(raw)));
          StreamPeer& peer = *peers_.back();
          looks_.push_back(loop.RunAfter(absl::Milliseconds(10), [this, &peer] {
            request = peer.received();
            peer.Send(greeting);
            if (!head.empty()) {
              peer.Send(std::string("\0\0", 2) + static_cast<char>(head.size()) +
                        std::string("\1\4\0\0\0\1", 6) + head);
            }
          }));
        },
        absl::Milliseconds(1));
  }

  std::string greeting = std::string("\0\0\0\4\0\0\0\0\0", 9);  // SETTINGS
  std::string head;                                             // Of the response, as HPACK.
  std::string request;                                          // Of the last connection.

 private:
  std::vector<std::unique_ptr<StreamPeer>> peers_;
  std::vector<Timer> looks_;
};

class HealthCheckerTest : public ProbeTest {
 protected:
  void Start(HealthCheckerOptions options = {}) {
    health_ = std::make_unique<HealthChecker>(loop_, dialer_, options, &log_);
  }

  // Accepts connections at At(host), and lets them be.
  void Serve(int host) {
    dialer_.Listen(
        At(host), [this](std::unique_ptr<Transport> raw) { accepted_.push_back(std::move(raw)); },
        absl::Milliseconds(1));
  }

  void Refuse(int host) {
    dialer_.Refuse(At(host), MakeError(ErrorCode::kTransport, Leg::kBack, Phase::kDial, "refused"));
  }

  Backends Watch(std::vector<int> hosts, HealthCheck check = {}) {
    if (health_ == nullptr) Start();
    Backends backends;
    for (const int host : hosts) backends.endpoints.push_back(At(host));
    const absl::Status watched =
        health_->Watch(backends, std::make_shared<HealthCheck>(std::move(check)));
    EXPECT_TRUE(watched.ok()) << watched;
    return backends;
  }

  // Runs a check of `check` at At(1), and returns its error; empty for none.
  std::string ErrorOf(HealthCheck check) {
    health_.reset();
    Start();
    const Backends backends = Watch({1}, std::move(check));
    loop_.RunFor(absl::Seconds(5));
    const HealthStatus status = health_->backends().at(0);
    EXPECT_EQ(status.checks, 1u);
    EXPECT_EQ(status.state.condition,
              status.error.has_value() ? BackendCondition::kDown : BackendCondition::kUp);
    return status.error.has_value()
               ? absl::StrCat(EnumName(status.error->code), ": ", status.error->detail)
               : "";
  }

  HealthCheck Http(const std::string& path = "/") const {
    HealthCheck check;
    check.kind = HealthCheckKind::kHttp;
    check.path = path;
    return check;
  }

  HealthCheck Tls(const std::string& name, HealthCheckKind kind = HealthCheckKind::kTls) const {
    ClientTlsOptions options;
    options.ca_pem = pki_.ca_pem();
    HealthCheck check;
    check.kind = kind;
    check.server_name = name;
    check.tls = [config = *ClientTlsConfig::Create(options)] { return config; };
    return check;
  }

  // The candidates of a new connection, and their addresses.
  BackendChooser::Candidates CandidatesOf(Backends backends) const {
    backends.max_tries = 255;
    return BackendChooser().Order(backends, {}, {}, loop_.MonotonicNow());
  }
  std::vector<std::string> Now(const Backends& backends) const {
    std::vector<std::string> texts;
    for (const auto& candidate : CandidatesOf(backends)) {
      texts.push_back(candidate.endpoint.ToString());
    }
    return texts;
  }

  std::vector<std::unique_ptr<Transport>> accepted_;
  Lines log_;
  std::unique_ptr<HealthChecker> health_;
};

TEST_F(HealthCheckerTest, ABackendThatIsDownGetsNoConnectionsUntilItIsBack) {
  Serve(1);
  Serve(2);
  const Backends backends = Watch({1, 2});
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443", "192.0.2.2:443")) << "before any check";
  loop_.RunFor(absl::Seconds(1));
  EXPECT_THAT(log_.lines, ElementsAre("192.0.2.1:443 is up (was unchecked), by tcp",
                                      "192.0.2.2:443 is up (was unchecked), by tcp"));
  Refuse(2);
  loop_.RunFor(2 * kInterval);
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443", "192.0.2.2:443")) << "2 failures of 3";
  loop_.RunFor(kOneCheck);
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443"));
  EXPECT_EQ(log_.lines.back(), "192.0.2.2:443 is down (was up), by tcp: refused");
  const HealthStatus down = health_->backends().at(1);
  EXPECT_EQ(down.state.condition, BackendCondition::kDown);
  EXPECT_EQ(down.changes, 1u);
  EXPECT_GE(down.failures, 3u);
  Serve(2);
  loop_.RunFor(2 * kOneCheck);
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443", "192.0.2.2:443"));
  EXPECT_EQ(log_.lines.back(), "192.0.2.2:443 is up (was down), by tcp");
  EXPECT_EQ(log_.lines.size(), 4u) << "one for each change";
}

TEST_F(HealthCheckerTest, OneFailureAmongSuccessesChangesNothing) {
  Serve(1);
  Serve(2);
  const Backends backends = Watch({1, 2});
  loop_.RunFor(absl::Seconds(1));
  for (int i = 0; i < 20; ++i) {
    Refuse(2);
    loop_.RunFor(kInterval);
    Serve(2);
    loop_.RunFor(kInterval);
  }
  EXPECT_GT(health_->backends().at(1).failures, 5u);
  EXPECT_EQ(health_->backends().at(1).state.condition, BackendCondition::kUp);
}

TEST_F(HealthCheckerTest, TheFirstCheckDecidesAlone) {
  Refuse(1);
  Serve(2);
  const Backends backends = Watch({1, 2});
  loop_.RunFor(absl::Seconds(1));
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.2:443"));
  EXPECT_EQ(health_->backends().at(0).changes, 0u) << "it was never up";
}

TEST_F(HealthCheckerTest, IfAllAreDownAllAreTriedOrNone) {
  Refuse(1);
  Refuse(2);
  Backends backends = Watch({1, 2});
  loop_.RunFor(absl::Seconds(1));
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443", "192.0.2.2:443"));
  Start();
  backends = Watch({1, 2});
  backends.all_down = AllDown::kFail;
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443", "192.0.2.2:443")) << "not checked yet";
  loop_.RunFor(absl::Seconds(1));
  EXPECT_THAT(Now(backends), IsEmpty());
  EXPECT_THAT(NoBackendError(backends).message(), HasSubstr("health checks or connections fail"));
}

TEST_F(HealthCheckerTest, ABackendThatCameBackStartsSlowly) {
  HealthCheckerOptions options;
  options.slow_start = absl::Seconds(100);
  options.rise = 1;
  options.fall = 1;
  Start(options);
  Serve(1);
  Refuse(2);
  const Backends backends = Watch({1, 2});
  const auto weight = [&] {
    const auto now = CandidatesOf(backends);
    return now.size() < 2 ? 0 : now[1].weight;
  };
  loop_.RunFor(absl::Seconds(1));
  EXPECT_EQ(weight(), 0u);
  EXPECT_EQ(CandidatesOf(backends)[0].weight, kUnitWeight) << "the first check is no return";
  Serve(2);
  for (int i = 0; i < 200 && weight() == 0; ++i) loop_.RunFor(absl::Milliseconds(100));
  EXPECT_EQ(weight(), kUnitWeight / 10);
  EXPECT_EQ(log_.lines.back(), "192.0.2.2:443 is slow_start (was down), by tcp");
  loop_.RunFor(absl::Seconds(51));
  EXPECT_NEAR(weight(), kUnitWeight / 2, kUnitWeight / 8);
  loop_.RunFor(absl::Seconds(60));
  EXPECT_EQ(weight(), kUnitWeight);
  EXPECT_EQ(log_.lines.back(), "192.0.2.2:443 is up (was slow_start), by tcp");

  Refuse(2);
  loop_.RunFor(kOneCheck);
  EXPECT_EQ(weight(), 0u);
  Serve(2);
  for (int i = 0; i < 200 && weight() == 0; ++i) loop_.RunFor(absl::Milliseconds(100));
  Refuse(2);
  loop_.RunFor(kOneCheck);
  EXPECT_EQ(weight(), 0u) << "down in the middle of its slow start";
  EXPECT_EQ(log_.lines.back(), "192.0.2.2:443 is down (was slow_start), by tcp: refused");
}

TEST_F(HealthCheckerTest, ADrainingBackendGetsNoNewConnections) {
  HealthCheckerOptions options;
  options.slow_start = absl::Seconds(30);
  Start(options);
  Serve(1);
  Serve(2);
  const Backends backends = Watch({1, 2});
  loop_.RunFor(absl::Seconds(1));
  health_->SetDraining("drain file", {At(2), At(9)});
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443"));
  EXPECT_EQ(log_.lines.back(), "192.0.2.2:443 is draining (was up), by drain file");
  EXPECT_EQ(health_->backends().at(1).state.condition, BackendCondition::kDraining);
  Refuse(1);
  loop_.RunFor(4 * kOneCheck);
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443")) << "all that may be tried";
  health_->SetDraining("drain file", {At(1), At(2)});
  EXPECT_THAT(Now(backends), IsEmpty());
  EXPECT_THAT(NoBackendError(backends).message(), HasSubstr("the operator drains all of "));
  const Backends later = Watch({2});
  EXPECT_THAT(Now(later), IsEmpty());
  health_->SetDraining("drain file", {});
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.2:443"));
  EXPECT_EQ(CandidatesOf(backends)[0].weight, kUnitWeight / 10) << "it starts slowly";
  EXPECT_EQ(health_->backends().at(0).state.condition, BackendCondition::kDown)
      << "as its checks say";
}

TEST_F(HealthCheckerTest, ABackendDrainsWhileAnyoneWantsIt) {
  Serve(1);
  Serve(2);
  const Backends backends = Watch({1, 2});
  health_->SetDraining("drain file", {At(1)});
  health_->SetDraining("call", {At(1), At(2)});
  EXPECT_EQ(health_->Find(At(1)).at(0).state.drained_by, "call, drain file");
  EXPECT_EQ(health_->Find(At(2)).at(0).Reason(), "call");
  EXPECT_THAT(health_->Find(At(3)), IsEmpty());
  health_->SetDraining("call", {});
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.2:443"));
  EXPECT_EQ(health_->Find(At(1)).at(0).state.drained_by, "drain file");
}

// Two threads have a chooser each, and one state.
TEST_F(HealthCheckerTest, FailuresOfAllConnectionsCountInTheOneState) {
  HealthCheckerOptions options;
  options.slow_start = absl::Seconds(20);
  Start(options);
  Serve(1);
  Serve(2);
  Backends backends = Watch({1, 2});
  loop_.RunFor(absl::Seconds(1));
  BackendChooser one;
  BackendChooser two;
  const auto candidate = CandidatesOf(backends)[1];
  const absl::Status refused = MakeError(ErrorCode::kTransport, Leg::kBack, Phase::kDial, "gone");
  const EjectionOptions ejection = {2, absl::Seconds(5), absl::Minutes(1)};
  one.Failed(candidate, {}, refused, ejection, loop_.MonotonicNow());
  EXPECT_EQ(health_->backends().at(1).state.condition, BackendCondition::kUp);
  two.Failed(candidate, {}, refused, ejection, loop_.MonotonicNow());
  const HealthStatus ejected = health_->backends().at(1);
  EXPECT_EQ(ejected.state.condition, BackendCondition::kEjected);
  EXPECT_EQ(ejected.state.ejected_for, absl::Seconds(5));
  EXPECT_EQ(ejected.state.ejections, 1u);
  EXPECT_EQ(ejected.Reason(), "connections: gone");
  loop_.RunFor(absl::Seconds(1));
  EXPECT_EQ(log_.lines.back(), "192.0.2.2:443 is ejected (was up), by connections: gone");
  const auto first_for_clients = [&](BackendChooser& chooser) {
    std::set<std::string> firsts;
    for (int i = 0; i < 10; ++i) {
      const auto order = chooser.Order(backends, {}, {}, loop_.MonotonicNow());
      chooser.Opened(order.front());
      firsts.insert(order.front().endpoint.ToString());
    }
    return firsts.size();
  };
  EXPECT_EQ(first_for_clients(one), 1u);
  EXPECT_EQ(first_for_clients(two), 1u);

  loop_.RunFor(absl::Seconds(5));
  EXPECT_EQ(health_->backends().at(1).state.condition, BackendCondition::kEjected)
      << "until a connection succeeds";
  two.Try(candidate, {}, loop_.MonotonicNow());
  two.Succeeded(candidate, {}, loop_.MonotonicNow());
  EXPECT_EQ(health_->backends().at(1).state.condition, BackendCondition::kSlowStart);
  loop_.RunFor(absl::Seconds(1));
  EXPECT_EQ(log_.lines.back(), "192.0.2.2:443 is slow_start (was ejected), by connections");
  loop_.RunFor(absl::Seconds(21));
  EXPECT_EQ(log_.lines.back(), "192.0.2.2:443 is up (was slow_start), by tcp");
}

TEST_F(HealthCheckerTest, IfNoBackendIsFitTheEjectedOnesComeBeforeThoseThatAreDown) {
  Refuse(1);
  Serve(2);
  Backends backends = Watch({1, 2});
  loop_.RunFor(absl::Seconds(1));
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.2:443"));
  BackendChooser chooser;
  const auto failed = MakeError(ErrorCode::kTimeout, Leg::kBack, Phase::kHandshake, "late");
  chooser.Failed(CandidatesOf(backends)[0], {}, failed, {1, absl::Seconds(5), absl::Minutes(1)},
                 loop_.MonotonicNow());
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.2:443", "192.0.2.1:443"));
  backends.all_down = AllDown::kFail;
  EXPECT_THAT(Now(backends), IsEmpty());
  loop_.RunFor(absl::Seconds(6));
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.2:443")) << "one connection tries it again";
}

TEST_F(HealthCheckerTest, AReturnByChecksForgetsFailuresOfConnections) {
  HealthCheckerOptions options;
  options.fall = options.rise = 1;
  Start(options);
  Serve(1);
  Serve(2);
  const Backends backends = Watch({1, 2});
  loop_.RunFor(absl::Seconds(1));
  BackendChooser chooser;
  chooser.Failed(CandidatesOf(backends)[1], {}, absl::UnknownError("gone"),
                 {1, absl::Hours(1), absl::Hours(1)}, loop_.MonotonicNow());
  loop_.RunFor(kOneCheck);
  EXPECT_EQ(health_->backends().at(1).state.condition, BackendCondition::kEjected)
      << "a good check of a backend that was not down proves nothing";
  Refuse(2);
  loop_.RunFor(kOneCheck);
  EXPECT_EQ(health_->backends().at(1).state.condition, BackendCondition::kDown);
  Serve(2);
  loop_.RunFor(kOneCheck);
  EXPECT_EQ(health_->backends().at(1).state.condition, BackendCondition::kUp);
}

TEST_F(HealthCheckerTest, WithoutAnyCheckBackendsCanBeDrained) {
  HealthCheck none;
  none.kind = HealthCheckKind::kNone;
  const Backends backends = Watch({1, 2}, std::move(none));
  loop_.RunFor(absl::Minutes(5));
  EXPECT_EQ(dialer_.dials(), 0u);
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443", "192.0.2.2:443"));
  health_->SetDraining("call", {At(1)});
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.2:443"));
  EXPECT_EQ(log_.lines.back(), "192.0.2.1:443 is draining (was unchecked), by call");
  health_->SetDraining("call", {});
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443", "192.0.2.2:443"));
}

TEST_F(HealthCheckerTest, ChecksComeAtTheIntervalMoreOrLess) {
  Serve(1);
  HealthCheckerOptions options;
  options.seed = 7;
  Start(options);
  const Backends backends = Watch({1});
  std::set<absl::Duration> gaps;
  MonotonicTime last;
  uint64_t seen = 0;
  for (int i = 0; i < 12'000; ++i) {
    loop_.RunFor(absl::Milliseconds(10));
    if (health_->backends().at(0).checks == seen) continue;
    if (seen++ > 0) gaps.insert(loop_.MonotonicNow() - last);
    last = loop_.MonotonicNow();
  }
  EXPECT_GE(seen, 10u);
  EXPECT_GT(gaps.size(), 5u) << "by chance";
  EXPECT_GE(*gaps.begin(), 0.89 * kInterval);
  EXPECT_LE(*gaps.rbegin(), 1.12 * kInterval);
}

TEST_F(HealthCheckerTest, ABackendWithoutAnAnswerFailsInTime) {
  dialer_.Refuse(At(1), absl::OkStatus(), absl::InfiniteDuration());
  EXPECT_EQ(ErrorOf({}), "timeout: the backend did not accept a connection within 3s");
}

TEST_F(HealthCheckerTest, TlsIsVerifiedLikeThatOfABridge) {
  ProbedServer server(loop_, dialer_, At(1),
                      ConfigFor(pki_.Issue(Leaf("back.test", absl::Hours(1)))));
  EXPECT_EQ(ErrorOf(Tls("back.test")), "");
  EXPECT_EQ(server.last_server_name(), "back.test");
  EXPECT_THAT(ErrorOf(Tls("other.test")), HasSubstr("name_mismatch: "));
  HealthCheck verified = Tls("sent.test");
  verified.verify_name = "back.test";
  EXPECT_EQ(ErrorOf(std::move(verified)), "");
  EXPECT_EQ(server.last_server_name(), "sent.test");
  server.Replace(ConfigFor(TestPki(loop_.Now(), "Other").Issue(Leaf("back.test", absl::Hours(1)))));
  EXPECT_THAT(ErrorOf(Tls("back.test")), HasSubstr("certificate_untrusted: "));
  Serve(1);
  EXPECT_EQ(ErrorOf(Tls("back.test")), "timeout: the TLS handshake was not finished within 3s");
}

TEST_F(HealthCheckerTest, HttpNeedsAnExpectedStatus) {
  WebServer server(loop_, dialer_, At(1));
  EXPECT_EQ(ErrorOf(Http("/healthz")), "");
  EXPECT_THAT(server.heads.at(0), AllOf(HasSubstr("GET /healthz HTTP/1.1\r\n"),
                                        HasSubstr("\r\nHost: 192.0.2.1:443\r\n"),
                                        HasSubstr("\r\nConnection: close\r\n")));
  server.answer = "HTTP/1.0 503\r\n\r\n";
  EXPECT_EQ(ErrorOf(Http()),
            "protocol: the backend answered the health check with status 503, not 200 to 299");
  HealthCheck sick = Http();
  sick.lowest_status = sick.highest_status = 503;
  sick.host = "app.test";
  EXPECT_EQ(ErrorOf(std::move(sick)), "");
  EXPECT_THAT(server.heads.back(), HasSubstr("\r\nHost: app.test\r\n"));
  for (const std::string& answer :
       {std::string("SSH-2.0-OpenSSH\r\n"), std::string("HTTP/1.1 20\r\n"),
        std::string("HTTP/1.1 2000\r\n"), std::string("HTTP/1.1200 OK\r\n"), std::string(4000, 'x'),
        std::string("\n")}) {
    server.answer = answer;
    EXPECT_EQ(ErrorOf(Http()), "protocol: the backend's answer to the health check isn't HTTP/1")
        << answer.substr(0, 20);
  }
  server.answer = "HTTP/1.1 200";
  EXPECT_EQ(ErrorOf(Http()),
            "truncated: the backend closed the connection before it answered the health check");
  server.answer = absl::StrCat("HTTP/1.1 200 OK\r\n\r\n", std::string(1 << 20, 'x'));
  EXPECT_EQ(ErrorOf(Http()), "") << "the body's length does not matter";
  Serve(1);
  EXPECT_EQ(ErrorOf(Http()), "timeout: the backend did not answer the health check within 3s");
}

TEST_F(HealthCheckerTest, Http2WithPriorKnowledge) {
  HttpServer2 server(loop_, dialer_, At(1));
  const auto ask = [&](std::string head) {
    server.head = std::move(head);
    HealthCheck check = Http("/healthz");
    check.http2 = true;
    return ErrorOf(std::move(check));
  };
  EXPECT_EQ(ask("\x88"), "") << ":status 200 of the static table";
  EXPECT_EQ(server.request.substr(0, 24), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  EXPECT_THAT(server.request, HasSubstr("/healthz"));
  EXPECT_THAT(server.request, HasSubstr("192.0.2.1:443"));
  EXPECT_EQ(ask(std::string("\x20\x08\x03") + "204"), "") << "after an update of the table's size";
  EXPECT_EQ(ask(std::string("\x48\x82\x10\x05")), "") << "202, by Huffman code";
  const std::string sick = "protocol: the backend answered the health check with status 503, not ";
  EXPECT_EQ(ask(std::string("\x48\x03") + "503"), sick + "200 to 299");
  const std::string wrong =
      "protocol: the backend's answer to the health check by HTTP/2 is wrong: ";
  EXPECT_EQ(ask("\x82"), wrong + "the response has no status");
  server.greeting = "HTTP/1.1 400 Bad Request\r\n\r\n";
  EXPECT_EQ(ask(""), wrong + "it does not speak HTTP/2");
}

TEST_F(HealthCheckerTest, HttpGoesOverVerifiedTls) {
  WebServer server(loop_, dialer_, At(1), ConfigFor(pki_.Issue(Leaf("back.test", absl::Hours(1)))));
  EXPECT_EQ(ErrorOf(Tls("back.test", HealthCheckKind::kHttp)), "");
  EXPECT_THAT(server.heads.at(0), HasSubstr("\r\nHost: back.test\r\n"));
  EXPECT_THAT(ErrorOf(Tls("other.test", HealthCheckKind::kHttp)), HasSubstr("name_mismatch"));
  EXPECT_EQ(server.heads.size(), 1u);
}

TEST_F(HealthCheckerTest, AProxyHeaderComesFirst) {
  WebServer server(loop_, dialer_, At(1));
  HealthCheck check = Http();
  check.proxy_header = ProxyProtocolOut::kV2;
  EXPECT_EQ(ErrorOf(std::move(check)), "");
  EXPECT_EQ(server.heads.back().substr(0, 14),
            std::string("\r\n\r\n\0\r\nQUIT\n \0", 14).substr(0, 14))
      << "version 2, LOCAL";
  check = Http();
  check.proxy_header = ProxyProtocolOut::kV1;
  EXPECT_EQ(ErrorOf(std::move(check)), "");
  EXPECT_THAT(server.heads.back(), ::testing::StartsWith("PROXY "));
}

TEST_F(HealthCheckerTest, AddressesOfNamesAreCheckedAsTheyComeAndGo) {
  SimulatedResolver resolver(loop_);
  ResolvedBackends names(loop_, resolver);
  Start();
  resolver.Answer("api.test:443", {"192.0.2.1:443", "192.0.2.2:443"}, absl::Seconds(60));
  Serve(1);
  Refuse(2);
  Refuse(3);
  Backends backends;
  backends.names = {*NamedTarget::Parse("api.test:443")};
  ASSERT_TRUE(names.Follow(backends).ok());
  ASSERT_TRUE(health_->Watch(backends, std::make_shared<HealthCheck>()).ok());
  EXPECT_THAT(Now(backends), IsEmpty()) << "no answer yet";
  loop_.RunFor(absl::Seconds(3));
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443"));
  EXPECT_EQ(backends.group->current()->front().name->ToString(), "api.test:443");
  EXPECT_THAT(log_.lines, ::testing::Contains("192.0.2.2:443 of api.test:443 is down (was "
                                              "unchecked), by tcp: refused"));
  resolver.Answer("api.test:443", {"192.0.2.1:443", "192.0.2.3:443"}, absl::Seconds(60));
  loop_.RunFor(absl::Minutes(1));
  EXPECT_THAT(Now(backends), ElementsAre("192.0.2.1:443"));
  ASSERT_EQ(health_->backends().size(), 2u);
  EXPECT_EQ(health_->backends().at(1).endpoint, At(3));
  const size_t dials = dialer_.dials();
  backends = {};
  loop_.RunFor(absl::Seconds(2));
  EXPECT_THAT(health_->backends(), IsEmpty());
  loop_.RunFor(absl::Minutes(1));
  EXPECT_LE(dialer_.dials(), dials + 2) << "nobody uses them";
}

TEST_F(HealthCheckerTest, ListsShareChecksAndGroups) {
  Serve(1);
  Serve(2);
  Start();
  const auto check = std::make_shared<HealthCheck>();
  Backends one({At(1), At(2)});
  Backends same({At(1), At(2)});
  Backends other({At(2)});
  for (Backends* backends : {&one, &same, &other}) {
    ASSERT_TRUE(health_->Watch(*backends, check).ok());
  }
  EXPECT_EQ(one.group, same.group);
  EXPECT_NE(one.group, other.group);
  loop_.RunFor(absl::Seconds(1));
  EXPECT_EQ(health_->backends().size(), 2u);
  EXPECT_EQ(dialer_.dials(), 2u);
}

TEST_F(HealthCheckerTest, ChecksAtATimeAreBounded) {
  for (int host = 1; host <= 9; ++host) {
    dialer_.Refuse(At(host), absl::OkStatus(), absl::InfiniteDuration());
  }
  HealthCheckerOptions options;
  options.max_concurrent = 2;
  Start(options);
  const Backends backends = Watch({1, 2, 3, 4, 5, 6, 7, 8, 9});
  loop_.RunFor(absl::Milliseconds(100));
  EXPECT_EQ(dialer_.dials(), 2u);
  loop_.RunFor(absl::Milliseconds(3000));
  EXPECT_EQ(dialer_.dials(), 4u);
  loop_.RunFor(absl::Minutes(1));
  for (const HealthStatus& status : health_->backends()) EXPECT_GE(status.checks, 1u);
  health_.reset();  // While checks run and wait.
  loop_.RunFor(absl::Minutes(1));
}

TEST_F(HealthCheckerTest, OptionsAndChecksAreJudged) {
  const auto refusal = [&](HealthCheckerOptions options, HealthCheck check) {
    Start(options);
    Backends backends(At(1));
    const absl::Status status =
        health_->Watch(backends, std::make_shared<HealthCheck>(std::move(check)));
    EXPECT_EQ(CodeOf(status), ErrorCode::kConfiguration);
    return std::string(status.message());
  };
  HealthCheckerOptions options;
  options.interval = absl::ZeroDuration();
  EXPECT_THAT(refusal(options, {}), HasSubstr("interval and timeout"));
  options = {};
  options.fall = 0;
  EXPECT_THAT(refusal(options, {}), HasSubstr("at least 1"));
  options = {};
  options.max_backends = 0;
  EXPECT_THAT(refusal(options, {}), HasSubstr("more than 0 backends to check"));
  options = {};
  options.slow_start = -absl::Seconds(1);
  EXPECT_THAT(refusal(options, {}), HasSubstr("slow start"));
  HealthCheck check;
  check.kind = HealthCheckKind::kTls;
  EXPECT_THAT(refusal({}, std::move(check)), HasSubstr("needs a TLS config"));
  EXPECT_THAT(refusal({}, Http("healthz")), HasSubstr("begins with /"));
  EXPECT_THAT(refusal({}, Http("/a b")), HasSubstr("begins with /"));
  EXPECT_THAT(refusal({}, Http("/\r\nHost: x")), HasSubstr("begins with /"));
  check = Http();
  check.host = "a\r\nb";
  EXPECT_THAT(refusal({}, std::move(check)), HasSubstr("host of a health check"));
  check = Http();
  check.lowest_status = 400;
  EXPECT_THAT(refusal({}, std::move(check)), HasSubstr("range within 200 to 599"));
  Start();
  Backends backends(At(1));
  EXPECT_EQ(CodeOf(health_->Watch(backends, nullptr)), ErrorCode::kConfiguration);
  Backends none;
  EXPECT_EQ(CodeOf(health_->Watch(none, std::make_shared<HealthCheck>())),
            ErrorCode::kConfiguration);
}

}  // namespace
}  // namespace trestle::testing
