// Requests and responses that readers count differently: in thousands of generated shapes, what a
// backend counts as requests is what the gateway counted, and no client gets another's response.
// The reference is a strict reader of its own (strict_http.h).

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/http/gateway_fixture.h"
#include "tests/integrations/http/strict_http.h"

namespace trestle {
namespace {

std::string Text(const char* text, size_t size) { return std::string(text, size); }

/// Lines of a head that frame a body: right ones, wrong ones, and those that readers differ about.
std::vector<std::string> Framings() {
  std::vector<std::string> framings = {"", "X: 1\r\n"};
  const std::string lengths[] = {"0",
                                 "5",
                                 "05",
                                 "+5",
                                 "-5",
                                 "0x5",
                                 "5 ",
                                 " 5",
                                 "5\t",
                                 "\v5",
                                 "5\v",
                                 "5, 5",
                                 "5,6",
                                 "5;",
                                 "",
                                 "five",
                                 "5.0",
                                 "5 5",
                                 "99999999999999999999",
                                 "18446744073709551621",
                                 "\xb2",
                                 "5\r",
                                 Text("5\0", 2)};
  for (const std::string& length : lengths) {
    framings.push_back(absl::StrCat("Content-Length: ", length, "\r\n"));
  }
  const std::string codings[] = {"chunked",
                                 "Chunked",
                                 " chunked",
                                 "chunked ",
                                 "\tchunked",
                                 "chunked,",
                                 ",chunked",
                                 "chunked, chunked",
                                 "identity",
                                 "identity, chunked",
                                 "chunked, identity",
                                 "gzip, chunked",
                                 "chunked;q=1",
                                 "xchunked",
                                 "chunkedx",
                                 "\vchunked",
                                 "chunked\v",
                                 "\"chunked\"",
                                 "",
                                 "chunked\r",
                                 "chun\xe4ked",
                                 Text("chunked\0", 8),
                                 "cow",
                                 "chunked\r\n ",
                                 "\r\n chunked"};
  for (const std::string& coding : codings) {
    framings.push_back(absl::StrCat("Transfer-Encoding: ", coding, "\r\n"));
  }
  const std::string length = "Content-Length: 5\r\n";
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  for (const std::string& other :
       {chunked,
        length,
        std::string("Content-Length: 6\r\n"),
        std::string("Content-Length: 0\r\n"),
        std::string("Content_Length: 0\r\n"),
        std::string("Content-Length : 0\r\n"),
        std::string("Content-Length\t: 0\r\n"),
        std::string(" Content-Length: 0\r\n"),
        std::string("X:\r\n Content-Length: 0\r\n"),
        std::string("X: 1\nContent-Length: 0\r\n"),
        std::string("X: 1\rContent-Length: 0\r\n"),
        std::string("Content-Length:0\n"),
        std::string("Transfer-Encoding : chunked\r\n"),
        std::string("Transfer_Encoding: chunked\r\n"),
        std::string("Transfer-Encoding\t:chunked\r\n"),
        std::string("X: 1\nTransfer-Encoding: chunked\r\n"),
        std::string("X: 1\rTransfer-Encoding: chunked\r\n"),
        std::string("Transfer-Encoding: identity\r\n"),
        Text("X\0: 1\r\n", 7),
        Text("X: \0\r\n", 6),
        std::string(": 1\r\n"),
        std::string("X\r\n"),
        std::string("Connection: content-length\r\n"),
        std::string("Connection: transfer-encoding\r\n"),
        std::string("Expect: 100-continue\r\n"),
        std::string("Expect: later\r\n"),
        std::string("Upgrade: websocket\r\nConnection: upgrade\r\n"),
        std::string("Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: x\r\n"),
        std::string("Trailer: Content-Length\r\n"),
        std::string("Connection: close\r\n")}) {
    framings.push_back(length + other);
    framings.push_back(other + length);
    framings.push_back(chunked + other);
    framings.push_back(other + chunked);
  }
  return framings;
}

/// Bytes behind a head. `other` is a message that must not be taken for another one than it is.
std::vector<std::string> Bodies(const std::string& other) {
  return {"",
          "hello",
          other,
          "hello" + other,
          "0\r\n\r\n",
          "0\r\n\r\n" + other,
          "5\r\nhello\r\n0\r\n\r\n" + other,
          "5;x=1\r\nhello\r\n0\r\n\r\n" + other,
          "5\nhello\n0\n\n" + other,
          "5\r\nhello0\r\n\r\n" + other,
          "05\r\nhello\r\n00\r\n\r\n" + other,
          "+5\r\nhello\r\n0\r\n\r\n" + other,
          "0x5\r\nhello\r\n0\r\n\r\n" + other,
          "5 \r\nhello\r\n0\r\n\r\n" + other,
          "5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n" + other,
          "5\r\nhello\r\n0\r\nX: 1\n\r\n" + other,
          "5;\"\r\nhello\r\n0\r\n\r\n\"\r\n" + other,
          "10000000000000005\r\nhello\r\n0\r\n\r\n" + other,
          "5\r\nhello\r\n0\r\n" + other};
}

/// Request lines, and fields that choose the host.
std::vector<std::string> Beginnings() {
  std::vector<std::string> beginnings;
  for (const char* line : {"GET /1 HTTP/1.1",
                           "POST /1 HTTP/1.1",
                           "POST /1 HTTP/1.0",
                           "HEAD /1 HTTP/1.1",
                           "GET  /1 HTTP/1.1",
                           "GET /1  HTTP/1.1",
                           " GET /1 HTTP/1.1",
                           "GET\t/1 HTTP/1.1",
                           "GET /1 HTTP/1.1 ",
                           "GET /1 HTTP/2.0",
                           "GET /1 HTTP/1.2",
                           "GET /1 HTTP/0.9",
                           "GET /1",
                           "GET /1 http/1.1",
                           "GET /1 HTTP/1.1\r",
                           "G@T /1 HTTP/1.1",
                           "GET 1 HTTP/1.1",
                           "GET * HTTP/1.1",
                           "OPTIONS * HTTP/1.1",
                           "GET http://app.test/1 HTTP/1.1",
                           "GET http://other.test/1 HTTP/1.1",
                           "GET //1 HTTP/1.1",
                           "GET /1#x HTTP/1.1",
                           "GET /\x80 HTTP/1.1",
                           "CONNECT app.test:80 HTTP/1.1",
                           "TRACE /1 HTTP/1.1",
                           "PRI * HTTP/2.0",
                           "\r\nGET /1 HTTP/1.1",
                           "\nGET /1 HTTP/1.1"}) {
    for (const char* host : {"Host: app.test\r\n", "", "Host: app.test\r\nHost: other.test\r\n",
                             "Host: app.test, other.test\r\n", "Host: \r\n", "Host : app.test\r\n",
                             "Host: app.test:80\r\n", "Host: a@app.test\r\n"}) {
      beginnings.push_back(absl::StrCat(line, "\r\n", host));
    }
  }
  return beginnings;
}

constexpr char kSecond[] = "GET /second HTTP/1.1\r\nHost: app.test\r\nX-Own: 1\r\n\r\n";
constexpr char kHidden[] = "GET /hidden HTTP/1.1\r\nHost: app.test\r\n\r\n";

class SmugglingTest : public GatewayFixture {
 protected:
  SmugglingTest() { options.forwarding.client_certificate = false; }

