// Ambiguous HTTP/1.1 responses of backends never reach the client, for every split of their bytes.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/http/wire_gateway.h"

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

// Sends `answer` to a GET in pieces of `step` bytes.
void Send(WireGateway& wire, absl::string_view answer, size_t step) {
  wire.FromClient(kGet);
  for (size_t at = 0; at < answer.size(); at += step) wire.FromBackend(answer.substr(at, step));
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

TEST(ResponseShapesTest, AmbiguousHeadsBecomeABadGateway) {
  for (const Answer& answer : BadHeads()) {
    SCOPED_TRACE(answer.bytes.substr(0, 80));
    for (const size_t step : {size_t{1}, size_t{7}, answer.bytes.size()}) {
      if (step == 1 && answer.bytes.size() > 10'000) continue;
      WireGateway wire;
      Send(wire, answer.bytes, step);
      EXPECT_THAT(wire.problem(), HasSubstr("the backend's response is refused: "));
      EXPECT_THAT(wire.problem(), HasSubstr(answer.reason));
      EXPECT_THAT(wire.at_client(), StartsWith("HTTP/1.1 502 Bad Gateway\r\n"));
    }
  }
}

TEST(ResponseShapesTest, AmbiguousTrailersCutTheResponse) {
  for (const absl::string_view trailers : {"A: b\r\n c\r\n\r\n", "A: b\n\r\n", "\n"}) {
    SCOPED_TRACE(trailers);
    const std::string answer = absl::StrCat(kChunkedHead, "2\r\nok\r\n0\r\n", trailers);
    for (const size_t step : {size_t{1}, answer.size()}) {
      WireGateway wire;
      Send(wire, answer, step);
      EXPECT_THAT(wire.problem(), HasSubstr("the backend's response is refused: "));
      EXPECT_FALSE(absl::EndsWith(wire.at_client(), "0\r\n\r\n"));
      EXPECT_FALSE(wire.client->saw_end()) << "a cut response must not look complete";
    }
  }
}

// The framing of the next message doesn't depend on them.
TEST(ResponseShapesTest, TrailersThatBelongIntoAHeadAreDropped) {
  for (const absl::string_view trailers :
       {"Content-Length: 5\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"}) {
    WireGateway wire;
    Send(wire, absl::StrCat(kChunkedHead, "2\r\nok\r\n0\r\n", trailers), 1000);
    EXPECT_EQ(wire.problem(), "");
    EXPECT_THAT(wire.at_client(), EndsWith("2\r\nok\r\n0\r\n\r\n"));
  }
}

TEST(ResponseShapesTest, ValidResponsesPassWithTheSameMeaning) {
  const std::pair<std::string, const char*> rows[] = {
      {Ok("Content-Length: 2\r\n", "ok"), "200 OK\r\ncontent-length: 2\r\n\r\nok"},
      {Ok("Content-Length:2\r\nA:\tb \r\n", "ok"), "200 OK\r\na: b\r\ncontent-length: 2\r\n\r\nok"},
      {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200 OK\r\ncontent-length: 0\r\n\r\n"},
      {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 OK\r\ncontent-length: 2\r\n\r\nok"},
      {"HTTP/1.1 204 No Content\r\n\r\n", "204 No Content\r\n\r\n"},
      {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + Ok("Content-Length: 0\r\n"),
       "103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"},
      {Ok("Content-Length: 0\r\nA: caf\xc3\xa9\r\n"),
       "200 OK\r\na: caf\xc3\xa9\r\ncontent-length: 0\r\n\r\n"},
      {absl::StrCat(kChunkedHead, "0\r\n\r\n"),
       "200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"},
  };
  for (const auto& [answer, expected] : rows) {
    SCOPED_TRACE(answer);
    for (const size_t step : {size_t{1}, size_t{5}, answer.size()}) {
      WireGateway wire;
      Send(wire, answer, step);
      EXPECT_EQ(wire.problem(), "");
      EXPECT_EQ(wire.at_client(), absl::StrCat("HTTP/1.1 ", expected));
      // A byte that answers nothing reaches no client, and ends the connection.
      wire.FromBackend("x");
      EXPECT_EQ(wire.at_client(), absl::StrCat("HTTP/1.1 ", expected));
      EXPECT_EQ(wire.gateway->pool_stats().connections, 0u);
    }
  }
}

TEST(ResponseShapesTest, AnEndWithinTheHeadIsABadGateway) {
  WireGateway wire;
  Send(wire, "HTTP/1.1 200 OK\r\nContent-", 100);
  EXPECT_EQ(wire.at_client(), "");
  wire.backends[0]->End();
  wire.loop.RunReady();
  EXPECT_THAT(wire.at_client(), StartsWith("HTTP/1.1 502 Bad Gateway\r\n"));
}

TEST(ResponseShapesTest, AnEndWithinTheTrailersCutsTheResponse) {
  WireGateway wire;
  Send(wire, absl::StrCat(kChunkedHead, "0\r\nA: b\r\n"), 100);
  wire.backends[0]->End();
  wire.loop.RunReady();
  EXPECT_NE(wire.problem(), "");
  EXPECT_FALSE(absl::EndsWith(wire.at_client(), "0\r\n\r\n"));
}

}  // namespace
}  // namespace trestle
