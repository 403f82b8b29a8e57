// HTTP/2 requests whose fields mean something else in HTTP/1.1: in thousands of shapes, what an
// HTTP/1.1 backend counts as requests is what the gateway counted. The backend is a strict reader
// of its own (strict_http.h).

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/http/frame_reader.h"
#include "tests/integrations/http/wire_gateway.h"

namespace trestle {
namespace {

using ::testing::Contains;
using ::testing::Not;

using Fields = std::vector<std::pair<std::string, std::string>>;

constexpr char kHidden[] = "GET /hidden HTTP/1.1\r\nHost: app.test\r\n\r\n";

// A field of HPACK, literal and without a table (RFC 7541 6.2.2). Sizes are below 16,384.
std::string Literal(absl::string_view name, absl::string_view value) {
  std::string encoded(1, '\0');
  for (const absl::string_view text : {name, value}) {
    if (text.size() < 127) {
      encoded.push_back(static_cast<char>(text.size()));
    } else {
      const size_t rest = text.size() - 127;
      encoded.push_back('\x7f');
      encoded.push_back(static_cast<char>(0x80 | (rest & 0x7f)));
      encoded.push_back(static_cast<char>(rest >> 7));
    }
    absl::StrAppend(&encoded, text);
  }
  return encoded;
}

std::string Block(const Fields& fields) {
  std::string block;
  for (const auto& [name, value] : fields) block += Literal(name, value);
  return block;
}

std::vector<Fields> Beginnings() {
  const auto with = [](const std::string& method, const std::string& path,
                       const std::string& authority = "app.test") {
    return Fields{
        {":method", method}, {":scheme", "https"}, {":path", path}, {":authority", authority}};
  };
  std::vector<Fields> all = {
      with("POST", "/1"),
      with("GET", "/1"),
      with("HEAD", "/1"),
      with("OPTIONS", "*"),
      with("CONNECT", "/1"),
      with("post", "/1"),
      with("P@ST", "/1"),
      with("", "/1"),
      with("POST ", "/1"),
      with(absl::StrCat("GET /hidden HTTP/1.1\r\nHost: app.test\r\n\r\nPOST"), "/1"),
      with("POST", ""),
      with("POST", "1"),
      with("POST", "*"),
      with("POST", "//1"),
      with("POST", "/1#x"),
      with("POST", "/1 HTTP/1.1"),
      with("POST", "/1\tx"),
      with("POST", "/1\r\nX: y"),
      with("POST", "/1 HTTP/1.1\r\nHost: app.test\r\n\r\nGET /hidden"),
      with("POST", std::string("/1\0x", 4)),
      with("POST", "/\x80"),
      with("POST", "https://app.test/1"),
      with("POST", "/1", ""),
      with("POST", "/1", "other.test"),
      with("POST", "/1", "user@app.test"),
      with("POST", "/1", "app.test:80"),
      with("POST", "/1", "app.test/x"),
      with("POST", "/1", "app.test\r\nX: y"),
      with("POST", "/1", "app.test, other.test"),
      {{":method", "POST"}, {":path", "/1"}, {":authority", "app.test"}},
      {{":method", "POST"}, {":scheme", "https"}, {":authority", "app.test"}},
      {{":scheme", "https"}, {":path", "/1"}, {":authority", "app.test"}},
      {{":method", "POST"}, {":scheme", "https"}, {":path", "/1"}},
      {{":method", "CONNECT"}, {":authority", "app.test:80"}},
  };
  for (const std::pair<std::string, std::string>& more : Fields{{":path", "/2"},
                                                                {":method", "GET"},
                                                                {":authority", "other.test"},
                                                                {":status", "200"},
                                                                {":unknown", "1"},
                                                                {":protocol", "websocket"},
                                                                {"host", "app.test"},
                                                                {"host", "other.test"},
                                                                {"host", "app.test\r\nX: y"}}) {
    all.push_back(with("POST", "/1"));
    all.back().push_back(more);
    all.push_back(with("POST", "/1"));  // Behind an ordinary field.
    all.back().push_back({"x-first", "1"});
    all.back().push_back(more);
  }
  return all;
}

std::vector<Fields> Extras() {
  std::vector<Fields> all = {{}};
  for (const char* length : {"0", "5", "6", "05", "+5", "-5", "0x5", "5 ", " 5", "5,5", "5, 6", "",
                             "five", "99999999999999999999", "5\r\nX: y"}) {
    all.push_back({{"content-length", length}});
  }
  for (const char* coding :
       {"chunked", "Chunked", "identity", "gzip, chunked", "", "chunked\r\n"}) {
    all.push_back({{"transfer-encoding", coding}});
    all.push_back({{"content-length", "5"}, {"transfer-encoding", coding}});
  }
  for (const std::pair<std::string, std::string>& field :
       Fields{{"content_length", "0"},
              {"transfer_encoding", "chunked"},
              {"Content-Length", "0"},
              {"content-length ", "0"},
              {"content-length:", "0"},
              {"x\r\ncontent-length", "0"},
              {"x: 1\r\ntransfer-encoding", "chunked"},
              {"x", "1\r\ntransfer-encoding: chunked"},
              {"x", "1\ncontent-length: 0"},
              {"x", "1\rcontent-length: 0"},
              {"x", std::string("1\0", 2)},
              {"x", " 1"},
              {"x", "1 "},
              {"x", ""},
              {"", "1"},
              {"x y", "1"},
              {"x\x80", "1"},
              {"connection", "close"},
              {"connection", "content-length"},
              {"connection", "transfer-encoding"},
              {"keep-alive", "5"},
              {"proxy-connection", "close"},
              {"upgrade", "h2c"},
              {"http2-settings", "AAMAAABk"},
              {"te", "trailers"},
              {"te", "chunked"},
              {"trailer", "content-length"},
              {"expect", "100-continue"},
              {"expect", "later"},
              {"x-http-method-override", "GET"},
              {"x-original-url", "/hidden"}}) {
    all.push_back({field});
  }
  all.push_back({{"content-length", "5"}, {"content-length", "5"}});
  all.push_back({{"content-length", "5"}, {"content-length", "0"}});
  all.push_back({{"cookie", "a=b"}, {"cookie", "c=d\r\nX: y"}});
  return all;
}

// The frames of one stream with `head`: each has another body.
std::vector<std::string> Streams(const std::string& head) {
  const auto headers = [&](uint8_t flags) {
    return Http2Frame(kHeadersFrame, kEndHeadersFlag | flags, 1, head);
  };
  const auto data = [](absl::string_view bytes, uint8_t flags = kEndStreamFlag) {
    return Http2Frame(kDataFrame, flags, 1, bytes);
  };
  const auto trailers = [](absl::string_view name, absl::string_view value) {
    return Http2Frame(kHeadersFrame, kEndHeadersFlag | kEndStreamFlag, 1, Literal(name, value));
  };
  return {headers(kEndStreamFlag),
          headers(0) + data("hello"),
          headers(0) + data(""),
          headers(0) + data(absl::StrCat("hello", kHidden)),
          headers(0) + data(absl::StrCat("0\r\n\r\n", kHidden)),
          headers(0) + data("hello", 0) + trailers("x-sum", "1"),
          headers(0) + data("hello", 0) + trailers("content-length", "0"),
          headers(0) + data("hello", 0) + trailers("x", absl::StrCat("1\r\n\r\n", kHidden))};
}

void ExpectOneCount(const std::string& stream) {
  WireGateway wire({}, /*answers=*/true, /*http2=*/true);
  wire.FromClient(absl::StrCat(kHttp2Preface, Http2Frame(kSettingsFrame, 0, 0, ""), stream));
  const std::string second = Block(
      {{":method", "GET"}, {":scheme", "https"}, {":path", "/second"}, {":authority", "app.test"}});
  wire.FromClient(Http2Frame(kHeadersFrame, kEndHeadersFlag | kEndStreamFlag, 3, second));
  const std::string shown = absl::CEscape(stream);
  EXPECT_GE(wire.requests(), 0) << shown << "\n" << wire.at_backend();
  const std::vector<std::string> at_backend = wire.targets_at_backend();
  EXPECT_EQ(at_backend, wire.targets_of_reports()) << shown << "\n" << wire.at_backend();
  EXPECT_THAT(at_backend, Not(Contains("/hidden"))) << shown;
  FrameReader frames;
  frames.Read(wire.at_client());
  EXPECT_EQ(frames.fault(), "") << shown;
}

TEST(Http2SmugglingTest, WhatABackendCountsIsWhatTheGatewayCounted) {
  int shapes = 0;
  for (const Fields& beginning : Beginnings()) {
    for (const Fields& extra : Extras()) {
      for (const std::string& stream : Streams(Block(beginning) + Block(extra))) {
        ExpectOneCount(stream);
        ++shapes;
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
  EXPECT_GE(shapes, 2000);
}

}  // namespace
}  // namespace trestle
