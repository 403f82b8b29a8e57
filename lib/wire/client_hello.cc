#include "trestle/wire/client_hello.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/wire/first_bytes.h"
#include "lib/wire/hello_parser.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

using wire_internal::kAlertRecordOverflow;
using wire_internal::kAlertUnexpectedMessage;

constexpr size_t kRecordHeaderBytes = 5;
constexpr size_t kMaxRecordBytes = 16384;  // RFC 8446 5.1.
constexpr size_t kMessageHeaderBytes = 4;
constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kClientHelloMessage = 1;
// Version, random, empty session id, one cipher suite, one compression method.
constexpr size_t kMinHelloBytes = 2 + 32 + 1 + 2 + 2 + 1 + 1;

absl::string_view RecordTypeName(uint8_t type) {
  switch (type) {
    case 20:
      return "a change_cipher_spec";
    case 21:
      return "an alert";
    case 23:
      return "an application_data";
    default:
      return "an unknown";
  }
}

}  // namespace

absl::string_view EnumName(HelloState state) {
  switch (state) {
    case HelloState::kNeedMore:
      return "need_more";
    case HelloState::kDone:
      return "done";
    case HelloState::kNotTls:
      return "not_tls";
    case HelloState::kMalformed:
      return "malformed";
    case HelloState::kTooLarge:
      return "too_large";
  }
  return "unknown";
}

HelloState ClientHelloReader::Feed(ByteView bytes) {
  if (state_ != HelloState::kNeedMore || bytes.empty()) return state_;
  ++segments_;
  replay_.append(AsText(bytes).data(), bytes.size());
  if (!first_bytes_fine_ && !ReadFirstBytes()) return state_;
  while (state_ == HelloState::kNeedMore) {
    if (!(record_left_ == 0 ? ReadRecordHeader() : ReadRecordBody())) break;
  }
  return state_;
}

absl::Status ClientHelloReader::error() const {
  Error error;
  error.leg = Leg::kFront;
  error.phase = Phase::kHello;
  error.detail = detail_;
  if (alert_ != 0) error.alert = alert_;
  switch (state_) {
    case HelloState::kNeedMore:
    case HelloState::kDone:
      return absl::OkStatus();
    case HelloState::kNotTls:
      error.code = ErrorCode::kNotTls;
      break;
    case HelloState::kMalformed:
      error.code = ErrorCode::kMalformedHello;
      break;
    case HelloState::kTooLarge:
      error.code = ErrorCode::kHelloTooLarge;
      break;
  }
  return MakeError(error);
}

bool ClientHelloReader::ReadFirstBytes() {
  // Covers every signature, and is short enough to examine again with each byte.
  constexpr size_t kLongestSignature = 8;
  const ByteView prefix = replay().subspan(0, kLongestSignature);
  examined_bytes_ += prefix.size();
  const wire_internal::FirstBytesVerdict verdict = wire_internal::JudgeFirstBytes(prefix);
  first_bytes_fine_ = verdict.decided && verdict.state == HelloState::kNeedMore;
  if (verdict.decided && !first_bytes_fine_) {
    // A record of another type is malformed; what is no record gets no alert.
    Refuse(verdict.state, verdict.detail, kAlertUnexpectedMessage);
  }
  return first_bytes_fine_;
}

