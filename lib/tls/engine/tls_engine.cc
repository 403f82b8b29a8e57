#include "trestle/tls/tls_engine.h"

#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/stack.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/base/optimization.h"
#include "absl/strings/str_cat.h"
#include "lib/tls/engine/engine_state.h"
#include "lib/tls/engine/peer_chain.h"
#include "lib/tls/engine/ssl_error.h"
#include "lib/tls/sessions/session_clock.h"
#include "lib/tls/sessions/session_memory.h"
#include "lib/wire/first_bytes.h"
#include "lib/wire/hidden_name.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr uint8_t kAlertRecord = 21;
constexpr size_t kPlainAlertBytes = 7;  // Record header, level, description.

// The longest signature in first_bytes.h.
constexpr size_t kFirstBytes = 8;

// Bytes of a record beside its plaintext, for any cipher, and of key updates and tickets that may
// precede it.
constexpr size_t kRecordSlackBytes = 512;

// Dynamic record sizing: a silence after which the congestion window counts as closed.
constexpr absl::Duration kBurstGap = absl::Seconds(1);

// Returns how much of `data` goes into the next record, so that `to_send` stays within one pool
// block.
size_t NextRecordBytes(size_t data_bytes, size_t queued_bytes) {
  const size_t room = BufferPool::kBlockBytes - queued_bytes - kRecordSlackBytes;
  return std::min({data_bytes, room, size_t{SSL3_RT_MAX_PLAIN_LENGTH}});
}

}  // namespace

IoState EngineState::Handshake() {
  if (!status_.ok()) return IoState::kFailed;
  if (handshake_done()) return IoState::kOk;
  if (record_.wait.waiting()) return IoState::kWouldBlock;
  record_.wait.Drop();
  if (JudgeFirstBytes() == IoState::kFailed) return IoState::kFailed;
  SessionClock clock(scheduler_);
  ERR_clear_error();
  plain_alert_ahead_ = false;
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) return FinishHandshake();
  const IoState state = Settle(result);
  return plain_alert_ahead_ ? ReadPlainAlert() : state;
}

// A peer that doesn't speak TLS gets no TLS bytes, and BoringSSL does not see its bytes. With
// `answer_plain_http`, a client that speaks HTTP gets an HTTP answer.
IoState EngineState::JudgeFirstBytes() {
  if (stage_ != Stage::kFirstBytes) return IoState::kOk;
  const wire_internal::FirstBytesVerdict verdict =
      wire_internal::JudgeFirstBytes(received_.view().subspan(0, kFirstBytes));
  any_received_ = !received_.empty();
  if (!verdict.decided && !received_ended_) return IoState::kWouldBlock;
  stage_ = Stage::kHandshake;
  if (verdict.state != HelloState::kNotTls) return IoState::kOk;
  const bool answers = is_server() && record_.handshake->server->options().answer_plain_http;
  if (answers && wire_internal::IsPlainHttpRequest(received_.view().subspan(0, kFirstBytes))) {
    to_send_.Append(AsBytes(wire_internal::PlainHttpAnswer()));
  }
  return Fail(is_server() ? ErrorCode::kNotTls : ErrorCode::kProtocol,
              absl::StrCat("the peer does not speak TLS: ", verdict.detail));
}

// A client that rejects a TLS 1.3 ServerHello has no keys yet and sends its alert in clear text.
// BoringSSL expects ciphertext by then and would report a bad record.
bool EngineState::SeesPlainAlert() const {
  return stage_ == Stage::kAnswered && boundary_.at_start() && !received_.empty() &&
         received_.view()[0] == kAlertRecord && SSL_version(ssl_.get()) == TLS1_3_VERSION;
}

IoState EngineState::ReadPlainAlert() {
  if (received_.size() < kPlainAlertBytes) {
    return received_ended_ ? FailTruncated() : IoState::kWouldBlock;
  }
  Error error;
  error.code = ErrorCode::kPeerAlert;
  error.alert = received_.view()[kPlainAlertBytes - 1];
  error.detail = PeerAlertText(*error.alert);
  return Fail(std::move(error));
}

IoState EngineState::FinishHandshake() {
  FillInfo();
  if (CheckAlpn() == IoState::kFailed) return IoState::kFailed;
  stage_ = Stage::kOpen;
  record_.handshake.reset();
  tickets_wait_ = is_server() && SSL_version(ssl_.get()) == TLS1_3_VERSION;
  return IoState::kOk;
}

