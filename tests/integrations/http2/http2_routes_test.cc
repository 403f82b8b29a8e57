// HTTP/2 connections routed by their first request; nghttp2 is the client and the server.
#include "integrations/http2/http2_routes.h"

#include <nghttp2/nghttp2.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/proxy/tls_fixture.h"
#include "trestle/proxy/tls_bridge.h"

namespace trestle {
namespace {

using ::testing::HasSubstr;
using testing::MemoryDialer;
using testing::SimulatedLoop;
using testing::TestPki;
using Fields = std::vector<std::pair<std::string, std::string>>;

/// A client that sends one request, and reads the server's response.
class Http2Client {
 public:
  Http2Client() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
    nghttp2_session_client_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
  }
  ~Http2Client() { nghttp2_session_del(session_); }

  /// Returns the preface, SETTINGS, a PING, and a request.
  std::string Request(const Fields& fields) {
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    std::vector<nghttp2_nv> list;
    for (const auto& [name, value] : fields) {
      list.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                      reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
                      value.size(), NGHTTP2_NV_FLAG_NONE});
    }
    nghttp2_submit_request(session_, nullptr, list.data(), list.size(), nullptr, nullptr);
    std::string bytes;
    const uint8_t* piece = nullptr;
    for (ssize_t size; (size = nghttp2_session_mem_send(session_, &piece)) > 0;) {
      bytes.append(reinterpret_cast<const char*>(piece), static_cast<size_t>(size));
    }
    return bytes;
  }

  void Read(const std::string& answer) {
    const auto* const bytes = reinterpret_cast<const uint8_t*>(answer.data());
    read_well = nghttp2_session_mem_recv(session_, bytes, answer.size()) ==
                static_cast<ssize_t>(answer.size());
  }

  bool read_well = false;
  std::string status;  // Of the answer.
  uint32_t reset = 0;  // The error codes of RST_STREAM and GOAWAY.
  uint32_t went_away = 0;
  bool goaway = false;

 private:
  static int OnHeader(nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t,
                      const uint8_t* value, size_t size, uint8_t, void* self) {
    static_cast<Http2Client*>(self)->status = std::string(AsText({value, size}));
    return 0;
  }
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    auto& self = *static_cast<Http2Client*>(user);
    if (frame->hd.type == NGHTTP2_RST_STREAM) self.reset = frame->rst_stream.error_code;
    if (frame->hd.type == NGHTTP2_GOAWAY) self.went_away = frame->goaway.error_code;
    self.goaway = self.goaway || frame->hd.type == NGHTTP2_GOAWAY;
    return 0;
  }

  nghttp2_session* session_ = nullptr;
};

Fields Get(const std::string& authority, const std::string& path = "/") {
  return {{":method", "GET"}, {":scheme", "https"}, {":authority", authority}, {":path", path}};
}

Http2RouteOptions ServerNameOnly() {
  Http2RouteOptions options;
  options.dangerous_unread_http2 = true;
  return options;
}

class Http2RoutesTest : public ::testing::Test {
 protected:
  Http2RoutesTest() : one(loop, dialer, 1), two(loop, dialer, 2) {
    for (auto* backend : {&one, &two}) {
      auto config = ServerFor(pki, loop.Now(), {{"back.test"}}, {"h2", "http/1.1"});
      auto& peers = backend == &one ? at_one : at_two;
      backend->on_accept = [this, config, &peers](std::unique_ptr<Transport> raw) {
        peers.push_back(TlsPeer::Server(loop, std::move(raw), config));
      };
    }
  }

