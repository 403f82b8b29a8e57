#include "trestle/watch/health_check.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/proxy/byte_sender.h"
#include "lib/watch/http2_ask.h"
#include "trestle/base/error.h"
#include "trestle/tls/client_tls_target.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/wire/proxy_protocol.h"

namespace trestle {
namespace {

// A status line has a reason of any length; more than this isn't HTTP.
constexpr size_t kMaxStatusLine = 1024;

// A path, or a host: both fit in one frame of HTTP/2.
constexpr size_t kMaxText = 4096;

// What is read of a response after its status, so that the backend can end in peace.
constexpr size_t kMaxRest = 256 * 1024;

bool IsVisible(absl::string_view text) {
  return absl::c_all_of(text, [](char c) { return absl::ascii_isgraph(c); });
}

// Returns the status of "HTTP/1.1 200 OK"; nothing for other lines.
std::optional<int> StatusOf(absl::string_view line) {
  // "HTTP/1.x NNN", then nothing or a space.
  constexpr size_t kStatusAt = 9;
  constexpr size_t kStatusEnd = 12;
  if (line.size() < kStatusEnd || !absl::StartsWith(line, "HTTP/1.") ||
      !absl::ascii_isdigit(line[7]) || line[8] != ' ') {
    return std::nullopt;
  }
  if (line.size() > kStatusEnd && line[kStatusEnd] != ' ') return std::nullopt;
  const absl::string_view digits = line.substr(kStatusAt, kStatusEnd - kStatusAt);
  int status = 0;
  if (!absl::c_all_of(digits, [](char c) { return absl::ascii_isdigit(c); }) ||
      !absl::SimpleAtoi(digits, &status)) {
    return std::nullopt;
  }
  return status;
}

}  // namespace

absl::string_view EnumName(HealthCheckKind kind) {
  switch (kind) {
    case HealthCheckKind::kNone:
      return "none";
    case HealthCheckKind::kTcp:
      return "tcp";
    case HealthCheckKind::kTls:
      return "tls";
    case HealthCheckKind::kHttp:
      return "http";
  }
  return "none";
}

absl::Status CheckHealthCheck(const HealthCheck& check) {
  if (check.kind == HealthCheckKind::kTls && !check.tls) {
    return ConfigurationError("a health check by TLS needs a TLS config");
  }
  if (check.kind != HealthCheckKind::kHttp) return absl::OkStatus();
  if (check.path.size() > kMaxText || check.host.size() > kMaxText) {
    return ConfigurationError(
        absl::StrCat("the path and the host of a health check have at most ", kMaxText, " bytes"));
  }
  if (!absl::StartsWith(check.path, "/") || !IsVisible(check.path)) {
    return ConfigurationError(
        absl::StrCat("the path of a health check begins with / and has no "
                     "spaces, unlike \"",
                     EscapeForLog(check.path), "\""));
  }
  if (!IsVisible(check.host)) {
    return ConfigurationError(
        absl::StrCat("the host of a health check can't be \"", EscapeForLog(check.host), "\""));
  }
  const bool in_order = check.lowest_status <= check.highest_status;
  if (!in_order || check.lowest_status < 200 || check.highest_status > 599) {
    return ConfigurationError("the statuses of a health check are a range within 200 to 599");
  }
  return absl::OkStatus();
}

HealthCheckRun::HealthCheckRun(Scheduler& scheduler, Dialer& dialer,
                               std::shared_ptr<const HealthCheck> check, GroupedBackend backend,
                               absl::Duration timeout, Callback done)
    : scheduler_(scheduler),
      check_(std::move(check)),
      backend_(std::move(backend)),
      timeout_(timeout),
      done_(std::move(done)) {
  limit_ = scheduler_.RunAfter(timeout_, [this] { OnTimeout(); });
  dial_ = dialer.Connect(backend_.endpoint,
                         [this](absl::StatusOr<std::unique_ptr<Transport>> transport) {
                           OnDialed(std::move(transport));
                         });
}

HealthCheckRun::~HealthCheckRun() = default;

std::string HealthCheckRun::server_name() const {
  if (!check_->server_name.empty()) return check_->server_name;
  return backend_.name != nullptr ? backend_.name->certificate_name() : "";
}

void HealthCheckRun::OnDialed(absl::StatusOr<std::unique_ptr<Transport>> transport) {
  if (!transport.ok()) return Finish(AtLeg(transport.status(), Leg::kBack, Phase::kDial));
  stream_ = *std::move(transport);
  absl::StatusOr<std::string> header = ProxyHeaderText();
  if (!header.ok()) return Finish(AtLeg(header.status(), Leg::kBack, Phase::kDial));
  Send(*std::move(header), [this] {
    if (check_->kind == HealthCheckKind::kTcp) return Finish(absl::OkStatus());
    check_->tls ? StartTls() : Ask();
  });
}

absl::StatusOr<std::string> HealthCheckRun::ProxyHeaderText() const {
  switch (check_->proxy_header) {
    case ProxyProtocolOut::kNone:
      return "";
    case ProxyProtocolOut::kV1:
      return WriteProxyHeaderV1(ProxyHeader::ForTcp(stream_->info().local, stream_->info().peer));
    case ProxyProtocolOut::kV2:
      return WriteProxyHeaderV2(ProxyHeader::Local());
  }
  return "";
}

void HealthCheckRun::Send(std::string bytes, absl::AnyInvocable<void()> then) {
  auto shared = std::make_shared<absl::AnyInvocable<void()>>(std::move(then));
  sender_ = std::make_unique<ByteSender>(*stream_, std::move(bytes));
  const IoState state =
      sender_->Start([this, shared](IoState end) { AfterSent(end, std::move(*shared)); });
  if (state != IoState::kWouldBlock) AfterSent(state, std::move(*shared));
}

void HealthCheckRun::AfterSent(IoState state, absl::AnyInvocable<void()> then) {
  sender_.reset();
  if (state == IoState::kFailed) {
    return Finish(AtLeg(stream_->status(), Leg::kBack, phase()));
  }
  then();
}

void HealthCheckRun::StartTls() {
  const std::string name = server_name();
  ClientTlsTarget target;
  target.server_name = name.empty() ? backend_.endpoint.AddressText() : name;
  target.verify_name = check_->verify_name;
  target.endpoint = backend_.endpoint;
  if (check_->kind == HealthCheckKind::kHttp) {
    target.alpn = {"http/1.1", "h2"};
    target.alpn_optional = true;
  }
  absl::StatusOr<std::unique_ptr<TlsEngine>> engine =
      TlsEngine::NewClient(check_->tls(), target, scheduler_, Leg::kBack);
  if (!engine.ok()) return Finish(engine.status());
  auto tls = std::make_unique<TlsStream>(*std::move(engine), std::move(stream_), scheduler_);
  tls_ = tls.get();
  stream_ = std::move(tls);
  tls_->Handshake([this](absl::Status status) { OnHandshake(std::move(status)); });
}

void HealthCheckRun::OnHandshake(absl::Status status) {
  if (!status.ok() || check_->kind == HealthCheckKind::kTls) return Finish(std::move(status));
  Ask();
}

bool HealthCheckRun::AsksHttp2() const {
  return tls_ != nullptr ? tls_->tls_info().alpn == "h2" : check_->http2;
}

void HealthCheckRun::Ask() {
  asked_ = true;
  if (AsksHttp2()) http2_ = std::make_unique<Http2Ask>();
  Send(Request(), [this] {
    stream_->SetHandler(this);
    ReadAnswer();
  });
}

std::string HealthCheckRun::Request() const {
  std::string host = check_->host.empty() ? server_name() : check_->host;
  // A Unix-domain socket has no address that a Host may have.
  if (host.empty()) host = backend_.endpoint.is_ip() ? backend_.endpoint.ToString() : "localhost";
  if (http2_ != nullptr) {
    return Http2Ask::Request(tls_ != nullptr ? "https" : "http", host, check_->path);
  }
  return absl::StrCat("GET ", check_->path, " HTTP/1.1\r\nHost: ", host,
                      "\r\nUser-Agent: trestle-health-check\r\nAccept: */*\r\n"
                      "Connection: close\r\n\r\n");
}

void HealthCheckRun::OnReadable() { answered_ ? DropRest() : ReadAnswer(); }

void HealthCheckRun::ReadAnswer() {
  std::array<uint8_t, 1024> buffer;
  while (!absl::StrContains(answer_, '\n')) {
    const IoResult result = stream_->Read(absl::MakeSpan(buffer));
    if (result.state == IoState::kWouldBlock) return;
    if (result.state == IoState::kFailed) {
      return Finish(AtLeg(stream_->status(), Leg::kBack, Phase::kRelay));
    }
    if (result.state == IoState::kEndOfStream) {
      return Fail(Phase::kRelay, ErrorCode::kTruncated,
                  "the backend closed the connection before it answered the health check");
    }
    const absl::string_view bytes = AsText(ByteView(buffer.data(), result.bytes));
    if (http2_ != nullptr) {
      if (!ReadHttp2(bytes)) return;
      continue;
    }
    absl::StrAppend(&answer_, bytes);
    if (answer_.size() > kMaxStatusLine && !absl::StrContains(answer_, '\n')) break;
  }
  JudgeStatusLine();
}

// Ends the check with the status: the rest of a response by HTTP/2 needs no reader. Returns whether
// the check goes on.
bool HealthCheckRun::ReadHttp2(absl::string_view bytes) {
  http2_->Read(bytes);
  // The backend does without acknowledgements if it does not read.
  const std::string reply = http2_->TakeReply();
  if (!reply.empty()) (void)stream_->Write(AsBytes(reply));
  if (!http2_->failure().empty()) {
    Fail(Phase::kRelay, ErrorCode::kProtocol,
         absl::StrCat("the backend's answer to the health check by HTTP/2 is wrong: ",
                      http2_->failure()));
    return false;
  }
  if (!http2_->status().has_value()) return true;
  JudgeStatus(*http2_->status());
  return false;
}

void HealthCheckRun::JudgeStatusLine() {
  absl::string_view line = absl::string_view(answer_).substr(0, answer_.find('\n'));
  line = absl::StripTrailingAsciiWhitespace(line);
  const std::optional<int> status = StatusOf(line);
  if (!status.has_value()) {
    return Fail(Phase::kRelay, ErrorCode::kProtocol,
                "the backend's answer to the health check isn't HTTP/1");
  }
  JudgeStatus(*status);
}

void HealthCheckRun::JudgeStatus(int status) {
  if (status < check_->lowest_status || status > check_->highest_status) {
    return Fail(Phase::kRelay, ErrorCode::kProtocol,
                absl::StrCat("the backend answered the health check with status ", status, ", not ",
                             check_->lowest_status, " to ", check_->highest_status));
  }
  if (http2_ != nullptr) return Finish(absl::OkStatus());
  answered_ = true;
  DropRest();
}

// The backend is healthy, however the response ends.
void HealthCheckRun::DropRest() {
  std::array<uint8_t, 4096> buffer;
  while (dropped_ < kMaxRest) {
    const IoResult result = stream_->Read(absl::MakeSpan(buffer));
    if (result.state == IoState::kWouldBlock) return;
    if (result.state != IoState::kOk) break;
    dropped_ += result.bytes;
  }
  Finish(absl::OkStatus());
}

void HealthCheckRun::OnTimeout() {
  if (answered_) return Finish(absl::OkStatus());
  const char* const what = stream_ == nullptr ? "the backend did not accept a connection"
                           : asked_           ? "the backend did not answer the health check"
                           : tls_ != nullptr  ? "the TLS handshake was not finished"
                                              : "the backend did not take the PROXY header";
  Fail(phase(), ErrorCode::kTimeout,
       absl::StrCat(what, " within ", absl::FormatDuration(timeout_)));
}

Phase HealthCheckRun::phase() const {
  if (asked_) return Phase::kRelay;
  return tls_ != nullptr ? Phase::kHandshake : Phase::kDial;
}

void HealthCheckRun::Fail(Phase phase, ErrorCode code, std::string detail) {
  Finish(MakeError(code, Leg::kBack, phase, std::move(detail)));
}

void HealthCheckRun::Finish(absl::Status status) {
  limit_.reset();
  dial_.reset();
  sender_.reset();
  if (stream_ != nullptr) {
    stream_->SetHandler(nullptr);
    // A last alert or close_notify. Does not wait for a peer that takes it slowly.
    stream_->ShutdownWrite(StreamEnd::kClean);
    stream_.reset();
  }
  Callback done = std::move(done_);
  done(std::move(status));
  // `this` may be destroyed here.
}

}  // namespace trestle