  /// Backends by the reference: answer each request that they count.
  void RunBackends() {
    bool progress = true;
    while (progress) {
      progress = false;
      loop.RunReady();
      for (Peers* const peers : {&a, &b}) {
        for (const std::unique_ptr<StreamPeer>& peer : *peers) progress |= Answer(*peer);
      }
    }
  }

  bool Answer(StreamPeer& peer) {
    Backend& backend = backends_.try_emplace(&peer).first->second;
    backend.reader.Read(peer.received());
    const size_t complete = backend.reader.complete();
    if (complete == backend.answered) return false;
    for (; backend.answered < complete; ++backend.answered) {
      const std::string& line = backend.reader.messages()[backend.answered].first_line;
      peer.Send(absl::StartsWith(line, "HEAD ") ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
                                                : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
    return true;
  }

  /// Returns the targets of all requests that backends have counted, sorted.
  std::vector<std::string> AtBackends() {
    std::vector<std::string> targets;
    for (const auto& [peer, backend] : backends_) {
      for (const StrictMessage& message : backend.reader.messages()) {
        const std::vector<std::string> words = absl::StrSplit(message.first_line, ' ');
        targets.push_back(words[1]);
      }
    }
    std::sort(targets.begin(), targets.end());
    return targets;
  }

  /// Returns the same of the gateway's reports.
  std::vector<std::string> AtGateway() const {
    std::vector<std::string> targets;
    for (const HttpRequestReport& report : reports) {
      if (report.backend_reached) targets.push_back(report.target);
    }
    std::sort(targets.begin(), targets.end());
    return targets;
  }

  /// Sends the bytes of a client, and expects that all readers counted the same.
  void ExpectOneCount(const std::string& bytes) {
    const auto client = Connect();
    Send(*client, bytes);
    RunBackends();
    client->End();
    RunBackends();
    client->Abort();
    RunBackends();
    for (const auto& [peer, backend] : backends_) {
      EXPECT_EQ(backend.reader.fault(), "") << Shown(bytes) << Shown(peer->received());
    }
    EXPECT_EQ(AtBackends(), AtGateway()) << Shown(bytes);
    EXPECT_EQ(gateway().open_requests(), 0u) << Shown(bytes);
    StrictReader answers(/*is_answer=*/true);
    for (const HttpRequestReport& report : reports)
      answers.to_head.push_back(report.method == "HEAD");
    answers.Read(client->received());
    EXPECT_EQ(answers.fault(), "") << Shown(bytes) << Shown(client->received());
    EXPECT_LE(answers.messages().size(), reports.size()) << Shown(bytes);
    ++shapes_;
    Forget();
  }

  /// A backend answers the first request of two clients with `answer`. Neither client gets more
  /// responses than requests, and the second one only its own.
  void ExpectOwnResponses(const std::string& answer) {
    const char* const method = shapes_ % 2 == 0 ? "GET" : "HEAD";
    const auto first = Connect();
    Send(*first, absl::StrCat(method, " /1 HTTP/1.1\r\nHost: app.test\r\n\r\n"));
    ASSERT_EQ(a.size(), 1u);
    Send(*a[0], answer);
    const auto second = Connect();
    Send(*second, Get("/2"));
    const bool reused = a.size() == 1 && absl::StrContains(a[0]->received(), "/2 HTTP");
    const std::string own = "HTTP/1.1 200 OK\r\nX-Own: 2\r\nContent-Length: 0\r\n\r\n";
    if (reused || a.size() > 1) Send(*a.back(), own);
    a[0]->End();
    loop.RunReady();
    StrictReader to_first(/*is_answer=*/true), to_second(/*is_answer=*/true);
    to_first.to_head = {method[0] == 'H'};
    to_first.Read(first->received());
    to_second.Read(second->received());
    EXPECT_EQ(to_first.fault(), "") << Shown(answer) << Shown(first->received());
    EXPECT_EQ(to_second.fault(), "") << Shown(answer) << Shown(second->received());
    EXPECT_LE(Finals(to_first), 1u) << Shown(answer) << Shown(first->received());
    EXPECT_EQ(second->received(), "HTTP/1.1 200 OK\r\nx-own: 2\r\ncontent-length: 0\r\n\r\n")
        << Shown(answer);
    ++shapes_;
    first->Abort();
    second->Abort();
    Forget();
  }

  static size_t Finals(const StrictReader& reader) {
    size_t finals = 0;
    for (const StrictMessage& message : reader.messages()) {
      finals += absl::StartsWith(message.first_line, "HTTP/1.1 1") ? 0 : 1;
    }
    return finals;
  }

  /// Closes the backends' connections, so that shapes don't depend on each other.
  void Forget() {
    for (Peers* const peers : {&a, &b}) {
      for (const std::unique_ptr<StreamPeer>& peer : *peers) peer->Abort();
    }
    loop.RunReady();
    backends_.clear();
    a.clear();
    b.clear();
    reports.clear();
  }

  static std::string Shown(absl::string_view bytes) {
    return absl::StrCat("\n", absl::CEscape(bytes), "\n");
  }

  struct Backend {
    StrictReader reader{/*is_answer=*/false};
    size_t answered = 0;
  };

  std::map<StreamPeer*, Backend> backends_;
  int shapes_ = 0;
};

TEST_F(SmugglingTest, FramingsOfRequests) {
  for (const char* line : {"POST /1 HTTP/1.1\r\n", "POST /1 HTTP/1.0\r\n"}) {
    for (const std::string& framing : Framings()) {
      for (const std::string& body : Bodies(kHidden)) {
        ExpectOneCount(absl::StrCat(line, "Host: app.test\r\n", framing, "\r\n", body, kSecond));
        if (HasFailure()) return;
      }
    }
  }
  EXPECT_GE(shapes_, 2000);
}

TEST_F(SmugglingTest, BeginningsOfRequests) {
  for (const std::string& beginning : Beginnings()) {
    for (const char* framing : {"", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"}) {
      for (const char* body : {"", "hello", "5\r\nhello\r\n0\r\n\r\n"}) {
        ExpectOneCount(absl::StrCat(beginning, framing, "\r\n", body, kSecond));
        if (HasFailure()) return;
      }
    }
  }
  EXPECT_GE(shapes_, 2000);
}

TEST_F(SmugglingTest, FramingsOfResponses) {
  const std::string poison = "HTTP/1.1 200 OK\r\nX-Poison: 1\r\nContent-Length: 0\r\n\r\n";
  for (const char* line :
       {"HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/1.1 204 No Content\r\n",
        "HTTP/1.1 304 Not Modified\r\n", "HTTP/1.1 103 Early Hints\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n"}) {
    for (const std::string& framing : Framings()) {
      for (const std::string& body :
           {std::string("hello"), poison, "hello" + poison, "5\r\nhello\r\n0\r\n\r\n" + poison,
            "5\nhello\n0\n\n" + poison, "0\r\n\r\n" + poison}) {
        ExpectOwnResponses(absl::StrCat(line, framing, "\r\n", body));
        if (HasFailure()) return;
      }
    }
  }
  EXPECT_GE(shapes_, 2000);
}

}  // namespace
}  // namespace trestle