  void Start(const std::string& text, Http2RouteOptions options = ServerNameOnly(),
             const std::string& server_name = "app.test", const std::string& alpn = "h2") {
    at_one.clear();
    at_two.clear();
    observer.closed.clear();
    TlsBridgeOptions bridging;
    bridging.front_tls = ServerFor(pki, loop.Now(), {{"app.test"}}, {"h2", "http/1.1"});
    bridging.back_tls = ClientOf(pki);
    bridging.backend_name = "back.test";
    const auto routes = *HttpRoutes::Create(*ParseHttpRoutes(text));
    bridging.content.new_reader =
        *NewHttp2RouteReaderFactory(routes, options, NewHttpRouteReaderFactory(routes));
    bridge = *TlsBridge::Create(loop, dialer, std::move(bridging), &observer);
    ClientTlsTarget target;
    target.server_name = server_name;
    target.alpn = {alpn};
    client = TlsPeer::Client(loop, ConnectTo(*bridge, loop), ClientOf(pki), target);
    loop.RunReady();
  }

  void Send(const std::string& bytes) {
    client->Send(bytes);
    loop.RunReady();
  }

  SimulatedLoop loop;
  MemoryDialer dialer{loop};
  TestPki pki{loop.Now()};
  TestBackend one;
  TestBackend two;
  std::vector<std::unique_ptr<TlsPeer>> at_one;
  std::vector<std::unique_ptr<TlsPeer>> at_two;
  RecordingObserver observer;
  std::unique_ptr<TlsBridge> bridge;
  std::unique_ptr<TlsPeer> client;
};

Http2RouteOptions AnyHost() {
  Http2RouteOptions options = ServerNameOnly();
  options.hosts = Http1Options::HostPolicy::kAny;
  return options;
}

TEST_F(Http2RoutesTest, TheNamesOnlyBackendIsSelectedWithoutReading) {
  Start("app.test=192.0.2.1:443,default=192.0.2.2:443");
  ASSERT_EQ(at_one.size(), 1u) << "the client hasn't sent a byte";
  Send("whatever it is");
  EXPECT_EQ(at_one[0]->received(), "whatever it is");
  EXPECT_EQ(at_one[0]->info().alpn, "h2");
}

// The name's own route depends on the path, so the first request is read.
constexpr char kRoutes[] = "b.test=192.0.2.1:443,c.test=192.0.2.2:443,app.test/x=192.0.2.2:443";

TEST_F(Http2RoutesTest, TheFirstRequestsAuthoritySelectsTheBackend) {
  Http2Client http2;
  const std::string request = http2.Request(Get("C.test:443"));
  for (size_t cut = 0; cut < request.size(); ++cut) {
    SCOPED_TRACE(cut);
    Start(kRoutes, AnyHost());
    if (cut > 0) Send(request.substr(0, cut));
    EXPECT_EQ(at_two.size(), 0u);
    Send(request.substr(cut));
    ASSERT_EQ(at_two.size(), 1u);
    EXPECT_EQ(at_two[0]->received(), request);
  }
  EXPECT_EQ(at_one.size(), 0u);
  EXPECT_EQ(observer.established.back().route, "c.test/");
}

TEST_F(Http2RoutesTest, HostReplacesAMissingAuthority) {
  Start(kRoutes, AnyHost());
  Http2Client http2;
  Send(http2.Request(
      {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {"host", "b.test"}}));
  EXPECT_EQ(at_one.size(), 1u);
}

TEST_F(Http2RoutesTest, RejectionsAreResponsesToTheRequest) {
  const std::tuple<const char*, Fields, Http2RouteOptions> rows[] = {
      {"421", Get("d.test"), AnyHost()},
      {"421", Get("b.test"), ServerNameOnly()},
      {"404", Get("app.test", "/y"), ServerNameOnly()},
      {"400", Get("not_a@host"), AnyHost()},
      {"400", {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}}, AnyHost()},
      {"414", Get("b.test", "/" + std::string(9000, 'x')), AnyHost()},
  };
  for (const auto& [status, fields, options] : rows) {
    SCOPED_TRACE(status);
    Start(kRoutes, options);
    Http2Client http2;
    Send(http2.Request(fields));
    http2.Read(client->received());
    EXPECT_TRUE(http2.read_well);
    // nghttp2 itself resets malformed requests instead.
    const bool reset = http2.reset == NGHTTP2_PROTOCOL_ERROR && std::string(status) == "400";
    EXPECT_TRUE(http2.status == status || reset) << http2.status << http2.reset;
    EXPECT_TRUE(http2.goaway);
    EXPECT_TRUE(client->saw_end());
  }
  EXPECT_EQ(dialer.dials(), 0u);
}

