#include "integrations/spiffe/grpc_stream.h"

#include <string.h>

#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "trestle/base/error.h"
#include "trestle/wire/server_name.h"

namespace trestle {
namespace {

constexpr size_t kPrefixBytes = 5;
constexpr size_t kMaxQuotedBytes = 200;
constexpr int kPermissionDenied = 7;

absl::Status StreamError(ErrorCode code, absl::string_view why) {
  return MakeError(code, Phase::kSetUp, std::string(why));
}

// A flag of compression, and the length.
std::string Framed(const std::string& message) {
  const auto size = static_cast<uint32_t>(message.size());
  std::string frame(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) frame.push_back(static_cast<char>(size >> shift));
  return frame + message;
}

size_t LengthIn(absl::string_view prefix) {
  size_t length = 0;
  for (const uint8_t byte : AsBytes(prefix.substr(1))) length = length << 8 | byte;
  return length;
}

// What the fields at the end of a call say; never OK.
absl::Status StatusIn(const HttpFields& fields) {
  const std::string* const code = fields.Find("grpc-status");
  int number = 0;
  if (code == nullptr || !absl::SimpleAtoi(*code, &number)) {
    return StreamError(ErrorCode::kProtocol, "it ended the call without a status");
  }
  if (number == 0) return StreamError(ErrorCode::kTransport, "it ended the stream");
  const std::string* const message = fields.Find("grpc-message");
  const std::string quoted =
      message == nullptr ? "" : absl::StrCat(": ", EscapeForLog(*message, kMaxQuotedBytes));
  if (number == kPermissionDenied) {
    return StreamError(ErrorCode::kNoCertificate,
                       absl::StrCat("it has no identity for this process", quoted));
  }
  return StreamError(ErrorCode::kTransport, absl::StrCat("gRPC status ", number, quoted));
}

}  // namespace

GrpcStream::GrpcStream(Scheduler& scheduler, std::unique_ptr<Transport> transport,
                       const GrpcCall& call, Owner& owner)
    : scheduler_(scheduler),
      owner_(owner),
      max_message_bytes_(call.max_message_bytes),
      turns_(scheduler),
      wire_(turns_, scheduler, std::move(transport), *this, /*linger=*/false),
      codec_(limits_, wire_, "http") {
  HttpRequest request;
  request.version = HttpVersion::kHttp2;
  request.method = "POST";
  request.authority = "localhost";
  request.target = call.path;
  request.has_body = true;
  request.fields.Add("te", "trailers");
  request.fields.Add("content-type", "application/grpc");
  for (const HttpFields::Field& field : call.fields) request.fields.Add(field.name, field.value);
  request_body.Append(Framed(call.message));
  request_body.End();
  const TurnQueue::Turn turn(turns_);
  stream_ = &codec_.Start(*this, request);
  wire_.Start(codec_);
}

GrpcStream::~GrpcStream() {
  if (stream_ != nullptr) std::exchange(stream_, nullptr)->Cancel();
  wire_.Abort();
  explicit_bzero(received_.data(), received_.size());
}

void GrpcStream::OnResponse(HttpResponse response) {
  if (response.status != 200) {
    return End(StreamError(ErrorCode::kProtocol,
                           absl::StrCat("it answers with the HTTP status ", response.status)));
  }
  const std::string* const type = response.fields.Find("content-type");
  if (type == nullptr || !absl::StartsWith(*type, "application/grpc")) {
    return End(StreamError(ErrorCode::kProtocol, "its answer is no gRPC"));
  }
  head_ = std::move(response.fields);
}

void GrpcStream::OnResponseBody() {
  if (why_.has_value() || response_body.empty()) return;
  const size_t size = response_body.size();
  absl::StrAppend(&received_, response_body.view());
  response_body.Consume(size);
  if (stream_ != nullptr) stream_->OnResponseTaken(size);
  TakeMessages();
}

void GrpcStream::TakeMessages() {
  while (!why_.has_value() && received_.size() >= kPrefixBytes) {
    if (received_.front() != '\0') {
      return End(StreamError(ErrorCode::kProtocol, "its message is compressed, or no gRPC"));
    }
    const size_t length = LengthIn(absl::string_view(received_).substr(0, kPrefixBytes));
    if (length > max_message_bytes_) {
      return End(StreamError(ErrorCode::kOverLimit,
                             absl::StrCat("its message has ", length, " bytes, over the limit of ",
                                          max_message_bytes_)));
    }
    if (received_.size() - kPrefixBytes < length) return;
    owner_.OnMessage(AsBytes(absl::string_view(received_).substr(kPrefixBytes, length)));
    std::string rest = received_.substr(kPrefixBytes + length);
    explicit_bzero(received_.data(), received_.size());
    received_ = std::move(rest);
  }
}

void GrpcStream::OnBackDone() {
  stream_ = nullptr;
  const HttpFields& end = response_body.trailers();
  End(StatusIn(end.Find("grpc-status") == nullptr ? head_ : end));
}

void GrpcStream::OnBackFailed(BackFailure /*failure*/, const absl::Status& why) {
  stream_ = nullptr;
  End(StreamError(ErrorCode::kTransport, ToError(why)->detail));
}

void GrpcStream::OnWireOver(const absl::Status& why) {
  End(StreamError(ErrorCode::kTransport,
                  why.ok() ? std::string("it closed the connection") : ToError(why)->detail));
}

void GrpcStream::End(absl::Status why) {
  if (why_.has_value()) return;
  why_ = std::move(why);
  end_ = scheduler_.RunAfter(absl::ZeroDuration(), [this] { owner_.OnEnd(*why_); });
}

}  // namespace trestle
