// The bytes of a client and of a backend through a whole HttpGateway, in all four pairs of
// versions. The first byte selects the versions, the second one the sizes of reads, the next two
// the size of the client's part; the rest is the backend's. An HTTP/2 part is a list of frames
// (`FramesOf`).
//
// Each request has one end. The gateway's bytes are valid for both peers. A second client gets its
// own response, or an error of the gateway. Nothing stays open.
//
// To fuzz: -dict=tests/fuzz/http.dict.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "integrations/http/gateway_routes.h"
#include "integrations/http/http_gateway.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/integrations/http/frame_reader.h"
#include "tests/integrations/http/strict_http.h"
#include "tests/support/stream_peer.h"
#include "trestle/testing/memory_transport.h"
#include "trestle/testing/simulated_loop.h"

namespace trestle {
namespace {

constexpr size_t kMaxStreams = 8;

constexpr char kOwnRequest[] = "GET /own HTTP/1.1\r\nHost: app.test\r\n\r\n";
constexpr char kOwnResponse[] = "HTTP/1.1 200 OK\r\nX-Own: 1\r\nContent-Length: 3\r\n\r\nown";

// Reads type, flags, stream and a size of two bytes before each payload. Type 255 is raw bytes, as
// many as the next byte says.
std::string FramesOf(absl::string_view text) {
  FuzzInput input(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  std::string frames;
  while (!input.empty()) {
    const uint8_t type = input.Byte();
    if (type == 255) {
      absl::StrAppend(&frames, input.Text(input.Byte()));
      continue;
    }
    const uint8_t flags = input.Byte();
    const uint8_t stream = input.Byte();
    frames += Http2Frame(type, flags, stream, input.Text(input.Number() & 0x3fff));
  }
  return frames;
}

/// One connection of the gateway to the backend.
struct Back {
  Back(Scheduler& loop, std::unique_ptr<Transport> transport)
      : peer(std::make_unique<StreamPeer>(loop, std::move(transport))) {}

  std::unique_ptr<StreamPeer> peer;
  StrictReader requests{/*is_answer=*/false};
  FrameReader frames{kHttp2Preface.size()};
  bool spoke = false;  // It sent the input's bytes.
  bool owned = false;  // It answered the second client.
};

class World final : private HttpObserver {
 public:
  World(bool front2, bool back2, size_t chunk, std::string from_backend)
      : front2_(front2), back2_(back2), from_backend_(std::move(from_backend)), dialer_(loop_) {
    link_.chunk_bytes = chunk;
    HttpGatewayOptions options;
    options.routes = *GatewayRoutes::Create(*ParseGatewayRoutes(
        back2 ? "default=h2c://192.0.2.10:80" : "default=http://192.0.2.10:80"));
    options.forwarding.x_forwarded = options.forwarding.forwarded = false;
    options.limits.streams = kMaxStreams;
    options.hosts = GatewayHosts::kAny;
    dialer_.Listen(
        *Endpoint::Parse("192.0.2.10:80"),
        [this](std::unique_ptr<Transport> transport) {
          backs_.push_back(std::make_unique<Back>(loop_, std::move(transport)));
          if (back2_) backs_.back()->peer->Send(Http2Frame(kSettingsFrame, 0, 0, ""));
        },
        {}, link_, link_);
    gateway_ = *HttpGateway::Create(loop_, dialer_, std::move(options), this);
  }

  void Run(const std::string& from_client) {
    const auto client = Connect(front2_);
    client->Send(from_client);
    Step(*client);
    client->End();
    Step(*client);
    loop_.RunFor(absl::Seconds(20));
    Step(*client);
    Require(gateway_->open_requests() <= kMaxStreams, "no more requests than streams");
    const std::string received = client->received();
    const size_t reports = reports_;
    client->Abort();
    CheckClient(received, reports);
    AskOwn();
    loop_.RunFor(absl::Hours(2));  // A half-closed tunnel may be silent for an hour.
    Require(gateway_->open_requests() == 0, "each request has an end");
    Require(gateway_->open_connections() == 0, "no connection of a client stays open");
    Require(gateway_->pool_stats().connections == 0, "no connection to a backend stays open");
  }

 private:
  void OnRequest(const HttpRequestReport& report) override {
    ++reports_;
    Require(ids_.insert(report.id).second, "each request has one end only");
  }

  std::unique_ptr<StreamPeer> Connect(bool http2) {
    auto [client, server] = testing::NewMemoryPair(loop_, link_, link_);
    Accepted accepted(std::move(server));
    if (http2) {
      TlsInfo tls;
      tls.alpn = "h2";
      tls.server_name = "app.test";
      accepted.tls = std::make_shared<const TlsInfo>(std::move(tls));
    }
    gateway_->Serve(std::move(accepted));
    return std::make_unique<StreamPeer>(loop_, std::move(client));
  }

  void Step(StreamPeer&) {
    for (int i = 0; i < 4; ++i) {
      loop_.RunReady();
      for (size_t j = 0; j < backs_.size(); ++j) Speak(*backs_[j]);
    }
    loop_.RunReady();
    for (const std::unique_ptr<Back>& back : backs_) Check(*back);
  }

  // The backend sends the input's bytes once it has got any of a request.
  void Speak(Back& back) {
    const size_t greeting = back2_ ? kHttp2Preface.size() : 0;
    if (back.spoke || back.peer->received().size() <= greeting) return;
    back.spoke = true;
    if (!from_backend_.empty()) back.peer->Send(from_backend_);
  }

  void Check(Back& back) const {
    if (back2_) {
      back.frames.Read(back.peer->received());
      Require(back.frames.fault().empty(), "the backend gets valid frames");
    } else if (!back.owned) {
      back.requests.Read(back.peer->received());
      // A tunnel's bytes look like requests to the reader, which knows none.
      Require(back.requests.fault().empty() || Tunnels(back), "the backend gets valid requests");
    }
  }

  bool Tunnels(const Back& back) const {
    return absl::StrContains(back.peer->received(), "upgrade: websocket") &&
           absl::StrContains(from_backend_, " 101 ");
  }

  void CheckClient(const std::string& received, size_t reports) const {
    if (front2_) {
      FrameReader frames;
      frames.Read(received);
      Require(frames.fault().empty(), "the client gets valid frames");
      Require(frames.streams().size() <= reports + kMaxStreams, "no stream without a request");
      return;
    }
    if (absl::StrContains(received, "HTTP/1.1 101 ")) return;
    size_t finals = 0;
    StrictReader answers(/*is_answer=*/true);
    answers.Read(received);
    for (const StrictMessage& message : answers.messages()) {
      finals += message.first_line[9] == '1' ? 0 : 1;
    }
    Require(finals <= reports + 1, "no more responses than requests");
  }

  // Another client of the same backend gets its own response, whatever happened before.
  void AskOwn() {
    const auto client = Connect(false);
    loop_.RunReady();
    std::vector<size_t> before;
    for (const std::unique_ptr<Back>& back : backs_) {
      back->spoke = true;
      back->owned = true;
      before.push_back(back->peer->received().size());
    }
    client->Send(kOwnRequest);
    for (int i = 0; i < 4; ++i) {
      loop_.RunReady();
      for (size_t j = 0; j < backs_.size(); ++j) {
        AnswerOwn(*backs_[j], j < before.size() ? before[j] : 0);
      }
    }
    loop_.RunFor(absl::Seconds(45));
    const std::string& received = client->received();
    const bool error = absl::StartsWith(received, "HTTP/1.1 50");
    const bool own = absl::StartsWith(received, "HTTP/1.1 200 OK\r\n") &&
                     absl::StrContains(received, "own") && !absl::StrContains(received, "poison");
    Require(error || own, "the second client gets its own response");
    Require(error || back2_ || absl::StrContains(received, "x-own: 1\r\n"), "all of it");
    client->Abort();
  }

  void AnswerOwn(Back& back, size_t before) {
    const std::string& received = back.peer->received();
    if (!back2_) {
      const size_t at = received.find("GET /own HTTP/1.1", before);
      if (at == std::string::npos || answered_own_) return;
      answered_own_ = true;
      back.peer->Send(kOwnResponse);
      return;
    }
    back.frames.Read(received);
    if (answered_own_ || received.size() == before || back.frames.last_stream() == 0) return;
    answered_own_ = true;
    const uint32_t stream = back.frames.last_stream();
    back.peer->Send(absl::StrCat(Http2Frame(kHeadersFrame, kEndHeadersFlag, stream, "\x88"),
                                 Http2Frame(kDataFrame, kEndStreamFlag, stream, "own")));
  }

  const bool front2_;
  const bool back2_;
  const std::string from_backend_;
  testing::SimulatedLoop loop_;
  testing::MemoryDialer dialer_;
  testing::MemoryLink link_;
  std::vector<std::unique_ptr<Back>> backs_;
  std::set<std::string> ids_;
  size_t reports_ = 0;
  bool answered_own_ = false;
  std::unique_ptr<HttpGateway> gateway_;
};

}  // namespace
}  // namespace trestle

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 60 * 1024) return 0;
  trestle::FuzzInput input(data, size);
  const uint8_t versions = input.Byte();
  const bool front2 = (versions & 1) != 0;
  const bool back2 = (versions & 2) != 0;
  const size_t chunk = input.Byte();
  std::string client(input.Text(input.Number()));
  std::string backend(input.Text(size));
  if (front2) {
    client =
        absl::StrCat(trestle::kHttp2Preface, trestle::Http2Frame(trestle::kSettingsFrame, 0, 0, ""),
                     trestle::FramesOf(client));
  }
  if (back2) backend = trestle::FramesOf(backend);
  trestle::World(front2, back2, chunk, std::move(backend)).Run(client);
  return 0;
}
