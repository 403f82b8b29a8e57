// Ambiguous responses of backends never reach the client, for every split of their bytes.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/http1/http1_fixture.h"

namespace trestle {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kGet[] = "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";
constexpr char kChunkedHead[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

struct Answer {
  std::string bytes;
  const char* reason;
};

std::string Ok(absl::string_view fields, absl::string_view body = "") {
  return absl::StrCat("HTTP/1.1 200 OK\r\n", fields, "\r\n", body);
}

// Sends `answer` to a GET in pieces of `step` bytes, until the connection ends.
void Send(Http1Connection& c, absl::string_view answer, size_t step) {
  c.FromClient(kGet);
  for (size_t at = 0; at < answer.size() && !c.outcome.has_value(); at += step) {
    c.FromBackend(answer.substr(at, step));
  }
}

std::vector<Answer> BadHeads() {
  static constexpr char kStatus[] = "its status isn't a number of three digits";
  static constexpr char kVersion[] = "its version is neither HTTP/1.1 nor HTTP/1.0";
  return {
      {"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "it begins with an empty line"},
      {"\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "it begins with an empty line"},
      {"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", kVersion},
      {"HTTP/2 200\r\nContent-Length: 0\r\n\r\n", kVersion},
      {"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", kVersion},
      {"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n", kVersion},
      {"HTTP/1.10 200 OK\r\nContent-Length: 0\r\n\r\n", "no space follows its version"},
      {"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", kStatus},
      {"HTTP/1.1 2 OK\r\nContent-Length: 0\r\n\r\n", kStatus},
      {"HTTP/1.1 0200 OK\r\nContent-Length: 0\r\n\r\n", kStatus},
      {"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", kStatus},
      {"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", kStatus},
      {"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", kStatus},
      {"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n", kStatus},
      {"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "it doesn't begin with a status line"},
      {"<html></html>", "it doesn't begin with a status line"},
      {Ok("A: b\r\n c\r\nContent-Length: 0\r\n"), "white space"},
      {Ok("A: b\r\n\tc\r\nContent-Length: 0\r\n"), "white space"},
      {Ok("Content-Length: 0\r\n 5\r\n"), "white space"},
      {Ok("A: b\nContent-Length: 0\r\n"), "bare LF"},
      {Ok("A: b\rC: d\r\nContent-Length: 0\r\n"), "bare CR"},
      {Ok(std::string("A: b\0c\r\nContent-Length: 0\r\n", 27)), "control"},
      {Ok("Content-Length : 0\r\n"), ""},
      {Ok("nothing\r\nContent-Length: 0\r\n"), ""},
      {Ok("Content-Length: 0\r\nContent-Length: 5\r\n"), ""},
      {Ok("Content-Length: 0, 5\r\n"), ""},
      {Ok("Content-Length: +5\r\n"), ""},
      {Ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), ""},
      {Ok("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), ""},
      {Ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "other than chunked"},
      {Ok("Transfer-Encoding: gzip, chunked\r\n"), "other than chunked"},
      {Ok("Transfer-Encoding: identity\r\n"), "other than chunked"},
      {Ok("Transfer-Encoding: xchunked\r\n"), "other than chunked"},
      {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding in HTTP/1.0"},
      {"HTTP/1.0 200 OK\r\nTransfer-Encoding: x\r\n\r\n", "Transfer-Encoding in HTTP/1.0"},
      {Ok(absl::StrCat("A: ", std::string(33 * 1024, 'b'), "\r\n")), "over the limit of bytes"},
  };
}

TEST(Http1AnswersTest, AmbiguousHeadsBecomeABadGateway) {
  for (const Answer& answer : BadHeads()) {
    SCOPED_TRACE(answer.bytes.substr(0, 80));
    for (const size_t step : {size_t{1}, size_t{7}, answer.bytes.size()}) {
      if (step == 1 && answer.bytes.size() > 10'000) continue;
      Http1Connection c(QuietOptions());
      Send(c, answer.bytes, step);
      EXPECT_THAT(c.blocked(), StartsWith("the backend's answer is no HTTP: "));
      EXPECT_THAT(c.blocked(), HasSubstr(answer.reason));
      EXPECT_THAT(c.at_client(), StartsWith("HTTP/1.1 502 Bad Gateway\r\n"));
    }
  }
}

TEST(Http1AnswersTest, AmbiguousTrailersEndTheConnection) {
  for (const absl::string_view trailers :
       {"A: b\r\n c\r\n\r\n", "A: b\n\r\n", "A : b\r\n\r\n", "nothing\r\n\r\n", "\n",
        "Content-Length: 5\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"}) {
    SCOPED_TRACE(trailers);
    const std::string answer = absl::StrCat(kChunkedHead, "2\r\nok\r\n0\r\n", trailers);
    for (const size_t step : {size_t{1}, answer.size()}) {
      Http1Connection c(QuietOptions());
      Send(c, answer, step);
      EXPECT_THAT(c.blocked(), StartsWith("the backend's answer is no HTTP: "));
      EXPECT_EQ(c.at_client(), absl::StrCat(kChunkedHead, "2\r\nok\r\n0\r\n"));
    }
  }
}

TEST(Http1AnswersTest, ValidResponsesPassUnchanged) {
  for (const std::string& answer :
       {Ok("Content-Length: 2\r\n", "ok"), Ok("Content-Length:2\r\nA:\tb \r\n", "ok"),
        std::string("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
        std::string("HTTP/1.1 999 Request denied\r\nContent-Length: 0\r\n\r\n"),
        std::string("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        std::string("HTTP/1.1 204 No Content\r\n\r\n"),
        std::string("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") + Ok("Content-Length: 0\r\n"),
        Ok("Content-Length: 0\r\nA: caf\xc3\xa9\r\n"),
        absl::StrCat(kChunkedHead, "2;a=b\r\nok\r\n0\r\nDigest: x\r\nServer-Timing: y\r\n\r\n"),
        absl::StrCat(kChunkedHead, "0\r\n\r\n")}) {
    SCOPED_TRACE(answer);
    for (const size_t step : {size_t{1}, size_t{5}, answer.size()}) {
      Http1Connection c(QuietOptions());
      Send(c, answer, step);
      EXPECT_EQ(c.blocked(), "");
      EXPECT_EQ(c.at_client(), answer);
      c.FromBackend("x");
      EXPECT_EQ(c.blocked(), "the backend sent bytes that no request asked for");
    }
  }
}

TEST(Http1AnswersTest, AnEndWithinTheHeadIsABadGateway) {
  Http1Connection c(QuietOptions());
  Send(c, "HTTP/1.1 200 OK\r\nContent-", 100);
  EXPECT_EQ(c.at_client(), "");
  c.backend->End();
  c.loop.RunReady();
  EXPECT_THAT(c.blocked(), EndsWith("it ends in the middle of its head"));
  EXPECT_THAT(c.at_client(), StartsWith("HTTP/1.1 502 Bad Gateway\r\n"));
}

TEST(Http1AnswersTest, AnEndWithinTheTrailersEndsTheConnection) {
  Http1Connection c(QuietOptions());
  Send(c, absl::StrCat(kChunkedHead, "0\r\nA: b\r\n"), 100);
  c.backend->End();
  c.loop.RunReady();
  EXPECT_THAT(c.blocked(), EndsWith("it ends in the middle of its trailers"));
  EXPECT_EQ(c.at_client(), absl::StrCat(kChunkedHead, "0\r\n"));
}

}  // namespace
}  // namespace trestle
