// The page with both legs of each route and their certificates, and its JSON form.
#include "integrations/prometheus/legs_page.h"

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/integrations/prometheus/metrics_fixture.h"
#include "trestle/base/error.h"

namespace trestle::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

using LegsPageTest = MetricsTest;

TEST_F(LegsPageTest, ThePageEscapesTextOfCertificates) {
  CertificateStatus evil = Certificate("<script>alert(1)</script>", kDay, kDay);
  evil.chain[0].subject = "CN=\"><img src=x onerror='x'>&";
  const std::string page = LegsPage({{}, {evil}}, now_);
  EXPECT_THAT(page, AllOf(Not(HasSubstr("<script")), Not(HasSubstr("<img")),
                          HasSubstr("&lt;script&gt;"), HasSubstr("&quot;&gt;&lt;img")));
  EXPECT_THAT(LegsPage(LegsView(), now_), HasSubstr("No certificates are watched"));
}

TEST_F(LegsPageTest, ThePageHasThePartAndTheDayNearestFirst) {
  CertificateStatus failing = Certificate("broken.test", 90 * kDay, 90 * kDay);
  failing.status = MakeError(ErrorCode::kTransport, Leg::kBack, Phase::kDial, "nobody is there");
  const std::string page = LegsPage({{},
                                     {Certificate("late.test", 300 * kDay, 300 * kDay),
                                      Certificate("soon.test", 90 * kDay, 9 * kDay), failing}},
                                    now_);
  EXPECT_THAT(page, AllOf(HasSubstr("9 days left"), HasSubstr("expires on 2026-01-10"),
                          HasSubstr("transport: nobody is there")));
  EXPECT_LT(page.find("broken.test"), page.find("soon.test"));
  EXPECT_LT(page.find("soon.test"), page.find("late.test"));
}

TEST_F(LegsPageTest, ThePageTellsOfTheSpiffeAgent) {
  LegsView view;
  EXPECT_THAT(LegsPage(view, now_), Not(HasSubstr("SPIFFE")));
  EXPECT_FALSE(Json::parse(LegsJson(view, now_)).contains("spiffe"));
  SpiffeStatus status;
  status.agent = "unix:/run/<agent>.sock";
  status.id = "spiffe://example.org/edge";
  status.trust_domains = {"example.org", "partner.test"};
  status.not_before = now_ - absl::Hours(1);
  status.not_after = now_;
  status.late = true;
  status.fault = "the socket <is> not there";
  status.updates = 3;
  view.spiffe = status;
  EXPECT_THAT(LegsPage(view, now_),
              AllOf(HasSubstr("unix:/run/&lt;agent&gt;.sock"), HasSubstr("away"),
                    HasSubstr("spiffe://example.org/edge"), HasSubstr("not renewed in time"),
                    HasSubstr("bundles of example.org, partner.test"),
                    HasSubstr("the socket &lt;is&gt; not there")));
  const Json spiffe = Json::parse(LegsJson(view, now_)).at("spiffe");
  EXPECT_EQ(spiffe.at("connected"), false);
  EXPECT_EQ(spiffe.at("not_after"), "2026-01-01T00:00:00Z");
  EXPECT_EQ(spiffe.at("trust_domains").size(), 2u);
  EXPECT_EQ(spiffe.at("fault"), "the socket <is> not there");
  view.spiffe->fault.clear();
  view.spiffe->late = false;
  view.spiffe->connected = true;
  EXPECT_THAT(LegsPage(view, now_), AllOf(HasSubstr("connected"), Not(HasSubstr("in time"))));
  EXPECT_TRUE(Json::parse(LegsJson(view, now_)).at("spiffe").at("fault").is_null());
}

TEST_F(LegsPageTest, ThePageHasTheAdviceOfTheCa) {
  CertificateStatus advised = Certificate("a.test", 90 * kDay, 90 * kDay);
  advised.renewal_id = "aYhb.AIdl";
  advised.renewal = RenewalInfo{now_ + kDay, now_ + 2 * kDay, "https://ca.test/<why>"};
  EXPECT_THAT(LegsPage({{}, {advised}}, now_),
              AllOf(HasSubstr("the CA advises to renew between 2026-01-02 and 2026-01-03 "
                              "(https://ca.test/&lt;why&gt;)"),
                    HasSubstr("class=\"leg fine\""), Not(HasSubstr("late"))));
  EXPECT_THAT(LegsPage({{}, {advised}}, now_ + 3 * kDay),
              AllOf(HasSubstr("<b>the renewal is late</b>: the CA advises"),
                    HasSubstr("class=\"leg warning\"")));
  const Json leg = Json::parse(LegsJson({{}, {advised}}, now_)).at("legs").at(0);
  EXPECT_EQ(leg.at("renewal_id"), "aYhb.AIdl");
  EXPECT_EQ(leg.at("renewal"), Json::parse(R"({"start": "2026-01-02T00:00:00Z",
      "end": "2026-01-03T00:00:00Z", "explanation_url": "https://ca.test/<why>"})"));
  const Json none =
      Json::parse(LegsJson({{}, {Certificate("b.test", kDay, kDay)}}, now_)).at("legs").at(0);
  EXPECT_TRUE(none.at("renewal_id").is_null() && none.at("renewal").is_null());
}

