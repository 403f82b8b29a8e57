// A judge of responses: nothing of a response reaches the client before its verdict, in both
// versions of HTTP.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "integrations/http/request_judge.h"
#include "tests/integrations/http/frame_reader.h"
#include "tests/integrations/http/gateway_fixture.h"
#include "trestle/base/error.h"
#include "trestle/io/task_runner.h"

namespace trestle {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// Runs its tasks when it is told to.
class ManualRunner final : public TaskRunner {
 public:
  absl::Status Run(absl::AnyInvocable<void()> task) override {
    if (tasks_.size() >= room) {
      return MakeError(ErrorCode::kOverLimit, Phase::kRelay, "the queue is full");
    }
    tasks_.push_back(std::move(task));
    return absl::OkStatus();
  }

  void RunAll() {
    while (!tasks_.empty()) {
      auto tasks = std::exchange(tasks_, {});
      for (absl::AnyInvocable<void()>& task : tasks) task();
    }
  }

  size_t waiting() const { return tasks_.size(); }

  size_t room = 100;

 private:
  std::vector<absl::AnyInvocable<void()>> tasks_;
};

/// Denies responses with the field x-leak, and bodies with "secret".
class LeakGuard final : public HttpGuard {
 public:
  explicit LeakGuard(int& alive) : alive_(alive) { ++alive_; }
  ~LeakGuard() override { --alive_; }

  std::optional<HttpRefusal> OnHead(const HttpRequestHead&) override { return std::nullopt; }
  bool wants_response() const override { return true; }

  std::optional<HttpRefusal> OnResponseHead(const HttpResponseHead& head) override {
    for (const HttpField& field : head.fields) {
      if (field.name == "x-leak") return HttpRefusal{403, "a field that leaks"};
    }
    return std::nullopt;
  }

  std::optional<HttpRefusal> OnResponseBody(absl::string_view piece) override {
    absl::StrAppend(&body_, piece);
    return std::nullopt;
  }

  std::optional<HttpRefusal> OnResponseEnd() override {
    if (!absl::StrContains(body_, "secret")) return std::nullopt;
    return HttpRefusal{403, "a body that leaks"};
  }

 private:
  int& alive_;
  std::string body_;
};

constexpr size_t kJudgedBytes = 100;

class ResponseJudgeTest : public GatewayFixture {
 protected:
  ResponseJudgeTest() {
    ResponseJudging responses;
    responses.bytes = kJudgedBytes;
    responses.wants_type =
        std::make_shared<const absl::AnyInvocable<bool(absl::string_view) const>>(
            [](absl::string_view type) { return type == "text/plain"; });
    judge_ = NewGuardJudge(loop, runner_,
                           std::make_shared<const GuardMaker>([this](const ConnectionReport&) {
                             return std::make_unique<LeakGuard>(alive_);
                           }),
                           1000, std::move(responses));
    options.judge = judge_.get();
  }

  ~ResponseJudgeTest() override { runner_.RunAll(); }

  void Judge() {
    runner_.RunAll();
    loop.RunReady();
  }

  /// Sends a request, which is accepted, up to its backend.
  std::unique_ptr<StreamPeer> Ask(absl::string_view more = "") {
    auto client = Connect();
    Send(*client, Get("/", more));
    Judge();
    EXPECT_FALSE(a.empty());
    return client;
  }

  static std::string Text(absl::string_view body, absl::string_view more = "") {
    return absl::StrCat("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n", more,
                        "Content-Length: ", body.size(), "\r\n\r\n", body);
  }

