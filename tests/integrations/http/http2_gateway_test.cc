// HttpGateway with HTTP/2 on the front leg, the back leg or both, over virtual time: translation,
// trailers, back-pressure of one stream, resets, floods, drain.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "integrations/http/http2_client.h"
#include "integrations/http/http2_server.h"
#include "integrations/http/http_wire.h"
#include "tests/integrations/http/gateway_fixture.h"

namespace trestle {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// A request of the test's client.
struct Call final : public HttpExchange {
  void OnRequestBody() override {}
  void OnRequestRefused(HttpRefusal) override {}
  void OnResponseTaken(size_t) override {}
  void OnClientGone(const absl::Status&) override {}
  void OnResponseSent() override {}
  void OnRequestTaken(size_t) override {}
  void OnInformational(HttpResponse response) override { informational.push_back(response.status); }
  void OnResponse(HttpResponse head) override { response = std::move(head); }
  void OnResponseBody() override {
    if (holds) return;
    const size_t bytes = response_body.size();
    body.append(std::string(response_body.view()));
    response_body.Consume(bytes);
    if (bytes > 0 && stream != nullptr) stream->OnResponseTaken(bytes);
  }
  void OnBackDone() override { done = true; }
  void OnBackFailed(BackFailure kind, const absl::Status& why) override {
    failed = kind;
    status = why;
  }

  BackStream* stream = nullptr;
  bool holds = false;  // Takes no bytes.
  std::vector<int> informational;
  HttpResponse response;
  std::string body;
  bool done = false;
  std::optional<BackFailure> failed;
  absl::Status status;
};

/// An HTTP/2 client.
class Http2Peer final : public HttpWireOwner {
 public:
  Http2Peer(Scheduler& loop, std::unique_ptr<Transport> transport, const HttpLimits& limits = {})
      : limits_(limits), turns_(loop), wire_(turns_, loop, std::move(transport), *this, false) {
    codec_ = std::make_unique<Http2Client>(limits_, wire_, "https");
    const TurnQueue::Turn turn(turns_);
    wire_.Start(*codec_);
  }

  void Start(Call& call, const std::string& method, const std::string& target,
             const std::string& host = "app.test", bool body = false) {
    HttpRequest request;
    request.method = method;
    request.target = target;
    request.authority = host;
    request.has_body = body;
    const TurnQueue::Turn turn(turns_);
    call.stream = &codec_->Start(call, request);
  }

  void Send(Call& call, absl::string_view bytes, bool end = true) {
    const TurnQueue::Turn turn(turns_);
    call.request_body.Append(bytes);
    if (end) call.request_body.End();
    call.stream->OnRequestBody();
  }

  void Cancel(Call& call) {
    const TurnQueue::Turn turn(turns_);
    call.stream->Cancel();
  }

  void Resume(Call& call) {
    const TurnQueue::Turn turn(turns_);
    call.holds = false;
    call.OnResponseBody();
  }

  /// Takes bytes of a response that `holds`, which lets the gateway send as many.
  void Take(Call& call, size_t bytes) {
    const TurnQueue::Turn turn(turns_);
    call.response_body.Consume(bytes);
    call.stream->OnResponseTaken(bytes);
  }

  size_t capacity() const { return codec_->capacity(); }
  bool over() const { return over_; }

 private:
  void OnWireOver(const absl::Status&) override { over_ = true; }