TEST_F(LegsPageTest, ThePageHasFindings) {
  CertificateStatus weak = Certificate("a.test", 90 * kDay, 90 * kDay);
  weak.findings = {{Severity::kWarning, "sha1_signature", "signed with <SHA-1>", "renew it"}};
  LegsView view;
  view.certificates = {weak};
  EXPECT_THAT(LegsPage(view, now_), AllOf(HasSubstr("class=\"leg warning\""),
                                          HasSubstr("warning: signed with &lt;SHA-1&gt; "
                                                    "<small>[sha1_signature] renew it</small>"),
                                          Not(HasSubstr("The configuration"))));
  view.findings = {{Severity::kWarning, "public_client_cas", "a public CA", ""}};
  EXPECT_THAT(LegsPage(view, now_),
              HasSubstr("<p class=\"leg warning\">The configuration<br>warning: a public CA "
                        "<small>[public_client_cas]"));
  const Json json = Json::parse(LegsJson(view, now_));
  EXPECT_EQ(json.at("findings").at(0).at("code"), "public_client_cas");
  EXPECT_EQ(json.at("legs").at(0).at("findings"),
            Json::parse(R"([{"severity": "warning", "code": "sha1_signature",
                             "text": "signed with <SHA-1>", "advice": "renew it"}])"));
}

// A certificate for backends is no certificate of a route's front leg.
TEST_F(LegsPageTest, AnOwnCertificateOfTheBackLegHasARowOfItsOwn) {
  LegsView view;
  for (const Leg leg : {Leg::kFront, Leg::kBack}) {
    CertificateStatus& own = view.certificates.emplace_back(
        Certificate(leg == Leg::kFront ? "front.test" : "proxy.test", 90 * kDay, 90 * kDay));
    own.source = CertificateSource::kOwn;
    own.leg = leg;
  }
  view.routes = {{"", ProxyMode::kBridge, {}, ""}};
  const Json json = Json::parse(LegsJson(view, now_));
  EXPECT_EQ(json.at("routes").at(0).at("front"), Json::parse("[0]"));
  EXPECT_EQ(json.at("legs").at(1).at("leg"), "back");
  EXPECT_THAT(LegsPage(view, now_), HasSubstr("proxy.test<br><small>own"));
}

TEST_F(LegsPageTest, NamesOfBackendsAreShownWithWhatDnsSays) {
  LegsView view;
  view.routes = {{"", ProxyMode::kOffload, {}, "", {"api.internal:443"}}};
  NameStatus& name = view.names.emplace_back();
  name.target = *NamedTarget::Parse("api.internal:443");
  name.condition = NameCondition::kDenied;
  name.lookups = 7;
  name.error = ToError(MakeError(ErrorCode::kNoBackend, Leg::kBack, Phase::kDial, "no <address>"));
  EXPECT_THAT(LegsPage(view, now_),
              AllOf(HasSubstr("no address (api.internal:443)"), HasSubstr("<small>denied</small>"),
                    HasSubstr("<td>none<br><b>no &lt;address&gt;</b></td><td>7, 0 without")));
  name.condition = NameCondition::kCurrent;
  name.endpoints = view.routes[0].backends = {*Endpoint::Parse("192.0.2.1:443")};
  name.error.reset();
  name.answer_age = absl::Milliseconds(61'900);
  EXPECT_THAT(LegsPage(view, now_),
              AllOf(HasSubstr("192.0.2.1:443 (api.internal:443)"), HasSubstr("answered 1m1s ago")));
  const Json json = Json::parse(LegsJson(view, now_));
  EXPECT_EQ(json.at("routes")[0].at("names"), Json::array({"api.internal:443"}));
  EXPECT_EQ(json.at("names"), Json::parse(R"([{"name": "api.internal:443", "condition": "current",
      "addresses": ["192.0.2.1:443"], "answer_age_seconds": 61.9, "lookups": 7, "failures": 0,
      "changes": 0, "refused": 0, "error": null}])"));
}