  ManualRunner runner_;
  int alive_ = 0;  // Guards.
  std::unique_ptr<RequestJudge> judge_;
};

TEST_F(ResponseJudgeTest, AGoodResponsePassesAfterItsVerdict) {
  const auto client = Ask();
  Send(*a[0], Text("hello").substr(0, 60));
  EXPECT_EQ(runner_.waiting(), 0u) << "the body is still coming";
  Send(*a[0], Text("hello").substr(60));
  EXPECT_EQ(runner_.waiting(), 1u);
  EXPECT_EQ(client->received(), "");
  Judge();
  EXPECT_EQ(client->received(),
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello");
  EXPECT_EQ(Report().reason, HttpReason::kNone);
  EXPECT_EQ(Report().bytes_out, 5u);
  EXPECT_EQ(alive_, 0);
  EXPECT_EQ(gateway().pool_stats().connections, 1u) << "the connection is kept";
}

TEST_F(ResponseJudgeTest, ALeakingBodyIsReplaced) {
  for (const char* framing : {"sized", "chunked", "until the end"}) {
    SCOPED_TRACE(framing);
    reports.clear();
    a.clear();
    const auto client = Ask();
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
    if (framing[0] == 's') Send(*a.back(), Text("a secret"));
    if (framing[0] == 'c') {
      Send(*a.back(), head + "Transfer-Encoding: chunked\r\n\r\n8\r\na secret\r\n0\r\n\r\n");
    }
    if (framing[0] == 'u') {
      Send(*a.back(), head + "\r\na secret");
      a.back()->End();
      loop.RunReady();
    }
    Judge();
    EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 403 Forbidden\r\n"));
    EXPECT_THAT(client->received(), EndsWith("\r\n\r\n403 Forbidden\n"));
    EXPECT_EQ(Report().reason, HttpReason::kResponseDenied);
    EXPECT_EQ(Report().detail, "a body that leaks");
    EXPECT_EQ(alive_, 0);
    // The client's connection goes on.
    a.clear();
    Send(*client, Get("/again"));
    Judge();
    ASSERT_EQ(gateway().open_requests(), 1u);
    client->Abort();
    loop.RunReady();
    for (const auto& peer : a) peer->Abort();
    loop.RunFor(absl::Minutes(1));
    runner_.RunAll();
  }
}

TEST_F(ResponseJudgeTest, OverHttp2ARefusalCostsItsStream) {
  const auto client = Connect("h2");
  const std::string get(
      "\x82\x87\x84\x41\x08"
      "app.test",
      13);
  Send(*client,
       absl::StrCat(kHttp2Preface, Http2Frame(kSettingsFrame, 0, 0, ""),
                    Http2Frame(kHeadersFrame, 5, 1, get), Http2Frame(kHeadersFrame, 5, 3, get)));
  Judge();
  ASSERT_EQ(a.size(), 2u);
  Send(*a[0], Text("a secret"));
  Send(*a[1], Text("hello"));
  FrameReader before;
  before.Read(client->received());
  EXPECT_TRUE(before.streams().empty());
  Judge();
  FrameReader frames;
  frames.Read(client->received());
  ASSERT_EQ(frames.streams().size(), 2u);
  EXPECT_EQ(frames.streams().at(1).body, "403 Forbidden\n");
  EXPECT_EQ(frames.streams().at(3).body, "hello");
  EXPECT_TRUE(frames.streams().at(1).ended && frames.streams().at(3).ended);
  EXPECT_EQ(frames.fault(), "");
}

TEST_F(ResponseJudgeTest, ALeakingHeadIsReplaced) {
  const auto client = Ask();
  Send(*a[0], "HTTP/1.1 200 OK\r\nX-Leak: 1\r\nContent-Length: 1000000\r\n\r\nhello");
  Judge();
  EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(client->received(), Not(HasSubstr("hello")));
  EXPECT_TRUE(a[0]->saw_end() || !a[0]->failure().ok()) << "the rest of it is not wanted";
}

TEST_F(ResponseJudgeTest, OfALongBodyTheBeginningIsJudged) {
  const auto client = Ask();
  const std::string body = std::string(kJudgedBytes, 'x') + "secret" + std::string(200'000, 'y');
  Send(*a[0], Text(body));
  EXPECT_EQ(client->received(), "");
  EXPECT_GT(a[0]->unsent_bytes(), 0u) << "no more of it is kept than a stream may have";
  Judge();
  loop.RunFor(absl::Seconds(1));
  EXPECT_THAT(client->received(), EndsWith(body));
  EXPECT_EQ(Report().bytes_out, body.size());
}

TEST_F(ResponseJudgeTest, StreamsOfOtherTypesPassAfterTheirHead) {
  const auto client = Ask();
  Send(*a[0], "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: secret\n\n");
  EXPECT_EQ(runner_.waiting(), 1u);
  Judge();
  EXPECT_THAT(client->received(), HasSubstr("data: secret\n\n"));
  Send(*a[0], "data: more\n\n");
  EXPECT_THAT(client->received(), HasSubstr("data: more\n\n"));
}

TEST_F(ResponseJudgeTest, ResponsesWithoutABodyAndWithTrailersPass) {
  for (const char* answer :
       {"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        "2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n"}) {
    a.clear();
    const auto client = Ask();
    Send(*a.back(), answer);
    Judge();
    EXPECT_THAT(client->received(), StartsWith(absl::string_view(answer).substr(0, 15)));
    if (absl::StrContains(answer, "x-sum")) {
      EXPECT_THAT(client->received(), EndsWith("2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n"));
    }
    for (const auto& peer : a) peer->Abort();
    loop.RunReady();
  }
}

TEST_F(ResponseJudgeTest, AFullQueueIsA503) {
  const auto client = Ask();
  runner_.room = 0;
  Send(*a[0], Text("hello"));
  EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(Report().reason, HttpReason::kJudgeBusy);
  EXPECT_EQ(alive_, 0);
}

TEST_F(ResponseJudgeTest, ALateVerdictIsA503) {
  const auto client = Ask();
  Send(*a[0], Text("hello"));
  loop.RunFor(options.timeouts.judging + absl::Seconds(1));
  EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(Report().reason, HttpReason::kJudgeBusy);
  Judge();
  EXPECT_THAT(client->received(), Not(HasSubstr("hello"))) << "the verdict has no effect any more";
  EXPECT_EQ(alive_, 0);
}

TEST_F(ResponseJudgeTest, ABackendThatFailsWhileItsBodyIsKeptIsA502) {
  const auto client = Ask();
  Send(*a[0], Text("hello").substr(0, 67));
  a[0]->Abort();
  loop.RunReady();
  EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(Report().reason, HttpReason::kBackendClosed);
  Judge();
  EXPECT_EQ(alive_, 0);
}

TEST_F(ResponseJudgeTest, ABackendThatStallsWhileItsBodyIsKeptIsA504) {
  const auto client = Ask();
  Send(*a[0], Text("hello").substr(0, 67));
  loop.RunFor(options.timeouts.response + absl::Seconds(1));
  EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 504 "));
}

TEST_F(ResponseJudgeTest, AClientThatLeavesGivesTheVerdictUp) {
  const auto client = Ask();
  Send(*a[0], Text("hello"));
  client->Abort();
  loop.RunReady();
  EXPECT_EQ(gateway().open_requests(), 0u);
  Judge();
  EXPECT_EQ(alive_, 0);
}

TEST_F(ResponseJudgeTest, BackendsAreNotAskedForCompressedBodies) {
  const auto client = Ask("Accept-Encoding: gzip\r\n");
  EXPECT_THAT(a[0]->received(), Not(HasSubstr("accept-encoding")));
  // One that compresses nevertheless isn't read.
  Send(*a[0], Text("secret", "Content-Encoding: gzip\r\n"));
  Judge();
  EXPECT_THAT(client->received(), EndsWith("secret"));
}

TEST_F(ResponseJudgeTest, ADeniedResponseIsNotCached) {
  options.cache_bytes = 1 << 20;
  const auto client = Ask();
  Send(*a[0], Text("a secret", "Cache-Control: max-age=60\r\n"));
  Judge();
  EXPECT_THAT(client->received(), StartsWith("HTTP/1.1 403 "));
  const auto good = Ask();
  Send(*a.back(), Text("hello", "Cache-Control: max-age=60\r\n"));
  Judge();
  EXPECT_THAT(good->received(), EndsWith("hello"));
  const auto third = Connect();
  Send(*third, Get("/"));
  Judge();
  EXPECT_THAT(third->received(), HasSubstr("cache-status: trestle; hit\r\n"));
  EXPECT_THAT(third->received(), EndsWith("hello"));
}

}  // namespace
}  // namespace trestle