void EngineState::FillInfo() {
  const SSL* ssl = ssl_.get();
  TlsInfo& info = record_.info;
  info.version = SSL_get_version(ssl);
  if (const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl)) {
    info.cipher = SSL_CIPHER_standard_name(cipher);
  }
  if (const char* group = SSL_get_group_name(SSL_get_group_id(ssl))) info.group = group;
  const uint8_t* alpn = nullptr;
  unsigned alpn_bytes = 0;
  SSL_get0_alpn_selected(ssl, &alpn, &alpn_bytes);
  info.alpn = std::string(AsText(ByteView(alpn, alpn_bytes)));
  info.resumed = SSL_session_reused(ssl) == 1;
  info.ech_accepted = SSL_ech_accepted(ssl) == 1;
  info.hello_retried = SSL_used_hello_retry_request(ssl) == 1;
  if (record_.resumption == nullptr) return;
  ResumptionState& resumption = *record_.resumption;
  resumption.memory.LearnGroup(resumption.target, SSL_get_group_id(ssl), scheduler_.MonotonicNow());
}

// RFC 7301 lets a server leave ALPN out, but most clients that offer it need the answer.
IoState EngineState::CheckAlpn() {
  if (!needs_alpn_ || !record_.info.alpn.empty()) return IoState::kOk;
  SSL_send_fatal_alert(ssl_.get(), SSL_AD_NO_APPLICATION_PROTOCOL);
  ERR_clear_error();
  Error error;
  error.code = ErrorCode::kAlpnMismatch;
  error.alert = record_.alert_sent;
  error.detail = "the peer chose none of the application protocols offered";
  return Fail(std::move(error));
}

IoResult EngineState::Read(MutableByteView out) {
  if (ABSL_PREDICT_FALSE(!status_.ok())) return {0, IoState::kFailed};
  if (ABSL_PREDICT_FALSE(!handshake_done())) return {0, IoState::kWouldBlock};
  if (NeedsBytes()) return {0, IoState::kWouldBlock};
  SessionClock clock(scheduler_);
  size_t filled = 0;
  while (filled < out.size() && !NeedsBytes()) {
    const size_t room = std::min<size_t>(out.size() - filled, SSL3_RT_MAX_PLAIN_LENGTH);
    starved_ = false;
    // SSL_read clears the error queue itself, as SSL_write does.
    const int result = SSL_read(ssl_.get(), out.data() + filled, static_cast<int>(room));
    if (ABSL_PREDICT_FALSE(record_.key_updates.too_many())) return {0, FailKeyUpdates()};
    if (result <= 0) {
      // The next call finds the end or failure again.
      if (filled > 0) break;
      return {0, Settle(result)};
    }
    filled += static_cast<size_t>(result);
    starved_ = SSL_pending(ssl_.get()) == 0;
  }
  return {filled, IoState::kOk};
}

IoResult EngineState::Write(ByteView data) {
  if (ABSL_PREDICT_FALSE(!status_.ok())) return {0, IoState::kFailed};
  if (ABSL_PREDICT_FALSE(!handshake_done())) return {0, IoState::kWouldBlock};
  if (ABSL_PREDICT_FALSE(stage_ == Stage::kEnded)) {
    return {0, Fail(ErrorCode::kInternal, "a write came after the end of the stream")};
  }
  if (ABSL_PREDICT_FALSE(small_records_first_)) NoteBurst();
  size_t taken = 0;
  while (taken < data.size() && to_send_.size() < kSendLimitBytes) {
    const size_t bytes =
        std::min(NextRecordBytes(data.size() - taken, to_send_.size()), RecordLimit());
    const int result = SSL_write(ssl_.get(), data.data() + taken, static_cast<int>(bytes));
    if (result <= 0) {
      Settle(result);
      return {0, IoState::kFailed};
    }
    taken += static_cast<size_t>(result);
    tickets_wait_ = false;
    burst_bytes_ += static_cast<size_t>(result);
  }
  if (taken == 0 && !data.empty()) return {0, IoState::kWouldBlock};
  return {taken, IoState::kOk};
}

void EngineState::QueueTickets() {
  if (!tickets_wait_ || !status_.ok()) return;
  tickets_wait_ = false;
  SSL_write(ssl_.get(), nullptr, 0);
  ERR_clear_error();
}

void EngineState::NoteBurst() {
  const MonotonicTime now = scheduler_.MonotonicNow();
  if (now - last_write_ >= kBurstGap) burst_bytes_ = 0;
  last_write_ = now;
}