TEST_F(LegsPageTest, HealthOfBackendsIsShown) {
  LegsView view;
  HealthStatus& backend = view.health.emplace_back();
  backend.endpoint = *Endpoint::Parse("192.0.2.1:443");
  backend.kind = HealthCheckKind::kHttp;
  backend.name = "api.internal:443";
  backend.server_name = "api.internal";
  backend.state.condition = BackendCondition::kDown;
  backend.state_age = absl::Milliseconds(61'900);
  backend.checks = 9;
  backend.failures = 4;
  backend.changes = 1;
  backend.took = absl::Milliseconds(30);
  backend.error = ToError(MakeError(ErrorCode::kProtocol, Leg::kBack, Phase::kRelay, "<503>"));
  EXPECT_THAT(LegsPage(view, now_),
              AllOf(HasSubstr("192.0.2.1:443<br><small>api.internal</small>"),
                    HasSubstr("down for 1m1s<br><b>by http: &lt;503&gt;</b>"),
                    HasSubstr("http, 9, 4 failed, 1 changes"), HasSubstr("took 30ms")));
  EXPECT_EQ(Json::parse(LegsJson(view, now_)).at("health"),
            Json::parse(R"([{"backend": "192.0.2.1:443", "name": "api.internal:443",
      "server_name": "api.internal", "check": "http", "state": "down", "state_age_seconds": 61.9,
      "reason": "http: <503>", "drained_by": "", "ejections": 0, "ejected_for_seconds": 0.0,
      "partly_ejected": 0,
      "checks": 9, "failures": 4, "changes": 1, "took_seconds": 0.03, "error": "<503>"}])"));
}

