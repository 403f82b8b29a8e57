// The inspector over several requests: responses and their order, rejections between them, guards,
// fields for backends, and time limits.
#include "integrations/http1/http1_inspector.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/http1/http1_fixture.h"

namespace trestle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";
constexpr char kBad[] = "GET / HTTP/1.1\nHost: app.test\r\n\r\n";
constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
int Count(absl::string_view text, absl::string_view what) {
  int count = 0;
  for (size_t at = text.find(what); at != absl::string_view::npos; at = text.find(what, at + 1)) {
    ++count;
  }
  return count;
}

/// Records its input; rejects requests that contain "evil".
class RecordingGuard final : public HttpGuard {
 public:
  explicit RecordingGuard(std::vector<std::string>& log, bool wants_body = true)
      : log_(log), wants_body_(wants_body) {}

  std::optional<HttpRefusal> OnHead(const HttpRequestHead& head) override {
    log_.push_back(absl::StrCat(head.method, " ", head.path()));
    body_.clear();
    return Judge(head.target);
  }
  bool wants_body() const override { return wants_body_; }
  std::optional<HttpRefusal> OnBody(absl::string_view piece) override {
    absl::StrAppend(&body_, piece);
    return std::nullopt;
  }
  std::optional<HttpRefusal> OnEnd() override {
    log_.push_back(absl::StrCat("body ", body_));
    return Judge(body_);
  }

 private:
  static std::optional<HttpRefusal> Judge(absl::string_view text) {
    if (!absl::StrContains(text, "evil")) return std::nullopt;
    return HttpRefusal{403, "evil was found"};
  }

  std::vector<std::string>& log_;
  const bool wants_body_;
  std::string body_;
};

Http1Options WithGuard(std::vector<std::string>& log, bool wants_body = true) {
  Http1Options options = QuietOptions();
  options.guarded_body_bytes = 100;
  options.guards.push_back([&log, wants_body](const ConnectionReport&) {
    return std::make_unique<RecordingGuard>(log, wants_body);
  });
  return options;
}

std::string Post(absl::string_view body, absl::string_view more = "") {
  return absl::StrCat("POST /form HTTP/1.1\r\nHost: app.test\r\nContent-Length: ", body.size(),
                      "\r\n", more, "\r\n", body);
}

TEST(Http1InspectorTest, RequestsAndAnswersAlternate) {
  Http1Connection c(QuietOptions());
  for (int i = 1; i <= 3; ++i) {
    c.FromClient(kGet);
    EXPECT_EQ(Count(c.at_backend(), "GET /"), i);
    c.FromBackend(kOk);
    EXPECT_EQ(Count(c.at_client(), "ok"), i);
  }
  c.client->End();
  c.backend->End();
  c.loop.RunReady();
  ASSERT_TRUE(c.outcome.has_value());
  EXPECT_TRUE(c.outcome->ok()) << *c.outcome;
}

TEST(Http1InspectorTest, TheEndPassesInBothDirections) {
  Http1Connection c(QuietOptions());
  c.FromClient(kGet);
  c.client->End();
  c.loop.RunReady();
  EXPECT_TRUE(c.backend->saw_end());
  c.FromBackend("HTTP/1.1 200 OK\r\n\r\nuntil the end");
  c.backend->End();
  c.loop.RunReady();
  EXPECT_THAT(c.at_client(), HasSubstr("until the end"));
  EXPECT_TRUE(c.client->saw_end());
  EXPECT_TRUE(c.outcome.has_value() && c.outcome->ok());
}

TEST(Http1InspectorTest, TheEndWithinABodyPasses) {
  Http1Connection c(QuietOptions());
  c.FromClient(Post("hello").substr(0, Post("hello").size() - 2));
  c.client->End();
  c.loop.RunReady();
  EXPECT_THAT(c.at_backend(), ::testing::EndsWith("hel"));
  EXPECT_TRUE(c.backend->saw_end());
}

TEST(Http1InspectorTest, TheEndWithinAHeadIsRejected) {
  Http1Connection c(QuietOptions());
  c.FromClient("GET / HTT");
  c.client->End();
  c.loop.RunReady();
  EXPECT_EQ(c.blocked(), "the client ended in the middle of a head");
  EXPECT_EQ(c.at_backend(), "");
}

