// Every ambiguous form of an HTTP/1.1 request to a gateway, split at every byte. It is rejected
// with the same status for every split, and no complete request of it reaches the backend.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/http/wire_gateway.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct GoodShape {
  const char* name;
  std::string bytes;
  int requests = 1;
};

struct BadShape {
  const char* name;
  std::string bytes;
  int status;
  const char* reason = "";  // Part of it.
};

std::string Get(absl::string_view fields) {
  return absl::StrCat("GET / HTTP/1.1\r\nHost: app.test\r\n", fields, "\r\n");
}

std::string Post(absl::string_view fields, absl::string_view body) {
  return absl::StrCat("POST / HTTP/1.1\r\nHost: app.test\r\n", fields, "\r\n", body);
}

std::string Chunked(absl::string_view body) { return Post("Transfer-Encoding: chunked\r\n", body); }

std::vector<GoodShape> GoodShapes() {
  return {
      {"plain", Get("")},
      {"query", "GET /a?b=c&d=%20 HTTP/1.1\r\nHost: app.test\r\n\r\n"},
      {"port", "GET / HTTP/1.1\r\nHost: app.test:8443\r\n\r\n"},
      {"host in capitals", "GET / HTTP/1.1\r\nHOST: APP.Test\r\n\r\n"},
      {"trailing dot", "GET / HTTP/1.1\r\nHost: app.test.\r\n\r\n"},
      {"absolute form", "GET https://app.test/x HTTP/1.1\r\nHost: app.test\r\n\r\n"},
      {"asterisk form", "OPTIONS * HTTP/1.1\r\nHost: app.test\r\n\r\n"},
      {"http 1.0", "GET / HTTP/1.0\r\nHost: app.test\r\n\r\n"},
      {"http 1.0 kept alive", "GET / HTTP/1.0\r\nHost: app.test\r\nConnection: Keep-Alive\r\n\r\n"},
      {"close", Get("Connection: close\r\n")},
      {"white space around values", Get("A: \t b \t\r\nC:d\r\n")},
      {"empty value", Get("A:\r\n")},
      {"octets above 127 in a value", Get("A: caf\xc3\xa9\r\n")},
      {"empty lines before", "\r\n\r\n" + Get("")},
      {"content length", Post("Content-Length: 5\r\n", "hello")},
      {"content length zero", Post("Content-Length: 0\r\n", "")},
      {"chunks", Chunked("5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n")},
      {"chunk sizes in capitals", Chunked("A\r\n0123456789\r\n0\r\n\r\n")},
      {"trailers", Chunked("5\r\nhello\r\n0\r\nDigest: x\r\nOther: y\r\n\r\n")},
      {"pipelined", Get("") + Post("Content-Length: 5\r\n", "hello") + Get("A: b\r\n"), 3},
      {"pipelined behind chunks", Chunked("5\r\nhello\r\n0\r\n\r\n") + Get(""), 2},
      {"body that looks like a request", Post("Content-Length: 34\r\n", Get(""))},
      {"expect", Post("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello")},
      {"bytes after the last request", Get("Connection: close\r\n") + Get("")},
      {"upgrade to h2c is not passed on",
       Get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n")},
      {"fields between client and proxy",
       Get("Connection: x-hop, TE\r\nX-Hop: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\nA: b\r\n")},
      {"what clients say of themselves",
       Get("X-Forwarded-For: 1.1.1.1\r\nx-forwarded-proto: https\r\nX_Forwarded_For: 2.2.2.2\r\n"
           "Forwarded: for=3.3.3.3\r\nX-Forwarded-Client-Cert: Subject=\"CN=root\"\r\n"
           "X-Real-IP: 4.4.4.4\r\nProxy: http://evil.test\r\nX-Forwarded-Host: evil.test\r\n")},
      {"a second spelling of the length", Post("Content_Length: 100\r\n", "")},
  };
}

std::vector<BadShape> BadHeads() {
  return {
      {"length beside chunks",
       Post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
      {"chunks beside length",
       Post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400},
      {"two lengths", Post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), 400},
      {"two equal lengths", Post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400},
      {"list of lengths", Post("Content-Length: 5, 5\r\n", "hello"), 400},
      {"signed length", Post("Content-Length: +5\r\n", "hello"), 400},
      {"negative length", Post("Content-Length: -5\r\n", "hello"), 400},
      {"hexadecimal length", Post("Content-Length: 0x5\r\n", "hello"), 400},
      {"empty length", Post("Content-Length:\r\n", ""), 400},
      {"length over 64 bits", Post("Content-Length: 18446744073709551617\r\n", ""), 400},
      {"length in two words", Post("Content-Length: 5 6\r\n", "hello"), 400},
      {"two encodings", Post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ""),
       400},
      {"encoding that isn't chunked", Post("Transfer-Encoding: gzip\r\n", ""), 400},
      {"chunked twice", Post("Transfer-Encoding: chunked, chunked\r\n", ""), 400},
      {"chunked last", Post("Transfer-Encoding: gzip, chunked\r\n", ""), 501},
      {"chunked first", Post("Transfer-Encoding: chunked, identity\r\n", ""), 400},
      {"chunked misspelt", Post("Transfer-Encoding: xchunked\r\n", ""), 400},
      {"chunked with a vertical tab", Post("Transfer-Encoding: \vchunked\r\n", ""), 400},
      {"chunked folded", Post("Transfer-Encoding:\r\n chunked\r\n", ""), 400},
      {"chunked in 1.0", "POST / HTTP/1.0\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"folded line", Get("A: b\r\n c\r\n"), 400, "white space"},
      {"folded by a tab", Get("A: b\r\n\tc\r\n"), 400, "white space"},
      {"white space before the first field", "GET / HTTP/1.1\r\n Host: app.test\r\n\r\n", 400},
      {"bare LF after the request line", "GET / HTTP/1.1\nHost: app.test\r\n\r\n", 400, "bare LF"},
      {"bare LF after a field", "GET / HTTP/1.1\r\nHost: app.test\n\r\n", 400, "bare LF"},
      {"bare LF at the end", "GET / HTTP/1.1\r\nHost: app.test\r\n\n", 400, "bare LF"},
      {"bare CR in a value", Get("A: b\rC: d\r\n"), 400, "bare CR"},
      {"CR CR LF", Get("A: b\r\r\n"), 400, "bare CR"},
      {"NUL in a value", Get(std::string("A: b\0c\r\n", 8)), 400, "control"},
      {"NUL in a name", Get(std::string("A\0: b\r\n", 7)), 400, "control"},
      {"DEL in a value", Get("A: b\x7f\r\n"), 400, "control"},
      {"space before a colon", Get("A : b\r\n"), 400},
      {"tab before a colon", Get("A\t: b\r\n"), 400},
      {"space before the length's colon", Post("Content-Length : 5\r\n", "hello"), 400},
      {"line without a colon", Get("nothing\r\n"), 400},
      {"empty name", Get(": b\r\n"), 400},
      {"name in brackets", Get("(A): b\r\n"), 400},
      {"octet above 127 in a name", Get("\xc3\xa9: b\r\n"), 400},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two hosts", "GET / HTTP/1.1\r\nHost: app.test\r\nHost: app.test\r\n\r\n", 400},
      {"empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
      {"two names in a host", "GET / HTTP/1.1\r\nHost: app.test, b.test\r\n\r\n", 400},
      {"host with a path", "GET / HTTP/1.1\r\nHost: app.test/x\r\n\r\n", 400},
      {"host with a user", "GET / HTTP/1.1\r\nHost: x@app.test\r\n\r\n", 400},
      {"host with a bad port", "GET / HTTP/1.1\r\nHost: app.test:99999\r\n\r\n", 400},
      {"target for another host", "GET https://b.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n", 400},
      {"user in the target", "GET https://app.test@b.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n",
       400},
      {"asterisk of GET", "GET * HTTP/1.1\r\nHost: app.test\r\n\r\n", 400},
      {"authority of GET", "GET app.test:443 HTTP/1.1\r\nHost: app.test\r\n\r\n", 400},
      {"fragment", "GET /a#b HTTP/1.1\r\nHost: app.test\r\n\r\n", 400},
      {"two spaces", "GET  / HTTP/1.1\r\nHost: app.test\r\n\r\n", 400},
      {"space in the target", "GET /a b HTTP/1.1\r\nHost: app.test\r\n\r\n", 400},
      {"tab in the request line", "GET\t/ HTTP/1.1\r\nHost: app.test\r\n\r\n", 400},
      {"space after the version", "GET / HTTP/1.1 \r\nHost: app.test\r\n\r\n", 400},
      {"octet above 127 in the target", "GET /\xc3\xa9 HTTP/1.1\r\nHost: app.test\r\n\r\n", 400,
       "need percent-encoding"},
      {"no version", "GET /\r\nHost: app.test\r\n\r\n", 400},
      {"version 1.2", "GET / HTTP/1.2\r\nHost: app.test\r\n\r\n", 505},
      {"version 2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"version in small letters", "GET / http/1.1\r\nHost: app.test\r\n\r\n", 400},
      {"unknown method", "WIBBLE / HTTP/1.1\r\nHost: app.test\r\n\r\n", 501},
      {"method in small letters", "get / HTTP/1.1\r\nHost: app.test\r\n\r\n", 501},
      {"connect", "CONNECT app.test:443 HTTP/1.1\r\nHost: app.test:443\r\n\r\n", 405},
      {"another host", "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n", 421},
      {"a host below", "GET / HTTP/1.1\r\nHost: x.app.test\r\n\r\n", 421},
      {"an address as host", "GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", 421},
      {"host lost by connection", Get("Connection: host\r\n"), 400},
      {"forwarded lost by connection", Get("Connection: close, X-Forwarded-For\r\n"), 400},
      {"two upgrades", Get("Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n"), 400},
      {"unknown expectation", Post("Content-Length: 5\r\nExpect: 200-ok\r\n", "hello"), 417},
      {"TLS", std::string("\x16\x03\x01\x02\x00\x01", 6), 400},
      {"SSH", "SSH-2.0-OpenSSH_9.2\r\n\r\n", 400},
      {"only empty lines", "\r\n\r\n\r\n\r\n\r\n\r\n", 400},
  };
}

std::vector<BadShape> BadBodies() {
  return {
      {"chunk size with a bare LF", Chunked("5\nhello\r\n0\r\n\r\n"), 400},
      {"chunk ending in a bare LF", Chunked("5\r\nhello\n0\r\n\r\n"), 400},
      {"last chunk with a bare LF", Chunked("0\n\r\n"), 400},
      {"end with a bare LF", Chunked("0\r\n\n"), 400, "bare LF"},
      {"chunk longer than its size", Chunked("5\r\nhello!\r\n0\r\n\r\n"), 400},
      {"chunk shorter than its size", Chunked("5\r\nhell\r\n0\r\n\r\n"), 400},
      {"hexadecimal prefix", Chunked("0x5\r\nhello\r\n0\r\n\r\n"), 400},
      {"sign", Chunked("+5\r\nhello\r\n0\r\n\r\n"), 400},
      {"negative chunk", Chunked("-5\r\nhello\r\n0\r\n\r\n"), 400},
      {"white space after the size", Chunked("5 \r\nhello\r\n0\r\n\r\n"), 400},
      {"white space before the size", Chunked(" 5\r\nhello\r\n0\r\n\r\n"), 400},
      {"size over 64 bits", Chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), 400},
      {"no size", Chunked("\r\nhello\r\n0\r\n\r\n"), 400},
      {"no digits", Chunked("xyz\r\nhello\r\n0\r\n\r\n"), 400},
      {"extension with a bare LF", Chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"), 400},
      {"extension with a bare CR", Chunked("5;a\rXb\r\nhello\r\n0\r\n\r\n"), 400},
      {"extension over the limit", Chunked(absl::StrCat("5;", std::string(400, 'a'))), 400},
      {"zeros over the limit", Chunked(std::string(400, '0')), 400},
      {"folded trailer", Chunked("0\r\nA: b\r\n c\r\n\r\n"), 400},
      {"trailer with a bare LF", Chunked("0\r\nA: b\nC: d\r\n\r\n"), 400},
      {"trailer with space before its colon", Chunked("0\r\nA : b\r\n\r\n"), 400},
      {"trailer without a colon", Chunked("0\r\nnothing\r\n\r\n"), 400},
      {"framing in a trailer", Chunked("0\r\nContent-Length: 5\r\n\r\n"), 400},
      {"encoding in a trailer", Chunked("0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
      {"address in a trailer", Chunked("0\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n"), 400},
      {"trailers over the limit",
       Chunked(absl::StrCat("0\r\nA: ", std::string(700, 'b'), "\r\n\r\n")), 431},
      {"too many trailers",
       Chunked(
           "0\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n"
           "A: b\r\n\r\n"),
       431},
  };
}

HttpGatewayOptions SmallLimits() {
  HttpGatewayOptions options;
  options.limits.head.head_bytes = 600;
  options.limits.head.target_bytes = 100;
  options.limits.head.fields = 10;
  options.limits.chunk_line_bytes = 300;
  return options;
}

// Sends `bytes` in two pieces, or in pieces of one byte each, and calls `check` with the gateway.
template <typename Check>
void ForEachCut(const std::string& bytes, const Check& check) {
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    SCOPED_TRACE(absl::StrCat("cut at ", cut));
    WireGateway wire(SmallLimits(), /*answers=*/true);
    if (cut > 0) wire.FromClient(absl::string_view(bytes).substr(0, cut));
    wire.FromClient(absl::string_view(bytes).substr(cut));
    check(wire);
    if (::testing::Test::HasFailure()) return;
  }
  SCOPED_TRACE("byte for byte");
  WireGateway wire(SmallLimits(), /*answers=*/true);
  for (const char c : bytes) wire.FromClient(absl::string_view(&c, 1));
  check(wire);
}

void ExpectRefused(const BadShape& shape, bool head_passed) {
  SCOPED_TRACE(shape.name);
  ForEachCut(shape.bytes, [&](WireGateway& wire) {
    ASSERT_EQ(wire.reports.size(), 1u);
    EXPECT_NE(wire.problem(), "");
    EXPECT_THAT(wire.problem(), HasSubstr(shape.reason));
    EXPECT_THAT(wire.at_client(), StartsWith(absl::StrCat("HTTP/1.1 ", shape.status, " ")));
    const bool readable = shape.status == 405 || shape.status == 421;
    EXPECT_TRUE(readable || absl::StrContains(wire.at_client(), "\r\nconnection: close\r\n"));
    EXPECT_TRUE(head_passed || wire.at_backend().empty()) << wire.at_backend();
    EXPECT_EQ(wire.requests(), 0) << "a truncated request must not look complete";
  });
}

void ExpectPassed(const GoodShape& shape) {
  SCOPED_TRACE(shape.name);
  std::string whole;
  ForEachCut(shape.bytes, [&](WireGateway& wire) {
    EXPECT_EQ(wire.requests(), shape.requests) << wire.at_backend();
    if (whole.empty()) whole = wire.messages();
    EXPECT_EQ(wire.messages(), whole) << "cuts don't change what passes";
    EXPECT_EQ(wire.problem(), "");
  });
}

TEST(RequestShapesTest, ValidRequestsArePassedOn) {
  for (const GoodShape& shape : GoodShapes()) ExpectPassed(shape);
}

TEST(RequestShapesTest, InvalidHeadsAreRejected) {
  for (const BadShape& shape : BadHeads()) ExpectRefused(shape, false);
}

TEST(RequestShapesTest, InvalidBodiesAreRejected) {
  for (const BadShape& shape : BadBodies()) ExpectRefused(shape, true);
}

TEST(RequestShapesTest, TheHeadHasLimits) {
  const auto target = [](size_t bytes) {
    return absl::StrCat("GET /", std::string(bytes - 1, 'a'),
                        " HTTP/1.1\r\nHost: app.test\r\n\r\n");
  };
  const auto fields = [](int count) {  // Host is one more.
    std::string text;
    for (int i = 1; i < count; ++i) absl::StrAppend(&text, "A: b\r\n");
    return Get(text);
  };
  const auto bytes = [](size_t count) {
    return Get(absl::StrCat("A: ", std::string(count - Get("A: \r\n").size(), 'b'), "\r\n"));
  };
  for (const std::string& good : {target(100), fields(10), bytes(600)}) {
    ExpectPassed({"at the limit", good});
  }
  const auto options = [](int count) {
    std::string list;
    for (int i = 0; i < count; ++i) absl::StrAppend(&list, i % 3 == 0 ? "" : "a", ",");
    return Get(absl::StrCat("Connection: close\r\nConnection: ", list, "close\r\n"));
  };
  ExpectPassed({"options of Connection", options(8)});
  ExpectRefused({"options of Connection", options(9), 431, "more options"}, false);
  ExpectRefused({"target", target(101), 414}, false);
  ExpectRefused({"fields", fields(11), 431}, false);
  ExpectRefused({"bytes", bytes(601), 431}, false);
  ExpectRefused({"a line without an end", "GET /" + std::string(700, 'a'), 431}, false);
}

}  // namespace
}  // namespace trestle
