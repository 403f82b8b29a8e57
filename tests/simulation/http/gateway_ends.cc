#include "tests/simulation/http/gateway_ends.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "integrations/http/http2_client.h"
#include "integrations/http/http2_server.h"
#include "integrations/http/http_wire.h"
#include "tests/integrations/http/strict_http.h"
#include "tests/support/stream_peer.h"

namespace trestle {
namespace {

constexpr char kPoison[] = "HTTP/1.1 200 OK\r\nX-Token: poison\r\nContent-Length: 6\r\n\r\npoison";

bool Chance(SimRandom& random, uint64_t in_hundred) { return random() % 100 < in_hundred; }

// Checks a response's body, which may be incomplete. A token that ends in "~" marks a body that
// only the end of the backend's connection ends: a FIN that comes early makes it short.
void CheckBody(const SimRequest& request, absl::string_view token, absl::string_view body,
               bool complete, SimFindings& findings) {
  const std::string expected =
      request.method == "HEAD" ? "" : BodyOf(request.token, request.receives);
  const bool until_end = absl::ConsumeSuffix(&token, "~");
  if (token != request.token) {
    findings.Add(absl::StrCat(request.token, " got the response of ", token));
  } else if (!absl::StartsWith(expected, body)) {
    findings.Add(absl::StrCat(request.token, " got bytes of another response"));
  } else if (complete && !until_end && body.size() != expected.size()) {
    findings.Add(absl::StrCat(request.token, " got a short response that looks complete"));
  } else if (complete) {
    ++findings.complete;
  }
}

class Http1SimClient final : public SimClient {
 public:
  Http1SimClient(Scheduler& loop, std::unique_ptr<Transport> transport,
                 std::vector<SimRequest> requests, SimRandom& random, SimFindings& findings)
      : requests_(std::move(requests)),
        random_(random),
        findings_(findings),
        peer_(std::make_unique<StreamPeer>(loop, std::move(transport))) {}

  void Poll() override {
    if (left_) return;
    reader_.Read(peer_->received());
    if (!reader_.fault().empty()) findings_.Add("a client got " + reader_.fault());
    Check();
    if (Chance(random_, 5)) peer_->SetReading(!(reading_ = !reading_));
    if (Chance(random_, 30)) peer_->SetReading(reading_ = true);
    if (begun_ < requests_.size() && (finals_ == begun_ || Chance(random_, 10))) Begin();
  }

  void Leave() override {
    if (std::exchange(left_, true)) return;
    peer_->Abort();
    peer_.reset();
  }

  bool done() const override {
    return left_ || finals_ == requests_.size() || peer_->saw_end() || !peer_->failure().ok();
  }

  size_t begun() const override { return begun_; }

 private:
  void Begin() {
    const SimRequest& request = requests_[begun_++];
    reader_.to_head.push_back(request.method == "HEAD");
    std::string text =
        absl::StrCat(request.method, " /", request.token, " HTTP/1.1\r\nHost: ", request.host,
                     "\r\nX-Size: ", request.receives, "\r\n");
    const std::string body = BodyOf(request.token, request.sends);
    if (request.sends == 0) {
      absl::StrAppend(&text, "\r\n");
    } else if (!request.chunked) {
      absl::StrAppend(&text, "Content-Length: ", body.size(), "\r\n\r\n", body);
    } else {
      const absl::string_view first = absl::string_view(body).substr(0, body.size() / 2);
      const absl::string_view second = absl::string_view(body).substr(first.size());
      absl::StrAppend(&text, "Transfer-Encoding: chunked\r\n\r\n");
      for (const absl::string_view piece : {first, second}) {
        if (!piece.empty()) {
          absl::StrAppend(&text, absl::Hex(piece.size()), "\r\n", piece, "\r\n");
        }
      }
      absl::StrAppend(&text, "0\r\n\r\n");
    }
    peer_->Send(text);
  }

  void Check() {
    const std::vector<StrictMessage>& messages = reader_.messages();
    for (; checked_ < messages.size(); ++checked_) {
      const StrictMessage& message = messages[checked_];
      if (message.first_line[9] == '1') continue;
      if (finals_ >= begun_) return findings_.Add("a client got a response that it didn't ask for");
      const bool ours = message.first_line.substr(9, 3) == "200";
      if (ours) {
        CheckBody(requests_[finals_], message.Value("x-token"), message.body, message.complete,
                  findings_);
      }
      if (!message.complete) return;  // Looks again.
      ++finals_;
    }
  }