void EngineState::QueueCloseNotify() {
  if (stage_ != Stage::kOpen || !status_.ok()) return;
  stage_ = Stage::kEnded;
  tickets_wait_ = false;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

bool EngineState::holds_buffers() const {
  return received_.holds_memory() || to_send_.holds_memory() ||
         (ssl_ != nullptr && SSL_has_pending(ssl_.get()));
}

ServedChain EngineState::served_chain() const {
  ServedChain served;
  if (ssl_ == nullptr || is_server()) return served;
  served.certificates = CopyChain(SSL_get0_peer_certificates(ssl_.get()));
  const uint8_t* staple = nullptr;
  size_t staple_bytes = 0;
  SSL_get0_ocsp_response(ssl_.get(), &staple, &staple_bytes);
  served.ocsp_staple = std::string(AsText(ByteView(staple, staple_bytes)));
  return served;
}

// The only caller of SSL_get_error.
IoState EngineState::Settle(int ssl_result) {
  switch (SSL_get_error(ssl_.get(), ssl_result)) {
    case SSL_ERROR_NONE:
      return IoState::kOk;
    case SSL_ERROR_WANT_READ:
      starved_ = true;
      return IoState::kWouldBlock;
    case SSL_ERROR_PENDING_CERTIFICATE:
    case SSL_ERROR_PENDING_SESSION:
    case SSL_ERROR_PENDING_TICKET:
    case SSL_ERROR_WANT_CERTIFICATE_VERIFY:
    case SSL_ERROR_WANT_PRIVATE_KEY_OPERATION:
      return WaitForAnswer();
    case SSL_ERROR_ZERO_RETURN: {
      // Bytes after close_notify are ignored (RFC 8446 6.1).
      received_.Clear();
      if (handshake_done()) return IoState::kEndOfStream;
      Error error;
      error.code = ErrorCode::kPeerAlert;
      error.alert = SSL_AD_CLOSE_NOTIFY;
      error.detail = PeerAlertText(SSL_AD_CLOSE_NOTIFY);
      return Fail(std::move(error));
    }
    case SSL_ERROR_SYSCALL:
      return FailTruncated();
    case SSL_ERROR_SSL:
      return FailByErrorQueue();
    default:
      return Fail(ErrorCode::kInternal, "BoringSSL waits for an operation that was never started");
  }
}

IoState EngineState::WaitForAnswer() {
  Timer timer;
  // A hello hook limits its own time, for example that of dialing a backend.
  const auto& hello_answer = record_.handshake->hello_answer;
  const bool hook_thinks = hello_answer.asked() && !hello_answer.answered();
  if (is_server() && !hook_thinks) {
    const absl::Duration limit = server_config_->options().answer_timeout;
    timer = scheduler_.RunAfter(limit, [this, limit] { FailWaiting(limit); });
  }
  record_.wait.Begin(std::move(timer));
  return IoState::kWouldBlock;
}

void EngineState::FailWaiting(absl::Duration limit) {
  SSL_send_fatal_alert(ssl_.get(), SSL_AD_INTERNAL_ERROR);
  Error error;
  error.code = ErrorCode::kTimeout;
  error.alert = record_.alert_sent;
  error.detail = absl::StrCat("no answer from ", record_.wait.question(), " within ",
                              absl::FormatDuration(limit));
  HandshakeWait& wait = record_.wait;
  Fail(std::move(error));
  wait.Begin(nullptr);
  wait.End();
}

IoState EngineState::FailByErrorQueue() {
  const ErrorCause cause = TakeErrorCause();
  FailureScene scene;
  scene.is_server = is_server();
  scene.handshake_done = handshake_done();
  scene.hello_answered = stage_ >= Stage::kAnswered;
  // BoringSSL sends no alert if a signature failed.
  if (record_.signing_failure != nullptr && !record_.alert_sent.has_value()) {
    SSL_send_fatal_alert(ssl_.get(), SSL_AD_INTERNAL_ERROR);
  }
  return Fail(ExplainSslError(cause, record_, scene));
}

IoState EngineState::FailTruncated() {
  if (handshake_done()) {
    return Fail(ErrorCode::kTruncated, "the peer's stream ended without close_notify");
  }
  if (!any_received_) {
    return Fail(ErrorCode::kTruncated, "the peer closed the connection before it sent anything");
  }
  return Fail(ErrorCode::kTruncated, is_server() && stage_ < Stage::kAnswered
                                         ? "the peer closed the connection within its ClientHello"
                                         : "the peer closed the connection during the handshake");
}

IoState EngineState::FailKeyUpdates() {
  SSL_send_fatal_alert(ssl_.get(), SSL_AD_UNEXPECTED_MESSAGE);
  Error error;
  error.code = ErrorCode::kOverLimit;
  error.alert = record_.alert_sent;
  error.detail = absl::StrCat("the peer changed its keys more than ",
                              record_.key_updates.most_per_minute(), " times within a minute");
  error.limit = Limit::kKeyUpdates;
  return Fail(std::move(error));
}

IoState EngineState::Fail(ErrorCode code, std::string detail) {
  Error error;
  error.code = code;
  error.detail = std::move(detail);
  return Fail(std::move(error));
}

IoState EngineState::Fail(Error error) {
  if (record_.info.ech_accepted) {
    error.detail = wire_internal::HideName(error.detail, record_.info.server_name);
  }
  error.leg = leg_;
  error.phase = handshake_done() ? Phase::kRelay : Phase::kHandshake;
  status_ = MakeError(error);
  record_.wait.Drop();
  // The offered session may be at fault: drop the target's others, so the next handshake does not
  // fail the same way.
  if (!handshake_done() && record_.resumption != nullptr && record_.resumption->offered) {
    record_.resumption->memory.Forget(record_.resumption->target);
  }
  received_.Clear();
  record_.handshake.reset();
  ERR_clear_error();
  return IoState::kFailed;
}

}  // namespace trestle