TEST_F(Http2RoutesTest, TheHeadHasLimits) {
  Http2RouteOptions options = AnyHost();
  options.limits.fields = 10;
  options.limits.head_bytes = 1000;
  Fields many = Get("b.test");
  for (int i = 0; i < 7; ++i) many.emplace_back("a", "b");
  Fields long_one = Get("b.test");
  long_one.emplace_back("a", std::string(1000, 'b'));
  for (const Fields& fields : {many, long_one}) {
    Start(kRoutes, options);
    Http2Client http2;
    Send(http2.Request(fields));
    http2.Read(client->received());
    EXPECT_EQ(http2.status, "431");
  }
  many.pop_back();
  Start(kRoutes, options);
  Http2Client http2;
  Send(http2.Request(many));
  EXPECT_EQ(at_one.size(), 1u);
}

TEST_F(Http2RoutesTest, HostsWithSplitPathsNeedHttp1) {
  Start(kRoutes);
  Http2Client http2;
  Send(http2.Request(Get("app.test", "/x?y")));
  http2.Read(client->received());
  EXPECT_TRUE(http2.read_well);
  EXPECT_EQ(http2.reset, static_cast<uint32_t>(NGHTTP2_HTTP_1_1_REQUIRED));
  EXPECT_EQ(http2.went_away, static_cast<uint32_t>(NGHTTP2_HTTP_1_1_REQUIRED));
  client->End();
  loop.RunFor(absl::Seconds(10));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kNoRoute);
  EXPECT_THAT(observer.error()->detail, HasSubstr("need HTTP/1.1"));
}

TEST_F(Http2RoutesTest, HostAndAuthorityMustBeEqual) {
  const auto send = [this](const std::string& host) {
    Start(kRoutes, AnyHost());
    observer.closed.clear();  // Of the earlier bridge.
    Fields fields = Get("c.test:443");
    fields.emplace_back("host", host);
    Http2Client http2;
    Send(http2.Request(fields));
  };
  for (const char* same : {"c.test", "C.TEST:443", "c.test."}) {
    send(same);
    EXPECT_EQ(at_two.size(), 1u) << same;
  }
  for (const char* other : {"b.test", "internal.test", "c.test.evil", "c test", ":443"}) {
    send(other);
    EXPECT_EQ(at_one.size() + at_two.size(), 0u) << other;
    client->End();
    loop.RunFor(absl::Seconds(10));
    ASSERT_TRUE(observer.error().has_value());
    EXPECT_EQ(observer.error()->code, ErrorCode::kBlockedByInspector);
    EXPECT_THAT(observer.error()->detail,
                ::testing::AnyOf(HasSubstr("different hosts"), HasSubstr("no HTTP/2: ")));
  }
}

// HEADERS of three bytes, and CONTINUATION frames of a few bytes each.
TEST_F(Http2RoutesTest, ARequestInContinuationsMayBeSplitAnywhere) {
  Http2Client http2;
  const std::string request = http2.Request(Get("c.test"));
  const size_t last = request.rfind(std::string("\x01\x05\0\0\0\x01", 6));
  ASSERT_NE(last, std::string::npos);
  const std::string head = request.substr(last + 6);
  const size_t piece = head.size() / 4 + 1;
  std::string bytes = request.substr(0, last - 3);
  for (size_t at = 0; at < head.size(); at += piece) {
    const std::string part = head.substr(at, piece);
    const bool ends = at + piece >= head.size();
    bytes += std::string("\0\0", 2) + static_cast<char>(part.size());
    bytes += at == 0 ? std::string("\x01\x01", 2) : std::string(1, '\x09') + (ends ? '\x04' : '\0');
    bytes += std::string("\0\0\0\x01", 4) + part;
  }
  for (const size_t step : {size_t{1}, size_t{5}, bytes.size()}) {
    Start(kRoutes, AnyHost());
    for (size_t at = 0; at < bytes.size(); at += step) Send(bytes.substr(at, step));
    ASSERT_EQ(at_two.size(), 1u) << step;
    EXPECT_EQ(at_two[0]->received(), bytes);
  }
}