  const std::vector<SimRequest> requests_;
  SimRandom& random_;
  SimFindings& findings_;
  std::unique_ptr<StreamPeer> peer_;
  StrictReader reader_{/*is_answer=*/true};
  size_t begun_ = 0;
  size_t checked_ = 0;
  size_t finals_ = 0;
  bool reading_ = true;
  bool left_ = false;
};

class Http2SimClient final : public SimClient, public HttpWireOwner {
 public:
  Http2SimClient(Scheduler& loop, std::unique_ptr<Transport> transport,
                 std::vector<SimRequest> requests, SimRandom& random, SimFindings& findings)
      : requests_(std::move(requests)),
        random_(random),
        findings_(findings),
        turns_(loop),
        wire_(turns_, loop, std::move(transport), *this, false) {
    codec_ = std::make_unique<Http2Client>(limits_, wire_, "https");
    const TurnQueue::Turn turn(turns_);
    wire_.Start(*codec_);
  }

  void Poll() override {
    const TurnQueue::Turn turn(turns_);
    if (over_) return;
    for (const std::unique_ptr<Call>& call : calls_) PollCall(*call);
    while (begun_ < requests_.size() && codec_->capacity() > 0 && Chance(random_, 50)) Begin();
  }

  void Leave() override {
    const TurnQueue::Turn turn(turns_);
    if (std::exchange(over_, true)) return;
    wire_.Abort();
    codec_->OnLost(absl::CancelledError("left"));
  }

  bool done() const override {
    return over_ || (begun_ == requests_.size() &&
                     std::all_of(calls_.begin(), calls_.end(),
                                 [](const auto& call) { return call->ended; }));
  }

  size_t begun() const override { return begun_; }

 private:
  struct Call final : public HttpExchange {
    void OnRequestBody() override {}
    void OnRequestRefused(HttpRefusal) override {}
    void OnResponseTaken(size_t) override {}
    void OnClientGone(const absl::Status&) override {}
    void OnResponseSent() override {}
    void OnRequestTaken(size_t) override {}
    void OnInformational(HttpResponse) override {}
    void OnResponse(HttpResponse head) override {
      status = head.status;
      if (const std::string* const value = head.fields.Find("x-token")) token = *value;
    }
    void OnResponseBody() override {
      if (!holds) Take();
    }
    void OnBackDone() override {
      Take();
      complete = ended = true;
      stream = nullptr;
    }
    void OnBackFailed(BackFailure, const absl::Status&) override {
      ended = true;
      stream = nullptr;
    }
    void Take() {
      const size_t bytes = response_body.size();
      body.append(std::string(response_body.view()));
      response_body.Consume(bytes);
      if (bytes > 0 && stream != nullptr) stream->OnResponseTaken(bytes);
    }

    const SimRequest* request = nullptr;
    BackStream* stream = nullptr;
    int status = 0;
    std::string token;
    std::string body;
    bool holds = false;
    bool complete = false;
    bool ended = false;
    bool checked = false;
  };

  void Begin() {
    const SimRequest& plan = requests_[begun_++];
    calls_.push_back(std::make_unique<Call>());
    Call& call = *calls_.back();
    call.request = &plan;
    call.holds = Chance(random_, 20);
    HttpRequest request;
    request.method = plan.method;
    request.target = absl::StrCat("/", plan.token);
    request.authority = plan.host;
    request.fields.Add("x-size", absl::StrCat(plan.receives));
    request.has_body = plan.sends > 0;
    if (request.has_body && !plan.chunked) request.content_length = plan.sends;
    call.request_body.Append(BodyOf(plan.token, plan.sends));
    call.request_body.End();
    call.stream = &codec_->Start(call, request);
  }

  void PollCall(Call& call) {
    if (call.stream != nullptr && Chance(random_, 1)) {
      BackStream* const stream = std::exchange(call.stream, nullptr);
      call.ended = true;
      return stream->Cancel();
    }
    if (call.holds && Chance(random_, 20)) {
      call.holds = false;
      call.Take();
    }
    if (call.checked || call.status != 200 || !call.ended) return;
    call.checked = true;
    CheckBody(*call.request, call.token, call.body, call.complete, findings_);
  }

  void OnWireOver(const absl::Status&) override {
    over_ = true;
    for (const std::unique_ptr<Call>& call : calls_) {
      if (!call->checked && call->status == 200) {
        CheckBody(*call->request, call->token, call->body, call->complete, findings_);
      }
      call->checked = true;
    }
  }

  const HttpLimits limits_;
  const std::vector<SimRequest> requests_;
  SimRandom& random_;
  SimFindings& findings_;
  TurnQueue turns_;
  HttpWire wire_;
  std::vector<std::unique_ptr<Call>> calls_;
  std::unique_ptr<Http2Client> codec_;
  size_t begun_ = 0;
  bool over_ = false;
};

// Checks a request's body at a backend. `size` is what its framing promises, if it does.
void CheckRequestBody(absl::string_view token, absl::string_view body, SimFindings& findings) {
  if (BodyOf(token, body.size()) != body) {
    findings.Add(absl::StrCat("a backend got bytes of another request in ", token));
  }
}

class Http1SimBackend final : public SimBackend {
 public:
  Http1SimBackend(Scheduler& loop, std::unique_ptr<Transport> transport, bool faults,
                  SimRandom& random, SimFindings& findings, SimSeen seen)
      : random_(random),
        findings_(findings),
        seen_(std::move(seen)),
        faults_(faults),
        peer_(std::make_unique<StreamPeer>(loop, std::move(transport))) {}

