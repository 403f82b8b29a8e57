// One GET by HTTP/2: what is sent, and which answers have a status.
#include "lib/watch/http2_ask.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;

std::string Bytes(absl::string_view text) { return std::string(text); }

std::string Frame(int type, int flags, int stream, const std::string& payload) {
  std::string text(2, '\0');
  for (const int part : {static_cast<int>(payload.size()), type, flags, 0, 0, 0, stream}) {
    text.push_back(static_cast<char>(part));
  }
  return text + payload;
}

const std::string kSettings = Frame(4, 0, 0, "");

// Feeds `answer` in pieces of each size, and returns the status, or why there is none.
std::string StatusOf(const std::string& answer) {
  std::string first;
  for (const size_t size : {answer.size(), size_t{1}, size_t{5}}) {
    Http2Ask ask;
    for (size_t at = 0; at < answer.size(); at += size) ask.Read(answer.substr(at, size));
    const std::string result =
        ask.status().has_value() ? absl::StrCat(*ask.status()) : ask.failure();
    if (first.empty()) first = result;
    EXPECT_EQ(result, first) << "in pieces of " << size;
  }
  return first;
}

std::string OfHead(const std::string& block) { return StatusOf(kSettings + Frame(1, 4, 1, block)); }

TEST(Http2AskTest, TheRequestIsOneFrameAfterThePrefaceAndSettings) {
  const std::string request = Http2Ask::Request("http", "app.test", "/health");
  EXPECT_EQ(request.substr(0, 24), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const std::string block =
      absl::StrCat("\x82\x86\x04\x07/health\x01\x08", "app.test\x0f\x2b\x14trestle-health-check",
                   "\x0f\x04\x03*/*");
  EXPECT_THAT(request, HasSubstr(Frame(1, 5, 1, block)));
  EXPECT_THAT(Http2Ask::Request("https", "a", std::string(300, '/')),
              HasSubstr(absl::StrCat("\x87\x04\x7f\xad\x01", std::string(300, '/'))))
      << "a length of several bytes";
}

TEST(Http2AskTest, AStatusIsIndexedOrText) {
  EXPECT_EQ(OfHead("\x88"), "200");
  EXPECT_EQ(OfHead("\x8e"), "500");
  EXPECT_EQ(OfHead(Bytes("\x08\x03") + "503"), "503");
  EXPECT_EQ(OfHead(Bytes("\x18\x03") + "418"), "418") << "never indexed";
  EXPECT_EQ(OfHead(Bytes("\x48\x83\x6c\x0c\xff")), "503") << "by Huffman code";
  EXPECT_EQ(OfHead(Bytes("\x08\x82\x64\x02")), "302");
  EXPECT_EQ(OfHead(Bytes("\x48\x03") + "301"), "301");
  EXPECT_EQ(OfHead(absl::StrCat(absl::string_view("\0\x07", 2), ":status\x03", "202")), "202");
  EXPECT_EQ(OfHead(Bytes("\x20\x3f\xe1\x1f\x88")), "200") << "after sizes of the table";
}

TEST(Http2AskTest, OtherFramesAreReadOver) {
  const std::string before = kSettings + Frame(4, 1, 0, "") + Frame(8, 0, 0, "abcd") +
                             Frame(6, 0, 0, "12345678") + Frame(0xbb, 0, 0, "unknown");
  EXPECT_EQ(StatusOf(before + Frame(1, 4, 1, "\x88")), "200");
  EXPECT_EQ(
      StatusOf(kSettings + Frame(1, 4, 1, Bytes("\x08\x03") + "103") + Frame(1, 4, 1, "\x8d")),
      "404")
      << "an informational response comes first";
  EXPECT_EQ(StatusOf(kSettings + Frame(1, 0, 1, "\x08\x03") + Frame(9, 4, 1, "204")), "204");
  EXPECT_EQ(StatusOf(kSettings + Frame(1, 0x2c, 1, Bytes("\x02") + "prior" + "\x88" + "pp")), "200")
      << "padding and priority";
  Http2Ask ask;
  ask.Read(kSettings + Frame(6, 0, 0, "12345678"));
  EXPECT_EQ(ask.TakeReply(), Frame(4, 1, 0, "") + Frame(6, 1, 0, "12345678"));
  EXPECT_EQ(ask.TakeReply(), "");
}

TEST(Http2AskTest, WrongAnswersAreFailures) {
  const std::vector<std::pair<std::string, std::string>> answers = {
      {"HTTP/1.1 200 OK\r\n\r\n", "it does not speak HTTP/2"},
      {Frame(1, 4, 1, "\x88"), "it does not speak HTTP/2"},
      {Frame(4, 0, 0, "12345"), "malformed settings"},
      {kSettings + Frame(7, 0, 0, "12345678"), "it ended the connection (GOAWAY)"},
      {kSettings + Frame(3, 0, 1, "1234"), "it reset the request"},
      {kSettings + Frame(5, 4, 1, "1234\x82"), "it pushes, which the settings forbid"},
      {kSettings + Frame(6, 0, 0, "1"), "a PING of a wrong length"},
      {kSettings + Frame(9, 4, 1, "\x88"), "a frame without a head"},
      {kSettings + Frame(1, 4, 3, "\x88"), "a response that nobody asked for"},
      {kSettings + Frame(1, 0xc, 1, ""), "malformed padding"},
      {kSettings + Frame(1, 0xc, 1, "\x05\x88"), "malformed padding"},
      {kSettings + Frame(1, 0, 1, "\x88") + Frame(0, 0, 1, ""), "a head is not complete"},
      {kSettings + Frame(1, 4, 1, ""), "the response has no status"},
      {kSettings + Frame(1, 4, 1, "\xff\xff\xff\xff\xff\xff"), "the response has no status"},
      {kSettings + Frame(1, 4, 1, "\x08\x7f"), "the response has no status"},
      {kSettings + Frame(1, 4, 1, Bytes("\x08\x03") + "2x0"), "the response has no status"},
      {kSettings + "\x7f", ""},
      {kSettings + Bytes("\x7f\xff\xff\x01\x04\x01\x01\x01\x01"), "a frame is too long"}};
  for (const auto& [answer, why] : answers) EXPECT_EQ(StatusOf(answer), why);
}

}  // namespace
}  // namespace trestle