TEST_F(Http2RoutesTest, AGoawayBeforeTheRequestIsRejected) {
  Http2Client http2;
  const std::string request = http2.Request(Get("c.test"));
  const std::string goaway("\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0", 17);
  const std::string bytes = request.substr(0, 24 + 9) + goaway + request.substr(24 + 9);
  for (const size_t step : {size_t{1}, bytes.size()}) {
    Start(kRoutes, AnyHost());
    observer.closed.clear();
    for (size_t at = 0; at < bytes.size(); at += step) Send(bytes.substr(at, step));
    client->End();
    loop.RunFor(absl::Seconds(10));
    EXPECT_EQ(at_two.size(), 0u);
    ASSERT_TRUE(observer.error().has_value());
    EXPECT_THAT(observer.error()->detail, HasSubstr("went before it asked"));
  }
}

TEST_F(Http2RoutesTest, OtherProtocolsAreRejected) {
  Start(kRoutes);
  Send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
  client->End();
  loop.RunFor(absl::Seconds(10));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_EQ(observer.error()->code, ErrorCode::kBlockedByInspector);
  EXPECT_THAT(observer.error()->detail, HasSubstr("no HTTP/2: "));
}

// Violations that nghttp2 answers with its own GOAWAY, and those that it rejects in other ways.
TEST_F(Http2RoutesTest, ConnectionErrorsAreDetectedAtOnce) {
  Http2Client http2;
  const std::string request = http2.Request(Get("c.test"));
  const std::string begin = request.substr(0, 24 + 9);  // The preface and SETTINGS.
  const auto frame = [](size_t size, const char* type_and_flags, char stream, std::string payload) {
    return std::string("\0", 1) + static_cast<char>(size >> 8) + static_cast<char>(size & 0xff) +
           std::string(type_and_flags, 2) + std::string("\0\0\0", 3) + stream + payload;
  };
  const std::pair<const char*, std::string> rows[] = {
      {"HPACK index", frame(1, "\x01\x05", 1, "\xff")},
      {"HPACK index that isn't there", frame(2, "\x01\x05", 1, "\xff\x7f")},
      {"HPACK integer", frame(7, "\x01\x05", 1, "\xff\xff\xff\xff\xff\xff\xff")},
      {"HPACK string", frame(3, "\x01\x05", 1, std::string("\x40\x7f\x61", 3))},
      {"HPACK table size", frame(5, "\x01\x05", 1, "\x3f\xff\xff\xff\x0f")},
      {"SETTINGS of a bad size", frame(5, "\x04\0", 0, "abcde")},
      {"SETTINGS of a stream", frame(0, "\x04\0", 1, "")},
      {"SETTINGS_ENABLE_PUSH", frame(6, "\x04\0", 0, std::string("\0\x02\0\0\0\x02", 6))},
      {"SETTINGS_MAX_FRAME_SIZE", frame(6, "\x04\0", 0, std::string("\0\x05\0\0\0\x01", 6))},
      {"SETTINGS window", frame(6, "\x04\0", 0, std::string("\0\x04\xff\xff\xff\xff", 6))},
      {"acknowledged SETTINGS with bytes",
       frame(6, "\x04\x01", 0, std::string("\0\x03\0\0\0\x01", 6))},
      {"PING of a bad size", frame(4, "\x06\0", 0, "abcd")},
      {"WINDOW_UPDATE of nothing", frame(4, "\x08\0", 0, std::string("\0\0\0\0", 4))},
      {"HEADERS of stream 0", frame(1, "\x01\x05", 0, "\x82")},
      {"HEADERS of an even stream", frame(1, "\x01\x05", 2, "\x82")},
      {"HEADERS padded beyond their end", frame(2, "\x01\x0d", 1, "\x7f\x82")},
      {"DATA of an idle stream", frame(1, "\0\0", 1, "a")},
      {"CONTINUATION alone", frame(1, "\x09\x04", 1, "\x82")},
      {"PUSH_PROMISE", frame(5, "\x05\x04", 1, std::string("\0\0\0\x02\x82", 5))},
      {"RST_STREAM of an idle stream", frame(4, "\x03\0", 1, std::string("\0\0\0\0", 4))},
      {"frame over the limit of size",
       std::string("\x00\x40\x01\x06\0\0\0\0\0", 9) + std::string(0x4001, 'x')},
      {"something between HEADERS and CONTINUATION",
       frame(1, "\x01\x01", 1, "\x82") + frame(8, "\x06\0", 0, "abcdefgh")},
  };
  const absl::Time before = loop.Now();
  for (const auto& [name, frames] : rows) {
    SCOPED_TRACE(name);
    for (const bool in_pieces : {false, true}) {
      Start(kRoutes, AnyHost());
      observer.closed.clear();
      const std::string bytes = begin + frames;
      for (size_t at = 0; at < bytes.size(); at += in_pieces ? 100 : bytes.size()) {
        Send(bytes.substr(at, in_pieces ? 100 : bytes.size()));
      }
      EXPECT_TRUE(client->saw_end());
      Http2Client reader;
      reader.Request({});
      reader.Read(client->received());
      EXPECT_TRUE(reader.goaway) << "the client gets a GOAWAY";
      client->End();
      loop.RunReady();
      ASSERT_TRUE(observer.error().has_value());
      EXPECT_EQ(observer.error()->code, ErrorCode::kBlockedByInspector);
      EXPECT_THAT(observer.error()->detail, HasSubstr("no HTTP/2: "));
    }
  }
  EXPECT_EQ(loop.Now(), before) << "no timeout was needed";
  EXPECT_EQ(dialer.dials(), 0u);
}