TEST_F(LegsPageTest, EjectionsAndDrainsAreShownWithTheirReasons) {
  LegsView view;
  HealthStatus& backend = view.health.emplace_back();
  backend.endpoint = *Endpoint::Parse("192.0.2.1:443");
  backend.state.condition = BackendCondition::kEjected;
  backend.state.ejections = 3;
  backend.state.partly = 1;
  backend.state.ejected_for = absl::Milliseconds(2'400);
  backend.state.failure =
      ToError(MakeError(ErrorCode::kTransport, Leg::kBack, Phase::kDial, "refused <&>"));
  EXPECT_THAT(
      LegsPage(view, now_),
      HasSubstr("ejected for 0<br><b>by connections: refused &lt;&amp;&gt;</b><br>tried again in "
                "3s<br><small>3 ejections</small><br><small>ejected for the data of 1 client<"));
  backend.state.ejected_for = absl::ZeroDuration();
  EXPECT_THAT(LegsPage(view, now_), HasSubstr("tried again by the next connection"));
  backend.state.condition = BackendCondition::kDraining;
  backend.state.drained_by = "call, drain file";
  EXPECT_THAT(LegsPage(view, now_), HasSubstr("draining for 0<br><b>by call, drain file</b>"));
  EXPECT_EQ(Json::parse(LegsJson(view, now_)).at("health")[0].at("drained_by"), "call, drain file");
}

TEST_F(LegsPageTest, ThePageHasBothLegsOfEachRouteSideBySide) {
  const Endpoint one = *Endpoint::Parse("192.0.2.1:443");
  const Endpoint other = *Endpoint::Parse("192.0.2.2:443");
  LegsView view;
  const auto add = [&](const std::string& name, CertificateSource source, const Endpoint& at) {
    CertificateStatus& status =
        view.certificates.emplace_back(Certificate(name, 300 * kDay, 300 * kDay));
    status.source = source;
    status.endpoint = at;
    status.leg = source == CertificateSource::kOwn ? Leg::kFront : Leg::kBack;
    status.names = {name};
  };
  add("*.app.test", CertificateSource::kOwn, Endpoint());  // 0
  add("other.test", CertificateSource::kOwn, Endpoint());  // 1
  add("back.test", CertificateSource::kSeen, one);         // 2
  add("back.test", CertificateSource::kProbe, one);        // 3
  add("back.test", CertificateSource::kProbe, other);      // 4: of no route.
  add("pass.test", CertificateSource::kProbe, other);      // 5
  view.certificates[3].last_error =
      MakeError(ErrorCode::kTransport, Leg::kBack, Phase::kDial, "nobody is there");
  view.certificates[3].last_error_time = now_ - absl::Hours(5);
  view.routes = {{"x.app.test", ProxyMode::kBridge, {one}, "back.test"},
                 {"pass.test", ProxyMode::kPassthrough, {other}, "pass.test"},
                 {"*.wild.test", ProxyMode::kPassthrough, {other}, "*.wild.test"},
                 {"", ProxyMode::kOffload, {one}, ""}};
  const Json json = Json::parse(LegsJson(view, now_));
  const Json& routes = json.at("routes");
  ASSERT_EQ(routes.size(), 4u);
  EXPECT_EQ(routes[0], Json::parse(R"({"name": "x.app.test", "mode": "bridge",
      "backends": ["192.0.2.1:443"], "front": [0], "back": [2, 3]})"));
  EXPECT_EQ(routes[1].at("front"), Json::array());
  EXPECT_EQ(routes[1].at("back"), Json({5}));
  EXPECT_EQ(routes[2].at("back"), Json::array());
  EXPECT_EQ(routes[3].at("front"), Json({0, 1}));
  EXPECT_EQ(json.at("legs").size(), 6u);
  EXPECT_EQ(json.at("legs")[3].at("last_error").at("text"), "transport: nobody is there");
  EXPECT_TRUE(json.at("legs")[2].at("last_error").is_null());

  const std::string page = LegsPage(view, now_);
  const auto row = [&](const std::string& begin) {
    const size_t at = page.find("<tr><td>" + begin);
    EXPECT_NE(at, std::string::npos) << begin << " in " << page;
    return at == std::string::npos ? "" : page.substr(at, page.find("</tr>", at) - at);
  };
  EXPECT_THAT(row("x.app.test"),
              AllOf(HasSubstr("</span>*.app.test<br><small>own</small>"),
                    HasSubstr("</div></td><td><div class=\"leg fine\">"),
                    HasSubstr("back.test<br><small>seen, 192.0.2.1:443"),
                    HasSubstr("last error, 5 hours ago: transport: nobody is there")));
  EXPECT_THAT(row("pass.test"), HasSubstr("<td>the backend’s, passed through</td><td><div"));
  EXPECT_THAT(row("*.wild.test"), HasSubstr("not watched<br><small>192.0.2.2:443"));
  EXPECT_THAT(row("any name"), HasSubstr("<td>clear text<br><small>192.0.2.1:443"));
  EXPECT_THAT(row("–"), HasSubstr("<td></td><td><div class=\"leg fine\">"));
}

TEST_F(LegsPageTest, EncryptedHellosAreShownIfRoutersOpenThem) {
  LegsView view;
  EXPECT_THAT(LegsPage(view, now_), Not(HasSubstr("Encrypted hellos")));
  EXPECT_FALSE(Json::parse(LegsJson(view, now_)).contains("ech"));
  view.ech.emplace();
  view.ech->by_config_id[7] = {50, 40, 30, 20, 10};
  view.ech->no_key = 60;
  view.ech->inner_in_clear = 70;
  const std::string page = LegsPage(view, now_);
  EXPECT_THAT(page, HasSubstr("60 without a key here"));
  EXPECT_THAT(page, HasSubstr("70 refused"));
  EXPECT_THAT(page, HasSubstr("<td>7</td><td>50, and 10 second hellos</td><td>40 with another key, "
                              "30 malformed, 20 over the budget</td>"));
  const Json ech = Json::parse(LegsJson(view, now_)).at("ech");
  EXPECT_EQ(ech.at("no_key"), 60);
  EXPECT_EQ(ech.at("configs").at(0).at("config_id"), 7);
  EXPECT_EQ(ech.at("configs").at(0).at("second_opened"), 10);
}

TEST_F(LegsPageTest, PoolsOfAGatewayAreShown) {
  LegsView view;
  EXPECT_THAT(LegsPage(view, now_), Not(HasSubstr("Kept connections")));
  EXPECT_FALSE(Json::parse(LegsJson(view, now_)).contains("pools"));
  view.pools = {{"https", "192.0.2.1:443", "back.test", 5, 3, 2}};
  EXPECT_THAT(LegsPage(view, now_),
              HasSubstr("<td>https://192.0.2.1:443<br><small>back.test</small></td>"
                        "<td>5, idle 3</td><td>2</td>"));
  EXPECT_EQ(Json::parse(LegsJson(view, now_)).at("pools"), Json::parse(R"([{"scheme": "https",
      "backend": "192.0.2.1:443", "name": "back.test", "connections": 5, "idle": 3,
      "waiting": 2}])"));
}

}  // namespace
}  // namespace trestle::testing