  void Poll() override {
    if (std::exchange(aborts_, false)) {
      peer_->Abort();
      peer_.reset();
    }
    if (over_) return;
    reader_.Read(peer_->received());
    if (!reader_.fault().empty()) findings_.Add("a backend got " + reader_.fault());
    const std::vector<StrictMessage>& messages = reader_.messages();
    for (; known_ < messages.size(); ++known_) {
      const std::vector<std::string> words = absl::StrSplit(messages[known_].first_line, ' ');
      seen_(words[0], words[1].substr(1));
    }
    for (; answered_ < messages.size() && !over_; ++answered_) {
      const StrictMessage& message = messages[answered_];
      const std::vector<std::string> words = absl::StrSplit(message.first_line, ' ');
      const std::string token = words[1].substr(1);
      CheckRequestBody(token, message.body, findings_);
      if (!message.complete || !Chance(random_, 40)) return;
      Answer(message, words[0], token);
    }
  }

 private:
  void Answer(const StrictMessage& message, const std::string& method, const std::string& token) {
    uint64_t size = 0;
    if (!absl::SimpleAtoi(message.Value("x-size"), &size)) findings_.Add("a request lost a field");
    const bool to_head = method == "HEAD";
    const std::string body = to_head ? "" : BodyOf(token, size);
    const std::string head = absl::StrCat("HTTP/1.1 200 OK\r\nX-Token: ", token, "\r\n");
    const uint64_t kind = faults_ ? random_() % 24 : 23;
    switch (kind) {
      case 0:
        return Abort();
      case 1:
        peer_->Send(absl::StrCat(head, "Content-Length: ", size, "\r\n\r\n",
                                 body.substr(0, body.size() / 2)));
        return Abort();
      case 2:
        peer_->Send("no HTTP at all\r\n\r\n");
        return;
      case 3:
        over_ = true;  // Silence.
        return;
      case 4:
        peer_->Send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        return;
      case 5:
        peer_->Send(
            absl::StrCat(head, "Connection: close\r\nContent-Length: ", size, "\r\n\r\n", body));
        return End();
      case 6:
        if (size < 20'000) {
          peer_->Send(absl::StrCat(head, "Content-Length: ", size, "\r\n\r\n", body, kPoison));
          return;
        }
        break;
      case 7:
        peer_->Send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        break;
      case 8:
        peer_->Send(absl::StrCat("HTTP/1.1 200 OK\r\nX-Token: ", token, "~\r\n",
                                 to_head ? "Content-Length: 0\r\n" : "", "\r\n", body));
        return End();
      default:
        break;
    }
    if (to_head || Chance(random_, 50)) {
      peer_->Send(absl::StrCat(head, "Content-Length: ", size, "\r\n\r\n", body));
    } else {
      const std::string chunk =
          body.empty() ? "" : absl::StrCat(absl::Hex(body.size()), "\r\n", body, "\r\n");
      peer_->Send(absl::StrCat(head, "Transfer-Encoding: chunked\r\n\r\n", chunk, "0\r\n\r\n"));
    }
  }

  // At the next poll, when what was sent is under way.
  void Abort() { over_ = aborts_ = true; }

  void End() {
    peer_->End();
    over_ = true;
  }

  SimRandom& random_;
  SimFindings& findings_;
  const SimSeen seen_;
  const bool faults_;
  std::unique_ptr<StreamPeer> peer_;
  StrictReader reader_{/*is_answer=*/false};
  size_t known_ = 0;
  size_t answered_ = 0;
  bool over_ = false;
  bool aborts_ = false;
};

class Http2SimBackend final : public SimBackend, public HttpWireOwner, public FrontHandler {
 public:
  Http2SimBackend(Scheduler& loop, std::unique_ptr<Transport> transport, bool faults,
                  SimRandom& random, SimFindings& findings, SimSeen seen)
      : random_(random),
        findings_(findings),
        seen_(std::move(seen)),
        faults_(faults),
        turns_(loop),
        wire_(turns_, loop, std::move(transport), *this, false) {
    codec_ = std::make_unique<Http2Server>(limits_, *this, wire_);
    const TurnQueue::Turn turn(turns_);
    wire_.Start(*codec_);
  }

