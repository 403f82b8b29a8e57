#include "trestle/watch/leg_probe.h"

#include <array>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/proxy/byte_sender.h"
#include "lib/tls/ech/ech_inner_hello.h"
#include "trestle/base/error.h"
#include "trestle/tls/tls_engine.h"
#include "trestle/wire/proxy_protocol.h"

namespace trestle {
namespace {

bool IsLimit(absl::Duration duration) {
  return duration > absl::ZeroDuration() && duration < absl::InfiniteDuration();
}

absl::Status AtBack(const absl::Status& status, Phase phase) {
  return AtLeg(status, Leg::kBack, phase);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const LegProbeConfig>> LegProbeConfig::Create(
    LegProbeOptions options) {
  if (options.checker == nullptr && !options.only_ech_inner) {
    return ConfigurationError("no CA certificates were given");
  }
  for (const absl::Duration limit : {options.dial_timeout, options.start_tls_timeout,
                                     options.handshake_timeout, options.ticket_wait}) {
    if (!IsLimit(limit)) return ConfigurationError("a time limit must be above 0 and finite");
  }
  ClientTlsOptions tls_options;
  tls_options.parameters = options.parameters;
  tls_options.credential = options.credential;
  tls_options.peer_key_type = options.key_type;
  tls_options.dangerous_skip_verify = true;
  tls_options.request_staple = true;
  absl::StatusOr<std::shared_ptr<const ClientTlsConfig>> tls =
      ClientTlsConfig::Create(std::move(tls_options));
  if (!tls.ok()) return tls.status();
  return std::shared_ptr<const LegProbeConfig>(
      new LegProbeConfig(std::move(options), *std::move(tls)));
}

LegProbeConfig::LegProbeConfig(LegProbeOptions options, std::shared_ptr<const ClientTlsConfig> tls)
    : options_(std::move(options)), tls_(std::move(tls)) {}

std::string LegProbeTarget::expected_name() const {
  if (!verify_name.empty()) return verify_name;
  return server_name.empty() ? endpoint.AddressText() : server_name;
}

bool ProbeReport::denies_inner_hello() const {
  constexpr uint8_t kProtocolVersion = 70;  // RFC 8446 6.2: a server without TLS 1.3.
  const std::optional<Error> error = GetError(ech_inner);
  return error.has_value() &&
         (error->code == ErrorCode::kProtocol || error->alert == kProtocolVersion);
}

LegProbe::LegProbe(Scheduler& scheduler, Dialer& dialer,
                   std::shared_ptr<const LegProbeConfig> config, LegProbeTarget target,
                   Callback done)
    : scheduler_(scheduler), dialer_(dialer), config_(std::move(config)), done_(std::move(done)) {
  report_.started = scheduler.Now();
  report_.started_moment = scheduler.MonotonicNow();
  report_.target = std::move(target);
  config_->options().only_ech_inner ? ConnectForInnerHello() : Connect();
}

void LegProbe::Connect() {
  dialogue_.emplace(report_.target.start_tls, report_.target.server_name);
  EnterStage(Stage::kDialing, config_->options().dial_timeout);
  dial_ = dialer_.Connect(report_.target.endpoint,
                          [this](absl::StatusOr<std::unique_ptr<Transport>> transport) {
                            OnDialed(std::move(transport));
                          });
}

LegProbe::~LegProbe() = default;

void LegProbe::EnterStage(Stage stage, absl::Duration limit) {
  stage_ = stage;
  stage_start_ = scheduler_.MonotonicNow();
  limit_ = scheduler_.RunAfter(limit, [this] { OnTimeout(); });
}

absl::Duration LegProbe::StageTime() const { return scheduler_.MonotonicNow() - stage_start_; }

void LegProbe::OnDialed(absl::StatusOr<std::unique_ptr<Transport>> transport) {
  if (inner_hello_ == nullptr) report_.times.dial = StageTime();
  if (!transport.ok()) return Finish(AtBack(transport.status(), Phase::kDial));
  transport_ = *std::move(transport);
  report_.local = transport_->info().local;
  const absl::StatusOr<std::string> header = ProxyHeaderText();
  if (!header.ok()) return Finish(AtBack(header.status(), Phase::kDial));
  if (Send(*header)) BeginTls();
}

absl::StatusOr<std::string> LegProbe::ProxyHeaderText() const {
  const ProxyProtocolOut kind = report_.target.proxy_header;
  if (kind == ProxyProtocolOut::kNone) return "";
  const ProxyHeader header = ProxyHeader::ForTcp(report_.local, report_.target.endpoint);
  return kind == ProxyProtocolOut::kV1 ? WriteProxyHeaderV1(header) : WriteProxyHeaderV2(header);
}

bool LegProbe::Send(std::string bytes) {
  sender_ = std::make_unique<ByteSender>(*transport_, std::move(bytes));
  const IoState state = sender_->Start([this](IoState end) {
    if (FinishSending(end)) GoOn();
  });
  return state != IoState::kWouldBlock && FinishSending(state);
}

bool LegProbe::FinishSending(IoState state) {
  sender_.reset();
  if (state == IoState::kOk) return true;
  Finish(
      AtBack(transport_->status(), stage_ == Stage::kDialing ? Phase::kDial : Phase::kHandshake));
  return false;
}

// Goes on after bytes that had to wait.
void LegProbe::GoOn() {
  if (stage_ == Stage::kDialing) return BeginTls();
  stage_ == Stage::kStartTls ? ReadDialogue() : ReadInnerAnswer();
}

void LegProbe::BeginTls() {
  if (report_.target.start_tls == StartTls::kNone) return StartHandshake();
  StartDialogue();
}

void LegProbe::StartDialogue() {
  EnterStage(Stage::kStartTls, config_->options().start_tls_timeout);
  ReadDialogue();
}

void LegProbe::ReadDialogue() {
  std::array<uint8_t, 2048> buffer;
  while (true) {
    if (!Send(dialogue_->TakeOutput())) return;
    transport_->SetHandler(this);
    if (dialogue_->state() == StartTlsDialogue::State::kDone) break;
    const IoResult result = transport_->Read(absl::MakeSpan(buffer));
    if (result.state == IoState::kWouldBlock) return;
    if (result.state == IoState::kFailed) {
      return Finish(AtBack(transport_->status(), Phase::kHandshake));
    }
    if (result.state == IoState::kEndOfStream) {
      return Fail(Phase::kHandshake, ErrorCode::kTruncated,
                  "the server closed the connection before TLS began");
    }
    dialogue_->Feed(ByteView(buffer.data(), result.bytes));
    if (dialogue_->state() == StartTlsDialogue::State::kFailed) {
      return Fail(Phase::kHandshake, ErrorCode::kProtocol, dialogue_->problem());
    }
  }
  if (inner_hello_ == nullptr) report_.times.start_tls = StageTime();
  transport_->SetHandler(nullptr);
  StartHandshake();
}

void LegProbe::StartHandshake() {
  if (inner_hello_ != nullptr) return SendInnerHello();
  EnterStage(Stage::kHandshake, config_->options().handshake_timeout);
  ClientTlsTarget target;
  target.server_name = report_.target.server_name.empty() ? report_.target.endpoint.AddressText()
                                                          : report_.target.server_name;
  target.alpn = report_.target.alpn;
  target.endpoint = report_.target.endpoint;
  target.sessions = &sessions_;
  absl::StatusOr<std::unique_ptr<TlsEngine>> engine =
      TlsEngine::NewClient(config_->tls(), target, scheduler_, Leg::kBack);
  if (!engine.ok()) return Finish(engine.status());
  stream_ = std::make_unique<TlsStream>(*std::move(engine), std::move(transport_), scheduler_);
  stream_->Handshake([this](absl::Status status) { OnHandshake(std::move(status)); });
}

void LegProbe::OnHandshake(absl::Status status) {
  report_.times.handshake = StageTime();
  const bool late_words = status.ok() && stream_->tls_info().version == "TLSv1.3";
  if (!late_words) return Finish(std::move(status));
  EnterStage(Stage::kTickets, config_->options().ticket_wait);
  stream_->SetHandler(this);
  ReadTickets();
}

// Any message of the server ends the wait: a ticket, a rejection, data, or the end.
void LegProbe::ReadTickets() {
  std::array<uint8_t, 256> buffer;
  const IoResult result = stream_->Read(absl::MakeSpan(buffer));
  if (result.state == IoState::kFailed) {
    const std::optional<Error> error = GetError(stream_->status());
    // The handshake is complete even if the server just closes the connection.
    const bool refused = error.has_value() && error->code == ErrorCode::kPeerAlert;
    return Finish(refused ? AtBack(stream_->status(), Phase::kHandshake) : absl::OkStatus());
  }
  if (result.state == IoState::kWouldBlock && sessions_.sessions() == 0) return;
  Finish(absl::OkStatus());
}

void LegProbe::ConnectForInnerHello() {
  absl::StatusOr<std::unique_ptr<EchInnerHello>> hello =
      EchInnerHello::Create(report_.target.server_name, report_.target.alpn);
  if (!hello.ok()) {
    report_.ech_inner = AtBack(hello.status(), Phase::kHandshake);
    // Never from inside the constructor.
    limit_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] { Report(); });
    return;
  }
  inner_hello_ = *std::move(hello);
  Connect();
}

void LegProbe::SendInnerHello() {
  EnterStage(Stage::kInnerHello, config_->options().handshake_timeout);
  if (Send(inner_hello_->to_send())) ReadInnerAnswer();
}

void LegProbe::ReadInnerAnswer() {
  std::array<uint8_t, 2048> buffer;
  transport_->SetHandler(this);
  while (inner_hello_->state() == EchInnerHello::State::kNeedMore) {
    const IoResult result = transport_->Read(absl::MakeSpan(buffer));
    if (result.state == IoState::kWouldBlock) return;
    if (result.state == IoState::kFailed) {
      return Finish(AtBack(transport_->status(), Phase::kHandshake));
    }
    if (result.state == IoState::kEndOfStream) {
      inner_hello_->End();
    } else {
      inner_hello_->Feed(ByteView(buffer.data(), result.bytes));
    }
  }
  Finish(inner_hello_->error());
}

void LegProbe::OnReadable() {
  if (stage_ == Stage::kStartTls) return ReadDialogue();
  stage_ == Stage::kInnerHello ? ReadInnerAnswer() : ReadTickets();
}

void LegProbe::OnTimeout() {
  if (stage_ == Stage::kTickets) return Finish(absl::OkStatus());
  if (stage_ == Stage::kDialing && inner_hello_ == nullptr) report_.times.dial = StageTime();
  Fail(stage_ == Stage::kDialing ? Phase::kDial : Phase::kHandshake, ErrorCode::kTimeout,
       absl::StrCat(MissingAtTimeout(), " within ", absl::FormatDuration(StageTime())));
}

absl::string_view LegProbe::MissingAtTimeout() const {
  switch (stage_) {
    case Stage::kDialing:
      return transport_ == nullptr ? "not connected" : "the server did not take the PROXY header";
    case Stage::kStartTls:
      return "the server did not agree to STARTTLS";
    case Stage::kInnerHello:
      return "the server did not answer an inner hello (ECH)";
    case Stage::kHandshake:
    case Stage::kTickets:
      break;
  }
  return "the TLS handshake was not finished";
}

void LegProbe::Fail(Phase phase, ErrorCode code, std::string detail) {
  Finish(MakeError(code, Leg::kBack, phase, std::move(detail)));
}

// Ends a connection.
void LegProbe::Finish(absl::Status status) {
  limit_.reset();
  dial_.reset();
  sender_.reset();
  const bool go_on = inner_hello_ == nullptr && status.ok() && report_.target.ech_inner;
  (inner_hello_ == nullptr ? report_.status : report_.ech_inner) = std::move(status);
  if (stream_ != nullptr) KeepHandshake();
  if (transport_ != nullptr) transport_->SetHandler(nullptr);
  transport_.reset();
  go_on ? ConnectForInnerHello() : Report();
  // `this` may be destroyed here.
}

void LegProbe::KeepHandshake() {
  report_.tls = stream_->tls_info();
  report_.post_quantum = absl::StrContains(report_.tls.group, "MLKEM");
  report_.resumption_offered = sessions_.sessions() > 0;
  const ServedChain served = stream_->served_chain();
  if (!served.certificates.empty()) {
    report_.chain =
        config_->options().checker->Check(served, report_.target.expected_name(), scheduler_.Now());
  }
  stream_->SetHandler(nullptr);
  // A last alert or close_notify. Do not wait for a peer that does not accept it at once.
  stream_->ShutdownWrite(StreamEnd::kClean);
  stream_.reset();
}

void LegProbe::Report() {
  Callback done = std::move(done_);
  ProbeReport report = std::move(report_);
  done(std::move(report));
}

}  // namespace trestle