  const HttpLimits limits_;
  TurnQueue turns_;
  HttpWire wire_;
  std::unique_ptr<Http2Client> codec_;
  bool over_ = false;
};

class Http2GatewayTest : public GatewayFixture {
 protected:
  std::unique_ptr<Http2Peer> ConnectHttp2() {
    auto peer = std::make_unique<Http2Peer>(loop, Dial("h2"));
    loop.RunReady();
    return peer;
  }
};

TEST_F(Http2GatewayTest, StreamsOfAConnectionGoToTheirBackendsAtTheSameTime) {
  const auto client = ConnectHttp2();
  Call first, second;
  client->Start(first, "GET", "/1");
  client->Start(second, "GET", "/b/2");
  loop.RunReady();
  ASSERT_EQ(a.size(), 1u);
  ASSERT_EQ(b.size(), 1u);
  EXPECT_THAT(a[0]->received(), StartsWith("GET /1 HTTP/1.1\r\nhost: app.test\r\n"));
  Send(*b[0],
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nB\r\n0\r\nx-sum: 7\r\n\r\n");
  EXPECT_EQ(second.body, "B");
  EXPECT_TRUE(second.done);
  ASSERT_NE(second.response_body.trailers().Find("x-sum"), nullptr);
  EXPECT_FALSE(first.done);
  Send(*a[0], absl::StrCat("HTTP/1.1 103 Early Hints\r\n\r\n", kOk));
  EXPECT_THAT(first.informational, ::testing::ElementsAre(103));
  EXPECT_EQ(first.body, "ok");
  EXPECT_EQ(first.response.content_length, 2u);
}

TEST_F(Http2GatewayTest, ABodyWithoutALengthBecomesChunks) {
  const auto client = ConnectHttp2();
  Call call;
  client->Start(call, "POST", "/", "app.test", true);
  client->Send(call, "hello", false);
  loop.RunReady();
  EXPECT_THAT(a[0]->received(), HasSubstr("transfer-encoding: chunked\r\n"));
  EXPECT_THAT(a[0]->received(), EndsWith("5\r\nhello\r\n"));
  client->Send(call, "", true);
  loop.RunReady();
  EXPECT_THAT(a[0]->received(), EndsWith("0\r\n\r\n"));
  Send(*a[0], kOk);
  EXPECT_TRUE(call.done);
  EXPECT_EQ(Report().bytes_in, 5u);
}

TEST_F(Http2GatewayTest, RejectionsEndTheirStreamOnly) {
  const auto client = ConnectHttp2();
  Call other, dotted, good;
  client->Start(other, "GET", "/", "other.test");
  client->Start(dotted, "GET", "/a/../b");
  client->Start(good, "GET", "/");
  loop.RunReady();
  EXPECT_EQ(other.response.status, 421);
  EXPECT_EQ(dotted.response.status, 400);
  Send(*a[0], kOk);
  EXPECT_EQ(good.response.status, 200);
}

TEST_F(Http2GatewayTest, AResponseThatIsReadBelowTheRateIsReset) {
  HttpLimits limits;
  limits.stream_bytes = 2;
  Http2Peer client(loop, Dial("h2"), limits);
  Call slow;
  slow.holds = true;
  client.Start(slow, "GET", "/");
  loop.RunReady();
  Send(*a[0],
       absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", std::string(5000, 'x')));
  int seconds = 0;
  while (!slow.failed.has_value()) {
    ASSERT_LE(++seconds, 40);
    client.Take(slow, 1);
    loop.RunFor(absl::Seconds(1));
  }
  EXPECT_GE(seconds, 30);
  EXPECT_EQ(Report().reason, HttpReason::kClientTooSlow);
}

TEST_F(Http2GatewayTest, ASlowStreamDelaysNoOther) {
  const auto client = ConnectHttp2();
  Call slow;
  slow.holds = true;
  client->Start(slow, "GET", "/slow");
  loop.RunReady();
  a[0]->Send(absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n",
                          std::string(5'000'000, 'x')));
  loop.RunReady();
  EXPECT_GT(a[0]->unsent_bytes(), 4'000'000u);
  for (int i = 0; i < 20; ++i) {
    Call quick;
    client->Start(quick, "GET", "/b");
    loop.RunReady();
    Send(*b[0], absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
                             std::string(100'000, 'y')));
    EXPECT_EQ(quick.body.size(), 100'000u) << i;
  }
  client->Resume(slow);
  loop.RunReady();
  EXPECT_EQ(slow.body.size(), 5'000'000u);
  EXPECT_TRUE(slow.done);
}

TEST_F(Http2GatewayTest, AResetCancelsTheRequestAtItsBackend) {
  const auto client = ConnectHttp2();
  Call call;
  client->Start(call, "GET", "/");
  loop.RunReady();
  client->Cancel(call);
  loop.RunReady();
  EXPECT_FALSE(a[0]->failure().ok());
  EXPECT_EQ(Report().reason, HttpReason::kClientGone);
  EXPECT_EQ(gateway().open_requests(), 0u);
  EXPECT_EQ(gateway().open_connections(), 1u);
}

TEST_F(Http2GatewayTest, ATruncatedResponseResetsItsStream) {
  const auto client = ConnectHttp2();
  Call call;
  client->Start(call, "GET", "/");
  loop.RunReady();
  Send(*a[0], "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
  a[0]->Abort();
  loop.RunReady();
  EXPECT_FALSE(call.done);
  EXPECT_EQ(call.failed, BackFailure::kBroken);
}

TEST_F(Http2GatewayTest, ADrainReportsTheLastStreamAndFinishesIt) {
  const auto client = ConnectHttp2();
  Call call;
  client->Start(call, "GET", "/");
  loop.RunReady();
  gateway().BeginDrain();
  loop.RunReady();
  EXPECT_EQ(client->capacity(), 0u);
  EXPECT_FALSE(client->over());
  Send(*a[0], kOk);
  EXPECT_EQ(call.body, "ok");
  EXPECT_EQ(gateway().open_connections(), 0u);
}

/// A backend that speaks HTTP/2, and answers each request with its body.
class EchoServer final : public HttpWireOwner, public FrontHandler {
 public:
  EchoServer(Scheduler& loop, std::unique_ptr<Transport> transport)
      : turns_(loop), wire_(turns_, loop, std::move(transport), *this, false) {
    codec_ = std::make_unique<Http2Server>(limits_, *this, wire_);
    const TurnQueue::Turn turn(turns_);
    wire_.Start(*codec_);
  }

  std::vector<std::string> targets;

 private:
  struct Echo final : public HttpExchange {
    void OnRequestBody() override {
      const size_t bytes = request_body.size();
      response_body.Append(request_body.view());
      request_body.Consume(bytes);
      if (request_body.ended()) {
        HttpFields trailers;
        trailers.Add("x-sum", absl::StrCat(request_body.passed()));
        response_body.End(std::move(trailers));
      }
      if (!std::exchange(answered, true)) stream->SendResponse({200, {}, std::nullopt});
      stream->OnResponseBody();
      if (bytes > 0) stream->OnRequestTaken(bytes);
    }
    void OnRequestRefused(HttpRefusal) override {}
    void OnResponseTaken(size_t) override {}
    void OnClientGone(const absl::Status&) override {}
    void OnResponseSent() override {}
    void OnRequestTaken(size_t) override {}
    void OnInformational(HttpResponse) override {}
    void OnResponse(HttpResponse) override {}
    void OnResponseBody() override {}
    void OnBackDone() override {}
    void OnBackFailed(BackFailure, const absl::Status&) override {}

    FrontStream* stream = nullptr;
    bool answered = false;
  };

  HttpExchange* OnRequest(FrontStream& stream, HttpRequest request) override {
    targets.push_back(request.target);
    echoes_.push_back(std::make_unique<Echo>());
    echoes_.back()->stream = &stream;
    return echoes_.back().get();
  }
  HttpExchange* OnRefused(FrontStream& stream, HttpRequest request, HttpRefusal) override {
    return OnRequest(stream, std::move(request));
  }
  void OnWireOver(const absl::Status&) override {}

  const HttpLimits limits_;
  TurnQueue turns_;
  HttpWire wire_;
  std::vector<std::unique_ptr<Echo>> echoes_;
  std::unique_ptr<Http2Server> codec_;
};

TEST_F(Http2GatewayTest, AnHttp2BackendGetsAllRequestsOnOneConnection) {
  std::vector<std::unique_ptr<EchoServer>> servers;
  dialer.Listen(BackendA(), [&](std::unique_ptr<Transport> transport) {
    servers.push_back(std::make_unique<EchoServer>(loop, std::move(transport)));
  });
  options.hosts = GatewayHosts::kAny;
  const auto client = ConnectHttp2();
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 20; ++i) {
    calls.push_back(std::make_unique<Call>());
    client->Start(*calls.back(), "POST", absl::StrCat("/", i), "h2.test", true);
    client->Send(*calls.back(), std::string(200'000, 'z'));
  }
  loop.RunReady();
  EXPECT_EQ(servers.size(), 1u);
  for (const auto& call : calls) {
    EXPECT_TRUE(call->done);
    EXPECT_EQ(call->body.size(), 200'000u);
    ASSERT_NE(call->response_body.trailers().Find("x-sum"), nullptr);
    EXPECT_EQ(*call->response_body.trailers().Find("x-sum"), "200000");
  }
  // An HTTP/1.1 client to the same backend.
  const auto old = Connect();
  Send(*old, "POST /old HTTP/1.1\r\nHost: h2.test\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_THAT(old->received(), EndsWith("2\r\nhi\r\n0\r\nx-sum: 2\r\n\r\n"));
  EXPECT_EQ(servers.size(), 1u);
}

/// Frames as bytes, for input that valid clients never send.
std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, absl::string_view payload) {
  std::string frame;
  const auto size = static_cast<uint32_t>(payload.size());
  for (const uint32_t byte : {size >> 16, size >> 8, size, uint32_t{type}, uint32_t{flags},
                              stream >> 24, stream >> 16, stream >> 8, stream}) {
    frame.push_back(static_cast<char>(byte & 0xff));
  }
  return absl::StrCat(frame, payload);
}

const char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// GET https://app.test/ in HPACK: indexed fields, and a literal authority.
std::string HeadersOf(uint32_t stream, bool end_stream) {
  return Frame(1, end_stream ? 5 : 4, stream, absl::StrCat("\x82\x87\x84\x41\x08", "app.test"));
}

TEST_F(Http2GatewayTest, FloodsEndTheConnection) {
  struct Flood {
    const char* name;
    std::string frames;
  };
  std::string resets, pings, settings, priorities, empties, continuations;
  for (uint32_t i = 0; i < 2000; ++i) {
    const uint32_t stream = 2 * i + 1;
    absl::StrAppend(&resets, HeadersOf(stream, true),
                    Frame(3, 0, stream, absl::string_view("\0\0\0\x08", 4)));
    absl::StrAppend(&pings, Frame(6, 0, 0, "12345678"));
    absl::StrAppend(&settings, Frame(4, 0, 0, ""));
    absl::StrAppend(&priorities, Frame(2, 0, 1, absl::string_view("\0\0\0\3\1", 5)));
    absl::StrAppend(&empties, Frame(0, 0, 1, ""));
    absl::StrAppend(&continuations, Frame(9, 0, 1, ""));
  }
  const Flood floods[] = {
      {"reset", resets},
      {"ping", pings},
      {"settings", settings},
      {"priority", priorities},
      {"empty_data", HeadersOf(1, false) + empties},
      {"continuation", Frame(1, 0, 1, "\x82\x87\x84") + continuations},
  };
  for (const Flood& flood : floods) {
    const auto client = Connect("h2");
    client->Send(absl::StrCat(kPreface, Frame(4, 0, 0, ""), flood.frames));
    loop.RunFor(absl::Seconds(3));
    EXPECT_TRUE(client->saw_end() || !client->failure().ok()) << flood.name;
    EXPECT_EQ(gateway().open_connections(), 0u) << flood.name;
    EXPECT_EQ(gateway().open_requests(), 0u) << flood.name;
  }
  // The budgets limit the effect on backends.
  EXPECT_LE(reports.size(), 220u);
}

TEST_F(Http2GatewayTest, HeadsAreLimitedInBytesAndNumber) {
  const auto client = Connect("h2");
  std::string many = absl::StrCat("\x82\x87\x84\x41\x08", "app.test");
  for (int i = 0; i < 150; ++i) absl::StrAppend(&many, absl::string_view("\x00\x01x\x01y", 5));
  Send(*client, absl::StrCat(kPreface, Frame(4, 0, 0, ""), Frame(1, 5, 1, many)));
  EXPECT_EQ(Report().status, 431);
  EXPECT_EQ(Report().reason, HttpReason::kHeadTooLarge);
  Send(*client, HeadersOf(3, true));
  EXPECT_EQ(a.size(), 1u);  // The connection continues.
}

TEST_F(Http2GatewayTest, AnExtendedConnectBecomesAnUpgrade) {
  const auto client = Connect("h2");
  const std::string head =
      absl::StrCat(absl::string_view("\x02\x07", 2), "CONNECT", "\x87", "\x04\x03/ws", "\x01\x08",
                   "app.test", absl::string_view("\x00\x09", 2), ":protocol", "\x09", "websocket",
                   absl::string_view("\x00\x15", 2), "sec-websocket-version", "\x02", "13");
  Send(*client, absl::StrCat(kPreface, Frame(4, 0, 0, ""), Frame(1, 4, 1, head)));
  ASSERT_EQ(a.size(), 1u);
  EXPECT_THAT(a[0]->received(), StartsWith("GET /ws HTTP/1.1\r\nhost: app.test\r\n"));
  EXPECT_THAT(a[0]->received(), HasSubstr("sec-websocket-key: "));
  EXPECT_THAT(a[0]->received(), HasSubstr("upgrade: websocket\r\nconnection: upgrade\r\n"));
  Send(*a[0],
       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
       "Sec-WebSocket-Accept: x\r\n\r\nfrom-backend");
  EXPECT_THAT(client->received(), HasSubstr("from-backend"));
  EXPECT_EQ(client->received().find("sec-websocket-accept"), std::string::npos);
  Send(*client, Frame(0, 0, 1, "from-client"));
  EXPECT_THAT(a[0]->received(), EndsWith("\r\n\r\nfrom-client"));
  // Browsers end the stream with their Close frame. The server answers it, and then ends.
  Send(*client, Frame(0, 1, 1, "close"));
  EXPECT_THAT(a[0]->received(), EndsWith("from-clientclose"));
  EXPECT_FALSE(a[0]->saw_end());
  Send(*a[0], "close-too");
  EXPECT_THAT(client->received(), HasSubstr("close-too"));
  a[0]->End();
  loop.RunReady();
  EXPECT_TRUE(a[0]->saw_end());
  EXPECT_EQ(Report().status, 101);
  EXPECT_EQ(gateway().open_requests(), 0u);
}

TEST_F(Http2GatewayTest, AWebSocketThatItsServerDoesNotEndIsCut) {
  const auto client = Connect("h2");
  const std::string head =
      absl::StrCat(absl::string_view("\x02\x07", 2), "CONNECT", "\x87", "\x04\x03/ws", "\x01\x08",
                   "app.test", absl::string_view("\x00\x09", 2), ":protocol", "\x09", "websocket");
  Send(*client, absl::StrCat(kPreface, Frame(4, 0, 0, ""), Frame(1, 4, 1, head)));
  ASSERT_EQ(a.size(), 1u);
  Send(*a[0],
       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
  Send(*client, Frame(0, 1, 1, "close"));
  loop.RunFor(options.timeouts.response + absl::Seconds(1));
  EXPECT_TRUE(a[0]->saw_end() || !a[0]->failure().ok());
  EXPECT_EQ(gateway().open_requests(), 0u);
}

TEST_F(Http2GatewayTest, ATrickledHeadIsTimedOut) {
  const auto client = Connect("h2");
  Send(*client, absl::StrCat(kPreface, Frame(4, 0, 0, ""), Frame(1, 0, 1, "\x82\x87\x84")));
  loop.RunFor(absl::Seconds(13));
  EXPECT_TRUE(client->saw_end());
  EXPECT_EQ(gateway().open_connections(), 0u);
}

}  // namespace
}  // namespace trestle
