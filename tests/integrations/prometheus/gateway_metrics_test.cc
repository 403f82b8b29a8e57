// Metrics of a gateway's requests, by route, and of its pools.

#include "integrations/prometheus/gateway_metrics.h"

#include <memory>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "tests/integrations/http/gateway_fixture.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string TextOf(const GatewayMetrics& metrics) {
  std::ostringstream text;
  ::prometheus::TextSerializer().Serialize(text, metrics.Collect());
  return absl::StrCat("\n", text.str());
}

/// Counts the calls that are passed on.
struct Next final : public HttpObserver {
  void OnRouted(const HttpRequestReport&) override { ++routed; }
  void OnRequest(const HttpRequestReport&) override { ++requests; }
  int routed = 0;
  int requests = 0;
};

class GatewayMetricsTest : public GatewayFixture {
 protected:
  GatewayMetricsTest() : counting_(metrics_.NewObserver(&next_)) { observer = counting_.get(); }

  GatewayMetrics metrics_;
  Next next_;
  const std::unique_ptr<HttpObserver> counting_;
};

TEST_F(GatewayMetricsTest, RequestsAreCountedByRoute) {
  const auto client = Connect();
  Send(*client, Get("/"));
  EXPECT_THAT(TextOf(metrics_),
              HasSubstr("\ntrestle_http_requests_in_progress{route=\"app.test/\"} 1\n"));
  loop.RunFor(absl::Milliseconds(20));
  Send(*a[0], kOk);
  Send(*client, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc");
  Send(*a[0], "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  const std::string text = TextOf(metrics_);
  for (const char* line : {"requests_in_progress{route=\"app.test/\"} 0",
                           "requests_total{route=\"app.test/\",status=\"2xx\"} 1",
                           "requests_total{route=\"app.test/\",status=\"4xx\"} 1",
                           "requests_total{route=\"app.test/\",status=\"5xx\"} 0",
                           "request_seconds_bucket{route=\"app.test/\",le=\"0.01\"} 1",
                           "request_seconds_bucket{route=\"app.test/\",le=\"0.025\"} 2",
                           "backend_requests_total{connection=\"new\",route=\"app.test/\"} 1",
                           "backend_requests_total{connection=\"kept\",route=\"app.test/\"} 1",
                           "body_bytes_total{direction=\"in\",route=\"app.test/\"} 3",
                           "body_bytes_total{direction=\"out\",route=\"app.test/\"} 2",
                           "retries_total{route=\"app.test/\"} 0"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\ntrestle_http_", line, "\n")));
  }
  EXPECT_THAT(text, Not(HasSubstr("trestle_http_reasons_total{")));
  EXPECT_EQ(next_.routed, 2);
  EXPECT_EQ(next_.requests, 2);
}

TEST_F(GatewayMetricsTest, FailuresRetriesAndCacheHitsAreCounted) {
  options.cache_bytes = 1 << 20;
  dialer.Refuse(BackendB(), absl::UnavailableError("refused"));
  const auto client = Connect();
  Send(*client, "GET / HTTP/1.1\r\nHost: two.test\r\n\r\n");  // B, then A.
  ASSERT_EQ(a.size(), 1u);
  Send(*a[0], "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n");
  Send(*client, "GET / HTTP/1.1\r\nHost: two.test\r\n\r\n");
  Send(*client, Get("/b"));
  Send(*client, "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n");
  const std::string text = TextOf(metrics_);
  for (const char* line :
       {"retries_total{route=\"two.test/\"} 1", "cache_hits_total{route=\"two.test/\"} 1",
        "requests_total{route=\"app.test/b\",status=\"5xx\"} 1",
        "requests_total{route=\"other\",status=\"4xx\"} 1",
        "requests_in_progress{route=\"app.test/b\"} 0", "requests_in_progress{route=\"other\"} 0",
        "backend_requests_total{connection=\"new\",route=\"app.test/b\"} 0",
        "reasons_total{reason=\"unreachable\"} 1", "reasons_total{reason=\"misdirected\"} 1"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\ntrestle_http_", line, "\n")));
  }
}

TEST_F(GatewayMetricsTest, TheNumberOfRoutesIsBounded) {
  HttpRequestReport report;
  report.status = 200;
  for (size_t i = 0; i < GatewayMetrics::kMaxRoutes + 5; ++i) {
    report.route = absl::StrCat(i, ".test/");
    observer->OnRouted(report);
    observer->OnRequest(report);
  }
  const std::string text = TextOf(metrics_);
  EXPECT_THAT(text, HasSubstr("requests_total{route=\"other\",status=\"2xx\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("requests_in_progress{route=\"other\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("\"1004.test/\"")));
}

TEST_F(GatewayMetricsTest, PoolsOfAllThreadsAreAdded) {
  const auto client = Connect();
  Send(*client, Get("/"));
  Send(*a[0], kOk);
  const auto targets = gateway().pool_targets();
  ASSERT_EQ(targets.size(), 1u);
  EXPECT_EQ(targets[0].endpoint, BackendA());
  EXPECT_EQ(targets[0].idle, 1u);
  metrics_.SetPools(0, targets);
  metrics_.SetPools(1, {{BackendScheme::kHttp, BackendA(), "", 4, 1, 7}});
  const auto pools = metrics_.pools();
  ASSERT_EQ(pools.size(), 1u);
  EXPECT_EQ(pools[0].connections, 5u);
  EXPECT_EQ(pools[0].idle, 2u);
  const std::string text = TextOf(metrics_);
  for (const char* line :
       {"connections{backend=\"192.0.2.10:80\",scheme=\"http\",state=\"idle\"} 2",
        "connections{backend=\"192.0.2.10:80\",scheme=\"http\",state=\"busy\"} 3",
        "waiting{backend=\"192.0.2.10:80\",scheme=\"http\"} 7"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\ntrestle_http_pool_", line, "\n")));
  }
  metrics_.SetPools(1, {});
  EXPECT_EQ(metrics_.pools()[0].connections, 1u);
}

}  // namespace
}  // namespace trestle