  void Poll() override {
    const TurnQueue::Turn turn(turns_);
    for (size_t i = 0; i < served_.size() && !over_; ++i) {
      Served& served = *served_[i];
      if (served.stream == nullptr || served.answered || !served.request_body.ended()) continue;
      if (Chance(random_, 40)) Answer(served);
    }
  }

 private:
  struct Served final : public HttpExchange {
    void OnRequestBody() override {
      const size_t bytes = request_body.size();
      body.append(std::string(request_body.view()));
      request_body.Consume(bytes);
      if (bytes > 0) stream->OnRequestTaken(bytes);
    }
    void OnRequestRefused(HttpRefusal) override {}
    void OnResponseTaken(size_t) override {}
    void OnClientGone(const absl::Status&) override { stream = nullptr; }
    void OnResponseSent() override { stream = nullptr; }
    void OnRequestTaken(size_t) override {}
    void OnInformational(HttpResponse) override {}
    void OnResponse(HttpResponse) override {}
    void OnResponseBody() override {}
    void OnBackDone() override {}
    void OnBackFailed(BackFailure, const absl::Status&) override {}

    FrontStream* stream = nullptr;
    HttpRequest request;
    std::string body;
    bool answered = false;
  };

  HttpExchange* OnRequest(FrontStream& stream, HttpRequest request) override {
    served_.push_back(std::make_unique<Served>());
    Served& served = *served_.back();
    served.stream = &stream;
    seen_(request.method, request.target.substr(1));
    served.request = std::move(request);
    return &served;
  }

  HttpExchange* OnRefused(FrontStream& stream, HttpRequest request, HttpRefusal refusal) override {
    findings_.Add("a backend got a malformed request: " + refusal.reason);
    return OnRequest(stream, std::move(request));
  }

  void Answer(Served& served) {
    const std::string token = served.request.target.substr(1);
    CheckRequestBody(token, served.body, findings_);
    served.answered = true;
    uint64_t size = 0;
    const std::string* const wanted = served.request.fields.Find("x-size");
    if (wanted == nullptr || !absl::SimpleAtoi(*wanted, &size)) {
      return findings_.Add("a request lost a field");
    }
    const bool to_head = served.request.method == "HEAD";
    const std::string body = to_head ? "" : BodyOf(token, size);
    HttpResponse response;
    response.status = 200;
    response.fields.Add("x-token", token);
    if (Chance(random_, 50)) response.content_length = size;
    const uint64_t kind = faults_ ? random_() % 24 : 23;
    if (kind == 0) return Abort(served);
    if (kind == 1) {  // Cut in the middle.
      served.response_body.Append(body.substr(0, body.size() / 2));
      served.stream->SendResponse(response);
      return Abort(served);
    }
    if (kind == 2) return;  // Silence.
    if (kind == 3) {
      over_ = true;
      return wire_.Abort();
    }
    if (kind == 4) codec_->Drain();
    if (kind == 5) served.stream->SendInformational({103, {}, std::nullopt});
    served.response_body.Append(body);
    served.response_body.End();
    served.stream->SendResponse(response);
  }

  static void Abort(Served& served) { std::exchange(served.stream, nullptr)->Abort("a fault"); }

  void OnWireOver(const absl::Status&) override { over_ = true; }

  const HttpLimits limits_;
  SimRandom& random_;
  SimFindings& findings_;
  const SimSeen seen_;
  const bool faults_;
  TurnQueue turns_;
  HttpWire wire_;
  std::vector<std::unique_ptr<Served>> served_;
  std::unique_ptr<Http2Server> codec_;
  bool over_ = false;
};

}  // namespace

std::string BodyOf(absl::string_view token, size_t bytes) {
  std::string body;
  body.reserve(bytes + token.size() + 1);
  while (body.size() < bytes) absl::StrAppend(&body, token, ".");
  body.resize(bytes);
  return body;
}

std::unique_ptr<SimClient> NewSimClient(bool http2, Scheduler& loop,
                                        std::unique_ptr<Transport> transport,
                                        std::vector<SimRequest> requests, SimRandom& random,
                                        SimFindings& findings) {
  if (http2) {
    return std::make_unique<Http2SimClient>(loop, std::move(transport), std::move(requests), random,
                                            findings);
  }
  return std::make_unique<Http1SimClient>(loop, std::move(transport), std::move(requests), random,
                                          findings);
}

std::unique_ptr<SimBackend> NewSimBackend(bool http2, Scheduler& loop,
                                          std::unique_ptr<Transport> transport, bool faults,
                                          SimRandom& random, SimFindings& findings, SimSeen seen) {
  if (http2) {
    return std::make_unique<Http2SimBackend>(loop, std::move(transport), faults, random, findings,
                                             std::move(seen));
  }
  return std::make_unique<Http1SimBackend>(loop, std::move(transport), faults, random, findings,
                                           std::move(seen));
}

}  // namespace trestle