TEST_F(Http2RoutesTest, UnreadRequestsMustBeAllowed) {
  const auto routes = *HttpRoutes::Create(*ParseHttpRoutes(kRoutes));
  const auto refused = NewHttp2RouteReaderFactory(routes, {}, NewHttpRouteReaderFactory(routes));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(GetError(refused.status())->code, ErrorCode::kConfiguration);
  EXPECT_THAT(GetError(refused.status())->detail, HasSubstr("dangerous_unread_http2"));
}

TEST_F(Http2RoutesTest, FramesWithoutARequestReachTheLimitOfBytes) {
  Start(kRoutes);
  Http2Client http2;
  const std::string request = http2.Request(Get("app.test"));
  const std::string ping("\0\0\x08\x06\0\0\0\0\0abcdefgh", 17);
  std::string bytes = request.substr(0, 24 + 9);  // The preface and SETTINGS.
  while (bytes.size() <= 64 * 1024) bytes += ping;
  Send(bytes);
  client->End();
  loop.RunFor(absl::Seconds(10));
  ASSERT_TRUE(observer.error().has_value());
  EXPECT_THAT(observer.error()->detail,
              ::testing::AnyOf(HasSubstr("don't select a backend"), HasSubstr("no HTTP/2: ")));
}

TEST_F(Http2RoutesTest, ClientsOfHttp1AreRouted) {
  Start(kRoutes, ServerNameOnly(), "app.test", "http/1.1");
  Send("GET /x HTTP/1.1\r\nHost: app.test\r\n\r\n");
  ASSERT_EQ(at_two.size(), 1u);
  EXPECT_EQ(at_two[0]->info().alpn, "http/1.1");
}

}  // namespace
}  // namespace trestle