TEST(Http1InspectorTest, ARejectionWaitsForEarlierResponses) {
  Http1Connection c(QuietOptions());
  c.FromClient(absl::StrCat(kGet, kGet, kBad));
  c.client->End();
  c.loop.RunReady();
  EXPECT_EQ(c.blocked(), "");
  c.FromBackend(kOk);
  c.FromBackend("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ");
  EXPECT_EQ(c.blocked(), "") << "a page here would be read as the rest of the response";
  c.FromBackend("again");
  EXPECT_NE(c.blocked(), "");
  EXPECT_THAT(c.at_client(), HasSubstr("half againHTTP/1.1 400 Bad Request\r\n"));
  EXPECT_EQ(Count(c.at_backend(), "GET /"), 2);
}

TEST(Http1InspectorTest, ARejectionAfterTheResponseBeganSendsNoPage) {
  for (const bool answered : {true, false}) {
    Http1Connection c(QuietOptions());
    c.FromClient("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string early = answered ? kOk : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no";
    c.FromBackend(early);
    c.FromClient("no size\r\n");
    EXPECT_NE(c.blocked(), "");
    EXPECT_EQ(c.at_client(), early);
  }
}

TEST(Http1InspectorTest, TheNumberOfPipelinedRequestsIsLimited) {
  Http1Options options = QuietOptions();
  options.pipelined_requests = 2;
  Http1Connection c(std::move(options));
  std::string requests;
  for (int i = 0; i < 2000; ++i) absl::StrAppend(&requests, kGet);  // More than the buffer holds.
  c.FromClient(requests);
  EXPECT_EQ(Count(c.at_backend(), "GET /"), 2);
  for (int i = 0; i < 2000; ++i) c.FromBackend(kOk);
  EXPECT_EQ(Count(c.at_backend(), "GET /"), 2000);
  EXPECT_EQ(c.blocked(), "");
}

TEST(Http1InspectorTest, ResponsesWithoutBodiesAndInterimResponsesPass) {
  Http1Connection c(QuietOptions());
  const std::string head = absl::StrCat("HEAD", std::string(kGet).substr(3));
  c.FromClient(absl::StrCat(head, kGet, kGet, kGet));
  const std::string answers = absl::StrCat(
      "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",                              // To HEAD.
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 304 Not Modified\r\n",  //
      "Content-Length: 1000\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n",              //
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
  for (const char answer : answers) c.FromBackend(absl::string_view(&answer, 1));
  EXPECT_EQ(c.at_client(), answers);
  c.FromBackend("x");
  EXPECT_EQ(c.blocked(), "the backend sent bytes that no request asked for");
}

TEST(Http1InspectorTest, ResponsesWithoutARequestAreRejected) {
  Http1Connection c(QuietOptions());
  c.FromBackend(kOk);
  EXPECT_EQ(c.blocked(), "the backend sent bytes that no request asked for");
  EXPECT_EQ(c.at_client(), "");
}

TEST(Http1InspectorTest, AResponseOtherThanHttpIsABadGateway) {
  Http1Connection c(QuietOptions());
  c.FromClient(kGet);
  c.FromBackend("SSH-2.0-OpenSSH\r\n");
  EXPECT_THAT(c.blocked(), StartsWith("the backend's answer is no HTTP"));
  EXPECT_THAT(c.at_client(), StartsWith("HTTP/1.1 502 Bad Gateway\r\n"));
}

TEST(Http1InspectorTest, AnInvalidResponseAfterItsBeginningSendsNoPage) {
  Http1Connection c(QuietOptions());
  c.FromClient(kGet);
  c.FromBackend("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  c.FromBackend("no size\r\n");
  EXPECT_NE(c.blocked(), "");
  EXPECT_EQ(c.at_client(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(Http1InspectorTest, BackendsReceiveTheClientsAddress) {
  Http1Connection c(Http1Options{});
  c.FromClient("GET / HTTP/1.1\r\nHost: app.test:8443\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n");
  EXPECT_EQ(c.at_backend(),
            "GET / HTTP/1.1\r\nHost: app.test:8443\r\nX-Forwarded-For: 192.0.2.7\r\n"
            "X-Forwarded-Proto: https\r\n"
            "Forwarded: for=192.0.2.7;proto=https;host=\"app.test:8443\"\r\n\r\n");
}

TEST(Http1InspectorTest, BackendsReceiveIpv6AddressesAndCertificates) {
  ConnectionReport report = ReportOfAppTest();
  report.front.peer = *Endpoint::Parse("[2001:db8::7]:40000");
  auto identity = std::make_shared<PeerIdentity>();
  identity->subject = "CN=ro\"ot\r\nX-Evil: 1";
  identity->uri_names = {"spiffe://client.test/app"};
  identity->dns_names = {"client.test"};
  identity->certificate_sha256.fill(0xab);
  TlsInfo tls = *report.front.tls;
  tls.peer_identity = std::move(identity);
  report.front.tls = std::make_shared<const TlsInfo>(std::move(tls));
  Http1Options options;
  options.forwarding.strip = {"X-Internal"};
  Http1Connection c(std::move(options), report);
  c.FromClient("GET / HTTP/1.1\r\nHost: app.test\r\nx_internal: 1\r\n\r\n");
  EXPECT_EQ(c.at_backend(),
            "GET / HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-For: 2001:db8::7\r\n"
            "X-Forwarded-Proto: https\r\n"
            "X-Forwarded-Client-Cert: Hash="
            "abababababababababababababababababababababababababababababababab;"
            "Subject=\"CN=ro\\22ot??X-Evil: 1\";URI=spiffe://client.test/app;DNS=client.test\r\n"
            "Forwarded: for=\"[2001:db8::7]\";proto=https;host=\"app.test\"\r\n\r\n");
}

// Returns the fields for a request through a trusted proxy of 192.0.2.0/24, the client of these
// tests.
std::string FromTrusted(absl::string_view fields, const std::string& ranges = "192.0.2.0/24") {
  Http1Options options;
  options.forwarding.append_from = *TrustedPeers::Parse(ranges);
  Http1Connection c(std::move(options));
  c.FromClient(absl::StrCat("GET / HTTP/1.1\r\nHost: app.test\r\n", fields, "\r\n"));
  EXPECT_EQ(c.blocked(), "");
  const std::string begin = "GET / HTTP/1.1\r\nHost: app.test\r\n";
  EXPECT_THAT(c.at_backend(), StartsWith(begin));
  return c.at_backend().substr(begin.size());
}

TEST(Http1InspectorTest, FieldsOfATrustedProxyAreExtended) {
  const std::string said =
      "X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1;proto=http\r\n"
      "x-forwarded-for: 10.0.0.2\r\nX-Forwarded-Proto: http\r\n";
  EXPECT_EQ(FromTrusted(said),
            "X-Forwarded-For: 10.0.0.1, 10.0.0.2, 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"
            "Forwarded: for=10.0.0.1;proto=http, for=192.0.2.7;proto=http;host=\"app.test\""
            "\r\n\r\n");
  const std::string own =
      "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n"
      "Forwarded: for=192.0.2.7;proto=https;host=\"app.test\"\r\n\r\n";
  EXPECT_EQ(FromTrusted(""), own);
  EXPECT_EQ(FromTrusted("X-Forwarded-For:\r\nForwarded:\r\n"), own);
  // Fields of all other peers are removed, as without the option.
  EXPECT_EQ(FromTrusted(said, "192.0.2.8,198.51.100.0/24"), own);
}

TEST(Http1InspectorTest, OtherFieldsOfATrustedProxyAreRemoved) {
  const std::string own =
      "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n"
      "Forwarded: for=192.0.2.7;proto=https;host=\"app.test\"\r\n\r\n";
  EXPECT_EQ(FromTrusted("X_Forwarded_For: 10.0.0.1\r\nX-Forwarded-Host: evil.test\r\n"
                        "X-Forwarded-Client-Cert: Subject=\"CN=root\"\r\nX-Real-IP: 10.0.0.1\r\n"),
            own);
  for (const char* proto : {"ftp", "https, http", "HTTPS\r\nX-Forwarded-Proto: http"}) {
    EXPECT_EQ(FromTrusted(absl::StrCat("X-Forwarded-Proto: ", proto, "\r\n")), own) << proto;
  }
  // The added part must not end up in a quoted string.
  for (const char* open : {"for=\"", "for=\"a\\\"", "for=a, for=\"b\"\""}) {
    EXPECT_EQ(FromTrusted(absl::StrCat("Forwarded: ", open, "\r\n")), own) << open;
  }
  EXPECT_THAT(FromTrusted("Forwarded: for=\"[2001:db8::1]\", for=\"_a\\\"b\"\r\n"),
              HasSubstr("Forwarded: for=\"[2001:db8::1]\", for=\"_a\\\"b\", for=192.0.2.7;"));
}

TEST(Http1InspectorTest, HostsDependOnThePolicy) {
  const auto status = [](Http1Options::HostPolicy policy, const std::string& server_name,
                         const std::string& host) {
    Http1Options options = QuietOptions();
    options.hosts = policy;
    ConnectionReport report = ReportOfAppTest();
    report.server_name = server_name;
    Http1Connection c(std::move(options), report);
    c.FromClient(absl::StrCat("GET / HTTP/1.1\r\nHost: ", host, "\r\n\r\n"));
    return c.at_client().substr(0, 12);
  };
  constexpr auto kServerName = Http1Options::HostPolicy::kServerName;
  EXPECT_EQ(status(kServerName, "app.test", "app.test:1"), "");
  EXPECT_EQ(status(kServerName, "app.test", "b.test"), "HTTP/1.1 421");
  EXPECT_EQ(status(kServerName, "", "app.test"), "HTTP/1.1 421");
  EXPECT_EQ(status(kServerName, "", "192.0.2.1"), "");
  EXPECT_EQ(status(kServerName, "", "[2001:db8::1]:443"), "");
  EXPECT_EQ(status(Http1Options::HostPolicy::kAny, "app.test", "b.test"), "");
}

TEST(Http1InspectorTest, Http2IsRejected) {
  ConnectionReport report = ReportOfAppTest();
  TlsInfo tls = *report.front.tls;
  tls.alpn = "h2";
  report.front.tls = std::make_shared<const TlsInfo>(std::move(tls));
  Http1Connection c(QuietOptions(), report);
  c.FromClient("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  EXPECT_THAT(c.blocked(), StartsWith("HTTP/2 was agreed on"));
}

TEST(Http1InspectorTest, ASlowHeadReachesItsTimeout) {
  Http1Connection c(QuietOptions());
  c.FromClient("GET / HTTP/1.1\r\n");
  for (int i = 0; i < 12 && c.blocked().empty(); ++i) {
    c.loop.RunFor(absl::Seconds(1));
    c.FromClient("A");
  }
  EXPECT_EQ(c.blocked(), "the head took longer than its limit");
  EXPECT_THAT(c.at_client(), StartsWith("HTTP/1.1 408 "));
}

TEST(Http1InspectorTest, OneRequestPerConnectionIfConfigured) {
  Http1Options options = QuietOptions();
  options.one_request = [](const ConnectionReport& report) {
    return report.server_name == "app.test";
  };
  Http1Connection c(std::move(options));
  c.FromClient(absl::StrCat(kGet, kGet));
  EXPECT_EQ(c.at_backend(), "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n");
}

TEST(Http1InspectorTest, GuardsSeeRequestsBeforeBackendsDo) {
  std::vector<std::string> log;
  Http1Connection c(WithGuard(log));
  const std::string request = Post("a=b&c=d");
  c.FromClient(request.substr(0, request.size() - 1));
  EXPECT_EQ(c.at_backend(), "");
  c.FromClient("d");
  EXPECT_EQ(c.at_backend(), request);
  c.FromClient(kGet);
  c.FromClient(
      "POST /x?y HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nfoo\r\n3;x=y\r\nbar\r\n0\r\nA: b\r\n\r\n");
  EXPECT_THAT(c.at_backend(), ::testing::EndsWith("3\r\nfoo\r\n3;x=y\r\nbar\r\n0\r\nA: b\r\n\r\n"));
  EXPECT_THAT(
      log, ElementsAre("POST /form", "body a=b&c=d", "GET /", "body ", "POST /x", "body foobar"));
}

TEST(Http1InspectorTest, RejectedRequestsNeverReachTheBackend) {
  for (const std::string& request :
       {Post("some evil"), std::string("GET /evil HTTP/1.1\r\nHost: app.test\r\n\r\n")}) {
    std::vector<std::string> log;
    Http1Connection c(WithGuard(log));
    c.FromClient(request);
    EXPECT_EQ(c.at_backend(), "");
    EXPECT_EQ(c.blocked(), "evil was found");
    EXPECT_THAT(c.at_client(), StartsWith("HTTP/1.1 403 Forbidden\r\n"));
  }
}

TEST(Http1InspectorTest, GuardsWithoutWantsBodyDoNotDelayTheBody) {
  std::vector<std::string> log;
  Http1Connection c(WithGuard(log, false));
  const std::string request = Post("some evil");
  c.FromClient(request.substr(0, request.size() - 1));
  EXPECT_EQ(c.at_backend(), request.substr(0, request.size() - 1));
}

TEST(Http1InspectorTest, AClientThatExpects100ContinueGetsIt) {
  std::vector<std::string> log;
  Http1Connection c(WithGuard(log));
  const std::string head = Post("some evil", "Expect: 100-continue\r\n");
  c.FromClient(head.substr(0, head.size() - 9));
  EXPECT_EQ(c.at_backend(), head.substr(0, head.size() - 9));
  c.FromBackend("HTTP/1.1 100 Continue\r\n\r\n");
  c.FromClient("some evil");
  EXPECT_EQ(c.at_backend(), head.substr(0, head.size() - 9)) << "no byte of the body";
  EXPECT_THAT(c.at_client(), StartsWith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden"));
}

TEST(Http1InspectorTest, LongBodiesAreRejectedOrPassedInPart) {
  const std::string chunk = absl::StrCat("32\r\n", std::string(50, 'x'), "\r\n");
  const std::string chunked =
      absl::StrCat("POST /form HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n",
                   chunk, chunk, chunk, "0\r\n\r\n");
  for (const std::string& request : {Post(std::string(150, 'x')), chunked}) {
    std::vector<std::string> log;
    Http1Connection refusing(WithGuard(log));
    refusing.FromClient(request);
    EXPECT_EQ(refusing.at_backend(), "");
    EXPECT_THAT(refusing.at_client(), StartsWith("HTTP/1.1 413 "));

    Http1Options options = WithGuard(log);
    options.pass_longer_bodies = true;
    Http1Connection passing(std::move(options));
    for (const char byte : request) passing.FromClient(absl::string_view(&byte, 1));
    EXPECT_EQ(passing.at_backend(), request);
    EXPECT_EQ(log.back(), absl::StrCat("body ", std::string(100, 'x')));
  }
}

TEST(Http1InspectorTest, ATruncatedGuardedBodyIsRejected) {
  std::vector<std::string> log;
  Http1Connection c(WithGuard(log));
  c.FromClient(Post("a=b&c=d").substr(0, Post("a=b&c=d").size() - 2));
  c.client->End();
  c.loop.RunReady();
  EXPECT_EQ(c.blocked(), "the client ended in the middle of a request");
  EXPECT_EQ(c.at_backend(), "");
}

TEST(Http1InspectorTest, ZeroAndInfiniteLimitsAreRejected) {
  testing::SimulatedLoop loop;
  const auto fails = [&](auto change) {
    Http1Options options;
    change(options);
    const auto factory = NewHttp1InspectorFactory(loop, std::move(options));
    return !factory.ok() && GetError(factory.status())->code == ErrorCode::kConfiguration;
  };
  EXPECT_TRUE(fails([](Http1Options& o) { o.limits.head_bytes = 0; }));
  EXPECT_TRUE(fails([](Http1Options& o) { o.limits.target_bytes = 0; }));
  EXPECT_TRUE(fails([](Http1Options& o) { o.limits.fields = 0; }));
  EXPECT_TRUE(fails([](Http1Options& o) { o.pipelined_requests = 0; }));
  EXPECT_TRUE(fails([](Http1Options& o) { o.chunk_line_bytes = 0; }));
  EXPECT_TRUE(fails([](Http1Options& o) { o.guarded_body_bytes = 0; }));
  EXPECT_TRUE(fails([](Http1Options& o) { o.head_timeout = absl::ZeroDuration(); }));
  EXPECT_TRUE(fails([](Http1Options& o) { o.head_timeout = absl::InfiniteDuration(); }));
}

}  // namespace
}  // namespace trestle