bool ClientHelloReader::ReadRecordHeader() {
  const ByteView header = replay().subspan(position_, kRecordHeaderBytes);
  examined_bytes_ += header.size();
  // Checks each field as soon as it has arrived, in the order of the bytes. So the verdict doesn't
  // depend on how the bytes are split.
  if (header.empty()) return false;
  if (records_ == limits_.records) {
    Refuse(HelloState::kTooLarge,
           absl::StrCat("the ClientHello is spread over more than ", limits_.records, " records"));
    return false;
  }
  if (header[0] != kHandshakeRecord) {
    Refuse(HelloState::kMalformed,
           absl::StrCat(RecordTypeName(header[0]), " record came within the ClientHello"),
           kAlertUnexpectedMessage);
    return false;
  }
  if (header.size() >= 2 && header[1] != 3) {
    Refuse(HelloState::kMalformed, "a record version that is not a TLS version");
    return false;
  }
  if (header.size() < kRecordHeaderBytes) return false;
  record_left_ = static_cast<size_t>(header[3] << 8 | header[4]);
  if (record_left_ == 0) {
    Refuse(HelloState::kMalformed, "an empty handshake record");
    return false;
  }
  if (record_left_ > kMaxRecordBytes) {
    Refuse(HelloState::kMalformed, "a record of more than 16384 bytes", kAlertRecordOverflow);
    return false;
  }
  if (records_ == 0) hello_.record_version = static_cast<uint16_t>(header[1] << 8 | header[2]);
  ++records_;
  position_ += kRecordHeaderBytes;
  if (message_bytes_ != 0) CheckMessageSize();
  return true;
}

bool ClientHelloReader::ReadRecordBody() {
  const ByteView fragment = replay().subspan(position_, record_left_);
  if (fragment.empty()) return false;
  AddToMessage(fragment);
  if (message()[0] != kClientHelloMessage) {
    Refuse(HelloState::kMalformed,
           absl::StrCat("a handshake message of type ", message()[0],
                        " came in place of the ClientHello"),
           kAlertUnexpectedMessage);
    return false;
  }
  if (message_bytes_ == 0 && message_have_ >= kMessageHeaderBytes) {
    const ByteView header = message();
    message_bytes_ =
        kMessageHeaderBytes + static_cast<size_t>(header[1] << 16 | header[2] << 8 | header[3]);
    CheckMessageSize();
  }
  if (state_ != HelloState::kNeedMore || message_have_ != message_bytes_) return true;
  examined_bytes_ += message_bytes_;
  wire_internal::HelloFault fault;
  if (!wire_internal::ParseHello(message(), limits_.server_name, hello_, fault)) {
    Refuse(HelloState::kMalformed, fault.detail, fault.alert);
    return false;
  }
  hello_.records = records_;
  state_ = HelloState::kDone;
  return true;
}

void ClientHelloReader::AddToMessage(ByteView fragment) {
  if (records_ > 1) {
    // From the second record on, record headers interrupt the message in the replay.
    if (assembled_.empty()) {
      assembled_.append(replay_, kRecordHeaderBytes, message_have_);
      examined_bytes_ += message_have_;
    }
    assembled_.append(AsText(fragment).data(), fragment.size());
    examined_bytes_ += fragment.size();
  }
  position_ += fragment.size();
  record_left_ -= fragment.size();
  message_have_ += fragment.size();
}

void ClientHelloReader::CheckMessageSize() {
  const size_t body_bytes = message_bytes_ - kMessageHeaderBytes;
  if (body_bytes > limits_.hello_bytes) {
    Refuse(HelloState::kTooLarge, absl::StrCat("a ClientHello of ", body_bytes,
                                               " bytes; the limit is ", limits_.hello_bytes));
  } else if (body_bytes < kMinHelloBytes) {
    Refuse(HelloState::kMalformed, "a ClientHello too short to hold its fields");
  } else if (message_have_ + record_left_ > message_bytes_) {
    Refuse(HelloState::kMalformed, "the record continues after the ClientHello",
           kAlertUnexpectedMessage);
  }
}

ByteView ClientHelloReader::message() const {
  if (!assembled_.empty()) return AsBytes(assembled_);
  return replay().subspan(kRecordHeaderBytes, message_have_);
}

void ClientHelloReader::Refuse(HelloState state, absl::string_view detail, uint8_t alert) {
  state_ = state;
  detail_ = std::string(detail);
  alert_ = state == HelloState::kMalformed ? alert : 0;
}

}  // namespace trestle
